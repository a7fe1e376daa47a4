"""Every column on subscriptions recomputed by plain SQL, one cutoff at a time, from the typed log.

Nothing is shared with the implementation but the names of the columns: what was known is worked
out per cutoff before anything is summed, and every feature has a formula of its own.
"""

import datetime as dt
import random

import numpy as np
import pytest

from tenure.features import subscriptions  # noqa: F401  (importing registers the features)

GRACE = 30
# `before` and `after` are the neighbours by start of one subscription; `back` says that no period
# of the customer that started earlier still ran 30 days before this one's start.
SOURCES = """
WITH now AS (
    SELECT timezone('{zone}', TIMESTAMP '{day} 00:00:00') AT TIME ZONE 'UTC' AS cutoff
), dated AS (
    SELECT *, rowid AS line FROM {table}, now
), visible AS ({visible}
), cells AS (
    SELECT * EXCLUDE (ended_at, end_reason, cancel_requested_at),
        coalesce(subscription_id, '') AS name,
        CAST(timezone('{zone}', started_at AT TIME ZONE 'UTC') AS DATE) AS local_day,
        CASE WHEN ended_at < cutoff
            THEN CAST(timezone('{zone}', ended_at AT TIME ZONE 'UTC') AS DATE) END AS ended,
        CASE WHEN ended_at < cutoff THEN coalesce(end_reason, 'voluntary') END AS reason,
        cancel_requested_at < cutoff AS noticed
    FROM visible
), numbered AS (
    SELECT *,
        row_number() OVER (PARTITION BY customer_id, name ORDER BY started_at, {ties}) AS i,
        row_number() OVER (PARTITION BY customer_id ORDER BY started_at, name, {ties}) AS n
    FROM cells
), beside AS (
    SELECT p.*, b.i IS NOT NULL AS changes, p.mrr - b.mrr AS step, p.seats - b.seats AS more,
        b.i IS NOT NULL AND p.plan IS NOT DISTINCT FROM b.plan AS same_plan,
        b.i IS NOT NULL AND p.seats IS NOT DISTINCT FROM b.seats AS same_seats,
        a.local_day AS next,
        p.ended IS NULL AND NOT (p.subscription_id IS NOT NULL AND a.i IS NOT NULL) AS runs
    FROM numbered p
    LEFT JOIN numbered b ON (b.customer_id, b.name, b.i) = (p.customer_id, p.name, p.i - 1)
    LEFT JOIN numbered a ON (a.customer_id, a.name, a.i) = (p.customer_id, p.name, p.i + 1)
), periods AS (
    SELECT *, true AS here,
        ended IS NOT NULL AND (next IS NULL OR next - ended > {grace}) AS ends,
        n > 1 AND NOT EXISTS (
            SELECT 1 FROM beside o WHERE o.customer_id = p.customer_id AND o.n < p.n
            AND (o.runs OR coalesce(o.ended, o.next) >= p.local_day - {grace})
        ) AS back
    FROM beside p
), people AS (SELECT DISTINCT customer_id FROM {buyers})
"""
KNOWN = """
    SELECT * FROM dated WHERE started_at < cutoff"""
NEWEST_KNOWN = """
    SELECT * EXCLUDE (version) FROM (
        SELECT *, row_number() OVER (
            PARTITION BY coalesce(subscription_id, 'line ' || line), started_at
            ORDER BY loaded_at DESC
        ) AS version
        FROM dated WHERE started_at < cutoff AND loaded_at < cutoff
    ) WHERE version = 1"""

RISES = "same_plan AND same_seats AND step > 0"
# {w}: inside the window; {level}: in the by-column's level
ORACLE = {
    "subscription_age_days":
        "CASE WHEN bool_or(runs) THEN DATE '{day}' - max(local_day) FILTER (n = 1 OR back) END",
    "days_since_first_subscription": "DATE '{day}' - min(local_day) - 1",
    "active_subscriptions": "count(*) FILTER (runs)",
    "plan_share": "count(*) FILTER (runs AND {level}) / nullif(count(plan) FILTER (runs), 0)",
    "mrr": "coalesce(sum(mrr) FILTER (runs), 0)",
    "mrr_change": "coalesce(sum(step) FILTER ({w}), 0)",
    "mrr_change_last": "(list(step ORDER BY n DESC) FILTER (step <> 0))[1]",
    "plan_changes": "count(*) FILTER ({w} AND changes AND NOT same_plan)",
    "price_changes": "count(*) FILTER ({w} AND same_plan AND same_seats AND step <> 0)",
    "price_rises": f"count(*) FILTER ({{w}} AND {RISES})",
    "days_since_price_rise": f"DATE '{{day}}' - max(local_day) FILTER ({RISES}) - 1",
    "seats": "coalesce(sum(seats) FILTER (runs), 0)",
    "seats_change": "coalesce(sum(more) FILTER ({w}), 0)",
    "days_to_renewal":
        "(min(epoch_us(renews_at) // 1000000) FILTER (runs)"
        " - any_value(epoch_us(cutoff) // 1000000)) / 86400",
    "days_since_trial_end":
        "(any_value(epoch_us(cutoff) // 1000000) - max(epoch_us(trial_ends_at) // 1000000))"
        " / 86400",
    "ends_voluntary": "count(*) FILTER (ends AND reason = 'voluntary')",
    "ends_involuntary": "count(*) FILTER (ends AND reason = 'involuntary')",
    "returns": "count(*) FILTER (back)",
    "notices": "count(*) FILTER (noticed)",
}  # fmt: skip


