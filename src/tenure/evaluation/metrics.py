"""Metrics of a churn probability, for one sample or many weighted draws of it at once.

A metric sees a sample only as a `Tally`: how many stayers and churners stand at each distinct
probability. So tied rows are one thing, and no metric can depend on the order of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

__all__ = [
    "FRACTION",
    "LOWER_IS_BETTER",
    "METRICS",
    "Hull",
    "Metric",
    "Tally",
    "auc",
    "average_precision",
    "brier",
    "capture",
    "equal_mass_bins",
    "expected_calibration_error",
    "log_loss",
    "point",
    "top_decile_lift",
]

Array = NDArray[np.float64]

FRACTION = 0.1
"""The share of customers that a top-decile figure looks at."""

BINS = 10


class Hull(NamedTuple):
    """Segments of the convex hull of one ROC curve, the riskiest first.

    Attributes
    ----------
    share : array
        Of all rows, in each segment; they add up to 1.
    rate : array
        Churn rate of each segment, falling.
    """

    share: Array
    rate: Array


@dataclass(frozen=True)
class Tally:
    """Churners and stayers at each distinct probability.

    Parameters
    ----------
    probability : array of shape (levels,)
        Distinct probabilities of churn, descending.
    churners, stayers : arrays of shape (draws, levels)
        Weight of the rows of each class at each level, in each draw.
    bins : int array of shape (levels,)
        Calibration bin of each level, fixed on the sample itself (`equal_mass_bins`).
    """

    probability: Array
    churners: Array
    stayers: Array
    bins: NDArray[np.intp]

    @classmethod
    def of(cls, y: ArrayLike, probability: ArrayLike) -> Tally:
        """Count one sample, every row once."""
        label = np.asarray(y, dtype=np.float64)
        minus, level = np.unique(-np.asarray(probability, dtype=np.float64), return_inverse=True)
        rows = np.bincount(level.ravel(), minlength=minus.size).astype(np.float64)
        churners = np.bincount(level.ravel(), label, minlength=minus.size).astype(np.float64)
        return cls(-minus, churners[None], (rows - churners)[None], equal_mass_bins(rows))

    @cached_property
    def churners_down_to(self) -> Array:
        """Churners at or above each level."""
        return np.cumsum(self.churners, axis=1)

    @cached_property
    def stayers_down_to(self) -> Array:
        """Stayers at or above each level."""
        return np.cumsum(self.stayers, axis=1)

    @cached_property
    def flagged(self) -> Array:
        """Rows at or above each level."""
        return self.churners_down_to + self.stayers_down_to

    @property
    def n_churners(self) -> Array:
        """Churners of each draw."""
        return self.churners_down_to[:, -1]

    @property
    def n(self) -> Array:
        """Rows of each draw."""
        return self.flagged[:, -1]

    @cached_property
    def hulls(self) -> list[Hull]:
        """Convex hull of the ROC curve of each draw.

        A threshold is best for some cost ratio where the curve meets its hull, so that only the
        hull's corners matter to profit. They are the blocks of the isotonic regression of the
        churn rate, falling with the probability.
        """
        return [_hull(c, c + s) for c, s in zip(self.churners, self.stayers, strict=True)]

    def captured(self, fraction: float) -> Array:
        """Churners among the rows with the highest probability, as an expectation under ties."""
        wanted = fraction * self.n
        level = np.array([np.searchsorted(f, w) for f, w in zip(self.flagged, wanted, strict=True)])
        here = np.arange(wanted.size), level
        beyond = (self.flagged[here] - wanted) / (self.churners[here] + self.stayers[here])
        found: Array = self.churners_down_to[here] - beyond * self.churners[here]
        return found


def _hull(churners: Array, rows: Array) -> Hull:
    drawn = rows > 0
    rows, churners = rows[drawn], churners[drawn]
    fit = isotonic_regression(churners / rows, weights=rows, increasing=False)
    first = fit.blocks[:-1]
    held = np.add.reduceat(rows, first)
    return Hull(held / rows.sum(), np.add.reduceat(churners, first) / held)


def equal_mass_bins(rows: Array, bins: int = BINS) -> NDArray[np.intp]:
    """Bin of each level so that bins hold equally many rows; tied rows stay together.

    Examples
    --------
    >>> equal_mass_bins(np.array([1.0, 1, 6, 1, 1]), bins=5).tolist()
    [0, 0, 2, 4, 4]
    """
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    numbers: NDArray[np.intp] = np.minimum((middle * bins).astype(np.intp), bins - 1)
    return numbers


def auc(tally: Tally) -> Array:
    """Chance that a churner stands above a stayer; a tie counts half.

    Examples
    --------
    >>> auc(Tally.of([1, 0, 1, 0], [0.9, 0.9, 0.5, 0.1])).tolist()
    [0.625]
    """
    churned = tally.n_churners
    wins = _dot(tally.churners_down_to, tally.stayers) - _dot(tally.churners, tally.stayers) / 2
    with np.errstate(invalid="ignore"):
        return wins / (churned * (tally.n - churned))


def average_precision(tally: Tally) -> Array:
    """Mean precision over the churners, at the threshold that reaches each (ties together)."""
    precision = tally.churners_down_to / np.maximum(tally.flagged, 1)  # 0 above the first row drawn
    with np.errstate(invalid="ignore"):
        return _dot(precision, tally.churners) / tally.n_churners


def log_loss(tally: Tally) -> Array:
    """Mean −ln of the probability given to what happened (cut at the rounding error of doubles)."""
    smallest = np.finfo(np.float64).eps
    p = np.clip(tally.probability, smallest, 1 - smallest)
    total: Array = tally.churners @ np.log(p) + tally.stayers @ np.log1p(-p)
    return -total / tally.n


def brier(tally: Tally) -> Array:
    """Mean squared distance between the probability and what happened."""
    p = tally.probability
    total: Array = tally.churners @ (1 - p) ** 2 + tally.stayers @ p**2
    return total / tally.n


def expected_calibration_error(tally: Tally) -> Array:
    """Mean distance between predicted and actual churn over ten bins of equally many rows."""
    member = np.equal.outer(tally.bins, np.arange(BINS)).astype(np.float64)
    p = tally.probability
    # predicted minus actual churners, summed by bin
    excess = tally.stayers @ (member * p[:, None]) - tally.churners @ (member * (1 - p)[:, None])
    error: Array = np.abs(excess).sum(axis=1) / tally.n
    return error


def capture(tally: Tally, fraction: float) -> Array:
    """Share of the churners among the given share of rows with the highest probability.

    Where the border falls among tied rows, it takes them in proportion: the exact expectation
    over their random order.

    Examples
    --------
    >>> capture(Tally.of([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1]), 0.5).tolist()
    [0.75]
    """
    with np.errstate(invalid="ignore"):
        return tally.captured(fraction) / tally.n_churners


def top_decile_lift(tally: Tally) -> Array:
    """Churn rate of the tenth with the highest probability, over the churn rate of all.

    Examples
    --------
    >>> top_decile_lift(Tally.of([1] * 2 + [0] * 18, [0.5] * 20)).round(9).tolist()
    [1.0]
    """
    return capture(tally, FRACTION) / FRACTION


def base_rate(tally: Tally) -> Array:
    """Share that churned."""
    return tally.n_churners / tally.n


def _dot(a: Array, b: Array) -> Array:
    """Inner product over levels, draw by draw, without the product in memory."""
    return np.asarray(np.einsum("dl,dl->d", a, b), dtype=np.float64)


Metric = Callable[[Tally], Array]
"""One figure a draw."""

METRICS: Mapping[str, Metric] = {
    "auc": auc,
    "average_precision": average_precision,
    "log_loss": log_loss,
    "brier": brier,
    "expected_calibration_error": expected_calibration_error,
    "top_decile_lift": top_decile_lift,
    "capture_top_5_percent": partial(capture, fraction=0.05),
    "capture_top_decile": partial(capture, fraction=FRACTION),
    "capture_top_20_percent": partial(capture, fraction=0.2),
    "base_rate": base_rate,
}

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error"})


def point(y: ArrayLike, probability: ArrayLike, metric: str | Metric) -> float:
    """One metric of one sample; NaN where one class makes it undefined.

    Parameters
    ----------
    y : array-like of 0 and 1
        1 = churned.
    probability : array-like
        Probability of churn, 0 to 1 (for ranking metrics any score).
    metric : str or function
        A key of `METRICS`, or a function of a `Tally`.
    """
    figure = METRICS[metric] if isinstance(metric, str) else metric
    return float(figure(Tally.of(y, probability))[0])
