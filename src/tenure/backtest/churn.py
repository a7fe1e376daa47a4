"""Rolling origins: each cutoff predicted by models that could have stood there.

One pass serves everything that must not see its own future: calibrators learn from the out-of-time
predictions of earlier origins, selection looks at origins before the test cutoffs, and the test
figures come from the newest ones.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from tenure.backtest.classes import LEAST_RARER, check_classes
from tenure.config import Config
from tenure.cutoffs import MOST_TESTS, complete_for
from tenure.models.calibration import Calibrator, Kind, choose, fit
from tenure.models.churn import ROSTERS, fit_candidates

__all__ = [
    "MOST_TESTS",
    "Backtest",
    "calibrate",
    "cross_calibrated_losses",
    "fit_calibrator",
    "run",
]

FOLDS = 5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """What the procedure would have said at each origin, and which candidate it trusts.

    Attributes
    ----------
    tests : tuple of date
        The test cutoffs, oldest first; none where folds are the test.
    margins : dict of str to DataFrame
        Out-of-time rows (`customer_id`, `cutoff`, `churned`, …) with one margin a candidate.
    test : DataFrame
        The rows of the test cutoffs.
    probabilities : dict of str to ndarray
        Calibrated probabilities of the test rows, by candidate.
    selected, best_baseline : str
        Best calibrated log loss before the test cutoffs, among all and among the baselines.
    before : dict of str to float
        The log losses of that comparison.
    notes : tuple of str
        What the reader should know about how this was done.
    chosen : ndarray or None
        Of each test row, what the procedure said that had chosen its model without it; None where
        that is what `selected` said.
    """

    tests: tuple[dt.date, ...]
    margins: pd.DataFrame
    test: pd.DataFrame
    probabilities: dict[str, Array]
    selected: str
    best_baseline: str
    before: dict[str, float]
    notes: tuple[str, ...]
    chosen: Array | None = None

    @property
    def said(self) -> Array:
        """Probabilities of the test rows by the procedure that the figures speak of."""
        return self.probabilities[self.selected] if self.chosen is None else self.chosen


def run(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Run the procedure at every origin that can afford it.

    Parameters
    ----------
    X : DataFrame
        Inputs of the eligible labelled rows.
    rows : DataFrame
        Beside it: `customer_id`, `cutoff`, `churned`, and what evaluation needs.
    config : Config
        Its `churn` and `model` sections decide.
    progress : callable
        Told what is being done.

    Raises
    ------
    DataError
        If no test cutoff has enough complete rows before it.
    """
    days = [day.date() for day in sorted(rows["cutoff"].unique())]
    origins = [d for d in days if _can_learn(rows, days, d, config)]
    if not origins:
        newest = _learnable(rows, days, days[-1], config)
        check_classes(
            rows["churned"][newest],
            f"in the rows whose label is complete by the newest cutoff, {days[-1]}",
            config.churn.kind,
        )
    tests = tuple(origins[-MOST_TESTS:])
    kind, seed = config.churn.kind, config.model.seed
    roster = ROSTERS[kind]

    def predict(origin: dt.date) -> pd.DataFrame:
        progress(f"backtest at {origin}")
        learn = _learnable(rows, days, origin, config)
        here = (rows["cutoff"] == pd.Timestamp(origin)).to_numpy()
        fitted = fit_candidates(X[learn], rows["churned"][learn], seed=seed, kind=kind)
        said = {name: model.margin(X[here]) for name, model in fitted.items()}
        return rows[here].assign(**said)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # fits are single-threaded and independent
        margins = pd.concat(pool.map(predict, origins), ignore_index=True)
    notes: list[str] = []
    spare = _Spare(X, rows, days, config, notes)
    test = margins[_at(margins, tests)]
    probabilities = {
        name: np.concatenate(
            [
                calibrate(name, margins, days, c, config, spare).probability(
                    test.loc[test["cutoff"] == pd.Timestamp(c), name].to_numpy()
                )
                for c in tests
            ]
        )
        for name in roster.names
    }
    before = _before(margins, days, tests[0], config, spare)
    return Backtest(
        tests=tests,
        margins=margins,
        test=test.reset_index(drop=True),
        probabilities=probabilities,
        selected=min(before, key=lambda name: before[name]),
        best_baseline=min(roster.baselines, key=lambda name: before[name]),
        before=before,
        notes=(*_afforded(days, origins, tests, config), *notes),
    )


def calibrate(
    name: str,
    margins: pd.DataFrame,
    days: Sequence[dt.date],
    at: dt.date | None,
    config: Config,
    spare: Callable[[dt.date], pd.DataFrame] | None = None,
) -> Calibrator:
    """Fit the calibrator a candidate could have had at `at`.

    It learns from the candidate's own out-of-time predictions at origins whose labels are complete
    by `at`; where there are none, from predictions for customers held out of the training rows.
    Where nothing is dated (`at` is None), it learns from all predictions.
    """
    if at is None:
        return fit_calibrator(name, margins, config)
    earlier = margins[_at(margins, complete_for(days, at, config.churn.complete_days))]
    if earlier.empty and spare is not None:
        earlier = spare(at)
    return fit_calibrator(name, earlier, config)


