"""Random companies with all that is hard about experience, and how to compare with plain SQL."""

import datetime as dt
import random

import numpy as np
import pytest

from tenure.features.schema import OTHER
from tenure.features.spec import Last

CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
FIRST, SPAN = dt.datetime(2023, 1, 1), 730
TICK = dt.timedelta(microseconds=1)
SETTINGS = {
    "response_days": 14.0,
    "grace_days": 30.0,
    "counts_late_delivery": 1.0,
    "counts_slow_response": 1.0,
    "counts_low_score": 1.0,
}
LEVELS = {
    "partner": ("Post", "post", "o'x"),
    "interactions.kind": ("complaint", "return"),
    "interactions.topic": ("late", "Late", "bro'ken"),
    "interactions.channel": ("phone", "mail"),
    "surveys.kind": ("nps", "csat"),
    "surveys.touchpoint": (),
}


def _moment(rng, late_by=0):
    """Draw a moment, often on the very edge of a cutoff or window."""
    if rng.random() < 0.15:
        edge = dt.datetime.combine(rng.choice(CUTOFFS), dt.time())
        edge -= dt.timedelta(days=rng.choice([0, 0, 90, 365]))
        return edge + rng.choice([-TICK, dt.timedelta(), TICK])
    seconds = rng.choice([0, 0.5, 3600, 7199.9, 40_000])
    return FIRST + dt.timedelta(days=rng.randrange(SPAN), seconds=seconds)


def _after(rng, moment, *days):
    wait = rng.choice([None, *days])
    if wait is None:
        return None
    return moment + dt.timedelta(days=wait, seconds=rng.choice([0, 0, 0.7, 7200, 86_399.5]))


def _order(rng, customer, number):
    ts = _moment(rng)
    is_refund = rng.random() < 0.15
    return {
        "customer_id": customer,
        "ts": ts,
        "amount": -5 if is_refund else rng.choice([0, 7, 20, 20]),
        "transaction_id": None if rng.random() < 0.1 else f"t{number}",
        "promised_at": _after(rng, ts, 2, 4, 4, 30),
        "delivered_at": _after(rng, ts, 1, 2, 4, 4, 7, 60, 200),
        "cancelled_at": _after(rng, ts, 1, 5, 40) if rng.random() < 0.2 else None,
        "partner": rng.choice(["Post", "post", "o'x", "other", "", None]),
        "quantity": rng.choice([None, 1, 2, "2.5"]),
    }


def _ticket(rng, customer, number, orders):
    opened = _moment(rng)
    ends = _after(rng, opened, 0, 1, 5, 100)
    return {
        "customer_id": customer,
        "opened_at": opened,
        "interaction_id": None if rng.random() < 0.1 else f"i{number}",
        "first_response_at": _after(rng, opened, 0, 0, 0.0833, 1, 3, 50),
        "resolved_at": ends,
        "closed_at": _after(rng, ends or opened, 0, 2, 9, 80),
        "reopened_at": _after(rng, ends or opened, 0, 1, 30) if rng.random() < 0.3 else None,
        "escalated_at": _after(rng, opened, 1, 90),
        "direction": rng.choice(["in", "in", "in", None, "out"]),
        "kind": rng.choice(["question", "complaint", "request", "return", None]),
        "channel": rng.choice(["phone", "mail", "chat", None]),
        "topic": rng.choice(["late", "late", "Late", "bro'ken", "size", None]),
        "transaction_id": rng.choice([*orders, None, None]),
        "wait_seconds": rng.choice([None, 0, 30, 600]),
        "replies": rng.choice([None, 1, 5]),
        "handoffs": rng.choice([None, 0, 2]),
        "reopens": rng.choice([None, 0, 1]),
    }


def _survey(rng, customer, number, orders):
    sent = _moment(rng)
    answered = _after(rng, sent, 0, 1, 30)
    kind = rng.choice(["nps", "csat", "ces", "review", "exit"])
    best = {"nps": 10, "ces": 7, "exit": 0}.get(kind, 5)
    score = rng.randint(0 if kind == "nps" else 1, best) if best and answered else None
    return {
        "customer_id": customer,
        "sent_at": sent,
        "answered_at": answered,
        "kind": kind,
        "score": score,
        "survey_id": None if rng.random() < 0.1 else f"s{number}",
        "transaction_id": rng.choice([*orders, None, None, "unknown"]),
    }


