"""One customer's subscriptions worked out by hand, column by column."""

import datetime as dt
import math

import pytest

CUTOFF = dt.date(2024, 7, 1)  # 365 d open on Jul 2 of 2023
ANN = [
    # id, start, end, plan, price, seats, more
    ("x1", "2022-01-01", "2022-03-01", "basic", 10, 1, {"trial_ends_at": "2022-01-15"}),
    ("x1", "2022-03-01", "2022-06-01", "basic", 12, 1, {"cancel_requested_at": "2022-05-20"}),
    ("x2", "2023-03-01", "2023-09-01", "basic", 10, 1, {}),  # back after nine months
    ("x2", "2023-09-01", "2024-02-01", "pro", 20, 2, {}),
    ("x2", "2024-02-01", None, "pro", 22, 2, {}),  # left open, but replaced
    ("x2", "2024-05-01", "2024-07-05", "pro", 21, 2, {"renews_at": "2024-09-01"}),
    ("x3", "2024-04-01", "2024-06-15", "team", 5, 3, {"end_reason": "involuntary"}),
    ("x4", "2024-06-01", None, "odd", "8.5", None,
     {"renews_at": "2024-07-11", "trial_ends_at": "2024-06-21",
      "cancel_requested_at": "2024-07-02"}),
    ("x5", "2024-07-01", None, "pro", 99, 9, {}),
]  # fmt: skip
EXPECTED = {
    "subscription_age_days": 488,  # since March 1 of 2023
    "days_since_first_subscription": 911,
    "active_subscriptions": 2,
    "plan_share[pro]": 1 / 2,
    "plan_share[other]": 1 / 2,
    "mrr": 29.5,
    "mrr_change_365d": 10 + 2 - 1,
    "mrr_change": 2 + 10 + 2 - 1,
    "mrr_change_last": -1,
    "plan_changes_365d": 1,
    "price_changes_365d": 2,
    "price_rises_365d": 1,
    "price_rises": 2,
    "days_since_price_rise": 150,
    "seats": 2,
    "seats_change_365d": 1,
    "seats_change": 1,
    "days_to_renewal": 10,
    "days_since_trial_end": 10,
    "ends_voluntary": 1,
    "ends_involuntary": 1,
    "returns": 1,
    "notices": 1,
}


def period(name, start, end, plan, price, seats, more):
    row = {"customer_id": "ann", "subscription_id": name, "plan": plan, "mrr": price}
    row |= {"seats": seats, "started_at": start, "ended_at": end} | more
    return {k: v and dt.datetime.fromisoformat(v) if k.endswith("_at") else v
            for k, v in row.items()}  # fmt: skip


def features(typed, features_of, rows, late=False):
    rows = [period(*row) for row in rows]
    if late:
        rows = [row | {"loaded_at": row["started_at"]} for row in rows]
    bought = [{"customer_id": "ann", "ts": dt.datetime(2021, 1, 1), "amount": 1}]
    columns = ("end_reason", "cancel_requested_at", "renews_at", "trial_ends_at")
    logs = typed.tables(
        {"transactions": bought, "subscriptions": rows}, "Europe/Berlin",
        {"subscriptions": columns},
    )  # fmt: skip
    levels = {"subscriptions.plan": ("pro",)}
    schema = typed.schema(logs, settings={"grace_days": 30.0}, **levels)
    matrix = typed.matrix(logs, [CUTOFF], schema, "Europe/Berlin")
    mine = [c.name for c in schema.columns() if c.feature in features_of("subscriptions")]
    assert {c.feature for c in schema.columns()} >= features_of("subscriptions")
    return matrix.iloc[0][mine].to_dict()


@pytest.mark.parametrize("late", [False, True])
def test_one_customer_by_hand(typed, features_of, late):
    assert features(typed, features_of, ANN, late) == pytest.approx(EXPECTED, rel=1e-12)


def test_who_has_left(typed, features_of):
    found = features(typed, features_of, [ANN[0]])
    given = {"days_since_first_subscription": 911, "ends_voluntary": 1}
    given["days_since_trial_end"] = (CUTOFF - dt.date(2022, 1, 15)).days - 1 / 24  # summer time
    missing = {
        "subscription_age_days", "plan_share[pro]", "plan_share[other]", "mrr_change_last",
        "days_since_price_rise", "days_to_renewal",
    }  # fmt: skip
    zero = found.keys() - given.keys() - missing
    assert found == pytest.approx(
        dict.fromkeys(zero, 0) | given | dict.fromkeys(missing, math.nan), nan_ok=True
    )


@pytest.mark.parametrize(("days", "age"), [(30, 182), (31, 31)])
def test_a_pause_within_the_grace_is_none(typed, features_of, days, age):
    again = CUTOFF - dt.timedelta(days=31)
    end = again - dt.timedelta(days=days)
    begin = end - dt.timedelta(days=182 - 31 - 30)
    rows = [("a", str(begin), str(end), "pro", 1, 1, {}), ("b", str(again), None, "pro", 1, 1, {})]
    found = features(typed, features_of, rows)
    assert (found["subscription_age_days"], found["returns"]) == (age, days > 30)
