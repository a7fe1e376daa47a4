"""Life that may end after each purchase, and at no other moment: BG/NBD and MBG/NBD.

While alive a customer buys at a Poisson rate λ ~ Gamma(r, α) and leaves with probability
p ~ Beta(a, b) after each purchase, so that e^(−λpt) is the chance of being alive at t. Given the
history and being alive, λ ~ Gamma(r + x, α + T) and p ~ Beta(a, b + chances), apart from each
other: the likelihood of an alive customer is λ^x e^(−λT) (1 − p)^chances.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24(3), for MBG/NBD.
Wagner & Hoppe (2008), erratum on the MBG/NBD model, Int. J. of Research in Marketing 25(3).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
from scipy.special import betainc, betaln, gammaln

from tenure.models.counting import longest
from tenure.models.posterior import Array, mean_if_alive

__all__ = ["Dropout", "DropoutCounts"]


class Dropout:
    """What follows from the parameters `r`, `alpha`, `a`, `b`; see `btyd.BuyTillYouDie`."""

    NAMES: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    family: str
    r: float
    alpha: float
    a: float
    b: float

    def chances(self, frequency: Array) -> Array:
        """Return how often the customer could have dropped out so far."""
        return frequency + (self.family == "mbg_nbd")

    def log_alive(self, x: Array, T: Array) -> Array:
        """Fader, Hardie & Lee (2005), first half of equation 6, with the chances of the family."""
        rate = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        stayed = betaln(self.a, self.b + self.chances(x)) - betaln(self.a, self.b)
        alive: Array = stayed + rate - (self.r + x) * np.log(self.alpha + T)
        return alive

    def log_dead_over_alive(self, x: Array, t_x: Array, T: Array) -> Array:
        """−inf where dropout had no chance yet."""
        chances = self.chances(x)
        odds = self.a / (self.b + np.maximum(chances, 1) - 1)
        silence = (self.r + x) * np.log1p((T - t_x) / (self.alpha + t_x))
        return np.where(chances > 0, np.log(odds) + silence, -np.inf)

    def bought_by(self, x: Array, T: Array, ends: Array) -> Array:
        """E[(1 − e^(−λpt)) / p]: Fader, Hardie & Lee (2005), equation 10, given alive."""
        shared = len(ends) == 1

        def kernel(p: Array, shape: float, age: Array, *own: Array) -> list[Array]:
            rate = self.alpha + age
            return [_bought_by(p, shape, rate, t) for t in (ends[0] if shared else own)]

        columns = () if shared else ends.T
        return mean_if_alive(self, kernel, float(ends.max(initial=0)), x, T, *columns)

    def silent_by_step(self, x: Array, T: Array, edges: Array, horizon: float, gap: float) -> Array:
        """Means over p of closed forms in it."""
        end = gap + horizon

        def kernel(p: Array, shape: float, age: Array) -> list[Array]:
            rate = self.alpha + age
            later = rate + p * gap + horizon
            survived = np.exp(-shape * np.log1p((p * gap + horizon) / rate))
            # given λ and p, buyers of the window buy at the constant rate λ(1−p)e^(−λpg)(1−e^(−λh))
            # in the gap: whoever reaches the window alive has survived each purchase before it
            in_gap = (1 - p) * shape / rate * np.exp(-(shape + 1) * np.log1p(p * gap / rate))
            in_gap = in_gap * -np.expm1(-(shape + 1) * np.log1p(horizon / (rate + p * gap)))
            values = []
            for u, v in pairwise(edges):
                if v <= gap:
                    everybody = _bought_by(p, shape, rate, v) - _bought_by(p, shape, rate, u)
                    values.append(everybody - (v - u) * in_gap)
                elif u < end:
                    values.append(np.zeros_like(survived))
                else:
                    bought = [_bought_by(p, shape, later, t - end) for t in (u, v)]
                    values.append(survived * (bought[1] - bought[0]))
            return values

        return mean_if_alive(self, kernel, float(edges[-1]) + end, x, T)

    def log_purchase(self, x: Array, T: Array, horizon: float, gap: float) -> tuple[Array, Array]:
        """Take the mean over p where there is a gap, in which one may drop out."""
        if gap == 0:
            log_none = -(self.r + x) * np.log1p(horizon / (self.alpha + T))
            return np.log(-np.expm1(log_none)), log_none

        def kernel(p: Array, shape: float, age: Array) -> list[Array]:
            rate = self.alpha + age
            there = -shape * np.log1p(p * gap / rate)  # log P(alive when the window opens)
            silent = -shape * np.log1p(horizon / (rate + p * gap))  # log P(none in it | that)
            return [np.exp(there) * -np.expm1(silent), -np.expm1(there) + np.exp(there + silent)]

        means = mean_if_alive(self, kernel, gap + horizon, x, T)
        return np.log(means[:, 0]), np.log(means[:, -1])

    def counting(self, x: float, ages: tuple[float, float], days: float) -> DropoutCounts:
        """Of one frequency the youngest buy most."""
        return DropoutCounts(self, x, self.alpha + ages[0], days)

    def bought(self, x: Array, T: Array, days: float, rng: np.random.Generator) -> Array:
        """Draw arrivals, but none after the one at which the customer leaves."""
        rate = rng.gamma(self.r + x) / (self.alpha + T)
        leave = rng.beta(self.a, self.b + self.chances(x))
        with np.errstate(divide="ignore", over="ignore"):
            # who never leaves has an infinite last purchase
            last = 1 + np.floor(np.log(rng.random(len(x))) / np.log1p(-leave))
        drawn: Array = np.minimum(rng.poisson(rate * days), last)
        return drawn


def _bought_by(p: Array, shape: float, rate: Array, t: Array | float) -> Array:
    """E[(1 − e^(−λpt)) / p] over λ ~ Gamma(shape, rate): purchases within t of who is alive."""
    bought: Array = -np.expm1(-shape * np.log1p(p * t / rate)) / p
    return bought


class DropoutCounts:
    """Laws of the purchases of who is alive, exact: the smaller of two counts.

    Purchases are the smaller of the arrivals, N ~ Poisson(λ·days), and of the number of the
    purchase after which the customer leaves, which exceeds n with probability (1 − p)^n. λ and p
    are apart from each other, so that P(at least n) = E[(1 − p)^(n − 1)] · P(N ≥ n): a ratio of
    Beta functions and an incomplete one.
    """

    def __init__(self, model: Dropout, x: float, rate: float, days: float) -> None:
        self.alpha, self.shape, self.days = model.alpha, model.r + x, days
        a, b = model.a, model.b + float(model.chances(np.array(x)))
        log_beta = betaln(a, b)

        def reached(n: int) -> float:
            log_kept = betaln(a, b + n) - log_beta
            return float(betainc(n, self.shape, days / (rate + days)) * np.exp(log_kept))

        self.most = longest(reached)
        # E[(1 − p)^n] for n = 0 … most: still there after n more purchases
        self._kept: Array = np.exp(betaln(a, b + np.arange(self.most + 1)) - log_beta)

    def law(self, T: Array) -> Array:
        """P(n purchases within `days`); shape (rows, most + 1)."""
        # the n-th purchase takes n arrivals, and none of the n − 1 before it was the last
        at_least = self._reached(self.alpha + T, self.days) * np.r_[1.0, self._kept]
        at_least[:, -1] = 0.0  # so that the last count stands for itself and more
        law: Array = -np.diff(at_least, axis=1)
        return law

    def silent(self, T: Array, horizon: float, gap: float) -> Array:
        """Split by what kept the window silent.

        Either everybody's arrivals outside the window are purchases and it is silent by chance,
        which turns the rate's posterior into that of a longer silence; or the n-th was the last,
        after the window, or before it, when nothing had to be left to chance.
        """
        rate, kept = self.alpha + T, self._kept
        outside = gap + max(self.days - gap - horizon, 0.0)
        none = np.exp(-self.shape * np.log1p(horizon / rate))[:, None]
        by_end = none * self._reached(rate + horizon, outside)
        stays = kept * -np.diff(by_end, axis=1)
        if gap:
            by_end = by_end - none * self._reached(rate + horizon, gap)
            by_end = by_end + self._reached(rate, gap)
        law: Array = stays + np.r_[0.0, -np.diff(kept)] * by_end[:, :-1]
        return law

    def _reached(self, rate: Array, days: float) -> Array:
        """P(N ≥ n) for n = 0 … most + 1, of arrivals at rates λ ~ Gamma(shape, rate)."""
        n = np.arange(1, self.most + 2)
        more = betainc(n, self.shape, (days / (rate + days))[:, None])
        return np.concatenate([np.ones((len(rate), 1)), more], axis=1)
