"""What deliveries say: parcels promised, on their way, late, and who brought them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.spec import Last, feature, total, view
from tenure.features.transactions import by_level, late_keys, level_share, orders_by
from tenure.snapshot import bought

DAY = 86_400
BEYOND = 10**9  # seconds, some thirty years: longer than anything takes
LAST = Last(3)
WINDOWS = (90, 365, None)


def seconds(end: ir.Value, start: ir.Value) -> ir.Value:
    """Return the whole seconds from one moment to another, exact in any sum."""
    return end.delta(start, unit="second")


def not_below_0(value: ir.Value) -> ir.Value:
    """Return 0 for what is negative; a missing value stays missing (`greatest` would fill it)."""
    return (value < 0).ifelse(0, value)


def mean(value: ir.Value, unit: int = 1) -> Any:
    """Average exact numbers, and only then change their unit."""
    return value.sum() / value.count().nullif(0) / unit


def _without_copies(joined: ir.Table) -> ir.Table:
    return joined.drop(c for c in joined.columns if c.endswith("_right"))


def _sequence(o: ir.Table, keys: list[str]) -> ir.Table:
    """Add what the customer's other orders say about an order, each from its own moment on.

    `bought_again_at`: the first purchase after a late delivery. `passed_3_at`: the order with
    which three newer ones have a promise (orders of one moment count as one).
    """
    same = [*keys, "customer_id"]
    late = o.filter(o.delivered_at > o.promised_at).select(*same, "delivered_at").distinct()
    pairs = late.join(o.select(*same, bought_at=o.ts), same)
    pairs = pairs.filter(pairs.bought_at > pairs.delivered_at)
    again = pairs.group_by([*same, "delivered_at"]).agg(bought_again_at=pairs.bought_at.min())
    moments = o.filter(o.promised_at.notnull()).select(*same, "ts").distinct()
    in_order = ibis.window(group_by=same, order_by="ts")
    moments = moments.mutate(passed_3_at=moments.ts.lead(LAST.n).over(in_order))
    o = _without_copies(o.left_join(again, [*same, "delivered_at"]))
    return _without_copies(o.left_join(moments, [*same, "ts"]))


def with_delivery(transactions: ir.Table) -> ir.Table:
    """Keep the orders, with what their deliveries need."""
    t = transactions.filter(bought(transactions))
    optional = ("promised_at", "cancelled_at", *late_keys(t))
    o = t.select("customer_id", "ts", "delivered_at", *(c for c in optional if c in t.columns))
    return o if late_keys(t) or "promised_at" not in o.columns else _sequence(o, [])


@view(
    "transactions", at="ts", needs=("delivered_at",), collapse=with_delivery,
    rows="orders with a promised date",
    none="No parcel with known dates",
)  # fmt: skip
def deliveries_(o: ir.Table) -> ir.Table:
    """Rows: a customer's orders and what became of their parcels."""
    nothing, arrived = ibis.null("int64"), o.delivered_at.notnull()
    took = not_below_0(seconds(o.delivered_at, o.ts))
    if "promised_at" not in o.columns:
        return o.mutate(took=arrived.ifelse(took, nothing))
    if "passed_3_at" not in o.columns:  # late rows take their place at the cutoff that knows them
        o = _sequence(o, ["cutoff", "cutoff_day"])
    cancelled = o.cancelled_at if "cancelled_at" in o.columns else ibis.null("timestamp(6)")
    # a parcel on its way is as late as it is today, one called off as late as it was by then
    end = ibis.coalesce(o.delivered_at, cancelled, o.cutoff)
    over = seconds(end, o.promised_at)
    awaited = o.promised_at.notnull() & ~arrived & cancelled.isnull()
    known = o.promised_at.notnull() & (arrived | (over > 0))
    overdue = awaited & (over > 0)
    since = (arrived & o.bought_again_at.isnull()) | overdue
    return o.mutate(
        late=known.ifelse(not_below_0(over), nothing),
        is_late=known & (over > 0),
        is_new_late=known & (over > 0) & since,
        is_awaited=awaited,
        is_overdue=overdue,
        overdue=overdue.ifelse(over, 0),
        took=(arrived | overdue).ifelse(not_below_0(seconds(end, o.ts)), nothing),
        promise=not_below_0(seconds(o.promised_at, o.ts)),
        is_last_3=o.promised_at.notnull() & o.passed_3_at.isnull(),
    )


def newest(value: ir.Value, at: ir.Value) -> Any:
    """Return the seconds of the newest row that has any; of rows of one second, the most.

    Moment and value travel in one integer: its maximum takes a fifth of the time of an argmax.
    """
    since = at.delta(ibis.literal(dt.datetime(1970, 1, 1), "timestamp(6)"), unit="second")
    return (since * BEYOND + (value >= BEYOND).ifelse(BEYOND - 1, value)).max() % BEYOND


PROMISED = ("promised_at",)


@feature(
    deliveries_, windows=(*WINDOWS, LAST), unit="share", factor="delivery", direction=-1,
    needs=PROMISED,
    says="{value} of the parcels came on time", actionable=True,
)  # fmt: skip
def on_time_share(o: ir.Table) -> Any:
    """Share of the parcels that came when promised; an overdue parcel counts as late."""
    return (o.late == 0).sum() / o.late.count().nullif(0)


