"""What subscriptions say: their age, plan, price, seats, renewals and earlier ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.spec import feature, total, view

DAY = 86_400
NEVER = dt.date(9999, 12, 31)
TERMS = ("plan", "mrr", "seats")


def _named(s: ir.Table) -> ir.Table:
    """Give every period the name of its subscription; those without an id share one."""
    given = s.subscription_id if "subscription_id" in s.columns else ibis.null("string")
    ended = s.ended_day if "ended_day" in s.columns else ibis.null("date")
    return s.mutate(named=given.fill_null(""), has_name=given.notnull(), ended_day=ended)


def _in_order(s: ir.Table) -> ir.Table:
    """Set each period beside the one before and the one after of the same subscription."""
    terms = [c for c in TERMS if c in s.columns]
    order = [s.started_at, *(s[c] for c in terms), s.ended_day]
    same = ibis.window(group_by=[s.cutoff, s.customer_id, s.named], order_by=order)
    return s.mutate(
        is_change=s.day.lag().over(same).notnull(),
        next_day=s.day.lead().over(same),
        **{f"{c}_before": s[c].lag().over(same) for c in terms},
    )


def _in_spells(s: ir.Table) -> ir.Table:
    """Tell ends from changes, and the starts of spells: what follows within the grace goes on."""
    is_replaced = s.has_name & s.next_day.notnull()
    goes_on = (s.next_day.delta(s.ended_day, unit="day") <= s.grace_days).fill_null(False)
    until = ibis.coalesce(s.ended_day, is_replaced.ifelse(s.next_day, NEVER))
    order = [s.started_at, s.named, *(s[c] for c in TERMS if c in s.columns), s.ended_day]
    mine = {"group_by": [s.cutoff, s.customer_id], "order_by": order}
    covered = until.max().over(ibis.window(**mine, rows=(None, -1)))
    is_return = (s.day.delta(covered, unit="day") > s.grace_days).fill_null(False)
    return s.mutate(
        is_active=s.ended_day.isnull() & ~is_replaced,
        is_end=s.ended_day.notnull() & ~goes_on,
        is_return=is_return,
        begins=covered.isnull() | is_return,
        place=ibis.row_number().over(ibis.window(**mine)),
    )


def _same(s: ir.Table, *terms: str) -> ir.BooleanValue:
    held = [s[c].identical_to(s[f"{c}_before"]) for c in terms if c in s.columns]
    return ibis.and_(s.is_change, *held)


@view(
    "subscriptions", at="started_at", settings=("grace_days",), rows="periods",
    none="No subscription",
)  # fmt: skip
def periods_(s: ir.Table) -> ir.Table:
    """Rows: the periods of a customer's subscriptions, one for each plan and price."""
    s = _in_spells(_in_order(_named(s)))
    made: dict[str, ir.Value] = {}
    if "plan" in s.columns:
        made["plan_changed"] = s.is_change & ~_same(s, "plan")
        made["active_plan"] = s.is_active.ifelse(s.plan, ibis.null("string"))
    if "mrr" in s.columns:
        made["mrr_step"] = s.mrr - s.mrr_before
        made["price_step"] = _same(s, "plan", "seats").ifelse(made["mrr_step"], 0)
    if "seats" in s.columns:
        made["seats_step"] = s.seats - s.seats_before
    return s.mutate(**made)


def _days_since(s: ir.Table, which: ir.BooleanValue) -> Any:
    return s.cutoff_day.max().delta(s.day.max(where=which), unit="day") - 1


@feature(
    periods_, unit="days", factor="lifecycle",
    says="Subscribed for {value} without a pause", none="No running subscription",
)  # fmt: skip
def subscription_age_days(s: ir.Table) -> Any:
    """Days the customer has subscribed without a pause."""
    runs = s.is_active.sum() > 0
    age = s.cutoff_day.max().delta(s.day.max(where=s.begins), unit="day")
    return runs.ifelse(age, ibis.null("int64"))


@feature(periods_, unit="days", factor="lifecycle", says="First subscribed {value} ago")
def days_since_first_subscription(s: ir.Table) -> Any:
    """Days since the customer first subscribed."""
    return s.cutoff_day.max().delta(s.day.min(), unit="day") - 1


@feature(
    periods_, unit="count", factor="lifecycle", empty=0, direction=-1,
    says="{n} running [subscription|subscriptions]",
)  # fmt: skip
def active_subscriptions(s: ir.Table) -> Any:
    """Subscriptions that run."""
    return s.is_active.sum()


@feature(
    periods_, unit="share", factor="product", by="plan",
    says="{value} of the subscriptions are on {level}",
    none="No running subscription with a known plan",
)  # fmt: skip
def plan_share(s: ir.Table, level: str) -> Any:
    """Share of the running subscriptions that are on this plan."""
    on = s.is_active & (s.plan == level)
    return on.sum() / s.active_plan.count().nullif(0)


@feature(
    periods_, unit="currency per month", factor="value", empty=0, needs=("mrr",),
    says="Pays {value} a month",
)  # fmt: skip
def mrr(s: ir.Table) -> Any:
    """Monthly price of the running subscriptions."""
    return total(s.is_active.ifelse(s.mrr, 0))


