"""The Qini curve: customers kept, if the most persuadable are contacted first.

At each number contacted k, Q(k) = stayed among the contacted − stayed among the held out ×
contacted / held out, of the k rows of highest score (Radcliffe 2007, Direct Marketing Analytics
Journal 3, 14-21); rows of equal score come together. The coefficient is the area between the curve
and the straight line to its end, as a share of the same area of a ranking that knows who stays:
1 at best, 0 for a ranking by chance. Where tests differ in the contacted share p, rows weigh p̄/p
and (1 − p̄)/(1 − p), so that all count as if p̄ of them had been contacted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.evaluation.bootstrap import Estimate, chunks, interval
from tenure.experiments.effect import stretched
from tenure.experiments.learning import Learnt
from tenure.experiments.rows import Array, Trial

__all__ = ["DRAWS", "Ranking", "qini", "ranks", "ranks_of_fold"]

DRAWS = 200
POINTS = 20  # of the curve that is written


@dataclass(frozen=True)
class Ranking:
    """Rows in the order of a score, with the highest first, and where each level of it ends."""

    order: NDArray[np.intp]
    start: NDArray[np.intp]

    @classmethod
    def by(cls, score: Array) -> Ranking:
        """Sort by falling score."""
        order = np.argsort(-score, kind="stable")
        return cls(order, np.flatnonzero(np.diff(-score[order], prepend=-np.inf)))

    def sums(self, weights: Array) -> Array:
        """Return running sums at the end of each level, of (draws, rows)."""
        return np.cumsum(np.add.reduceat(weights[:, self.order], self.start, axis=1), axis=1)


def ranks(score: Array) -> Array:
    """Return the share of scores that are lower, ties at their middle, from 0 to 1."""
    levels, place, size = np.unique(score, return_inverse=True, return_counts=True)
    below = np.cumsum(size) - size
    assert len(levels) == len(size)
    return np.asarray((below[place] + size[place] / 2) / len(score))


def ranks_of_fold(learnt: Learnt, score: Array) -> Array:
    """Return ranks among the rows of the same learner: the level of another's is no merit."""
    told = np.empty(len(score))
    for number in np.unique(learnt.group):
        here = learnt.group == number
        told[here] = ranks(score[here])
    return told


def qini(
    trial: Trial, score: Array, *, wider: float = 1.0, draws: int = DRAWS, seed: int = 0
) -> dict[str, Any]:
    """Return the coefficient with a 90 % bootstrap interval over customers, and the curve.

    Parameters
    ----------
    trial : Trial
    score : array
        The highest is contacted first.
    wider : float
        By how much the interval is stretched: `uplift.CROSSED` for a ranking learnt in folds.
    draws, seed : int
        Of the bootstrap. The scores stay as they are.

    Returns
    -------
    dict
        `value`, `lower`, `upper`, and `curve`: the `share` contacted, and customers `kept` by it of
        1,000 in all.
    """
    stayed = 1.0 - trial.left
    weight = _weights(trial)
    by_score = Ranking.by(score)
    best = Ranking.by(np.where(stayed == 1, np.where(trial.treated, 1.0, -1.0), 0.0))
    once = np.ones((1, len(trial)))
    value = float(_coefficient(trial, stayed, weight, by_score, best, once)[0])
    drawn = [
        _coefficient(trial, stayed, weight, by_score, best, counts)
        for counts in _draws(trial, draws, seed)
    ]
    told: Estimate = stretched(interval(value, np.concatenate(drawn)), wider)
    seen, kept = _curve(trial, stayed, weight, by_score, once)
    contacted = float((weight * trial.treated).sum())
    return {**told, "curve": _thinned(seen[0], kept[0] / contacted)}


def _weights(trial: Trial) -> Array:
    overall = trial.treated.mean()
    return np.asarray(
        np.where(trial.treated, overall / trial.share, (1 - overall) / (1 - trial.share))
    )


def _draws(trial: Trial, draws: int, seed: int) -> Iterator[Array]:
    """Yield how often each row counts, some draws at a time."""
    rng, n = np.random.default_rng([seed, 1]), int(trial.customer.max()) + 1
    some = np.unique(trial.customer)
    for size in chunks(draws, len(trial)):
        picks = [rng.choice(some, len(some)) for _ in range(size)]
        counts = np.array([np.bincount(p, minlength=n) for p in picks], dtype=np.float64)
        yield counts[:, trial.customer]


def _curve(
    trial: Trial, stayed: Array, weight: Array, ranking: Ranking, counts: Array
) -> tuple[Array, Array]:
    """Return how many rows are seen, and Q, at the end of each level of the score."""
    arm, heavy = trial.treated, counts * weight
    contacted, held = ranking.sums(heavy * arm), ranking.sums(heavy * ~arm)
    kept, kept_held = ranking.sums(heavy * (arm * stayed)), ranking.sums(heavy * (~arm * stayed))
    ratio = np.divide(contacted, held, out=np.zeros_like(held), where=held > 0)
    zero = np.zeros((len(counts), 1))
    seen = np.concatenate([zero, ranking.sums(counts)], axis=1)
    return seen, np.concatenate([zero, kept - kept_held * ratio], axis=1)


def _coefficient(
    trial: Trial, stayed: Array, weight: Array, by_score: Ranking, best: Ranking, counts: Array
) -> Array:
    areas = []
    for ranking in (by_score, best):
        seen, kept = _curve(trial, stayed, weight, ranking, counts)
        areas.append(np.trapezoid(kept, seen, axis=1) - seen[:, -1] * kept[:, -1] / 2)
    ours, most = areas
    return np.divide(ours, most, out=np.full_like(ours, np.nan), where=most > 0)


def _thinned(seen: Array, kept: Array) -> list[dict[str, float]]:
    """Return the curve at even shares, per 1,000 customers."""
    shares = np.linspace(0, 1, POINTS + 1)
    at = 1000 * np.interp(shares * seen[-1], seen, kept)
    return [{"share": float(s), "kept": float(q)} for s, q in zip(shares, at, strict=True)]
