"""Life that may end at any moment, whether the customer buys or not: Pareto/NBD.

While alive a customer buys at a Poisson rate λ ~ Gamma(r, α); life ends at a rate μ ~ Gamma(s, β).
Given the history and being alive, λ ~ Gamma(r + x, α + T) and μ ~ Gamma(s, β + T), apart from each
other, so that S(u) = ((β+T) / (β+T+u))^s is the chance to live u longer. Means over λ and μ are
closed forms; what is left is an integral over the moment at which life ends, taken by sums of
Gauss-Legendre in the logarithm of time. Every term is positive: nothing cancels, as the papers'
differences of hypergeometric functions do.

References
----------
Schmittlein, Morrison & Colombo (1987), "Counting your customers", Management Science 33(1).
Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", brucehardie.com/notes/009.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import ClassVar

import numpy as np
from scipy.special import betainc, exprel, gammaln

from tenure.models.counting import longest
from tenure.models.posterior import Array, distinct

__all__ = ["Lifetime", "LifetimeCounts"]

_NODES = 32
_NOTHING = 45.0  # e^-45: beyond, nothing is left to add
_ROWS_AT_ONCE = 4096  # times 32 nodes: the working set stays within the cache
_nodes = cache(np.polynomial.legendre.leggauss)


class Lifetime:
    """What follows from the parameters `r`, `alpha`, `s`, `beta`; see `btyd.BuyTillYouDie`."""

    NAMES: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    r: float
    alpha: float
    s: float
    beta: float

    def log_alive(self, x: Array, T: Array) -> Array:
        """Fader & Hardie (2005), first part of equation 18."""
        alive: Array = gammaln(self.r + x) - gammaln(self.r)
        alive += self.r * np.log(self.alpha) + self.s * np.log(self.beta)
        alive -= (self.r + x) * np.log(self.alpha + T) + self.s * np.log(self.beta + T)
        return alive

    def log_dead_over_alive(self, x: Array, t_x: Array, T: Array) -> Array:
        """∫ s/(β+τ) · ((β+T)/(β+τ))^s · ((α+T)/(α+τ))^(r+x) dτ, the end of life in (t_x, T)."""
        rate, base, silent = self.alpha + t_x, self.beta + t_x, T - t_x
        odds = np.log(self.s / base) + self.s * np.log1p(silent / base)
        odds += (self.r + x) * np.log1p(silent / rate)
        return odds + _log_integral(self.r + x, rate, self.s + 1, base, silent)

    def bought_by(self, x: Array, T: Array, ends: Array) -> Array:
        """Mean rate times mean time alive; Fader & Hardie (2005), equation 41, given alive."""
        place = np.arange(len(x))
        if len(ends) == 1:  # one grid for all: equal customers need it once
            (x, T), place = distinct(x, T)
        rate = (self.r + x) / (self.alpha + T)
        return (rate[:, None] * self._lived(T[:, None], ends))[place]

    def silent_by_step(self, x: Array, T: Array, edges: Array, horizon: float, gap: float) -> Array:
        """Mean time alive in the step, times the rate of who is silent in the window.

        Silence of W days while alive turns the mean rate (r+x)/(α+T) into that times
        (1 + W/(α+T))^(−(r+x)−1). In the gap one may also die before the window.
        """
        (x, T), place = distinct(x, T)
        end, shape, rate = gap + horizon, self.r + x, self.alpha + T
        later = np.exp(-(shape + 1) * np.log1p(horizon / rate))
        there = self.survival(T, gap) - np.exp(self._log_silent(shape + 1, T, horizon, gap))
        steps = []
        for u, v in pairwise(edges):
            lived = self.survival(T, u) * self._lived(T + u, v - u)
            if v <= gap:
                steps.append(lived - (v - u) * there)
            else:
                steps.append(np.zeros_like(T) if u < end else later * lived)
        return (np.stack(steps, axis=1) * (shape / rate)[:, None])[place]

    def log_purchase(self, x: Array, T: Array, horizon: float, gap: float) -> tuple[Array, Array]:
        """By the moments of the first purchase in the window, and of the end of life."""
        (x, T), place = distinct(x, T)
        shape, rate, base = self.r + x, self.alpha + T, self.beta + T + gap
        there = -self.s * np.log1p(gap / (self.beta + T))
        buys = np.log(shape / rate) + _log_integral(shape + 1, rate, self.s, base, horizon)
        none = self._log_silent(shape, T, horizon, gap)
        if gap:
            none = np.logaddexp(np.log(-np.expm1(there)), none)
        return (there + buys)[place], none[place]

    def counting(self, x: float, ages: tuple[float, float], days: float) -> LifetimeCounts:
        """Of one frequency the youngest buy fastest and the oldest live longest."""
        return LifetimeCounts(self, x, ages, days)

    def bought(self, x: Array, T: Array, days: float, rng: np.random.Generator) -> Array:
        """Draw a rate, a life and what is bought until it ends."""
        rate = rng.gamma(self.r + x) / (self.alpha + T)
        with np.errstate(divide="ignore"):  # a rate of dying that rounds to 0: forever
            life = (self.beta + T) / rng.gamma(self.s, size=len(x))
        life = life * rng.standard_exponential(len(x))
        drawn: Array = rng.poisson(rate * np.minimum(life, days)).astype(np.float64)
        return drawn

    def survival(self, T: Array, u: float) -> Array:
        """S(u): the chance to live so much longer, given alive."""
        survival: Array = np.exp(-self.s * np.log1p(u / (self.beta + T)))
        return survival

    def _lived(self, T: Array, until: Array | float) -> Array:
        """Mean time alive within `until` days, the integral of S; also where s is 1."""
        longer = np.log1p(until / (self.beta + T))
        lived: Array = (self.beta + T) * longer * exprel((1 - self.s) * longer)
        return lived

    def _log_silent(self, power: Array, T: Array, horizon: float, gap: float) -> Array:
        """Log of E[(1 + W/(α+T))^(−power)] of who lives through the gap, W the window's life."""
        rate, base = self.alpha + T, self.beta + T + gap
        dies = np.log(self.s / base) + _log_integral(power, rate, self.s + 1, base, horizon)
        lives = -self.s * np.log1p(horizon / base) - power * np.log1p(horizon / rate)
        silent: Array = np.logaddexp(dies, lives) - self.s * np.log1p(gap / (self.beta + T))
        return silent


