"""Every column on events and campaign contacts recomputed by plain SQL, one cutoff at a time.

Nothing is shared with the implementation but the names of the columns: rows are never collapsed,
what was known is worked out per cutoff, and different values are counted as such.
"""

import datetime as dt
import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tenure.features import events, treatments  # noqa: F401  (importing registers the features)
from tenure.features.matrix import plan_schema

SOURCES = """
WITH now AS (
    SELECT timezone('{zone}', TIMESTAMP '{day} 00:00:00') AT TIME ZONE 'UTC' AS cutoff
), e AS (
    SELECT customer_id, event, coalesce("group", 'use') AS grp, user_id, channel, value,
        CAST(timezone('{zone}', ts AT TIME ZONE 'UTC') AS DATE) AS local_day, true AS here
    FROM {events}, now WHERE ts < cutoff AND coalesce(loaded_at < cutoff, true)
), t AS (
    SELECT customer_id, true AS here,
        CAST(timezone('{zone}', ts AT TIME ZONE 'UTC') AS DATE) AS local_day
    FROM {treatments}, now WHERE ts < cutoff AND treated AND coalesce(loaded_at < cutoff, true)
), people AS (SELECT DISTINCT customer_id FROM {buyers})
"""
COUNT = "count(*) FILTER ({{w}} AND grp = '{}')"
SINCE = "DATE '{{day}}' - max(local_day) FILTER (grp = '{}') - 1"
DAYS = "count(DISTINCT local_day) FILTER ({} AND grp = 'use')"
VISITED = "{w} AND grp IN ('visit', 'use') AND channel IS NOT NULL"

# {w}: inside the window; {half}: inside its newer half; {level}: in the by-column's level
ORACLE = {
    "use_days": ("e", DAYS.format("{w}")),
    "days_since_use": ("e", SINCE.format("use")),
    "use_trend": ("e", f"{DAYS.format('{half}')} / nullif({DAYS.format('{w}')}, 0)"),
    "use_breadth": ("e", "count(DISTINCT event) FILTER ({w} AND grp = 'use')"),
    "active_users": ("e", "count(DISTINCT user_id) FILTER ({w} AND grp = 'use')"),
    "failed_payments": ("e", COUNT.format("payment_failed")),
    "days_since_failed_payment": ("e", SINCE.format("payment_failed")),
    "emails": ("e", COUNT.format("email")),
    "cart_events": ("e", COUNT.format("cart")),
    "visits": ("e", COUNT.format("visit")),
    "days_since_visit": ("e", SINCE.format("visit")),
    "loyalty_events": ("e", COUNT.format("loyalty")),
    "loyalty_value": ("e", "coalesce(sum(value) FILTER ({w} AND grp = 'loyalty'), 0)"),
    "incidents": ("e", COUNT.format("incident")),
    "days_since_incident": ("e", SINCE.format("incident")),
    "visit_channel_share": (
        "e", f"count(*) FILTER ({VISITED} AND {{level}}) / nullif(count(*) FILTER ({VISITED}), 0)"
    ),
    "campaign_contacts": ("t", "count(*) FILTER ({w})"),
    "days_since_campaign_contact": ("t", "DATE '{day}' - max(local_day) - 1"),
}  # fmt: skip
GROUPS = ("cart", "email", "incident", "loyalty", "payment_failed", "use", "visit")


def text(value):
    return "'" + value.replace("'", "''") + "'"


def formula(column, day, levels):
    """Return the source and the SQL of one column."""
    inside = half = "here"
    if column.window is not None:
        inside = f"here AND local_day >= DATE '{day}' - {column.window}"
        half = f"here AND local_day >= DATE '{day}' - {column.window // 2}"
    level = ""
    if column.level is not None:
        named = ", ".join(map(text, levels["events.channel"]))
        level = f"channel = {text(column.level)}"
        level = f"channel NOT IN ({named})" if column.level == "other" else level
    source, sql = ORACLE[column.feature]
    return source, sql.format(w=inside, half=half, level=level, day=day)


CELLS = {
    "group": "VARCHAR", "user_id": "VARCHAR", "channel": "VARCHAR", "value": "DECIMAL(18, 4)",
    "loaded_at": "TIMESTAMP",
}  # fmt: skip


def whole(log):
    table = log.get_name()
    for name, kind in CELLS.items():
        if name not in log.columns:
            table = f'(SELECT *, CAST(NULL AS {kind}) AS "{name}" FROM {table})'
    return table


def recompute(con, logs, day, zone, columns, levels):
    """Return {customer: [value of each column]} by plain SQL."""
    head = SOURCES.format(
        zone=zone, day=day, events=whole(logs["events"]), treatments=whole(logs["treatments"]),
        buyers=logs["transactions"].get_name(),
    )  # fmt: skip
    made = {"e": [], "t": []}
    for i, column in enumerate(columns):
        source, sql = formula(column, day, levels)
        made[source].append(f"CAST({sql} AS DOUBLE) AS x{i}")
    parts = [
        f"(SELECT customer_id, {', '.join(sqls)} "
        f"FROM people LEFT JOIN {source} USING (customer_id) GROUP BY 1)"
        for source, sqls in made.items()
    ]
    names = ", ".join(f"x{i}" for i in range(len(columns)))
    query = f"{head} SELECT customer_id, {names} FROM {' JOIN '.join(parts)} USING (customer_id)"
    return {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(2, 30), dt.time(9), dt.time(23, 59, 59, 999999)]


