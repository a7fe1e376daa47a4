"""When running subscriptions end: the shifted beta-geometric from their age, with a stated chance.

A calibrated chance p of an end in the label window [g, g + h) replaces the timing's own: ends
before and within the window keep their shape, and beyond it S(t) is scaled to S(g + h) = 1 − p
(less who ends in the gap), so that it goes on falling as slowly as those who stay leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import betaln

from tenure.models.spells import ShiftedBetaGeometric

__all__ = ["Ends"]

Array = npt.NDArray[np.float64]
Law = Callable[[Array, Array], Array]
"""The chance to be there still after `t` days at an age, given when the subscription ends."""

_HALVINGS = 48  # of the horizon: far below a second


@dataclass(frozen=True)
class Ends:
    """The law of each subscription's end.

    Parameters
    ----------
    sbg : ShiftedBetaGeometric
    age : array_like
        Days since each began; missing counts as 0, where the model knows nothing but its prior.
    opens, closes : float
        Days from now at which the label window opens and closes.
    """

    sbg: ShiftedBetaGeometric
    age: npt.ArrayLike
    opens: float
    closes: float

    @cached_property
    def days(self) -> Array:
        """Age in days, at least 0."""
        return np.maximum(np.nan_to_num(np.asarray(self.age, dtype=np.float64)), 0)

    @property
    def laws(self) -> tuple[Law, Law, Law]:
        """Given an end after the label window, in it, and in the gap before."""
        return self._late, self._in_window, self._early

    def shares(self, p: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return the chances of an end after the label window, in it, and in the gap before.

        Where `p` is missing it is the timing's own. The gap keeps its own chance, at most 1 − p.
        """
        early = -np.expm1(self._log_s(self.days, self.opens))
        own = (1 - early) * -np.expm1(self._log_s(self.days + self.opens, self._length))
        leaves = np.broadcast_to(np.asarray(p, dtype=np.float64), self.days.shape)
        leaves = np.where(np.isnan(leaves), own, leaves)
        early = np.minimum(early, 1 - leaves)
        return 1 - leaves - early, leaves, early

    def survival(self, t: npt.ArrayLike, p: npt.ArrayLike) -> Array:
        """Chance that each is there still after so many days of its own."""
        then = np.asarray(t, dtype=np.float64)
        parts = zip(self.shares(p), self.laws, strict=True)
        return np.asarray(sum(share * law(self.days, then) for share, law in parts))

    def end_at(self, level: float, p: npt.ArrayLike, latest: float) -> Array:
        """Days until the end that is reached with probability `level`, at most `latest`."""
        _, leaves, early = self.shares(p)
        at_open, at_close = (np.exp(self._log_s(self.days, t)) for t in (self.opens, self.closes))
        # the share still there by the timing's own law at that moment, piece by piece
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.select(
                [level <= early, level <= early + leaves],
                [
                    1 - level / early * (1 - at_open),
                    at_open - (level - early) / leaves * (at_open - at_close),
                ],
                at_close * (1 - level) / (1 - early - leaves),
            )
        return self._reaches(np.minimum(left, 1.0), latest)

    @property
    def _length(self) -> float:
        return self.closes - self.opens

    def _log_s(self, age: Array, t: npt.ArrayLike) -> Array:
        """Log of the chance to stay t more days at an age, by the timing alone."""
        a, b, unit = self.sbg.alpha, self.sbg.beta, self.sbg.period_days
        now, then = age / unit, (age + np.asarray(t, dtype=np.float64)) / unit
        log: Array = np.minimum(betaln(a, b + then) - betaln(a, b + now), 0.0)
        return log

    def _late(self, age: Array, t: Array) -> Array:
        return np.exp(self._log_s(age + self.closes, np.maximum(t - self.closes, 0)))

    def _in_window(self, age: Array, t: Array) -> Array:
        return self._until(age, np.clip(t, self.opens, self.closes), self.opens, self.closes)

    def _early(self, age: Array, t: Array) -> Array:
        if not self.opens:
            return np.zeros_like(t + age)
        return self._until(age, np.minimum(t, self.opens), 0.0, self.opens)

    def _until(self, age: Array, t: Array, opens: float, closes: float) -> Array:
        """(S(t) − S(closes)) / (S(opens) − S(closes)), without differences of what is near 1."""
        all_ends = -np.expm1(self._log_s(age + opens, closes - opens))
        later = -np.expm1(self._log_s(age + t, closes - t))
        there = np.exp(self._log_s(age + opens, t - opens))
        even = (closes - t) / (closes - opens)  # where ends are too rare to have a shape
        share = np.divide(there * later, all_ends, out=even + 0 * age, where=all_ends > 1e-14)
        still: Array = np.clip(share, 0.0, 1.0)
        return still

    def _reaches(self, left: Array, latest: float) -> Array:
        """Find the day at which so many are left."""
        end = np.full(len(self.days), float(latest))
        within = np.flatnonzero(np.exp(self._log_s(self.days, latest)) < left)
        low, high = np.zeros(len(within)), end[within]
        age, goal = self.days[within], left[within]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            above = np.exp(self._log_s(age, middle)) > goal
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        end[within] = (low + high) / 2
        return end
