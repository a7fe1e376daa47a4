"""Recency, frequency and monetary value as the buy-till-you-die literature defines them."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from tenure.features.spec import feature, total
from tenure.features.transactions import purchase_days_


@feature(
    purchase_days_, unit="days", factor="engagement", empty=0, direction=-1,
    says="Bought again on {n} [day|days]",
)  # fmt: skip
def frequency(d: ir.Table) -> Any:
    """Purchase days after the first one."""
    return d.is_purchase.sum() - 1


@feature(
    purchase_days_, unit="days", factor="engagement",
    says="The last purchase came {value} after the first",
)  # fmt: skip
def recency(d: ir.Table) -> Any:
    """Days from the first to the last purchase day."""
    return d.day.max(where=d.is_purchase).delta(d.day.min(where=d.is_purchase), unit="day")


@feature(purchase_days_, unit="days", factor="lifecycle", says="First purchase {value} ago")
def T(d: ir.Table) -> Any:
    """Age as a customer: days since the first purchase."""
    return d.cutoff_day.max().delta(d.day.min(where=d.is_purchase), unit="day") - 1


@feature(
    purchase_days_, unit="currency per purchase day", factor="value",
    says="Spent {value} on each day with a purchase", none="No second purchase",
)  # fmt: skip
def monetary_value(d: ir.Table) -> Any:
    """Average money per purchase day after the first, net of refunds since then."""
    repeats = (d.is_repeat & d.is_purchase).sum()
    kept = total(d.is_repeat.ifelse(d.net, 0))
    return (kept > 0).ifelse(kept, 0.0) / repeats.nullif(0)
