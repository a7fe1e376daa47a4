"""What purchases, refunds and cancellations say: one row a purchase day, then plain aggregates."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.spec import Last, combined, feature, total, view
from tenure.snapshot import bought, ledger

WINDOWS = (30, 60, 90, 180, 365, None)
LAST = Last(3)


def _day_sums(t: ir.Table, keys: list[str]) -> ir.Table:
    summed = ("orders", "gross", "net", "refunds", "refunded", "discount")
    return t.group_by(keys).agg(
        ts=t.ts.min(),
        # a day's sum fits the type of its parts; left wider, every later sum costs twice the time
        **{c: t[c].sum().cast(t[c].type()) for c in summed},
        largest=t.largest.max(),
    )


def late_keys(t: ir.Table) -> list[str]:
    """Name the columns that keep the loads of a log apart, where rows can arrive late."""
    return [c for c in ("loaded_at", "superseded_at") if c in t.columns]


def by_day(transactions: ir.Table) -> ir.Table:
    """Collapse the log to one row a customer and day (and load, where rows can arrive late)."""
    t = ledger(transactions)
    is_order = bought(t)
    nothing = ibis.literal(0, "decimal(18, 4)")
    discount = t.discount.fill_null(nothing) if "discount" in t.columns else nothing
    events = t.mutate(
        orders=is_order.cast("int64"),
        gross=is_order.ifelse(t.amount, nothing),
        net=t.amount,
        largest=is_order.ifelse(t.amount, nothing),
        refunds=(t.kind != "purchase").cast("int64"),
        refunded=(t.kind != "purchase").ifelse(-t.amount, nothing),
        discount=is_order.ifelse(discount, nothing),
    )
    days = _day_sums(events, ["customer_id", "day", *late_keys(t)])
    return days if late_keys(t) else _sequence(days, [])


def _sequence(days: ir.Table, keys: list[str]) -> ir.Table:
    """Add each purchase day's place among its customer's purchase days."""
    days = days.mutate(is_purchase=days.gross > 0)
    mine = [*keys, "customer_id"]
    among = ibis.window(group_by=[*mine, "is_purchase"], order_by="day")
    past = ibis.window(group_by=mine, order_by="day", rows=(None, 0))
    one = days.is_purchase
    earlier = one.ifelse(days.day.lag().over(among), ibis.null("date"))
    first = one.ifelse(days.day, ibis.null("date")).min().over(past)
    return days.mutate(
        gap_days=days.day.delta(earlier, unit="day"),
        is_repeat=(days.day > first).fill_null(False),
        # the moment this day left the customer's newest three: unknown until it comes
        passed_3_at=one.ifelse(days.ts.lead(LAST.n).over(among), ibis.null("timestamp(6)")),
    )


@view("transactions", at="ts", collapse=by_day, rows="purchase days", none="No purchase")
def purchase_days_(d: ir.Table) -> ir.Table:
    """Rows: a customer's days with money, purchases told apart from refunds."""
    if "is_purchase" not in d.columns:  # late rows join their day at the cutoff that knows them
        keys = ["cutoff", "cutoff_day"]
        d = _sequence(_day_sums(d, [*keys, "customer_id", "day"]), keys)
    return d.mutate(is_last_3=d.is_purchase & d.passed_3_at.isnull())


@feature(
    purchase_days_, windows=WINDOWS, unit="days", factor="engagement", empty=0, direction=-1,
    says="Bought on {n} [day|days]",
)  # fmt: skip
def purchase_days(d: ir.Table) -> Any:
    """Days with a purchase."""
    return d.is_purchase.sum()


@feature(
    purchase_days_, windows=WINDOWS, unit="count", factor="engagement", empty=0, direction=-1,
    says="{n} [order|orders]",
)  # fmt: skip
def orders(d: ir.Table) -> Any:
    """Orders of more than zero."""
    return d.orders.sum()


