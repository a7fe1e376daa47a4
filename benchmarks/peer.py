"""The transaction family as somebody would write it by hand: Polars, days first, then a loop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import polars as pl

WINDOWS = (30, 60, 90, 180, 365, None)
SHARES = {"channel": "channels", "category": "categories"}
COLUMNS = [
    "customer_id", "ts", "amount", "kind", "channel", "category", "discount", "day",
]  # fmt: skip
UNIT = 10_000.0


def family(path: Path, cutoffs: Sequence[dt.date], levels: dict[str, list[str]]) -> pl.DataFrame:
    """Return a row for each customer and cutoff (midnights in UTC), and every column."""
    log = pl.read_parquet(path, columns=COLUMNS)
    return loop(log, cutoffs, levels)


def loop(
    log: pl.DataFrame, cutoffs: Sequence[dt.date], levels: dict[str, list[str]]
) -> pl.DataFrame:
    log = _sorted(log)
    days = _days(log)
    by = {name: _level_days(log, name) for name in SHARES}
    parts = []
    for cutoff in cutoffs:
        known = days.filter(pl.col("day") < cutoff)
        one = _purchases(known, cutoff).filter(pl.col("purchase_days") > 0)
        for name, counted in by.items():
            seen = counted.filter(pl.col("day") < cutoff)
            one = one.join(
                _shares(seen, name, levels[name], cutoff), on="customer_id", how="left"
            ).with_columns(pl.col(SHARES[name]).fill_null(0))
        parts.append(one.with_columns(cutoff=pl.lit(cutoff)))
    return pl.concat(parts)


def _sorted(log: pl.DataFrame) -> pl.DataFrame:
    """Number the customers, so that groups go by integers, and count money in its least unit."""
    bought = (pl.col("kind") == "purchase") & (pl.col("amount") > 0)
    units = {c: (pl.col(c) * 10_000).cast(pl.Int64) for c in ("amount", "discount")}
    return log.with_columns(**units).with_columns(
        pl.col("customer_id", *SHARES).cast(pl.Categorical),
        bought=bought,
        back=pl.col("kind") != "purchase",
    )


def _days(log: pl.DataFrame) -> pl.DataFrame:
    bought, back = pl.col("bought"), pl.col("back")
    amount = pl.col("amount")
    days = log.group_by("customer_id", "day").agg(
        orders=bought.sum().cast(pl.Int64),
        gross=(amount * bought).sum(),
        net=amount.sum(),
        largest=(amount * bought).max(),
        refunds=back.sum().cast(pl.Int64),
        refunded=(-amount * back).sum(),
        discount=(pl.col("discount").fill_null(0) * bought).sum(),
    )
    days = days.with_columns(is_purchase=pl.col("gross") > 0).sort("customer_id", "day")
    purchase = days.filter("is_purchase").with_columns(
        gap=(pl.col("day") - pl.col("day").shift().over("customer_id")).dt.total_days(),
        first=pl.col("day").min().over("customer_id"),
    )
    purchase = purchase.select("customer_id", "day", "gap", "first")
    days = days.join(
        purchase.select("customer_id", "day", "gap"), on=["customer_id", "day"], how="left"
    )
    first = purchase.group_by("customer_id").agg(pl.col("first").min())
    return days.join(first, on="customer_id", how="left").sort("customer_id", "day")


def _sums(window: int | None) -> dict[str, pl.Expr]:
    end = "" if window is None else f"_{window}d"
    is_purchase, gap = pl.col("is_purchase"), pl.col("gap")
    sums = {
        f"purchase_days{end}": is_purchase.sum().cast(pl.Int64),
        f"orders{end}": pl.col("orders").sum(),
        f"spend{end}": pl.col("gross").sum(),
        f"largest_basket{end}": pl.col("largest").filter(is_purchase).max(),
        f"refunds{end}": pl.col("refunds").sum(),
        f"refunded{end}": pl.col("refunded").sum(),
        f"off{end}": pl.col("discount").sum(),
    }
    if window in (365, None):
        sums |= {
            f"gaps{end}": gap.count().cast(pl.Int64),
            f"gap_sum{end}": gap.sum(),
            f"gap_squares{end}": (gap * gap).sum(),
        }
    return sums


def _purchases(known: pl.DataFrame, cutoff: dt.date) -> pl.DataFrame:
    is_purchase = pl.col("is_purchase")
    repeat = pl.col("day") > pl.col("first")
    whole = _sums(None) | {
        "last": pl.col("day").filter(is_purchase).max(),
        "first": pl.col("first").min(),
        "gap_last": pl.col("gap").filter(is_purchase).last(),  # days are sorted
        "kept": (pl.col("net") * repeat).sum(),
    }
    one = known.group_by("customer_id", maintain_order=False).agg(**whole)
    newest = known.filter("is_purchase").group_by("customer_id").tail(3)
    newest = newest.group_by("customer_id").agg(
        spend_last3=pl.col("gross").sum() / UNIT, gap_mean_last3=pl.col("gap").mean()
    )
    one = one.join(newest, on="customer_id", how="left")
    for window in WINDOWS[:-1]:
        inside = known.filter(pl.col("day") >= cutoff - dt.timedelta(days=window))
        part = inside.group_by("customer_id").agg(**_sums(window))
        one = one.join(part, on="customer_id", how="left")
    return _finished(one, cutoff)


def _finished(one: pl.DataFrame, cutoff: dt.date) -> pl.DataFrame:
    made: dict[str, pl.Expr] = {}
    for window in WINDOWS:
        end = "" if window is None else f"_{window}d"
        count = {
            c: pl.col(f"{c}{end}").fill_null(0) for c in ("purchase_days", "orders", "refunds")
        }
        spend = pl.col(f"spend{end}").fill_null(0) / UNIT
        back = pl.col(f"refunded{end}").fill_null(0) / UNIT
        off = pl.col(f"off{end}") / UNIT
        made |= {f"{c}{end}": value for c, value in count.items()} | {
            f"spend{end}": spend,
            f"refunded{end}": back,
            f"largest_basket{end}": pl.col(f"largest_basket{end}") / UNIT,
            f"average_basket{end}": _over(spend, count["orders"]),
            f"refund_share{end}": _over(back, spend),
            f"discount_share{end}": _over(off, spend + off),
        }
    for window in (60, 180):
        half, end = f"_{window // 2}d", f"_{window}d"
        made[f"purchase_trend{end}"] = _over(
            made[f"purchase_days{half}"], made[f"purchase_days{end}"]
        )
        made[f"spend_trend{end}"] = _over(made[f"spend{half}"], made[f"spend{end}"])
    made |= _times(cutoff)
    kept = ["customer_id", "gap_last", "spend_last3", "gap_mean_last3"]
    return one.select(*kept, **{name: value.cast(pl.Float64) for name, value in made.items()})


def _times(cutoff: dt.date) -> dict[str, pl.Expr]:
    made = {}
    for end in ("", "_365d"):
        n, s, squares = (pl.col(f"{c}{end}") for c in ("gaps", "gap_sum", "gap_squares"))
        mean = pl.when(n > 0).then(s / n)
        spread = _over((n * squares - s * s).cast(pl.Float64), n * (n - 1)).sqrt()
        made |= {f"gap_mean{end}": mean, f"gap_variation{end}": _over(spread, mean)}
    last = (pl.lit(cutoff) - pl.col("last")).dt.total_days() - 1
    repeats = pl.col("purchase_days") - 1
    return made | {
        "days_since_last_purchase": last,
        "overdue_ratio": _over(last, made["gap_mean"]),
        "frequency": repeats,
        "recency": (pl.col("last") - pl.col("first")).dt.total_days(),
        "T": (pl.lit(cutoff) - pl.col("first")).dt.total_days() - 1,
        "monetary_value": _over((pl.col("kept") / UNIT).clip(0), repeats),
    }


def _over(value: pl.Expr, by: pl.Expr) -> pl.Expr:
    return pl.when(by != 0).then(value / by)


def _level_days(log: pl.DataFrame, name: str) -> pl.DataFrame:
    rows = log.filter(pl.col("bought"), pl.col(name).is_not_null())
    return rows.group_by("customer_id", "day", name).agg(orders=pl.len().cast(pl.Int64))


def _shares(seen: pl.DataFrame, name: str, levels: list[str], cutoff: dt.date) -> pl.DataFrame:
    one = seen.group_by("customer_id").agg(pl.col(name).n_unique().alias(SHARES[name]))
    for window in (90, 365, None):
        end = "" if window is None else f"_{window}d"
        inside = seen
        if window is not None:
            inside = seen.filter(pl.col("day") >= cutoff - dt.timedelta(days=window))
        level, orders = pl.col(name), pl.col("orders")
        counts = {x: (orders * (level == x)).sum() for x in levels}
        counts["other"] = (orders * ~level.is_in(levels)).sum()
        part = inside.group_by("customer_id").agg(orders.sum().alias("n"), **counts)
        shares = {f"{name}_share[{x}]{end}": pl.col(x) / pl.col("n") for x in counts}
        one = one.join(part.select("customer_id", **shares), on="customer_id", how="left")
    return one
