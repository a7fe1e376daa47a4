"""The backtest never lets a model, calibrator or selection see what came later."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import calibrating, classes, origins, samples, trials, tuning
from tenure.backtest import churn as churn_backtest
from tenure.backtest import value as value_backtest
from tenure.config import Config
from tenure.errors import DataError
from tenure.models.churn import BASELINES, CANDIDATES

FIRST = dt.date(2025, 1, 1)
DAYS = [FIRST + dt.timedelta(days=30 * k) for k in range(6)]


def config(**sections):
    tables = {"tables": {"transactions": {"path": "d.csv"}}}
    sections = {"model": {"tuning_trials": 2}, **sections}
    return Config(project="p", data=tables, churn={"horizon_days": 30}, **sections)


def panel(n=160, days=DAYS, seed=0):
    """Return inputs and labels of customers at cutoffs; the label follows recency."""
    rng = np.random.default_rng(seed)
    size = n * len(days)
    X = pd.DataFrame(
        {
            "frequency": rng.integers(0, 9, size).astype(float),
            "recency": rng.integers(0, 60, size).astype(float),
            "T": rng.integers(60, 200, size).astype(float),
            "monetary_value": rng.gamma(2, 10, size),
            "days_since_last_purchase": rng.integers(0, 30, size).astype(float),
        }
    )
    X["btyd_log_odds"] = X["days_since_last_purchase"] / 10 - 1.5 + rng.normal(0, 0.5, size)
    p = 1 / (1 + np.exp(-(X["days_since_last_purchase"] - 15) / 5))
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for _ in days for i in range(n)],
            "cutoff": np.repeat(pd.to_datetime(days), n),
            "churned": (rng.random(size) < p).astype(int),
            "active": True,
        }
    )
    return X, rows


@pytest.fixture(autouse=True, scope="module")
def journals(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "JOURNALS", tmp_path_factory.mktemp("tuning"))
        yield


@pytest.fixture(scope="module")
def done():
    X, rows = panel()
    return X, rows, churn_backtest.run(X, rows, config())


def test_the_newest_cutoffs_are_the_test(done):
    *_, result = done
    assert result.tests == tuple(DAYS[-3:])
    assert set(result.probabilities) == set(CANDIDATES)
    assert len(result.test) == 3 * 160
    for p in result.probabilities.values():
        assert ((p >= 0) & (p <= 1)).all()
    assert result.selected in CANDIDATES
    assert result.best_baseline in BASELINES


def test_labels_of_the_test_cutoffs_decide_nothing_before_them(done):
    """Turning the newest labels round moves no prediction and no selection."""
    X, rows, result = done
    turned = rows.copy()
    newest = turned["cutoff"] == pd.Timestamp(DAYS[-1])
    turned.loc[newest, "churned"] = 1 - turned.loc[newest, "churned"]
    again = churn_backtest.run(X, turned, config())
    assert again.selected == result.selected
    assert again.before == result.before
    for name in CANDIDATES:
        np.testing.assert_array_equal(again.probabilities[name], result.probabilities[name])


def test_inputs_of_later_cutoffs_decide_nothing_before_them(done):
    X, rows, result = done
    changed = X.copy()
    newest = (rows["cutoff"] == pd.Timestamp(DAYS[-1])).to_numpy()
    changed.loc[newest, :] = changed.loc[newest, :].to_numpy() * 3 + 1
    again = churn_backtest.run(changed, rows, config())
    early = (result.test["cutoff"] < pd.Timestamp(DAYS[-1])).to_numpy()
    for name in CANDIDATES:
        np.testing.assert_array_equal(
            again.probabilities[name][early], result.probabilities[name][early]
        )


def test_every_fit_keeps_the_embargo(monkeypatch):
    """A spy on the fits: rows whose label ends after the origin are never among them."""
    X, rows = panel()
    fits = []
    real = origins.fit_candidates

    def spy(X_part, y, **options):
        fits.append(set(rows.loc[X_part.index, "cutoff"]))
        return real(X_part, y, **options)

    for module in (origins, samples, tuning):
        monkeypatch.setattr(module, "fit_candidates", spy)
    gap = config().model_copy(update={"churn": config().churn.model_copy(update={"gap_days": 20})})
    churn_backtest.run(X, rows, gap)
    complete = [
        {pd.Timestamp(d) for d in DAYS if d + dt.timedelta(days=50) <= origin} for origin in DAYS
    ]
    assert len(fits) > 10
    for cutoffs in fits:
        assert cutoffs in complete


def test_calibrators_learn_from_complete_cutoffs_only(done):
    *_, result = done
    altered = result.margins.copy()
    later = altered["cutoff"] >= pd.Timestamp(DAYS[-2])
    altered.loc[later, "churned"] = 1 - altered.loc[later, "churned"]
    for name in ("lightgbm", "logistic_rfm"):
        before, after = (
            calibrating.calibrate(name, m, DAYS, DAYS[-2], config())
            for m in (result.margins, altered)
        )
        assert before == after


@pytest.mark.parametrize(
    ("churned", "words"),
    [
        (np.zeros(200), "one class here: 0 left and 200 stayed"),
        (np.ones(200), "one class here: 200 left and 0 stayed"),
        (np.r_[np.ones(49), np.zeros(500)], "too few of one class here: 49 left and 500 stayed"),
        (np.array([]), "one class"),
    ],
)
def test_too_little_of_a_class_is_counted(churned, words):
    with pytest.raises(DataError, match=words):
        classes.check_classes(churned, "here")


def test_fifty_of_each_class_are_enough():
    classes.check_classes(np.r_[np.ones(50), np.zeros(50)], "here")


def test_no_cutoff_with_a_complete_past_is_refused():
    X, rows = panel(days=DAYS[:1])
    with pytest.raises(DataError, match="complete by the newest cutoff"):
        churn_backtest.run(X, rows, config())


def test_shuffled_labels_teach_nothing():
    X, rows = panel(n=300)
    rows["churned"] = np.random.default_rng(1).permutation(rows["churned"])
    result = churn_backtest.run(X, rows, config())
    y = result.test["churned"].to_numpy()
    p = result.probabilities["lightgbm"]
    pairs = (p[y == 1][:, None] - p[y == 0][None, :]).ravel()
    auc = np.mean(pairs > 0) + np.mean(pairs == 0) / 2
    n1, n0 = y.sum(), (1 - y).sum()
    error = np.sqrt((n1 + n0 + 1) / (12 * n1 * n0))
    assert abs(auc - 0.5) < 3.5 * error


class TestValue:
    """The family is chosen early and judged late."""

    def test_origins_leave_whole_horizons(self):
        first, until = dt.date(2024, 1, 1), dt.date(2024, 12, 31)
        days = value_backtest.validation_days(first, until)
        cuts = value_backtest.origins(first, until)
        step = dt.timedelta(days=days)
        assert cuts == (until - 3 * step, until - 2 * step, until - step)
        assert cuts[0] - first >= step  # the first one has as much behind it

    def test_the_horizon_is_at_most_a_year(self):
        assert value_backtest.validation_days(dt.date(2000, 1, 1), dt.date(2020, 1, 1)) == 365
        assert value_backtest.validation_days(FIRST, FIRST + dt.timedelta(days=1)) == 1