@feature(
    purchase_days_, unit="days", factor="engagement", direction=1,
    says="Last purchase {value} ago",
)  # fmt: skip
def days_since_last_purchase(d: ir.Table) -> Any:
    """Days since the last purchase."""
    return d.cutoff_day.max().delta(d.day.max(where=d.is_purchase), unit="day") - 1


@feature(
    purchase_days_, windows=(365, None, LAST), unit="days", factor="engagement",
    says="Bought every {value}", none="Fewer than two purchases",
)  # fmt: skip
def gap_mean(d: ir.Table) -> Any:
    """Usual days between two purchases."""
    return d.gap_days.sum() / d.gap_days.count().nullif(0)


@feature(
    purchase_days_, unit="days", factor="engagement",
    says="{value} between the last two purchases", none="Fewer than two purchases",
)  # fmt: skip
def gap_last(d: ir.Table) -> Any:
    """Days between the last two purchases."""
    return d.gap_days.argmax(d.day, where=d.is_purchase)


@feature(
    purchase_days_, windows=(365, None), unit="ratio", factor="engagement",
    says="The time between purchases varied by {percent} of its average",
    none="Fewer than three purchases",
)  # fmt: skip
def gap_variation(d: ir.Table) -> Any:
    """How irregular the days between purchases are (spread over mean)."""
    n, s = d.gap_days.count(), d.gap_days.sum()
    squares = (d.gap_days * d.gap_days).sum()
    # exact integers up to here: n·Σx² − (Σx)² cannot lose digits or depend on row order
    spread = (n * squares - s * s).cast("float64") / (n * (n - 1)).nullif(0)
    return spread.sqrt() / (s / n.nullif(0)).nullif(0)


@combined(
    unit="ratio", factor="engagement", direction=1,
    says="Silent for {value} their own time between purchases",
    none="Fewer than two purchases",
)  # fmt: skip
def overdue_ratio(f: Any) -> Any:
    """Days since the last purchase over the usual gap."""
    return f.days_since_last_purchase() / f.gap_mean().nullif(0)


