"""One customer worked out by hand, column by column, and what "no rows" means."""

import datetime as dt
import math
import statistics
from decimal import Decimal

import pytest

from tenure.features.schema import Schema
from tenure.features.spec import VIEWS, combined, feature, within

CUTOFF = dt.date(2024, 7, 1)
# windows open on: 30 d Jun 1, 60 d May 2, 90 d Apr 2, 180 d Jan 3, 365 d Jul 2 of 2023
ANN = [
    # day, amount, more
    ("2023-01-20", -3, {}),  # a refund before the first purchase
    ("2023-02-08", 100, {"channel": "Web", "category": "Tea", "discount": 25}),
    ("2023-02-08", -9, {}),  # a refund on the first day
    ("2023-03-10", 40, {"channel": "Web", "category": "Tea", "discount": 10}),
    ("2024-01-15", 30, {"channel": "Web", "category": "Pot"}),
    ("2024-01-15", 20, {"channel": "shop", "category": "Tea", "discount": 0}),
    ("2024-03-20", -12, {}),
    ("2024-04-20", 50, {"channel": "shop", "discount": 50, "cancelled_at": "2024-06-10"}),
    ("2024-05-20", 0, {"channel": "Web", "category": "Cup", "discount": 8}),
    ("2024-06-05", 60, {"category": "Cup", "discount": 6, "cancelled_at": "2024-07-01"}),
    ("2024-06-25", 24, {"channel": "web", "category": "Tea"}),
    ("2024-07-01", 1000, {"channel": "Web", "category": "Tea", "discount": 1}),
]
# purchase days: 2023-02-08, 03-10, 2024-01-15, 04-20, 06-05, 06-25
GAPS = [30, 311, 96, 46, 20]
RECENT = [311, 96, 46, 20]  # gaps that ended within 365 days

# (30 d, 60 d, 90 d, 180 d, 365 d, all time)
WINDOWED = {
    "purchase_days": (2, 2, 3, 4, 4, 6),
    "orders": (2, 2, 3, 5, 5, 7),
    "spend": (84, 84, 134, 184, 184, 324),
    "largest_basket": (60, 60, 60, 60, 60, 100),
    "average_basket": (42, 42, 134 / 3, 184 / 5, 184 / 5, 324 / 7),
    "refunds": (1, 1, 1, 2, 2, 4),
    "refunded": (50, 50, 50, 62, 62, 74),
    "refund_share": (50 / 84, 50 / 84, 50 / 134, 62 / 184, 62 / 184, 74 / 324),
    "discount_share": (6 / 90, 6 / 90, 56 / 190, 56 / 240, 56 / 240, 91 / 415),
}
WINDOWS = ("_30d", "_60d", "_90d", "_180d", "_365d", "")
EXPECTED = {
    **{f + w: v for f, row in WINDOWED.items() for w, v in zip(WINDOWS, row, strict=True)},
    "days_since_last_purchase": 5,  # June 26 to 30
    "gap_mean": 503 / 5,
    "gap_mean_365d": 473 / 4,
    "gap_mean_last3": 162 / 3,
    "gap_last": 20,
    "gap_variation": statistics.stdev(GAPS) / (503 / 5),
    "gap_variation_365d": statistics.stdev(RECENT) / (473 / 4),
    "overdue_ratio": 5 / (503 / 5),
    "purchase_trend_60d": 2 / 2,
    "purchase_trend_180d": 3 / 4,
    "spend_trend_60d": 84 / 84,
    "spend_trend_180d": 134 / 184,
    "spend_last3": 50 + 60 + 24,
    "frequency": 5,
    "recency": 503,
    "T": 508,
    "monetary_value": (324 - 100 - 12 - 50) / 5,  # both early refunds stay with the first day
    "channel_share[Web]_90d": 0,
    "channel_share[other]_90d": 2 / 2,
    "channel_share[Web]_365d": 1 / 4,
    "channel_share[other]_365d": 3 / 4,
    "channel_share[Web]": 3 / 6,
    "channel_share[other]": 3 / 6,
    "channels": 3,
    "category_share[Cup]_90d": 1 / 2,
    "category_share[Tea]_90d": 1 / 2,
    "category_share[other]_90d": 0,
    "category_share[Cup]_365d": 1 / 4,
    "category_share[Tea]_365d": 2 / 4,
    "category_share[other]_365d": 1 / 4,
    "category_share[Cup]": 1 / 6,
    "category_share[Tea]": 4 / 6,
    "category_share[other]": 1 / 6,
    "categories": 3,
}


