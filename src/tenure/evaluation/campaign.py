"""What a campaign of limited capacity would have reached and earned at each past cutoff.

A candidate contacts the customers of a cutoff in the order of its score until the capacity is
spent. Where the border falls among equal scores, they are taken in proportion: the exact
expectation over their random order, so that no figure depends on the order of the rows. In a draw
of the bootstrap a customer drawn twice takes two places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.evaluation.bootstrap import Judged, Measure, Rows, judge

__all__ = ["EVERYBODY", "RANDOM", "captures", "profits"]

Array = NDArray[np.float64]

EVERYBODY = "contact_everybody"
"""Everybody, as if there were no limit."""
RANDOM = "random_within_capacity"
"""As many as can be contacted, at random; the mean over all choices."""


@dataclass(frozen=True)
class Round:
    """The customers of one cutoff in the order in which they would be contacted.

    Parameters
    ----------
    customer : int array of shape (rows,)
        Number of the customer, the highest score first.
    gain : array of shape (rows,)
        What contacting the customer brings.
    start : int array of shape (levels,)
        Where each level of equal scores begins.
    capacity : int or None
        Customers that can be contacted.
    """

    customer: NDArray[np.intp]
    gain: Array
    start: NDArray[np.intp]
    capacity: int | None

    @classmethod
    def of(
        cls, score: Array, gain: Array, customer: NDArray[np.intp], capacity: int | None
    ) -> Round:
        """Sort by falling score; equal ones by customer, so that sums cannot differ in a bit."""
        order = np.lexsort((customer, -score))
        start = np.flatnonzero(np.diff(-score[order], prepend=-np.inf))
        return cls(customer[order], gain[order], start, capacity)

    def reach(self, counts: Array) -> tuple[Array, Array]:
        """Return what is gained, and how many are contacted, in each draw."""
        if not self.customer.size:
            nothing = np.zeros(len(counts))
            return nothing, nothing
        weight = np.take(counts, self.customer, axis=1)
        gain = weight * self.gain
        if self.start.size < self.customer.size:
            gain = np.add.reduceat(gain, self.start, axis=1)
            weight = np.add.reduceat(weight, self.start, axis=1)
        if self.capacity is None:
            return gain.sum(axis=1), weight.sum(axis=1)
        before = np.cumsum(weight, axis=1) - weight
        reached = np.clip(self.capacity - before, 0, weight)
        share = np.divide(reached, weight, out=np.zeros_like(weight), where=weight > 0)
        return np.einsum("dl,dl->d", share, gain), reached.sum(axis=1)


def _rounds(
    score: Array, gain: Array, rows: Rows, cutoff: NDArray[Any], capacity: int | None, keep: Any
) -> list[Round]:
    """Split the rows that would be contacted at all by cutoff."""
    return [
        Round.of(score[here], gain[here], rows.customer[here], capacity)
        for here in ((cutoff == c) & keep for c in np.unique(cutoff))
    ]


def captures(
    rows: Rows,
    cutoff: NDArray[Any],
    probabilities: Mapping[str, Array],
    capacity: int,
    *,
    draws: int,
    seed: int,
) -> Judged:
    """Share of all churners among the customers that the capacity of each cutoff reaches.

    Parameters
    ----------
    rows : Rows
    cutoff : array
        Of each row; the capacity holds at each of them.
    probabilities : mapping of str to array
        What the candidates contact by, the highest first.
    capacity : int
        Customers a cutoff.
    draws, seed : int
        Of the bootstrap over customers.

    Returns
    -------
    Judged
        `capture_at_capacity`, 0 to 1.
    """
    by_customer = np.bincount(rows.customer, rows.churned, minlength=rows.n_customers)

    def measure(p: Array) -> Measure:
        rounds = _rounds(p, rows.churned, rows, cutoff, capacity, np.ones(p.size, dtype=bool))

        def share(counts: Array) -> Array:
            with np.errstate(invalid="ignore"):
                found: Array = sum(r.reach(counts)[0] for r in rounds) / (counts @ by_customer)
            return found

        return share

    measures = {n: {"capture_at_capacity": measure(p)} for n, p in probabilities.items()}
    return judge(rows, measures, draws, seed)


def profits(
    rows: Rows,
    cutoff: NDArray[Any],
    expected: Mapping[str, Array],
    realised: Array,
    capacity: int | None,
    *,
    draws: int,
    seed: int,
) -> Judged:
    """Profit of each candidate's own campaign, a cutoff, in the currency of the values.

    At every cutoff a candidate contacts those it expects to earn by, the most first, within
    capacity. Contacting nobody earns 0.

    Parameters
    ----------
    rows : Rows
    cutoff : array
        Of each row.
    expected : mapping of str to array
        What each candidate expects to earn by contacting the customer.
    realised : array
        What contacting the customer brings given whether they really left.
    capacity : int or None
        Customers a cutoff; None is no limit.
    draws, seed : int
        Of the bootstrap over customers.

    Returns
    -------
    Judged
        `profit` and `contacted`, means over the cutoffs; of the candidates, of `EVERYBODY` and of
        `RANDOM`.
    """
    n = len(np.unique(cutoff))
    flat, everyone = np.zeros(realised.size), np.ones(realised.size, dtype=bool)
    campaigns = {
        name: _rounds(e, realised, rows, cutoff, capacity, e > 0) for name, e in expected.items()
    }
    campaigns[EVERYBODY] = _rounds(flat, realised, rows, cutoff, None, everyone)
    campaigns[RANDOM] = _rounds(flat, realised, rows, cutoff, capacity, everyone)

    def measure(rounds: list[Round], which: int) -> Measure:
        return lambda counts: np.asarray(sum(r.reach(counts)[which] for r in rounds)) / n

    measures = {
        name: {"profit": measure(rounds, 0), "contacted": measure(rounds, 1)}
        for name, rounds in campaigns.items()
    }
    return judge(rows, measures, draws, seed)
