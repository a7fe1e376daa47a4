"""Randomised tests read off rows: effects, fair lots, and the words they end in."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tenure.config import CampaignConfig, ChurnConfig, Config
from tenure.experiments.balance import balance
from tenure.experiments.effect import clustered_error, difference, effect, enough, influence
from tenure.experiments.findings import PROVEN, found
from tenure.experiments.learning import cross_fitted, signal


def config(**campaign):
    return Config.model_construct(
        churn=ChurnConfig(horizon_days=90), campaign=CampaignConfig(**campaign),
        model=Config.model_fields["model"].get_default(call_default_factory=True),
        cutoffs=Config.model_fields["cutoffs"].get_default(call_default_factory=True),
    )  # fmt: skip


@pytest.fixture(scope="module")
def same(make_trial):
    """A contact that keeps 6 in 100, whoever they are."""
    return make_trial(1, effect=lambda x: -0.06)


def test_the_difference_is_that_of_two_means_with_welchs_error():
    rng = np.random.default_rng(0)
    arm = rng.random(500) < 0.4
    y = (rng.random(500) < np.where(arm, 0.2, 0.3)).astype(float)
    told = difference(y, arm, np.zeros(500, dtype=int), np.arange(500), unit=1.0)
    assert told["value"] == pytest.approx(y[arm].mean() - y[~arm].mean(), abs=1e-12)
    welch = np.sqrt(y[arm].var() / arm.sum() + y[~arm].var() / (~arm).sum())
    assert told["error"] == pytest.approx(welch * np.sqrt(500 / 499), rel=1e-9)
    assert told["upper"] - told["value"] == pytest.approx(stats.norm.ppf(0.95) * told["error"])


def test_clustered_errors_are_those_of_ols_with_a_dummy_for_each_test():
    """Where arms are equal in every test, rows weigh alike in OLS; statsmodels is the oracle."""
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(1)
    test = np.repeat([0, 1, 2], 200)
    arm = np.tile([True, False], 300)
    customer = rng.integers(0, 150, 600)
    y = rng.normal(size=150)[customer] + 0.3 * arm + rng.normal(size=600)
    value, part = influence(y, arm, test)
    dummies = np.column_stack([arm, *(test == s for s in range(3))]).astype(float)
    clusters = {"groups": customer, "use_correction": False}
    fit = sm.OLS(y, dummies).fit(cov_type="cluster", cov_kwds=clusters)
    n = len(np.unique(customer))
    assert value == pytest.approx(fit.params[0])
    # each arm's own mean within a test (here) takes up a little more than a shared slope (OLS)
    expected = fit.bse[0] * np.sqrt(n / (n - 1))
    assert clustered_error(part, customer) == pytest.approx(expected, rel=0.01)


def test_tests_count_by_their_rows_whatever_the_contacted_share():
    test = np.array([0] * 10 + [1] * 30)
    arm = np.array([True] * 2 + [False] * 8 + [True] * 15 + [False] * 15)
    y = np.concatenate([[1, 1], np.zeros(8), np.zeros(15), np.ones(15)]).astype(float)
    value, _ = influence(y, arm, test)
    assert value == pytest.approx((10 * 1.0 + 30 * -1.0) / 40)


def test_a_test_of_one_arm_counts_for_nothing():
    test = np.array([0, 0, 0, 0, 1, 1])
    arm = np.array([True, True, False, False, True, True])
    value, part = influence(np.array([0.0, 1, 1, 1, 1, 1]), arm, test)
    assert value == pytest.approx(-0.5)
    assert (part[4:] == 0).all()
    assert np.isnan(influence(np.ones(2), np.array([True, True]), np.zeros(2, dtype=int))[0])


def test_the_adjusted_effect_is_doublemls_irm_with_known_shares(same):
    """The same nuisances handed to DoubleML give the same number, and nearly the same error."""
    dml = pytest.importorskip("doubleml")
    from sklearn.linear_model import LinearRegression, LogisticRegression

    expected = cross_fitted(same).expected
    told = effect(same, expected)["adjusted"]
    frame = pd.DataFrame(
        {"y": same.left, "d": same.treated.astype(float), "x": same.X["a"], "c": same.customer}
    )
    data = dml.DoubleMLData(frame, "y", "d", ["x"], cluster_cols="c")
    irm = dml.DoubleMLIRM(data, LinearRegression(), LogisticRegression(), n_folds=2)
    given = {"ml_g0": expected, "ml_g1": expected, "ml_m": same.share}
    irm.fit(external_predictions={"d": {k: v[:, None] for k, v in given.items()}})
    assert told["value"] == pytest.approx(100 * irm.coef[0], abs=1e-9)
    assert told["error"] == pytest.approx(100 * irm.se[0], rel=0.03)


def test_adjusting_narrows_and_covers(same):
    told = effect(same, cross_fitted(same).expected)
    assert told["adjusted"]["error"] < told["error"]
    assert told["adjusted"]["lower"] < -6 < told["adjusted"]["upper"]
    assert told["contacted"] + told["held_out"] == len(same)


def test_an_expectation_never_saw_its_customer(same):
    """What a customer did changes what is said of others, and nothing said of themselves."""
    changed = same.left.copy()
    one = same.customer == same.customer[0]
    changed[one] = 1 - changed[one]
    before, after = cross_fitted(same), cross_fitted(replace(same, left=changed))
    assert (before.expected[one] == after.expected[one]).all()
    assert (before.saved[one] == after.saved[one]).all()
    others = before.group != before.group[one][0]
    assert (before.expected[others] != after.expected[others]).any()


def test_the_signals_mean_is_the_adjusted_effect(same):
    expected = cross_fitted(same).expected
    told = effect(same, expected)["adjusted"]["value"]
    assert 100 * signal(same, expected).mean() == pytest.approx(told, abs=1e-9)


def test_fair_lots_hold_and_chosen_arms_do_not(make_trial):
    fair = make_trial(3)
    assert balance(fair, None)["holds"]
    chosen = make_trial(3, chance=lambda x: np.where(x["a"] > 0, 0.6, 0.45))
    told = balance(chosen, None)
    assert not told["holds"]
    assert told["largest"][0]["feature"] == "a"
    assert told["largest"][0]["difference"] > 0


def test_the_p_value_of_fair_lots_is_even(make_trial):
    drawn = [balance(make_trial(s, customers=600), None)["p_value"] for s in range(60)]
    assert np.mean(np.array(drawn) < 0.2) < 0.35  # 12 of 60 expected at most; 21 are refused
    assert min(drawn) > 1e-4


def test_held_out_for_good_is_balanced_by_customer(make_trial):
    """The same customers held out of every test are one draw, not several."""
    drawn = [
        balance(make_trial(s, customers=600, lasting=True), None)["p_value"] for s in range(40)
    ]
    assert np.mean(np.array(drawn) < 0.2) < 0.4


def test_proven_where_it_works_and_not_where_it_does_nothing(make_trial, same):
    assert found(same, config())["how_sure"] == PROVEN
    nothing = found(make_trial(2), config())
    assert nothing["how_sure"] == "too weak to say"
    assert "not proven" in nothing["says"][0]


def test_a_broken_lot_proves_nothing(make_trial):
    broken = make_trial(4, effect=lambda x: -0.1, chance=lambda x: np.where(x["a"] > 0, 0.7, 0.3))
    told = found(broken, config())
    assert told["how_sure"] == "goes together"
    assert "do not look drawn by lot" in told["says"][0]
    assert told["uplift"] is None


def test_few_leavers_are_too_weak_to_say(make_trial):
    few = make_trial(5, customers=30, tests=1, effect=lambda x: -1.0)
    assert not enough(few)
    told = found(few, config())
    assert told["how_sure"] == "too weak to say"
    assert told["uplift"] is None
    assert "Too few left" in told["notes"][0]