def _company(seed, customers=60):
    rng = random.Random(seed)
    logs = {"transactions": [], "interactions": [], "surveys": [], "events": []}
    for number in range(customers):
        who = f"c{number}"
        mine = [_order(rng, who, f"{number}-{i}") for i in range(rng.choice([1, 2, 6, 15]))]
        names = [o["transaction_id"] for o in mine if o["transaction_id"]] or [None]
        logs["transactions"] += mine
        n = rng.choice([0, 1, 5, 15])
        logs["interactions"] += [_ticket(rng, who, f"{number}-{i}", names) for i in range(n)]
        logs["interactions"] += [
            _moved(ticket, _soon(rng))
            | {
                "interaction_id": f"again{number}-{i}",
                "channel": rng.choice(["phone", "mail", None]),
            }
            for i, ticket in enumerate(logs["interactions"][-n:] if n else [])
            if rng.random() < 0.5 and ticket["topic"]
        ]
        logs["surveys"] += [_survey(rng, who, f"{number}-{i}", names) for i in range(n)]
        logs["events"] += [
            {"customer_id": who, "ts": _moment(rng), "event": "x",
             "group": rng.choice(["email", "email", "use", None])}
            for _ in range(n)
        ]  # fmt: skip
    return logs


def _soon(rng):
    wait = rng.choice([0, 0.3, 2, 7, 7, 8])
    return dt.timedelta(days=wait, seconds=rng.choice([0, 0.4, 1]))


def _moved(row, by):
    return {k: v + by if isinstance(v, dt.datetime) else v for k, v in row.items()}


STARTS = {"transactions": "ts", "interactions": "opened_at", "surveys": "sent_at"}
IDS = {"transactions": "transaction_id", "interactions": "interaction_id", "surveys": "survey_id"}


def _loaded(rng, logs):
    """Load each row when it began, or late; and now and then again, corrected."""
    made = dict(logs)
    for name, start in STARTS.items():
        rows = []
        for row in logs[name]:
            wait = dt.timedelta(days=rng.choice([-1, 0, 0, 0, 3, 40]))
            rows.append(row | {"loaded_at": row[start] + wait})
            while row[IDS[name]] and rng.random() < 0.3:
                other = rng.choice(logs[name])
                kept = {IDS[name], *(c for c in row if c == start or c.endswith("_at"))}
                change = {k: other[k] for k in row if rng.random() < 0.3 and k not in kept}
                change |= {c: None for c in FACTS[name] if rng.random() < 0.2}
                moved = dt.timedelta(days=rng.choice([0, 0, -10, 10, 60]))
                again = _moved(rows[-1] | change, moved)
                later = dt.timedelta(days=rng.choice([1, 20, 100]))
                rows.append(again | {"loaded_at": rows[-1]["loaded_at"] + later})
        made[name] = rows
    return made


@pytest.fixture(scope="session")
def company():
    """Return a function that makes {table: rows} of a random company, loaded late or not."""

    def make(seed, *, late=False):
        logs = _company(seed)
        return _loaded(random.Random(seed), logs) if late else logs

    return make


NOW = """
WITH now AS (
    SELECT timezone('{zone}', TIMESTAMP '{day} 00:00:00') AT TIME ZONE 'UTC' AS cutoff,
        DATE '{day}' AS today
)"""


def seen(table, name, start, facts, hung):
    """Return the SQL of a table's rows as known at the cutoff: newest versions, hidden cells."""
    held = set(table.columns)
    cells = [f'"{c}"' for c in table.columns if c not in {*facts, *hung}]
    cells += [f"CASE WHEN {c} < cutoff THEN {c} END AS {c}" for c in facts if c in held]
    for c, on in hung.items():
        on = next((o for o in on if o in held), None)
        if c in held:
            cells.append(f"CASE WHEN {on} < cutoff THEN {c} END AS {c}" if on else f"NULL AS {c}")
    source = table.get_name()
    if "loaded_at" not in held:
        return f"SELECT {', '.join(cells)}, cutoff, today FROM {source}, now WHERE {start} < cutoff"
    key = f"coalesce({IDS[name]}, 'line ' || rowid)"
    return f"""SELECT {", ".join(cells)}, cutoff, today FROM (
        SELECT *, row_number() OVER (
            PARTITION BY {key} ORDER BY loaded_at DESC, {start} DESC) AS version
        FROM {source}, now WHERE {start} < cutoff AND loaded_at < cutoff
    ) WHERE version = 1"""


