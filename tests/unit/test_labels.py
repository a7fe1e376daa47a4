"""Who counts as gone, who could be asked, and what was bought in the label window."""

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tenure.config import ChurnConfig
from tenure.labels import bought_within, eligible, outcomes, with_labels

CUTOFF = dt.date(2024, 4, 1)
GAP, HORIZON = 7, 30
START, END = dt.datetime(2024, 4, 8), dt.datetime(2024, 5, 8)
TICK = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)


def bought(customer, ts, amount=5, **more):
    return {"customer_id": customer, "ts": ts, "amount": amount} | more


def after(typed, rows, days=(CUTOFF,), zone="UTC", gap=GAP, horizon=HORIZON):
    tables = {"transactions": typed.log(rows, zone)}
    return outcomes(tables, days, ZoneInfo(zone), gap_days=gap, horizon_days=horizon)


def labels(typed, rows, **more):
    """Return {customer: label} of everybody in `rows`."""
    names = sorted({row["customer_id"] for row in rows})
    keys = pd.DataFrame({"customer_id": names, "cutoff": pd.Timestamp(CUTOFF)})
    keys["cutoff"] = keys["cutoff"].astype("datetime64[s]")
    return dict(zip(names, with_labels(keys, after(typed, rows, **more)).tolist(), strict=True))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_window_is_half_open_at_both_ends(typed, zone):
    rows = [
        bought("in the gap", START - TICK),
        bought("at the start", START),
        bought("at the last moment", END - TICK),
        bought("at the end", END),
        bought("before", dt.datetime(2024, 3, 31)),
    ]
    assert labels(typed, rows, zone=zone) == {
        "at the end": 1,
        "at the last moment": 0,
        "at the start": 0,
        "before": 1,
        "in the gap": 1,
    }


def test_without_a_gap_the_window_starts_at_the_cutoff(typed):
    midnight = dt.datetime(2024, 4, 1)
    rows = [bought("in", midnight), bought("out", midnight - TICK)]
    assert labels(typed, rows, gap=0) == {"in": 0, "out": 1}


def test_zero_amounts_and_refunds_make_no_purchase(typed):
    rows = [
        bought("nothing", START, 0),
        bought("refund", START, -5),
        bought("free refund", START, 0, kind="refund"),
        bought("a cent", START, "0.01"),
        bought("both", START, 5),
        bought("both", START, -5),
    ]
    assert labels(typed, rows) == {
        "a cent": 0,
        "both": 0,
        "free refund": 1,
        "nothing": 1,
        "refund": 1,
    }


def test_a_cancelled_purchase_still_shows_that_they_came(typed):
    rows = [bought("a", START, cancelled_at=START + DAY)]
    assert labels(typed, rows) == {"a": 0}


def test_rows_loaded_late_count_and_only_in_their_last_version(typed):
    late, later = END + 100 * DAY, END + 200 * DAY
    rows = [
        bought("late", START, loaded_at=late),
        bought("moved out", START, transaction_id="x", loaded_at=START),
        bought("moved out", END, transaction_id="x", loaded_at=later),
        bought("moved in", END, transaction_id="y", loaded_at=START),
        bought("moved in", START, 9, transaction_id="y", loaded_at=late),
    ]
    assert labels(typed, rows) == {"late": 0, "moved in": 0, "moved out": 1}
    found = after(typed, rows).set_index("customer_id")["value"]
    assert found.to_dict() == {"late": 5, "moved in": 9}


def test_every_row_gets_the_label_of_its_own_cutoff_in_its_own_order():
    one, two = pd.Timestamp("2024-04-01"), pd.Timestamp("2024-05-01")
    keys = pd.DataFrame(
        {"customer_id": ["b", "a", "b", "a"], "cutoff": [two, one, one, two]}, index=[7, 3, 5, 1]
    )
    happened = pd.DataFrame(
        {"customer_id": ["a", "b", "b"], "cutoff": [one, one, two], "purchase_days": [2, 0, 1]}
    )
    assert with_labels(keys, happened).tolist() == [0, 0, 1, 1]


