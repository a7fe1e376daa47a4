"""Where a likelihood is highest: found, checked, and how sharply.

A search may stop early, at a saddle, or run away along a direction that the data do not determine.
So its end is taken further by Newton's method on our own likelihood, the slope there is measured,
and the curvature says how far the parameters could as well lie elsewhere. Parameters are positive;
slopes, curvature and covariance are those of their logarithms, which do not depend on units.

References
----------
Nocedal & Wright (2006), "Numerical Optimization", section 3.4 (Newton's method, modified).
Gelman et al. (2013), "Bayesian Data Analysis", section 4.1 (the normal approximation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Optimum", "climb", "covariance", "drawn", "find", "information"]

Array = npt.NDArray[np.float64]
Value = Callable[[Array], float]
Within = Callable[[Array], Array]
Search = Callable[[Array, float], Array | None]

FLAT = 1e-5
"""Largest slope, per customer, at which a place counts as the top."""

_STEP = 1e-3  # of the logarithm of a parameter, for differences
_UNKNOWN = 1.0  # standard error of a logarithm above which a direction counts as not determined
_LARGEST_MOVE = 1.0  # of a logarithm in one step
_NEWTON_STEPS = 30
_FLOOR = 1e-6  # of the curvature per customer: flatter directions are not trusted with long steps
_STEEPEST = 1e9  # stands for slopes beside a place that has no likelihood
_EDGE = 1e-6  # of a parameter: closer to the edge of sense is at it
_PENALTIES = (1e-6, 1e-4, 1e-2)


@dataclass(frozen=True)
class Optimum:
    """The best parameters found.

    Attributes
    ----------
    at : ndarray
        The parameters.
    value : float
        The log-likelihood there, without any penalty.
    gradient : float or None
        Largest absolute slope of it in the logarithm of a parameter, per customer.
    covariance : ndarray
        Of the logarithms; 0 in directions that the data do not determine.
    penalty : float
        That had to hold the parameters; 0 at a plain optimum.
    """

    at: Array
    value: float
    gradient: float | None
    covariance: Array
    penalty: float = 0.0


def _slopes(value: Value, centre: Array) -> Array:
    steps = _STEP * np.eye(len(centre))
    return np.array([value(np.exp(centre + u)) - value(np.exp(centre - u)) for u in steps]) / (
        2 * _STEP
    )


def _steepest(slopes: Array) -> float:
    """Return the largest slope; the steepest there is where it is no number."""
    return float(np.nan_to_num(np.abs(slopes), nan=_STEEPEST, posinf=_STEEPEST).max())


def information(value: Value, at: Array) -> Array:
    """Return minus the second derivatives of `value` in the logarithms, by central differences.

    Parameters
    ----------
    value : callable
        The log-likelihood of positive parameters.
    at : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (k, k)
    """
    centre, k = np.log(at), len(at)
    steps = _STEP * np.eye(k)
    curvature = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            u, v = steps[i], steps[j]
            corners = [value(np.exp(centre + w)) for w in (u + v, u - v, v - u, -u - v)]
            curvature[i, j] = curvature[j, i] = corners[0] - corners[1] - corners[2] + corners[3]
    found: Array = -curvature / (4 * _STEP**2)
    return found


def covariance(info: Array) -> Array:
    """Return the covariance of the logarithms; directions not determined have none."""
    size, directions = np.linalg.eigh(info)
    known = size > _UNKNOWN**-2
    found: Array = (directions[:, known] / size[known]) @ directions[:, known].T
    return found


def drawn(at: Array, spread: Array, draws: int, seed: int) -> Array:
    """Draw parameters about `at`, normal in their logarithms; shape (draws, k)."""
    size, directions = np.linalg.eigh(spread)
    normal = np.random.default_rng([seed, len(at)]).standard_normal((draws, len(at)))
    # the symmetric root: eigenvectors alone have no sign of their own
    root = (directions * np.sqrt(np.maximum(size, 0))) @ directions.T
    places: Array = np.exp(np.log(at) + normal @ root)
    return places


def climb(value: Value, start: Array, n: float, within: Within) -> Optimum:
    """Go from a good start to the top by Newton's method, never downhill.

    Where the likelihood bends upwards the step is turned around; none moves a logarithm by more
    than 1, and it is halved until it leads up. A step out of the range of sense goes to its edge.

    Parameters
    ----------
    value : callable
        The log-likelihood of positive parameters.
    start : ndarray
        Within the range of sense.
    n : float
        Customers behind it, the unit of `Optimum.gradient`.
    within : callable
        Brings parameters back to the range of sense.
    """
    at, best = np.log(start), value(start)
    for _ in range(_NEWTON_STEPS):
        slopes, info = _slopes(value, at), information(value, np.exp(at))
        if not np.isfinite(slopes.sum() + info.sum()):  # beside a place that has no likelihood
            return Optimum(np.exp(at), best, _STEEPEST, np.zeros_like(info))
        size, directions = np.linalg.eigh(info)
        size = np.maximum(np.abs(size), _FLOOR * n)
        along = directions.T @ slopes
        move = directions @ (along / size)
        move *= min(1.0, _LARGEST_MOVE / max(float(np.abs(move).max(initial=0)), 1e-300))
        noise = 1e-14 * abs(best)  # the last moves lead up by less than a sum's rounding
        # written so that a likelihood that is not a number counts as downhill
        while not (reached := value(there := within(np.exp(at + move)))) >= best - noise:
            if np.abs(move).max() < 1e-9:
                return Optimum(np.exp(at), best, _steepest(slopes) / n, covariance(info))
            move = move / 2
        is_inside = _same(there, np.exp(at + move))
        at, gained, best = np.log(there), reached - best, reached
        # hardly an error, and this move squared it; or the edge leads no further
        if along @ (along / size) < 1e-14 * n or not (is_inside or gained > 1e-10 * n):
            break
    return Optimum(np.exp(at), best, _steepest(_slopes(value, at)) / n, covariance(info))


def _same(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=_EDGE / 10, atol=0))


def find(
    search: Search,
    value: Value,
    starts: Iterable[Array],
    moments: Array,
    n: float,
    within: Within,
) -> Optimum | None:
    """Search from every start, take the best end to the top, and check that it is one.

    Where the likelihood rises towards the edge of sense, its top there is taken. Where no top can
    be found (every search fails, or the end is neither flat nor at the edge), growing penalties
    help the search; if that brings no top either, what the least of them held is returned.

    Parameters
    ----------
    search : callable
        (start, penalty) → parameters, or None where it did not converge.
    value : callable
        The log-likelihood.
    starts : iterable of ndarray
        Where to begin, on the search's own scale.
    moments : ndarray
        Rough parameters, from which to climb where no search ends anywhere.
    n : float
        Customers.
    within : callable
        Brings parameters back to the range in which customers can be told apart.

    Returns
    -------
    Optimum or None
        None where nothing converged, however large the penalty.
    """
    begins, held = list(starts), None
    for penalty in (0.0, *_PENALTIES):
        ends = [within(p) for s in begins if (p := search(s, penalty)) is not None]
        ends = [p for p in ends if np.isfinite(value(p))]
        if not ends and penalty:
            continue
        best = max(ends, key=value, default=within(moments))
        top = climb(value, best, n, within)
        nudged = top.at * (1 + _EDGE), top.at / (1 + _EDGE)
        is_at_edge = any(not _same(within(p), p) for p in nudged)
        if is_at_edge or (top.gradient or 0.0) <= FLAT:
            return top
        if held is None and penalty:
            slope = _steepest(_slopes(value, np.log(best))) / n
            spread = covariance(information(value, best))
            held = Optimum(best, value(best), slope, spread, penalty)
    return held
