"""The label report: each question's own labels, under its own embargo, at the same cutoffs."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tenure import labels
from tenure.backtest import sensitivity
from tenure.backtest.sensitivity import Log, questions, run
from tenure.config import ChurnConfig, Config
from tenure.models.btyd import PurchaseModel
from tenure.models.logistic import fit_logistic_rfm_btyd

ZERO = dt.date(2025, 6, 1)
UTC = ZoneInfo("UTC")
RFM = ["frequency", "recency", "T", "days_since_last_purchase", "monetary_value"]
SETTINGS = ("horizon_days", "gap_days", "active_within_days")


def day(number):
    return ZERO + dt.timedelta(days=int(number))


def config(**churn):
    tables = {"tables": {"transactions": {"path": "d.csv"}}}
    return Config(project="p", data=tables, churn={"horizon_days": 20} | churn)


def rows_of(bought):
    """Return purchases of a frame of customers and days, at noon."""
    noon = dt.time(12)
    return [
        {"customer_id": c, "ts": dt.datetime.combine(day(d), noon), "amount": 5}
        for c, d in bought.itertuples(index=False)
    ]


def matrix_of(bought, cutoffs):
    """Compute recency, frequency and money at each cutoff in pandas."""
    parts = []
    for c in cutoffs:
        past = bought[bought["day"] < c].groupby("customer_id")["day"].agg(["min", "max", "size"])
        at = pd.Series(pd.Timestamp(day(c)), past.index).astype("datetime64[s]")
        known = {
            "frequency": past["size"] - 1.0,
            "recency": (past["max"] - past["min"]).astype(float),
            "T": c - 1.0 - past["min"],
            "days_since_last_purchase": c - 1.0 - past["max"],
            "monetary_value": 5.0,
        }
        parts.append(pd.DataFrame({"cutoff": at, **known}).reset_index())
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def shop(typed):
    """Return 900 customers who come at their own pace, and what the report says of them."""
    rng = np.random.default_rng(3)
    pairs = []
    for c in range(900):
        t, pace = rng.uniform(-200, -40), rng.gamma(2, 12)
        while t < 120:
            pairs.append((f"c{c:03d}", int(np.floor(t))))
            if rng.random() < 0.1:
                break
            t += rng.exponential(pace)
    bought = pd.DataFrame(pairs, columns=["customer_id", "day"]).drop_duplicates()
    cutoffs = list(range(-60, 91, 15))
    log = Log(
        {"transactions": typed.log(rows_of(bought))}, matrix_of(bought, cutoffs),
        tuple(map(day, cutoffs)), day(120), UTC, {},
    )  # fmt: skip
    return bought, cutoffs, log, run(log, config())


def oracle(bought, cutoff, asked):
    """Say who is asked at a cutoff under a row's question, and who left."""
    past = bought[bought["day"] < cutoff].groupby("customer_id")["day"].max()
    active = asked["active_within_days"]
    here = past if active == "all" else past[past >= cutoff - active]
    opens = cutoff + asked["gap_days"]
    inside = (bought["day"] >= opens) & (bought["day"] < opens + asked["horizon_days"])
    return ~here.index.isin(bought.loc[inside, "customer_id"])


def test_one_setting_changes_at_a_time():
    base, *others = questions(ChurnConfig(horizon_days=20, gap_days=7))
    assert base[0] is None
    assert base[1].active_days == 27
    for changed, churn in others:
        asked = churn.model_dump()
        assert [k for k in asked if asked[k] != base[1].model_dump()[k]] == [changed]
    values = {s: [c.model_dump()[s] for n, c in others if n == s] for s in SETTINGS}
    assert values == {
        "horizon_days": [10, 30, 40],
        "gap_days": [0, 14, 30],
        "active_within_days": [20, 40, "all"],
    }


def test_a_subscription_has_no_window_of_activity():
    names = {name for name, _ in questions(ChurnConfig(kind="subscription", horizon_days=30))}
    assert names == {None, "horizon_days", "gap_days"}


def test_rows_and_rates_are_those_of_an_oracle(shop):
    bought, cutoffs, _, report = shop
    assert len(report["labels"]) == 9
    assert report["skipped"] == []
    tests = [(dt.date.fromisoformat(t) - ZERO).days for t in report["tests"]]
    assert len(tests) == 3
    for row in report["labels"]:
        left = np.concatenate([oracle(bought, c, row) for c in tests])
        takes = row["gap_days"] + row["horizon_days"]
        learnt = [c for c in cutoffs if c + takes <= tests[-1]]
        assert row["rows"] == len(left)
        assert row["base_rate"]["value"] == pytest.approx(left.mean())
        assert row["learnt_rows"] == sum(len(oracle(bought, c, row)) for c in learnt)


def test_the_tests_are_the_newest_that_every_question_affords(shop):
    # the longest label takes 50 days, and the log ends on day 120
    assert shop[-1]["tests"] == [str(day(c)) for c in (30, 45, 60)]


def test_the_figures_are_those_of_the_named_model(shop):
    _, _, log, report = shop
    assert report["model"] == "logistic_rfm_btyd"
    for row in report["labels"][:3]:
        asked = config().churn.asking(**{s: row[s] for s in SETTINGS})
        takes = dt.timedelta(days=asked.complete_days)
        people, rows, _ = labels.labelled(log.tables, log.matrix, log.days, UTC, asked)
        X, said, left = people[RFM].assign(btyd_log_odds=0.0), [], []
        for test in map(dt.date.fromisoformat, report["tests"]):
            learn = rows["cutoff"] + takes <= pd.Timestamp(test)
            here = rows["cutoff"] == pd.Timestamp(test)
            fitted = fit_logistic_rfm_btyd(X[learn], rows["churned"][learn])
            said.append(fitted.margin(X[here]))
            left.append(rows["churned"][here])
        auc = roc_auc_score(np.concatenate(left), np.concatenate(said))
        assert row["auc"]["value"] == pytest.approx(auc, abs=1e-9)


