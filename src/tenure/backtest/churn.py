"""Rolling origins: each cutoff predicted by models that could have stood there.

One pass serves everything that must not see its own future: calibrators learn from the out-of-time
predictions of earlier origins, selection looks at origins before the test cutoffs, and the test
figures come from the newest ones.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from tenure.backtest.calibrating import at_days, calibrate, cross_calibrated_losses, loss
from tenure.backtest.classes import LEAST_RARER, check_classes
from tenure.backtest.samples import held_out
from tenure.backtest.shifts import corrected, measured_shifts
from tenure.backtest.tuning import tune
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.churn import ROSTERS, UNCONSTRAINED, fit_candidates
from tenure.models.trees import Settings

__all__ = ["MOST_TESTS", "Backtest", "Steps", "asked_settings", "names_of", "run"]

MOST_TESTS = 3
MOST_ORIGINS = 10
"""The newest origins serve selection, calibration and test; older ones would cost time alone."""
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
        Out-of-time rows (`customer_id`, `cutoff`, `churned`, …) with one margin a candidate, moved
        by the expected shift where shifts are corrected.
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
    settings : Settings
        How LightGBM was set, and its share of the blend.
    tuning, shift : dict
        Reports for `metrics.json`: how the settings were found; how the leaving rate moved between
        cutoffs beyond what candidates saw, and whether that is corrected.
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
    settings: Settings = field(default_factory=Settings)
    tuning: dict[str, Any] = field(default_factory=dict)
    shift: dict[str, Any] = field(default_factory=lambda: {"corrected": False})

    @property
    def said(self) -> Array:
        """Probabilities of the test rows by the procedure that the figures speak of."""
        return self.probabilities[self.selected] if self.chosen is None else self.chosen


def run(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    *,
    directions: Mapping[str, int] | None = None,
    progress: Callable[..., None] = lambda *_: None,
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
    directions : mapping, optional
        Of each input: 1 if more of it means more leaving by its nature, -1 if less; used where
        `model.monotone` asks for it.
    progress : callable
        Told what is being done, how much is done and of how much.

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
    origins = origins[-MOST_ORIGINS:]
    tests = tuple(origins[-MOST_TESTS:])
    tuned = tune(
        X, rows, config, days=days, first_test=tests[0],
        settings=asked_settings(config, directions), progress=progress,
    )  # fmt: skip
    names = names_of(config, tuned.settings)
    told = Steps(progress, len(origins))

    def predict(origin: dt.date) -> tuple[pd.DataFrame, dict[str, float]]:
        learn = _learnable(rows, days, origin, config)
        here = (rows["cutoff"] == pd.Timestamp(origin)).to_numpy()
        fitted = fit_candidates(
            X[learn], rows["churned"][learn], seed=config.model.seed, kind=config.churn.kind,
            names=names, settings=tuned.settings,
        )  # fmt: skip
        said = {name: model.margin(X[here]) for name, model in fitted.items()}
        shifts = measured_shifts(X[learn], rows[learn], config, tuned.settings)
        told(f"backtest at {origin}")
        return rows[here].assign(**said), {n: s.at(origin) for n, s in shifts.items()}

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # fits are single-threaded and independent
        done = list(pool.map(predict, origins))
    margins = pd.concat([part for part, _ in done], ignore_index=True)
    expected = dict(zip(origins, (shift for _, shift in done), strict=True))
    notes: list[str] = []
    spare = _Spare(X, rows, days, config, tuned.settings, notes)
    margins, shift = corrected(margins, expected, days, tests[0], config)
    test = margins[at_days(margins, tests)]
    probabilities = {
        name: np.concatenate(
            [
                calibrate(name, margins, days, c, config, spare).probability(
                    test.loc[test["cutoff"] == pd.Timestamp(c), name].to_numpy()
                )
                for c in tests
            ]
        )
        for name in names
    }
    before = _before(margins, days, tests[0], config, spare)
    return Backtest(
        tests=tests,
        margins=margins,
        test=test.reset_index(drop=True),
        probabilities=probabilities,
        selected=min(before, key=lambda name: before[name]),
        best_baseline=min(ROSTERS[config.churn.kind].baselines, key=lambda name: before[name]),
        before=before,
        notes=(*_afforded(days, origins, tests, config), tuned.report["sentence"],
               shift["sentence"], *notes),
        settings=tuned.settings,
        tuning=tuned.report,
        shift=shift,
    )  # fmt: skip


def asked_settings(config: Config, directions: Mapping[str, int] | None) -> Settings:
    """Return what the config asks of LightGBM before any tuning."""
    asked = dict(directions or {}) if config.model.monotone else {}
    return Settings(directions=asked, class_weight=config.model.class_weight)


def names_of(config: Config, settings: Settings) -> tuple[str, ...]:
    """Name the candidates of a run; LightGBM without its directions is shown beside them."""
    names = ROSTERS[config.churn.kind].names
    return (*names, UNCONSTRAINED) if settings.directions else names


class Steps:
    """Counts what parallel fits have done, and tells."""

    def __init__(self, progress: Callable[..., None], total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, text: str) -> None:
        """Count one more."""
        self._done += 1
        self._progress(text, self._done, self._total)


class _Spare:
    """Predictions for held-out customers, made once a cutoff and only where they are needed."""

    def __init__(
        self,
        X: pd.DataFrame,
        rows: pd.DataFrame,
        days: Sequence[dt.date],
        config: Config,
        settings: Settings,
        notes: list[str],
    ) -> None:
        self._X, self._rows, self._days, self._config = X, rows, days, config
        self._settings = settings
        self._notes, self._made = notes, dict[dt.date, pd.DataFrame]()

    def __call__(self, day: dt.date) -> pd.DataFrame:
        if day not in self._made:
            learn = _learnable(self._rows, self._days, day, self._config)
            X, rows = self._X[learn], self._rows[learn]
            self._made[day] = held_out(X, rows, self._config, self._settings, FOLDS)
            self._notes.append(
                f"At {day} no earlier cutoff was complete to calibrate on: the calibrators "
                f"learnt from {FOLDS}-fold predictions for held-out customers."
            )
        return self._made[day]


def _learnable(
    rows: pd.DataFrame, days: Sequence[dt.date], day: dt.date, config: Config
) -> NDArray[np.bool_]:
    earlier = complete_for(days, day, config.churn.complete_days)
    return at_days(rows, earlier)


def _can_learn(rows: pd.DataFrame, days: Sequence[dt.date], day: dt.date, config: Config) -> bool:
    churned = rows["churned"][_learnable(rows, days, day, config)]
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
    seen = margins[at_days(margins, complete_for(days, first_test, config.churn.complete_days))]
    if seen.empty:
        seen = spare(first_test)
        return {n: loss(seen["churned"], expit(seen[n].to_numpy())) for n in names}
    return cross_calibrated_losses(seen, seen["cutoff"], config)


def _afforded(
    days: Sequence[dt.date],
    origins: Sequence[dt.date],
    tests: Sequence[dt.date],
    config: Config,
) -> list[str]:
    words = (
        f"{len(days)} cutoffs from {days[0]} to {days[-1]}; the newest {len(origins)} with enough "
        f"complete labels before them were predicted, and {len(tests)} of these are the test."
    )
    if len(tests) < MOST_TESTS:
        words += (
            f" {MOST_TESTS} would be better: a label takes {config.churn.complete_days} days, and "
            "the log is too short for more."
        )
    return [words]
