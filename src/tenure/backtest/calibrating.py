"""Calibrators from out-of-time predictions, and what candidates lose once calibrated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.calibration import Calibrator, Kind, choose, fit
from tenure.models.churn import ROSTERS

__all__ = ["at_days", "calibrate", "cross_calibrated_losses", "fit_calibrator", "loss"]


def at_days(rows: pd.DataFrame, days: Sequence[dt.date]) -> NDArray[np.bool_]:
    """Tell which rows stand at one of the days."""
    return np.asarray(rows["cutoff"].isin(pd.to_datetime(list(days))))


def calibrate(
    name: str,
    margins: pd.DataFrame,
    days: Sequence[dt.date],
    day: dt.date | None,
    config: Config,
    spare: Callable[[dt.date], pd.DataFrame] | None = None,
) -> Calibrator:
    """Fit the calibrator a candidate could have had at `day`.

    It learns from the candidate's own out-of-time predictions at origins whose labels are complete
    by `day`; where there are none, from predictions for customers held out of the training rows.
    Where nothing is dated (`day` is None), it learns from all predictions.
    """
    if day is None:
        return fit_calibrator(name, margins, config)
    earlier = margins[at_days(margins, complete_for(days, day, config.churn.complete_days))]
    if earlier.empty and spare is not None:
        earlier = spare(day)
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


def cross_calibrated_losses(
    said: pd.DataFrame, part: pd.Series, config: Config, names: Iterable[str] | None = None
) -> dict[str, float]:
    """Return each candidate's log loss where every part of the rows is calibrated by the others."""
    losses = {}
    for name in ROSTERS[config.churn.kind].names if names is None else names:
        p = pd.Series(0.0, index=said.index)
        for _, rows in said.groupby(part):
            calibrator = fit_calibrator(name, said.drop(rows.index), config, auto="sigmoid")
            p[rows.index] = calibrator.probability(rows[name].to_numpy())
        losses[name] = loss(said["churned"], p.to_numpy())
    return losses


def loss(y: pd.Series, p: NDArray[Any]) -> float:
    """Return the mean log loss."""
    return float(log_loss(y, np.clip(p, 1e-7, 1 - 1e-7), labels=[0, 1]))
