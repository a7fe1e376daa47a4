"""Figures: likely ranges, the working clock, suppression, goals, words and kinds of leaving."""

import datetime as dt
import warnings
from decimal import Decimal
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from tenure.config import Config, GoalConfig
from tenure.errors import ConfigError
from tenure.kpis import FIGURES, compute, intervals, summary, to_json
from tenure.kpis.clock import opening_times, working_seconds
from tenure.kpis.goals import check_goals, progress_of
from tenure.kpis.pages import page
from tenure.kpis.registry import MEASURES, ROWS
from tenure.kpis.world import months_between

ROOT = Path(__file__).resolve().parents[2]


def one(value):
    return np.array([float(value)])


def ends(found):
    return float(found[1][0]), float(found[2][0])


@pytest.mark.parametrize(("k", "n"), [(0, 12), (3, 12), (12, 12), (50, 1000)])
def test_wilson_is_scipys(k, n):
    wanted = stats.binomtest(k, n).proportion_ci(0.90, "wilson")
    assert ends(intervals.wilson(one(k / n), one(n))) == pytest.approx((wanted.low, wanted.high))


def moments(y, x):
    y, x = np.asarray(y, float), np.asarray(x, float)
    g = float(len(y))
    return [one(v) for v in (y.sum(), x.sum(), (y * y).sum(), (x * y).sum(), (x * x).sum(), g)]


def test_a_mean_of_one_row_a_customer_has_students_interval():
    scores = [1.0, 4, 5, 5, 2, 3, 3, 5, 4, 4]
    m = moments(scores, np.ones(10))
    found = intervals.ratio(m[0], m[1], intervals.cluster_variance(*m), m[5])
    wanted = stats.t.interval(0.90, 9, np.mean(scores), stats.sem(scores))
    assert found[0][0] == pytest.approx(np.mean(scores))
    assert ends(found) == pytest.approx(wanted)


def test_customers_who_are_all_alike_say_nothing_about_the_spread():
    m = moments(np.full(30, 5.0), np.ones(30))
    found = intervals.ratio(m[0], m[1], intervals.cluster_variance(*m), m[5])
    assert found[0][0] == 5
    assert np.isnan(ends(found)).all()


def test_rows_of_the_same_customer_do_not_narrow_a_range():
    said = np.array([1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1], dtype=float)
    ranges = []
    for times in (1, 7):  # each customer says the same thing so many times
        m = moments(said * times, np.full(12, float(times)))
        share, n = m[0] / m[1], m[1]
        alone = share * (1 - share) / (n - 1)
        effect = intervals.design_effect(intervals.cluster_variance(*m), alone)
        ranges.append(ends(intervals.wilson(share, n, effect)))
    assert ranges[1] == pytest.approx(ranges[0], rel=0.03)
    assert ends(intervals.wilson(share, n))[0] > ranges[1][0] + 0.05  # as if they were 84 people


def test_nps_interval_by_hand():
    # 30 promoters, 8 passives, 12 detractors, with half an answer more in each of four cells
    n, up, down = 52, 30.5 / 52, 12.5 / 52
    half = stats.norm.ppf(0.95) * np.sqrt((up + down - (up - down) ** 2) / n)
    value, *_ = found = intervals.nps(one(18), one(42), one(50), one(1))
    assert value[0] == pytest.approx(36)
    assert ends(found) == pytest.approx((100 * (up - down - half), 100 * (up - down + half)))


def test_twelve_promoters_are_no_certainty():
    low, high = ends(intervals.nps(one(12), one(12), one(12), one(1)))
    assert low < 90
    assert high == 100


