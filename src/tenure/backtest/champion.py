"""The champion on the ground of a new run: its own word where it is fair, else its recipe rerun.

A bundle learnt from every label complete by its `trained_until`, so it may speak only of test
cutoffs from that day on. Where there are none, what it is made of goes through the same backtest
as the challenger (definitions.md, Gate).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest.churn import Backtest
from tenure.backtest.rerun import Labelled, rerun
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.features.attributes import columns_of
from tenure.features.schema import OTHER, Schema
from tenure.models.churn import ROSTERS
from tenure.models.recipe import Recipe

__all__ = ["Meeting", "Met", "Ready", "meet"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Met = Literal["fresh cutoffs", "recipe rerun", "none"]


@dataclass(frozen=True)
class Meeting:
    """What the champion says of the challenger's test rows.

    Attributes
    ----------
    version : str
        Of the champion.
    met : {'fresh cutoffs', 'recipe rerun', 'none'}
        By its own bundle, by its recipe, or not at all.
    why : str
        One sentence.
    probability : ndarray
        Of each test row; NaN where the champion may not speak of it.
    """

    version: str
    met: Met
    why: str
    probability: Array


class Ready(Labelled, Protocol):
    """What is needed of a population: also its columns, and everybody's features."""

    @property
    def schema(self) -> Schema:
        """The columns of the matrix."""

    @property
    def matrix(self) -> pd.DataFrame:
        """Features of everybody at every cutoff."""


def meet(
    version: str, champion: Bundle | None, churn: Backtest, ready: Ready, config: Config
) -> Meeting:
    """Let the champion speak of the test rows, by its own bundle or by its recipe.

    Parameters
    ----------
    version : str
        Of the champion.
    champion : Bundle or None
        None where its files are gone or altered.
    churn : Backtest
        The challenger's.
    ready : Population
        What both stand on.
    config : Config
        Of the challenger's run.
    """
    nothing = np.full(len(churn.test), np.nan)
    if champion is None:
        return Meeting(version, "none", "Its files are gone, altered or not ours.", nothing)
    kind, asked = champion.churn.kind, config.churn.kind
    if kind != asked:
        why = f"It answers another question: churn.kind {kind}, here {asked}."
        return Meeting(version, "none", why, nothing)
    why = _unfair(champion, churn, ready, config)
    if not why:
        fresh = _fresh(churn, champion.trained_until)
        said = np.where(fresh, 0.0, np.nan)
        said[fresh] = _own_word(champion, churn.test[fresh], ready.matrix)
        days = _days(churn.test["cutoff"][fresh])
        why = f"Its own predictions at {days}, after its training labels end."
        return Meeting(version, "fresh cutoffs", why, said)
    made = champion.recipe or Recipe(champion.candidate.name)
    if made.name not in ROSTERS[asked].names:
        why += f" Its candidate, {made.name}, is unknown to this version of tenure."
        return Meeting(version, "none", why, nothing)
    if made.columns is not None and not set(made.columns) & set(ready.X.columns):
        return Meeting(version, "none", f"{why} These data have none of its columns.", nothing)
    why += f" {_described(champion, ready)} went through the same backtest."
    return Meeting(version, "recipe rerun", why, rerun(made, churn, ready, config))


def _fresh(churn: Backtest, trained_until: dt.date | None) -> Mask:
    """Rows of test cutoffs by which all labels the champion learnt from were complete."""
    if trained_until is None or not churn.tests:
        return np.zeros(len(churn.test), dtype=bool)
    return np.asarray(churn.test["cutoff"] >= pd.Timestamp(trained_until))


def _unfair(champion: Bundle, churn: Backtest, ready: Ready, config: Config) -> str:
    """Say why the champion's own bundle cannot speak here; nothing if it can."""
    if not churn.tests:
        return "Nothing is dated, so it may have learnt from any of these rows."
    fresh = _fresh(churn, champion.trained_until)
    if not fresh.any():
        return f"No test cutoff lies after its training labels end ({champion.trained_until})."
    if churn.test["churned"][fresh].nunique() < 2:
        return f"All customers at {_days(churn.test['cutoff'][fresh])} did the same."
    if champion.churn != config.churn or champion.timezone != config.timezone:
        return "It answers another question: the `churn` section or the time zone has changed."
    strange = _strange(champion, ready.schema)
    if strange:
        first = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        return f"{len(strange)} of its columns are missing or mean something else here ({first})."
    return ""


def _strange(champion: Bundle, schema: Schema) -> list[str]:
    """List the inputs the champion uses that the new matrix lacks or means otherwise."""
    every = pd.DataFrame(columns=list(champion.columns), dtype=np.float64)
    used = champion.candidate.contributions(every)[0].columns
    theirs, ours = champion.schema, {c.name for c in columns_of(schema)}
    if theirs.settings != schema.settings:
        ours = set()
    made = {c.name for c in columns_of(theirs)}
    return [
        name
        for name in used
        if name in made
        and (
            name not in ours
            # what is left over by other levels is another thing
            or (champion.columns[name].level == OTHER and theirs.levels != schema.levels)
        )
    ]


def _own_word(champion: Bundle, test: pd.DataFrame, matrix: pd.DataFrame) -> Array:
    """Predict test rows by the champion's bundle, as `score` would have."""
    keys = ["customer_id", "cutoff"]
    here = test[keys].merge(matrix, on=keys, how="left", validate="one_to_one")
    lacking = [c.name for c in columns_of(champion.schema) if c.name not in here]  # it uses none
    here = here.reindex(columns=[*here.columns, *lacking])
    said = np.empty(len(here))
    for day, rows in here.groupby("cutoff"):
        margin = champion.candidate.margin(champion.inputs(rows))
        at = champion.calibrator_at(pd.Timestamp(str(day)).date())
        said[here.index.get_indexer(rows.index)] = at.probability(margin)
    return said


def _days(cutoffs: pd.Series) -> str:
    return ", ".join(str(day.date()) for day in sorted(cutoffs.unique()))


def _described(champion: Bundle, ready: Ready) -> str:
    """Name the recipe, and what of it is not to be had here."""
    made = champion.recipe
    if made is None:
        return f"Its recipe was not recorded; {champion.candidate.name} as made today"
    lost = len(set(made.columns or ()) - set(ready.X.columns))
    rest = f" (without {lost} columns that these data lack)" if lost else ""
    return f"Its recipe, {made.name} calibrated by {made.calibration}{rest},"
