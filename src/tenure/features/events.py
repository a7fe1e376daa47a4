"""What usage, visits, mails and incidents say: rows of customer and day, then plain aggregates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.spec import combined, feature, total, view

NOTHING = "decimal(18, 4)"
USE = ("group=use",)


def _grouped(events: ir.Table) -> ir.Table:
    """Read a missing group as use."""
    group = events["group"].fill_null("use") if "group" in events.columns else ibis.literal("use")
    return events.mutate(group=group)


def _late(e: ir.Table) -> list[str]:
    return [c for c in ("loaded_at",) if c in e.columns]


def by_use_day(events: ir.Table) -> ir.Table:
    """Collapse use to one row a customer and day (and load, where rows load late)."""
    e = _grouped(events)
    e = e.filter(e["group"] == "use")
    return e.group_by(["customer_id", "day", *_late(e)]).agg(ts=e.ts.min())


@view("events", at="ts", collapse=by_use_day, rows="days", none="No use of the product")
def used_days_(d: ir.Table) -> ir.Table:
    """Rows: the days on which a customer used the product."""
    if not _late(d):
        return d
    days = d.group_by(["cutoff", "cutoff_day", "customer_id", "day"])
    return days.agg(ts=d.ts.min())  # late rows join their day at the cutoff that knows them


@feature(
    used_days_, windows=(30, 60, 90, 180), unit="days", factor="usage", empty=0, direction=-1,
    needs=USE,
    says="Used the product on {n} [day|days]",
)  # fmt: skip
def use_days(d: ir.Table) -> Any:
    """Days on which the product was used."""
    return d.count()


@feature(
    used_days_, unit="days", factor="usage", direction=1, needs=USE,
    says="Last used the product {value} ago",
)  # fmt: skip
def days_since_use(d: ir.Table) -> Any:
    """Days since the product was last used."""
    return d.cutoff_day.max().delta(d.day.max(), unit="day") - 1


@combined(
    windows=(60, 180), unit="share", factor="usage", direction=-1,
    says="{value} of the days of use{window} fell into the newer half",
    none="No use of the product",
)  # fmt: skip
def use_trend(f: Any, w: int) -> Any:
    """Share of the days of use that fell into the newer half of the window."""
    return f.use_days(w // 2) / f.use_days(w).nullif(0)


def by_day(events: ir.Table) -> ir.Table:
    """Collapse all but use to one row a customer, day and group (and load)."""
    e = _grouped(events)
    e = e.filter(e["group"] != "use")
    value = e.value.fill_null(0) if "value" in e.columns else ibis.literal(0)
    e = e.mutate(n=ibis.literal(1, "int64"), value=value.cast(NOTHING))
    return _day_sums(e, ["customer_id", "day", "group", *_late(e)])


def _day_sums(e: ir.Table, keys: list[str]) -> ir.Table:
    return e.group_by(keys).agg(
        ts=e.ts.min(),
        # a day's sum fits the type of its parts; left wider, every later sum costs twice the time
        n=e.n.sum().cast("int64"),
        value=e.value.sum().cast(NOTHING),
    )


@view("events", at="ts", collapse=by_day, rows="days")
def event_days_(d: ir.Table) -> ir.Table:
    """Rows: a customer's days with events of one group, use left out."""
    if _late(d):  # late rows join their day at the cutoff that knows them
        d = _day_sums(d, ["cutoff", "cutoff_day", "customer_id", "day", "group"])
    groups = ("visit", "email", "cart", "payment_failed", "loyalty", "incident")
    return d.mutate(**{f"is_{group}": d["group"] == group for group in groups})


def _count(d: ir.Table, group: str) -> Any:
    return d[f"is_{group}"].ifelse(d.n, 0).sum()


def _days_since(d: ir.Table, group: str) -> Any:
    return d.cutoff_day.max().delta(d.day.max(where=d[f"is_{group}"]), unit="day") - 1


@feature(
    event_days_, windows=(90, 365), unit="count", factor="billing", empty=0, direction=1,
    needs=("group=payment_failed",),
    says="{n} [payment|payments] failed", actionable=True,
)  # fmt: skip
def failed_payments(d: ir.Table) -> Any:
    """Payments that failed."""
    return _count(d, "payment_failed")


@feature(
    event_days_, unit="days", factor="billing", direction=-1, needs=("group=payment_failed",),
    says="A payment failed {value} ago.", none="No payment ever failed", actionable=True,
)  # fmt: skip
def days_since_failed_payment(d: ir.Table) -> Any:
    """Days since a payment last failed."""
    return _days_since(d, "payment_failed")


@feature(
    event_days_, windows=(30, 90), unit="count", factor="contact", empty=0, needs=("group=email",),
    says="{n} [e-mail|e-mails] received", actionable=True,
)  # fmt: skip
def emails(d: ir.Table) -> Any:
    """Emails the customer received."""
    return _count(d, "email")


@feature(
    event_days_, windows=(90,), unit="count", factor="engagement", empty=0, needs=("group=cart",),
    says="{n} [cart|carts] filled and left",
)  # fmt: skip
def cart_events(d: ir.Table) -> Any:
    """Carts filled and left."""
    return _count(d, "cart")


