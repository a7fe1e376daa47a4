"""Figures on contacts: how fast they are answered and solved, what is open, what they ask for."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import ends_of, from_customers, solved_at, was_open
from tenure.kpis.clock import working_seconds
from tenure.kpis.registry import figure, rows
from tenure.kpis.world import World, seconds_between

__all__ = ["done_at", "with_partner"]

_BY = ("channel", "channel_kind", "topic", "kind", "partner")


def done_at(t: ir.Table) -> ir.TimestampValue:
    """Return when a ticket was resolved or closed; null while it is open, or open again."""
    return solved_at(t) if ends_of(t) else ibis.null("timestamp(6)")


@rows("interactions", by=_BY)
def tickets(world: World) -> ir.Table:
    """Contacts that customers opened, with seconds until the first response and until done."""
    t = from_customers(world.tables["interactions"])
    done = done_at(t)
    first = world.column(t, "first_response_at", "timestamp(6)")
    answered = ibis.coalesce(first, done, world.end)
    reopened = [t.reopened_at.notnull()] if "reopened_at" in t.columns else []
    reopened += [t.reopens.fill_null(0) > 0] if "reopens" in t.columns else []
    was_done = done.notnull() | (reopened[0] if reopened else ibis.literal(False))
    again = reopened[0] if len(reopened) == 1 else reopened[0] | reopened[1] if reopened else None
    columns = {
        "month": world.month(t.day),
        "response_seconds": seconds_between(t.opened_at, answered),
        "responded": first.notnull(),
        "resolution_seconds": seconds_between(t.opened_at, ibis.coalesce(done, world.end)),
        "resolved": done.notnull(),
    }
    if again is not None:
        columns["reopened"] = was_done.ifelse(again, ibis.null("boolean"))
    hours = world.config.experience.support_hours
    if hours:
        to = {"response_working": answered, "resolution_working": ibis.coalesce(done, world.end)}
        for name, end in to.items():
            columns[name] = working_seconds(t.opened_at, end, hours, world.config.timezone)
    return with_partner(
        world,
        t.select("customer_id", *_here(t, "channel", "topic", "kind", "transaction_id"), **columns),
    )


def _here(t: ir.Table, *names: str) -> list[str]:
    return [n for n in names if n in t.columns]


def with_partner(world: World, t: ir.Table) -> ir.Table:
    """Add the partner of the order that a row is linked to."""
    if "transaction_id" not in t.columns:
        return t
    if not world.has("transactions.partner") or not world.has("transactions.transaction_id"):
        return t.drop("transaction_id")
    log = world.purchases()
    partners = log.filter(log.transaction_id.notnull()).select("transaction_id", "partner")
    partners = partners.distinct(on="transaction_id", keep="first")
    return t.left_join(partners, "transaction_id").drop("transaction_id", "transaction_id_right")


@figure(tickets, "total", unit="contacts")
def contacts(t: ir.Table) -> Any:
    """Number of contacts that customers opened."""
    return ibis.ifelse(t.month.notnull(), 1, 0).cast("int64")


_RESPONSE = ("interactions.first_response_at",)
_DONE = ("interactions.resolved_at|interactions.closed_at",)


@figure(tickets, "median", unit="hours", needs=_RESPONSE, better=-1)
def first_response_hours_median(t: ir.Table) -> Any:
    """Hours from opening until half of the contacts opened in the period had their first
    response; those still waiting count with their wait so far."""
    return t.response_seconds, t.responded


@figure(tickets, "median", unit="hours", needs=_DONE, better=-1)
def resolution_hours_median(t: ir.Table) -> Any:
    """Hours from opening until half of the contacts opened in the period were resolved (else
    closed); those still open count with their age so far."""
    return t.resolution_seconds, t.resolved


_CLOCK = "experience.support_hours"


@figure(tickets, "median", unit="working hours", needs=(*_RESPONSE, _CLOCK), better=-1)
def first_response_working_hours_median(t: ir.Table) -> Any:
    """As the first response, but only hours within `experience.support_hours` count."""
    return t.response_working, t.responded


@figure(tickets, "median", unit="working hours", needs=(*_DONE, _CLOCK), better=-1)
def resolution_working_hours_median(t: ir.Table) -> Any:
    """As the resolution, but only hours within `experience.support_hours` count."""
    return t.resolution_working, t.resolved


@figure(tickets, "share", unit="share", better=-1,
        needs=("interactions.reopened_at|interactions.reopens", *_DONE))  # fmt: skip
def reopen_rate(t: ir.Table) -> Any:
    """Of the contacts opened in the period that were done at least once, the share reopened
    since."""
    return t.reopened


@rows("interactions", by=_BY, own_periods=True)
def open_tickets(world: World) -> ir.Table:
    """Contacts still open at the end of each month, and at the end of observation."""
    t = from_customers(world.tables["interactions"])
    held = ["customer_id", *_here(t, "channel", "topic", "kind", "transaction_id")]
    now = t.filter(done_at(t).isnull())
    age = seconds_between(now.opened_at, world.end)
    parts = [now.select(*held, month=ibis.null("date"), age=age)]
    months = world.months("interactions")
    if months:
        ends = world.calendar(months).select("month", "ends")
        pairs = t.join(ends, [t.opened_at < ends.ends])
        still = pairs.filter(was_open(pairs, pairs.ends))
        age = seconds_between(still.opened_at, still.ends)
        parts.append(still.select(*held, month=still.month, age=age))
    return with_partner(world, parts[0].union(parts[1]) if len(parts) > 1 else parts[0])


@figure(open_tickets, "total", unit="contacts", needs=_DONE, better=-1)
def backlog(t: ir.Table) -> Any:
    """Contacts still open at the end of the period (of the whole log: at the end of
    observation)."""
    return (t.age >= 0).cast("int64")


@figure(open_tickets, "median", unit="days", needs=_DONE, better=-1)
def backlog_age_days_median(t: ir.Table) -> Any:
    """Median age in days of the contacts still open at the end of the period."""
    return t.age, ibis.literal(True)
