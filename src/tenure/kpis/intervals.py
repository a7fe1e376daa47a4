"""Figures and their likely ranges from exact sums over customers."""

from __future__ import annotations

import numpy as np
from scipy import stats

__all__ = [
    "LEVEL", "cluster_variance", "design_effect", "median", "newcombe", "nps", "ratio", "total",
    "wilson",
]  # fmt: skip

LEVEL = 0.90  # of every likely range
Z = float(stats.norm.ppf(0.5 + LEVEL / 2))
Three = tuple[np.ndarray, np.ndarray, np.ndarray]


def wilson(share: np.ndarray, n: np.ndarray, effect: np.ndarray | float = 1.0) -> Three:
    """Return a share with Wilson's interval.

    Parameters
    ----------
    share, n : array
        Shares, and the rows behind them.
    effect : array or float
        By how much rows of the same customer say less than rows of different ones (the design
        effect, at least 1): the interval is that of `n / effect` rows.

    Source: Wilson (1927); the effective number of rows as in Korn and Graubard (1998).
    """
    m = n / np.maximum(effect, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + Z**2 / (2 * m)) / (1 + Z**2 / m)
        half = Z / (1 + Z**2 / m) * np.sqrt(share * (1 - share) / m + Z**2 / (4 * m**2))
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    return share, np.minimum(low, share), np.maximum(high, share)


def cluster_variance(
    y: np.ndarray, x: np.ndarray, yy: np.ndarray, xy: np.ndarray, xx: np.ndarray, g: np.ndarray
) -> np.ndarray:
    """Return the variance of Σy/Σx, each customer one independent draw (linearised)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        r = y / x
        spread = np.maximum(yy - 2 * r * xy + r**2 * xx, 0.0)
        return np.where(g > 1, g / (g - 1) * spread / x**2, np.nan)


def design_effect(variance: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Return how much wider customers with several rows make a range; 1 where unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = variance / alone
    return np.where(np.isfinite(effect), np.maximum(effect, 1.0), 1.0)


def ratio(y: np.ndarray, x: np.ndarray, variance: np.ndarray, g: np.ndarray) -> Three:
    """Return Σy/Σx with Student's interval over `g` customers.

    One customer, or customers who are all alike, say nothing about how far others would differ:
    no range.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = y / x
        variance = np.where(variance > 1e-18 * value**2, variance, np.nan)
    half = stats.t.ppf(0.5 + LEVEL / 2, np.maximum(g - 1, 1)) * np.sqrt(variance)
    return value, value - half, value + half


def nps(value: np.ndarray, squares: np.ndarray, n: np.ndarray, effect: np.ndarray) -> Three:
    """Return the net promoter score with an adjusted Wald interval.

    Parameters
    ----------
    value, squares : array
        Σ and Σ of squares of 1 for a promoter, 0, and -1 for a detractor.
    n, effect : array
        Answers, and the design effect.

    Source: Agresti and Min (2005): half an answer more in each of the four cells, so that twelve
    promoters out of twelve do not make a certainty.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        score, m = value / n, n / effect
        for_, against = (squares + value) / 2 / n * m, (squares - value) / 2 / n * m
        up, down = (for_ + 0.5) / (m + 2), (against + 0.5) / (m + 2)
        half = Z * np.sqrt((up + down - (up - down) ** 2) / (m + 2))
    low, high = np.clip(up - down - half, -1, 1), np.clip(up - down + half, -1, 1)
    return 100 * score, 100 * np.minimum(low, score), 100 * np.maximum(high, score)


def total(y: np.ndarray, yy: np.ndarray) -> Three:
    """Return a sum, and the range chance gives it when customers come independently."""
    half = Z * np.sqrt(yy)
    return y, y - half, y + half


def newcombe(y1: np.ndarray, n1: np.ndarray, y0: np.ndarray, n0: np.ndarray) -> Three:
    """Return the difference of two shares (first minus second).

    Source: Newcombe (1998), method 10.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p1, low1, high1 = wilson(y1 / n1, n1)
        p0, low0, high0 = wilson(y0 / n0, n0)
    down = np.sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    up = np.sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return p1 - p0, p1 - p0 - down, p1 - p0 + up


def median(
    seconds: np.ndarray, ended: np.ndarray, counts: np.ndarray
) -> tuple[float, float, float]:
    """Return the Kaplan–Meier median of durations some of which have not ended.

    Parameters
    ----------
    seconds : array
        Durations so far.
    ended : array of bool
        Whether each has ended; the others are only known to last longer.
    counts : array of int
        How many such durations there are.

    Returns
    -------
    tuple of float
        The time by which half have ended (NaN if fewer have), and its interval: the times at which
        the log-log range of the curve crosses one half.

    Source: Kaplan and Meier (1958); Brookmeyer and Crowley (1982).

    Examples
    --------
    >>> median(np.array([1, 2, 3]), np.array([True, True, False]), np.array([1, 1, 1]))[0]
    2.0
    """
    times, place = np.unique(seconds, return_inverse=True)
    d = np.bincount(place, weights=counts * ended, minlength=len(times))
    leaving = np.bincount(place, weights=counts, minlength=len(times))
    risk = np.cumsum(leaving[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        alive = np.cumprod(1 - d / risk)
        greenwood = np.cumsum(d / (risk * (risk - d)))
        half = Z * np.sqrt(greenwood) / np.abs(np.log(alive))
        low, high = alive ** np.exp(half), alive ** np.exp(-half)
    # where the curve has reached 0 its range is unknown upwards
    low, high = np.where(alive <= 0, 0.0, low), np.where(alive <= 0, np.nan, high)

    def crosses(curve: np.ndarray) -> float:
        under = np.flatnonzero((curve <= 0.5 + 1e-12) & (d > 0))
        return float(times[under[0]]) if len(under) else float("nan")

    return crosses(alive), crosses(low), crosses(high)
