"""The backtest as a table gives back every figure, whatever kind of test it was."""

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import churn as churn_backtest
from tenure.backtest import folds
from tenure.backtest.calibrating import calibrate
from tenure.backtest.champion import Meeting
from tenure.backtest.record import champion_said, recall, record
from tenure.config import Config
from tenure.results import churn_figures

TRANSACTIONS = {"tables": {"transactions": {"path": "d.csv"}}}
CUSTOMERS = {"tables": {"customers": {"path": "c.csv", "attributes": "all"}}}
DATED = Config(
    project="p", data=TRANSACTIONS, churn={"horizon_days": 30}, model={"tuning_trials": 0}
)
LABELLED = Config(project="p", data=CUSTOMERS, churn={"kind": "label"})


def dated(cutoffs, n):
    rng = np.random.default_rng(1)
    size = n * cutoffs
    names = ["frequency", "recency", "T", "monetary_value", "days_since_last_purchase"]
    X = pd.DataFrame({name: rng.gamma(2, 10, size) for name in names})
    X["btyd_log_odds"] = X["days_since_last_purchase"] / 10 - 2
    left = rng.random(size) < 1 / (1 + np.exp(-X["btyd_log_odds"]))
    days = pd.date_range("2025-01-01", periods=cutoffs, freq="30D")
    ids = [f"c{i}" for i in range(n)] * cutoffs  # c10 comes before c2
    rows = pd.DataFrame(
        {"customer_id": ids, "cutoff": np.repeat(days, n), "churned": left.astype(np.int8)}
    )
    return X, rows.assign(active=rng.random(size) < 0.8, worth=rng.random(size))


def labelled(n=240):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 3, n).astype(float)})
    left = rng.random(n) < 1 / (1 + np.exp(-X["a"]))
    ids = [f"c{i}" for i in range(n)]
    rows = pd.DataFrame({"customer_id": ids, "cutoff": pd.NaT, "churned": left.astype(np.int8)})
    return X, rows.assign(active=True, worth=1.0)


@pytest.fixture(scope="module", params=["origins", "held out", "folds"])
def done(request):
    if request.param != "folds":
        X, rows = dated(5, 100) if request.param == "origins" else dated(2, 250)
        return request.param, churn_backtest.run(X, rows, DATED), DATED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "ROUNDS", ((None, 2),))
        patch.setattr(folds, "FOLDS", 3)
        patch.setattr(folds, "INNER", 2)
        return "folds", folds.run(*labelled(), LABELLED), LABELLED


def test_every_figure_comes_back_from_the_file(done, tmp_path):
    which, churn, config = done
    said = np.where(np.arange(len(churn.test)) % 3, churn.said, np.nan)
    met = Meeting("4", "fresh cutoffs", "Why.", said)
    record(churn, met).to_parquet(tmp_path / "b.parquet")
    frame = pd.read_parquet(tmp_path / "b.parquet")
    np.testing.assert_array_equal(champion_said(frame), said)
    again = recall(frame, config)
    assert churn_figures(again, config, met) == churn_figures(churn, config, met)
    if which != "folds":  # the folds keep only the columns they know
        assert list(again.test["worth"]) == list(churn.test["worth"])


def test_the_choice_is_made_anew_and_not_copied(done):
    _, churn, config = done
    frame = record(churn)
    loser = max(churn.before, key=lambda name: churn.before[name])
    compared = frame["part"].notna()
    frame.loc[compared, f"margin_{loser}"] = np.where(frame["churned"] == 1, 6.0, -6.0)[compared]
    again = recall(frame, config)
    assert again.before[loser] < churn.before[loser]
    others = churn.before.keys() - {loser}
    assert {n: again.before[n] for n in others} == {n: churn.before[n] for n in others}


def test_calibrated_probabilities_come_again_from_the_margins(done):
    which, churn, config = done
    if which != "origins":
        pytest.skip("held-out margins of later cutoffs and of folds are not kept")
    again = recall(record(churn), config)
    days = [d.date() for d in sorted(pd.date_range("2025-01-01", periods=5, freq="30D"))]
    for name, p in again.probabilities.items():
        for day in again.tests:
            here = (again.test["cutoff"] == pd.Timestamp(day)).to_numpy()
            made = calibrate(name, again.margins, days, day, config)
            margin = again.test.loc[here, name].to_numpy()
            np.testing.assert_allclose(made.probability(margin), p[here], rtol=1e-9)


def test_customers_are_numbers_in_the_order_of_their_ids(done):
    _, churn, _ = done
    frame = record(churn)
    assert "customer_id" not in frame
    ids = sorted({*churn.test["customer_id"], *churn.compared["customer_id"],
                  *churn.margins["customer_id"]})  # fmt: skip
    test = frame[frame["is_test"]]
    assert [ids[k] for k in test["customer"]] == list(churn.test["customer_id"])
