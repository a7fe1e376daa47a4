"""What subscriptions cost, until when they are paid, and what they really brought.

A period is paid from its start, or from the end of its trial, until it ends. The price is monthly
recurring revenue, a month 365.25 / 12 days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from tenure.config import ChurnConfig
from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table
from tenure.labels.subscription import known_periods, lives, noticed, periods
from tenure.snapshot import ahead, final, overlaps, versions

__all__ = ["MONTH_DAYS", "TERMS", "cohorts", "has_price", "revenue", "terms", "unpriced"]

NAME = "subscriptions"
MONTH_DAYS = 365.25 / 12
DAY = 86_400
TERMS = ["price", "unpaid_days", "paid_days"]
FACTS = ("customer_id", "subscription_id", "started_at", "day", "ended_at", "ended_day",
         "end_reason", "trial_ends_at", "mrr", "loaded_at")  # fmt: skip


def has_price(tables: Mapping[str, ir.Table]) -> bool:
    """Tell whether subscriptions carry a price at all."""
    return NAME in tables and "mrr" in tables[NAME].columns


def terms(tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo) -> pd.DataFrame:
    """Say on what terms subscriptions run at each cutoff, as known then.

    Returns
    -------
    DataFrame
        `customer_id` and `cutoff` of who has a running subscription, ordered by both; `price`, a
        month, of all that run (null if that of one is not known); `unpaid_days` until the first
        trial ends, 0 without one; `paid_days` until the last planned renewal, null where one has
        none, or an overdue one.
    """
    rows = known_periods(tables, days, zone)
    rows = rows.filter(rows.open)
    rows = rows.mutate(
        price=rows.mrr if "mrr" in rows.columns else ibis.null("decimal(18, 4)"),
        renews=ahead(rows, "renews_at"),
        to_renewal=_days_until(rows, "renews_at"),
        to_trial=(ahead(rows, "trial_ends_at") & ~noticed(rows)).ifelse(
            _days_until(rows, "trial_ends_at"), 0.0
        ),
    )
    found = rows.group_by("customer_id", "cutoff_day").agg(
        price=rows.price.sum(),
        unpriced=rows.price.isnull().sum(),
        unpaid_days=rows.to_trial.min(),
        paid_days=rows.to_renewal.max(where=rows.renews),
        open_ended=(~rows.renews).sum(),
    )
    told = found.select(
        "customer_id",
        cutoff="cutoff_day",
        price=(found.unpriced == 0).ifelse(found.price.cast("float64"), ibis.null("float64")),
        unpaid_days="unpaid_days",
        paid_days=(found.open_ended == 0).ifelse(found.paid_days, ibis.null("float64")),
    )
    return _collected(told.order_by("customer_id", "cutoff"))


def unpriced(matrix: pd.DataFrame) -> list[str]:
    """Warn of running subscriptions without a price: their value is null.

    Examples
    --------
    >>> unpriced(pd.DataFrame({"status": ["scored", "ended"], "price": [None, None]}))
    ['1 of 1 running subscribers have no known price (mrr): their value is null.']
    """
    if "price" not in matrix:
        return []
    runs = matrix["status"] != "ended"
    n = int(matrix.loc[runs, "price"].isna().sum())
    if not n:
        return []
    return [
        f"{n:,} of {int(runs.sum()):,} running subscribers have no known price (mrr): their value "
        "is null."
    ]


def cohorts(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo, churn: ChurnConfig
) -> pd.DataFrame:
    """Return every spell as known before each cutoff, with its cohort.

    Returns
    -------
    DataFrame
        `customer_id`, `cutoff`, `days`, `left`, `runs`, `age` (as in `lives`), the `year` in which
        it started and the `plan` it started on (empty where the data hold none); ordered.
    """
    spells = lives(tables, days, zone, churn)
    told = spells.select(
        "customer_id", "days", "left", "runs", "age", cutoff="cutoff_day", started="started_at",
        year=spells.started_day.year(),
    )  # fmt: skip
    plan: ir.Table = known_periods(tables, days, zone)
    name = plan.plan if "plan" in plan.columns else ibis.literal("")
    plan = plan.group_by("customer_id", cutoff="cutoff_day", started="started_at").agg(
        plan=name.fill_null("").min()
    )
    told = told.left_join(plan, ["customer_id", "cutoff", "started"])
    told = told.drop("started", "customer_id_right", "cutoff_right", "started_right")
    return _collected(told.order_by("customer_id", "cutoff", "year", "days", "left"))


def revenue(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo, horizon_days: int
) -> pd.DataFrame:
    """Sum what each customer's subscriptions brought in `[cutoff, cutoff + horizon)`.

    By the rows as they came: other plans and prices, pauses and returns count as they were.

    Returns
    -------
    DataFrame
        `customer_id`, `cutoff`; `value`, price × time paid; `months`, time with at least one paid
        subscription. Ordered by customer and cutoff; who paid for no moment has no row.
    """
    held = [c for c in FACTS if c in tables[NAME].columns]
    log = versions(tables[NAME].select(*held), TABLES[NAME])
    rows = periods(final(log), ["customer_id"])
    trial = rows.trial_ends_at if "trial_ends_at" in held else ibis.null("timestamp(6)")
    rows = rows.mutate(paid_at=ibis.greatest(rows.started_at, trial.fill_null(rows.started_at)))
    cuts = ibis.memtable(cutoff_table(days, zone, label=(0, horizon_days)))
    paid = overlaps(rows, cuts, "paid_at", "ended_at")
    paid = paid.filter(paid.to_at > paid.from_at)
    mine = {"group_by": [paid.customer_id, paid.cutoff_day], "order_by": [paid.from_at, paid.to_at]}
    before = paid.to_at.max().over(ibis.window(**mine, rows=(None, -1)))
    fresh = ibis.greatest(paid.from_at, before.fill_null(paid.from_at))
    paid = paid.mutate(
        cost=_seconds(paid.from_at, paid.to_at) * paid.mrr.fill_null(0),
        fresh=ibis.greatest(_seconds(fresh, paid.to_at), 0),
    )
    told = paid.group_by("customer_id", cutoff="cutoff_day").agg(
        value=paid.cost.sum().cast("float64") / (DAY * MONTH_DAYS),
        months=paid.fresh.sum().cast("float64") / (DAY * MONTH_DAYS),
    )
    return _collected(told.order_by("customer_id", "cutoff"))


def _seconds(start: ir.Value, end: ir.Value) -> ir.Value:
    return end.delta(start, unit="second")


def _days_until(rows: ir.Table, planned: str) -> ir.Value:
    if planned not in rows.columns:
        return ibis.null("float64")
    return rows[planned].delta(rows.cutoff, unit="second") / DAY


def _collected(rows: ir.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pyarrow().to_pandas()
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    for column in frame.columns.intersection([*TERMS, "value", "months"]):
        frame[column] = frame[column].astype(np.float64)
    return frame