class TestOutcomes:
    def test_days_are_counted_once_and_money_is_netted(self, typed):
        rows = [
            bought("a", START, 10),
            bought("a", START + TICK, 5),
            bought("a", START + 3 * DAY, "7.25"),
            bought("a", START + 4 * DAY, -2),
            bought("a", START + 5 * DAY, 0),
            bought("a", END, 1000),
            bought("b", START, -4),
        ]
        found = after(typed, rows)
        assert found.columns.tolist() == ["customer_id", "cutoff", "purchase_days", "value"]
        assert found["customer_id"].tolist() == ["a", "b"]
        assert found["purchase_days"].tolist() == [2, 0]
        assert found["value"].tolist() == [20.25, -4]

    def test_a_local_day_is_one_day_in_its_zone(self, typed):
        # half past eleven at night and an hour later share a day of UTC
        def days(*moments):
            rows = [bought("a", moment) for moment in moments]
            return after(typed, rows, zone="America/New_York")["purchase_days"].item()

        late = dt.datetime(2024, 4, 9, 23, 30)
        assert days(late, late + dt.timedelta(hours=1)) == 2
        assert days(late - dt.timedelta(hours=23), late) == 1

    def test_cancellations_take_their_money_back_within_the_window_only(self, typed):
        rows = [
            bought("inside", START, cancelled_at=END - TICK),
            bought("after", START, cancelled_at=END),
            bought("never", START, cancelled_at=None),
        ]
        found = after(typed, rows).set_index("customer_id")["value"]
        assert found.to_dict() == {"after": 5, "inside": 0, "never": 5}

    def test_a_cancellation_of_an_earlier_purchase_counts_like_its_refund(self, typed):
        before = dt.datetime(2024, 3, 1)
        refunded = [bought("a", before), bought("a", START, -5)]
        cancelled = [bought("a", before, cancelled_at=START)]
        assert after(typed, refunded)["value"].tolist() == [-5]
        assert after(typed, cancelled)["value"].tolist() == [-5]

    def test_every_cutoff_counts_its_own_window(self, typed):
        days = [CUTOFF, CUTOFF + 14 * DAY, CUTOFF + 400 * DAY]
        found = after(typed, [bought("a", START + 20 * DAY)], days)
        assert found["cutoff"].astype(str).tolist() == ["2024-04-01", "2024-04-15"]

    def test_nobody_bought(self, typed):
        found = after(typed, [bought("a", END)])
        assert found.empty
        keys = pd.DataFrame({"customer_id": ["a"], "cutoff": pd.to_datetime([CUTOFF])})
        assert with_labels(keys, found).tolist() == [1]

    def test_no_day_asked_about(self, typed):
        assert after(typed, [bought("a", START)], days=()).empty


class TestEligible:
    def matrix(self, typed, within):
        """Return a matrix of who bought exactly `within` days before, and a day earlier."""
        midnight = dt.datetime(2024, 4, 1)
        edge = midnight - within * DAY
        log = typed.log([bought("in", edge), bought("out", edge - TICK)], "Europe/Berlin")
        schema = typed.schema(log, 0)
        return typed.matrix(log, [CUTOFF], schema, "Europe/Berlin")

    @pytest.mark.parametrize(
        ("churn", "within"),
        [
            ({"horizon_days": 60, "gap_days": 5, "active_within_days": 90}, 90),
            ({"horizon_days": 60, "gap_days": 5}, 65),
            ({"horizon_days": 1, "active_within_days": 1}, 1),
        ],
    )
    def test_who_bought_within_the_days_before_is_in(self, typed, churn, within):
        matrix = self.matrix(typed, within)
        assert matrix["customer_id"].tolist() == ["in", "out"]
        assert eligible(matrix, ChurnConfig(**churn)).tolist() == [True, False]
        assert bought_within(matrix, within).tolist() == [True, False]

    def test_all_means_everybody_who_ever_bought(self, typed):
        matrix = self.matrix(typed, 10)
        assert eligible(matrix, ChurnConfig(active_within_days="all")).tolist() == [True, True]

    def test_refunds_and_zero_amounts_keep_nobody_active(self, typed):
        day = dt.datetime(2024, 3, 31)
        old = dt.datetime(2024, 1, 1)
        rows = [bought("a", old), bought("a", day, 0), bought("b", old), bought("b", day, -1)]
        log = typed.log(rows)
        matrix = typed.matrix(log, [CUTOFF], typed.schema(log, 0))
        assert bought_within(matrix, 30).tolist() == [False, False]
