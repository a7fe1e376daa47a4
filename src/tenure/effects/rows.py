"""Rows to compare like with like: who had an opportunity, what they were before, who left after.

The estimand (definitions, "Drivers"): customers eligible at c − w, their experiences in [c − w, c),
only those with an opportunity, what was known of them at c − w, and the label window after c.
Subscribers must still be there at c (docs/decisions/0014-drivers.md).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure import labels
from tenure.config import Config
from tenure.features.schema import Schema
from tenure.inputs import described
from tenure.levers import Dosage, Lever, exposures
from tenure.population import Population
from tenure.sources import Sources

__all__ = ["KEYS", "PAST", "Cohort", "beside", "cohort", "exposed", "past", "today"]

WINDOW_DAYS = 90
SCORES = ("satisfaction", "loyalty")  # scores are symptoms: adjusting for them hides causes
LONG = (None, 90, 180, 365)  # shorter windows say it again, with more noise
MOST_ROWS = 20_000
KEYS = ["customer_id", "cutoff"]
PAST = "past"


@dataclass(frozen=True)
class Cohort:
    """Customers followed from c − w over the label window of c, for cutoffs w days apart.

    Attributes
    ----------
    window : int
        w: days in which experiences count.
    days : tuple of date
        The cutoffs c, oldest first.
    rows : DataFrame
        `customer_id`, `cutoff`, `churned`, and the confounders.
    confounders : tuple of str
        Columns as known at c − w.
    """

    window: int
    days: tuple[dt.date, ...]
    rows: pd.DataFrame
    confounders: tuple[str, ...]


def window_days(config: Config) -> int:
    """Return w: about 90 days, a whole number of steps from cutoff to cutoff."""
    step = config.cutoffs.every_days
    return step * max(1, round(WINDOW_DAYS / step))


def cohort(ready: Population, sources: Sources, config: Config) -> Cohort | None:
    """Follow the customers eligible at c − w; None where no two cutoffs lie w days apart."""
    window = window_days(config)
    back = dt.timedelta(days=window)
    days = [day for day in ready.days if day - back in ready.days]
    # windows that overlap say the same twice
    days = [day for day in days if (days[-1] - day).days % window == 0]
    if not days:
        return None
    starts = pd.to_datetime([day - back for day in days])
    matrix = ready.matrix
    at_stake = matrix[labels.statuses(matrix, config.churn) == "scored"]
    before = at_stake[at_stake["cutoff"].isin(starts)]
    names = confounders(ready.schema, config)
    rows = before[["customer_id", *names]].assign(cutoff=before["cutoff"] + pd.Timedelta(back))
    if config.churn.kind == "subscription":  # who had ended by c had less time for experiences
        rows = rows.merge(at_stake[KEYS], on=KEYS, validate="1:1")
    rows = rows.reset_index(drop=True)
    rows["churned"] = labels.with_outcome(
        sources.tables, rows[KEYS], days, config.zone, config.churn
    )
    rows["calendar"] = (rows["cutoff"] - starts[0]).dt.days.astype("float64")
    return Cohort(window, tuple(days), rows, (*names, "calendar"))


def confounders(schema: Schema, config: Config) -> list[str]:
    """List the columns that tell what a customer was like before, in long windows; no scores."""
    columns = described(schema, config.churn)
    held = {c.name for c in schema.columns() if c.level is None and c.window in LONG}
    return [n for n, c in columns.items() if n in held and c.factor not in SCORES]


def exposed(
    lever: Lever, dosage: Dosage | None, of: Cohort, sources: Sources, schema: Schema,
    config: Config,
) -> pd.DataFrame:  # fmt: skip
    """Put the experiences of one kind beside the cohort's rows that had an opportunity.

    Returns
    -------
    DataFrame
        The cohort's columns and those of `levers.exposures`; at most 20,000 rows, of customers
        drawn by the config's seed.
    """
    had = exposures(lever, dosage, sources.tables, of.days, config.zone, schema, of.window)
    return _sampled(beside(lever, of.rows, had), config.model.seed)


def beside(lever: Lever, rows: pd.DataFrame, had: pd.DataFrame) -> pd.DataFrame:
    """Put experiences beside the rows that had an opportunity: all, where none is needed."""
    keys = [c for c in KEYS if c in rows]
    if lever.opportunities:
        return rows.merge(had, on=keys, validate="1:1")
    rows = rows.merge(had, on=keys, how="left", validate="1:1")
    made = [c for c in had if c not in KEYS]
    return rows.assign(**rows[made].fillna(0.0)).assign(n=1.0)


def past(of: Cohort, ready: Population, config: Config) -> pd.DataFrame | None:
    """Return an outcome that no experience in the window can have changed: the silence at c − w.

    Returns
    -------
    DataFrame or None
        For rows known at c − 2w: `customer_id`, `cutoff`, `past` (days since the last purchase at
        c − w) and the confounders as known at c − 2w. None where leaving is not a silence.
    """
    if config.churn.kind != "inactivity":
        return None
    back = pd.Timedelta(days=of.window)
    silence = ready.matrix[[*KEYS, "days_since_last_purchase"]]
    now = silence.assign(cutoff=silence["cutoff"] + back)
    now = now.rename(columns={"days_since_last_purchase": PAST})
    names = [c for c in of.confounders if c in ready.matrix]
    earlier = ready.matrix[[*KEYS, *names]]
    earlier = earlier.assign(cutoff=earlier["cutoff"] + 2 * back)
    rows = of.rows[[*KEYS, "calendar"]].merge(now, on=KEYS, validate="1:1")
    return rows.merge(earlier, on=KEYS, validate="1:1")


def today(
    lever: Lever, dosage: Dosage, of: Cohort, ready: Population, sources: Sources, config: Config
) -> pd.DataFrame:
    """Return the newest experiences of the customers at stake now, with an opportunity each."""
    if ready.as_of is None:
        return pd.DataFrame()
    tables, zone = sources.tables, config.zone
    had = exposures(lever, dosage, tables, [ready.as_of], zone, ready.schema, of.window)
    here = ready.today[labels.statuses(ready.today, config.churn) == "scored"]
    return beside(lever, here[["customer_id"]], had.drop(columns="cutoff"))


def _sampled(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    if len(rows) <= MOST_ROWS:
        return rows
    customers = np.sort(rows["customer_id"].unique())
    share = MOST_ROWS / len(rows)
    keep = np.random.default_rng(seed).random(len(customers)) < share
    return rows[rows["customer_id"].isin(customers[keep])].reset_index(drop=True)
