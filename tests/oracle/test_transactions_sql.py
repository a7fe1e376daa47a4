"""Every feature column recomputed by plain SQL, one cutoff at a time, from the raw typed log.

Nothing is shared with the implementation but the names of the columns: local days and instants
come from the engine's calendar, what was known is worked out per cutoff before anything is
summed, and every feature has a formula of its own.
"""

import datetime as dt
import random

import numpy as np
import pytest

from tenure.features.schema import OTHER
from tenure.features.spec import Last

# One row an event: what = 'bought' (purchases above 0) or 'back' (refunds, cancellations).
# One row a purchase day in `days`: gap to the one before, and place counted from the newest.
SOURCES = """
WITH now AS (
    SELECT timezone('{zone}', TIMESTAMP '{day} 00:00:00') AT TIME ZONE 'UTC' AS cutoff
), dated AS (
    SELECT *, rowid AS line,
        CAST(timezone('{zone}', ts AT TIME ZONE 'UTC') AS DATE) AS local_day
    FROM {table}
), visible AS ({visible}
), bought AS (
    SELECT * FROM visible WHERE kind = 'purchase' AND amount > 0
), back AS (
    SELECT customer_id, local_day, -amount AS amount FROM visible WHERE kind = 'refund'
    {cancelled}
), events AS (
    SELECT 'bought' AS what, customer_id, local_day, amount, {discount} AS discount,
        {channel} AS channel, {category} AS category FROM bought
    UNION ALL
    SELECT 'back', customer_id, local_day, amount, NULL, NULL, NULL FROM back
), spending AS (
    SELECT customer_id, local_day, sum(amount) AS spent FROM bought GROUP BY ALL
), days AS (
    SELECT *,
        local_day - lag(local_day) OVER (PARTITION BY customer_id ORDER BY local_day) AS gap,
        row_number() OVER (PARTITION BY customer_id ORDER BY local_day DESC) AS newest
    FROM spending
), first AS (
    SELECT customer_id, min(local_day) AS first_day, max(local_day) AS last_day,
        count(*) AS n FROM days GROUP BY ALL
), e AS (SELECT * FROM events JOIN first USING (customer_id)
), d AS (SELECT * FROM days JOIN first USING (customer_id))
"""
KNOWN = """
    SELECT * FROM dated, now WHERE ts < cutoff"""
NEWEST_KNOWN = """
    SELECT * EXCLUDE (version) FROM (
        SELECT *, row_number() OVER (
            PARTITION BY coalesce(transaction_id, 'line ' || line)
            ORDER BY loaded_at DESC, ts DESC
        ) AS version
        FROM dated, now WHERE ts < cutoff AND loaded_at < cutoff
    ) WHERE version = 1"""
CANCELLED = """
    UNION ALL
    SELECT customer_id,
        greatest(CAST(timezone('{zone}', cancelled_at AT TIME ZONE 'UTC') AS DATE), local_day),
        amount
    FROM visible WHERE kind = 'purchase' AND cancelled_at < cutoff"""

BOUGHT = "what = 'bought' AND {w}"
BACK = "what = 'back' AND {w}"
SPENT = f"coalesce(sum(amount) FILTER ({BOUGHT}), 0)"
GIVEN_BACK = f"coalesce(sum(amount) FILTER ({BACK}), 0)"
RECENT_HALF = "local_day >= DATE '{day}' - {half}"