def text(value):
    return "'" + value.replace("'", "''") + "'"


def formula(column, day, levels):
    inside = "here"
    if column.window is not None:
        inside = f"here AND local_day >= DATE '{day}' - {column.window}"
    level = ""
    if column.level is not None:
        named = ", ".join(map(text, levels["subscriptions.plan"]))
        level = f"plan = {text(column.level)}"
        level = f"plan NOT IN ({named})" if column.level == "other" else level
    return ORACLE[column.feature].format(w=inside, level=level, day=day)


CELLS = {
    "subscription_id": "VARCHAR", "ended_at": "TIMESTAMP", "end_reason": "VARCHAR",
    "cancel_requested_at": "TIMESTAMP", "renews_at": "TIMESTAMP", "trial_ends_at": "TIMESTAMP",
    "plan": "VARCHAR", "mrr": "DECIMAL(18, 4)", "seats": "BIGINT",
}  # fmt: skip


def recompute(con, logs, day, zone, columns, levels):
    """Return {customer: [value of each column]} by plain SQL."""
    log = logs["subscriptions"]
    has = set(log.columns)
    table = f"(SELECT *, rowid FROM {log.get_name()})"
    for name, kind in CELLS.items():
        if name not in has:
            table = f"(SELECT *, CAST(NULL AS {kind}) AS {name} FROM {table})"
    head = SOURCES.format(
        zone=zone, day=day, table=table, buyers=logs["transactions"].get_name(), grace=GRACE,
        visible=NEWEST_KNOWN if "loaded_at" in has else KNOWN, ties="plan, mrr, seats, ended",
    )  # fmt: skip
    made = [f"CAST({formula(c, day, levels)} AS DOUBLE)" for c in columns]
    query = (
        f"{head} SELECT customer_id, {', '.join(made)} "
        "FROM people LEFT JOIN periods USING (customer_id) GROUP BY 1"
    )
    return {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(2, 30), dt.time(9), dt.time(23, 59, 59, 999999)]
PLANS = ["basic", "Basic", "o'pro", "", "team", "odd", None]


def moment(rng, day):
    return dt.datetime.combine(day, rng.choice(TIMES))


def period(rng, customer, start):
    """Return one period, which runs on or has ended, in a plan, at a price."""
    ended = notice = None
    if rng.random() < 0.6:
        ended = start + dt.timedelta(days=rng.choice([0, 1, 20, 30, 31, 60, 200, 400]))
    if rng.random() < 0.3:
        notice = start + dt.timedelta(days=rng.choice([0, 5, 50, 300]))
    return {
        "customer_id": customer,
        "started_at": start,
        "ended_at": ended,
        "end_reason": ended and rng.choice([None, "voluntary", "involuntary"]),
        "cancel_requested_at": notice,
        "renews_at": rng.choice([None, start + dt.timedelta(days=rng.choice([30, 365]))]),
        "trial_ends_at": rng.choice([None, None, start + dt.timedelta(days=14)]),
        "plan": rng.choice(PLANS),
        "mrr": rng.choice([None, 0, "9.99", 10, 10, "12.5", 100]),
        "seats": rng.choice([None, 1, 1, 2, 50]),
    }


def subscription(rng, customer, name, day):
    """Return the periods of one subscription: changes, pauses, ends left open by the source."""
    rows, start = [], moment(rng, day)
    for _ in range(rng.choice([1, 1, 2, 4, 7])):
        row = period(rng, customer, start) | {"subscription_id": name}
        if rows and rng.random() < 0.6:  # the price alone changes
            row |= {"plan": rows[-1]["plan"], "seats": rows[-1]["seats"]}
        rows.append(row)
        wait = rng.choice([1, 29, 30, 31, 90, 365])
        start = moment(rng, ((row["ended_at"] or start) + dt.timedelta(days=wait)).date())
    return rows


