"""A recipe sent through the backtest that another model went through, on the same rows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest import folds as fold_backtest
from tenure.backtest.calibrating import fit_calibrator
from tenure.backtest.churn import Backtest
from tenure.backtest.origins import Spare, calibrated, days_of, predicted
from tenure.backtest.shifts import move
from tenure.config import Config
from tenure.models.churn import fit_candidates
from tenure.models.recipe import Recipe, recipe

__all__ = ["Labelled", "rerun"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Labelled(Protocol):
    """What is needed of a population: the labelled rows and their inputs."""

    @property
    def rows(self) -> pd.DataFrame:
        """The labelled rows."""

    @property
    def X(self) -> pd.DataFrame:
        """Their inputs."""


def rerun(made: Recipe, churn: Backtest, ready: Labelled, config: Config) -> Array:
    """Send a recipe through the backtest that the challenger went through.

    Returns
    -------
    ndarray
        The calibrated probability of each test row.
    """
    if made == recipe(made.name, churn.settings, ready.X.columns, config.model.calibration):
        return churn.probabilities[made.name]  # it is one of this run's own candidates
    model = config.model.model_copy(update={"calibration": made.calibration})
    asked = config.model_copy(update={"model": model})
    wanted = ready.X.columns if made.columns is None else made.columns
    X = ready.X[[c for c in wanted if c in ready.X.columns]]
    if churn.tests:
        return _origins(made, X, churn, ready.rows, asked)
    return _folds(made, X, fold_backtest.equal_rows(ready.X), churn, ready.rows, asked)


def _origins(
    made: Recipe, X: pd.DataFrame, churn: Backtest, rows: pd.DataFrame, config: Config
) -> Array:
    """Predict, move and calibrate as the backtest does."""
    names = [made.name]
    origins = days_of(churn.margins)
    margins, expected = predicted(X, rows, config, made.settings, names, origins)
    if churn.shift["corrected"]:
        margins = move(margins, expected)
    spare = Spare(X, rows, config, made.settings, names)
    return calibrated(made.name, margins, days_of(rows), churn.tests, config, spare)


def _folds(
    made: Recipe,
    X: pd.DataFrame,
    group: fold_backtest.Folds,
    churn: Backtest,
    rows: pd.DataFrame,
    config: Config,
) -> Array:
    """Predict each fold from the others, calibrated on folds within them, as the backtest does.

    The folds are those of the challenger (`group` tells its equal rows), whatever the recipe sees.
    """
    seed, name = config.model.seed, made.name
    churned = rows["churned"].to_numpy()

    def said(learn: Mask, here: Mask) -> pd.DataFrame:
        fitted = fit_candidates(
            X[learn], rows["churned"][learn], seed=seed, kind="label", names=[name],
            settings=made.settings,
        )  # fmt: skip
        return rows[here].assign(**{name: fitted[name].margin(X[here])})

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