def _log_integral(a: Array, rate: Array, c: float, base: Array, length: Array | float) -> Array:
    """Log of ∫ (1 + u/rate)^(−a) (1 + u/base)^(−c) du from 0 to `length`; −inf where that is 0."""
    points, weights = _nodes(_NODES)
    least = np.minimum(rate, base)
    # both factors fall at least so fast, measured in the logarithm of time
    steepness = a * (least / rate) + c * (least / base)
    reach = np.minimum(np.log1p(length / least), _NOTHING / steepness)
    parts = []
    for at in range(0, len(reach), _ROWS_AT_ONCE):
        here = slice(at, at + _ROWS_AT_ONCE)
        w = (reach[here] / 2)[:, None] * (1 + points)
        u = least[here, None] * np.expm1(w)
        terms = w - a[here, None] * np.log1p(u / rate[here, None])
        terms -= c * np.log1p(u / base[here, None])
        highest = terms.max(axis=1)
        # not `@`, which rounds by the number of rows
        total = (np.exp(terms - highest[:, None]) * weights).sum(axis=1)
        parts.append(highest + np.log(total))
    with np.errstate(divide="ignore"):  # a purchase on the last day leaves no time to die
        step = np.log(least * (reach / 2))
    return step + np.concatenate(parts) if parts else step


