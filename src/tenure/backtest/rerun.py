"""A recipe sent through the backtest that another model went through, on the same rows."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from tenure.backtest import churn as churn_backtest
from tenure.backtest import folds as fold_backtest
from tenure.backtest.churn import Backtest, calibrate, fit_calibrator
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.candidate import Candidate
from tenure.models.churn import ROSTERS, Blend, fit_candidates, fit_lightgbm
from tenure.models.recipe import Recipe, recipe

__all__ = ["Labelled", "fit_recipe", "rerun"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Predict = Callable[[Mask, Mask], pd.DataFrame]
"""Fits on one mask of the rows, and returns the rows of the other with the margins of that fit."""


class Labelled(Protocol):
    """What is needed of a population: the labelled rows and their inputs."""

    @property
    def rows(self) -> pd.DataFrame:
        """The labelled rows."""

    @property
    def X(self) -> pd.DataFrame:
        """Their inputs."""


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


def rerun(made: Recipe, churn: Backtest, ready: Labelled, config: Config) -> Array:
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
    said: Predict,
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
    said: Predict,
    churn: Backtest,
    ready: Labelled,
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
