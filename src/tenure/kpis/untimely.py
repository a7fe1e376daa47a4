"""Contacts that came at the wrong moment: before the parcel, or while a ticket was open."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import from_customers, was_open
from tenure.kpis.orders import outstanding_until
from tenure.kpis.registry import figure, rows
from tenure.kpis.world import World

__all__: list[str] = []

_PARCEL = ("transactions", "transactions.promised_at|transactions.delivered_at")
_TICKET = ("interactions.resolved_at|interactions.closed_at",)
_SENT = ("surveys.sent_at|events.group",)


def _sent(world: World) -> ir.Table:
    """Return the surveys and e-mails sent: who, when (and by when at the latest), about what."""
    parts = []
    if world.has("surveys.sent_at"):
        t = world.tables["surveys"]
        t = t.filter(t.sent_at.notnull())
        link = world.column(t, "transaction_id", "string")
        place = world.column(t, "touchpoint", "string")
        parts.append(
            t.select("customer_id", at="sent_at", by=world.asked_by(t.sent_at), order=link,
                     touchpoint=place, contact=ibis.literal("survey"))
        )  # fmt: skip
    if world.has("events.group"):
        t = world.tables["events"]
        t = t.filter(t["group"] == "email")
        nothing = ibis.null("string")
        parts.append(
            t.select("customer_id", at="ts", by=t.ts, order=nothing, touchpoint=nothing,
                     contact=ibis.literal("email"))
        )  # fmt: skip
    sent = parts[0].union(parts[1]) if len(parts) > 1 else parts[0]
    # rows alike in everything may change places: they are untimely together
    order = [sent[c] for c in ("customer_id", "at", "contact", "order", "touchpoint")]
    return sent.mutate(number=ibis.row_number().over(order_by=order))


def _before_parcel(world: World, sent: ir.Table) -> ir.Table:
    """Return the numbers of contacts sent while their parcel (else any) was on its way."""
    parcels = outstanding_until(world)
    named = "transaction_id" in parcels.columns
    mine = sent.filter(sent.order.isnull()) if named else sent
    late = [mine.customer_id == parcels.customer_id, parcels.ts <= mine.by,
            parcels.arrived_at > mine.by]  # fmt: skip
    found = mine.semi_join(parcels, late).select("number")
    if not named:
        return found
    mine = sent.filter(sent.order.notnull())
    late = [mine.customer_id == parcels.customer_id, mine.order == parcels.transaction_id,
            parcels.ts <= mine.by, parcels.arrived_at > mine.by]  # fmt: skip
    return found.union(mine.semi_join(parcels, late).select("number"))


def _during_ticket(world: World, sent: ir.Table) -> ir.Table:
    """Return the numbers of contacts sent while one of the customer's tickets was open."""
    t = from_customers(world.tables["interactions"])
    names = ("customer_id", "opened_at", "resolved_at", "closed_at", "reopened_at")
    t = t.select(*(c for c in names if c in t.columns))
    pairs = sent.select("number", "customer_id", "at").join(t, "customer_id")
    return pairs.filter(was_open(pairs, pairs["at"])).select("number").distinct()


@rows(*_SENT, by=("contact", "touchpoint"))
def contacts_sent(world: World) -> ir.Table:
    """Surveys and e-mails sent, with whether the moment was wrong."""
    t = sent = _sent(world)
    hits = {}
    if all(world.has(n) for n in _PARCEL):
        hits["before_parcel"] = _before_parcel(world, sent)
    if world.has(_TICKET[0]):
        hits["during_ticket"] = _during_ticket(world, sent)
    for name, found in hits.items():
        t = t.left_join(found.mutate(**{name: ibis.literal(True)}), "number")
        t = t.drop(*(c for c in t.columns if c.endswith("_right")))
        t = t.mutate(**{name: t[name].fill_null(False)})
    untimely = [t[name] for name in hits]
    wrong = ibis.or_(*untimely) if untimely else ibis.null("boolean")
    return t.select("customer_id", "contact", "touchpoint", *hits, month=world.month(t["at"]),
                    is_untimely=wrong)  # fmt: skip


@figure(contacts_sent, "share", unit="share", better=-1,
        needs=("transactions.promised_at|transactions.delivered_at|interactions.resolved_at"
               "|interactions.closed_at",))  # fmt: skip
def untimely_contact_rate(t: ir.Table) -> Any:
    """Of the surveys and e-mails sent in the period, the share sent before the parcel of their
    order (else any parcel on its way) had arrived, or while a ticket was open."""
    return t.is_untimely


@figure(contacts_sent, "share", unit="share", needs=_PARCEL, better=-1)
def contact_before_parcel_rate(t: ir.Table) -> Any:
    """Of the surveys and e-mails sent in the period, the share sent before the parcel of their
    order (else any parcel on its way) had arrived."""
    return t.before_parcel


@figure(contacts_sent, "share", unit="share", needs=_TICKET, better=-1)
def contact_during_ticket_rate(t: ir.Table) -> Any:
    """Of the surveys and e-mails sent in the period, the share sent while a ticket of the
    customer was open."""
    return t.during_ticket
