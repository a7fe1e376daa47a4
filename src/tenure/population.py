"""The log as models see it: every feature of everybody at every cutoff, and what came after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tenure import cutoffs, labels
from tenure.backtest import value
from tenure.backtest.churn import check_classes
from tenure.bundle import inputs
from tenure.config import Config
from tenure.errors import DataError
from tenure.features.matrix import build, plan_schema
from tenure.features.schema import Schema
from tenure.models.btyd import PurchaseModel
from tenure.models.clv import fit_purchases
from tenure.sources import Sources

__all__ = ["RFM", "Population", "prepare"]

RFM = ["frequency", "recency", "T"]


@dataclass(frozen=True)
class Population:
    """Rows to learn from, rows to judge value on, and the customers of today.

    Attributes
    ----------
    schema : Schema
        The columns of the feature matrix.
    matrix : DataFrame
        Everybody ever seen, at the cutoffs, the value origins and `as_of`.
    days : tuple of date
        The cutoffs with complete labels.
    first_day, as_of : date
        Where the log begins, and the end of observation.
    rows, X : DataFrame
        The eligible labelled rows (`customer_id`, `cutoff`, `churned`, `active`: bought within
        one horizon), and their inputs.
    after : DataFrame
        Purchases and money within the validation horizon after the value origins.
    value_days : int
        The validation horizon.
    origins : tuple of date
        The value origins the log affords.
    known : Series
        The ids with any row before `as_of`.
    notes : tuple of str
        What could not be had.
    """

    schema: Schema
    matrix: pd.DataFrame
    days: tuple[dt.date, ...]
    first_day: dt.date
    as_of: dt.date
    rows: pd.DataFrame
    X: pd.DataFrame
    after: pd.DataFrame
    value_days: int
    origins: tuple[dt.date, ...]
    known: pd.Series
    notes: tuple[str, ...]

    @property
    def today(self) -> pd.DataFrame:
        """Features of everybody as of the end of observation."""
        return self.matrix[self.matrix["cutoff"] == pd.Timestamp(self.as_of)]


def prepare(sources: Sources, config: Config) -> Population:
    """Build features once for every day asked about, then labels and inputs.

    Raises
    ------
    DataError
        If no cutoff fits, or a class is too rare to learn from.
    """
    first, until, zone = sources.first_day, sources.observed_until, config.zone
    days = cutoffs.plan(config, first, until)
    value_days = value.validation_days(first, until)
    origins = tuple(d for d in value.origins(first, until) if d > first)
    schema = plan_schema(sources.tables, first, days[0], zone, config.features.levels)
    matrix = build(sources.tables, sorted({*days, *origins, until}), zone, schema)
    happened = labels.outcomes(
        sources.tables,
        days,
        zone,
        gap_days=config.churn.gap_days,
        horizon_days=config.churn.horizon_days,
    )
    after = labels.outcomes(sources.tables, origins, zone, gap_days=0, horizon_days=value_days)
    asked = matrix["cutoff"].isin(pd.to_datetime(list(days)))
    asked &= labels.eligible(matrix, config.churn)
    people = matrix[asked].reset_index(drop=True)
    rows = people[["customer_id", "cutoff"]].assign(
        churned=labels.with_labels(people, happened),
        active=labels.bought_within(people, config.churn.horizon_days),
    )
    check_classes(rows["churned"], "over all cutoffs")
    timing, notes = _timing(matrix, days)
    parts = [
        inputs(people[people["cutoff"] == pd.Timestamp(day)], schema, timing[day], config.churn)
        for day in days
    ]
    X = pd.concat(parts).loc[people.index]
    known = labels.known_customers(sources.tables, until, zone)
    return Population(
        schema, matrix, days, first, until, rows, X, after, value_days, origins, known, notes
    )


def _timing(
    matrix: pd.DataFrame, days: Sequence[dt.date]
) -> tuple[dict[dt.date, PurchaseModel | None], tuple[str, ...]]:
    """Fit the purchase timing before each cutoff, on everybody seen by then."""
    models: dict[dt.date, PurchaseModel | None] = {}
    refused = []
    for day in days:
        seen = matrix.loc[matrix["cutoff"] == pd.Timestamp(day), RFM]
        try:
            models[day] = fit_purchases(seen, "mbg_nbd")
        except DataError as fault:
            models[day] = None
            refused.append(str(fault))
    return models, tuple(dict.fromkeys(refused))
