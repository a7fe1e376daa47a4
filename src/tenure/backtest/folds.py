"""Repeated folds: the test of customers who carry a label and no date.

Every row is predicted by models that never saw its fold. Within the training folds a second round
of folds gives the predictions that calibrators and the choice among candidates learn from, so that
no part of the procedure sees the rows it is judged on. Rows with equal attributes share a fold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest.calibrating import cross_calibrated_losses, fit_calibrator
from tenure.backtest.churn import Backtest, Steps, asked_settings, names_of
from tenure.config import Config
from tenure.errors import DataError
from tenure.models.churn import ROSTERS, fit_candidates
from tenure.models.trees import Settings

__all__ = ["assign", "equal_rows", "run"]

FOLDS = 10
INNER = 5
FEWEST_KINDS = 3  # of customers: with fewer, some training part holds nobody to learn from
ROUNDS = ((5_000, 3), (None, 2))  # up to so many rows, so many rounds

Folds = NDArray[np.intp]


def equal_rows(X: pd.DataFrame) -> Folds:
    """Give each row a number that rows of equal values share."""
    hashes = pd.util.hash_pandas_object(X, index=False).to_numpy()
    return np.unique(hashes, return_inverse=True)[1].ravel().astype(np.intp)


def assign(group: Folds, churned: NDArray[np.int8], folds: int, seed: tuple[int, ...]) -> Folds:
    """Deal the rows to folds of like size and churn, all rows of a group to one.

    Parameters
    ----------
    group : ndarray of int
        From `equal_rows`.
    churned : ndarray of 0 and 1
    folds : int
        How many.
    seed : tuple of int
        Of the shuffle.

    Returns
    -------
    ndarray of int
        Each row's fold, from 0.
    """
    size = np.bincount(group)
    mostly = (np.bincount(group, weights=churned) * 2 > size).astype(np.intp)
    shuffled = np.random.default_rng(seed).permutation(size.size)
    held, every = np.zeros((2, folds)), np.zeros(folds)
    dealt = np.empty(size.size, dtype=np.intp)
    # the largest groups first, each to the fold that holds fewest rows of its kind
    for g in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        kind = mostly[g]
        least = np.flatnonzero(held[kind] == held[kind].min())
        to = least[np.argmin(every[least])]
        held[kind, to] += size[g]
        every[to] += size[g]
        dealt[g] = to
    return dealt[group]


def run(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    *,
    directions: Mapping[str, int] | None = None,
    progress: Callable[..., None] = lambda *_: None,
) -> Backtest:
    """Judge the whole procedure on folds it did not see, some times over.

    Parameters
    ----------
    X : DataFrame
        Attributes of the labelled customers.
    rows : DataFrame
        Beside it: `customer_id`, `cutoff`, `churned`, `active`.
    config : Config
        Its `model` section decides.
    directions : mapping, optional
        As for the rolling backtest; attributes declare none.
    progress : callable
        Told what is being done, how much is done and of how much.
    """
    seed, group, settings = config.model.seed, equal_rows(X), asked_settings(config, directions)
    if np.unique(group).size < FEWEST_KINDS:
        raise DataError(
            f"customers: their attributes tell only {np.unique(group).size} kinds of customers "
            f"apart, and folds need at least {FEWEST_KINDS}. Declare more attributes."
        )
    churned = rows["churned"].to_numpy()
    repeats = next(n for most, n in ROUNDS if most is None or len(rows) <= most)
    dealt = [assign(group, churned, FOLDS, (seed, 2, r)) for r in range(repeats)]

    told = Steps(progress, sum(len(np.unique(d)) for d in dealt))

    def judge(repeat: int, fold: int) -> pd.DataFrame:
        here = dealt[repeat] == fold
        said = _probabilities(X, rows, group, ~here, here, config, settings)
        told(f"folds: {fold + 1} of {FOLDS}, round {repeat + 1} of {repeats}")
        return said.assign(repeat=repeat + 1)

    asked = [(r, k) for r in range(repeats) for k in np.unique(dealt[r])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # fits are single-threaded and independent
        test = pd.concat(pool.map(lambda a: judge(*a), asked), ignore_index=True)
    margins = _held_out(X, rows, group, config, settings)
    before = cross_calibrated_losses(margins, margins["fold"], config)
    roster = ROSTERS["label"]
    return Backtest(
        tests=(),
        margins=margins,
        test=test[["customer_id", "cutoff", "churned", "active", "repeat"]],
        probabilities={name: test[name].to_numpy() for name in names_of(config, settings)},
        selected=min(before, key=lambda name: before[name]),
        best_baseline=min(roster.baselines, key=lambda name: before[name]),
        before=before,
        notes=tuple(_said(group, repeats)),
        compared=margins.assign(part=margins["fold"]),
        chosen=test["chosen"].to_numpy(),
        settings=settings,
    )


def _probabilities(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    group: Folds,
    learn: NDArray[np.bool_],
    here: NDArray[np.bool_],
    config: Config,
    settings: Settings,
) -> pd.DataFrame:
    """Predict the rows of one fold by every candidate, and by the one chosen without them."""
    inner = _held_out(X[learn], rows[learn], group[learn], config, settings)
    losses = cross_calibrated_losses(inner, inner["fold"], config)
    fitted = fit_candidates(
        X[learn], rows["churned"][learn], seed=config.model.seed, kind="label",
        names=names_of(config, settings), settings=settings,
    )  # fmt: skip
    said = {
        name: fit_calibrator(name, inner, config).probability(model.margin(X[here]))
        for name, model in fitted.items()
    }
    best = min(losses, key=lambda name: losses[name])
    told: pd.DataFrame = rows[here].assign(**said, chosen=said[best])
    return told


def _held_out(
    X: pd.DataFrame, rows: pd.DataFrame, group: Folds, config: Config, settings: Settings
) -> pd.DataFrame:
    """Return every candidate's margins for rows held out of its training, with their fold."""
    seed, parts = config.model.seed, []
    _, number = np.unique(group, return_inverse=True)
    fold = assign(number.ravel(), rows["churned"].to_numpy(), INNER, (seed, 3))
    for k in range(INNER):
        learn, here = fold != k, fold == k
        if rows["churned"][learn].nunique() < 2 or not here.any():
            continue
        fitted = fit_candidates(
            X[learn], rows["churned"][learn], seed=seed, kind="label",
            names=names_of(config, settings), settings=settings,
        )  # fmt: skip
        said = {name: model.margin(X[here]) for name, model in fitted.items()}
        parts.append(rows[here].assign(**said, fold=k))
    held: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return held


def _said(group: Folds, repeats: int) -> list[str]:
    alike = int(group.size - np.unique(group).size)
    notes = [
        f"There are no past dates: the figures come from {FOLDS} folds, dealt {repeats} times. "
        "Models, calibrators and the choice among them never saw the fold they are judged on; "
        "LightGBM's settings are the defaults, since no earlier rows exist to find better ones on."
    ]
    if alike:
        notes.append(
            f"{alike:,} rows repeat the attributes of another one; equal rows share a fold, so "
            "that nobody is judged by their own copy."
        )
    return notes
