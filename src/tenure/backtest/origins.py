"""What candidates say at an origin, knowing only what was complete by it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest.calibrating import at_days, calibrate
from tenure.backtest.classes import LEAST_RARER, rarer
from tenure.backtest.samples import held_out
from tenure.backtest.shifts import Expected, measured_shifts
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings

__all__ = ["Spare", "calibrated", "can_learn", "days_of", "learnable", "predicted"]

FOLDS = 5


def days_of(rows: pd.DataFrame) -> list[dt.date]:
    """Return the cutoffs, oldest first."""
    return [day.date() for day in sorted(rows["cutoff"].unique())]


def learnable(rows: pd.DataFrame, origin: dt.date, config: Config) -> NDArray[np.bool_]:
    """Tell which rows have a label that is complete by the origin."""
    return at_days(rows, complete_for(days_of(rows), origin, config.churn.complete_days))


def can_learn(rows: pd.DataFrame, origin: dt.date, config: Config) -> bool:
    """Tell whether enough of both classes is complete by the origin."""
    return rarer(rows["churned"][learnable(rows, origin, config)]) >= LEAST_RARER


def predicted(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    settings: Settings,
    names: Sequence[str],
    origins: Sequence[dt.date],
    told: Callable[[str], None] = lambda _: None,
) -> tuple[pd.DataFrame, Expected]:
    """Let candidates predict each origin from the rows complete by it.

    Parameters
    ----------
    X, rows : DataFrame
        Inputs, and beside them `customer_id`, `cutoff`, `churned`.
    config, settings, names
        What is fitted, and how.
    origins : sequence of date
    told : callable
        Told of each origin that is done.

    Returns
    -------
    DataFrame
        The rows of the origins with one margin a candidate.
    dict
        Of each origin and candidate the shift expected there, in log-odds.
    """

    def predict(origin: dt.date) -> tuple[pd.DataFrame, dict[str, float]]:
        learn = learnable(rows, origin, config)
        here = at_days(rows, [origin])
        fitted = fit_candidates(
            X[learn], rows["churned"][learn], seed=config.model.seed, kind=config.churn.kind,
            names=names, settings=settings,
        )  # fmt: skip
        said = {name: model.margin(X[here]) for name, model in fitted.items()}
        shifts = measured_shifts(X[learn], rows[learn], config, settings, names)
        told(f"backtest at {origin}")
        return rows[here].assign(**said), {n: s.at(origin) for n, s in shifts.items()}

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # fits are single-threaded and independent
        done = list(pool.map(predict, origins))
    margins = pd.concat([part for part, _ in done], ignore_index=True)
    return margins, dict(zip(origins, (shift for _, shift in done), strict=True))


class Spare:
    """Predictions for held-out customers, made once a cutoff and only where they are needed.

    Attributes
    ----------
    notes : list of str
        Where they were.
    """

    def __init__(
        self,
        X: pd.DataFrame,
        rows: pd.DataFrame,
        config: Config,
        settings: Settings,
        names: Sequence[str],
    ) -> None:
        self._X, self._rows, self._config = X, rows, config
        self._settings, self._names = settings, names
        self.notes: list[str] = []
        self._made: dict[dt.date, pd.DataFrame] = {}

    def __call__(self, day: dt.date) -> pd.DataFrame:
        """Predict the rows complete by a day, each by the folds that do not hold its customer."""
        if day not in self._made:
            learn = learnable(self._rows, day, self._config)
            self._made[day] = held_out(
                self._X[learn], self._rows[learn], self._config, self._settings, FOLDS, self._names
            )
            self.notes.append(
                f"At {day} no earlier cutoff was complete to calibrate on: the calibrators "
                f"learnt from {FOLDS}-fold predictions for held-out customers."
            )
        return self._made[day]


def calibrated(
    name: str,
    margins: pd.DataFrame,
    days: Sequence[dt.date],
    tests: Sequence[dt.date],
    config: Config,
    spare: Spare,
) -> NDArray[np.float64]:
    """Return a candidate's probability of each test row, calibrated as it could have been then."""
    return np.concatenate(
        [
            calibrate(name, margins, days, day, config, spare).probability(
                margins.loc[at_days(margins, [day]), name].to_numpy()
            )
            for day in tests
        ]
    )
