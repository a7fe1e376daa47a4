"""What came at the wrong moment: contact before the parcel or amid a ticket; bad experiences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.deliveries import DAY, seconds
from tenure.features.interactions import ENDED, Decorator, from_customers, was_open
from tenure.features.spec import combined, feature, view
from tenure.features.surveys import scores_
from tenure.snapshot import bought, ledger

CUSTOMER = ["cutoff_day", "customer_id"]
REFUNDED_WITHIN = 30 * DAY
PARCELS = {"transactions": ("delivered_at",)}
TICKETS = {"interactions": (ENDED,)}

# Whether something of the customer's, in the same row as a contact's moment, made it untimely.
Test = Callable[[ir.Table], ir.Value]


def _parcels(transactions: ir.Table) -> ir.Table:
    """Keep the orders that somebody waits for, or has waited for."""
    t = transactions.filter(bought(transactions))
    optional = ("transaction_id", "promised_at", "cancelled_at")
    t = t.select(*CUSTOMER, "ts", "delivered_at", *(c for c in optional if c in t.columns))
    promised = t.promised_at.notnull() if "promised_at" in t.columns else ibis.literal(False)
    return t.filter(promised | t.delivered_at.notnull())


def _was_on_its_way(pair: ir.Table) -> ir.Value:
    ends = [pair[c] for c in ("delivered_at", "cancelled_at") if c in pair.columns]
    over = [(end <= pair.moment).fill_null(False) for end in ends]
    return ibis.and_(pair.ts <= pair.moment, *(~one for one in over))


def _tickets(interactions: ir.Table) -> ir.Table:
    t = from_customers(interactions)
    optional = ("resolved_at", "closed_at", "reopened_at")
    return t.select(*CUSTOMER, "opened_at", *(c for c in optional if c in t.columns))


def _was_in_trouble(pair: ir.Table) -> ir.Value:
    return was_open(pair, pair.moment)


def _moments_with(moments: ir.Table, things: ir.Table, test: Test, by: list[str]) -> ir.Table:
    pairs = moments.join(things, by)
    return pairs.filter(test(pairs)).select(moments.columns).distinct()


def _mark(rows: ir.Table, at: str, things: ir.Table, test: Test, link: str = "") -> ir.Table:
    """Add `is_untimely`: whether one of the customer's things passes the test at the row's moment.

    A row with a link asks only about the thing of that name.
    """
    linked = bool(link) and link in rows.columns and link in things.columns
    rows = rows.mutate(moment=rows[at], link=rows[link] if linked else ibis.null("string"))
    key = [*CUSTOMER, "moment"]
    free = rows.filter(rows.link.isnull()).select(key).distinct()
    hits = _moments_with(free, things, test, CUSTOMER).mutate(link_key=ibis.literal(""))
    if linked:
        named = rows.filter(rows.link.notnull()).select(*key, "link").distinct()
        things = things.mutate(link=things[link])
        found = _moments_with(named, things, test, [*CUSTOMER, "link"])
        hits = hits.union(found.select(*key, link_key=found.link))
    rows = rows.mutate(link_key=rows.link.fill_null(""))
    joined = rows.left_join(hits.mutate(is_hit=True), [*key, "link_key"])
    joined = joined.mutate(is_untimely=joined.is_hit.fill_null(False))
    return joined.drop("is_hit", *(c for c in joined.columns if c.endswith("_right")))


@view("surveys", at="sent_at", beside=PARCELS, rows="surveys", none="No survey sent")
def surveys_and_parcels_(s: ir.Table, transactions: ir.Table) -> ir.Table:
    """Rows: surveys sent, marked if the parcel they ask about (else any parcel) was on its way."""
    return _mark(s, "sent_at", _parcels(transactions), _was_on_its_way, "transaction_id")


@view("surveys", at="sent_at", beside=TICKETS, rows="surveys", none="No survey sent")
def surveys_and_tickets_(s: ir.Table, interactions: ir.Table) -> ir.Table:
    """Rows: surveys sent, marked if one of the customer's tickets was open."""
    return _mark(s, "sent_at", _tickets(interactions), _was_in_trouble)


def _emails(events: ir.Table) -> ir.Table:
    return events.filter(events["group"] == "email")


@view(
    "events", at="ts", needs=("group",), collapse=_emails, beside=PARCELS, rows="e-mails",
    none="No e-mail sent",
)  # fmt: skip
def emails_and_parcels_(e: ir.Table, transactions: ir.Table) -> ir.Table:
    """Rows: e-mails to a customer, marked if a parcel was on its way."""
    return _mark(e, "ts", _parcels(transactions), _was_on_its_way)


@view(
    "events", at="ts", needs=("group",), collapse=_emails, beside=TICKETS, rows="e-mails",
    none="No e-mail sent",
)  # fmt: skip
def emails_and_tickets_(e: ir.Table, interactions: ir.Table) -> ir.Table:
    """Rows: e-mails to a customer, marked if one of their tickets was open."""
    return _mark(e, "ts", _tickets(interactions), _was_in_trouble)


