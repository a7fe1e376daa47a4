"""One customer's deliveries, tickets and untimely contact worked out by hand, column by column."""

import datetime as dt
import math

import pytest

CUTOFF = dt.date(2024, 7, 1)
# windows open on: 90 d Apr 2, 365 d Jul 2 of 2023
SETTINGS = {"response_days": 14.0, "grace_days": 30.0}
LEVELS = {
    "partner": ("Post",),
    "interactions.kind": ("complaint", "return"),
    "interactions.topic": ("late",),
    "interactions.channel": ("mail",),
    "surveys.kind": (),
    "surveys.touchpoint": (),
}
ORDERS = [
    # id, ordered, promised, delivered, more
    ("o1", "2023-01-10", "2023-01-14", "2023-01-13", {"partner": "Post", "quantity": 1}),
    ("o2", "2023-09-01", "2023-09-05", "2023-09-08", {"partner": "Post", "quantity": 4}),
    ("o3", "2024-02-01", "2024-02-03", None, {"cancelled_at": "2024-02-13"}),
    ("o4", "2024-04-10", "2024-04-20", "2024-04-21T12:00", {"partner": "Van"}),
    ("o5", "2024-05-01", None, "2024-05-03", {}),
    ("o6", "2024-06-10", "2024-06-16", None, {"quantity": "2.5"}),
    ("o7", "2024-06-20", "2024-07-10", "2024-07-02", {}),
    ("o8", "2024-07-01", "2024-07-02", "2024-07-03", {"partner": "Van", "quantity": 9}),
]
TICKETS = [
    # id, opened, first reply, resolved, more
    ("k1", "2023-03-01", "2023-03-01T01:00", "2023-03-02", {"topic": "late", "channel": "mail"}),
    ("k2", "2024-04-02", "2024-04-03T01:00", "2024-04-05",
     {"topic": "late", "channel": "mail", "kind": "complaint", "handoffs": 2, "replies": 4,
      "reopens": 1, "closed_at": "2024-04-09", "reopened_at": "2024-04-06",
      "transaction_id": "o3", "wait_seconds": 60}),
    ("k3", "2024-04-08", "2024-04-08T00:30", "2024-04-08T10:00",
     {"topic": "late", "channel": "phone", "kind": "complaint", "handoffs": 1,
      "closed_at": "2024-07-05", "wait_seconds": 30}),
    ("k4", "2024-06-25", None, None, {"topic": "size", "escalated_at": "2024-06-26",
                                      "closed_at": "2024-06-25T12:00"}),
    ("k5", "2024-06-30T23:00", "2024-07-01T01:00", "2024-07-02",
     {"topic": "late", "channel": "mail", "kind": "return", "wait_seconds": 999, "handoffs": 5}),
    ("k6", "2024-06-29", None, None, {"direction": "out"}),
]  # fmt: skip
SURVEYS = [
    # id, sent, answered, kind, score, order
    ("s1", "2023-09-06", "2023-09-07", "csat", 2, "o2"),  # two days before the parcel
    ("s2", "2024-04-10", None, "nps", None, "o1"),  # o4 is ordered at that moment, o1 long here
    ("s3", "2024-06-15", "2024-06-18", "nps", 7, None),  # o6 is on its way
    ("s4", "2024-06-25T06:00", "2024-06-27", "nps", 6, "o5"),  # k4 is open, o5 has come
    ("s5", "2024-06-28", "2024-07-01", "ces", 1, None),  # answered too late to be known
]
MAILS = ["2024-04-08T05:00", "2024-05-10", "2024-06-30", "2024-07-01"]
REFUNDS = ["2024-04-30T23:00", "2024-06-20"]  # k3 came less than 30 days before the first one


def moment(text):
    return None if text is None else dt.datetime.fromisoformat(text)


def dated(row):
    return {k: moment(v) if k.endswith(("_at", "ts")) else v for k, v in row.items()}


def logs():
    orders = [
        {"transaction_id": i, "ts": ts, "promised_at": p, "delivered_at": d, "amount": 10} | more
        for i, ts, p, d, more in ORDERS
    ]
    orders += [{"ts": ts, "amount": -5} for ts in REFUNDS]
    tickets = [
        {"interaction_id": i, "opened_at": at, "first_response_at": r, "resolved_at": s} | more
        for i, at, r, s, more in TICKETS
    ]
    surveys = [
        {"survey_id": i, "sent_at": at, "answered_at": a, "kind": k, "score": s,
         "transaction_id": o}
        for i, at, a, k, s, o in SURVEYS
    ]  # fmt: skip
    mails = [{"ts": ts, "event": "news", "group": "email"} for ts in MAILS]
    made = {"transactions": orders, "interactions": tickets, "surveys": surveys, "events": mails}
    return {n: [dated(r) | {"customer_id": "ann"} for r in rows] for n, rows in made.items()}


