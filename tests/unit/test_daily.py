"""Purchases by day around an origin: what counts, whose they are, and that sums agree."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tenure.labels import daily_purchases, outcomes

ORIGIN = dt.date(2024, 4, 1)
DAY = dt.timedelta(days=1)


def bought(customer, day, amount=5, **more):
    """Return a purchase at noon, `day` days from the origin."""
    ts = dt.datetime.combine(ORIGIN, dt.time(12)) + day * DAY
    return {"customer_id": customer, "ts": ts, "amount": amount} | more


def counted(typed, rows, zone="UTC", days=(ORIGIN,), horizon=10):
    tables = {"transactions": typed.log(rows, zone)}
    frame = daily_purchases(tables, days, ZoneInfo(zone), horizon)
    assert list(frame) == ["cutoff", "day", "purchases"]
    return {(c.date(), d): n for c, d, n in frame.itertuples(index=False)}


def test_repeats_before_and_every_purchase_after_of_who_was_there(typed):
    rows = [
        *(bought("a", day) for day in (-20, -5, -5, -1, 0, 9, 10)),
        *(bought("b", day) for day in (-5, -1)),
        *(bought("new", day) for day in (0, 3)),  # not there at the origin
        bought("a", -3, 0),
        bought("a", 2, -4),
        bought("back", -2, -4),  # no customer yet: a refund makes none
        bought("back", 4),
    ]
    assert counted(typed, rows) == {
        (ORIGIN, -5): 1, (ORIGIN, -1): 2, (ORIGIN, 0): 1, (ORIGIN, 9): 1,
    }  # fmt: skip


def test_days_are_local(typed):
    late = dt.datetime(2024, 4, 1, 0, 30)  # in Berlin; 22:30 of the day before in UTC
    rows = [bought("a", -9), {"customer_id": "a", "ts": late, "amount": 5}]
    assert counted(typed, rows, "Europe/Berlin") == {(ORIGIN, 0): 1}


def test_every_origin_counts_for_itself(typed):
    rows = [bought("a", day) for day in (-20, -12, -3)]
    earlier = ORIGIN - 10 * DAY
    assert counted(typed, rows, days=(earlier, ORIGIN)) == {
        (earlier, -2): 1, (earlier, 7): 1, (ORIGIN, -12): 1, (ORIGIN, -3): 1,
    }  # fmt: skip


def test_what_had_not_been_loaded_makes_nobody_a_customer(typed):
    after = dt.datetime(2024, 4, 3)
    rows = [
        bought("known", -9, loaded_at=after - 11 * DAY),
        bought("known", -4, loaded_at=after),
        bought("unknown", -9, loaded_at=after),
        bought("known", 2, loaded_at=after),
        bought("unknown", 2, loaded_at=after),
    ]
    assert counted(typed, rows) == {(ORIGIN, 2): 1}


@pytest.mark.parametrize("late", [False, True], ids=["plain", "with loads"])
def test_sums_are_the_frequency_before_and_the_outcome_after(late, typed):
    rng = np.random.default_rng(3)
    rows = []
    for k in range(300):
        day, amount = int(rng.integers(-90, 40)), [5, 5, 5, 0, -2][rng.integers(5)]
        row = bought(f"c{rng.integers(25)}", day, amount, transaction_id=f"t{k}")
        rows.append(row | ({"loaded_at": row["ts"] + int(rng.integers(30)) * DAY} if late else {}))
    log = typed.log(rows)
    origins = [ORIGIN - 30 * DAY, ORIGIN]
    seen = typed.matrix(log, origins, typed.schema(log))
    seen = seen[seen["frequency"] >= 0]
    tables, zone = {"transactions": log}, ZoneInfo("UTC")
    came = outcomes(tables, origins, zone, gap_days=0, horizon_days=30)
    came = seen[["customer_id", "cutoff"]].merge(came, on=["customer_id", "cutoff"])
    days = daily_purchases(tables, origins, zone, 30)
    for before, of in ((days["day"] < 0, seen["frequency"]), (days["day"] >= 0, None)):
        found = days[before].groupby("cutoff")["purchases"].sum()
        frame, column = (seen, "frequency") if of is not None else (came, "purchase_days")
        assert found.to_dict() == frame.groupby("cutoff")[column].sum().to_dict()
        assert (found > 0).all()
