"""The champion on the ground of a new run: its own word where it is fair, else its recipe rerun.

A bundle learnt from every label complete by its `trained_until`, so it may speak only of test
cutoffs from that day on. Where there are none, what it is made of goes through the same backtest
as the challenger (definitions.md, Gate).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from tenure.backtest import churn as churn_backtest
from tenure.backtest import folds as fold_backtest
from tenure.backtest.churn import Backtest, calibrate, fit_calibrator
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.features.attributes import columns_of
from tenure.features.schema import OTHER, Schema
from tenure.models.candidate import Candidate
from tenure.models.churn import ROSTERS, Blend, fit_candidates, fit_lightgbm
from tenure.models.recipe import Recipe, recipe

__all__ = ["Meeting", "Met", "Ready", "fit_recipe", "meet", "rerun"]

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


class Ready(Protocol):
    """What is needed of a population: its columns, everybody's features, and the labelled rows."""

    @property
    def schema(self) -> Schema:
        """The columns of the matrix."""

    @property
    def matrix(self) -> pd.DataFrame:
        """Features of everybody at every cutoff."""

    @property
    def rows(self) -> pd.DataFrame:
        """The labelled rows."""

    @property
    def X(self) -> pd.DataFrame:
        """Their inputs."""


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
        return f"{len(strange)} of its columns are not in these data ({first})."
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
    margin = champion.candidate.margin(champion.inputs(here))
    return np.asarray(champion.calibrator.probability(margin), dtype=np.float64)


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


def fit_recipe(made: Recipe, X: pd.DataFrame, y: pd.Series, *, seed: int, kind: str) -> Candidate:
    """Fit the candidate that a recipe describes.

    Parameters
    ----------
    made : Recipe
    X, y
        The recipe's inputs, and 1 = churned.
    seed : int
        Of this run: the recipe competes, not its luck.
    kind : str
        Of leaving.
    """
    if made.name == "lightgbm":
        return fit_lightgbm(X, y, seed=seed, parameters=made.parameters)
    if made.name == "blend":
        partner = ROSTERS[kind].partner
        trees = fit_lightgbm(X, y, seed=seed, parameters=made.parameters)
        return Blend((trees, fit_candidates(X, y, seed=seed, kind=kind, names=[partner])[partner]))
    return fit_candidates(X, y, seed=seed, kind=kind, names=[made.name])[made.name]


def rerun(made: Recipe, churn: Backtest, ready: Ready, config: Config) -> Array:
    """Send a recipe through the backtest that the challenger went through.

    Returns
    -------
    ndarray
        The calibrated probability of each test row.
    """
    if made == recipe(made.name, ready.X.columns, config.model.calibration):
        return churn.probabilities[made.name]  # it is one of this run's own candidates
    model = config.model.model_copy(update={"calibration": made.calibration})
    asked = config.model_copy(update={"model": model})
    wanted = ready.X.columns if made.columns is None else made.columns
    X = ready.X[[c for c in wanted if c in ready.X.columns]]

    def said(learn: Mask, here: Mask) -> pd.DataFrame:
        rows, seed, kind = ready.rows, config.model.seed, config.churn.kind
        model = fit_recipe(made, X[learn], rows["churned"][learn], seed=seed, kind=kind)
        return rows[here].assign(**{made.name: model.margin(X[here])})

    if churn.tests:
        return _origins(made.name, said, churn, ready.rows, asked)
    return _folds(made.name, said, churn, ready, asked)


def _origins(
    name: str,
    said: Callable[[Mask, Mask], pd.DataFrame],
    churn: Backtest,
    rows: pd.DataFrame,
    config: Config,
) -> Array:
    """Predict each origin from the rows complete by it, and calibrate as the backtest does."""
    days = [day.date() for day in sorted(rows["cutoff"].unique())]
    cutoff = rows["cutoff"]

    def learnable(at: dt.date) -> Mask:
        earlier = complete_for(days, at, config.churn.complete_days)
        return np.asarray(cutoff.isin(pd.to_datetime(list(earlier))))

    def predict(origin: pd.Timestamp) -> pd.DataFrame:
        return said(learnable(origin.date()), np.asarray(cutoff == origin))

    def held_out(at: dt.date) -> pd.DataFrame:
        learn = np.flatnonzero(learnable(at))
        customers, churned = rows["customer_id"].iloc[learn], rows["churned"].to_numpy()
        splits = GroupKFold(churn_backtest.FOLDS, shuffle=True, random_state=config.model.seed)
        masks = [
            [np.isin(np.arange(len(rows)), learn[part]) for part in split]
            for split in splits.split(learn, groups=customers)
        ]
        parts = [said(fit, judge) for fit, judge in masks if np.ptp(churned[fit])]
        return pd.concat(parts, ignore_index=True) if parts else rows.iloc[:0]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # fits are single-threaded and independent
        margins = pd.concat(
            pool.map(predict, sorted(churn.margins["cutoff"].unique())), ignore_index=True
        )
    return np.concatenate(
        [
            calibrate(name, margins, days, c, config, held_out).probability(
                margins.loc[margins["cutoff"] == pd.Timestamp(c), name].to_numpy()
            )
            for c in churn.tests
        ]
    )


def _folds(
    name: str,
    said: Callable[[Mask, Mask], pd.DataFrame],
    churn: Backtest,
    ready: Ready,
    config: Config,
) -> Array:
    """Predict each fold from the others, calibrated on folds within them, as the backtest does."""
    group, seed = fold_backtest.equal_rows(ready.X), config.model.seed
    churned = ready.rows["churned"].to_numpy()

    def predict(learn: Mask, here: Mask) -> Array:
        _, number = np.unique(group[learn], return_inverse=True)
        fold = np.full(len(learn), -1)
        fold[learn] = fold_backtest.assign(
            number.ravel(), churned[learn], fold_backtest.INNER, (seed, 3)
        )
        masks = [(learn & (fold != k), fold == k) for k in range(fold_backtest.INNER)]
        inner = [said(fit, judge) for fit, judge in masks if np.ptp(churned[fit]) and judge.any()]
        calibrator = fit_calibrator(name, pd.concat(inner, ignore_index=True), config)
        return calibrator.probability(said(learn, here)[name].to_numpy())

    masks = []
    for repeat in range(int(churn.test["repeat"].max())):
        dealt = fold_backtest.assign(group, churned, fold_backtest.FOLDS, (seed, 2, repeat))
        masks += [(dealt != k, dealt == k) for k in np.unique(dealt)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(lambda m: predict(*m), masks)))