@feature(
    event_days_, windows=(30, 90), unit="count", factor="engagement", empty=0, direction=-1,
    needs=("group=visit",),
    says="{n} [visit|visits]",
)  # fmt: skip
def visits(d: ir.Table) -> Any:
    """Visits to the site, app or store."""
    return _count(d, "visit")


@feature(
    event_days_, unit="days", factor="engagement", direction=1, needs=("group=visit",),
    says="Last visit {value} ago", none="No visit",
)  # fmt: skip
def days_since_visit(d: ir.Table) -> Any:
    """Days since the last visit."""
    return _days_since(d, "visit")


@feature(
    event_days_, windows=(365,), unit="count", factor="loyalty", empty=0, direction=-1,
    needs=("group=loyalty",),
    says="{n} loyalty [event|events]",
)  # fmt: skip
def loyalty_events(d: ir.Table) -> Any:
    """Points collected or redeemed and other loyalty events."""
    return _count(d, "loyalty")


@feature(
    event_days_, windows=(365, None), unit="points", factor="loyalty", empty=0, direction=-1,
    needs=("group=loyalty", "value"),
    says="{n} loyalty [point|points]",
)  # fmt: skip
def loyalty_value(d: ir.Table) -> Any:
    """Sum of the values of loyalty events, such as points."""
    return total(d.is_loyalty.ifelse(d.value, 0))


@feature(
    event_days_, windows=(90, 365), unit="count", factor="product", empty=0, direction=1,
    needs=("group=incident",),
    says="{n} [incident|incidents]", actionable=True,
)  # fmt: skip
def incidents(d: ir.Table) -> Any:
    """Incidents that hit the customer."""
    return _count(d, "incident")


@feature(
    event_days_, unit="days", factor="product", direction=-1, needs=("group=incident",),
    says="Last incident {value} ago.", none="No incident", actionable=True,
)  # fmt: skip
def days_since_incident(d: ir.Table) -> Any:
    """Days since the last incident."""
    return _days_since(d, "incident")


def _uses_of(column: str) -> Callable[[ir.Table], ir.Table]:
    """Collapse use to one row a customer, day and value of the column."""

    def collapse(events: ir.Table) -> ir.Table:
        e = _grouped(events)
        e = e.filter(e["group"] == "use", e[column].notnull())
        days = e.group_by(["customer_id", "day", column, *_late(e)]).agg(ts=e.ts.min())
        return days if _late(days) else _mark_newest(days, column, [])

    return collapse


def _mark_newest(days: ir.Table, column: str, keys: list[str]) -> ir.Table:
    """Say when each value came again: counting newest days beats counting distinct values."""
    among = ibis.window(group_by=[*keys, "customer_id", column], order_by="day")
    return days.mutate(passed_at=days.ts.lead().over(among))  # unknown until it comes


def _newest(d: ir.Table, column: str) -> ir.Table:
    if "passed_at" not in d.columns:
        keys = ["cutoff", "cutoff_day"]  # late rows join their day at the cutoff that knows them
        days = d.group_by([*keys, "customer_id", "day", column]).agg(ts=d.ts.min())
        d = _mark_newest(days, column, keys)
    return d.mutate(is_newest=d.passed_at.isnull())


@view("events", at="ts", collapse=_uses_of("event"), rows="days")
def event_names_(d: ir.Table) -> ir.Table:
    """Rows: a customer's days with one kind of use."""
    return _newest(d, "event")


@view("events", at="ts", needs=("user_id",), collapse=_uses_of("user_id"), rows="days")
def event_users_(d: ir.Table) -> ir.Table:
    """Rows: the days on which one user of the customer was active."""
    return _newest(d, "user_id")


@feature(
    event_names_, windows=(30, 90), unit="count", factor="usage", empty=0, direction=-1, needs=USE,
    says="Used the product for {n} [thing|things]",
)  # fmt: skip
def use_breadth(d: ir.Table) -> Any:
    """Different things the product was used for."""
    return d.is_newest.sum()


@feature(
    event_users_, windows=(30, 90), unit="count", factor="usage", empty=0, direction=-1, needs=USE,
    says="{n} active [user|users]",
)  # fmt: skip
def active_users(d: ir.Table) -> Any:
    """Different people who used the product."""
    return d.is_newest.sum()


def by_channel(events: ir.Table) -> ir.Table:
    """Collapse visits and use to one row a customer, day and channel (and load)."""
    e = _grouped(events)
    e = e.filter(e["group"].isin(("visit", "use")), e.channel.notnull())
    return e.group_by(["customer_id", "day", "channel", *_late(e)]).agg(
        ts=e.ts.min(), n=e.count().cast("int64")
    )


@view(
    "events", at="ts", needs=("channel",), collapse=by_channel, rows="days",
    none="No visit with a known channel",
)  # fmt: skip
def event_channels_(d: ir.Table) -> ir.Table:
    """Rows: a customer's days with visits or use in one channel."""
    return d


@feature(
    event_channels_, windows=(90,), unit="share", factor="profile", by="channel",
    says="{value} of the visits came through {level}",
)  # fmt: skip
def visit_channel_share(d: ir.Table, level: str) -> Any:
    """Share of the visits and uses made in this channel."""
    return (d.channel == level).ifelse(d.n, 0).sum() / d.n.sum().nullif(0)
