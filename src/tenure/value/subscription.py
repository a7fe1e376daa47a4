"""What a subscriber is worth: price × time subscribed over a horizon, discounted to the cutoff.

Value is money a day × the sum over the steps of the grid of time subscribed × (1 + d)^(−t/365). How
long it lasts is the law in `models.ends`: the shifted beta-geometric from its age, with the
calibrated chance of leaving in the label window.

References
----------
Fader & Hardie (2010), "Customer-base valuation in a contractual setting: the perils of ignoring
heterogeneity", Marketing Science 29(1): discounted expected residual lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tenure.models.ends import Ends, Law
from tenure.models.spells import PERIOD_DAYS
from tenure.value.discounting import check, discount, grid

__all__ = ["ContractValues", "Contracts"]

Array = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_STEP = 1e-4  # of a parameter's logarithm
_CHUNK = 20_000  # distinct ages at once


class ContractValues(NamedTuple):
    """Value by when the subscription ends; one entry a customer.

    Attributes
    ----------
    V_A : ndarray
        Value over the horizon of who is still there when the label window closes.
    V_0 : ndarray
        Value up to an end within the label window.
    p0 : ndarray
        The timing's own chance of an end within the label window.
    V_gap : ndarray
        Value up to an end in the gap before the window.
    """

    V_A: Array
    V_0: Array
    p0: Array
    V_gap: Array


@dataclass(frozen=True)
class Contracts:
    """Running subscriptions: when they end, and what they bring until then.

    Parameters
    ----------
    ends : Ends
        The law of each end.
    price : array_like
        Monthly recurring revenue; where it is missing every value is.
    horizon_days, annual_discount_rate, margin : float
        As in `clv.clv`.
    cost_to_serve : float
        Of a subscription month; a month never brings less than 0.
    unpaid_days : array_like
        Days until a trial ends, before which nothing is paid.

    Raises
    ------
    ConfigError
        If horizon, discount rate or margin make no sense.
    """

    ends: Ends
    price: npt.ArrayLike
    horizon_days: float
    annual_discount_rate: float
    margin: float
    cost_to_serve: float = 0
    unpaid_days: npt.ArrayLike = 0.0

    def __post_init__(self) -> None:
        """Check the terms."""
        check(self.horizon_days, self.annual_discount_rate, self.margin)

    @cached_property
    def money(self) -> Array:
        """What a day of the subscription brings."""
        price = np.asarray(self.price, dtype=np.float64)
        return np.maximum(self.margin * price - self.cost_to_serve, 0) / PERIOD_DAYS

    def values(self) -> ContractValues:
        """Value given an end after the label window, in it, and in the gap before it.

        V_A ≥ V_0 ≥ V_gap ≥ 0 always: who ends later pays for longer.
        """
        V_A, V_0, V_gap = (self._by_age(law) * self.money for law in self.ends.laws)
        return ContractValues(V_A, V_0, self.ends.shares(np.nan)[1], V_gap)

    def clv(self, p: npt.ArrayLike) -> Array:
        """Value when an end in the label window has probability `p`: (1 − p)·V_A + p·V_0.

        With a gap, the timing's own share of ends in it (at most 1 − p) brings V_gap instead of
        V_A. Where `p` is missing it is the timing's own.
        """
        given = self.values()
        late, leaves, early = self.ends.shares(p)
        return late * given.V_A + leaves * given.V_0 + early * given.V_gap

    def interval(self, p: npt.ArrayLike, mean: npt.ArrayLike) -> tuple[Array, Array]:
        """Bounds between which a customer's realised value falls with 90 % probability.

        Value grows with the end date and the law of that is closed: the bounds are the values of
        an end at its 5 % and 95 % points, widened to contain the mean. They speak of when the
        subscription ends, not of other prices or of a return.

        Parameters
        ----------
        p, mean : array_like
            The chance as in `clv`, and what `clv` says.
        """
        expected = np.asarray(mean, dtype=np.float64)
        low, high = (
            self.value_until(self.ends.end_at(level, p, self.horizon_days))
            for level in (0.05, 0.95)
        )
        return np.minimum(low, expected), np.maximum(high, expected)

    def value_until(self, end: npt.ArrayLike) -> Array:
        """Value of a subscription that ends so many days from now."""
        return self._days_until(np.asarray(end, dtype=np.float64), self._wait) * self.money

    def variance(self, p: npt.ArrayLike) -> Array:
        """Variance of each customer's value, by the law of the end date."""
        laws = zip(self.ends.shares(p), self.ends.laws, strict=True)
        squares = sum(share * self._by_age(law, squared=True) for share, law in laws)
        return np.asarray(np.maximum(squares * self.money**2 - self.clv(p) ** 2, 0.0))

    def drift(self, p: npt.ArrayLike) -> Array:
        """How values move together with the estimates of the timing's two parameters.

        Two columns, for independent standard normal errors: the derivatives by log α and log β ×
        a root of their covariance. Zeros where that is not known.
        """
        sbg = self.ends.sbg
        if sbg.log_covariance is None:
            return np.zeros((len(self.ends.days), 2))
        moves = []
        for log_step in np.diag([_STEP, _STEP]):
            up, down = (
                self._at(sbg.alpha * np.exp(side[0]), sbg.beta * np.exp(side[1])).clv(p)
                for side in (log_step, -log_step)
            )
            moves.append((up - down) / (2 * _STEP))
        root = np.linalg.cholesky(np.array(sbg.log_covariance))
        return np.column_stack(moves) @ root

    def _at(self, alpha: float, beta: float) -> Contracts:
        sbg = replace(self.ends.sbg, alpha=alpha, beta=beta)
        return replace(self, ends=replace(self.ends, sbg=sbg))

    @cached_property
    def _wait(self) -> Array:
        wait = np.maximum(np.nan_to_num(np.asarray(self.unpaid_days, dtype=np.float64)), 0)
        return np.broadcast_to(wait, self.ends.days.shape)

    @cached_property
    def _steps(self) -> tuple[Array, Array]:
        edges = grid(self.horizon_days, self.ends.opens, self.ends.closes)
        return edges, discount(edges, self.annual_discount_rate)

    def _by_age(self, law: Law, squared: bool = False) -> Array:
        """Integrate once for each age and each wait."""
        pairs = np.column_stack([self.ends.days, self._wait])
        distinct, place = np.unique(pairs, axis=0, return_inverse=True)
        parts = [
            self._integral(law, squared, *distinct[k : k + _CHUNK].T[:, :, None])
            for k in range(0, max(len(distinct), 1), _CHUNK)
        ]
        return np.concatenate(parts)[place.ravel()]

    def _integral(self, law: Law, squared: bool, age: Array, wait: Array) -> Array:
        """Discounted days subscribed and paid: each step's factor × the integral of its S(t).

        Squared, the mean of the square of these: 2·∫ W(t)·W'(t)·S(t) dt, W(t) the discounted days
        of an end at t.
        """
        edges, factors = self._steps
        total = np.zeros(len(age))
        for low, high, factor in zip(edges[:-1], edges[1:], factors, strict=True):
            start = np.clip(wait, low, high)
            t = start + (high - start) * (_NODES + 1) / 2
            there = law(age, t)
            if squared:
                there = there * 2 * self._days_until(t, wait)
            # no matrix product: its last bit depends on how many rows there are
            total += factor * ((high - start)[:, 0] / 2) * (there * _WEIGHTS).sum(axis=1)
        return total

    def _days_until(self, end: Array, wait: Array) -> Array:
        """Discounted days paid of a subscription that ends then."""
        edges, factors = self._steps
        days = np.concatenate([[0.0], np.cumsum(np.diff(edges) * factors)])
        paid = np.interp(end, edges, days) - np.interp(wait, edges, days)
        return np.asarray(np.maximum(paid, 0.0))
