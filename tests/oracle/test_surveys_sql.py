"""Every column on surveys recomputed by plain SQL, one cutoff at a time, from the raw typed log.

Nothing is shared with the implementation but the names of the columns: what was known is worked
out per cutoff before anything is summed, and every feature has a formula of its own.
"""

import datetime as dt
import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tenure.features import surveys  # noqa: F401  (importing registers the features)
from tenure.features.matrix import plan_schema

SOURCES = """
WITH now AS (
    SELECT timezone('{zone}', TIMESTAMP '{day} 00:00:00') AT TIME ZONE 'UTC' AS cutoff
), dated AS (
    SELECT *, rowid AS line, {start} AS starts FROM {table}, now
), visible AS ({visible}
), asked AS (
    SELECT customer_id, true AS here,
        CAST(timezone('{zone}', sent_at AT TIME ZONE 'UTC') AS DATE) AS local_day,
        coalesce(answered_at < cutoff, false) AS is_answered,
        epoch_us(cutoff) // 1000000 - epoch_us(sent_at) // 1000000 >= 14 * 86400 AS is_old
    FROM visible WHERE sent_at IS NOT NULL
), said AS (
    SELECT customer_id, true AS here, kind, score, touchpoint, survey_id, answered_at, cutoff,
        CAST(timezone('{zone}', answered_at AT TIME ZONE 'UTC') AS DATE) AS local_day,
        comment, transaction_id, interaction_id,
        CASE WHEN replied_at < cutoff THEN replied_at END AS replied
    FROM visible WHERE answered_at < cutoff AND (sent_at IS NULL OR sent_at <= answered_at)
), ranked AS (
    SELECT *,
        CASE kind WHEN 'nps' THEN score / 10.0 WHEN 'csat' THEN (score - 1) / 4.0
            WHEN 'ces' THEN (score - 1) / 6.0 WHEN 'review' THEN (score - 1) / 4.0 END AS part,
        row_number() OVER (
            PARTITION BY customer_id, kind, score IS NULL
            ORDER BY answered_at DESC, survey_id DESC NULLS FIRST, score DESC
        ) AS newest
    FROM said
), answers AS (
    SELECT *, coalesce(kind = 'nps' AND score <= 6 OR kind <> 'nps' AND part < 0.5, false)
            OR comment IS NOT NULL AS deserves,
        epoch_us(coalesce(replied, cutoff)) // 1000000 - epoch_us(answered_at) // 1000000 AS secs
    FROM ranked
), people AS (SELECT DISTINCT customer_id FROM {buyers})
"""
KNOWN = """
    SELECT * FROM dated WHERE starts < cutoff"""
NEWEST_KNOWN = """
    SELECT * EXCLUDE (version) FROM (
        SELECT *, row_number() OVER (
            PARTITION BY coalesce(survey_id, 'line ' || line) ORDER BY loaded_at DESC, starts DESC
        ) AS version
        FROM dated WHERE starts < cutoff AND loaded_at < cutoff
    ) WHERE version = 1"""

# {w}: inside the window; {level}: the by-column's level; sources a = asked, s = answers
OF_LAST_NPS = "FILTER (here AND kind = 'nps' AND score IS NOT NULL AND newest = 1)"
MEAN = "avg(CAST({} AS DOUBLE)) FILTER ({{w}} AND score IS NOT NULL AND {})"
WAITS = "{w} AND replied IS NULL AND deserves"
ORACLE = {
    "surveys_asked": ("a", "count(*) FILTER ({w})"),
    "asked_but_silent": ("a", "count(*) FILTER ({w} AND NOT is_answered AND is_old)"),
    "response_rate": (
        "a", "count(*) FILTER ({w} AND is_answered)"
             " / nullif(count(*) FILTER ({w} AND (is_answered OR is_old)), 0)",
    ),
    "score_last": ("s", "any_value(score) FILTER (kind = {level} AND newest = 1)"),
    "score_change": (
        "s", "any_value(score) FILTER (kind = {level} AND newest = 1)"
             " - any_value(score) FILTER (kind = {level} AND newest = 2)",
    ),
    "score_lowest": ("s", "min(score) FILTER ({w} AND kind = {level})"),
    "score_mean": ("s", MEAN.format("score", "kind = {level}")),
    "nps_promoter": ("s", f"any_value(CAST(score >= 9 AS INT)) {OF_LAST_NPS}"),
    "nps_passive": ("s", f"any_value(CAST(score IN (7, 8) AS INT)) {OF_LAST_NPS}"),
    "nps_detractor": ("s", f"any_value(CAST(score <= 6 AS INT)) {OF_LAST_NPS}"),
    "touchpoint_score": ("s", MEAN.format("part", "touchpoint {is_level}")),
    "ticket_score": ("s", MEAN.format("part", "interaction_id IS NOT NULL")),
    "order_score": ("s", MEAN.format("part", "transaction_id IS NOT NULL")),
    "days_since_answer": ("s", "DATE '{day}' - max(local_day) - 1"),
    "comments": ("s", "count(comment) FILTER ({w})"),
    "unanswered_feedback": ("s", f"count(*) FILTER ({WAITS})"),
    "unanswered_feedback_days": ("s", f"max(secs) FILTER ({WAITS}) / 86400"),
    "reply_hours_median": (
        "s", "quantile_cont(secs, 0.5) FILTER ({w} AND (deserves OR replied IS NOT NULL)) / 3600"
    ),
    "exit_surveys": ("s", "count(*) FILTER ({w} AND kind = 'exit')"),
}  # fmt: skip