def _untimely(of: Callable[..., ir.Table], says: str) -> Decorator:
    return feature(
        of, windows=(90, 365), unit="count", factor="contact", empty=0, direction=1,
        says=says, actionable=True,
    )  # fmt: skip


def _untimely_share(of: Callable[..., ir.Table], says: str) -> Decorator:
    return feature(
        of, windows=(365,), unit="share", factor="contact", direction=1,
        says=says, actionable=True,
    )  # fmt: skip


def _share(rows: ir.Table) -> Any:
    return rows.is_untimely.sum() / rows.count().nullif(0)


@_untimely(surveys_and_parcels_, says="{n} [survey|surveys] sent before the parcel came")
def surveys_before_arrival(s: ir.Table) -> Any:
    """Surveys sent while the parcel was still on its way."""
    return s.is_untimely.sum()


@_untimely_share(
    surveys_and_parcels_,
    says="{value} of the surveys were sent before the parcel came",
)  # fmt: skip
def surveys_before_arrival_share(s: ir.Table) -> Any:
    """Share of the surveys that were sent while the parcel was still on its way."""
    return _share(s)


@_untimely(surveys_and_tickets_, says="{n} [survey|surveys] sent while a ticket was open")
def surveys_during_ticket(s: ir.Table) -> Any:
    """Surveys sent while a ticket of the customer was open."""
    return s.is_untimely.sum()


@_untimely_share(
    surveys_and_tickets_,
    says="{value} of the surveys were sent while a ticket was open",
)  # fmt: skip
def surveys_during_ticket_share(s: ir.Table) -> Any:
    """Share of the surveys that were sent while a ticket of the customer was open."""
    return _share(s)


@_untimely(emails_and_parcels_, says="{n} [e-mail|e-mails] sent before a parcel came")
def emails_before_arrival(e: ir.Table) -> Any:
    """E-mails sent while a parcel was still on its way."""
    return e.is_untimely.sum()


@_untimely_share(emails_and_parcels_, says="{value} of the e-mails were sent before a parcel came")
def emails_before_arrival_share(e: ir.Table) -> Any:
    """Share of the e-mails that were sent while a parcel was still on its way."""
    return _share(e)


@_untimely(emails_and_tickets_, says="{n} [e-mail|e-mails] sent while a ticket was open")
def emails_during_ticket(e: ir.Table) -> Any:
    """E-mails sent while a ticket of the customer was open."""
    return e.is_untimely.sum()


@_untimely_share(
    emails_and_tickets_,
    says="{value} of the e-mails were sent while a ticket was open",
)  # fmt: skip
def emails_during_ticket_share(e: ir.Table) -> Any:
    """Share of the e-mails that were sent while a ticket of the customer was open."""
    return _share(e)


def _refunds(transactions: ir.Table) -> ir.Table:
    t = ledger(transactions)
    return t.filter(t.kind != "purchase")


def _followed_a_ticket(pair: ir.Table) -> ir.Value:
    since = seconds(pair.moment, pair.opened_at)
    return (pair.opened_at <= pair.moment) & (since <= REFUNDED_WITHIN)


@view(
    "transactions", at="ts", collapse=_refunds, beside={"interactions": ("opened_at",)},
    rows="refunds",
)  # fmt: skip
def refunds_and_tickets_(r: ir.Table, interactions: ir.Table) -> ir.Table:
    """Rows: refunds and cancellations, marked if a ticket had come before."""
    return _mark(r, "ts", _tickets(interactions), _followed_a_ticket)


@feature(
    refunds_and_tickets_, windows=(90, 365), unit="count", factor="resolution", empty=0,
    direction=1,
    says="{n} [refund|refunds] soon after a ticket",
)  # fmt: skip
def refunds_after_ticket(r: ir.Table) -> Any:
    """Refunds and cancellations within 30 days after a ticket."""
    return r.is_untimely.sum()


@feature(
    scores_, windows=(90, 365), unit="count", factor="satisfaction", empty=0, direction=1,
    says="{n} low [score|scores]",
)  # fmt: skip
def low_scores(s: ir.Table) -> Any:
    """Scores that say the customer is unhappy (of five: 1 or 2; would recommend us: 6 or less)."""
    return s.is_bad.sum()


@combined(
    windows=(90, 365), unit="count", factor="satisfaction", direction=1,
    any_of={
        "counts_late_delivery": "late_deliveries",
        "counts_slow_response": "slow_responses",
        "counts_low_score": "low_scores",
    },
    says="{n} bad [experience|experiences]", none="No bad experience",
)  # fmt: skip
def bad_experiences(parts: list[Any]) -> Any:
    """Late deliveries, slow replies and low scores together, as the config counts them."""
    return sum(parts[1:], start=parts[0])
