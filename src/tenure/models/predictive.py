"""What a customer may do, not only what is expected: the laws of later purchases and money.

The law of the count of who is alive comes from the family, exact for BG/NBD and MBG/NBD and by
quadrature for Pareto/NBD, and needs no drawing. It depends on frequency and age alone: a large log
has thousands of such pairs, not millions. A customer's own law is a mixture of their pair's with 0,
by the chance of being alive, which recency decides.

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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc, betaincinv

from tenure.models.btyd import Array, BuyTillYouDie, Counts, p_alive
from tenure.models.spend import SpendModel, posterior

__all__ = ["Law", "Leaving", "laws"]

Places = npt.NDArray[np.intp]
_Mixture = tuple[Array, tuple[Array, ...], tuple[Array, ...]]

_EACH = 128  # purchases whose money is tabled one by one
_NODES = 240  # amounts at which the law of money is tabled; linear in their logarithm between
_CELLS = 4_000_000  # of one table at a time: 32 MB


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
class _Money:
    """Where the law of money is tabled; one for all customers of a group.

    A customer's own law is a mixture of few laws that many customers share, times a scale: the
    shared ones are tabled once, at amounts that are shares of the scale.
    """

    p: float
    shape: float
    most: int

    @cached_property
    def ratios(self) -> Array:
        """Amounts from hardly one small purchase to `most` large ones, as shares of the scale."""
        ends = betaincinv(self.p * np.array([1.0, self.most]), self.shape, [1e-4, 1 - 1e-6])
        # of the complement, which keeps its digits where the share rounds to 1
        rest = betaincinv(self.shape, self.p * np.array([1.0, self.most]), [1 - 1e-4, 1e-6])
        low, high = np.maximum(ends, 1e-300) / np.maximum(rest, 1e-300)
        return np.geomspace(low, high, _NODES)

    def until(self, chances: Array) -> Array:
        """P(at most each amount) under laws of purchases; shape (laws, amounts)."""
        firsts, ratios = _told_apart(self.most), self.ratios
        middles = (firsts + np.r_[firsts[1:] - 1, self.most]) / 2
        table = betainc(self.p * middles[:, None], self.shape, ratios / (1 + ratios))
        until = np.repeat(chances[:, :1], len(ratios), axis=1)
        # not `@`: BLAS rounds by the number of threads and of rows, and a row must stand alone
        for bought, within in zip(np.add.reduceat(chances, firsts, axis=1).T, table, strict=True):
            until += bought[:, None] * within
        return until


@dataclass(frozen=True)
class Law:
    """The laws of purchases and money of customers with one frequency.

    Attributes
    ----------
    rows : ndarray of int
        Which rows of the table these are.
    dead : ndarray
        Chance of each row that nothing is to come, whatever the laws below say.
    weights : tuple of ndarray
        Chance of each row to follow each of the `given`.
    given : tuple of ndarray, shape (pairs, most + 1)
        Laws of 0, 1, 2 … purchases, shared by customers of one age; the last column holds that
        many and more.
    pair : ndarray of int
        Which of the shared laws are each row's.
    scale : ndarray
        v + x·m of each row, in currency; money is this times a Beta prime.
    money : _Money
        Its shapes are p·n, n the purchases, and `shape` = q + p·x.
    """

    rows: Places
    dead: Array
    weights: tuple[Array, ...]
    given: tuple[Array, ...]
    pair: Places
    scale: Array
    money: _Money

    @cached_property
    def chances(self) -> Array:
        """Probability of 0, 1, 2 … purchases; shape (rows, most + 1)."""
        chances = np.zeros((len(self.rows), self.money.most + 1))
        for weight, law in self._parts:
            chances += weight[:, None] * law[self.pair]
        chances[:, 0] += self.dead
        return chances

    @property
    def expected_purchases(self) -> Array:
        """Mean of the law of purchases."""
        count, mean = np.arange(self.money.most + 1), np.zeros(len(self.rows))
        for weight, law in self._parts:
            mean += weight * (law * count).sum(axis=1)[self.pair]
        return mean

    @property
    def expected_money(self) -> Array:
        """Mean of the law of money, undiscounted."""
        return self.expected_purchases * (self.money.p * self.scale / (self.money.shape - 1))

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
        within = betainc(self.money.p * bought, self.money.shape, (ratio / (1 + ratio))[:, None])
        most = self.chances[:, 0] + (self.chances[:, 1:] * within).sum(axis=1)
        return np.where(amount > 0, most, 0.0), np.where(amount < 0, 0.0, np.minimum(most, 1.0))

    def purchases_at(self, level: float) -> Array:
        """Smallest count that is not exceeded with probability `level`."""
        below = np.cumsum(self.chances[:, :-1], axis=1)
        count: Array = (below < level).sum(axis=1).astype(np.float64)
        return count

    def money_at(self, *levels: float) -> tuple[Array, ...]:
        """Amounts that are not exceeded with each of these probabilities; undiscounted."""
        if self.money.most == 0:
            return tuple(np.zeros(len(self.rows)) for _ in levels)
        tables = [self.money.until(law).ravel() for law in self.given]
        start = self.pair * _NODES

        def until(node: Places | int) -> Array:
            found = self.dead.copy()
            for weight, table in zip(self.weights, tables, strict=True):
                found += weight * table[start + node]
            return found

        return tuple(self.scale * _crossing(until, self.money.ratios, level) for level in levels)

    @property
    def _parts(self) -> Iterator[tuple[Array, Array]]:
        return zip(self.weights, self.given, strict=True)


def _told_apart(most: int) -> Places:
    """First counts of the bins in which money is tabled: each alone to 128, then by 1 %."""
    if most <= _EACH:
        return np.arange(1, most + 1)
    wider = np.geomspace(_EACH + 1, most, 2 + int(np.log(most / _EACH) / 0.01))
    return np.unique(np.r_[np.arange(1, _EACH + 1), wider.astype(np.intp)])


def _crossing(until: Callable[[Places | int], Array], ratios: Array, level: float) -> Array:
    """Where each row's distribution function reaches `level`; 0 where zero has that much."""
    start = until(0)
    before, after = np.zeros((2, len(start)), dtype=np.intp)
    after += len(ratios) - 1
    while (after - before > 1).any():
        middle = (before + after) // 2
        short = until(middle) < level
        before, after = np.where(short, middle, before), np.where(short, after, middle)
    low, high = until(before), until(after)
    rise = high - low
    part = np.divide(level - low, rise, out=np.ones_like(rise), where=rise > 0)
    logs = np.log(ratios)
    found = np.exp(logs[before] + np.clip(part, 0, 1) * (logs[after] - logs[before]))
    return np.where(start >= level, 0.0, found)


