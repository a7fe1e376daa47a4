"""Figures on subscriptions: recurring revenue at each end of a month, and what moved it."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.kpis.registry import figure, rows
from tenure.kpis.world import World, month_after

__all__: list[str] = []

_NONE = ibis.literal(0, "decimal(18, 4)")


def _paid(world: World) -> ir.Table:
    """Return each subscription row with when it is paid: out of trial, and over short pauses.

    A row without an end ends where the next row of the same subscription starts. A pause of at most
    `grace_days` before the customer's next row is no end.
    """
    t = world.tables["subscriptions"]
    end = world.column(t, "ended_at", "timestamp(6)")
    if "subscription_id" in t.columns:
        same = ibis.window(group_by=[t.customer_id, t.subscription_id], order_by=t.started_at)
        follows = t.subscription_id.notnull().ifelse(t.started_at.lead().over(same), None)
        end = ibis.coalesce(end, follows.cast("timestamp(6)"))
    t = t.mutate(end=end)
    after = ibis.window(group_by=t.customer_id, order_by=[t.started_at, t.end])
    start = t.started_at.lead().over(after)
    day, next_day = world.day(t.end), world.day(start)
    pause = next_day.delta(day, unit="day")
    short = (start >= t.end) & (pause <= world.config.churn.grace_days)
    t = t.mutate(end=short.fill_null(False).ifelse(start, t.end))
    trial = world.column(t, "trial_ends_at", "timestamp(6)")
    return t.select(
        "customer_id",
        start=ibis.greatest(t.started_at, ibis.coalesce(trial, t.started_at)),
        end=t.end,
        mrr=ibis.coalesce(world.column(t, "mrr", "decimal(18, 4)"), _NONE),
        counts=ibis.literal(1, "int64"),
    )


@rows("subscriptions", own_periods=True)
def subscriber_months(world: World) -> ir.Table:
    """Subscribers of each month: recurring revenue when it began and when it ended."""
    t = _paid(world)
    months = world.months("subscriptions")
    edges = world.calendar([*months, *([month_after(months[-1])] if months else [])])
    runs = t.join(edges, [t.start < edges.starts])
    runs = runs.filter(runs.end.isnull() | (runs.end >= runs.starts))
    at = runs.group_by("customer_id", "month").agg(
        mrr=runs.mrr.sum().cast("decimal(18, 4)"), running=runs.counts.sum()
    )
    before = (at.month + ibis.interval(months=-1)).cast("date")
    no_one = ibis.literal(0, "int64")
    begins = at.select("customer_id", "month", before=at.mrr, after=_NONE,
                       running_before=at.running, running_after=no_one)  # fmt: skip
    ends = at.select("customer_id", month=before, before=_NONE, after=at.mrr,
                     running_before=no_one, running_after=at.running)  # fmt: skip
    sides = begins.union(ends.select(begins.columns))
    sums = {c: sides[c].sum() for c in sides.columns[2:]}
    both = sides.group_by("customer_id", "month").agg(
        **{c: v.cast(sides[c].type()) for c, v in sums.items()}
    )
    first = t.filter(t.mrr > 0).group_by("customer_id").agg(first_at=lambda r: r.start.min())
    both = both.left_join(first, "customer_id").drop("customer_id_right")
    starts = edges.select("month", "starts")
    both = both.left_join(starts, "month").drop("month_right")
    both = both.filter(both.month.isin(months) if months else False)
    return both.mutate(paid_before=(both.first_at < both.starts).fill_null(False))


_MRR = ("subscriptions.mrr",)
_MONEY = "currency per month"


@figure(subscriber_months, "total", unit="subscribers", better=1)
def active_subscribers(t: ir.Table) -> Any:
    """Customers with a subscription out of trial at the end of the period."""
    return (t.running_after > 0).ifelse(1, ibis.null("int64"))


@figure(subscriber_months, "ratio", unit="share", needs=_MRR, better=1)
def gross_revenue_retention(t: ir.Table) -> Any:
    """Of the monthly recurring revenue at the start of the period, the share still there at its
    end, not counting what grew."""
    return ibis.least(t.before, t.after), t.before


@figure(subscriber_months, "ratio", unit="share", needs=_MRR, better=1)
def net_revenue_retention(t: ir.Table) -> Any:
    """Monthly recurring revenue at the end of the period from those who paid at its start,
    growth included, divided by what they paid then."""
    return (t.before > 0).ifelse(t.after, _NONE), t.before


def _when(condition: ir.BooleanValue, money: ir.Value) -> ir.Value:
    return condition.ifelse(money.cast("decimal(18, 4)"), ibis.null("decimal(18, 4)"))


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR)
def mrr_start(t: ir.Table) -> Any:
    """Monthly recurring revenue when the period began: running subscriptions out of trial."""
    return _when(t.before > 0, t.before)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=1)
def mrr_new(t: ir.Table) -> Any:
    """Recurring revenue at the end of the period of customers who had never paid before it."""
    return _when((t.before == 0) & (t.after > 0) & ~t.paid_before, t.after)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=1)
def mrr_returned(t: ir.Table) -> Any:
    """Recurring revenue at the end of the period of customers who paid nothing when it began
    but had paid before."""
    return _when((t.before == 0) & (t.after > 0) & t.paid_before, t.after)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=1)
def mrr_expansion(t: ir.Table) -> Any:
    """By how much customers who paid when the period began paid more at its end."""
    return _when((t.before > 0) & (t.after > t.before), t.after - t.before)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=-1)
def mrr_contraction(t: ir.Table) -> Any:
    """By how much customers who paid when the period began paid less, but something, at its end."""
    return _when((t.after > 0) & (t.after < t.before), t.before - t.after)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=-1)
def mrr_churned(t: ir.Table) -> Any:
    """What customers who paid when the period began, and nothing at its end, had paid."""
    return _when((t.before > 0) & (t.after == 0), t.before)


@figure(subscriber_months, "total", unit=_MONEY, needs=_MRR, better=1)
def mrr_end(t: ir.Table) -> Any:
    """Monthly recurring revenue when the period ended: start + new + returned + expansion -
    contraction - churned."""
    return _when(t.after > 0, t.after)
