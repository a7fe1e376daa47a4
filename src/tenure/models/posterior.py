"""Means over the posterior of the dropout probability, by exponentially convergent sums.

Given the history and being alive, λ ~ Gamma(r + x, α + T) and p ~ Beta(a, b + chances),
independent of each other. Means over λ are closed form; the mean over p is taken here, by the
trapezoidal rule on the logit scale. It has none of the faults of the hypergeometric formula
(undefined at a = 1, and at x = 0 where a + b < 1; overflows at large x).

References
----------
Trefethen & Weideman (2014), "The exponentially convergent trapezoidal rule", SIAM Review 56(3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit, polygamma

if TYPE_CHECKING:
    from tenure.models.dropout import Dropout

__all__ = ["Array", "Kernel", "distinct", "mean_if_alive"]

Array = npt.NDArray[np.float64]
Kernel = Callable[..., list[Array]]

_ROWS_AT_ONCE = 4096  # times some 130 nodes: the working set stays within the cache


def _posterior_nodes(model: Dropout, x: float, reach: float) -> tuple[Array, Array]:
    """Nodes p and weights for means over p ~ Beta(a, b + chances).

    On z = logit p the density p^a (1 − p)^b' is analytic in a strip and decays exponentially, so
    that equal steps are near optimal. `reach` bounds how fast the integrand varies near p = 0:
    below the lowest node it is constant, so the geometric sum of the missing tail is added to that
    node's weight, and likewise above the highest. A tiny `a` needs no more nodes than a large one.
    """
    a, b = model.a, model.b + float(model.chances(np.array(x)))
    spread = float(np.sqrt(polygamma(1, a) + polygamma(1, b)))
    step = min(0.35, 0.5 * spread)
    mode = np.log(a / b)
    low = max(mode - 9 * spread - 30 / a, min(mode, 0.0) - 33 - np.log1p(reach))
    high = min(mode + 9 * spread + 30 / b, max(mode, 0.0) + 36)
    z = np.arange(low, high + step, step)
    log_density = a * log_expit(z) + b * log_expit(-z)
    weights = np.exp(log_density - log_density.max())
    weights[0] /= -np.expm1(-a * step)
    weights[-1] /= -np.expm1(-b * step)
    kept = weights > 1e-18
    return np.exp(log_expit(z[kept])), weights[kept] / weights[kept].sum()


def distinct(*columns: Array) -> tuple[tuple[Array, ...], npt.NDArray[np.intp]]:
    """Return the distinct rows, sorted, and for every row its place among them.

    Predictions given alive do not depend on recency, and many customers share the rest: a large
    log has thousands of distinct rows, not millions.
    """
    order = np.lexsort(columns[::-1])
    ordered = [c[order] for c in columns]
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any([c[1:] != c[:-1] for c in ordered], axis=0)
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.cumsum(new) - 1
    return tuple(c[new] for c in ordered), place


def mean_if_alive(
    model: Dropout, kernel: Kernel, longest: float, x: Array, *columns: Array
) -> Array:
    """Posterior mean over p, given alive, of what `kernel` yields; shape (rows, yields).

    `kernel(p, shape, *columns)` gets the nodes as a row, `shape` = r + x, and the columns of the
    rows as (rows, 1) arrays. `longest` is the longest time it looks ahead.
    """
    (xs, *others), place = distinct(x, *columns)
    starts = np.flatnonzero(np.r_[True, xs[1:] != xs[:-1]][: len(xs)])
    blocks = []
    for group in np.split(np.arange(len(xs)), starts[1:]):
        if len(group) == 0:
            continue
        shape = model.r + float(xs[group[0]])
        p, weights = _posterior_nodes(model, float(xs[group[0]]), shape * longest / model.alpha)
        for part in np.array_split(group, -(-len(group) // _ROWS_AT_ONCE)):
            values = kernel(p, shape, *(c[part, None] for c in others))
            blocks.append(np.stack([v @ weights for v in values], axis=-1))
    return np.concatenate(blocks)[place] if blocks else np.empty((0, 1))