def world(seed, late):
    """Return random events and campaigns of some seventy customers, and one purchase of each."""
    rng = random.Random(seed)
    first, rows, contacts = dt.date(2023, 1, 1), [], []
    for number in range(70):
        born, busy = rng.randrange(700), rng.choice([0, 1, 3, 10, 40])
        for _ in range(busy):
            day = first + dt.timedelta(days=min(730, born + int(rng.expovariate(1 / 60))))
            rows += [event(rng, f"c{number}", day) for _ in range(rng.choice([1, 1, 2, 3]))]
        days = [first + dt.timedelta(rng.randrange(730)) for _ in range(rng.choice([0, 0, 1, 5]))]
        contacts += [contact(rng, f"c{number}", day) for day in days]
    for number, cutoff in enumerate(CUTOFFS):  # the very edges
        for back in (0, 30, 60, 90, 180, 365):
            for day, time in around(cutoff - dt.timedelta(days=back)):
                rows += [event(rng, f"c{number}", day, time) for _ in range(3)]
                contacts.append(contact(rng, f"c{number}", day, time))
    if late:
        for row in (*rows, *contacts):
            wait = dt.timedelta(days=rng.choice([-1, 0, 0, 0, 3, 40]))
            row["loaded_at"] = row["ts"] + wait
    bought = dt.datetime(2022, 12, 1)
    orders = [{"customer_id": f"c{n}", "ts": bought, "amount": 1} for n in range(72)]
    return {"transactions": orders, "events": rows, "treatments": contacts}


def around(edge):
    before = edge - dt.timedelta(days=1)
    return [(before, TIMES[-1]), (edge, TIMES[0]), (edge, TIMES[1])]


def event(rng, customer, day, time=None):
    return {
        "customer_id": customer,
        "ts": dt.datetime.combine(day, time or rng.choice(TIMES)),
        "event": rng.choice(["open", "Open", "export", "it's", ""]),
        "group": rng.choice([*GROUPS, "use", None]),
        "user_id": rng.choice([None, "u1", "u2", "u3"]),
        "channel": rng.choice([None, "app", "App", "web", "o'clock", "kiosk"]),
        "value": rng.choice([None, 0, 5, "-2.5", "0.0001"]),
    }


def contact(rng, customer, day, time=None):
    return {
        "customer_id": customer,
        "ts": dt.datetime.combine(day, time or rng.choice(TIMES)),
        "campaign": rng.choice(["spring", "autumn"]),
        "treated": rng.random() < 0.6,
        "cost": 1,
    }


def assert_equal(matrix, expected, day, columns):
    assert list(matrix["customer_id"]) == sorted(expected)
    got = matrix[[c.name for c in columns]].to_numpy(np.float64)
    want = np.array([expected[customer] for customer in matrix["customer_id"]], np.float64)
    same = np.isclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)
    who = matrix["customer_id"].to_numpy()
    wrong = [(who[i], columns[j].name, got[i, j], want[i, j]) for i, j in np.argwhere(~same)]
    assert not wrong, f"{len(wrong)} values differ at {day}, first: {wrong[:5]}"


def check(typed, mine, rows, zone, groups=GROUPS):
    logs = typed.tables(rows, zone)
    levels = {}
    if "channel" in logs["events"].columns:
        levels["events.channel"] = ("App", "app", "o'clock")
    if "group" in logs["events"].columns:  # as the loader always leaves it
        levels["events.group="] = groups
    schema = typed.schema(logs, 365, **levels)
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
    matrix = check(typed, features_of("events", "treatments"), world(f"{zone} {late}", late), zone)
    assert not [c for c in matrix if matrix[c].isna().all()]  # it would agree with anything
    assert (matrix.nunique() > 1).all()


@pytest.mark.parametrize(
    "kept",
    [(), ("group",), ("group", "user_id", "loaded_at"), ("channel",), ("group", "value")],
)
def test_columns_that_a_log_lacks_are_left_out(typed, features_of, kept):
    logs = world(f"bare {kept}", "loaded_at" in kept)
    always = {"customer_id", "ts", "event"}
    rows = [{k: v for k, v in row.items() if k in always | set(kept)} for row in logs["events"]]
    matrix = check(typed, features_of("events", "treatments"), logs | {"events": rows}, "UTC")
    for name in ("use_days_30d", "visits_30d", "emails_30d"):
        assert (name in matrix) == ("group" in kept)
    assert ("active_users_30d" in matrix) == ("user_id" in kept)
    assert ("loyalty_value" in matrix) == ("value" in kept)
    assert ("visit_channel_share[app]_90d" in matrix) == ("channel" in kept)


def test_groups_that_a_company_does_not_record_are_left_out(typed, features_of):
    rows = world("few groups", late=False)
    matrix = check(typed, features_of("events"), rows, "UTC", groups=("email", "use"))
    assert {"use_days_30d", "emails_30d"} <= set(matrix)
    assert not {"visits_30d", "incidents_90d", "failed_payments_90d"} & set(matrix)


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("events", "treatments")


@pytest.mark.parametrize("groups", [("visit",), ("use", "email")])
def test_only_the_groups_of_at_least_ten_customers_are_planned(typed, groups):
    start = dt.date(2023, 1, 1)
    rows = [
        {"customer_id": f"c{n}", "ts": start, "event": "e", "group": group}
        for group in GROUPS
        for n in range(10 if group in groups else 9)
    ]
    logs = typed.tables({"events": rows, "treatments": []})
    schema = plan_schema(logs, start, CUTOFFS[0], ZoneInfo("UTC"), {})
    built = {c.feature for c in schema.columns()}
    assert ("visits" in built) == ("visit" in groups)
    assert ("use_days" in built, "use_breadth" in built) == ("use" in groups,) * 2
    assert ("emails" in built) == ("email" in groups)
    assert "incidents" not in built