def test_newcombe_is_the_papers(monkeypatch):
    monkeypatch.setattr(intervals, "Z", 1.959964)
    found = intervals.newcombe(one(56), one(70), one(48), one(80))
    assert ends(found) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_kaplan_meier_is_scipys():
    rng = np.random.default_rng(3)
    for _ in range(20):
        n = int(rng.integers(5, 80))
        lasted = rng.integers(1, 40, n).astype(float)
        ended = rng.random(n) < 0.7
        if not ended.any():
            continue
        data = stats.CensoredData(lasted[ended], right=lasted[~ended])
        curve = stats.ecdf(data).sf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # before the first end there is none
            band = curve.confidence_interval(0.90, method="log-log")

        def first(probabilities, curve=curve):
            under = curve.quantiles[np.nan_to_num(probabilities, nan=1.0) <= 0.5 + 1e-12]
            return under[0] if len(under) else np.nan

        value, low, high = intervals.median(lasted, ended, np.ones(n, int))
        np.testing.assert_equal(value, first(curve.probabilities))
        if not (curve.probabilities == 0).any():
            np.testing.assert_equal(low, first(band.low.probabilities))
            np.testing.assert_equal(high, first(band.high.probabilities))


def test_a_median_that_is_not_reached_is_not_known():
    value, _, high = intervals.median(np.array([1.0, 9, 9]), np.array([True, False, False]),
                                      np.array([2, 5, 5]))  # fmt: skip
    assert np.isnan(value)
    assert np.isnan(high)


def test_intervals_hold_the_truth_about_nine_times_of_ten():
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(600):
        people = 60
        tends = rng.beta(4, 2, people)  # customers differ, and answer up to five times
        n = rng.integers(1, 6, people)
        yes = rng.binomial(n, tends)
        m = moments(yes, n)
        share, rows = m[0] / m[1], m[1]
        effect = intervals.design_effect(
            intervals.cluster_variance(*m), share * (1 - share) / (rows - 1)
        )
        low, high = ends(intervals.wilson(share, rows, effect))
        held += low <= 4 / 6 <= high
    assert 0.86 <= held / 600 <= 0.95


def worked(start, end, hours, zone="UTC"):
    con = ibis.duckdb.connect()
    times = pa.table({"a": pa.array([start], pa.timestamp("us")),
                      "b": pa.array([end], pa.timestamp("us"))})  # fmt: skip
    t = con.create_table("t", times)
    found = con.to_pyarrow(working_seconds(t.a, t.b, hours, zone).name("s").as_table())
    con.disconnect()
    return found["s"][0].as_py()


WEEK = {"mon-fri": "09:00-17:00", "sat": "10:00-14:00"}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ((2025, 1, 6, 8), (2025, 1, 6, 12), 3),  # a Monday, from before opening
        ((2025, 1, 6, 16), (2025, 1, 7, 10), 2),  # over a night
        ((2025, 1, 10, 16), (2025, 1, 13, 10), 1 + 4 + 1),  # over a weekend
        ((2025, 1, 12, 1), (2025, 1, 12, 23), 0),  # a Sunday
        ((2025, 1, 1, 0), (2025, 1, 29, 0), 4 * 44),  # four whole weeks
    ],
)
def test_the_working_clock(start, end, hours):
    assert worked(dt.datetime(*start), dt.datetime(*end), WEEK) == hours * 3600


def test_the_working_clock_is_a_local_one():
    # 07:30 to 08:30 UTC on a Monday in July is 09:30 to 10:30 in Berlin
    start, end = dt.datetime(2025, 7, 7, 6, 30), dt.datetime(2025, 7, 7, 8, 30)
    assert worked(start, end, WEEK, "Europe/Berlin") == 5400


def test_opening_times_that_cannot_be_read_are_all_named():
    with pytest.raises(ConfigError, match=r"xmas: 09:00-12:00; tue: 17:00-09:00"):
        opening_times({"xmas": "09:00-12:00", "mon": "09:00-12:00", "tue": "17:00-09:00"})


def test_only_whole_months():
    assert months_between(dt.date(2025, 1, 1), dt.date(2025, 3, 31)) == [
        dt.date(2025, 1, 1), dt.date(2025, 2, 1)
    ]  # fmt: skip


def settings(tables=("transactions",), **more):
    return Config.model_validate(
        {"project": "t", "data": {"tables": {name: {"path": "x.csv"} for name in tables}}, **more}
    )


