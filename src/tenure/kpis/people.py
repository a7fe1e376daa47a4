"""Figures on whom we may contact, and on what campaigns changed."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.kpis.registry import figure, rows
from tenure.kpis.surveys import DAY
from tenure.kpis.world import World, seconds_between

__all__: list[str] = []


@rows("customers.contactable", own_periods=True)
def customers(world: World) -> ir.Table:
    """Customers as they stand at the end of observation."""
    t = world.tables["customers"]
    return t.select("customer_id", "contactable", month=ibis.null("date"))


@figure(customers, "share", unit="share", better=1)
def contactable_share(t: ir.Table) -> Any:
    """Of the customers for whom we know, the share we may contact."""
    return t.contactable


@rows("treatments.randomised", "transactions", by=("campaign",))
def treated_by_lot(world: World) -> ir.Table:
    """Customers drawn by lot into a campaign or its control group, and whether they bought
    after."""
    days = world.config.churn.horizon_days
    t = world.tables["treatments"]
    t = t.filter(t.randomised, seconds_between(t.ts, world.end) >= days * DAY)
    number = ibis.row_number().over(order_by=[t.ts, t.customer_id, t.campaign, t.treated])
    t = t.select("customer_id", "campaign", "treated", "ts", month=world.month(t.ts), number=number)
    bought = world.purchases().select("customer_id", bought_at="ts")
    pairs = t.mutate(until=t.ts + ibis.interval(days=days)).join(bought, "customer_id")
    came = pairs.filter(pairs.bought_at > pairs.ts, pairs.bought_at <= pairs.until)
    came = came.select("number", came=ibis.literal(True)).distinct()
    t = t.left_join(came, "number")
    return t.select("customer_id", "campaign", "month", "treated", came=t.came.fill_null(False))


@figure(treated_by_lot, "share", unit="share", by=("campaign",), better=1)
def treated_return_rate(t: ir.Table) -> Any:
    """Of the customers a campaign with a random control group reached, the share who bought
    within `churn.horizon_days`."""
    return t.treated.ifelse(t.came, ibis.null("boolean"))


@figure(treated_by_lot, "share", unit="share", by=("campaign",))
def control_return_rate(t: ir.Table) -> Any:
    """The same in its control group."""
    return t.treated.ifelse(ibis.null("boolean"), t.came)


@figure(treated_by_lot, "difference", unit="share", by=("campaign",), better=1)
def campaign_lift(t: ir.Table) -> Any:
    """Return rate of those reached minus return rate of the control group; drawn by lot, so the
    campaign is the cause."""
    return t.came, t.treated


@rows("treatments.cost", by=("campaign",))
def contacts_paid(world: World) -> ir.Table:
    """Customers reached by a campaign, with what that cost."""
    t = world.tables["treatments"].filter(lambda t: t.treated & t.cost.notnull())
    return t.select("customer_id", "campaign", "cost", month=world.month(t.ts))


@figure(contacts_paid, "mean", unit="currency", by=("campaign",))
def campaign_cost(t: ir.Table) -> Any:
    """Cost of a campaign divided by the customers it reached, where a cost is given."""
    return t.cost
