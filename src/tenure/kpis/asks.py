"""What customers ask for: topics and requests, by number, by what the askers spend, and leaving."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import from_customers
from tenure.kpis.leaving import leavers
from tenure.kpis.registry import figure, rows
from tenure.kpis.world import World

__all__: list[str] = []

YEAR = 365
_GROUPS = ("topic", "request")


def _asked(world: World) -> ir.Table:
    """Return the contacts with a topic; `request` is the topic of those that ask for something."""
    t = from_customers(world.tables["interactions"])
    t = t.filter(t.topic.notnull())
    nothing = ibis.null("string")
    has_kind = "kind" in t.columns
    return t.mutate(request=(t.kind == "request").ifelse(t.topic, nothing) if has_kind else nothing)


@rows("interactions.topic", by=_GROUPS)
def asks(world: World) -> ir.Table:
    """Contacts with a topic, each with what its customer had spent in the year before."""
    t = _asked(world)
    number = ibis.row_number().over(order_by=[t.opened_at, t.customer_id, t.topic])
    t = t.select("customer_id", *_GROUPS, "opened_at", "day", number=number)
    made = t.select("customer_id", *_GROUPS, month=world.month(t.day))
    if not world.has("transactions"):
        return made
    money = world.ledger().select("customer_id", "ts", "amount")
    since = t.opened_at - ibis.interval(days=YEAR)
    pairs = t.mutate(since=since).join(money, "customer_id")
    pairs = pairs.filter(pairs.ts < pairs.opened_at, pairs.ts >= pairs.since)
    spent = pairs.group_by("number").agg(spent=pairs.amount.sum().cast("decimal(18, 4)"))
    t = t.left_join(spent, "number")
    nothing = ibis.literal(0, "decimal(18, 4)")
    return t.select(
        "customer_id", *_GROUPS, month=world.month(t.day), spent=t.spent.fill_null(nothing)
    )


@figure(asks, "total", unit="contacts", by=_GROUPS, overall=False)
def topic_contacts(t: ir.Table) -> Any:
    """Number of contacts on a topic (by `request`: of those that ask for something)."""
    return t.customer_id.notnull().cast("int64")


@figure(asks, "mean", unit="currency", by=_GROUPS, overall=False, needs=("transactions",))
def topic_asker_spend(t: ir.Table) -> Any:
    """What customers who contacted us on a topic had spent, less refunds, in the 365 days
    before, on average over contacts."""
    return t.spent


@rows("interactions.topic", by=_GROUPS)
def asks_and_leaving(world: World) -> ir.Table:
    """Customers with a contact on a topic in a month, and whether they left from the next first
    on."""
    t = _asked(world)
    t = t.select("customer_id", *_GROUPS, month=world.month(t.day)).distinct()
    left = leavers(world).select("customer_id", asked_on="month", churned="churned")
    if world.config.churn.kind == "label":
        joined = t.join(left, "customer_id")
    else:
        t = t.mutate(asked_on=(t.month + ibis.interval(months=1)).cast("date"))
        joined = t.join(left, ["customer_id", "asked_on"])
    return joined.select("customer_id", *_GROUPS, "month", "churned")


@figure(asks_and_leaving, "share", unit="share", by=_GROUPS, overall=False, better=-1)
def topic_asker_churn_rate(t: ir.Table) -> Any:
    """Of the customers with a contact on a topic in the period who could leave on the first of
    the next month, the share who left."""
    return t.churned