@pytest.fixture
def con():
    con = ibis.duckdb.connect()
    yield con
    con.disconnect()


MONEY = pa.decimal128(18, 4)


def log(con, rows, **columns):
    """Make transactions of (customer, day, amount, other columns as given)."""
    days = [row[1] for row in rows]
    data = {
        "customer_id": pa.array([row[0] for row in rows]),
        "ts": pa.array([dt.datetime.combine(d, dt.time(9)) for d in days], pa.timestamp("us")),
        "day": pa.array(days, pa.date32()),
        "amount": pa.array([Decimal(row[2]) for row in rows], MONEY),
        "kind": pa.array(["purchase"] * len(rows)),
        **columns,
    }
    return con.create_table("transactions", pa.table(data), overwrite=True)


def cell(table, figure, by="all", group="all", period=None):
    rows = table[(table["figure"] == figure) & (table["by"] == by) & (table["group"] == group)]
    rows = rows[rows["period"].isna()] if period is None else rows[rows["period"] == period]
    assert len(rows) == 1
    return rows.iloc[0]


def shop(con, channels):
    rows = [(f"c{i}", dt.date(2025, 1, 1) + dt.timedelta(days=i % 40), 10 + i)
            for i in range(len(channels))]  # fmt: skip
    return log(con, rows, channel=pa.array(channels))


def test_small_groups_are_named_but_not_shown(con):
    tables = {"transactions": shop(con, ["web"] * 30 + ["store"] * 9)}
    table = compute(con, settings(), tables, dt.date(2025, 3, 1)).table
    few = cell(table, "average_order_value", "channel", "store")
    assert few[["n", "value", "lower", "upper"]].isna().all()
    enough = cell(table, "average_order_value", "channel", "web")
    assert enough["n"] == 30
    assert enough["value"] == pytest.approx(24.5)
    assert cell(table, "average_order_value")["n"] == 39


def test_many_rows_of_few_customers_are_not_shown_either(con):
    rows = [(f"c{i % 5}", dt.date(2025, 1, 1), 10) for i in range(60)]
    tables = {"transactions": log(con, rows, channel=pa.array(["web"] * 60))}
    table = compute(con, settings(), tables, dt.date(2025, 3, 1)).table
    assert pd.isna(cell(table, "average_order_value", "channel", "web")["value"])
    assert cell(table, "average_order_value")["n"] == 60


def test_overall_figures_of_few_are_shown(con):
    tables = {"transactions": shop(con, ["web"] * 3)}
    table = compute(con, settings(), tables, dt.date(2025, 3, 1)).table
    assert cell(table, "average_order_value")["value"] == pytest.approx(11)


def test_rare_levels_of_a_long_list_fall_together(con):
    channels = [f"shop {i:02d}" for i in range(30) for _ in range(10)] + ["shop 00"] * 5
    table = compute(
        con, settings(), {"transactions": shop(con, channels)}, dt.date(2025, 3, 1)
    ).table
    groups = set(table.loc[table["by"] == "channel", "group"])
    assert len(groups) == 21
    assert cell(table, "average_order_value", "channel", "other")["n"] == 100


def test_absent_tables_leave_their_figures_out_and_say_so(con):
    done = compute(con, settings(), {"transactions": shop(con, ["web"] * 20)}, dt.date(2025, 3, 1))
    assert done.absent["nps"] == "needs surveys.score, surveys.answered_at"
    assert done.absent["discount_share"] == "needs transactions.discount"
    assert set(done.table["figure"]) | done.absent.keys() == FIGURES.keys()
    assert "nps: needs surveys.score" in summary(done)


def test_a_period_is_a_full_month_of_the_log(con):
    rows = [(f"c{i}", dt.date(2025, 1, 10) + dt.timedelta(days=i), 10) for i in range(100)]
    tables = {"transactions": log(con, rows)}
    table = compute(con, settings(), tables, dt.date(2025, 4, 18)).table
    months = {p for p in table["period"] if not pd.isna(p)}
    assert months == {dt.date(2025, 2, 1), dt.date(2025, 3, 1)}
    assert cell(table, "average_order_value")["n"] == 98