# {w}: inside the window; {level}: in the by-column's level; {day}: the cutoff's day
ORACLE = {
    "purchase_days": ("d", "count(*) FILTER ({w})"),
    "orders": ("e", f"count(*) FILTER ({BOUGHT})"),
    "days_since_last_purchase": ("d", "date_diff('day', any_value(last_day), DATE '{day}') - 1"),
    "gap_mean": ("d", "avg(gap) FILTER ({w})"),
    "gap_last": ("d", "max(gap) FILTER (newest = 1)"),
    "gap_variation": ("d", "stddev_samp(gap) FILTER ({w}) / avg(gap) FILTER ({w})"),
    "overdue_ratio": ("d", "(DATE '{day}' - any_value(last_day) - 1) / avg(gap)"),
    "purchase_trend": (
        "d", f"count(*) FILTER ({RECENT_HALF}) / nullif(count(*) FILTER ({{w}}), 0)"
    ),
    "spend": ("d", "coalesce(sum(spent) FILTER ({w}), 0)"),
    "largest_basket": ("e", f"max(amount) FILTER ({BOUGHT})"),
    "average_basket": ("e", f"avg(CAST(amount AS DOUBLE)) FILTER ({BOUGHT})"),
    "spend_trend": (
        "d", f"CAST(coalesce(sum(spent) FILTER ({RECENT_HALF}), 0) AS DOUBLE)"
             " / sum(spent) FILTER ({w})",
    ),
    "refunds": ("e", f"count(*) FILTER ({BACK})"),
    "refunded": ("e", GIVEN_BACK),
    "refund_share": ("e", f"CAST({GIVEN_BACK} AS DOUBLE) / nullif({SPENT}, 0)"),
    "discount_share": (
        "e", f"1 - CAST({SPENT} AS DOUBLE) / sum(amount + coalesce(discount, 0)) FILTER ({BOUGHT})"
    ),
    "frequency": ("d", "count(*) - 1"),
    "recency": ("d", "any_value(last_day) - any_value(first_day)"),
    "T": ("d", "DATE '{day}' - any_value(first_day) - 1"),
    "monetary_value": (
        "e",
        "CASE WHEN any_value(n) > 1 THEN greatest(0, CAST(coalesce(sum(CASE what WHEN 'bought' "
        "THEN amount ELSE -amount END) FILTER (local_day > first_day), 0) AS DOUBLE)) "
        "/ (any_value(n) - 1) END",
    ),
    "channel_share": (
        "e", f"count(*) FILTER ({BOUGHT} AND channel IS NOT NULL AND {{level}}) "
             f"/ nullif(count(channel) FILTER ({BOUGHT}), 0)",
    ),
    "channels": ("e", f"count(DISTINCT channel) FILTER ({BOUGHT})"),
    "category_share": (
        "e", f"count(*) FILTER ({BOUGHT} AND category IS NOT NULL AND {{level}}) "
             f"/ nullif(count(category) FILTER ({BOUGHT}), 0)",
    ),
    "categories": ("e", f"count(DISTINCT category) FILTER ({BOUGHT})"),
}  # fmt: skip


def text(value):
    return "'" + value.replace("'", "''") + "'"