def loaded_at_once(rows):
    return [r | {"loaded_at": next(r[c] for c in STARTS if c in r)} for r in rows]


STARTS = ("ts", "opened_at", "sent_at")

# o1 on time; o2 3 days late; o3 10 days late when called off; o4 1.5 days; o6 15 days by now
DELIVERIES = {
    "on_time_share_90d": 0 / 2,  # o4, o6; o7 may still come in time
    "on_time_share_365d": 0 / 4,
    "on_time_share": 1 / 5,
    "on_time_share_last3": 0 / 2,  # o4, o6, and o7, which is not known yet
    "days_late_mean_90d": (1.5 + 15) / 2,
    "days_late_mean_365d": (3 + 10 + 1.5 + 15) / 4,
    "days_late_mean": (0 + 3 + 10 + 1.5 + 15) / 5,
    "days_late_worst_365d": 15,
    "days_late_worst": 15,
    "days_late_last": 15,
    "late_deliveries_90d": 2,
    "late_deliveries_365d": 4,
    "late_since_last_purchase": 1,  # o6 is overdue
    "open_orders": 2,
    "overdue_orders": 1,
    "overdue_days_oldest": 15,
    "delivery_days_mean_365d": (7 + 11.5 + 2 + 21) / 4,
    "delivery_days_mean": (3 + 7 + 11.5 + 2 + 21) / 5,
    "promised_days_mean_365d": (4 + 2 + 10 + 6 + 20) / 5,
    "partner_share[Post]_365d": 1 / 2,
    "partner_share[other]_365d": 1 / 2,
    "items_per_order_365d": (4 + 2.5) / 2,
    "items_per_order": (1 + 4 + 2.5) / 3,
}
# hours to the first reply: k1 1, k2 25, k3 0.5, k4 12 (closed without one), k5 1 by now
# hours until solved: k1 24, k2 168 (the closing after it was opened again), k3 10, k4 12, k5 1
TICKET_COLUMNS = {
    "tickets_90d": 4,
    "tickets_365d": 4,
    "tickets": 5,
    "days_since_last_ticket": 0,
    "first_response_hours_median_90d": (1 + 12) / 2,
    "first_response_hours_median_365d": (1 + 12) / 2,
    "first_response_hours_median": 1,
    "first_response_hours_median_last3": 1,
    "first_response_hours_worst_90d": 25,
    "first_response_hours_worst_365d": 25,
    "first_response_hours_last": 1,
    "answered_within_2h_share_90d": 1 / 3,  # k5 is too young to be asked
    "answered_within_2h_share_365d": 1 / 3,
    "slow_responses_90d": 1,
    "slow_responses_365d": 1,
    "resolution_hours_median_90d": (10 + 12) / 2,
    "resolution_hours_median_365d": (10 + 12) / 2,
    "resolution_hours_median": 12,
    "resolution_hours_worst_365d": 168,
    "resolution_hours_last": 1,
    "tickets_open": 1,
    "open_ticket_age_max": 1 / 24,
    "reopened_share_365d": 1 / 4,
    "reopened_share": 1 / 5,
    "escalated_share_365d": 1 / 4,
    "escalated_share": 1 / 5,
    "reopens_mean_365d": 1,
    "handoffs_mean_365d": 2,  # k3 closes after the cutoff, and k5 is open
    "handoffs_mean": 2,
    "replies_mean_365d": 4,
    "wait_seconds_mean_365d": 45,
    "wait_seconds_mean": 45,
    "wait_seconds_worst_365d": 60,
    "repeat_contacts_90d": 1,  # k3 six days after k2
    "repeat_contacts_365d": 1,
    "channel_switches_365d": 1,
    "order_ticket_share_365d": 1 / 4,
    "tickets_of_kind[complaint]_90d": 2,
    "tickets_of_kind[complaint]_365d": 2,
    "tickets_of_kind[return]_90d": 1,
    "tickets_of_kind[return]_365d": 1,
    "topic_share[late]_365d": 3 / 4,
    "topic_share[other]_365d": 1 / 4,
    "ticket_channel_share[mail]_365d": 2 / 3,
    "ticket_channel_share[other]_365d": 1 / 3,
    "outbound_contacts_90d": 1,
    "outbound_contacts_365d": 1,
    "tickets_per_order_365d": 4 / 6,
    "tickets_per_order": 5 / 7,
}
CONTACT = {
    "surveys_before_arrival_90d": 2,  # s3 and s5
    "surveys_before_arrival_365d": 3,
    "surveys_before_arrival_share_365d": 3 / 5,
    "surveys_during_ticket_90d": 1,
    "surveys_during_ticket_365d": 1,
    "surveys_during_ticket_share_365d": 1 / 5,
    "emails_before_arrival_90d": 1,  # June 30: o6 and o7
    "emails_before_arrival_365d": 1,
    "emails_before_arrival_share_365d": 1 / 3,
    "emails_during_ticket_90d": 1,  # April 8: k2 was opened again, and k3 is open
    "emails_during_ticket_365d": 1,
    "emails_during_ticket_share_365d": 1 / 3,
    "refunds_after_ticket_90d": 1,
    "refunds_after_ticket_365d": 1,
    "low_scores_90d": 1,  # s4
    "low_scores_365d": 2,
    "bad_experiences_90d": 2 + 1 + 1,
    "bad_experiences_365d": 4 + 1 + 2,
}
EXPECTED = DELIVERIES | TICKET_COLUMNS | CONTACT


