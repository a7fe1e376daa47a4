"""Figures on orders, buyers, deliveries, and on how often orders lead to a contact."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import from_customers
from tenure.kpis.registry import figure, rows
from tenure.kpis.world import World, month_after

__all__ = ["due", "outstanding_until"]

_ORDER = ("channel", "category", "partner")


def _with(t: ir.Table, *names: str) -> dict[str, ir.Value]:
    return {n: t[n] for n in names if n in t.columns}


@rows("transactions", by=("channel", "channel_kind", "category", "partner"))
def orders(world: World) -> ir.Table:
    """Purchases above 0, before refunds."""
    t = world.purchases()
    return t.select("customer_id", "amount", month=world.month(t.day),
                    **_with(t, *_ORDER, "discount"))  # fmt: skip


@figure(orders, "mean", unit="currency", better=1)
def average_order_value(t: ir.Table) -> Any:
    """Money of the orders above 0, before refunds, divided by their number."""
    return t.amount


@figure(orders, "ratio", unit="share", needs=("transactions.discount",))
def discount_share(t: ir.Table) -> Any:
    """Discounts divided by the price before discount (money of the orders plus discounts)."""
    given = t.discount.fill_null(ibis.literal(0, "decimal(18, 4)"))
    return given, (t.amount + given).cast("decimal(18, 4)")


@rows("transactions", own_periods=True)
def buyers(world: World) -> ir.Table:
    """Customers who bought in a month, or ever, with their purchase days by the end of it."""
    t = world.purchases()
    days = t.select("customer_id", "day").distinct()
    nth = ibis.row_number().over(group_by=days.customer_id, order_by=days.day)
    days = days.mutate(month=world.month(days.day), is_repeat=nth > 0)
    months = world.months("transactions")
    by_month = days.filter(days.month.isin(months)) if months else days.limit(0)
    by_month = by_month.group_by("customer_id", "month").agg(is_repeat=by_month.is_repeat.any())
    ever = days.group_by("customer_id").agg(month=ibis.null("date"), is_repeat=days.is_repeat.any())
    return by_month.union(ever.select(by_month.columns))


@figure(buyers, "share", unit="share", better=1)
def repeat_purchase_rate(t: ir.Table) -> Any:
    """Of the customers who bought in the period, the share with at least two purchase days by
    its end."""
    return t.is_repeat


@rows("transactions", by=("months_since",), own_periods=True)
def cohorts(world: World) -> ir.Table:
    """Buyers of one first quarter (month, in logs of up to 18), in each later month."""
    t = world.purchases()
    full = world.months("transactions")
    bought = t.select("customer_id", month=world.month(t.day)).distinct()
    bought = bought.mutate(first=bought.month.min().over(group_by=bought.customer_id))
    unit = "quarter" if len(full) > 18 else "month"
    last = 2 if unit == "quarter" else 0  # months from a cohort's first month to its last
    start = bought.first.truncate(unit).cast("date")
    bought = bought.mutate(cohort=start)
    people = bought.select("customer_id", "cohort", "first").distinct()
    ages = ibis.memtable({"age": list(range(1, max(len(full), 1)))}, schema={"age": "int64"})
    first_day = full[0] if full else world.until
    newest = month_after(full[-1], -last) if full else world.until
    people = people.filter(people.cohort >= first_day)
    cells = people.cross_join(ages)
    # a cell is shown once the youngest of the cohort have lived through that month
    reached = _months_on(cells.cohort, cells.age) <= ibis.literal(newest)
    cells = cells.filter(reached).mutate(month_then=_months_on(cells.first, cells.age))
    came = bought.select("customer_id", month_then="month", came=ibis.literal(True))
    joined = cells.left_join(came, ["customer_id", "month_then"])
    return joined.select(
        "customer_id",
        month="cohort",
        months_since=joined.age.cast("string").lpad(2, "0"),
        came=joined.came.fill_null(False),
    )


def _months_on(day: ir.DateValue, months: ir.IntegerValue) -> ir.DateValue:
    count = day.year() * 12 + day.month() - 1 + months
    return ibis.date((count // 12).cast("int32"), (count % 12 + 1).cast("int32"), 1)


@figure(cohorts, "share", unit="share", by=("months_since",), overall=False, better=1)
def cohort_retention(t: ir.Table) -> Any:
    """Of the customers whose first purchase fell into the quarter (month, if the log has at
    most 18) that starts with the period, the share who bought in the n-th calendar month after
    their own first one."""
    return t.came


def due(world: World) -> ir.Table:
    """Return the purchases whose promised date has passed, not cancelled before it."""
    t = world.purchases()
    t = t.filter(t.promised_at < world.end)
    if "cancelled_at" in t.columns:
        t = t.filter(t.cancelled_at.isnull() | (t.cancelled_at >= t.promised_at))
    delivered = world.column(t, "delivered_at", "timestamp(6)")
    return t.mutate(is_late=delivered.isnull() | (delivered > t.promised_at))


@rows("transactions.promised_at", "transactions.delivered_at",
      by=("channel", "channel_kind", "category", "partner"))  # fmt: skip
def deliveries(world: World) -> ir.Table:
    """Orders by the month for which they were promised."""
    t = due(world)
    return t.select("customer_id", "is_late", month=world.month(t.promised_at), **_with(t, *_ORDER))


@figure(deliveries, "share", unit="share", better=1)
def on_time_rate(t: ir.Table) -> Any:
    """Of the orders promised for the period, the share delivered by then; an overdue parcel
    that has not arrived is late."""
    return ~t.is_late


def outstanding_until(world: World) -> ir.Table:
    """Return the orders that come as a parcel, and until when each was on its way.

    Returns
    -------
    Table
        `customer_id`, `transaction_id` (where known), `ts`, `arrived_at` (the end of observation
        where it has not), `promised_at` (where known).
    """
    t = world.purchases()
    stops = [t[c] for c in ("delivered_at", "cancelled_at") if c in t.columns]
    parcel = [t[c].notnull() for c in ("promised_at", "delivered_at") if c in t.columns]
    held = parcel[0] if len(parcel) == 1 else parcel[0] | parcel[1]
    arrived = ibis.least(*stops, world.end) if stops else world.end
    return t.filter(held).select("customer_id", "ts", arrived_at=arrived,
                                 **_with(t, "transaction_id", "promised_at"))  # fmt: skip


@rows("transactions", "interactions", by=("partner",))
def orders_and_contacts(world: World) -> ir.Table:
    """Orders and contacts from the customer, one below the other."""
    t, c = world.purchases(), from_customers(world.tables["interactions"])
    linked = {"transaction_id", "partner"} <= set(t.columns) and "transaction_id" in c.columns
    one, none = ibis.literal(1, "int64"), ibis.literal(0, "int64")
    parts = []
    for rows_, counts in ((t, (none, one)), (c, (one, none))):
        extra = {"transaction_id": rows_.transaction_id} if linked else {}
        chosen = rows_.select("customer_id", month=world.month(rows_.day), contacts=counts[0],
                              orders=counts[1],
                              **extra)  # fmt: skip
        parts.append(chosen)
    both = parts[0].union(parts[1])
    if not linked:
        return both
    partners = t.filter(t.transaction_id.notnull()).select("transaction_id", "partner")
    partners = partners.distinct(on="transaction_id", keep="first")
    return both.left_join(partners, "transaction_id").drop("transaction_id_right", "transaction_id")


@figure(orders_and_contacts, "ratio", unit="contacts per order", better=-1)
def contact_rate(t: ir.Table) -> Any:
    """Contacts that customers opened divided by orders, both of the period."""
    return t.contacts, t.orders
