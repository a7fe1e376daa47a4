"""How early flags come: by hand, once a customer, whatever the order of rows."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.config import ChurnConfig
from tenure.evaluation.lead_time import flagged, lead_time
from tenure.labels import lead_days

C1, C2 = pd.Timestamp("2025-03-01"), pd.Timestamp("2025-04-01")


def frame_of(*rows):
    columns = ["customer_id", "cutoff", "churned", "lead_days", "p"]
    return pd.DataFrame(rows, columns=columns)


# ten customers a cutoff; at 20 % the two riskiest are flagged
FIRST = [
    ("a", C1, 1, 30.0, 0.9),  # flagged, left: 30 days ahead
    ("b", C1, 0, 10.0, 0.8),  # flagged, stayed
    *[(f"x{i}", C1, 1, 50.0, 0.1 + i / 100) for i in range(8)],
]
SECOND = [
    ("b", C2, 1, 70.0, 0.9),  # flagged again, and left this time: the first flag counts
    ("c", C2, 1, 12.0, 0.8),  # flagged, left
    *[(f"x{i}", C2, 0, 50.0, 0.1 + i / 100) for i in range(8)],
]


def lead(rows, rates=(0.2,), **how):
    frame = frame_of(*rows)
    return lead_time(frame, frame["p"], rates=rates, seed=7, **how)


def test_by_hand():
    (found,) = lead([*FIRST, *SECOND])
    assert (found["flag_rate"], found["flagged"], found["leavers"]) == (0.2, 3, 2)
    assert found["false_flags"]["value"] == pytest.approx(1 / 3)
    # of 12 and 30 days
    values = [found[k]["value"] for k in ("lower_quartile", "median", "upper_quartile")]
    assert values == [16.5, 21.0, 25.5]


def test_flagging_everybody_says_what_no_model_knows():
    (found,) = lead([*FIRST, *SECOND], rates=(1.0,))
    # a, b and x0 to x7 by the first date, c by the second
    assert (found["flagged"], found["leavers"]) == (11, 10)
    assert found["false_flags"]["value"] == pytest.approx(1 / 11)
    assert found["median"]["value"] == 50.0


def test_whom_the_rule_has_called_lost_already_is_not_flagged():
    gone = [(f"g{i}", C1, 1, -i, 0.99) for i in range(40)]
    assert lead([*FIRST, *gone]) == lead(FIRST)


def test_where_nobody_or_nobody_right_is_flagged():
    (nobody,) = lead([(f"x{i}", C1, 1, 5.0, 0.5) for i in range(10)])
    assert (nobody["flagged"], nobody["median"], nobody["false_flags"]) == (0, None, None)
    (wrong,) = lead([(n, c, 0, days, p) for n, c, _, days, p in FIRST])
    assert (wrong["leavers"], wrong["median"]) == (0, None)
    assert wrong["false_flags"] == {"value": 1.0, "lower": 1.0, "upper": 1.0}
    (empty,) = lead([])
    assert (empty["flagged"], empty["median"]) == (0, None)


def test_stayers_need_no_lead():
    rows = [(n, c, left, days if left else np.nan, p) for n, c, left, days, p in FIRST]
    (found,) = lead(rows)
    assert found["flagged"] == 2
    assert found["median"]["value"] == 30.0


def drawn(seed=0, n=400):
    rng = np.random.default_rng(seed)
    rows = []
    for cutoff in (C1, C2):
        p = rng.random(n).round(2)
        left = rng.random(n) < p
        days = rng.integers(1, 90, n).astype(float)
        names = [f"c{i}" for i in range(n)]
        rows += list(zip(names, [cutoff] * n, left.astype(int), days, p, strict=True))
    return rows


def test_the_order_of_rows_says_nothing():
    rows = drawn()
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    rates = (0.05, 0.1, 0.2, 1.0)
    assert lead(rows, rates) == lead(shuffled, rates)


@pytest.mark.parametrize("seed", range(5))
def test_intervals_hold_their_values(seed):
    for found in lead(drawn(seed), rates=(0.05, 0.1, 0.2, 1.0)):
        for name in ("median", "lower_quartile", "upper_quartile", "false_flags"):
            assert found[name]["lower"] <= found[name]["value"] <= found[name]["upper"]


def test_the_interval_is_that_of_the_customers_drawn():
    # 200 flags, 100 false: the share's standard error is .5 / sqrt(200) = .035
    rows = [(f"c{i:03d}", C1, i % 2, 40.0, 0.5) for i in range(200)]
    (found,) = lead(rows, rates=(1.0,), draws=4000)
    false = found["false_flags"]
    assert false["upper"] - false["lower"] == pytest.approx(2 * 1.645 * 0.5 / 200**0.5, rel=0.1)
    assert found["median"] == {"value": 40.0, "lower": 40.0, "upper": 40.0}


@given(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), min_size=1), st.floats(0.01, 1.0))
def test_flags_are_of_the_riskiest_and_ties_stay_together(p, rate):
    p = np.array(p)
    flags = flagged(p, rate)
    if flags.any() and not flags.all():
        assert p[flags].min() > p[~flags].max()
    shares = [(p >= level).mean() for level in np.unique(p)] + [0.0]
    assert abs(flags.mean() - rate) == pytest.approx(min(abs(s - rate) for s in shares))


def test_lead_days_reach_to_the_midnight_at_which_silence_is_as_long_as_the_horizon():
    churn = ChurnConfig(horizon_days=30)
    keys = pd.DataFrame({"customer_id": ["b", "a", "c"], "cutoff": [C1] * 3})
    matrix = pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "cutoff": C1, "days_since_last_purchase": [0, 29, 35]}
    )
    # a bought on 28 February, the day before the cutoff. On 31 March, 30 days after the cutoff,
    # their days_since_last_purchase is 30 for the first time: the rule no longer asks about them
    found = lead_days({}, keys, matrix, [C1.date()], ZoneInfo("UTC"), churn)
    assert found.tolist() == [1, 30, -5]


def test_a_subscription_leads_to_its_end(typed):
    cutoff = dt.datetime(2025, 3, 1)

    def row(name, days, **more):
        ended = None if days is None else cutoff + dt.timedelta(days=days)
        started = dt.datetime(2024, 1, 1)
        return {"customer_id": name, "started_at": started, "ended_at": ended} | more

    rows = [
        row("leaves", 12.5), row("stays", None), row("later", 40), row("in the gap", 3),
        row("not by choice", 12, end_reason="involuntary"),
    ]  # fmt: skip
    tables = {"subscriptions": typed.table("subscriptions", rows)}
    names = sorted(r["customer_id"] for r in rows)
    keys = pd.DataFrame({"customer_id": names, "cutoff": C1.as_unit("s")})
    churn = ChurnConfig(kind="subscription", horizon_days=30, gap_days=5, grace_days=10)
    found = lead_days(tables, keys, keys, [cutoff.date()], ZoneInfo("UTC"), churn)
    assert dict(zip(names, np.nan_to_num(found, nan=-1).tolist(), strict=True)) == {
        "in the gap": -1, "later": -1, "leaves": 12, "not by choice": -1, "stays": -1,
    }  # fmt: skip


def test_where_no_rule_calls_who_is_flagged_does_not_depend_on_what_came():
    """Leavers of the cutoff's own day are flagged like everybody else."""
    n = 400
    left = np.arange(n) < 40
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(n)],
            "cutoff": pd.Timestamp("2025-01-01"),
            "churned": left.astype(int),
            "lead_days": np.where(left, np.where(np.arange(n) < 10, 0.0, 12.0), np.nan),
        }
    )
    (everybody,) = lead_time(frame, np.full(n, 0.5), rates=(1.0,), rule_calls=False, seed=1)
    assert everybody["flagged"] == n
    assert everybody["false_flags"]["value"] == pytest.approx(0.9)