@feature(
    periods_, windows=(365, None), unit="currency per month", factor="pricing", empty=0,
    needs=("mrr",),
    says="The monthly price changed by {signed}",
)  # fmt: skip
def mrr_change(s: ir.Table) -> Any:
    """Rise of the monthly price by changes of plan, seats or price, falls taken off."""
    return total(s.mrr_step)


@feature(
    periods_, unit="currency per month", factor="pricing", needs=("mrr",),
    says="The monthly price last changed by {signed}", none="The monthly price never changed",
)  # fmt: skip
def mrr_change_last(s: ir.Table) -> Any:
    """Rise or fall of the monthly price when it last changed."""
    return s.mrr_step.argmax(s.place, where=s.mrr_step != 0)


@feature(
    periods_, windows=(365,), unit="count", factor="product", empty=0, needs=("plan",),
    says="Changed the plan {times} // Did not change the plan",
)  # fmt: skip
def plan_changes(s: ir.Table) -> Any:
    """Plan changes."""
    return s.plan_changed.sum()


@feature(
    periods_, windows=(365,), unit="count", factor="pricing", empty=0, needs=("mrr",),
    says="{n} price [change|changes]", actionable=True,
)  # fmt: skip
def price_changes(s: ir.Table) -> Any:
    """Price changes for the same plan and seats."""
    return (s.price_step != 0).sum()


@feature(
    periods_, windows=(365, None), unit="count", factor="pricing", empty=0, direction=1,
    needs=("mrr",),
    says="{n} price [rise|rises]", actionable=True,
)  # fmt: skip
def price_rises(s: ir.Table) -> Any:
    """Rises of the price for the same plan and seats."""
    return (s.price_step > 0).sum()


@feature(
    periods_, unit="days", factor="pricing", direction=-1, needs=("mrr",),
    says="The price last rose {value} ago.", none="The price never rose", actionable=True,
)  # fmt: skip
def days_since_price_rise(s: ir.Table) -> Any:
    """Days since the price last rose for the same plan and seats."""
    return _days_since(s, s.price_step > 0)


@feature(
    periods_, unit="count", factor="usage", empty=0, direction=-1, needs=("seats",),
    says="{n} [seat|seats]",
)  # fmt: skip
def seats(s: ir.Table) -> Any:
    """Seats of the running subscriptions."""
    return s.is_active.ifelse(s.seats, 0).sum()


@feature(
    periods_, windows=(365, None), unit="count", factor="usage", empty=0, direction=-1,
    needs=("seats",),
    says="The number of seats changed by {signed}",
)  # fmt: skip
def seats_change(s: ir.Table) -> Any:
    """Seats added by changes, seats given up taken off."""
    return s.seats_step.sum()


@feature(
    periods_, unit="days", factor="lifecycle", needs=("renews_at",),
    says="{value} to the next renewal", none="No renewal date",
)  # fmt: skip
def days_to_renewal(s: ir.Table) -> Any:
    """Days to the next planned renewal; below zero if it is overdue."""
    left = s.renews_at.delta(s.cutoff, unit="second")
    return left.min(where=s.is_active) / DAY


@feature(
    periods_, unit="days", factor="lifecycle", needs=("trial_ends_at",),
    says="{value} since the end of the trial", none="No trial",
)  # fmt: skip
def days_since_trial_end(s: ir.Table) -> Any:
    """Days since the last trial ended; below zero while it runs."""
    return s.cutoff.delta(s.trial_ends_at, unit="second").min() / DAY


@feature(
    periods_, unit="count", factor="loyalty", empty=0, direction=1, needs=("ended_at",),
    says="Ended {n} [subscription|subscriptions] before // Never ended a subscription",
)  # fmt: skip
def ends_voluntary(s: ir.Table) -> Any:
    """Subscriptions the customer ended."""
    if "end_reason" not in s.columns:
        return s.is_end.sum()
    return (s.is_end & (s.end_reason.fill_null("voluntary") != "involuntary")).sum()


@feature(
    periods_, unit="count", factor="billing", empty=0, direction=1,
    needs=("ended_at", "end_reason"),
    says="{n} [subscription|subscriptions] ended unpaid or against their will", actionable=True,
)  # fmt: skip
def ends_involuntary(s: ir.Table) -> Any:
    """Subscriptions that ended without the customer's will, such as unpaid ones."""
    return (s.is_end & (s.end_reason == "involuntary")).sum()


@feature(
    periods_, unit="count", factor="loyalty", empty=0, needs=("ended_at",),
    says="Came back {times} // Never came back after a pause",
)  # fmt: skip
def returns(s: ir.Table) -> Any:
    """Comebacks after a pause that is longer than the grace."""
    return s.is_return.sum()


@feature(
    periods_, unit="count", factor="loyalty", empty=0, direction=1, needs=("cancel_requested_at",),
    says="Gave notice {times} // Never gave notice",
)  # fmt: skip
def notices(s: ir.Table) -> Any:
    """Notices given, also for subscriptions that went on or ended long ago."""
    return s.cancel_requested_at.count()
