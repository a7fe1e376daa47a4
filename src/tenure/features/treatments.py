"""What the campaigns did: whom they contacted, and when. Control groups count as left alone."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from tenure.features.spec import feature, view


@view("treatments", at="ts", rows="contacts", none="No campaign contact")
def campaign_contacts_(t: ir.Table) -> ir.Table:
    """Rows: the campaigns that reached a customer, not those it was held out of."""
    return t.filter(t.treated)


@feature(
    campaign_contacts_, windows=(90, 365), unit="count", factor="contact", empty=0,
    says="{n} campaign [contact|contacts]", actionable=True,
)  # fmt: skip
def campaign_contacts(t: ir.Table) -> Any:
    """Campaign contacts received."""
    return t.count()


@feature(
    campaign_contacts_, unit="days", factor="contact",
    says="Last campaign contact {value} ago", actionable=True,
)  # fmt: skip
def days_since_campaign_contact(t: ir.Table) -> Any:
    """Days since a campaign last contacted the customer."""
    return t.cutoff_day.max().delta(t.day.max(), unit="day") - 1
