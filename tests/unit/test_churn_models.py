"""Every candidate: additive, finite, restored from JSON, blind to column order, clear."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from tenure.errors import DataError, ModelError
from tenure.models.churn import CANDIDATES, UNCONSTRAINED, fit_candidates, load_candidate
from tenure.models.trees import Settings, fit_lightgbm

NAMES = list(CANDIDATES)


def sample(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    frequency = rng.poisson(2, n).astype(float)
    length = rng.integers(90, 400, n).astype(float)
    silence = np.minimum(rng.integers(0, 90, n), length)
    recency = np.where(frequency > 0, length - silence, 0.0)
    money = np.where(frequency > 0, rng.lognormal(3, 1, n), np.nan)
    log_odds = -0.5 + silence / 40 - 0.4 * frequency
    X = pd.DataFrame(
        {
            "frequency": frequency,
            "recency": recency,
            "T": length,
            "days_since_last_purchase": length - recency,
            "monetary_value": money,
            "btyd_log_odds": log_odds + rng.normal(0, 0.5, n),
            'spend_90d "net" [€]{,}': rng.normal(size=n),
        }
    )
    return X, (rng.random(n) < expit(log_odds)).astype(int)


@pytest.fixture(scope="module")
def data():
    return sample()


@pytest.fixture(scope="module")
def fitted(data):
    return fit_candidates(*data, seed=7)


@pytest.fixture
def strange():
    """Rows no training set held: everything missing, infinite, negative money, extreme tails."""
    X, _ = sample(6, seed=9)
    X.loc[0] = np.nan
    X.loc[1] = np.inf
    X.loc[2] = -np.inf
    X.loc[3, "monetary_value"] = -40.0
    X.loc[4] = 1e9
    X.loc[5, "btyd_log_odds"] = 700.0
    return X


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up_to_the_margin(fitted, data, strange, name):
    for X in (data[0].iloc[:300], strange, data[0].iloc[:0]):
        model = fitted[name]
        parts, base = model.contributions(X)
        assert parts.index.equals(X.index)
        assert set(parts.columns) <= set(X.columns)
        tolerance = 1e-6 if name in ("lightgbm", "blend") else 1e-9
        margin = model.margin(X)
        assert margin.shape == (len(X),)
        assert np.isfinite(margin).all()
        np.testing.assert_allclose(parts.sum(axis=1) + base, margin, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("lightgbm", "blend")])
def test_the_base_of_simple_models_is_the_mean_training_margin(fitted, data, name):
    model = fitted[name]
    assert model.contributions(data[0])[1] == pytest.approx(model.margin(data[0]).mean(), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_json_round_trip_gives_identical_margins(fitted, data, name):
    model = fitted[name]
    again = load_candidate(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    assert again == model
    np.testing.assert_array_equal(again.margin(data[0]), model.margin(data[0]))


@pytest.mark.parametrize("name", NAMES)
def test_extra_and_reordered_columns_change_nothing(fitted, data, name):
    X = data[0].iloc[:50]
    shuffled = X.assign(extra=1.0)[["extra", *X.columns[::-1]]]
    np.testing.assert_array_equal(fitted[name].margin(shuffled), fitted[name].margin(X))


@pytest.mark.parametrize("name", NAMES)
def test_a_customer_does_not_depend_on_who_else_is_scored(fitted, data, name):
    X = data[0].iloc[:40]
    alone = [fitted[name].margin(X.iloc[[i]])[0] for i in range(len(X))]
    np.testing.assert_allclose(alone, fitted[name].margin(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "base_rate"])
def test_missing_columns_are_named(fitted, data, name):
    with pytest.raises(ModelError, match=f"{name if name != 'blend' else 'lightgbm'}: .*not in"):
        fitted[name].margin(data[0][["T"]])


def test_repeated_and_text_columns_are_refused(fitted, data):
    X = data[0].iloc[:3]
    with pytest.raises(ModelError, match=r"given twice: 'T'"):
        fitted["logistic_rfm"].margin(pd.concat([X, X[["T"]]], axis=1))
    with pytest.raises(ModelError, match=r"not numbers: 'T'"):
        fitted["logistic_rfm"].margin(X.assign(T=["a", "b", "c"]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("label", "message"),
    [
        (lambda n: np.ones(n), "one class"),
        (lambda n: np.zeros(n), "one class"),
        (lambda n: np.arange(n) % 3, "neither 0 nor 1"),
        (lambda n: np.full(n, np.nan), "neither 0 nor 1"),
        (lambda n: np.ones(n - 1), "give one a row"),
    ],
)
def test_labels_that_cannot_be_learnt_from(data, name, label, message):
    X = data[0].iloc[:60]
    with pytest.raises(DataError, match=message):
        CANDIDATES[name](X, label(60), seed=1)


def test_no_rows_is_one_class(data):
    with pytest.raises(DataError, match="there are no rows"):
        CANDIDATES["base_rate"](data[0].iloc[:0], [], seed=1)


def test_base_rate_is_the_share_of_churners(fitted, data):
    np.testing.assert_allclose(expit(fitted["base_rate"].margin(data[0])), data[1].mean())


def test_recency_rule_is_the_churn_rate_of_the_bin():
    days = np.repeat([10.0, 20.0, 30.0], [50, 100, 50])  # quantile edges can only fall on 20 and 30
    y = np.concatenate([np.arange(50) < 5, np.arange(100) < 50, np.arange(50) < 50]).astype(int)
    X = pd.DataFrame({"days_since_last_purchase": days})
    rule = CANDIDATES["recency_rule"](X, y, seed=0)
    one_more = y.mean()  # each bin holds one more row, of the overall rate
    expected = [(5 + one_more) / 51, (50 + one_more) / 101, (50 + one_more) / 51]
    asked = pd.DataFrame({"days_since_last_purchase": [0.0, 20.0, 500.0, np.nan]})
    np.testing.assert_allclose(expit(rule.margin(asked))[:3], expected)
    assert rule.margin(asked)[3] == rule.base


def test_raw_btyd_is_its_input(fitted, data):
    X = data[0].iloc[:20]
    np.testing.assert_array_equal(fitted["btyd"].margin(X), X["btyd_log_odds"])


def test_logistic_equals_scikit_learn_on_inputs_transformed_by_hand(fitted, data):
    X, y = data
    money = X["monetary_value"]
    columns = [np.log1p(X[c]) for c in ("frequency", "recency", "T", "days_since_last_purchase")]
    columns += [np.log1p(money / money.median()), X["btyd_log_odds"]]
    inputs = [((c - c.mean()) / c.std(ddof=0)).fillna(0.0) for c in columns]
    flag = money.isna().astype(float)
    design = np.column_stack([*inputs, flag - flag.mean()])
    by_hand = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(design, y)
    expected = logit(by_hand.predict_proba(design)[:, 1])
    actual = fitted["logistic_rfm_btyd"].margin(X)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_logistic_recovers_known_coefficients():
    rng = np.random.default_rng(5)
    score = rng.normal(0, 2, 60_000)
    y = rng.random(score.size) < expit(0.3 + 0.7 * score)
    X = pd.DataFrame({"btyd_log_odds": score})
    model = CANDIDATES["btyd_recalibrated"](X, y, seed=0)
    at = model.margin(pd.DataFrame({"btyd_log_odds": [0.0, 1.0]}))
    assert at[0] == pytest.approx(0.3, abs=0.04)
    assert at[1] - at[0] == pytest.approx(0.7, abs=0.03)


def test_a_separable_handful_stays_finite():
    X, _ = sample(20)
    y = (np.arange(20) < 10).astype(int)
    for name in ("logistic_rfm", "btyd_recalibrated"):
        margin = CANDIDATES[name](X.assign(btyd_log_odds=y * 9.0), y, seed=0).margin(X)
        assert np.isfinite(margin).all()


@pytest.mark.parametrize("name", ["logistic_rfm", "logistic_rfm_btyd", "lightgbm"])
def test_the_currency_does_not_matter(fitted, data, name):
    X, y = data
    millions = X.assign(monetary_value=X["monetary_value"] * 2.0**20)
    again = CANDIDATES[name](millions, y, seed=7)
    np.testing.assert_allclose(again.margin(millions), fitted[name].margin(X), atol=1e-9)


def test_constant_and_empty_columns_are_harmless(data):
    X, y = data
    X = X.assign(monetary_value=np.nan, T=100.0)
    for model in fit_candidates(X, y, seed=1).values():
        assert np.isfinite(model.margin(X)).all()


def test_two_fits_with_one_seed_are_identical(data):
    first, second = (fit_lightgbm(*data, seed=3) for _ in range(2))
    assert first.boosters == second.boosters
    assert fit_lightgbm(*data, seed=4).boosters != first.boosters


def test_the_thread_count_does_not_change_the_trees():
    X, y = sample(20_000)
    few = {"num_iterations": 20}
    one = fit_lightgbm(X, y, seed=3, settings=Settings(few))
    two = fit_lightgbm(X, y, seed=3, settings=Settings({**few, "num_threads": 2}))
    np.testing.assert_array_equal(one.margin(X), two.margin(X))


def test_shared_fits_equal_separate_ones(fitted, data):
    alone = CANDIDATES["blend"](*data, seed=7)
    assert alone == fitted["blend"]
    assert list(fitted) == NAMES
    assert list(fit_candidates(*data, names=["btyd"])) == ["btyd"]


def test_blend_is_the_mean_in_log_odds(fitted, data):
    mean = (fitted["lightgbm"].margin(data[0]) + fitted["logistic_rfm_btyd"].margin(data[0])) / 2
    np.testing.assert_array_equal(fitted["blend"].margin(data[0]), mean)


def test_a_blend_takes_the_share_it_is_given(data):
    fitted = fit_candidates(*data, seed=7, settings=Settings(share=0.75))
    parts = [fitted[n].margin(data[0]) for n in ("lightgbm", "logistic_rfm_btyd")]
    np.testing.assert_allclose(
        fitted["blend"].margin(data[0]), 0.75 * parts[0] + 0.25 * parts[1], rtol=0, atol=1e-12
    )


def test_a_bag_is_the_mean_of_its_boosters_and_explains_itself(data):
    X, y = data
    bag = fit_lightgbm(X, y, seed=3, settings=Settings({"num_iterations": 20}, seeds=3))
    first = fit_lightgbm(X, y, seed=3, settings=Settings({"num_iterations": 20}))
    assert len(set(bag.boosters)) == 3
    assert bag.boosters[0] == first.boosters[0]
    alone = [type(bag)(bag.columns, (text,)).margin(X) for text in bag.boosters]
    np.testing.assert_allclose(bag.margin(X), np.mean(alone, axis=0), rtol=0, atol=1e-12)
    parts, base = bag.contributions(X)
    np.testing.assert_allclose(parts.sum(axis=1) + base, bag.margin(X), rtol=0, atol=1e-6)
    assert load_candidate(json.loads(json.dumps(bag.to_json()))) == bag


def test_directions_hold_everywhere_and_what_they_cost_can_be_seen(data):
    X, y = data
    settings = Settings({"num_iterations": 60}, directions={"days_since_last_purchase": -1})
    names = ("lightgbm", UNCONSTRAINED)
    fitted = fit_candidates(X, y, seed=3, names=names, settings=settings)

    def slopes(model):
        grid = np.linspace(0, 90, 40)
        rows = X.iloc[:50].loc[np.repeat(X.index[:50], grid.size)]
        rows = rows.assign(days_since_last_purchase=np.tile(grid, 50))
        return np.diff(model.margin(rows).reshape(50, grid.size), axis=1)

    assert (slopes(fitted["lightgbm"]) <= 1e-12).all()  # the data say the opposite
    assert (slopes(fitted[UNCONSTRAINED]) > 0.01).any()
    assert fitted[UNCONSTRAINED].name == UNCONSTRAINED


@pytest.mark.parametrize("weight", [5.0, "balanced"])
def test_class_weights_are_taken_out_of_the_chances_again(data, weight):
    """Weighted learning raises every chance; corrected back, they add up to the leavers again."""
    X, y = data
    rare = np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 == 0))
    X, y = X.iloc[rare].reset_index(drop=True), y[rare]
    model = fit_lightgbm(X, y, seed=3, settings=Settings(class_weight=weight))
    raised = type(model)(model.columns, model.boosters)
    assert expit(raised.margin(X)).mean() > 1.4 * y.mean()
    assert expit(model.margin(X)).mean() == pytest.approx(y.mean(), rel=0.2)
    w = 5.0 if weight == 5.0 else (y == 0).sum() / (y == 1).sum()
    np.testing.assert_allclose(raised.margin(X) - model.margin(X), np.log(w), rtol=0, atol=1e-9)
    parts, base = model.contributions(X)
    np.testing.assert_allclose(parts.sum(axis=1) + base, model.margin(X), rtol=0, atol=1e-6)


def test_unknown_kinds_are_refused():
    with pytest.raises(ModelError, match="'neural' is unknown"):
        load_candidate({"kind": "neural"})