def transactions(customer, events):
    for day, amount, more in events:
        row = {"customer_id": customer, "ts": dt.datetime.fromisoformat(day), "amount": amount}
        dates = {k: dt.datetime.fromisoformat(v) for k, v in more.items() if k.endswith("_at")}
        yield row | more | dates


def table(typed, events, late=False):
    rows = list(transactions("ann", events))
    if late:
        rows = [row | {"loaded_at": row["ts"]} for row in rows]
    columns = ["discount", "channel", "category", "cancelled_at"]
    return typed.log(rows, "Europe/Berlin", columns)


def features(typed, events, late=False, longest=365):
    log = table(typed, events, late)
    schema = typed.schema(log, longest, channel=("Web",), category=("Cup", "Tea"))
    matrix = typed.matrix(log, [CUTOFF], schema, "Europe/Berlin")
    return {} if matrix.empty else matrix.iloc[0].drop(["customer_id", "cutoff"]).to_dict()


@pytest.mark.parametrize("late", [False, True])
def test_one_customer_by_hand(typed, late):
    found = features(typed, ANN, late)
    assert found == pytest.approx(EXPECTED, rel=1e-12)


def test_every_feature_was_worked_out(typed, features_of):
    schema = typed.schema(table(typed, ANN), channel=("Web",), category=("Cup", "Tea"))
    assert {c.name for c in schema.columns()} == set(EXPECTED)
    assert {c.feature for c in schema.columns()} == features_of("transactions", "rfm")


def test_a_single_purchase_of_long_ago(typed):
    found = features(typed, [("2022-01-01", "9.99", {})])
    counts = ("purchase_days", "orders", "spend", "refunds", "refunded", "channels", "categories")
    zero = {name for name in found if name.startswith(counts) and name.endswith("d")}
    zero |= {"frequency", "recency", "refunds", "refunded", "refund_share", "discount_share",
             "channels", "categories"}  # fmt: skip
    zero -= {name for name in found if "trend" in name}
    given = {
        "purchase_days": 1,
        "orders": 1,
        "days_since_last_purchase": 911,
        "T": 911,
    } | dict.fromkeys(("spend", "spend_last3", "largest_basket", "average_basket"), 9.99)
    missing = found.keys() - zero - given.keys()
    assert found == pytest.approx(
        dict.fromkeys(zero, 0.0) | given | dict.fromkeys(missing, math.nan), nan_ok=True
    )
    for name in ("gap_mean", "gap_last", "gap_variation", "overdue_ratio", "monetary_value",
                 "purchase_trend_60d", "spend_trend_180d", "average_basket_30d",
                 "largest_basket_30d", "refund_share_30d", "channel_share[Web]"):  # fmt: skip
        assert name in missing


@pytest.mark.parametrize("amount", [0, -5])
def test_who_never_bought_is_no_customer(typed, amount):
    assert features(typed, [("2024-01-01", amount, {})], longest=0) == {}


