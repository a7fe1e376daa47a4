"""Figures on what customers say, whether they answer, and whether we answer them."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.contract import SCALES
from tenure.kpis.registry import figure, rows
from tenure.kpis.tickets import with_partner
from tenure.kpis.world import World, seconds_between

__all__ = ["DAY", "REPLY_DAYS", "response_days", "scale"]

DAY = 86_400
REPLY_DAYS = 7  # within which feedback should be answered
_RELATIONAL = r"(?i)relation|overall|brand"  # touchpoints that are none
_LINKS = ("touchpoint", "transaction_id", "interaction_id")


def scale(world: World, kind: str) -> tuple[int, int]:
    """Return the ends of a survey's scale, as the config sets them."""
    surveys = world.config.data.tables.get("surveys")
    found = {str(k): (s.low, s.high) for k, s in surveys.scales.items()} if surveys else {}
    return found.get(kind) or SCALES[kind]


def response_days(world: World) -> int:
    """Return the days after which an unanswered survey is silence."""
    surveys = world.config.data.tables.get("surveys")
    return surveys.response_days if surveys else 14


@rows("surveys.score", "surveys.answered_at", by=("touchpoint", "partner", "delivery"))
def answers(world: World) -> ir.Table:
    """Scores given, by the month of the answer."""
    t = world.tables["surveys"]
    t = t.filter(t.answered_at.notnull(), t.score.notnull())
    links = [t[c].notnull() for c in ("transaction_id", "interaction_id") if c in t.columns]
    if "touchpoint" in t.columns:
        links.append(t.touchpoint.notnull() & ~t.touchpoint.re_search(_RELATIONAL))
    linked = links[0] if links else ibis.literal(False)
    for one in links[1:]:
        linked |= one
    columns: dict[str, ir.Value] = {"is_linked": linked, "month": world.month(t.answered_at)}
    for kind in SCALES:
        columns[f"of_{kind}"] = (t.kind == kind).ifelse(t.score, ibis.null("decimal(18, 4)"))
        columns[f"top_{kind}"] = columns[f"of_{kind}"] >= scale(world, kind)[1] - 1
        columns[f"low_{kind}"] = columns[f"of_{kind}"] <= low_limit(world, kind)
    t = with_delivery(world, t)
    held = [
        c for c in ("touchpoint", "transaction_id", "delivery", "interaction_id") if c in t.columns
    ]
    t = t.mutate(**columns).select("customer_id", *held, *columns)
    if "interaction_id" in t.columns and "touchpoint" not in t.columns:
        t = t.mutate(touchpoint=t.interaction_id.notnull().ifelse("contact", ibis.null("string")))
    return with_partner(world, t.drop(*(c for c in ("interaction_id",) if c in t.columns)))


def low_limit(world: World, kind: str) -> int:
    """Return the highest low score: nps 6 of 10, csat and review 2 of 5, ces 3 of 7."""
    low, high = scale(world, kind)
    return {"nps": high - 4, "ces": low + 2}.get(kind, low + 1)


def with_delivery(world: World, t: ir.Table) -> ir.Table:
    """Say of each survey on an order whether it was sent before the parcel came, and how late."""
    needs = ("transactions.transaction_id", "transactions.delivered_at", "transactions.promised_at")
    if "transaction_id" not in t.columns or not all(world.has(n) for n in needs):
        return t
    o = world.purchases()
    o = o.filter(o.transaction_id.notnull(), o.promised_at.notnull())
    o = o.select("transaction_id", "promised_at", parcel_at="delivered_at")
    o = o.distinct(on="transaction_id", keep="first")
    t = t.left_join(o, "transaction_id").drop("transaction_id_right")
    asked = world.asked_by(t.sent_at) if "sent_at" in t.columns else t.answered_at
    late = t.parcel_at.isnull().ifelse(t.promised_at < world.end, t.parcel_at > t.promised_at)
    arrived = t.parcel_at.notnull() & (t.parcel_at <= asked)
    said = ibis.cases(
        (t.promised_at.isnull(), ibis.null("string")),
        (t.parcel_at.isnull() & late, "overdue, not arrived"),
        (arrived & ~late, "on time, asked after arrival"),
        (arrived, "late, asked after arrival"),
        (late, "late, asked before arrival"),
        else_="on time, asked before arrival",
    )
    return t.mutate(delivery=said).drop("promised_at", "parcel_at")


