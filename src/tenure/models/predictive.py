"""What a customer may do, not only what is expected: the laws of later purchases and money.

Given the history and being alive, λ ~ Gamma(r + x, α + T) and p ~ Beta(a, b + chances), apart from
each other: the likelihood of an alive customer is λ^x e^(−λT) (1 − p)^chances. Purchases to come
are the smaller of a Poisson count, N(λ·days), and the number G of the purchase after which the
customer leaves, P(G > n) = (1 − p)^n. Both means are closed, E[(1 − p)^n] a ratio of Beta functions
and P(N ≥ n) an incomplete one, so that the whole law of the count is exact and needs no drawing:
P(at least n purchases) = E[(1 − p)^(n − 1)] · P(N ≥ n).

A customer's spend per purchase is Gamma(p, ν) with ν ~ Gamma(q + p·x, v + x·m), so that n purchases
bring (v + x·m) times a Beta prime of shapes p·n and q + p·x; money is the mixture over n.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2), section
4 (the mixture of λ and p) and equation 8.
Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24(3), for MBG/NBD.
Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", brucehardie.com/notes/025.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc, betaincinv, betaln

from tenure.models.btyd import Array, PurchaseModel, p_alive
from tenure.models.spend import SpendModel, posterior

__all__ = ["Law", "Leaving", "laws"]

_TAIL = 1e-7  # chance of more purchases than are told apart
_MOST = 10_000  # purchases told apart at most
_EACH = 128  # purchases whose money is tabled one by one
_NODES = 240  # amounts at which the law of money is tabled; linear in their logarithm between
_CELLS = 1_000_000  # of one table at a time: 8 MB


class Leaving(NamedTuple):
    """A calibrated chance of buying nothing in the label window, which replaces the model's own.

    Attributes
    ----------
    p : ndarray
        One entry a customer; NaN keeps what the purchase model says.
    horizon_days, gap_days : float
        The label window is [gap, gap + horizon) after the cutoff.
    """

    p: Array
    horizon_days: float
    gap_days: float = 0.0


@dataclass(frozen=True)
class Law:
    """The laws of purchases and money of customers with one frequency.

    Attributes
    ----------
    rows : ndarray of int
        Which rows of the table these are.
    chances : ndarray, shape (rows, most + 1)
        Probability of 0, 1, 2 … purchases; the last column holds that many and more.
    scale : ndarray
        v + x·m of each row, in currency; money is this times a Beta prime.
    p, shape : float
        Its shapes are p·n, n the purchases, and `shape` = q + p·x.
    """

    rows: npt.NDArray[np.intp]
    chances: Array
    scale: Array
    p: float
    shape: float

    @property
    def expected_purchases(self) -> Array:
        """Mean of the law of purchases."""
        mean: Array = (self.chances * np.arange(self.chances.shape[1])).sum(axis=1)
        return mean

    @property
    def expected_money(self) -> Array:
        """Mean of the law of money, undiscounted."""
        return self.expected_purchases * (self.p * self.scale / (self.shape - 1))

    def purchases_until(self, count: Array) -> tuple[Array, Array]:
        """P(fewer purchases) and P(at most so many), for one count a row."""
        below = np.cumsum(np.insert(self.chances, 0, 0.0, axis=1), axis=1)
        here = np.clip(count, -1, self.chances.shape[1] - 1).astype(np.intp)
        row = np.arange(len(below))
        return below[row, np.maximum(here, 0)], np.minimum(below[row, here + 1], 1.0)

    def money_until(self, amount: Array) -> tuple[Array, Array]:
        """P(less money) and P(at most so much), for one amount a row; they differ at 0 only."""
        ratio = np.maximum(amount, 0) / self.scale
        bought = np.arange(1, self.chances.shape[1])
        within = betainc(self.p * bought, self.shape, (ratio / (1 + ratio))[:, None])
        most = self.chances[:, 0] + (self.chances[:, 1:] * within).sum(axis=1)
        return np.where(amount > 0, most, 0.0), np.where(amount < 0, 0.0, np.minimum(most, 1.0))

    def purchases_at(self, level: float) -> Array:
        """Smallest count that is not exceeded with probability `level`."""
        below = np.cumsum(self.chances[:, :-1], axis=1)
        count: Array = (below < level).sum(axis=1).astype(np.float64)
        return count

    def money_at(self, *levels: float) -> tuple[Array, ...]:
        """Amounts that are not exceeded with each of these probabilities; undiscounted."""
        most = self.chances.shape[1] - 1
        if most == 0:
            return tuple(np.zeros(len(self.rows)) for _ in levels)
        ratios, firsts = self._nodes(most), _told_apart(most)
        chances = np.add.reduceat(self.chances, firsts, axis=1)
        middles = (firsts + np.r_[firsts[1:] - 1, most]) / 2
        table = betainc(self.p * middles[:, None], self.shape, ratios / (1 + ratios))
        # not `@`: BLAS rounds by the number of threads and of rows, and a row must stand alone
        within = np.einsum("ij,jk->ik", chances, table, optimize=False)
        until = self.chances[:, :1] + within
        return tuple(self.scale * _crossing(until, ratios, level) for level in levels)

    def _nodes(self, most: int) -> Array:
        """Amounts from hardly one small purchase to `most` large ones, as shares of the scale."""
        ends = betaincinv(self.p * np.array([1.0, most]), self.shape, [1e-4, 1 - 1e-6])
        # of the complement, which keeps its digits where the share rounds to 1
        rest = betaincinv(self.shape, self.p * np.array([1.0, most]), [1 - 1e-4, 1e-6])
        low, high = np.maximum(ends, 1e-300) / np.maximum(rest, 1e-300)
        return np.geomspace(low, high, _NODES)


def _told_apart(most: int) -> npt.NDArray[np.intp]:
    """First counts of the bins in which money is tabled: each alone to 128, then by 1 %."""
    if most <= _EACH:
        return np.arange(1, most + 1)
    wider = np.geomspace(_EACH + 1, most, 2 + int(np.log(most / _EACH) / 0.01))
    return np.unique(np.r_[np.arange(1, _EACH + 1), wider.astype(np.intp)])


def _crossing(until: Array, ratios: Array, level: float) -> Array:
    """Where each row of a distribution function reaches `level`; 0 where zero has that much."""
    after = np.minimum((until < level).sum(axis=1), len(ratios) - 1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(until))
    low, high = until[row, before], until[row, after]
    rise = high - low
    part = np.divide(level - low, rise, out=np.ones_like(rise), where=rise > 0)
    logs = np.log(ratios)
    found = np.exp(logs[before] + np.clip(part, 0, 1) * (logs[after] - logs[before]))
    return np.where(until[:, 0] >= level, 0.0, found)


def laws(
    model: PurchaseModel,
    spend: SpendModel,
    rfm: pd.DataFrame,
    days: float,
    leaving: Leaving | None = None,
) -> Iterator[Law]:
    """Yield the laws of purchases and money within `days` after the cutoff, some rows at a time.

    With `leaving`, whether a customer buys in the label window has the calibrated probability, and
    the rest follows the purchase model: the law is (1 − p) · law given a purchase there + p · law
    given none. Where the label window begins after `days`, there is nothing to replace.

    Parameters
    ----------
    model : PurchaseModel
        In days.
    spend : SpendModel
    rfm : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`; days and currency.
    days : float
        Above 0.
    leaving : Leaving, optional

    Yields
    ------
    Law
        Every row is in one of them; a row's law depends on no other row.
    """
    x, t_x, T, m = (
        rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T", "monetary_value")
    )
    alive = p_alive(model, x, t_x, T)
    shape, scale = posterior(spend, x, m)
    # rows of one frequency share every Beta function; of one order of age, the counts worth telling
    order = np.floor(np.log2(1 + T / model.alpha))
    for rows in _equal(x, shape, order):
        first, frequency = rows[0], float(x[rows[0]])
        most = _longest(model, frequency, model.alpha * 2.0 ** order[first], days)
        kept = _kept(model, frequency, most)
        for part in np.array_split(rows, -(-len(rows) * (most + 1) // _CELLS)):
            counts = _counts(model, kept, frequency, T[part], days)
            chances = _with_dead(counts, alive[part])
            if leaving is not None and leaving.gap_days < days:
                p = leaving.p[part]
                silent = _silent(model, kept, frequency, T[part], days, leaving)
                given = _conditioned(counts, silent, alive[part], p)
                chances = np.where(np.isnan(p)[:, None], chances, given)
            yield Law(part, chances, scale[part], spend.p, float(shape[first]))


def _equal(*columns: Array) -> list[npt.NDArray[np.intp]]:
    """Rows that are equal in all columns, group by group."""
    order = np.lexsort(columns)
    new = np.any([np.diff(c[order]) != 0 for c in columns], axis=0)
    return [g for g in np.split(order, np.flatnonzero(new) + 1) if len(g)]


def _longest(model: PurchaseModel, x: float, rate: float, days: float) -> int:
    """Count beyond which hardly anybody of this frequency and at least α + T = `rate` buys."""
    most, b = 8, model.b + float(model.chances(np.array(x)))
    while most < _MOST:
        log_kept = betaln(model.a, b + most) - betaln(model.a, b)
        if betainc(most, model.r + x, days / (rate + days)) * np.exp(log_kept) < _TAIL:
            break
        most += max(8, most // 4)
    return min(most, _MOST)


def _kept(model: PurchaseModel, x: float, most: int) -> Array:
    """E[(1 − p)^n] for n = 0 … most: still there after n more purchases."""
    b = model.b + float(model.chances(np.array(x)))
    kept: Array = np.exp(betaln(model.a, b + np.arange(most + 1)) - betaln(model.a, b))
    return kept


def _reached(shape: float, rate: Array, days: float, most: int) -> Array:
    """P(N ≥ n) for n = 0 … most + 1, of arrivals at rates λ ~ Gamma(shape, rate)."""
    n = np.arange(1, most + 2)
    more = betainc(n, shape, (days / (rate + days))[:, None])
    return np.concatenate([np.ones((len(rate), 1)), more], axis=1)


def _counts(model: PurchaseModel, kept: Array, x: float, T: Array, days: float) -> Array:
    """Law of the purchases of who is alive."""
    reached = _reached(model.r + x, model.alpha + T, days, len(kept) - 1)
    # the n-th purchase takes n arrivals, and none of the n − 1 before it was the last
    at_least = reached * np.r_[1.0, kept]
    at_least[:, -1] = 0.0  # so that the last count stands for itself and more
    law: Array = -np.diff(at_least, axis=1)
    return law


def _silent(
    model: PurchaseModel, kept: Array, x: float, T: Array, days: float, window: Leaving
) -> Array:
    """P(n purchases within `days`, none of them in the label window), given alive.

    Either everybody's arrivals outside the window are purchases and it is silent by chance, which
    turns the rate's posterior into that of a longer silence; or the n-th was the last, after the
    window, or before it, when nothing had to be left to chance.
    """
    shape, rate, most = model.r + x, model.alpha + T, len(kept) - 1
    gap, horizon = window.gap_days, window.horizon_days
    outside = gap + max(days - gap - horizon, 0.0)
    none = np.exp(-shape * np.log1p(horizon / rate))[:, None]
    by_end = none * _reached(shape, rate + horizon, outside, most)
    stays = kept * -np.diff(by_end, axis=1)
    if gap:
        by_end = by_end - none * _reached(shape, rate + horizon, gap, most)
        by_end = by_end + _reached(shape, rate, gap, most)
    law: Array = stays + np.r_[0.0, -np.diff(kept)] * by_end[:, :-1]
    return law


def _with_dead(counts: Array, alive: Array) -> Array:
    chances = counts * alive[:, None]
    chances[:, 0] += 1 - alive
    return chances


def _conditioned(counts: Array, silent: Array, alive: Array, p: Array) -> Array:
    """Mix the laws given a purchase in the label window and given none, by the chance of none."""
    buys = np.maximum(counts - silent, 0.0)
    buys /= np.maximum(buys.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    none = _with_dead(silent, alive)
    none /= none.sum(axis=1, keepdims=True)
    mixed: Array = (1 - p)[:, None] * buys + p[:, None] * none
    return mixed
