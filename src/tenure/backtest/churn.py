"""Rolling origins: each cutoff predicted by models that could have stood there.

One pass serves everything that must not see its own future: calibrators learn from the out-of-time
predictions of earlier origins, selection looks at origins before the test cutoffs, and the test
figures come from the newest ones.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest.calibrating import at_days, cross_calibrated_losses
from tenure.backtest.classes import check_classes
from tenure.backtest.origins import Spare, calibrated, can_learn, days_of, learnable, predicted
from tenure.backtest.shifts import corrected
from tenure.backtest.tuning import tune
from tenure.config import Config
from tenure.cutoffs import MOST_TESTS, complete_for
from tenure.models.churn import ROSTERS, UNCONSTRAINED
from tenure.models.trees import Settings

__all__ = ["MOST_TESTS", "Backtest", "Steps", "asked_settings", "names_of", "run"]

MOST_BEFORE = 5
"""Origins complete by the first test; older ones would cost time for calibration alone."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """What the procedure would have said at each origin, and which candidate it trusts.

    Attributes
    ----------
    tests : tuple of date
        The test cutoffs, oldest first; none where folds are the test.
    margins : DataFrame
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
    compared : DataFrame
        The rows of that comparison, with their `part`: each part is calibrated by the others.
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
    compared: pd.DataFrame
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
    days = days_of(rows)
    origins = [d for d in days if can_learn(rows, d, config)]
    if not origins:
        newest = learnable(rows, days[-1], config)
        check_classes(
            rows["churned"][newest],
            f"in the rows whose label is complete by the newest cutoff, {days[-1]}",
            config.churn.kind,
        )
    tests = tuple(origins[-MOST_TESTS:])
    complete = complete_for(origins, tests[0], config.churn.complete_days)[-MOST_BEFORE:]
    origins = [d for d in origins if not complete or d >= complete[0]]
    tuned = tune(
        X, rows, config, days=days, first_test=tests[0],
        settings=asked_settings(config, directions), progress=progress,
    )  # fmt: skip
    names = names_of(config, tuned.settings)
    told = Steps(progress, len(origins))
    margins, expected = predicted(X, rows, config, tuned.settings, names, origins, told)
    spare = Spare(X, rows, config, tuned.settings, names)
    margins, shift = corrected(margins, expected, days, tests[0], config)
    probabilities = {name: calibrated(name, margins, days, tests, config, spare) for name in names}
    compared = _compared(margins, days, tests[0], config, spare)
    before = cross_calibrated_losses(compared, compared["part"], config)
    return Backtest(
        tests=tests,
        margins=margins,
        test=margins[at_days(margins, tests)].reset_index(drop=True),
        probabilities=probabilities,
        selected=min(before, key=lambda name: before[name]),
        best_baseline=min(ROSTERS[config.churn.kind].baselines, key=lambda name: before[name]),
        before=before,
        notes=(*_afforded(days, origins, tests, config), tuned.report["sentence"],
               shift["sentence"], *spare.notes),
        settings=tuned.settings,
        tuning=tuned.report,
        shift=shift,
        compared=compared,
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
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Count one more."""
        with self._lock:
            self._done += 1
            self._progress(text, self._done, self._total)


def _compared(
    margins: pd.DataFrame,
    days: Sequence[dt.date],
    first_test: dt.date,
    config: Config,
    spare: Spare,
) -> pd.DataFrame:
    """Return what was complete before the first test, on which candidates are compared.

    Each origin is a part that the others calibrate (all lie before the test); a single one, and
    predictions for held-out customers, are taken as they are.
    """
    seen = margins[at_days(margins, complete_for(days, first_test, config.churn.complete_days))]
    if seen.empty:
        return spare(first_test).assign(part=0)
    return seen.assign(part=pd.factorize(seen["cutoff"], sort=True)[0])


def _afforded(
    days: Sequence[dt.date],
    origins: Sequence[dt.date],
    tests: Sequence[dt.date],
    config: Config,
) -> list[str]:
    words = (
        f"{len(days)} cutoffs from {days[0]} to {days[-1]}; the newest {len(origins)} with enough "
        f"complete labels before them were predicted, and {len(tests)} of these are the test. "
        "The figures are those of this procedure; the registered model is refitted on all rows."
    )
    if len(tests) < MOST_TESTS:
        words += (
            f" {MOST_TESTS} would be better: a label takes {config.churn.complete_days} days, and "
            "the log is too short for more."
        )
    return [words]
