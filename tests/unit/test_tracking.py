"""What the pictures of a value holdout are made of: by hand, by the papers, and by simulation."""

import datetime as dt
import json

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from tenure.backtest.tracking import (
    alive_history,
    alive_map,
    bought_since_first,
    pictures,
    tracking,
    typical,
)
from tenure.evaluation.tracking import by_frequency, by_week, week_edges
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.purchases import expected_purchases

FAMILIES = ("bg_nbd", "mbg_nbd")
ORIGIN = dt.date(2026, 3, 2)


def model(family, r=0.5, alpha=30.0, a=0.8, b=2.5):
    return PurchaseModel(family, r, alpha, a, b, 0.0, "converged", 1)


def exact_curve(m, t):
    """E[X(t)]: Fader, Hardie & Lee (2005), equation 9; Wagner & Hoppe (2008) for MBG/NBD."""
    r, alpha, a, b = (mp.mpf(v) for v in (m.r, m.alpha, m.a, m.b))
    first, b = ((a + b - 1) / (a - 1), b) if m.family == "bg_nbd" else (b / (a - 1), b + 1)
    shrunk = (alpha / (alpha + t)) ** r
    return float(first * (1 - shrunk * mp.hyp2f1(r, b, a + b - 1, mp.mpf(t) / (alpha + t))))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parameters", [(0.243, 30.9, 0.793, 2.426), (2.0, 90.0, 1.7, 0.4)])
def test_purchases_since_the_first_equal_the_papers(family, parameters):
    m, days = model(family, *parameters), [0, 1, 39, 400, 3000]
    exact = [exact_curve(m, t) for t in days]
    assert bought_since_first(m, days) == pytest.approx(exact, rel=1e-9, abs=1e-12)


def world(family, n=20_000, seed=5):
    """Simulate customers of one true model; return it, first days, and all later purchase days."""
    m, rng = model(family, 2.0, 400.0, 1.2, 4.0), np.random.default_rng(seed)
    first = rng.integers(-140, 0, n)
    rate, leaves = rng.gamma(m.r, 1 / m.alpha, n), rng.beta(m.a, m.b, n)
    last = rng.geometric(leaves) - (family == "mbg_nbd")  # the purchase after which they leave
    gaps = rng.exponential(1 / rate[:, None], (n, 60))
    at = first[:, None] + 1 + np.cumsum(gaps, axis=1)
    alive = np.arange(1, 61) <= last[:, None]
    return m, first, np.where(alive, np.floor(at), np.inf)


def rfm_of(first, days):
    """Count by hand, customer by customer, what the project's definitions say at day 0."""
    rows = []
    for begin, later in zip(first, days, strict=True):
        again = np.unique(later[(later < 0) & (later > begin)])
        recency = again[-1] - begin if len(again) else 0
        rows.append((len(again), recency, -1 - begin))
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"]).astype(float)


