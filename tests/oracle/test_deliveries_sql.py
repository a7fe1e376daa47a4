"""Every column about deliveries recomputed by plain SQL from what was known at each cutoff."""

import pytest

WHEN = "coalesce(delivered_at, cancelled_at, cutoff)"
VIEWS = {
    "bought": "SELECT * FROM transactions_ WHERE kind = 'purchase' AND amount > 0",
    "latest": "SELECT customer_id, max(ts) AS last_ts FROM bought GROUP BY 1",
    "d": f"""
        SELECT *, ts AS began, date_trunc('second', ts) AS clock,
            CASE WHEN promised_at IS NOT NULL THEN dense_rank() OVER (
                PARTITION BY customer_id, promised_at IS NULL ORDER BY ts DESC) END AS newest,
            delivered_at IS NULL AND cancelled_at IS NULL AND promised_at IS NOT NULL AS awaited,
            date_diff('second', promised_at, {WHEN}) AS over,
            greatest(0, date_diff('second', ts, delivered_at)) AS door,
            CASE WHEN delivered_at IS NOT NULL AND over <= 0 THEN 0
                 WHEN over > 0 THEN over END AS late
        FROM bought JOIN latest USING (customer_id)""",
    "p": "SELECT *, ts AS began FROM bought WHERE partner IS NOT NULL",
    "q": "SELECT *, ts AS began FROM bought WHERE quantity IS NOT NULL",
}
LATE = "late FILTER (promised_at IS NOT NULL AND {w})"
ORACLE = {
    "on_time_share": (
        "d", "NULL",
        "count(*) FILTER (late = 0 AND {w}) / nullif(count(late) FILTER ({w}), 0)",
    ),
    "days_late_mean": ("d", "NULL", "sum(late) FILTER ({w}) / count(late) FILTER ({w}) / 86400"),
    "days_late_worst": ("d", "NULL", "max(late) FILTER ({w}) / 86400"),
    "days_late_last": (
        "d", "NULL",
        "first(late ORDER BY clock DESC, late DESC) FILTER (late IS NOT NULL) / 86400",
    ),
    "late_deliveries": ("d", 0, "count(*) FILTER (late > 0 AND {w})"),
    "late_since_last_purchase": (
        "d", 0,
        "count(*) FILTER (late > 0 AND (delivered_at >= last_ts OR awaited))",
    ),
    "open_orders": ("d", 0, "count(*) FILTER (awaited)"),
    "overdue_orders": ("d", 0, "count(*) FILTER (awaited AND over > 0)"),
    "overdue_days_oldest": (
        "d", 0, "coalesce(max(over) FILTER (awaited AND over > 0), 0) / 86400",
    ),
    "delivery_days_mean": (
        "d", "NULL",
        "avg(CASE WHEN delivered_at IS NOT NULL THEN door WHEN awaited AND over > 0 "
        "THEN date_diff('second', ts, cutoff) END) FILTER ({w}) / 86400",
    ),
    "promised_days_mean": (
        "d", "NULL",
        "avg(greatest(0, date_diff('second', ts, promised_at))) "
        "FILTER (promised_at IS NOT NULL AND {w}) / 86400",
    ),
    "partner_share": (
        "p", "NULL", "count(*) FILTER (partner {level} AND {w}) / nullif(count(*) FILTER ({w}), 0)",
    ),
    "items_per_order": ("q", "NULL", "avg(CAST(quantity AS DOUBLE)) FILTER ({w})"),
}  # fmt: skip
BY = {"partner_share": "transactions.partner"}


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("deliveries")


@pytest.mark.parametrize(
    ("zone", "late"),
    [("UTC", False), ("Europe/Berlin", False), ("Europe/Berlin", True), ("America/New_York", True)],
)
def test_every_column_agrees_with_plain_sql(typed, company, check_sql, zone, late):
    logs = {"transactions": company(f"deliveries {zone} {late}", late=late)["transactions"]}
    matrix = check_sql(typed, logs, zone, VIEWS, ORACLE, BY)
    same = [c for c in matrix if matrix[c].nunique() < 2]
    assert not same  # a column that never varies would agree with anything


def test_a_log_without_promises_still_tells_how_long_parcels_took(typed, company, check_sql):
    rows = company("without promises")["transactions"]
    rows = [{k: v for k, v in row.items() if k != "promised_at"} for row in rows]
    views = VIEWS | {"bought": VIEWS["bought"].replace("*", "*, NULL::TIMESTAMP AS promised_at")}
    matrix = check_sql(typed, {"transactions": rows}, "UTC", views, ORACLE, BY)
    assert {c.split("_")[0] for c in matrix.columns} == {"delivery", "partner", "items"} | {
        c.split("_")[0] for c in matrix.columns if c.startswith("partner_share")
    }