class TestMoney:
    def test_a_net_loss_is_no_negative_monetary_value(self, typed):
        events = [("2024-01-01", 5, {}), ("2024-02-01", 5, {}), ("2024-03-01", -50, {})]
        assert features(typed, events, longest=0)["monetary_value"] == 0

    def test_a_cancellation_of_the_first_purchase_lowers_later_money_not_frequency(self, typed):
        events = [("2024-01-01", 5, {"cancelled_at": "2024-02-02"}), ("2024-03-01", 8, {})]
        found = features(typed, events, longest=30)
        assert (found["frequency"], found["monetary_value"]) == (1, 3)

    def test_a_cancellation_dated_before_its_purchase_counts_with_it(self, typed):
        events = [("2024-06-20", 5, {"cancelled_at": "2024-05-01"})]
        found = features(typed, events, longest=30)
        assert (found["refunded_30d"], found["refunded"], found["orders"]) == (5, 5, 1)

    @pytest.mark.parametrize("amount", ["0.0001", "9999999999999.9999"])
    def test_very_small_and_very_large_amounts_stay_exact(self, typed, amount):
        found = features(typed, [("2024-06-01", amount, {})] * 3, longest=30)
        assert found["spend"] == float(Decimal(amount) * 3)
        assert not any(math.isinf(value) for value in found.values())

    @pytest.mark.parametrize("amounts", [("0.1", "0.2", "0.3"), ("0.3", "0.2", "0.1")])
    def test_money_is_summed_exactly_in_any_order(self, typed, amounts):
        events = [(f"2024-06-0{i}", amount, {}) for i, amount in enumerate(amounts, 1)]
        assert features(typed, events, longest=30)["spend"] == 0.6  # not 0.6000000000000001


def test_many_purchases_a_day_are_one_purchase_day(typed):
    found = features(typed, [("2024-06-01", 5, {}), ("2024-06-01T23:59:59.999999", 7, {})])
    assert (found["purchase_days"], found["orders"], found["frequency"], found["T"]) == (
        1,
        2,
        0,
        29,
    )


def test_last_three_days_reach_past_refund_days_and_windows(typed):
    days = ("2020-01-01", "2021-01-01", "2021-01-11", "2021-01-31")
    events = [(day, 2**i, {}) for i, day in enumerate(days)] + [("2024-06-01", -1, {})]
    found = features(typed, events)
    assert found["spend_last3"] == 14
    assert found["gap_mean_last3"] == (366 + 10 + 20) / 3
    assert found["spend_365d"] == 0


class TestRegistry:
    def test_every_column_explains_itself(self, typed):
        for column in typed.schema(table(typed, ANN), channel=(), category=()).columns():
            assert column.unit
            assert column.factor
            assert column.description
            assert column.direction in (-1, 0, 1)

    def test_a_name_cannot_be_taken_twice(self):
        view = next(iter(VIEWS.values())).build

        def spend(d):
            """Again."""

        with pytest.raises(ValueError, match="spend is defined twice"):
            feature(view, unit="x", factor="value")(spend)
        with pytest.raises(ValueError, match="spend is defined twice"):
            combined(unit="x", factor="value")(spend)

    def test_nothing_is_built_of_tables_that_are_not_there(self):
        assert Schema(365, {}, {}).columns() == []


def test_a_window_reaches_into_every_kind_of_aggregate(typed):
    log = typed.log([{"customer_id": "a", "ts": CUTOFF, "amount": x} for x in (1, 2, 3)])
    inside = log.amount >= 2
    whole = {
        "rows": (log.count(), 2),
        "rows of those": (log.count(where=log.amount < 3), 1),
        "sum": (log.amount.sum(), 5),
        "sum of those": (log.amount.sum(where=log.amount < 3), 2),
        "least": (log.amount.min(), 2),
        "different": (log.amount.nunique(), 2),
        "nulls": (log.amount.isnull().sum(), 0),
        "first": (log.amount.argmin(log.amount), 2),
        "arithmetic": (log.amount.sum() / log.count() + 1, 3.5),
    }
    made = log.aggregate(**{name: within(value, inside) for name, (value, _) in whole.items()})
    found = made.to_pyarrow().to_pylist()[0]
    assert {k: float(v) for k, v in found.items()} == {k: v for k, (_, v) in whole.items()}
