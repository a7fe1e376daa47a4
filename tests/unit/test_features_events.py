"""One customer's events and campaign contacts worked out by hand, column by column."""

import datetime as dt
import math

import pytest

CUTOFF = dt.date(2024, 7, 1)
# windows open on: 30 d Jun 1, 60 d May 2, 90 d Apr 2, 180 d Jan 3, 365 d Jul 2 of 2023
EVENTS = [
    # when, event, group, more
    ("2024-06-10T09:00", "open", "use", {"user_id": "u1", "channel": "app"}),
    ("2024-06-10T18:00", "save", "use", {"user_id": "u2", "channel": "app"}),
    ("2024-05-10", "open", None, {"user_id": "u1", "channel": "web"}),  # no group: use
    ("2024-04-10", "export", "use", {"user_id": "u3"}),
    ("2024-02-01", "open", "use", {"user_id": "u1"}),
    ("2023-01-01", "print", "use", {"user_id": "u9"}),
    ("2024-07-01", "draw", "use", {"user_id": "u8", "channel": "app"}),
    ("2024-06-20", "card", "payment_failed", {}),
    ("2023-12-01", "card", "payment_failed", {}),
    ("2024-06-05", "news", "email", {}),
    ("2024-06-06", "news", "email", {}),
    ("2024-04-02", "news", "email", {}),
    ("2024-06-30", "left", "cart", {}),
    ("2024-06-29", "home", "visit", {"channel": "app"}),
    ("2024-05-15", "home", "visit", {"channel": "web"}),
    ("2024-03-01", "points", "loyalty", {"value": "10.5"}),
    ("2022-01-01", "points", "loyalty", {"value": 4}),
    ("2024-06-01", "outage", "incident", {"value": 7}),
    ("2024-01-01", "outage", "incident", {}),
]
CONTACTS = [("2024-06-15", True), ("2023-08-01", True), ("2024-06-20", False), ("2024-07-01", True)]
EXPECTED = {
    "use_days_30d": 1,
    "use_days_60d": 2,
    "use_days_90d": 3,
    "use_days_180d": 4,
    "days_since_use": 20,  # June 11 to 30
    "use_trend_60d": 1 / 2,
    "use_trend_180d": 3 / 4,
    "use_breadth_30d": 2,
    "use_breadth_90d": 3,
    "active_users_30d": 2,
    "active_users_90d": 3,
    "failed_payments_90d": 1,
    "failed_payments_365d": 2,
    "days_since_failed_payment": 10,
    "emails_30d": 2,
    "emails_90d": 3,
    "cart_events_90d": 1,
    "visits_30d": 1,
    "visits_90d": 2,
    "days_since_visit": 1,
    "loyalty_events_365d": 1,
    "loyalty_value_365d": 10.5,
    "loyalty_value": 14.5,
    "incidents_90d": 1,
    "incidents_365d": 2,
    "days_since_incident": 29,
    "visit_channel_share[app]_90d": 3 / 5,
    "visit_channel_share[other]_90d": 2 / 5,
    "campaign_contacts_90d": 1,
    "campaign_contacts_365d": 2,
    "days_since_campaign_contact": 15,
}
LEVELS = {
    "events.group=": ("cart", "email", "incident", "loyalty", "payment_failed", "use", "visit"),
    "events.channel": ("app",),
}


def features(typed, features_of, events, contacts, late=False):
    rows = {
        "events": [
            {"customer_id": "ann", "ts": dt.datetime.fromisoformat(ts), "event": e, "group": g} | m
            for ts, e, g, m in events
        ],
        "treatments": [
            {"customer_id": "ann", "ts": dt.datetime.fromisoformat(ts), "campaign": "spring",
             "treated": treated}
            for ts, treated in contacts
        ],
    }  # fmt: skip
    if late:
        rows = {n: [row | {"loaded_at": row["ts"]} for row in log] for n, log in rows.items()}
    bought = [{"customer_id": "ann", "ts": dt.datetime(2021, 1, 1), "amount": 1}]
    columns = {"events": ("value", "user_id", "channel")}
    logs = typed.tables({"transactions": bought} | rows, "Europe/Berlin", columns)
    schema = typed.schema(logs, **LEVELS)
    matrix = typed.matrix(logs, [CUTOFF], schema, "Europe/Berlin")
    own = features_of("events", "treatments")
    assert {c.feature for c in schema.columns()} >= own
    return matrix.iloc[0][[c.name for c in schema.columns() if c.feature in own]].to_dict()


@pytest.mark.parametrize("late", [False, True])
def test_one_customer_by_hand(typed, features_of, late):
    found = features(typed, features_of, EVENTS, CONTACTS, late)
    assert found == pytest.approx(EXPECTED, rel=1e-12)


def test_who_did_nothing_and_was_left_alone(typed, features_of):
    found = features(typed, features_of, EVENTS[6:7], CONTACTS[2:3])  # tomorrow, and a control
    missing = {n for n in found if n.startswith(("days_since", "use_trend", "visit_channel"))}
    assert found == pytest.approx(
        dict.fromkeys(found, 0) | dict.fromkeys(missing, math.nan), nan_ok=True
    )