def _promoter(t: ir.Table, counts: ir.BooleanValue) -> ir.Value:
    said = ibis.cases((t.top_nps, 1), (t.low_nps, -1), else_=0).cast("int64")
    return (t.of_nps.notnull() & counts).ifelse(said, ibis.null("int64"))


@figure(answers, "nps", unit="points", by=("*",), better=1)
def nps(t: ir.Table) -> Any:
    """Percentage of promoters (9-10) minus percentage of detractors (0-6) among the relational
    NPS answers of the period: surveys that hang on no order or contact, and on no touchpoint but
    one called relationship, overall or brand."""
    return _promoter(t, ~t.is_linked)


@figure(
    answers, "nps", unit="points", by=("touchpoint", "delivery", "partner"), overall=False, better=1
)
def nps_touchpoint(t: ir.Table) -> Any:
    """The same among the answers to surveys sent after an order, a contact or at another
    touchpoint, for each of these by itself; never mixed with the relational NPS."""
    return _promoter(t, t.is_linked)


@figure(answers, "share", unit="share", better=1)
def csat(t: ir.Table) -> Any:
    """Of the CSAT answers of the period, the share in the two best boxes of the scale (4 and 5
    of 5)."""
    return t.top_csat


@figure(answers, "mean", unit="score", better=1)
def csat_mean(t: ir.Table) -> Any:
    """Mean of the CSAT scores of the period."""
    return t.of_csat


@figure(answers, "mean", unit="score", better=1)
def ces_mean(t: ir.Table) -> Any:
    """Mean of the customer effort scores of the period; turned so that more is easier."""
    return t.of_ces


@figure(answers, "mean", unit="score", better=1)
def review_mean(t: ir.Table) -> Any:
    """Mean of the review scores of the period."""
    return t.of_review


@rows("surveys.sent_at", "surveys.answered_at", by=("touchpoint", "kind"))
def asked(world: World) -> ir.Table:
    """Surveys sent, by the month of sending, once an answer would have come."""
    t = world.tables["surveys"]
    t = t.filter(t.sent_at.notnull())
    t = t.filter(seconds_between(t.sent_at, world.end) >= response_days(world) * DAY)
    held = [c for c in ("touchpoint", "kind") if c in t.columns]
    return t.select(
        "customer_id", *held, month=world.month(t.sent_at), is_answered=t.answered_at.notnull()
    )


@figure(asked, "share", unit="share", better=1)
def survey_response_rate(t: ir.Table) -> Any:
    """Of the surveys sent in the period at least `response_days` (14) ago, the share answered."""
    return t.is_answered


@rows("surveys.answered_at", "surveys.replied_at", by=("touchpoint", "kind"))
def feedback(world: World) -> ir.Table:
    """Answers, by their month, once our reply would have come."""
    t = world.tables["surveys"]
    t = t.filter(t.answered_at.notnull())
    t = t.filter(seconds_between(t.answered_at, world.end) >= REPLY_DAYS * DAY)
    held = [c for c in ("touchpoint", "kind") if c in t.columns]
    soon = seconds_between(t.answered_at, t.replied_at) <= REPLY_DAYS * DAY
    return t.select(
        "customer_id", *held, month=world.month(t.answered_at), is_replied=soon.fill_null(False)
    )


@figure(feedback, "share", unit="share", better=1)
def feedback_answered_rate(t: ir.Table) -> Any:
    """Of the answers given in the period at least 7 days ago, the share we replied to within 7
    days."""
    return t.is_replied
