"""Untimely contact and bad experiences recomputed by plain SQL from what was known at a cutoff."""

import pytest

from tenure.features.spec import COMBINED

PARCEL = """EXISTS (FROM transactions_ t
    WHERE t.customer_id = x.customer_id AND t.kind = 'purchase' AND t.amount > 0
    AND (t.promised_at IS NOT NULL OR t.delivered_at IS NOT NULL)
    AND t.ts <= x.began AND coalesce(t.delivered_at > x.began, true)
    AND coalesce(t.cancelled_at > x.began, true) {link})"""
LINK = "AND (x.transaction_id IS NULL OR x.transaction_id = t.transaction_id)"
# A ticket's story as events: it opens, ends, opens again; the last one before a moment decides.
STORY = """
    SELECT customer_id, ticket, unnest([
        {since: opened_at, opens: true, rank: 0}, {since: resolved_at, opens: false, rank: 2},
        {since: closed_at, opens: false, rank: 2}, {since: reopened_at, opens: true, rank: 3}
    ], recursive := true)
    FROM (SELECT *, row_number() OVER () AS ticket FROM interactions_
          WHERE coalesce(direction, 'in') = 'in')"""
TICKET = """EXISTS (FROM (
    SELECT ticket, arg_max(opens, {{a: since, b: rank}}) AS is_open,
        min(since) FILTER (rank = 0) AS begun
    FROM story s WHERE s.customer_id = x.customer_id AND since <= x.began GROUP BY ticket
) WHERE is_open AND begun < x.began)"""


def marked(rows, **tests):
    cells = ", ".join(f"{sql} AS {name}" for name, sql in tests.items())
    return f"SELECT *, {cells} FROM ({rows}) x"


SENT = "SELECT customer_id, transaction_id, sent_at AS began FROM surveys_"
MAILED = "SELECT customer_id, ts AS began FROM events_ WHERE \"group\" = 'email'"
BACK = """
    SELECT customer_id, ts AS began FROM transactions_ WHERE kind = 'refund'
    UNION ALL SELECT customer_id, greatest(ts, cancelled_at) FROM transactions_
    WHERE kind = 'purchase' AND cancelled_at IS NOT NULL"""
ASKED_HELP = """EXISTS (FROM interactions_ i WHERE i.customer_id = x.customer_id
    AND coalesce(direction, 'in') = 'in' AND opened_at <= x.began
    AND date_diff('second', opened_at, x.began) <= 30 * 86400)"""
LOW = """CASE kind WHEN 'nps' THEN score <= 6 WHEN 'csat' THEN score <= 2
    WHEN 'review' THEN score <= 2 WHEN 'ces' THEN score <= 3 ELSE false END"""
SLOW = """coalesce(direction, 'in') = 'in' AND date_diff('second', opened_at,
    coalesce(first_response_at, least(resolved_at, closed_at), cutoff)) > 86400"""
VIEWS = {
    "story": STORY,
    "asked": marked(SENT, parcel=PARCEL.format(link=LINK), ticket=TICKET.format()),
    "mailed": marked(MAILED, parcel=PARCEL.format(link=""), ticket=TICKET.format()),
    "back": marked(BACK, helped=ASKED_HELP),
    "low": f"SELECT customer_id, answered_at AS began FROM surveys_ WHERE {LOW}",
    "bad": f"""
        SELECT customer_id, began FROM low
        UNION ALL SELECT customer_id, opened_at FROM interactions_ WHERE {SLOW}
        UNION ALL SELECT customer_id, ts FROM transactions_ WHERE
            date_diff('second', promised_at, coalesce(delivered_at, cancelled_at, cutoff)) > 0
            AND kind = 'purchase' AND amount > 0""",
}


def count(source, test):
    return source, 0, f"count(*) FILTER ({test} AND {{w}})"


def share(source, test):
    rows = "nullif(count(*) FILTER ({w}), 0)"
    return source, "NULL", f"count(*) FILTER ({test} AND {{w}}) / {rows}"


ORACLE = {
    "surveys_before_arrival": count("asked", "parcel"),
    "surveys_before_arrival_share": share("asked", "parcel"),
    "surveys_during_ticket": count("asked", "ticket"),
    "surveys_during_ticket_share": share("asked", "ticket"),
    "emails_before_arrival": count("mailed", "parcel"),
    "emails_before_arrival_share": share("mailed", "parcel"),
    "emails_during_ticket": count("mailed", "ticket"),
    "emails_during_ticket_share": share("mailed", "ticket"),
    "refunds_after_ticket": count("back", "helped"),
    "low_scores": count("low", "true"),
    "bad_experiences": count("bad", "true"),
}


def test_every_feature_has_an_oracle(features_of):
    assert set(ORACLE) == features_of("contact")


@pytest.mark.parametrize(
    ("zone", "late"),
    [("UTC", False), ("Europe/Berlin", False), ("Europe/Berlin", True), ("America/New_York", True)],
)
def test_every_column_agrees_with_plain_sql(typed, company, check_sql, zone, late):
    logs = company(f"contact {zone} {late}", late=late)
    matrix = check_sql(typed, logs, zone, VIEWS, ORACLE, {})
    same = [c for c in matrix if matrix[c].nunique() < 2]
    assert not same  # a column that never varies would agree with anything


@pytest.mark.parametrize(
    ("counted", "parts"),
    [
        ((1.0, 0.0, 1.0), ("late_deliveries_365d", "low_scores_365d")),
        ((0.0, 1.0, 0.0), ("slow_responses_365d",)),
        ((0.0, 0.0, 0.0), ()),
    ],
)
def test_the_config_says_which_experiences_are_bad(typed, company, counted, parts):
    names = ("counts_late_delivery", "counts_slow_response", "counts_low_score")
    settings = {"response_days": 14.0, **dict(zip(names, counted, strict=True))}
    tables = typed.tables(company("counted"))
    levels = dict.fromkeys(
        ("partner", "interactions.topic", "interactions.channel", "surveys.touchpoint"), ()
    )
    schema = typed.schema(tables, settings=settings, **levels)
    made = {c.name for c in schema.columns()}
    assert ("bad_experiences_365d" in made) is bool(parts)
    assert made >= {"late_deliveries_365d", "slow_responses_365d", "low_scores_365d"}
    counts = schema.parts(COMBINED["bad_experiences"], 365, made)
    assert tuple(counts) == parts
