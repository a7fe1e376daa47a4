"""Purchases day by day around an origin, of customers known there: what forecasts are held against.

Nobody is named here: a row is a day, not a customer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pandas as pd

from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table
from tenure.snapshot import bought, during, final, known, versions

__all__ = ["daily_purchases"]

_KEYS = ["customer_id", "cutoff_day"]


def daily_purchases(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo, horizon_days: int
) -> pd.DataFrame:
    """Count repeat purchase days before each origin, and purchase days after it.

    Both of the customers who had bought before the origin, as was known there: summed, the days
    before are the `frequency` of them all, the days after their `purchase_days` in `outcomes`.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    days : sequence of date
        The origins.
    zone : ZoneInfo
        In which days begin.
    horizon_days : int
        How far to look past each origin.

    Returns
    -------
    DataFrame
        `cutoff`, `day` (days from the origin, which is day 0) and `purchases`, ordered by both;
        days without any are absent.
    """
    cuts = ibis.memtable(cutoff_table(days, zone, label=(0, horizon_days)))
    log = tables["transactions"]
    before = known("transactions", log, cuts, collapse=_purchase_days).select(*_KEYS, "day")
    before = before.distinct()
    first = before.day.min().over(group_by=_KEYS)
    repeats = before.mutate(first=first).filter(lambda t: t.day > t.first).drop("first")
    later = during(_purchase_days(final(versions(log, TABLES["transactions"]))), cuts, "ts")
    later = later.select(*_KEYS, "day").distinct().semi_join(before, _KEYS)
    rows = repeats.union(later)
    counted = rows.group_by(
        cutoff="cutoff_day", day=rows.day.delta(rows.cutoff_day, unit="day")
    ).agg(purchases=rows.count())
    frame: pd.DataFrame = counted.order_by("cutoff", "day").to_pyarrow().to_pandas()
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    return frame


def _purchase_days(log: ir.Table) -> ir.Table:
    """Keep one row a customer and purchase day, and load where rows can arrive late."""
    late = [c for c in ("loaded_at", "superseded_at") if c in log.columns]
    return (
        log.filter(bought(log)).group_by(["customer_id", "day", *late]).agg(ts=lambda t: t.ts.min())
    )
