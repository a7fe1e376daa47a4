"""Random numbers by (seed, customer, week, purpose): the same world re-runs draw by draw.

A draw is a hash of its four keys and of a number that tells several draws of one purpose apart, so
it depends neither on the size of the company nor on what was drawn before. An intervention
therefore changes only what follows from it.

References
----------
Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA (SplitMix64).
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtri

__all__ = ["Draws", "Flags", "Floats", "Ints"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_Words = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_MOST = 6  # a week brings at most so many of one kind


def _mixed(x: _Words) -> _Words:
    x = x ^ (x >> np.uint64(30))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _word(number: int) -> _Words:
    """Return one well mixed word."""
    return _mixed(np.array([(number * _GOLDEN + _GOLDEN) % 2**64], dtype=np.uint64))


@lru_cache(maxsize=65_536)
def _key(week: int, purpose: str) -> int:
    return int(_word((zlib.crc32(purpose.encode()) << 16) + week + 1)[0])


class Draws:
    """The draws of one seed.

    Parameters
    ----------
    seed : int
    customers : int
        Customers are numbered from 0; the draws of one do not depend on this number.
    """

    def __init__(self, seed: int, customers: int) -> None:
        numbers = np.arange(1, customers + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        self._bases = _mixed(numbers + _word(seed)[0])

    def uniform(self, week: int, purpose: str, who: Ints | None = None, which: Any = 0) -> Floats:
        """Return numbers strictly between 0 and 1.

        Parameters
        ----------
        week : int
            -1 for what never changes.
        purpose : str
        who : array of int, optional
            The customers; all by default.
        which : int or array of int
            Tells several draws of one customer, week and purpose apart.

        Returns
        -------
        array, shape (customers,) or as `who`
        """
        bases = self._bases if who is None else self._bases[who]
        key = np.uint64(_key(week, purpose))
        if isinstance(which, int) and which == 0:  # a mixed 0 is 0
            words = _mixed(bases ^ key)
        else:
            numbers = np.atleast_1d(np.asarray(which)).astype(np.uint64)
            words = _mixed(bases ^ (key ^ _mixed(numbers * np.uint64(_GOLDEN))))
        return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, week: int, purpose: str, who: Ints | None = None, which: Any = 0) -> Floats:
        """Return standard normal numbers."""
        return np.asarray(ndtri(self.uniform(week, purpose, who, which)))

    def poisson(self, week: int, purpose: str, mean: Floats, who: Ints | None = None) -> Ints:
        """Return Poisson counts, at most 6."""
        u = self.uniform(week, purpose, who)
        term = np.exp(-mean)
        below = term.copy()
        counts = np.zeros(len(u), dtype=np.int64)
        for k in range(1, _MOST + 1):
            more = u > below
            if not more.any():
                break
            counts += more
            term = term * mean / k
            below += term
        return counts

    def gamma(self, purpose: str, shape: float, mean: float = 1.0) -> Floats:
        """Return gamma numbers of this shape and mean that belong to the customers for good."""
        return np.asarray(gammaincinv(shape, self.uniform(-1, purpose))) * mean / shape

    def choice(
        self, week: int, purpose: str, shares: tuple[float, ...], who: Ints | None = None,
        which: Any = 0,
    ) -> Ints:  # fmt: skip
        """Return the numbers of levels, drawn with these shares."""
        edges = np.cumsum(shares)[:-1] / sum(shares)
        return np.searchsorted(edges, self.uniform(week, purpose, who, which)).astype(np.int64)
