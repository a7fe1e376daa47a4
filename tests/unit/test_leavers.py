"""What leavers say: held against plain loops over the rows, and against a world of known causes."""

import datetime as dt
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tenure.config import Config, load_config
from tenure.kpis.contrast import contrast, mean_of, share_of
from tenure.simulate import simulate, write
from tenure.sources import load
from tenure.voices import leavers_say

DAYS = (dt.date(2025, 3, 1), dt.date(2025, 5, 1))
UNTIL = dt.date(2025, 7, 1)
CONFIG = Config.model_validate(
    {"project": "x", "data": {"tables": {"transactions": {"path": "x"}}}}
)
SECRET = "my very own words"


def midnight(day):
    return dt.datetime.combine(day, dt.time())


def ready(churned, as_of=UNTIL):
    """Return who was asked: {(customer, day): 0 or 1}."""
    rows = pd.DataFrame([(c, pd.Timestamp(d), y) for (c, d), y in churned.items()],
                        columns=["customer_id", "cutoff", "churned"])  # fmt: skip
    rows["cutoff"] = rows["cutoff"].astype("datetime64[s]")
    return SimpleNamespace(rows=rows, days=DAYS, as_of=as_of)


@pytest.fixture(scope="module")
def log():
    """Return 60 customers, their tickets and answers, and who left: all drawn apart."""
    rng = np.random.default_rng(3)
    names = [f"c{i:02d}" for i in range(60)]
    moments = [midnight(d) - dt.timedelta(days=k) for d in DAYS for k in (0, 90, 365)]
    moments += [m - dt.timedelta(microseconds=1) for m in moments]

    def moment():
        if rng.random() < 0.2:
            return moments[rng.integers(len(moments))]  # either side of every edge
        return midnight(dt.date(2024, 1, 1)) + dt.timedelta(hours=int(rng.integers(0, 24 * 540)))

    tickets = [
        {
            "customer_id": names[rng.integers(60)], "opened_at": moment(),
            "topic": rng.choice(["late", "price", "odd", None], p=[0.5, 0.3, 0.02, 0.18]),
            "kind": rng.choice(["complaint", "question"]),
            "direction": rng.choice(["in", "in", "out", None]),
        }
        for _ in range(500)
    ]  # fmt: skip
    surveys = [
        {
            "customer_id": names[rng.integers(45)], "survey_id": f"s{i}", "kind": "nps",
            "answered_at": moment(), "score": int(rng.integers(0, 11)),
            "touchpoint": rng.choice(["shop", "care", "rare"], p=[0.6, 0.38, 0.02]),
            "comment": SECRET,
        }
        for i in range(200)
    ]  # fmt: skip
    asked = {(c, d): int(rng.random() < 0.4) for c in names for d in DAYS if rng.random() < 0.9}
    return tickets, surveys, asked


@pytest.fixture(scope="module")
def said(log, typed):
    tickets, surveys, asked = log
    tables = typed.tables({"interactions": tickets, "surveys": surveys})
    return leavers_say(tables, ready(asked), CONFIG)


def rate(asked, left, count):
    return float(np.mean([count(c, d) for (c, d), y in asked.items() if y == left]))


def inside(at, day, days=90):
    return midnight(day) - dt.timedelta(days=days) <= at < midnight(day)


def opened(log, **which):
    def count(customer, day):
        return sum(
            t["customer_id"] == customer and t["direction"] != "out" and inside(t["opened_at"], day)
            and all(t[k] == v for k, v in which.items())
            for t in log[0]
        )  # fmt: skip

    return count


def test_tickets_per_customer_are_those_of_a_plain_loop(log, said):
    asked = log[2]
    every = said["tickets"]["all"]
    assert every["leavers"] == pytest.approx(rate(asked, 1, opened(log)))
    assert every["stayers"] == pytest.approx(rate(asked, 0, opened(log)))
    assert every["difference"] == pytest.approx(every["leavers"] - every["stayers"])
    for by, levels in (("topic", ("late", "price")), ("kind", ("complaint", "question"))):
        for level in levels:
            told = next(x for x in said["tickets"][by] if x["level"] == level)
            assert told["leavers"] == pytest.approx(rate(asked, 1, opened(log, **{by: level})))
            assert told["stayers"] == pytest.approx(rate(asked, 0, opened(log, **{by: level})))


def test_a_level_of_few_customers_is_not_named(log, said):
    assert any(t["topic"] == "odd" for t in log[0])
    assert [x["level"] for x in said["tickets"]["topic"]] == ["late", "price", "not said"]
    assert "odd" not in json.dumps(said)
    assert "rare" not in json.dumps(said["last_scores"])