def laws(
    model: BuyTillYouDie,
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
    model : BuyTillYouDie
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
    p = np.full(len(x), np.nan)
    if leaving is not None and leaving.gap_days < days:
        p = np.asarray(leaving.p, dtype=np.float64)
    # rows of one frequency share every Beta function; of one order of age, the counts worth telling
    order = np.floor(np.log2(1 + T / model.alpha))
    for rows in _equal(T, x, shape, order, np.isnan(p)):
        youngest, oldest = (model.alpha * (2.0**k - 1) for k in order[rows[0]] + np.arange(2))
        counts = model.counting(float(x[rows[0]]), (youngest, oldest), days)
        money = _Money(spend.p, float(shape[rows[0]]), counts.most)
        cells = len(rows) * max(counts.most + 1, _NODES)
        for part in np.array_split(rows, -(-cells // _CELLS)):
            new = np.r_[True, np.diff(T[part]) != 0]
            pair, age = np.cumsum(new) - 1, T[part][new]
            mixture: _Mixture
            if leaving is None or np.isnan(p[part[0]]):
                mixture = 1 - alive[part], (alive[part],), (counts.law(age),)
            else:
                mixture = _conditioned(counts, age, pair, alive[part], leaving._replace(p=p[part]))
            yield Law(part, *mixture, pair, scale[part], money)


def _equal(finest: Array, *columns: Array) -> list[Places]:
    """Rows that are equal in all columns, group by group, in the order of the finest."""
    order = np.lexsort((finest, *columns))
    new = np.any([np.diff(c[order]) != 0 for c in columns], axis=0)
    return [g for g in np.split(order, np.flatnonzero(new) + 1) if len(g)]


def _conditioned(
    counts: Counts, T: Array, pair: Places, alive: Array, leaving: Leaving
) -> _Mixture:
    """Mix the laws given a purchase in the label window and given none, by the chance of none.

    Who is dead shares in the second. Returned are the chance of nothing to come, and the chances
    and laws of the two.
    """
    p, tiny = leaving.p, np.finfo(float).tiny
    silent = counts.silent(T, leaving.horizon_days, leaving.gap_days)
    buys = np.maximum(counts.law(T) - silent, 0.0)
    buys /= np.maximum(buys.sum(axis=1, keepdims=True), tiny)
    kept = alive * silent.sum(axis=1)[pair]
    none = np.maximum(kept + (1 - alive), tiny)
    return p * (1 - kept / none), (1 - p, p * alive / none), (buys, silent)