HUNG = {
    "interactions": {
        "wait_seconds": ["first_response_at"],
        **{c: ["closed_at", "resolved_at"] for c in ("replies", "handoffs", "reopens")},
    },
    "surveys": {"score": ["answered_at"]},
}
FACTS = {
    "transactions": ("delivered_at", "cancelled_at"),
    "interactions": (
        "first_response_at", "resolved_at", "closed_at", "reopened_at", "escalated_at",
    ),
    "surveys": ("answered_at",),
    "events": (),
}  # fmt: skip


def _formula(sql, column, day, zone, levels):
    inside = "true"
    if isinstance(column.window, Last):
        inside = f"newest <= {column.window.n}"
    elif column.window is not None:
        start = day - dt.timedelta(days=column.window)
        inside = f"began >= timezone('{zone}', TIMESTAMP '{start} 00:00:00') AT TIME ZONE 'UTC'"
    level = ""
    if column.level is not None:
        quoted = {x: "'" + x.replace("'", "''") + "'" for x in (*levels, column.level)}
        named = ", ".join(quoted[x] for x in levels)
        level = f"NOT IN ({named})" if column.level == OTHER else f"= {quoted[column.level]}"
    return sql.format(w=inside, level=level)


def _recompute(con, tables, day, zone, schema, views, oracle, by):
    parts = [NOW.format(zone=zone, day=day)]
    for name, table in tables.items():
        start = STARTS.get(name, "ts")
        rows = seen(table, name, start, FACTS[name], HUNG.get(name, {}))
        parts.append(f", {name}_ AS ({rows})")
    parts += [f", {name} AS ({sql})" for name, sql in views.items()]
    people = "SELECT DISTINCT customer_id FROM transactions_ WHERE kind = 'purchase' AND amount > 0"
    parts.append(f", people AS ({people})")
    made = {}
    columns = [c for c in schema.columns() if c.feature in oracle]
    for i, column in enumerate(columns):
        source, empty, sql = oracle[column.feature]
        sql = _formula(sql, column, day, zone, schema.levels.get(by.get(column.feature), ()))
        made.setdefault(source, []).append((f"CAST({sql} AS DOUBLE) AS x{i}", f"x{i}", empty))
    joins = " ".join(
        f"LEFT JOIN (SELECT customer_id, {', '.join(a for a, _, _ in cells)} FROM {source} "
        "GROUP BY 1) USING (customer_id)"
        for source, cells in made.items()
    )
    empties = {x: e for cells in made.values() for _, x, e in cells}
    names = [f"x{i}" for i in range(len(columns))]
    chosen = ", ".join(f"coalesce({x}, {empties[x]})" for x in names)
    query = f"{' '.join(parts)} SELECT customer_id, {chosen} FROM people {joins}"
    return columns, {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


def _compare(matrix, day, columns, expected):
    part = matrix[matrix["cutoff"] == str(day)]
    assert sorted(part["customer_id"]) == sorted(expected)
    got = part[[c.name for c in columns]].to_numpy(np.float64)
    want = np.array([expected[who] for who in part["customer_id"]], np.float64)
    same = np.isclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)
    who = part["customer_id"].to_numpy()
    wrong = [(who[i], columns[j].name, got[i, j], want[i, j]) for i, j in np.argwhere(~same)]
    assert not wrong, f"{len(wrong)} values differ at {day}, first: {wrong[:5]}"


@pytest.fixture(scope="session")
def check_sql():
    """Return a function that compares features with SQL and gives the matrix back.

    `views` are CTEs {name: sql} over `transactions_`, `interactions_` … (rows as known at the
    cutoff); `oracle` is {feature: (CTE, value of no rows, aggregate)}; a CTE's `began` decides
    the window and `newest` its place; `by` names the level column of a feature.
    """

    def check(typed, logs, zone, views, oracle, by):
        tables = typed.tables(logs, zone)
        schema = typed.schema(tables, settings=SETTINGS, **LEVELS)
        matrix = typed.matrix(tables, CUTOFFS, schema, zone)
        for day in CUTOFFS:
            found = _recompute(typed.con, tables, day, zone, schema, views, oracle, by)
            _compare(matrix, day, *found)
        return matrix[[c.name for c in found[0]]]

    return check