def newest(log, customer, day, touchpoints=("shop", "care", "rare")):
    mine = [
        (s["answered_at"], s["survey_id"], s["score"]) for s in log[1]
        if s["customer_id"] == customer and inside(s["answered_at"], day, 365)
        and s["touchpoint"] in touchpoints
    ]  # fmt: skip
    return max(mine)[2] if mine else None


@pytest.mark.parametrize("touchpoint", [None, "shop", "care"])
def test_last_scores_are_those_of_a_plain_loop(log, said, touchpoint):
    told = next(x for x in said["last_scores"] if x["touchpoint"] == touchpoint)
    assert told["kind"] == "nps"
    where = (touchpoint,) if touchpoint else ("shop", "care", "rare")
    for left, name in ((1, "leavers"), (0, "stayers")):
        scores = [newest(log, c, d, where) for (c, d), y in log[2].items() if y == left]
        known = [s for s in scores if s is not None]
        assert told[name] == pytest.approx(np.mean(known))


def test_silence_is_no_ticket_and_no_answer(log, said):
    def silent(customer, day):
        answered = any(
            s["customer_id"] == customer and inside(s["answered_at"], day) for s in log[1]
        )
        return not answered and not opened(log)(customer, day)

    for left, name in ((1, "leavers"), (0, "stayers")):
        assert said["silence"][name] == pytest.approx(rate(log[2], left, silent))


def test_comments_are_never_shown(said):
    assert SECRET not in json.dumps(said)
    assert said["exit_surveys"] is None
    assert said["why"]["exit_surveys"] == "There are no exit surveys."


def test_exit_surveys_count_answers_and_those_long_silent(typed):
    sent, answer = dt.datetime(2025, 5, 1), dt.datetime(2025, 5, 3)
    late = midnight(UNTIL)
    rows = [
        *({"customer_id": f"a{i}", "sent_at": sent, "answered_at": answer, "score": 1 + i % 2}
          for i in range(12)),
        {"customer_id": "b", "sent_at": sent},
        {"customer_id": "c", "sent_at": late - dt.timedelta(days=14)},  # silent by now
        {"customer_id": "d", "sent_at": late - dt.timedelta(days=13)},  # may still answer
        {"customer_id": "e", "sent_at": late},  # not known yet
        {"customer_id": "f", "sent_at": sent, "answered_at": late, "score": 5},  # nor this answer
    ]  # fmt: skip
    rows = [{"kind": "exit", "comment": SECRET, **row} for row in rows]
    tables = {"surveys": typed.table("surveys", rows)}
    told = leavers_say(tables, ready({("a1", DAYS[0]): 1}), CONFIG)["exit_surveys"]
    assert (told["sent"], told["answered"]) == (16, 12)
    assert told["answer_share"]["share"] == pytest.approx(12 / 15)
    # Wilson's score interval of 12 of 15 at 90 %, from the quadratic it solves
    for end in ("lower", "upper"):
        p = told["answer_share"][end]
        assert (0.8 - p) ** 2 == pytest.approx(1.6448536**2 * p * (1 - p) / 15, rel=1e-6)
    assert told["score"]["mean"] == pytest.approx(1.5)
    assert told["score"]["n"] == 12


def test_few_exit_surveys_have_no_mean(typed):
    rows = [{"customer_id": "a", "kind": "exit", "answered_at": dt.datetime(2025, 5, 1),
             "score": 2}]  # fmt: skip
    tables = {"surveys": typed.table("surveys", rows)}
    told = leavers_say(tables, ready({("a", DAYS[0]): 1}), CONFIG)["exit_surveys"]
    assert told == {"sent": None, "answered": 1, "answer_share": None, "score": None}


def test_end_reasons_count_ends_and_not_changes(typed):
    def period(customer, start, end, reason=None, name=None):
        return {"customer_id": customer, "subscription_id": name or customer,
                "started_at": midnight(start), "end_reason": reason,
                "ended_at": None if end is None else midnight(end)}  # fmt: skip

    jan, feb, may = dt.date(2025, 1, 1), dt.date(2025, 2, 1), dt.date(2025, 5, 1)
    rows = [
        period("wanted", jan, may, "voluntary"),
        period("unpaid", jan, may, "involuntary"),
        period("unsaid", jan, may),
        period("upgrade", jan, feb, "voluntary", "old"),
        period("upgrade", feb, None, name="new"),
        period("runs", jan, None),
        period("fresh", jan, UNTIL - dt.timedelta(days=5), "voluntary"),  # may still come back
        period("future", jan, UNTIL, "voluntary"),
        period("twice", jan, feb, "voluntary", "one"),
        period("twice", may, dt.date(2025, 5, 20), "involuntary", "two"),
    ]
    tables = {"subscriptions": typed.table("subscriptions", rows)}
    told = leavers_say(tables, ready({("runs", DAYS[0]): 0}), CONFIG)["end_reasons"]
    assert {x["reason"]: x["ends"] for x in told} == {
        "involuntary": 2, "voluntary": 2, "not said": 1,
    }  # fmt: skip
    assert sum(x["share"] for x in told) == pytest.approx(1)