def daily_of(first, days):
    pairs = [np.unique(d[(d > b) & (d < 70)]) for b, d in zip(first, days, strict=True)]
    found, count = np.unique(np.concatenate(pairs), return_counts=True)
    return pd.DataFrame({"day": found.astype(int), "purchases": count})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_simulated_world_is_tracked_before_and_after(family):
    m, first, days = world(family)
    found = tracking(m, rfm_of(first, days), daily_of(first, days), ORIGIN, 70)
    assert [len(found[part]) for part in ("before", "after")] == [20, 10]
    for week in (*found["before"], *found["after"]):
        # purchases of one customer depend on each other: spread a third above Poisson's
        assert abs(week["actual"] - week["expected"]) < 4 * 1.3 * np.sqrt(week["expected"] + 1)
    for part in ("before", "after"):
        last = found[part][-1]
        assert last["actual_total"] == pytest.approx(last["expected_total"], rel=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_weeks_by_one_customer_after_the_other(family):
    m = model(family)
    rfm = pd.DataFrame(
        {"frequency": [0, 2, 2, 5], "recency": [0, 9, 11, 19], "T": [3, 11, 11, 20]}
    ).astype(float)
    daily = pd.DataFrame({"day": [-15, -14, -1, 0, 6, 7, 9], "purchases": [1, 2, 3, 4, 5, 6, 7]})
    found = tracking(m, rfm, daily, ORIGIN, 10)
    assert [w["days"] for w in found["before"]] == [7, 7, 7]
    assert [w["actual"] for w in found["before"]] == [1, 2, 3]
    assert [w["actual"] for w in found["after"]] == [9, 13]
    assert [w["days"] for w in found["after"]] == [7, 3]
    assert [w["starts"] for w in found["after"]] == ["2026-03-02", "2026-03-09"]
    assert found["before"][0]["starts"] == "2026-02-09"
    # at the end of the last week before day 0 the third customer is 11 days old, 7 days earlier 4
    ages = [(20, 13), (11, 4), (11, 4), (3, 0)]
    grown = [float(np.diff(bought_since_first(m, [early, late]))[0]) for late, early in ages]
    assert found["before"][-1]["expected"] == pytest.approx(sum(grown))
    x, t_x, T = (rfm[c] for c in rfm)
    for part, day in ((found["after"][0], 7), (found["after"][1], 10)):
        said = expected_purchases(m, x, t_x, T, day).sum()
        assert part["expected_total"] == pytest.approx(said, rel=1e-12)
    for part in found.values():
        for name in ("expected", "actual"):
            added = np.cumsum([w[name] for w in part])
            assert [w[f"{name}_total"] for w in part] == pytest.approx(added)


@pytest.mark.parametrize(("days", "edges"), [(1, [0, 1]), (7, [0, 7]), (8, [0, 7, 8])])
def test_weeks_end_where_the_days_end(days, edges):
    assert week_edges(days).tolist() == edges


def test_by_week_adds_up():
    weeks = by_week(ORIGIN, [-9, -7, 0], [1.5, 2.5], [4, 0])
    assert weeks == [
        {"starts": "2026-02-21", "days": 2, "expected": 1.5, "actual": 4.0,
         "expected_total": 1.5, "actual_total": 4.0},
        {"starts": "2026-02-23", "days": 7, "expected": 2.5, "actual": 0.0,
         "expected_total": 4.0, "actual_total": 4.0},
    ]  # fmt: skip


def test_by_frequency_takes_seven_and_more_together():
    groups = by_frequency([0, 0, 3, 7, 9, 20], [1, 2, 4, 1, 2, 3], [0, 3, 2, 5, 5, 5])
    assert [(g["frequency"], g["customers"], g["expected"]) for g in groups] == [
        (0, 2, 1.5), (3, 1, 4.0), (7, 3, 2.0),
    ]  # fmt: skip
    assert groups[0]["actual"] == {"value": 1.5, "lower": 0.0, "upper": 3.0}
    assert groups[2]["actual"] == {"value": 5.0, "lower": 5.0, "upper": 5.0}


def test_the_interval_of_a_frequency_is_as_wide_as_the_mean_is_sure():
    came = np.random.default_rng(2).poisson(2.0, 900)
    actual = by_frequency(np.zeros(900), np.zeros(900), came)[0]["actual"]
    half = 1.645 * came.std() / np.sqrt(900)
    assert actual["upper"] - actual["value"] == pytest.approx(half, rel=0.15)
    assert actual["value"] - actual["lower"] == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_history_is_p_alive_of_each_day(family):
    m, bought = model(family), [2, 5, 20]
    found = alive_history(m, [20, 5, 2, 5], 30)
    for day, p in zip(range(2, 31), found, strict=True):
        so_far = [d for d in bought if d <= day]
        assert p == p_alive(m, len(so_far) - 1, so_far[-1] - 2, day - 2)[0]
    silent = np.ones(29, dtype=bool)
    silent[[0, 3, 18]] = False
    falls = np.diff(found) < 0
    # BG/NBD lets nobody leave before the second purchase
    assert (falls == silent[1:])[3 * (family == "bg_nbd") :].all()
    assert (np.diff(found)[[2, 17]] > 0).all() or family == "bg_nbd"


@pytest.mark.parametrize(("days", "said"), [([], "got none"), ([3, 40], r"got \[3, 40\]")])
def test_a_history_ends_after_its_last_purchase(days, said):
    with pytest.raises(ValueError, match=said):
        alive_history(model("bg_nbd"), days, 30)


def test_a_map_is_p_alive_of_each_cell():
    m = model("mbg_nbd")
    found = alive_map(m, range(1, 9), 40.0)
    for x, row in zip(found["frequency"], found["p_alive"], strict=True):
        for since, p in zip(found["days_since"], row, strict=True):
            if 40 - since < x:
                assert p is None  # x purchases need x days
            else:
                assert p == pytest.approx(p_alive(m, x, 40 - since, 40)[0])
    assert found["p_alive"][-1][-1] is None
    assert found["once"] == pytest.approx(p_alive(m, 0, 0, 40)[0])


@pytest.mark.parametrize("age", [0.0, 1.0, 5.5])
def test_a_map_of_the_young_has_few_columns(age):
    found = alive_map(model("bg_nbd"), [1, 2], age)
    assert found["days_since"] == list(range(max(int(age), 1)))
    assert {len(row) for row in found["p_alive"]} == {len(found["days_since"])}


def test_the_invented_customer_keeps_the_usual_gap_and_is_doubted_once():
    x, t_x = np.array([0, 1, 2, 4.0]), np.array([0, 30, 20, 200.0])
    m = model("mbg_nbd", 0.5, 30.0, 0.4, 2.5)
    days, until = typical(m, x, t_x)
    assert days[:4] == [0, 30, 60, 90]
    *_, before, at = alive_history(m, days[:4], days[4])
    assert at <= 0.5 < before
    assert until - days[4] == 2 * (days[4] - 90)
    loyal = model("mbg_nbd", 3.0, 30.0, 1e-9, 2.5)
    assert typical(loyal, x, t_x) == ([0, 30, 60, 90, 690], 1890)
    fickle = model("mbg_nbd", 3.0, 30.0, 5.0, 1.0)
    assert typical(fickle, x, t_x) == ([0, 30, 60, 90, 180], 360)


@pytest.mark.parametrize(
    ("frequency", "rows"),
    [
        ([0, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
        ([0, *range(150, 151)], [1, 2, 4, 9, 18, 36, 73, 150]),
        ([0], [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_the_map_reaches_as_far_as_customers_go(frequency, rows):
    rfm = pd.DataFrame({"frequency": frequency, "recency": 200.0, "T": 400.0}).astype(float)
    rfm["recency"] *= rfm["frequency"] > 0
    daily = pd.DataFrame({"cutoff": pd.Timestamp(ORIGIN), "day": [0], "purchases": [1]})
    found = pictures(model("mbg_nbd"), rfm.assign(purchase_days_after=0.0), daily, ORIGIN, 7)
    assert found["alive_map"]["frequency"] == rows


def test_pictures_say_of_whom_and_when_and_are_plain_values():
    rfm = pd.DataFrame(
        {"frequency": [0, 1, 3.0], "recency": [0, 4, 9.0], "T": [2, 8, 20.0],
         "purchase_days_after": [0, 0, 2.0]}
    )  # fmt: skip
    daily = pd.DataFrame({"cutoff": pd.Timestamp(ORIGIN), "day": [0, 5], "purchases": [1, 1]})
    other = daily.assign(cutoff=pd.Timestamp("2025-01-01"), purchases=9)
    daily = pd.concat([other, daily])
    found = pictures(model("mbg_nbd"), rfm, daily, ORIGIN, 10)
    for picture in found.values():
        assert picture["customers"] == 3
        assert (picture["origin"], picture["horizon_days"]) == ("2026-03-02", 10)
    assert found["tracking"]["after"][-1]["actual_total"] == 2
    assert json.loads(json.dumps(found)) == found
    alone = pictures(model("mbg_nbd"), rfm.head(1), daily, ORIGIN, 10)
    assert set(found) - set(alone) == {"alive_history"}