def text(value):
    return "'" + value.replace("'", "''") + "'"


def formula(column, day, levels):
    """Return the source and the SQL of one column."""
    inside = "here"
    if column.window is not None:
        inside = f"here AND local_day >= DATE '{day}' - {column.window}"
    level = is_level = ""
    if column.level is not None:
        level = text(column.level)
        named = ", ".join(map(text, levels.get("surveys.touchpoint", ())))
        is_level = f"NOT IN ({named})" if column.level == "other" else f"= {level}"
    source, sql = ORACLE[column.feature]
    return source, sql.format(w=inside, level=level, is_level=is_level, day=day)


def recompute(con, logs, day, zone, columns, levels):
    """Return {customer: [value of each column]} by plain SQL."""
    log = logs["surveys"]
    has = set(log.columns)
    start = "coalesce(sent_at, answered_at)" if "sent_at" in has else "answered_at"
    table = f"(SELECT *, rowid FROM {log.get_name()})"
    cells = {"score": "DECIMAL(18, 4)"} | dict.fromkeys(("sent_at", "replied_at"), "TIMESTAMP")
    for name in ("survey_id", "touchpoint", "comment", "transaction_id", "interaction_id"):
        cells[name] = "VARCHAR"
    for name, kind in cells.items():
        if name not in has:
            table = f"(SELECT *, CAST(NULL AS {kind}) AS {name} FROM {table})"
    head = SOURCES.format(
        zone=zone, day=day, table=table, start=start, buyers=logs["transactions"].get_name(),
        visible=NEWEST_KNOWN if "loaded_at" in has else KNOWN,
    )  # fmt: skip
    made = {"a": [], "s": []}
    for i, column in enumerate(columns):
        source, sql = formula(column, day, levels)
        made[source].append(f"CAST({sql} AS DOUBLE) AS x{i}")
    parts = [
        f"(SELECT customer_id, {', '.join(made[k])} "
        f"FROM people LEFT JOIN {rows} USING (customer_id) GROUP BY 1)"
        for k, rows in (("a", "asked"), ("s", "answers"))
        if made[k]
    ]
    names = ", ".join(f"x{i}" for i in range(len(columns)))
    query = f"{head} SELECT customer_id, {names} FROM {' JOIN '.join(parts)} USING (customer_id)"
    if len(parts) == 1:
        query = query.removesuffix(" USING (customer_id)")
    return {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(2, 30), dt.time(9), dt.time(23, 59, 59, 999999)]
SCALES = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "review": (1, 5), "exit": (1, 3)}
TOUCHPOINTS = ["care", "Care", "o'clock", "", "store", None]


def world(seed, late):
    """Return random surveys of some seventy customers, and one purchase of each."""
    rng = random.Random(seed)
    first, rows = dt.date(2023, 1, 1), []
    for number in range(70):
        for _ in range(rng.choice([0, 1, 2, 4, 8, 20])):
            day = first + dt.timedelta(days=rng.randrange(730))
            rows.append(survey(rng, f"c{number}", day))
            if rng.random() < 0.2:  # another at the very same moment
                rows.append(survey(rng, f"c{number}", day, rows[-1]["sent_at"]))
    for number, cutoff in enumerate(CUTOFFS):  # the very edges
        for back in (0, 14, 90, 365):
            edge = cutoff - dt.timedelta(days=back)
            for moment in around(edge):
                rows.append(survey(rng, f"c{number}", edge, moment))
                rows.append(survey(rng, f"c{number}", edge) | {"sent_at": moment})
                answered = moment + dt.timedelta(days=1)
                rows.append(
                    survey(rng, f"c{number}", edge) | {"sent_at": moment, "answered_at": answered}
                )
    for number, row in enumerate(rows):
        row["survey_id"] = None if rng.random() < 0.1 else f"s{number:05}"
    if late:
        rows = [version for row in rows for version in versions(rng, row)]
    bought = dt.datetime(2022, 12, 1)
    orders = [{"customer_id": f"c{n}", "ts": bought, "amount": 1} for n in range(72)]
    return {"transactions": orders, "surveys": rows}


def around(edge):
    before = edge - dt.timedelta(days=1)
    days = [(before, TIMES[-1]), (edge, TIMES[0]), (edge, TIMES[1])]
    return [dt.datetime.combine(*one) for one in days]


