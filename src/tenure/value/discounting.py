"""Time and money: the grid of steps over a horizon, and what a later sum is worth today."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tenure.errors import ConfigError, listing

__all__ = ["check", "discount", "grid"]

Array = npt.NDArray[np.float64]

_LONGEST_STEP = 30.0  # days
_YEAR = 365.0


def check(horizon_days: float, annual_discount_rate: float, margin: float) -> None:
    """Refuse a horizon, a rate or a margin that makes no sense, all in one message."""
    problems = [
        f"clv.{name}: must be {rule}, got {got!r}."
        for name, got, rule, fits in (
            ("horizon_days", horizon_days, "above 0", 0 < horizon_days < np.inf),
            ("annual_discount_rate", annual_discount_rate, "0 or more", annual_discount_rate >= 0),
            ("margin", margin, "above 0 and at most 1", 0 < margin <= 1),
        )
        if not fits
    ]
    if problems:
        raise ConfigError(listing("value", problems))


def grid(horizon_days: float, *breaks: float) -> Array:
    """Edges from 0 to the horizon, steps of at most 30 days, each break an edge.

    Examples
    --------
    >>> grid(75, 45).tolist()
    [0.0, 30.0, 45.0, 75.0]
    """
    ends = sorted({0.0, float(horizon_days), *(b for b in breaks if 0 < b < horizon_days)})
    starts = [np.arange(u, v, _LONGEST_STEP) for u, v in pairwise(ends)]
    return np.append(np.concatenate(starts), ends[-1])


def discount(edges: Array, annual_discount_rate: float) -> Array:
    """Discount factor (1 + d)^(−t/365) at the middle of each step."""
    middles = (edges[:-1] + edges[1:]) / 2
    factors: Array = (1 + annual_discount_rate) ** (-middles / _YEAR)
    return factors
