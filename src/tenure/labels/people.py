"""What differs by the kind of leaving: who is asked, who left, who was known or reached."""

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
from tenure.labels.inactivity import bought_within, eligible, outcomes, with_labels
from tenure.labels.subscription import days_to_end, departures, standing
from tenure.labels.terms import terms
from tenure.snapshot import during, known

__all__ = [
    "beside",
    "customer_labels",
    "known_customers",
    "labelled",
    "lead_days",
    "statuses",
    "treated",
    "with_outcome",
]

Tables = Mapping[str, ir.Table]


def beside(
    tables: Tables,
    matrix: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> pd.DataFrame:
    """Add to the features of subscribers where they stand: `status`, and on what terms."""
    if churn.kind != "subscription":
        return matrix
    for facts in (standing(tables, days, zone), terms(tables, days, zone)):
        matrix = matrix.merge(facts, on=["customer_id", "cutoff"], how="left", validate="1:1")
    return matrix


def statuses(matrix: pd.DataFrame, churn: ChurnConfig) -> np.ndarray:
    """Say of each row whether it is `scored`, or why not (design, section 6)."""
    if churn.kind == "inactivity":
        return np.where(eligible(matrix, churn), "scored", "lapsed")
    if churn.kind == "subscription":
        return matrix["status"].to_numpy(dtype=object)
    return np.full(len(matrix), "scored")


def with_outcome(
    tables: Tables,
    keys: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> np.ndarray:
    """Return 1 for each row of `keys` that left in its label window, else 0."""
    if churn.kind == "subscription":
        return departures(tables, keys, days, zone, churn)
    happened = outcomes(
        tables, days, zone, gap_days=churn.gap_days, horizon_days=churn.horizon_days
    )
    return with_labels(keys, happened)


def labelled(
    tables: Tables,
    matrix: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Take who is asked about at the cutoffs, with labels, and count whom campaigns reached.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    matrix : DataFrame
        Everybody's features; of subscriptions with what `beside` adds.
    days, zone, churn
        The cutoffs, the zone in which days begin, and the question.

    Returns
    -------
    people : DataFrame
        The rows of `matrix` that are asked about.
    rows : DataFrame
        Row for row their `customer_id`, `cutoff`, `churned` and `active` (bought within one
        horizon).
    treated : int
        How many a logged campaign reached in their label window; left out if the question says so.
    """
    asked = matrix["cutoff"].isin(pd.to_datetime(list(days)))
    asked &= statuses(matrix, churn) == "scored"
    people = matrix[asked].reset_index(drop=True)
    reached = treated(tables, people, days, zone, churn)
    if churn.exclude_treated:
        people = people[~reached].reset_index(drop=True)
    is_active = np.ones(len(people), dtype=bool)
    if churn.kind == "inactivity":
        is_active = bought_within(people, churn.horizon_days)
    rows = people[["customer_id", "cutoff"]].assign(
        churned=with_outcome(tables, people, days, zone, churn), active=is_active
    )
    return people, rows, int(reached.sum())


def lead_days(
    tables: Tables,
    keys: pd.DataFrame,
    matrix: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> np.ndarray:
    """Return how many days before the plain rule a flag at the cutoff comes, for who then leaves.

    The plain rule of inactivity calls a customer lost at the first midnight at which their silence
    has reached the horizon: that is horizon − `days_since_last_purchase` days after the cutoff,
    unless they buy in a gap, which would only put it off. It is 0 or less where the silence had
    reached it already. A subscription has no such rule: here it is the days to its end, NaN for
    who stays.
    """
    if churn.kind == "subscription":
        return days_to_end(tables, keys, days, zone, churn)
    silence = matrix[["customer_id", "cutoff", "days_since_last_purchase"]]
    asked = keys[["customer_id", "cutoff"]].merge(silence, on=["customer_id", "cutoff"], how="left")
    return churn.horizon_days - asked["days_since_last_purchase"].to_numpy(dtype=np.float64)


def customer_labels(tables: Tables) -> pd.Series:
    """Return the label the data give, by customer: 1, 0, or missing where it is not known yet."""
    customers = tables["customers"]
    told = customers.select("customer_id", churned=customers.label.cast("float64"))
    frame = told.order_by("customer_id").to_pyarrow().to_pandas()
    return pd.Series(frame["churned"].to_numpy(), index=frame["customer_id"], name="churned")


def known_customers(
    tables: Tables, day: dt.date, zone: ZoneInfo, table: str = "transactions"
) -> pd.Series:
    """List the ids with any row of `table` known before the cutoff, in order."""
    held = tables[table]
    start = TABLES[table].start(held.columns)
    log = held.select(*(c for c in ("customer_id", start, "loaded_at") if c in held.columns))
    rows = known(table, log, ibis.memtable(cutoff_table([day], zone)))
    ids = rows.select("customer_id").distinct().order_by("customer_id").to_pyarrow()
    return pd.Series(ids["customer_id"].to_pylist(), dtype="str")


def treated(
    tables: Tables,
    keys: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> np.ndarray:
    """Tell which rows of `keys` a campaign reached in their label window.

    Only a logged treatment with `treated` true counts, in `[cutoff + gap, cutoff + gap +
    horizon)`; without a table of treatments nobody was reached.
    """
    if "treatments" not in tables or keys.empty:
        return np.zeros(len(keys), dtype=bool)
    cuts = ibis.memtable(cutoff_table(days, zone, label=(churn.gap_days, churn.horizon_days)))
    log = tables["treatments"]
    rows = during(log.filter(log.treated), cuts, "ts")
    pairs = rows.select("customer_id", cutoff=rows.cutoff_day).distinct()
    reached = pairs.order_by("customer_id", "cutoff").to_pyarrow().to_pandas()
    reached["cutoff"] = reached["cutoff"].astype("datetime64[s]")
    asked = pd.MultiIndex.from_frame(keys[["customer_id", "cutoff"]])
    return np.asarray(asked.isin(pd.MultiIndex.from_frame(reached)))
