"""What help costs a customer: how often they ask, how many hands, the same question again."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from tenure.features.deliveries import mean
from tenure.features.interactions import outcome, tickets_
from tenure.features.spec import combined, feature, view


@combined(
    windows=(365, None), unit="per order", factor="effort", direction=1,
    says="{n} [ticket|tickets] an order", none="No purchase",
)  # fmt: skip
def tickets_per_order(f: Any, w: int | None = None) -> Any:
    """Tickets opened for each order made."""
    return f.tickets(w) / f.orders(w).nullif(0)


@outcome(
    "handoffs", unit="times per ticket", factor="effort",
    says="Tickets were handed on {value} on average // No ticket was handed on",
    none="No finished ticket", actionable=True,
)  # fmt: skip
def handoffs_mean(t: ir.Table) -> Any:
    """How often a finished ticket had been passed to somebody else, on average."""
    return mean(t.handoffs)


@outcome(
    "replies", windows=(365,), unit="replies per ticket", factor="effort",
    says="{n} [message|messages] a ticket", none="No finished ticket", actionable=True,
)  # fmt: skip
def replies_mean(t: ir.Table) -> Any:
    """Messages a finished ticket took, on average."""
    return mean(t.replies)


@feature(
    tickets_, windows=(90, 365), unit="count", factor="effort", empty=0, direction=1,
    needs=("topic",),
    says="Had to ask again {times} // Never had to ask again", actionable=True,
)  # fmt: skip
def repeat_contacts(t: ir.Table) -> Any:
    """Tickets on a topic the customer had already written about in the seven days before."""
    return t.is_again.sum()


@feature(
    tickets_, windows=(365,), unit="count", factor="effort", empty=0, direction=1,
    needs=("topic", "channel"),
    says="Changed the channel to ask again {times} // Never changed the channel",
    actionable=True,
)  # fmt: skip
def channel_switches(t: ir.Table) -> Any:
    """Repeated contacts for which the customer changed the channel."""
    return t.is_elsewhere.sum()


@outcome(
    "transaction_id", windows=(365,), unit="share", factor="product",
    says="{value} of the tickets were about an order",
)  # fmt: skip
def order_ticket_share(t: ir.Table) -> Any:
    """Share of the tickets that are about an order."""
    return t.transaction_id.count() / t.count().nullif(0)


@feature(
    tickets_, windows=(90, 365), unit="count", factor="effort", empty=0, by="kind",
    says="{n} {level}[|s]",
)  # fmt: skip
def tickets_of_kind(t: ir.Table, level: str) -> Any:
    """Tickets of this kind."""
    return (t.kind == level).sum()


def _level_share(value: ir.Value, level: str) -> Any:
    return (value == level).sum() / value.count().nullif(0)


@feature(
    tickets_, windows=(365,), unit="share", factor="effort", by="topic",
    says="{value} of the tickets were about {level}", none="No ticket with a known topic",
)  # fmt: skip
def topic_share(t: ir.Table, level: str) -> Any:
    """Share of the tickets on this topic."""
    return _level_share(t.topic, level)


@feature(
    tickets_, windows=(365,), unit="share", factor="effort", by="channel",
    says="{value} of the tickets came through {level}", none="No ticket with a known channel",
)  # fmt: skip
def ticket_channel_share(t: ir.Table, level: str) -> Any:
    """Share of the tickets that came through this channel."""
    return _level_share(t.channel, level)


def _to_customers(interactions: ir.Table) -> ir.Table:
    return interactions.filter(interactions.direction == "out")


@view("interactions", at="opened_at", needs=("direction",), collapse=_to_customers, rows="contacts")
def outbound_(t: ir.Table) -> ir.Table:
    """Rows: times we wrote or called first."""
    return t


@feature(
    outbound_, windows=(90, 365), unit="count", factor="contact", empty=0,
    says="Contacted by us {times} // Not contacted by us", actionable=True,
)  # fmt: skip
def outbound_contacts(t: ir.Table) -> Any:
    """Contacts that we began."""
    return t.count()