def test_intervals_hold_their_values(shop):
    for row in shop[-1]["labels"]:
        for name in ("base_rate", "auc", "top_decile_lift", "auc_active"):
            assert row[name]["lower"] <= row[name]["value"] <= row[name]["upper"]
            assert row[name]["lower"] < row[name]["upper"]


def test_the_order_of_rows_says_nothing(shop, typed):
    bought, _, log, report = shop
    rng = np.random.default_rng(1)
    again = Log(
        {"transactions": typed.log(rows_of(bought.sample(frac=1, random_state=1)))},
        log.matrix.iloc[rng.permutation(len(log.matrix))].reset_index(drop=True),
        log.days, log.until, UTC, {},
    )  # fmt: skip
    assert run(again, config()) == report


def test_the_timing_is_asked_about_each_window_by_the_model_of_its_day(shop, monkeypatch):
    _, _, log, report = shop
    model = PurchaseModel("mbg_nbd", 0.5, 20.0, 0.8, 2.4, -1.0, "converged", 400, ())
    timings = {d: (model, d) for d in log.days}
    honest, asked = sensitivity.timing_says, set()

    def recorded(people, timing, churn):
        model, since = timing
        assert set(people["cutoff"]) == {pd.Timestamp(since)}
        asked.add((churn.horizon_days, churn.gap_days))
        return honest(people, model, churn)

    monkeypatch.setattr(sensitivity, "timing_says", recorded)
    with_timing = Log(log.tables, log.matrix, log.days, log.until, UTC, timings)
    changed = run(with_timing, config())
    assert asked == {(row["horizon_days"], row["gap_days"]) for row in report["labels"]}
    assert [r["auc"] for r in changed["labels"]] != [r["auc"] for r in report["labels"]]


@pytest.fixture(scope="module")
def planted(typed):
    """Return a log in which money tells, only from day 0 on, who stays: nobody can know it before.

    Before day 0 the rich buy a little more seldom (every 66 days, the others every 60, all phases
    alike): what can be learnt is that the rich leave. From day 0 on the rich buy every 5 days and
    the others never. Every window that reaches beyond day 0 gives that away.
    """
    pairs = []
    for i in range(660):
        pairs += [(f"rich{i:03d}", d) for d in range(-110, 0) if (d + i) % 66 == 0]
        pairs += [(f"rich{i:03d}", d) for d in range(0, 50, 5)]
        pairs += [(f"else{i:03d}", d) for d in range(-110, 0) if (d + i) % 60 == 0]
    bought = pd.DataFrame(pairs, columns=["customer_id", "day"])
    names = sorted(set(bought["customer_id"]))
    cutoffs = range(-50, 1, 5)
    matrix = pd.DataFrame(
        [(n, pd.Timestamp(day(c)), 50.0 if n < "f" else 500.0) for c in cutoffs for n in names],
        columns=["customer_id", "cutoff", "monetary_value"],
    ).assign(frequency=1.0, recency=9.0, T=10.0, days_since_last_purchase=1.0)
    matrix["cutoff"] = matrix["cutoff"].astype("datetime64[s]")
    table = typed.log(rows_of(bought))
    return Log({"transactions": table}, matrix, tuple(map(day, cutoffs)), day(50), UTC, {})


def test_what_nobody_can_know_yet_helps_no_question(planted):
    report = run(planted, config())
    assert report["tests"] == [str(ZERO)]
    assert len(report["labels"]) == 9
    assert {row["auc"]["value"] for row in report["labels"]} == {0.0}


def test_without_an_embargo_it_would_help_every_question(planted, monkeypatch):
    def earlier(days, at, _):
        return tuple(d for d in days if d < at or at == planted.until)

    monkeypatch.setattr(sensitivity, "complete_for", earlier)
    found = [row["auc"]["value"] for row in run(planted, config())["labels"]]
    assert min(found) > 0.45
    assert np.median(found) > 0.95


def test_what_the_log_cannot_afford_is_left_out_with_its_reason(planted):
    short = Log(planted.tables, planted.matrix, planted.days[4:], planted.until, UTC, {})
    report = run(short, config())
    left_out = {(row["changed"], row[row["changed"]]) for row in report["skipped"]}
    assert left_out == {("horizon_days", 40), ("gap_days", 14), ("gap_days", 30)}
    for row in report["skipped"]:
        assert f"A label takes {row['horizon_days'] + row['gap_days']} days" in row["why"]
    assert len(report["labels"]) == 6
    ended = Log(planted.tables, planted.matrix, planted.days, day(20), UTC, {})
    others = {(r["changed"], r[r["changed"]]) for r in run(ended, config())["skipped"]}
    assert ("gap_days", 30) in others


def test_where_nothing_is_afforded_the_report_says_so(planted):
    none = Log(planted.tables, planted.matrix, planted.days[:1], planted.until, UTC, {})
    report = run(none, config())
    assert report["labels"] == []
    assert "no cutoff" in report["why"]
    assert len(report["skipped"]) == 9