def formula(column, day, levels):
    """Return the source and the SQL of one column."""
    inside, half = "true", ""
    if isinstance(column.window, Last):
        inside = f"newest <= {column.window.n}"
    elif column.window is not None:
        inside = f"local_day >= DATE '{day}' - {column.window}"
        half = str(column.window // 2)
    level = ""
    if column.level is not None:
        by = column.feature.removesuffix("_share")
        named = ", ".join(map(text, levels[f"transactions.{by}"]))
        is_other = f"{by} NOT IN ({named})" if named else "true"
        level = is_other if column.level == OTHER else f"{by} = {text(column.level)}"
    source, sql = ORACLE[column.feature]
    return source, sql.format(w=inside, half=half, level=level, day=day)


def recompute(con, log, day, zone, schema):
    """Return {customer: [value of each schema column]} by plain SQL."""
    has = set(log.columns)
    parts = {
        "visible": NEWEST_KNOWN if "loaded_at" in has else KNOWN,
        "cancelled": CANCELLED.format(zone=zone) if "cancelled_at" in has else "",
        **{c: c if c in has else "NULL" for c in ("discount", "channel", "category")},
    }
    head = SOURCES.format(zone=zone, day=day, table=log.get_name(), **parts)
    made = {"d": [], "e": []}
    for i, column in enumerate(schema.columns()):
        source, sql = formula(column, day, schema.levels)
        made[source].append(f"CAST({sql} AS DOUBLE) AS x{i}")
    halves = [f"(SELECT customer_id, {', '.join(s)} FROM {k} GROUP BY 1)" for k, s in made.items()]
    names = ", ".join(f"x{i}" for i in range(len(schema.columns())))
    query = f"{head} SELECT customer_id, {names} FROM {' JOIN '.join(halves)} USING (customer_id)"
    return {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


CHANNELS = ["Web", "web", "WEB", 'sh"op', "o'clock", "other", "", None, "a b", "a_b"]
CATEGORIES = ["Tea", "tea", "<b>", "{level}", "x; DROP TABLE t;--", "ß", None, "Ω/%"]
CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(2, 30), dt.time(9), dt.time(23, 59, 59, 999999)]


def world(seed, zone, late):
    """Return a random log of some eighty customers with all that real logs hold."""
    rng = random.Random(seed)
    first, span = dt.date(2023, 1, 1), 730
    rows = []
    for number in range(80):
        born, busy = rng.randrange(span), rng.choice([1, 2, 5, 12, 30])
        for _ in range(busy):
            day = first + dt.timedelta(days=min(span, born + int(rng.expovariate(1 / 90))))
            rows += [event(rng, f"c{number}", day) for _ in range(rng.choice([1, 1, 2, 3]))]
    for number, cutoff in enumerate(CUTOFFS):  # the very edges, for customers of every kind
        for edge in (cutoff, cutoff - dt.timedelta(days=30), cutoff - dt.timedelta(days=365)):
            rows += [event(rng, f"c{number}", d, t) for d, t in around(edge)]
    for number, row in enumerate(rows):
        row["transaction_id"] = None if rng.random() < 0.1 else f"t{number}"
    return [version for row in rows for version in versions(rng, row)] if late else rows


def around(edge):
    before = edge - dt.timedelta(days=1)
    return [(before, TIMES[-1]), (edge, TIMES[0]), (edge, TIMES[1])]


def event(rng, customer, day, time=None):
    amount = rng.choice([0, 0.01, 5, 5, 19.99, 1234.5678, 100000])
    kind = "refund" if rng.random() < 0.2 else "purchase"
    moment = dt.datetime.combine(day, time or rng.choice(TIMES))
    undone = None
    if rng.random() < 0.25:  # now and then "before" the purchase, as clocks of two systems have it
        undone = moment + dt.timedelta(days=rng.choice([-1, 0, 0, 1, 20, 200]), hours=1)
    return {
        "customer_id": customer,
        "ts": moment,
        "kind": kind,
        "amount": -amount if kind == "refund" else amount,
        "discount": rng.choice([None, 0, 1.5, 20]),
        "channel": rng.choice(CHANNELS),
        "category": rng.choice(CATEGORIES),
        "cancelled_at": undone,
    }


def versions(rng, row):
    """Load a row when it happened, or late; and now and then again, corrected."""
    row["loaded_at"] = row["ts"] + dt.timedelta(days=rng.choice([-1, 0, 0, 0, 3, 40]))
    made = [row]
    while row["transaction_id"] and len(made) < 4 and rng.random() < 0.35:
        again = event(rng, row["customer_id"], row["ts"].date())
        again["ts"] += dt.timedelta(days=rng.choice([0, 0, -10, 10, 60]))
        wait = dt.timedelta(days=rng.choice([1, 20, 100]))
        again |= {
            "transaction_id": row["transaction_id"],
            "loaded_at": made[-1]["loaded_at"] + wait,
        }
        made.append(again)
    return made


def assert_equal(matrix, expected, day, columns):
    assert list(matrix["customer_id"]) == sorted(expected)
    got = matrix[matrix.columns[2:]].to_numpy(np.float64)
    want = np.array([expected[customer] for customer in matrix["customer_id"]], np.float64)
    same = np.isclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)
    who = matrix["customer_id"].to_numpy()
    wrong = [(who[i], columns[j].name, got[i, j], want[i, j]) for i, j in np.argwhere(~same)]
    assert not wrong, f"{len(wrong)} values differ at {day}, first: {wrong[:5]}"


