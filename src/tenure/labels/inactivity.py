"""Leaving without a contract: who is asked about, the label, and later purchases."""

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
from tenure.snapshot import bought, during, final, ledger, versions

__all__ = ["bought_within", "eligible", "outcomes", "with_labels"]


def bought_within(matrix: pd.DataFrame, days: int | None) -> np.ndarray:
    """Tell who bought within `days` before their cutoff; None means ever."""
    if days is None:
        return np.ones(len(matrix), dtype=bool)
    return (matrix["days_since_last_purchase"] < days).to_numpy()


def eligible(matrix: pd.DataFrame, churn: ChurnConfig) -> np.ndarray:
    """Tell who can leave at all: those who bought within `active_within_days`."""
    return bought_within(matrix, churn.active_days)


def outcomes(
    tables: Mapping[str, ir.Table],
    days: Sequence[dt.date],
    zone: ZoneInfo,
    *,
    gap_days: int,
    horizon_days: int,
) -> pd.DataFrame:
    """Count what each customer bought in `[cutoff + gap, cutoff + gap + horizon)`.

    Returns
    -------
    DataFrame
        `customer_id`, `cutoff`, `purchase_days` (days with gross purchases above 0) and `value`
        (money of the window, net of the refunds and cancellations dated in it), one row for each
        customer with money in the window, ordered by customer and cutoff.
    """
    cuts = ibis.memtable(cutoff_table(days, zone, label=(gap_days, horizon_days)))
    log = ledger(final(versions(tables["transactions"], TABLES["transactions"])))
    rows = during(log, cuts, "ts")
    counted = rows.group_by("customer_id", cutoff="cutoff_day").agg(
        purchase_days=rows.day.nunique(where=bought(rows)),
        value=rows.amount.sum().cast("float64"),
    )
    table = counted.order_by("customer_id", "cutoff").to_pyarrow()
    frame: pd.DataFrame = table.to_pandas()
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    return frame


def with_labels(keys: pd.DataFrame, happened: pd.DataFrame) -> np.ndarray:
    """Return 1 for each row of `keys` without a purchase day in its label window, else 0."""
    bought = happened.loc[happened["purchase_days"] > 0, ["customer_id", "cutoff"]]
    marked = keys[["customer_id", "cutoff"]].merge(
        bought.assign(churned=0), on=["customer_id", "cutoff"], how="left"
    )
    return marked["churned"].fillna(1).to_numpy(dtype=np.int8)