def world(seed, late):
    """Return random subscriptions of some ninety customers, and one purchase of each."""
    rng = random.Random(seed)
    first, rows = dt.date(2022, 12, 1), []
    for number in range(80):
        for k in range(rng.choice([0, 1, 1, 2, 3])):
            name = None if rng.random() < 0.2 else f"s{number}.{k}"
            day = first + dt.timedelta(days=rng.randrange(700))
            rows += subscription(rng, f"c{number}", name, day)
    for number, cutoff in enumerate(CUTOFFS):  # the very edges
        for back in (0, 30, 365):
            edge = cutoff - dt.timedelta(days=back)
            for k, start in enumerate(around(edge)):
                name = f"e{number}.{back}.{k}"
                row = period(rng, f"c8{number + 1}", start) | {"subscription_id": name}
                old = row | {"started_at": start - dt.timedelta(days=500), "ended_at": start}
                asked = {"ended_at": None, "cancel_requested_at": start}
                rows += [row, old, old | asked | {"subscription_id": f"n{number}.{back}.{k}"}]
    if late:
        rows = [version for row in rows for version in versions(rng, row)]
    bought = dt.datetime(2022, 11, 1)
    orders = [{"customer_id": f"c{n}", "ts": bought, "amount": 1} for n in range(90)]
    return {"transactions": orders, "subscriptions": rows}


def around(edge):
    before = edge - dt.timedelta(days=1)
    days = [(before, TIMES[-1]), (edge, TIMES[0]), (edge, TIMES[1])]
    return [dt.datetime.combine(*one) for one in days]


def versions(rng, row):
    """Load a row when it began, or late; and now and then again, corrected."""
    row["loaded_at"] = row["started_at"] + dt.timedelta(days=rng.choice([-1, 0, 0, 0, 3, 40]))
    made = [row]
    while row["subscription_id"] and len(made) < 4 and rng.random() < 0.35:
        again = period(rng, row["customer_id"], row["started_at"])
        loaded = made[-1]["loaded_at"] + dt.timedelta(days=rng.choice([1, 20, 100]))
        same = {"subscription_id": row["subscription_id"], "loaded_at": loaded}
        made.append(again | same)
    return made


def assert_equal(matrix, expected, day, columns):
    assert list(matrix["customer_id"]) == sorted(expected)
    got = matrix[[c.name for c in columns]].to_numpy(np.float64)
    want = np.array([expected[customer] for customer in matrix["customer_id"]], np.float64)
    same = np.isclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)
    who = matrix["customer_id"].to_numpy()
    wrong = [(who[i], columns[j].name, got[i, j], want[i, j]) for i, j in np.argwhere(~same)]
    assert not wrong, f"{len(wrong)} values differ at {day}, first: {wrong[:5]}"


def check(typed, mine, rows, zone, longest=365):
    logs = typed.tables(rows, zone)
    levels = {}
    if "plan" in logs["subscriptions"].columns:
        levels["subscriptions.plan"] = ("", "Basic", "basic", "o'pro")
    schema = typed.schema(logs, longest, settings={"grace_days": float(GRACE)}, **levels)
    columns = [c for c in schema.columns() if c.feature in mine]
    matrix = typed.matrix(logs, CUTOFFS, schema, zone)
    for day in CUTOFFS:
        part = matrix[matrix["cutoff"] == str(day)]
        assert_equal(part, recompute(typed.con, logs, day, zone, columns, levels), day, columns)
    return matrix[[c.name for c in columns]]


@pytest.mark.parametrize(
    ("zone", "late"),
    [("UTC", False), ("Europe/Berlin", False), ("Europe/Berlin", True), ("America/New_York", True)],
)
def test_every_column_agrees_with_plain_sql(typed, features_of, zone, late):
    matrix = check(typed, features_of("subscriptions"), world(f"{zone} {late}", late), zone)
    assert not [c for c in matrix if matrix[c].isna().all()]  # it would agree with anything
    assert (matrix.nunique() > 1).all()


BARE = {"customer_id", "started_at"}


@pytest.mark.parametrize(
    "kept",
    [(), ("ended_at",), ("mrr", "subscription_id"), ("mrr", "plan", "seats"),
     ("loaded_at", "subscription_id", "ended_at", "end_reason")],
)  # fmt: skip
def test_columns_that_a_log_lacks_are_left_out(typed, features_of, kept):
    logs = world(f"bare {kept}", "loaded_at" in kept)
    rows = [
        {k: v for k, v in row.items() if k in BARE | set(kept)} for row in logs["subscriptions"]
    ]
    matrix = check(typed, features_of("subscriptions"), logs | {"subscriptions": rows}, "UTC")
    assert ("mrr" in matrix, "seats" in matrix) == ("mrr" in kept, "seats" in kept)
    assert ("plan_changes_365d" in matrix) == ("plan" in kept)
    assert ("ends_voluntary" in matrix, "ends_involuntary" in matrix) == (
        "ended_at" in kept,
        "end_reason" in kept,
    )
    assert not {"notices", "days_to_renewal", "days_since_trial_end"} & set(matrix)


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("subscriptions")