def people_with_label(con, labels):
    people = {"customer_id": pa.array([f"c{i}" for i in range(len(labels))]),
              "label": pa.array(labels, pa.bool_()),
              "attribute[plan]": pa.array(["a", "b"] * (len(labels) // 2))}  # fmt: skip
    return con.create_table("customers", pa.table(people), overwrite=True)


def test_label_data_have_a_churn_rate_without_months(con):
    people = people_with_label(con, [True] * 10 + [False] * 28 + [None] * 2)
    config = settings(("customers",), churn={"kind": "label"})
    done = compute(con, config, {"customers": people}, dt.date.min)  # nothing has a date
    row = cell(done.table, "churn_rate")
    assert "no months" in summary(done)
    assert (row["n"], row["value"]) == (38, pytest.approx(10 / 38))
    assert cell(done.table, "churn_rate", "attribute[plan]", "a")["n"] == 19
    assert "label" in done.leaving


def subscriptions(con, spells):
    rows = [(c, dt.datetime(*s), None if e is None else dt.datetime(*e)) for c, s, e in spells]
    data = {
        "customer_id": pa.array([r[0] for r in rows]),
        "started_at": pa.array([r[1] for r in rows], pa.timestamp("us")),
        "ended_at": pa.array([r[2] for r in rows], pa.timestamp("us")),
        "day": pa.array([r[1].date() for r in rows], pa.date32()),
        "ended_day": pa.array([r[2] and r[2].date() for r in rows], pa.date32()),
        "mrr": pa.array([Decimal(10)] * len(rows), MONEY),
    }
    return con.create_table("subscriptions", pa.table(data), overwrite=True)


def test_subscribers_leave_as_the_config_says(con):
    early = (2024, 1, 1, 9)
    spells = [("stays", early, None), ("leaves", early, (2024, 5, 10, 9)),
              ("pauses", early, (2024, 5, 10, 9)), ("pauses", (2024, 5, 20, 9), None)]  # fmt: skip
    config = settings(
        ("subscriptions",), churn={"kind": "subscription", "horizon_days": 30, "grace_days": 20}
    )
    tables = {"subscriptions": subscriptions(con, spells)}
    table = compute(con, config, tables, dt.date(2024, 9, 1)).table
    may = cell(table, "churn_rate", period=dt.date(2024, 5, 1))
    assert (may["n"], may["value"]) == (3, pytest.approx(1 / 3, abs=1e-6))
    june = cell(table, "churn_rate", period=dt.date(2024, 6, 1))
    assert (june["n"], june["value"]) == (2, 0)
    # the pause within the grace is no lost revenue
    assert cell(table, "mrr_churned", period=dt.date(2024, 5, 1))["value"] == 10
    assert cell(table, "mrr_end", period=dt.date(2024, 5, 1))["value"] == 20
    assert cell(table, "active_subscribers", period=dt.date(2024, 4, 1))["value"] == 3


def goal(**more):
    given = {"name": "g", "kpi": "nps", "from": dt.date(2025, 3, 10), **more}
    return GoalConfig.model_validate(given)


def months(kpi, values, spread=1.0):
    first = dt.date(2025, 1, 1)
    return pd.DataFrame(
        [{"period": dt.date(first.year, first.month + i, 1), "figure": kpi, "by": "all",
          "group": "all", "n": 50, "value": v, "lower": v - spread, "upper": v + spread,
          "unit": "points"} for i, v in enumerate(values)]
    )  # fmt: skip


def test_a_goal_halfway_in_half_the_time_is_on_track():
    table = months("nps", [1.0, 20.0, 22.0, 23.0, 25.0])
    (found,) = progress_of([goal(change=10, by=dt.date(2025, 8, 20))], table, dt.date(2025, 6, 3))
    assert (found.baseline, found.baseline_month) == (20.0, dt.date(2025, 2, 1))
    assert (found.target, found.current, found.share_of_the_way) == (30.0, 25.0, 0.5)
    assert found.expected_share == pytest.approx(83 / 163)
    assert (found.on_track, found.reached, found.beyond_chance) == (False, False, True)


def test_a_goal_downwards_is_reached_below_its_target():
    table = months("first_response_hours_median", [5.0, 4.0, 3.0, 1.9], spread=3)
    aim = goal(kpi="first_response_hours_median", target=2)
    (found,) = progress_of([aim], table, dt.date(2025, 5, 1))
    assert (found.reached, found.on_track, found.beyond_chance) == (True, True, False)
    assert found.share_of_the_way == pytest.approx(2.1 / 2)


def test_a_goal_without_months_cannot_be_judged():
    (found,) = progress_of([goal(change=5)], months("nps", [1.0, 2.0]), dt.date(2025, 3, 1))
    assert (found.current, found.on_track, found.share_of_the_way) == (None, None, None)


def test_goals_on_unknown_figures_are_all_named():
    with pytest.raises(ConfigError, match=r"goals\.0\.kpi: .*did you mean 'csat_mean'") as fault:
        check_goals([goal(kpi="csat_men", target=1), goal(target=1), goal(kpi="zzz", target=1)])
    assert "goals.2.kpi" in str(fault.value)


def test_words_and_json_tell_goals_and_milestones(con):
    config = settings(
        goals=[{"name": "AOV", "kpi": "average_order_value", "change": 1, "owner": "Ann",
                "from": dt.date(2025, 2, 1)}],
        milestones=[{"on": dt.date(2025, 2, 3), "name": "New shop"},
                    {"on": dt.date(2025, 1, 3), "name": "Old shop"}],
        currency="EUR",
    )  # fmt: skip
    rows = [(f"c{i}", dt.date(2025, 1, 1) + dt.timedelta(days=i), 10 + (i > 30)) for i in range(59)]
    done = compute(con, config, {"transactions": log(con, rows)}, dt.date(2025, 3, 1))
    text, plain = summary(done), to_json(done)
    assert "2025-02: 11.0 EUR" in text
    assert "month before (2025-01): 10.0 EUR" in text
    assert FIGURES["average_order_value"].formula in text
    assert "Goal AOV (average_order_value, Ann): from 10.0 EUR to 11.0 EUR in 2025-02" in text
    assert "reached" in text
    assert text.index("Old shop") < text.index("New shop")
    assert plain["goals"][0]["reached"] is True
    assert plain["milestones"] == [{"on": "2025-01-03", "name": "Old shop"},
                                   {"on": "2025-02-03", "name": "New shop"}]  # fmt: skip
    newest = plain["figures"]["average_order_value"]["rows"][-1]
    assert (newest["period"], newest["n"], newest["value"]) == ("2025-02-01", 28, 11.0)


def test_the_page_of_figures_is_current():
    assert (ROOT / "docs" / "kpis.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("f", FIGURES.values(), ids=lambda f: f.name)
def test_every_figure_says_how_it_is_computed(f):
    assert f.formula.endswith(".")
    assert f.formula[0].isupper()
    assert f.unit
    assert f.measure in MEASURES
    assert f.of in ROWS
    assert f.better in (-1, 0, 1)
    assert f.requires


def test_the_order_of_rows_changes_nothing(con):
    rows = [(f"c{i % 23}", dt.date(2025, 1, 1) + dt.timedelta(days=i % 58), f"{7 + i * 0.37:.4f}")
            for i in range(400)]  # fmt: skip
    config = settings()
    one_ = compute(con, config, {"transactions": log(con, rows)}, dt.date(2025, 3, 1)).table
    again = compute(con, config, {"transactions": log(con, rows[::-1])}, dt.date(2025, 3, 1)).table
    pd.testing.assert_frame_equal(one_, again, check_exact=True)