@combined(
    windows=(60, 180), unit="share", factor="engagement", direction=-1,
    says="{value} of the days with a purchase{window} fell into the newer half", none="No purchase",
)  # fmt: skip
def purchase_trend(f: Any, w: int) -> Any:
    """Share of the purchase days that fell into the newer half of the window."""
    return f.purchase_days(w // 2) / f.purchase_days(w).nullif(0)


@feature(
    purchase_days_, windows=(*WINDOWS, LAST), unit="currency", factor="value", empty=0,
    says="Spent {value}",
)  # fmt: skip
def spend(d: ir.Table) -> Any:
    """Money spent on purchases, before refunds."""
    return total(d.gross)


@feature(
    purchase_days_, windows=WINDOWS, unit="currency", factor="value",
    says="The largest order was {value}",
)  # fmt: skip
def largest_basket(d: ir.Table) -> Any:
    """Largest single order."""
    return d.largest.max(where=d.is_purchase).cast("float64")


@combined(
    windows=WINDOWS, unit="currency per order", factor="value",
    says="Spent {value} an order", none="No purchase",
)  # fmt: skip
def average_basket(f: Any, w: int | None = None) -> Any:
    """Average money per order."""
    return f.spend(w) / f.orders(w).nullif(0)


@combined(
    windows=(60, 180), unit="share", factor="value", direction=-1,
    says="{value} of the money spent{window} fell into the newer half", none="No purchase",
)  # fmt: skip
def spend_trend(f: Any, w: int) -> Any:
    """Share of the spend that fell into the newer half of the window."""
    return f.spend(w // 2) / f.spend(w).nullif(0)


@feature(
    purchase_days_, windows=WINDOWS, unit="count", factor="product", empty=0, direction=1,
    says="{n} [refund or cancellation|refunds or cancellations]",
)  # fmt: skip
def refunds(d: ir.Table) -> Any:
    """Refunds and cancellations."""
    return d.refunds.sum()


@feature(
    purchase_days_, windows=WINDOWS, unit="currency", factor="product", empty=0, direction=1,
    says="{value} given back in refunds",
)  # fmt: skip
def refunded(d: ir.Table) -> Any:
    """Money given back in refunds and cancellations."""
    return total(d.refunded)


@combined(
    windows=WINDOWS, unit="share", factor="product", direction=1,
    says="{value} of the money spent was given back", none="No purchase",
)  # fmt: skip
def refund_share(f: Any, w: int | None = None) -> Any:
    """Money given back as a share of the money spent."""
    return f.refunded(w) / f.spend(w).nullif(0)


@feature(
    purchase_days_, windows=WINDOWS, unit="share", factor="pricing", needs=("discount",),
    says="Discounts took {value} off the price", actionable=True,
)  # fmt: skip
def discount_share(d: ir.Table) -> Any:
    """Discounts as a share of the price before discount."""
    return total(d.discount) / (total(d.gross) + total(d.discount)).nullif(0)


def orders_by(column: str) -> Any:
    """Return how to collapse the log to one row a customer, day and level of a column."""

    def collapse(transactions: ir.Table) -> ir.Table:
        t = transactions.filter(bought(transactions), transactions[column].notnull())
        keys = ["customer_id", "day", column, *late_keys(t)]
        days = t.group_by(keys).agg(ts=t.ts.min(), orders=t.count())
        return days if late_keys(t) else _mark_new(days, column, [])

    return collapse


def _mark_new(days: ir.Table, column: str, keys: list[str]) -> ir.Table:
    """Mark the first day a customer ordered in each level: summing beats counting distinct."""
    among = ibis.window(group_by=[*keys, "customer_id", column], order_by="day")
    return days.mutate(is_new=ibis.row_number().over(among) == 0)


def by_level(d: ir.Table, column: str) -> ir.Table:
    """Finish at each cutoff what `orders_by` collapsed, where rows can arrive late."""
    if "is_new" in d.columns:
        return d
    keys = ["cutoff", "cutoff_day"]  # late rows join their day at the cutoff that knows them
    days = d.group_by([*keys, "customer_id", "day", column])
    return _mark_new(days.agg(ts=d.ts.min(), orders=d.orders.sum()), column, keys)


@view(
    "transactions", at="ts", needs=("channel",), collapse=orders_by("channel"),
    none="No order with a known channel",
)  # fmt: skip
def channel_days_(d: ir.Table) -> ir.Table:
    """Rows: a customer's orders of a day in one channel."""
    return by_level(d, "channel")


@view(
    "transactions", at="ts", needs=("category",), collapse=orders_by("category"),
    none="No order with a known category",
)  # fmt: skip
def category_days_(d: ir.Table) -> ir.Table:
    """Rows: a customer's orders of a day in one category."""
    return by_level(d, "category")


def level_share(d: ir.Table, column: str, level: str) -> Any:
    """Return the share of the orders in a level, of those that have any."""
    return (d[column] == level).ifelse(d.orders, 0).sum() / d.orders.sum().nullif(0)


@feature(
    channel_days_, windows=(90, 365, None), unit="share", factor="profile", by="channel",
    says="{value} of the orders came through {level}",
)  # fmt: skip
def channel_share(d: ir.Table, level: str) -> Any:
    """Share of the orders made in this channel."""
    return level_share(d, "channel", level)


@feature(
    channel_days_, unit="count", factor="profile", empty=0,
    says="Ordered through {n} [channel|channels]",
)  # fmt: skip
def channels(d: ir.Table) -> Any:
    """Different channels ordered in."""
    return d.is_new.sum()


@feature(
    category_days_, windows=(90, 365, None), unit="share", factor="product", by="category",
    says="{value} of the orders were in {level}",
)  # fmt: skip
def category_share(d: ir.Table, level: str) -> Any:
    """Share of the orders made in this category."""
    return level_share(d, "category", level)


@feature(
    category_days_, unit="count", factor="product", empty=0,
    says="Bought in {n} [category|categories]",
)  # fmt: skip
def categories(d: ir.Table) -> Any:
    """Different categories ordered in."""
    return d.is_new.sum()