def build(typed, rows, longest=365):
    tables = typed.tables(rows, "Europe/Berlin")
    schema = typed.schema(tables, longest, settings=SETTINGS, **LEVELS)
    return schema, typed.matrix(tables, [CUTOFF], schema, "Europe/Berlin")


@pytest.mark.parametrize("late", [False, True], ids=["known at once", "loaded late"])
def test_one_customer_by_hand(typed, features_of, late):
    rows = logs()
    if late:
        rows = {n: loaded_at_once(r) if n != "events" else r for n, r in rows.items()}
    schema, matrix = build(typed, rows)
    names = features_of("deliveries", "interactions", "effort", "contact")
    mine = [c.name for c in schema.columns() if c.feature in names]
    assert set(mine) == set(EXPECTED)
    assert matrix.iloc[0][mine].to_dict() == pytest.approx(EXPECTED, rel=1e-12)


def test_who_has_no_parcel_and_no_ticket_misses_averages_and_has_zero_counts(typed, features_of):
    rows = logs()
    rows["transactions"].append({"customer_id": "bob", "ts": moment("2024-06-01"), "amount": 5})
    schema, matrix = build(typed, rows)
    found = matrix.iloc[1].to_dict()
    names = features_of("deliveries", "interactions", "effort", "contact")
    units = {c.name: c.unit for c in schema.columns() if c.feature in names}
    never = ("open_ticket_age_max", "overdue_days_oldest", "tickets_per_order")
    for name, unit in units.items():
        is_zero = unit == "count" or name.startswith(never)
        assert found[name] == 0 if is_zero else math.isnan(found[name]), name


def test_an_early_parcel_does_not_make_up_for_a_late_one(typed):
    rows = {"transactions": [
        {"customer_id": "a", "ts": moment("2024-05-01"), "amount": 5,
         "promised_at": moment("2024-05-11"), "delivered_at": moment(day)}
        for day in ("2024-05-02", "2024-05-13")
    ]}  # fmt: skip
    found = build(typed, rows)[1].iloc[0]
    assert (found["days_late_mean"], found["days_late_worst"]) == (1, 2)
    assert found["days_late_last"] == 2  # of two orders of one moment the later parcel


@pytest.mark.parametrize(
    ("dates", "is_open"),
    [
        ({}, 1),
        ({"resolved_at": "2024-06-02"}, 0),
        ({"closed_at": "2024-06-02"}, 0),
        ({"resolved_at": "2024-06-02", "reopened_at": "2024-06-03"}, 1),
        ({"resolved_at": "2024-06-02", "reopened_at": "2024-06-03", "closed_at": "2024-06-04"}, 0),
        ({"resolved_at": "2024-06-02", "closed_at": "2024-06-03", "reopened_at": "2024-06-04"}, 1),
        ({"resolved_at": "2024-06-02", "reopened_at": "2024-07-03"}, 0),
    ],
)
def test_a_ticket_is_open_until_it_ends_and_after_it_was_opened_again(typed, dates, is_open):
    ticket = {"customer_id": "a", "opened_at": "2024-06-01"}
    empty = dict.fromkeys(("resolved_at", "closed_at", "reopened_at"))
    rows = {
        "transactions": [{"customer_id": "a", "ts": moment("2024-05-01"), "amount": 5}],
        "interactions": [dated(ticket | empty | dates)],
        "surveys": [dated({"customer_id": "a", "sent_at": "2024-06-05", "kind": "nps"})],
    }
    found = build(typed, rows)[1].iloc[0]
    assert found["tickets_open"] == is_open
    assert found["surveys_during_ticket_90d"] == is_open
