"""How well one column alone tells leavers from stayers, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["Array", "Codes", "Flags", "Power", "filled", "least", "power", "ranked"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Power:
    """The chance that a leaver stands above a stayer, a tie counting half.

    Attributes
    ----------
    auc : float
        From 0 to 1; .5 says nothing.
    pull : array of shape (customers,)
        How far each customer moves the AUC, by placement values (DeLong et al. 1988). Rows of one
        customer are not independent and count as one (Obuchowski 1997).
    """

    auc: float
    pull: Array

    @property
    def error(self) -> float:
        """Standard error, over customers."""
        return float(np.sqrt((self.pull**2).sum()))

    def sided(self, up: bool) -> Power:
        """Return it as it is, or of the column turned round."""
        return self if up else Power(1 - self.auc, -self.pull)

    @property
    def strong(self) -> Power:
        """Return it turned so that it is at least .5."""
        return self.sided(self.auc >= 0.5)

    def minus(self, other: Power, factor: float = 1.0) -> tuple[float, float]:
        """Return what it is above .5, less `factor` of what the other is, and the paired error."""
        gap = (self.auc - 0.5) - factor * (other.auc - 0.5)
        return gap, float(np.sqrt(((self.pull - factor * other.pull) ** 2).sum()))


def power(x: Array, left: Flags, customer: Codes, customers: int) -> Power:
    """Measure how a column ranks leavers above stayers.

    Parameters
    ----------
    x : array of shape (rows,)
        Values without NaN.
    left : array of bool
        Who left; both classes must be there.
    customer : array of int
        The number of each row's customer, below `customers`.
    customers : int
        How many there are.

    Examples
    --------
    >>> left = np.array([True, True, False, False])
    >>> power(np.array([3.0, 2, 2, 1]), left, np.arange(4), 4).auc
    0.875
    """
    leavers, stayers = int(left.sum()), int((~left).sum())
    values, level = np.unique(x, return_inverse=True)
    gone = np.bincount(level, left, len(values))
    here = np.bincount(level, minlength=len(values)) - gone
    stayers_below = (np.cumsum(here) - here / 2) / stayers
    leavers_above = 1 - (np.cumsum(gone) - gone / 2) / leavers
    auc = float((gone * stayers_below).sum() / leavers)
    place = np.where(left, stayers_below[level], leavers_above[level])
    moved = (place - auc) / np.where(left, leavers, stayers)
    pull: Array = np.bincount(customer, moved, customers).astype(np.float64)
    return Power(auc, pull)


def filled(x: Array, left: Flags) -> Array:
    """Put missing values at that end of the order where they tell most: below all, or above all.

    Examples
    --------
    >>> left = np.array([True, True, False, False])
    >>> filled(np.array([5.0, 9, np.nan, np.nan]), left).tolist()
    [5.0, 9.0, -inf, -inf]
    """
    missing = np.isnan(x)
    if not missing.any():
        return x
    ends = (np.where(missing, end, x) for end in (-np.inf, np.inf))
    nobody = np.zeros(len(x), dtype=np.intp)
    return max(ends, key=lambda one: power(one, left, nobody, 1).strong.auc)


def ranked(x: Array) -> Array:
    """Return ranks of mean 0 and length 1, missing values below all; 0 if all are equal."""
    ranks = rankdata(np.where(np.isnan(x), -np.inf, x))
    ranks -= ranks.mean()
    length = float(np.sqrt((ranks**2).sum()))
    unit: Array = ranks / length if length > 0 else ranks
    return unit


def least(share: float, n: int, z: float) -> float:
    """Return the lower limit of a share of n, z standard errors away (Wilson 1927).

    Examples
    --------
    >>> least(1.0, 60, 2.0)
    0.9375
    """
    middle = share + z**2 / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float((middle - spread) / (1 + z**2 / n))
