"""The data as models see them: every feature of everybody asked about, and what came after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tenure import cutoffs, labels
from tenure.backtest import value
from tenure.backtest.classes import check_classes
from tenure.backtest.foresight import Features
from tenure.config import Config
from tenure.errors import DataError
from tenure.features.attributes import people_matrix, plan_people
from tenure.features.matrix import build, plan_schema
from tenure.features.schema import Schema
from tenure.inputs import Timing, inputs
from tenure.models.clv import fit_purchases
from tenure.models.futures import RFM
from tenure.models.spells import fit_spells
from tenure.sources import Sources

__all__ = ["Population", "prepare"]


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
        The cutoffs with complete labels; none where customers carry a label without dates.
    first_day, as_of : date or None
        Where the label's log begins, and the end of observation; None without dates.
    rows, X : DataFrame
        The eligible labelled rows (`customer_id`, `cutoff`, `churned`, `active`: bought within
        one horizon), and their inputs.
    timing : Timing or None
        How long subscriptions last, learnt up to `as_of`; None for other kinds.
    after : DataFrame
        Purchases and money within the validation horizon after the value origins, and after each
        cutoff for which it is complete.
    daily : DataFrame
        Purchases of each day around them, of everybody together (`labels.daily_purchases`).
    value_days : int
        The validation horizon.
    origins : tuple of date
        The value origins the log affords; none where value is not modelled.
    known : Series
        The ids with any row before `as_of`.
    treated : int
        Labelled rows that a logged campaign reached in their label window.
    notes : tuple of str
        What could not be had, and what a reader should know of the rows.
    timings : mapping of date to Timing or None
        The purchase timing, or how long subscriptions last, as learnt before each cutoff.
    """

    schema: Schema
    matrix: pd.DataFrame
    days: tuple[dt.date, ...]
    first_day: dt.date | None
    as_of: dt.date | None
    rows: pd.DataFrame
    X: pd.DataFrame
    timing: Timing | None
    after: pd.DataFrame
    daily: pd.DataFrame
    value_days: int
    origins: tuple[dt.date, ...]
    known: pd.Series
    treated: int
    notes: tuple[str, ...]
    timings: Mapping[dt.date, Timing | None] = field(default_factory=dict)

    @property
    def features(self) -> Features:
        """What models of value may learn from."""
        return Features(
            self.matrix, self.schema, self.timings, self.after, self.value_days, self.rows, self.X,
            self.days[0],
        )  # fmt: skip

    @property
    def today(self) -> pd.DataFrame:
        """Features of everybody as of the end of observation."""
        if self.as_of is None:
            return self.matrix
        return self.matrix[self.matrix["cutoff"] == pd.Timestamp(self.as_of)]


def prepare(sources: Sources, config: Config, schema: Schema | None = None) -> Population:
    """Build features once for every day asked about, then labels and inputs.

    Parameters
    ----------
    sources, config
        The logs and the question.
    schema : Schema, optional
        The columns of a model that exists; planned from the data by default.

    Raises
    ------
    DataError
        If no cutoff fits, a class is too rare to learn from, or a table ended too early.
    """
    if config.churn.kind == "label":
        return _undated(sources, config, schema)
    return _dated(sources, config, schema)


def _dated(sources: Sources, config: Config, schema: Schema | None) -> Population:
    first, until, zone, churn = (
        sources.first_day, sources.observed_until, config.zone, config.churn,
    )  # fmt: skip
    days = cutoffs.plan(config, first, until)
    sources.require(until)
    is_valued = churn.kind == "inactivity"
    value_days = value.validation_days(first, until)
    origins = value.origins(first, until) if is_valued else ()
    schema = schema or plan_schema(
        sources.tables,
        first,
        days[0],
        zone,
        config.features.levels,
        population=churn.table,
        settings=config.feature_settings,
    )
    asked = sorted({*days, *origins, until})
    matrix = build(sources.tables, asked, zone, schema)
    matrix = labels.beside(sources.tables, matrix, asked, zone, churn)
    after = daily = pd.DataFrame()
    if is_valued:
        daily = labels.daily_purchases(sources.tables, origins, zone, value_days)
        valued = cutoffs.complete_for(sorted({*days, *origins}), until, value_days)
        after = labels.outcomes(sources.tables, valued, zone, gap_days=0, horizon_days=value_days)
    people, rows, treated = labels.labelled(sources.tables, matrix, days, zone, churn)
    again = _came_again(matrix, until) if churn.kind == "inactivity" else _who_could(matrix, days)
    check_classes(rows["churned"], "over all cutoffs", churn.kind, again)
    timed = sorted({*days, *origins}) if is_valued else [*days, until]
    timing, notes = _timing(matrix, timed, sources, config)
    parts = [
        inputs(people[people["cutoff"] == pd.Timestamp(day)], schema, timing[day], churn)
        for day in days
    ]
    X = pd.concat(parts).loc[people.index]
    known = labels.known_customers(sources.tables, until, zone, churn.table)
    return Population(
        schema, matrix, days, first, until, rows, X, timing.get(until), after, daily, value_days,
        origins, known, treated, (*_reached(treated, len(rows), config), *notes), timing,
    )  # fmt: skip