def fit_calibrator(
    name: str, said: pd.DataFrame, config: Config, auto: Kind | None = None
) -> Calibrator:
    """Fit a candidate's calibrator to its own predictions for rows it did not learn from."""
    m, y = said.get(name, pd.Series(dtype=float)).to_numpy(), said["churned"].to_numpy()
    if name in ROSTERS[config.churn.kind].raw or not len(y) or y.min() == y.max():
        return fit("none", np.zeros(2), np.array([0, 1]))
    kind = config.model.calibration
    if kind == "auto" and auto is not None:
        kind = auto
    if kind == "auto":
        return choose(m, y, said["customer_id"].to_numpy(), said["cutoff"].to_numpy())
    return fit(kind, m, y)


class _Spare:
    """Predictions for held-out customers, made once a cutoff and only where they are needed."""

    def __init__(
        self,
        X: pd.DataFrame,
        rows: pd.DataFrame,
        days: Sequence[dt.date],
        config: Config,
        notes: list[str],
    ) -> None:
        self._X, self._rows, self._days, self._config = X, rows, days, config
        self._notes, self._made = notes, dict[dt.date, pd.DataFrame]()

    def __call__(self, at: dt.date) -> pd.DataFrame:
        if at not in self._made:
            learn = _learnable(self._rows, self._days, at, self._config)
            X, rows = self._X[learn], self._rows[learn]
            self._made[at] = _held_out(X, rows, self._config)
            self._notes.append(
                f"At {at} no earlier cutoff was complete to calibrate on: the calibrators "
                f"learnt from {FOLDS}-fold predictions for held-out customers."
            )
        return self._made[at]


def _held_out(X: pd.DataFrame, rows: pd.DataFrame, config: Config) -> pd.DataFrame:
    parts, seed, kind = [], config.model.seed, config.churn.kind
    splits = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learn, judge in splits.split(X, groups=rows["customer_id"]):
        if rows["churned"].iloc[learn].nunique() < 2:
            continue
        fitted = fit_candidates(X.iloc[learn], rows["churned"].iloc[learn], seed=seed, kind=kind)
        said = {name: model.margin(X.iloc[judge]) for name, model in fitted.items()}
        parts.append(rows.iloc[judge].assign(**said))
    return pd.concat(parts, ignore_index=True) if parts else rows.iloc[:0]


def _at(rows: pd.DataFrame, days: Sequence[dt.date]) -> NDArray[np.bool_]:
    return np.asarray(rows["cutoff"].isin(pd.to_datetime(list(days))))


def _learnable(
    rows: pd.DataFrame, days: Sequence[dt.date], at: dt.date, config: Config
) -> NDArray[np.bool_]:
    earlier = complete_for(days, at, config.churn.complete_days)
    return _at(rows, earlier)


def _can_learn(rows: pd.DataFrame, days: Sequence[dt.date], at: dt.date, config: Config) -> bool:
    churned = rows["churned"][_learnable(rows, days, at, config)]
    left = int(churned.sum())
    return min(left, len(churned) - left) >= LEAST_RARER


def _before(
    margins: pd.DataFrame,
    days: Sequence[dt.date],
    first_test: dt.date,
    config: Config,
    spare: _Spare,
) -> dict[str, float]:
    """Return each candidate's calibrated log loss on what was complete before the first test.

    Each origin is calibrated by the others (all lie before the test), a single one as it is.
    """
    names = ROSTERS[config.churn.kind].names
    seen = margins[_at(margins, complete_for(days, first_test, config.churn.complete_days))]
    if seen.empty:
        seen = spare(first_test)
        return {n: _loss(seen["churned"], expit(seen[n].to_numpy())) for n in names}
    return cross_calibrated_losses(seen, seen["cutoff"], config)


def cross_calibrated_losses(
    said: pd.DataFrame, part: pd.Series, config: Config
) -> dict[str, float]:
    """Return each candidate's log loss where every part of the rows is calibrated by the others."""
    losses = {}
    for name in ROSTERS[config.churn.kind].names:
        p = pd.Series(0.0, index=said.index)
        for _, rows in said.groupby(part):
            calibrator = fit_calibrator(name, said.drop(rows.index), config, auto="sigmoid")
            p[rows.index] = calibrator.probability(rows[name].to_numpy())
        losses[name] = _loss(said["churned"], p.to_numpy())
    return losses


def _loss(y: pd.Series, p: NDArray[Any]) -> float:
    return float(log_loss(y, np.clip(p, 1e-7, 1 - 1e-7), labels=[0, 1]))


def _afforded(
    days: Sequence[dt.date],
    origins: Sequence[dt.date],
    tests: Sequence[dt.date],
    config: Config,
) -> list[str]:
    words = (
        f"{len(days)} cutoffs from {days[0]} to {days[-1]}; {len(origins)} have enough complete "
        f"labels before them to be predicted, the newest {len(tests)} are the test."
    )
    if len(tests) < MOST_TESTS:
        words += (
            f" {MOST_TESTS} would be better: a label takes {config.churn.complete_days} days, and "
            "the log is too short for more."
        )
    return [words]
