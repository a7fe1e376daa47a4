"""How the leaving rate moves between cutoffs beyond what a model sees, and where it stands next.

Whole companies have seasons and slow changes that no customer's history shows. At each past cutoff
a model's *offset* is the shift in log-odds that would have made its predictions add up to the
leavers there. The offsets of complete cutoffs are a short noisy series; its value at another day is
predicted by a Gaussian process of two independent parts, a drift that is forgotten within months
and a season that returns every year (Rasmussen & Williams 2006, section 2.2; the periodic kernel
is equation 4.31). How large either part is, is not chosen: every size of a small grid counts by how
well it explains the series, so that a quiet or short series is left alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

__all__ = ["NO_SHIFT", "Shift", "measure", "offset"]

Array = NDArray[np.float64]

YEAR = 365.25
LEAST_CUTOFFS = 3
"""Fewer offsets say nothing about how they move."""

SIZES = (0.01, 0.05, 0.1, 0.2)  # of the drift, in log-odds
MEMORIES = (60.0, 180.0)  # days after which 1/e of the drift is left
SEASONS = (0.0, 0.05, 0.1, 0.2)  # of the season, in log-odds
USUAL = 0.15  # standard deviation of the prior on both sizes
SMOOTH, FADING = 0.8, 1460.0  # of the season: its smoothness, and days until it may have changed
LEAST_ERROR = 0.03  # overlapping labels make offsets less certain than their rows say


@dataclass(frozen=True)
class Shift:
    """Offsets of past cutoffs, and what they say of another day.

    Attributes
    ----------
    days : tuple of date
        Cutoffs whose labels were complete.
    offsets, errors : tuple of float
        Log-odds, and their standard errors.
    """

    days: tuple[dt.date, ...] = ()
    offsets: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()

    def at(self, day: dt.date | None) -> float:
        """Return the expected offset at a day, in log-odds; 0 where nothing can be said."""
        if day is None or len(self.days) < LEAST_CUTOFFS:
            return 0.0
        known = np.array([d.toordinal() for d in self.days], dtype=np.float64)
        there = np.array([day.toordinal()], dtype=np.float64)
        values, noise = np.array(self.offsets), np.maximum(self.errors, LEAST_ERROR) ** 2
        said, weight = [], []
        for drift, memory, season in product(SIZES, MEMORIES, SEASONS):
            covariance = _kernel(known, known, drift, memory, season) + np.diag(noise)
            root = np.linalg.cholesky(covariance)
            white = np.linalg.solve(root, values)
            toward = np.linalg.solve(root, _kernel(known, there, drift, memory, season)[:, 0])
            said.append(toward @ white)
            fit = -0.5 * (white @ white) - np.log(np.diag(root)).sum()
            weight.append(fit - 0.5 * (drift**2 + season**2) / USUAL**2)
        likely = np.exp(np.array(weight) - max(weight))
        return float(likely @ np.array(said) / likely.sum())

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "days": [str(d) for d in self.days],
            "offsets": list(self.offsets),
            "errors": list(self.errors),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(
            tuple(dt.date.fromisoformat(d) for d in stored["days"]),
            tuple(map(float, stored["offsets"])),
            tuple(map(float, stored["errors"])),
        )


NO_SHIFT = Shift()


def measure(margin: ArrayLike, churned: ArrayLike, cutoff: ArrayLike) -> Shift:
    """Measure the offset of each cutoff that holds both leavers and stayers.

    Parameters
    ----------
    margin : array-like
        Log-odds for rows that the model did not learn from.
    churned : array-like of 0 and 1
    cutoff : array-like of datetime64
    """
    m, y = np.asarray(margin, dtype=np.float64), np.asarray(churned, dtype=np.float64)
    when = np.asarray(cutoff, dtype="datetime64[D]")
    found = []
    for day in np.unique(when):
        here = when == day
        if 0 < y[here].sum() < here.sum():
            found.append((day.astype(dt.date), *offset(m[here], y[here])))
    days, offsets, errors = zip(*found, strict=True) if found else ((), (), ())
    return Shift(days, offsets, errors)


def offset(margin: Array, churned: Array) -> tuple[float, float]:
    """Return the shift of the log-odds that makes the chances add up, and its standard error.

    Examples
    --------
    >>> [round(v, 3) for v in offset(np.zeros(100), np.repeat([1.0, 0.0], [75, 25]))]
    [1.099, 0.231]
    """
    moved = 0.0
    for _ in range(50):  # Newton; the sum is monotone in the shift
        p = expit(margin + moved)
        information = max(float((p * (1 - p)).sum()), 1e-9)
        step = float((churned - p).sum()) / information
        moved += float(np.clip(step, -1, 1))
        if abs(step) < 1e-10:
            break
    return moved, information**-0.5


def _kernel(one: Array, other: Array, drift: float, memory: float, season: float) -> Array:
    apart = np.abs(one[:, None] - other[None])
    yearly = np.exp(-2 * np.sin(np.pi * apart / YEAR) ** 2 / SMOOTH**2 - (apart / FADING) ** 2)
    return np.asarray(drift**2 * np.exp(-apart / memory) + season**2 * yearly)