class LifetimeCounts:
    """Laws of the purchases of who is alive: mixtures over the moment at which life ends.

    Whoever has bought for E days and been silent for W has n purchases with probability
    Γ(k+n)/(Γ(k) n!) · (E/(A+E+W))^n · (A/(A+E+W))^k, where k = r + x and A = α + T.
    """

    def __init__(self, model: Lifetime, x: float, ages: tuple[float, float], days: float) -> None:
        youngest, oldest = ages
        self._model, self._shape, self._days = model, model.r + x, days
        self._rate, self._least = model.alpha + youngest, min(model.alpha, model.beta) + youngest
        self.most = self._longest(oldest)
        n = np.arange(self.most + 1)
        self._ways = gammaln(self._shape + n) - gammaln(self._shape) - gammaln(n + 1)

    def law(self, T: Array) -> Array:
        """P(n purchases within `days`); shape (rows, most + 1)."""
        law = self._ending(T, 0.0, self._days)
        law += self._lasting(T, self._days, self._days, 0.0)
        law[:, -1] = np.maximum(1 - law[:, :-1].sum(axis=1), 0.0)  # so many and more
        return law

    def silent(self, T: Array, horizon: float, gap: float) -> Array:
        """Split by when life ends: in the window, before it, after it, or not within the days."""
        end = gap + horizon
        until = max(self._days, end)
        law = self._ending(T, gap, end, bought=gap, buys=False)
        if gap:
            law += self._ending(T, 0.0, gap)
        if until > end:
            law += self._ending(T, end, until, bought=gap, silent=horizon)
        return law + self._lasting(T, until, gap + until - end, horizon)

    def _longest(self, oldest: float) -> int:
        """Count that hardly anybody reaches, arriving as the youngest do, living as the oldest."""
        age = np.array([oldest])
        lived, mass = self._endings(age, 0.0, self._days)
        time = np.append(lived, self._days)
        chance = np.append(mass, self._model.survival(age, self._days))

        def reached(n: int) -> float:
            return float((chance * betainc(n, self._shape, time / (self._rate + time))).sum())

        return longest(reached)

    def _endings(self, T: Array, start: float, end: float) -> tuple[Array, Array]:
        """Return times after `start` at which life may end, and their chances; (rows, nodes)."""
        s, base = self._model.s, self._model.beta + T + start
        least = np.minimum(self._model.alpha + T, base)
        # the n-th purchase is known to sqrt(1/n + 1/k) of its time: so fine are the nodes
        span = np.log1p((end - start) / self._least)
        fine = 5 * np.sqrt(span * (1 + span) * self._shape)
        points, weights = _nodes(_NODES * (1 + int(fine / _NODES)))
        length = np.minimum(end - start, base * np.expm1(min(_NOTHING / s, 600.0)))
        half = np.log1p(length / least) / 2
        w = half[:, None] * (1 + points)
        u = least[:, None] * np.expm1(w)
        log_density = w - (s + 1) * np.log1p(u / base[:, None])
        scale = self._model.survival(T, start) * (s / base) * least * half
        return u, scale[:, None] * np.exp(log_density) * weights

    def _ending(
        self,
        T: Array,
        start: float,
        end: float,
        bought: float = 0.0,
        silent: float = 0.0,
        *,
        buys: bool = True,
    ) -> Array:
        """Law of the purchases where life ends between `start` and `end`.

        Until `start` there were so many days to buy in and of silence; then come more of one kind.
        """
        u, mass = self._endings(T, start, end)
        law = np.zeros((len(T), self.most + 1))
        for more, chance in zip(u.T, mass.T, strict=True):
            days = (bought + more, silent) if buys else (bought, silent + more)
            law += chance[:, None] * self._nbd(T, *days)
        return law

    def _lasting(self, T: Array, until: float, bought: float, silent: float) -> Array:
        """Law of the purchases where life does not end before `until`."""
        return self._model.survival(T, until)[:, None] * self._nbd(T, bought, silent)

    def _nbd(self, T: Array, bought: Array | float, silent: Array | float) -> Array:
        """P(n purchases in days to buy in, none in days of silence) of who lives as long."""
        rate = self._model.alpha + T
        whole = rate + bought + silent
        share = np.log(np.maximum(bought / whole, np.finfo(float).tiny))[:, None]
        none = self._shape * np.log(rate / whole)
        law: Array = np.exp(self._ways + np.arange(self.most + 1) * share + none[:, None])
        return law
