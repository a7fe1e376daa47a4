"""What features say of value at the origins: the chance of leaving, and the two-part model.

Both know only what was complete by the origin. The chance is that of a blend with LightGBM's
default settings, not of the candidate that was selected and tuned later: the value origins lie
before the cutoffs on which that happened.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure import labels
from tenure.backtest.calibrating import at_days, calibrate
from tenure.backtest.origins import Spare, can_learn, days_of, learnable, predicted
from tenure.backtest.said import CHANCE, KEYS, OUTCOME, TREES
from tenure.backtest.samples import some_customers
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.errors import DataError
from tenure.features.schema import Schema
from tenure.inputs import Timing, inputs
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings
from tenure.models.twopart import TwoPart, fit_two_part

__all__ = ["Features", "foresight", "two_part"]

MOST_ROWS = 20_000  # that the two-part model, or the blend, learns from
CANDIDATE = "blend"
CALIBRATED_ON = 2  # newest cutoffs


@dataclass(frozen=True)
class Features:
    """Everything known at the cutoffs and the origins, and what came after.

    Attributes
    ----------
    matrix : DataFrame
        Features of everybody ever seen, by cutoff.
    schema : Schema
    timings : mapping of date to Timing or None
        The purchase timing as learnt before each day; days without one are not learnt from.
    after : DataFrame
        Purchases and money of the validation horizon after each day that it is complete for.
    horizon_days : int
        The validation horizon.
    rows, X : DataFrame
        The labelled rows of the churn models, and their inputs.
    planned : date
        When it was decided what the columns are; before it nothing can be said by them.
    """

    matrix: pd.DataFrame
    schema: Schema
    timings: Mapping[dt.date, Timing | None]
    after: pd.DataFrame
    horizon_days: int
    rows: pd.DataFrame
    X: pd.DataFrame
    planned: dt.date

    def inputs(self, people: pd.DataFrame, config: Config) -> pd.DataFrame:
        """Return the models' inputs for rows of the matrix, each by the timing of its day."""
        parts = [
            inputs(people[at_days(people, [day])], self.schema, self.timings[day], config.churn)
            for day in days_of(people)
        ]
        return pd.concat(parts).loc[people.index]


def foresight(
    rows: pd.DataFrame, known: Features, config: Config
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Put beside the rows of the origins what features say of them.

    Parameters
    ----------
    rows : DataFrame
        From `value.past`.
    known : Features
    config : Config

    Returns
    -------
    DataFrame
        With `churn_probability`, `trees_purchases` and `trees_value` where they could be learnt.
    tuple of str
        Why they could not.
    """
    notes: list[str] = []
    parts = []
    for day in days_of(rows):
        here = rows[at_days(rows, [day])]
        if day < known.planned:
            parts.append(here)
            continue
        people = here[KEYS].merge(known.matrix, on=KEYS, how="left")
        X = known.inputs(people, config)
        here = here.assign(**{CHANCE: _chance(day, people, X, known, config)})
        try:
            expected = two_part(day, known, config).expected(X)
            here = here.assign(**dict(zip(TREES, expected, strict=True)))
        except DataError as fault:
            if day == rows["cutoff"].max().date():  # nobody misses it at the first origin
                notes.append(f"The two-part model of value is not shown: {fault}")
        parts.append(here)
    return pd.concat(parts, ignore_index=True), tuple(notes)


def two_part(origin: dt.date, known: Features, config: Config) -> TwoPart:
    """Fit the two-part model on every day whose horizon is complete by the origin.

    Raises
    ------
    DataError
        If too few bought, or no day is complete.
    """
    complete = complete_for(sorted(known.timings), origin, known.horizon_days)
    days = [day for day in complete if known.timings[day] is not None]
    people = known.matrix[known.matrix["cutoff"].isin(pd.to_datetime(days))]
    people = people[some_customers(people, MOST_ROWS)].reset_index(drop=True)
    if people.empty:
        raise DataError(f"clv: no {known.horizon_days} days are complete before {origin}.")
    came = people[KEYS].merge(known.after[[*KEYS, *OUTCOME]], on=KEYS, how="left").fillna(0.0)
    return fit_two_part(
        known.inputs(people, config),
        came["purchase_days"],
        came["value"],
        horizon_days=known.horizon_days,
        seed=config.model.seed,
    )


def _chance(
    origin: dt.date, people: pd.DataFrame, X: pd.DataFrame, known: Features, config: Config
) -> NDArray[np.float64]:
    """Return the calibrated chance of leaving of who is at stake at the origin; NaN of others."""
    found = np.full(len(people), np.nan)
    at_stake = np.asarray(labels.statuses(people, config.churn) == "scored")
    rows = known.rows
    if not at_stake.any() or not can_learn(rows, origin, config):
        return found
    few = learnable(rows, origin, config).copy()
    few[few] = some_customers(rows[few], MOST_ROWS)
    rows, learnt = rows[few], known.X[few]
    settings, names = Settings(), (CANDIDATE,)
    earlier = [d for d in _complete(rows, origin, config) if can_learn(rows, d, config)]
    margins = rows.iloc[:0].assign(**{CANDIDATE: np.empty(0)})
    if earlier:
        judged = earlier[-CALIBRATED_ON:]
        margins, _ = predicted(learnt, rows, config, settings, names, judged)
    spare = Spare(learnt, rows, config, settings, names)
    calibrator = calibrate(CANDIDATE, margins, earlier[-CALIBRATED_ON:], origin, config, spare)
    model = fit_candidates(
        learnt, rows["churned"], seed=config.model.seed, kind=config.churn.kind,
        names=names, settings=settings,
    )[CANDIDATE]  # fmt: skip
    found[at_stake] = calibrator.probability(model.margin(X[at_stake]))
    return found


def _complete(rows: pd.DataFrame, origin: dt.date, config: Config) -> Sequence[dt.date]:
    return complete_for(days_of(rows), origin, config.churn.complete_days)