def _came_again(matrix: pd.DataFrame, until: dt.date) -> str:
    """Count who ever bought again: where few do, silence says nothing."""
    today = matrix.loc[matrix["cutoff"] == pd.Timestamp(until), "frequency"]
    return f"{int((today > 0).sum()):,} of {len(today):,} customers bought on a second day."


def _who_could(matrix: pd.DataFrame, days: Sequence[dt.date]) -> str:
    """Count who may leave at the newest cutoff, where trials or notices leave hardly anybody."""
    newest = matrix.loc[matrix["cutoff"] == pd.Timestamp(days[-1]), "status"]
    stand = newest.value_counts()
    trial, notice, scored = (int(stand.get(k, 0)) for k in ("trial", "notice", "scored"))
    if trial + notice <= scored:
        return ""
    return (
        f"At {days[-1]} {scored:,} subscribers could leave: {trial:,} are within a trial "
        f"(trial_ends_at lies ahead) and {notice:,} gave notice."
    )


def _reached(treated: int, rows: int, config: Config) -> list[str]:
    """Say what a campaign in the label window does to the label: the saved teach "safe"."""
    if not treated:
        return []
    if config.churn.exclude_treated:
        return [
            f"{treated:,} rows that a logged campaign reached in their label window were left out "
            f"({rows:,} remain), as churn.exclude_treated asks."
        ]
    return [
        f"{treated:,} of {rows:,} labelled rows were reached by a logged campaign in their label "
        "window: whom it saved is learnt as safe. Set churn.exclude_treated to leave them out."
    ]


def _timing(
    matrix: pd.DataFrame, days: Sequence[dt.date], sources: Sources, config: Config
) -> tuple[dict[dt.date, Timing | None], tuple[str, ...]]:
    """Fit the timing before each day, on everybody seen by then."""
    models: dict[dt.date, Timing | None] = {}
    refused = []
    spells = {}
    if config.churn.kind == "subscription":
        spells = labels.durations(sources.tables, days, config.zone, config.churn)
    for day in days:
        try:
            if config.churn.kind == "subscription":
                models[day] = fit_spells(*(spells[day][c] for c in ("days", "left", "n")))
            else:
                seen = matrix.loc[matrix["cutoff"] == pd.Timestamp(day), RFM]
                models[day] = fit_purchases(seen, "mbg_nbd")
        except DataError as fault:
            models[day] = None
            refused.append(f"At {day}: {str(fault).removeprefix('clv: ')}")
    return models, tuple(dict.fromkeys(refused))


def _undated(sources: Sources, config: Config, schema: Schema | None) -> Population:
    """Take the customers who carry a label; nothing about them is dated."""
    schema = schema or plan_people(sources.tables, config.features.levels)
    matrix = people_matrix(sources.tables, schema)
    matrix["cutoff"] = pd.Series(pd.NaT, matrix.index, "datetime64[s]")
    label = labels.customer_labels(sources.tables).reindex(matrix["customer_id"]).to_numpy()
    labelled = ~np.isnan(label)
    people = matrix[labelled].reset_index(drop=True)
    rows = people[["customer_id", "cutoff"]].assign(
        churned=label[labelled].astype(np.int8), active=True
    )
    check_classes(rows["churned"], "among the labelled customers", "label")
    notes = [
        "Point-in-time cannot be proven: neither the label nor the attributes are dated, so an "
        "attribute that was written down after a customer left would look like a perfect reason.",
        "The scores of customers with a label come from a model that learnt their label; the test "
        "figures do not.",
    ]
    if (~labelled).any():
        notes.append(
            f"{int((~labelled).sum()):,} customers have no label: they are scored, and nothing is "
            "learnt from them."
        )
    return Population(
        schema=schema,
        matrix=matrix,
        days=(),
        first_day=None,
        as_of=None,
        rows=rows,
        X=inputs(people, schema, None, config.churn),
        timing=None,
        after=pd.DataFrame(),
        daily=pd.DataFrame(),
        value_days=0,
        origins=(),
        known=matrix["customer_id"],
        treated=0,
        notes=tuple(notes),
    )