def test_without_dates_nothing_comes_before_leaving():
    told = leavers_say({}, ready({("a", DAYS[0]): 1}, as_of=None), CONFIG)
    assert "Nothing is dated" in told["why"]["all"]


def test_what_is_not_there_is_said(typed):
    told = leavers_say({}, ready({("a", DAYS[0]): 1, ("b", DAYS[0]): 0}), CONFIG)
    parts = {"tickets", "last_scores", "silence", "exit_surveys", "end_reasons"}
    assert set(told["why"]) == parts
    assert all(told[p] is None for p in parts)


class TestContrast:
    """Ranges are those of independent customers."""

    def test_the_range_is_that_of_a_bootstrap_over_customers(self):
        rng = np.random.default_rng(1)
        who = np.repeat(np.arange(150), 4)
        level = rng.gamma(1, 1, 150)[who]  # rows of one customer are alike
        left = pd.Series((rng.random(600) < 0.3).astype(int))
        y = pd.Series(level + 0.5 * left + rng.normal(0, 0.3, 600))
        told = contrast(y, left, pd.Series(who))
        drawn = []
        for _ in range(1500):
            n = np.bincount(rng.integers(0, 150, 150), minlength=150)[who]
            drawn.append(np.average(y, weights=n * left) - np.average(y, weights=n * (1 - left)))
        low, high = np.quantile(drawn, [0.05, 0.95])
        width = high - low
        assert told["lower"] == pytest.approx(low, abs=0.1 * width)
        assert told["upper"] == pytest.approx(high, abs=0.1 * width)

    def test_of_single_rows_it_is_nearly_welchs(self):
        from scipy import stats

        rng = np.random.default_rng(2)
        a, b = rng.normal(1, 2, 300), rng.normal(0, 1, 500)
        told = contrast(
            pd.Series([*a, *b]), pd.Series([1] * 300 + [0] * 500), pd.Series(range(800))
        )
        welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
        assert told["lower"] == pytest.approx(welch.low, abs=0.005)
        assert told["upper"] == pytest.approx(welch.high, abs=0.005)

    def test_rows_all_alike_have_no_range(self):
        told = contrast(pd.Series([0.0] * 4), pd.Series([1, 1, 0, 0]), pd.Series(list("abcd")))
        assert (told["difference"], told["lower"], told["upper"]) == (0.0, None, None)
        one = contrast(pd.Series([1.0]), pd.Series([1]), pd.Series(["a"]))
        assert set(one.values()) == {None}

    def test_shares_and_means(self):
        none = pd.Series([], dtype=bool)
        assert share_of(none, pd.Series([], dtype=str))["share"] is None
        each = pd.Series(range(40))
        assert mean_of(pd.Series([1.0] * 5), each[:5], 10) is None
        twice = share_of(pd.Series([True, False] * 20), each // 2)
        pairs = share_of(pd.Series([True] * 20 + [False] * 20), each // 2)
        assert pairs["upper"] - pairs["lower"] > twice["upper"] - twice["lower"]  # pairs agree


def test_in_a_world_where_late_parcels_drive_customers_away_leavers_ask_about_them(tmp_path):
    write(simulate("shop", 1500, 11, with_truth=False, weeks=70), tmp_path / "w")
    path = str(next((tmp_path / "w").glob("**/interactions.parquet")))
    bought = str(next((tmp_path / "w").glob("**/transactions.parquet")))
    file = tmp_path / "c.yaml"
    file.write_text(
        "project: w\ndata:\n  tables:\n"
        f"    transactions: {{path: {bought}}}\n    interactions: {{path: {path}}}\n"
    )
    config = load_config(file)
    day, span = dt.date(2024, 1, 15), pd.Timedelta(days=90)
    with load(config) as sources:
        t = sources.tables["transactions"].to_pyarrow().to_pandas()
        t = t[(t["kind"] == "purchase") & (t["amount"] > 0)]
        at = pd.Timestamp(day)
        before = t.loc[(t["ts"] < at) & (t["ts"] >= at - span), "customer_id"].unique()
        after = t.loc[(t["ts"] >= at) & (t["ts"] < at + span), "customer_id"].unique()
        rows = pd.DataFrame({"customer_id": before, "cutoff": at.as_unit("s")})
        rows["churned"] = (~rows["customer_id"].isin(after)).astype(int)
        people = SimpleNamespace(rows=rows, days=(day,), as_of=sources.observed_until)
        told = leavers_say(sources.tables, people, config)
    about = {x["level"]: x for x in told["tickets"]["topic"]}
    assert about["delivery"]["lower"] > 0
    assert about["account"]["lower"] < 0.02
    assert told["leavers"]["rows"] == int(rows["churned"].sum())
