"""Every column about tickets recomputed by plain SQL from what was known at each cutoff."""

import pytest

AGE = "date_diff('second', began, cutoff)"
VIEWS = {
    "mine": """
        SELECT *, opened_at AS began, date_trunc('second', opened_at) AS clock,
            least(resolved_at, closed_at) AS ended,
            list_min(list_filter([resolved_at, closed_at],
                lambda x: x IS NOT NULL AND coalesce(x > reopened_at, true))) AS solved
        FROM interactions_ WHERE coalesce(direction, 'in') = 'in'""",
    "k": f"""
        SELECT *, {AGE} AS age,
            dense_rank() OVER (PARTITION BY customer_id ORDER BY opened_at DESC) AS newest,
            greatest(0, date_diff('second', opened_at,
                coalesce(first_response_at, ended, cutoff))) AS waited,
            greatest(0, date_diff('second', opened_at, coalesce(solved, cutoff))) AS took,
            lag(opened_at) OVER same AS before_at, lag(channel) OVER same AS before_channel
        FROM mine
        WINDOW same AS (PARTITION BY customer_id, topic
                        ORDER BY opened_at, interaction_id, channel)""",
    "o": "SELECT *, opened_at AS began FROM interactions_ WHERE direction = 'out'",
    "orders": """
        SELECT customer_id, ts AS began FROM transactions_
        WHERE kind = 'purchase' AND amount > 0""",
    "both_": """
        SELECT customer_id, began, 1 AS is_order FROM orders
        UNION ALL SELECT customer_id, began, 0 FROM k""",
}
N = "nullif(count(*) FILTER ({w}), 0)"
AGAIN = "topic IS NOT NULL AND date_diff('second', before_at, began) <= 604800"


def hours(aggregate, column):
    return f"{aggregate}({column}) FILTER ({{w}}) / 3600"


def mean(column):
    return f"avg({column}) FILTER ({{w}})"


def last(column):
    return f"first({column} ORDER BY clock DESC, {column} DESC) / 3600"


def share(condition):
    return f"count(*) FILTER ({condition} AND {{w}}) / {N}"


ORACLE = {
    "tickets": ("k", 0, "count(*) FILTER ({w})"),
    "days_since_last_ticket": (
        "k", "NULL",
        "date_diff('day', max(day), any_value(today)) - 1",
    ),
    "tickets_per_order": (
        "both_", "NULL",
        "count(*) FILTER (is_order = 0 AND {w}) "
        "/ nullif(count(*) FILTER (is_order = 1 AND {w}), 0)",
    ),
    "first_response_hours_median": ("k", "NULL", hours("median", "waited")),
    "first_response_hours_worst": ("k", "NULL", hours("max", "waited")),
    "first_response_hours_last": ("k", "NULL", last("waited")),
    "answered_within_2h_share": (
        "k", "NULL",
        "count(*) FILTER (waited <= 7200 AND age >= 7200 AND {w}) "
        "/ nullif(count(*) FILTER (age >= 7200 AND {w}), 0)",
    ),
    "slow_responses": ("k", 0, "count(*) FILTER (waited > 86400 AND {w})"),
    "resolution_hours_median": ("k", "NULL", hours("median", "took")),
    "resolution_hours_worst": ("k", "NULL", hours("max", "took")),
    "resolution_hours_last": ("k", "NULL", last("took")),
    "tickets_open": ("k", 0, "count(*) FILTER (solved IS NULL)"),
    "open_ticket_age_max": (
        "k", 0, "coalesce(max(age) FILTER (solved IS NULL), 0) / 86400",
    ),
    "reopened_share": ("k", "NULL", share("reopened_at IS NOT NULL")),
    "escalated_share": ("k", "NULL", share("escalated_at IS NOT NULL")),
    "reopens_mean": ("k", "NULL", mean("reopens")),
    "handoffs_mean": ("k", "NULL", mean("handoffs")),
    "replies_mean": ("k", "NULL", mean("replies")),
    "wait_seconds_mean": ("k", "NULL", mean("wait_seconds")),
    "wait_seconds_worst": ("k", "NULL", "max(wait_seconds) FILTER ({w})"),
    "repeat_contacts": ("k", 0, f"count(*) FILTER ({AGAIN} AND {{w}})"),
    "channel_switches": (
        "k", 0, f"count(*) FILTER ({AGAIN} AND channel != before_channel AND {{w}})",
    ),
    "order_ticket_share": ("k", "NULL", share("transaction_id IS NOT NULL")),
    "tickets_of_kind": ("k", 0, "count(*) FILTER (kind {level} AND {w})"),
    "topic_share": (
        "k", "NULL", "count(*) FILTER (topic {level} AND {w}) "
        "/ nullif(count(topic) FILTER ({w}), 0)",
    ),
    "ticket_channel_share": (
        "k", "NULL", "count(*) FILTER (channel {level} AND {w}) "
        "/ nullif(count(channel) FILTER ({w}), 0)",
    ),
    "outbound_contacts": ("o", 0, "count(*) FILTER ({w})"),
}  # fmt: skip
BY = {
    "tickets_of_kind": "interactions.kind",
    "topic_share": "interactions.topic",
    "ticket_channel_share": "interactions.channel",
}


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("interactions", "effort")


@pytest.mark.parametrize(
    ("zone", "late"),
    [("UTC", False), ("Europe/Berlin", False), ("Europe/Berlin", True), ("America/New_York", True)],
)
def test_every_column_agrees_with_plain_sql(typed, company, check_sql, zone, late):
    logs = company(f"tickets {zone} {late}", late=late)
    logs = {name: logs[name] for name in ("transactions", "interactions")}
    matrix = check_sql(typed, logs, zone, VIEWS, ORACLE, BY)
    same = [c for c in matrix if matrix[c].nunique() < 2]
    assert not same  # a column that never varies would agree with anything


def test_tickets_that_are_only_closed_have_an_end_too(typed, company, check_sql):
    logs = company("only closed")
    gone = ("resolved_at", "reopened_at")
    tickets = [{k: v for k, v in t.items() if k not in gone} for t in logs["interactions"]]
    lacking = "*, " + ", ".join(f"NULL::TIMESTAMP AS {c}" for c in gone)
    views = VIEWS | {
        "interactions_full": f"SELECT {lacking} FROM interactions_",
        "mine": VIEWS["mine"].replace("interactions_", "interactions_full"),
    }
    views = {"interactions_full": views.pop("interactions_full"), **views}
    logs = {"transactions": logs["transactions"], "interactions": tickets}
    matrix = check_sql(typed, logs, "UTC", views, ORACLE, BY)
    assert "resolution_hours_median" in matrix
    assert "reopened_share" not in matrix