@feature(
    deliveries_, windows=WINDOWS, unit="days", factor="delivery", direction=1, needs=PROMISED,
    says="Parcels came {value} late on average // Parcels came on time", actionable=True,
)  # fmt: skip
def days_late_mean(o: ir.Table) -> Any:
    """Average days late, an early parcel counting as 0 and an overdue one as late by now."""
    return mean(o.late, DAY)


@feature(
    deliveries_, windows=(365, None), unit="days", factor="delivery", direction=1, needs=PROMISED,
    says="The worst parcel was {value} late // No parcel was late", actionable=True,
)  # fmt: skip
def days_late_worst(o: ir.Table) -> Any:
    """Days late of the worst delivery, overdue parcels included."""
    return o.late.max() / DAY


@feature(
    deliveries_, unit="days", factor="delivery", direction=1, needs=PROMISED,
    says="The newest parcel was {value} late // The newest parcel was on time", actionable=True,
)  # fmt: skip
def days_late_last(o: ir.Table) -> Any:
    """Days late of the newest order that has come or is overdue."""
    return newest(o.late, o.ts) / DAY


@feature(
    deliveries_, windows=(90, 365), unit="count", factor="delivery", empty=0, direction=1,
    needs=PROMISED,
    says="{n} [parcel|parcels] came late", actionable=True,
)  # fmt: skip
def late_deliveries(o: ir.Table) -> Any:
    """Orders that came late or are overdue."""
    return o.is_late.sum()


@feature(
    deliveries_, unit="count", factor="delivery", empty=0, direction=1, needs=PROMISED,
    says="{n} [parcel|parcels] late since the last purchase", actionable=True,
)  # fmt: skip
def late_since_last_purchase(o: ir.Table) -> Any:
    """Late parcels since the customer last bought something, overdue ones included."""
    return o.is_new_late.sum()


@feature(
    deliveries_, unit="count", factor="delivery", empty=0, needs=PROMISED,
    says="{n} [parcel|parcels] on the way",
)  # fmt: skip
def open_orders(o: ir.Table) -> Any:
    """Parcels promised and not yet delivered."""
    return o.is_awaited.sum()


@feature(
    deliveries_, unit="count", factor="delivery", empty=0, direction=1, needs=PROMISED,
    says="{n} [parcel|parcels] overdue by now", actionable=True,
)  # fmt: skip
def overdue_orders(o: ir.Table) -> Any:
    """Parcels not delivered though the promised date has passed."""
    return o.is_overdue.sum()


@feature(
    deliveries_, unit="days", factor="delivery", empty=0, direction=1, needs=PROMISED,
    says="A parcel is {value} overdue // No parcel is overdue", actionable=True,
)  # fmt: skip
def overdue_days_oldest(o: ir.Table) -> Any:
    """Days by which the most overdue parcel is late by now."""
    return o.overdue.max() / DAY


@feature(
    deliveries_, windows=(365, None), unit="days", factor="delivery", direction=1,
    says="Parcels took {value} to arrive", actionable=True,
)  # fmt: skip
def delivery_days_mean(o: ir.Table) -> Any:
    """Average days from order to door, overdue parcels counting with their days so far."""
    return mean(o.took, DAY)


@feature(
    deliveries_, windows=(365,), unit="days", factor="delivery", direction=1, needs=PROMISED,
    says="Parcels were promised within {value}", actionable=True,
)  # fmt: skip
def promised_days_mean(o: ir.Table) -> Any:
    """Average days from order to the promised date."""
    return mean(o.promise, DAY)


@view(
    "transactions", at="ts", needs=("partner",), collapse=orders_by("partner"), rows="orders",
    none="No order with a known partner",
)  # fmt: skip
def partner_days_(d: ir.Table) -> ir.Table:
    """Rows: a customer's orders of a day with one partner."""
    return by_level(d, "partner")


@feature(
    partner_days_, windows=(365,), unit="share", factor="delivery", by="partner",
    says="{value} of the orders came through {level}",
)  # fmt: skip
def partner_share(d: ir.Table, level: str) -> Any:
    """Share of the orders brought or sold by this partner (carrier, seller, store)."""
    return level_share(d, "partner", level)


def _items_by_day(transactions: ir.Table) -> ir.Table:
    t = transactions.filter(bought(transactions), transactions.quantity.notnull())
    days = t.group_by("customer_id", "day", *late_keys(t))
    return days.agg(ts=t.ts.min(), orders=t.count(), items=t.quantity.sum().cast(t.quantity.type()))


@view(
    "transactions", at="ts", needs=("quantity",), collapse=_items_by_day, rows="orders",
    none="No order with a known quantity",
)  # fmt: skip
def item_days_(d: ir.Table) -> ir.Table:
    """Rows: what a customer ordered on a day."""
    return d


@feature(
    item_days_, windows=(365, None), unit="items per order", factor="value",
    says="{n} [item|items] an order",
)  # fmt: skip
def items_per_order(d: ir.Table) -> Any:
    """Average number of items in an order."""
    return total(d["items"]) / d.orders.sum().nullif(0)