def survey(rng, customer, day, moment=None):
    sent = moment or dt.datetime.combine(day, rng.choice(TIMES))
    answered = replied = score = comment = None
    if rng.random() < 0.65:
        answered = sent + dt.timedelta(
            days=rng.choice([0, 0, 1, 13, 14, 40]), hours=rng.choice([0, 5])
        )
    kind = rng.choice(list(SCALES))
    if answered:
        low, high = SCALES[kind]
        score = rng.randint(low, high) if rng.random() < (0.3 if kind == "exit" else 0.9) else None
        comment = rng.choice([None, None, "so so"])
        if rng.random() < 0.4:
            replied = answered + dt.timedelta(
                days=rng.choice([0, 1, 30, 90]), seconds=rng.randrange(99)
            )
    return {
        "customer_id": customer,
        "sent_at": None if answered and rng.random() < 0.1 else sent,  # a review nobody asked for
        "answered_at": answered,
        "kind": kind,
        "score": score,
        "comment": comment,
        "replied_at": replied,
        "touchpoint": rng.choice(TOUCHPOINTS),
        "interaction_id": rng.choice([None, "i1"]),
        "transaction_id": rng.choice([None, None, "t1"]),
    }


def versions(rng, row):
    """Load a row when it happened, or late; and now and then again, corrected."""
    start = row["sent_at"] or row["answered_at"]
    row["loaded_at"] = start + dt.timedelta(days=rng.choice([-1, 0, 0, 0, 3, 40]))
    made = [row]
    while row["survey_id"] and len(made) < 4 and rng.random() < 0.35:
        moved = start + dt.timedelta(days=rng.choice([0, 0, -10, 10, 60]))
        again = survey(rng, row["customer_id"], moved.date(), moved)
        loaded = made[-1]["loaded_at"] + dt.timedelta(days=rng.choice([1, 20, 100]))
        made.append(again | {"survey_id": row["survey_id"], "loaded_at": loaded})
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
    levels = dict.fromkeys(("surveys.kind", "surveys.kind="), tuple(sorted(SCALES)))
    if "touchpoint" in logs["surveys"].columns:
        levels["surveys.touchpoint"] = ("", "Care", "care", "o'clock")
    schema = typed.schema(logs, longest, settings={"response_days": 14.0}, **levels)
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
    matrix = check(typed, features_of("surveys"), world(f"{zone} {late}", late), zone)
    assert not [c for c in matrix if matrix[c].isna().all()]  # it would agree with anything
    assert (matrix.nunique() > 1).all()


BARE = {"customer_id", "answered_at", "kind"}


@pytest.mark.parametrize(
    "kept",
    [(), ("sent_at",), ("score",), ("score", "replied_at"), ("comment", "replied_at"),
     ("loaded_at", "survey_id", "score", "touchpoint")],
)  # fmt: skip
def test_columns_that_a_log_lacks_are_left_out(typed, features_of, kept):
    logs = world(f"bare {kept}", "loaded_at" in kept)
    rows = [{k: v for k, v in row.items() if k in BARE | set(kept)} for row in logs["surveys"]]
    rows = [row for row in rows if row["answered_at"] or row.get("sent_at")]
    matrix = check(typed, features_of("surveys"), logs | {"surveys": rows}, "UTC")
    built = {name.split("[")[0].removesuffix("_365d") for name in matrix}
    assert ("surveys_asked" in built) == ("sent_at" in kept)
    assert ("score_last" in built, "nps_promoter" in built) == (("score" in kept),) * 2
    assert ("unanswered_feedback" in built) == ("replied_at" in kept)
    assert ("touchpoint_score" in built) == ({"score", "touchpoint"} <= set(kept))


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("surveys")


@pytest.mark.parametrize("kinds", [("nps",), ("csat", "exit")])
def test_only_the_kinds_of_at_least_ten_customers_are_planned(typed, kinds):
    start = dt.datetime(2023, 1, 1)
    rows = [
        {"customer_id": f"c{n}", "sent_at": start, "answered_at": start, "kind": kind}
        | {"score": None if kind == "exit" else 4}
        for kind in SCALES
        for n in range(10 if kind in kinds else 9)
    ]
    logs = typed.tables({"surveys": rows})
    settings = {"response_days": 14.0}
    schema = plan_schema(logs, start.date(), CUTOFFS[1], ZoneInfo("UTC"), {}, settings=settings)
    assert schema.levels["surveys.kind"] == tuple(k for k in kinds if k != "exit")
    built = {c.name for c in schema.columns()}
    assert ("score_last[nps]" in built, "nps_promoter" in built) == ("nps" in kinds,) * 2
    assert ("exit_surveys_365d" in built) == ("exit" in kinds)
    assert not [name for name in built if "[other]" in name or "[exit]" in name]