def check(typed, rows, zone, longest=365, **levels):
    log = typed.log(rows, zone)
    schema = typed.schema(log, longest, **levels)
    columns = schema.columns()
    matrix = typed.matrix(log, CUTOFFS, schema, zone)
    assert list(matrix.columns[2:]) == [c.name for c in columns]
    for day in CUTOFFS:
        part = matrix[matrix["cutoff"] == str(day)]
        assert_equal(part, recompute(typed.con, log, day, zone, schema), day, columns)
    return matrix


LEVELS = {
    "channel": ("Web", "web", 'sh"op', "o'clock", ""),
    "category": ("Tea", "tea", "<b>", "{level}", "x; DROP TABLE t;--"),
}


@pytest.mark.parametrize(
    ("zone", "late"),
    [("UTC", False), ("Europe/Berlin", False), ("Europe/Berlin", True), ("America/New_York", True)],
)
def test_every_column_agrees_with_plain_sql(typed, zone, late):
    matrix = check(typed, world(f"{zone} {late}", zone, late), zone, **LEVELS)
    empty = [c for c in matrix.columns[2:] if matrix[c].isna().all()]
    assert not empty  # a column that is always missing would agree with anything
    assert (matrix[matrix.columns[2:]].nunique() > 1).all()


@pytest.mark.parametrize("kept", [(), ("discount",), ("channel",), ("category", "loaded_at")])
def test_columns_that_a_log_lacks_are_left_out(typed, kept):
    always = {"customer_id", "ts", "amount", "kind", "transaction_id"}
    rows = world(f"bare {kept}", "UTC", "loaded_at" in kept)
    rows = [{k: v for k, v in row.items() if k in always | set(kept)} for row in rows]
    matrix = check(typed, rows, "UTC", 30, **{k: v for k, v in LEVELS.items() if k in kept})
    built = {name.split("_")[0] for name in matrix.columns}
    assert ("discount" in built, "channel" in built, "category" in built) == tuple(
        c in kept for c in ("discount", "channel", "category")
    )


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("transactions", "rfm")


@pytest.mark.parametrize("late", [False, True])
def test_the_random_logs_hold_what_they_should(typed, late):
    rows = world("Europe/Berlin " + str(late), "Europe/Berlin", late)
    first = {}
    for row in sorted(rows, key=lambda r: r["ts"]):
        if row["kind"] == "purchase" and row["amount"] > 0:
            first.setdefault(row["customer_id"], row["ts"])
    refunds = [r for r in rows if r["kind"] == "refund"]
    bought_on = {(r["customer_id"], r["ts"].date()) for r in rows if r["kind"] == "purchase"}
    assert any(r["ts"] < first.get(r["customer_id"], r["ts"]) for r in refunds)
    assert any((r["customer_id"], r["ts"].date()) in bought_on for r in refunds)
    assert any((r["customer_id"], r["ts"].date()) not in bought_on for r in refunds)
    assert any(r["amount"] == 0 and r["kind"] == "purchase" for r in rows)
    assert any(r["cancelled_at"] and r["cancelled_at"] < r["ts"] for r in rows)
    assert any(r["cancelled_at"] and r["cancelled_at"].date() > r["ts"].date() for r in rows)
    assert any(r["ts"] == dt.datetime.combine(day, dt.time()) for r in rows for day in CUTOFFS)
    assert len(bought_on) < sum(r["kind"] == "purchase" for r in rows)
    assert ({"loaded_at"} <= rows[0].keys()) is late
