"""What is expected after the cutoff: purchases, their timing, and silence.

While alive a customer buys at rate λ and after each purchase leaves with probability p, so that
e^(−λpt) is the chance of being alive at t, for BG/NBD and MBG/NBD alike.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
Wagner & Hoppe (2008), erratum on the MBG/NBD model, Int. J. of Research in Marketing 25(3).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit

from tenure.models.btyd import Array, PurchaseModel, floats, log_dead_over_alive, p_alive
from tenure.models.posterior import mean_if_alive

__all__ = [
    "expected_purchases",
    "log_odds_no_purchase",
    "p_no_purchase",
    "p_purchase_if_alive",
    "purchases_by_step",
    "silent_purchases_by_step",
]


def _bought_by(p: Array, shape: float, rate: Array, t: Array | float) -> Array:
    """E[(1 − e^(−λpt)) / p] over λ ~ Gamma(shape, rate): purchases within t of who is alive."""
    bought: Array = -np.expm1(-shape * np.log1p(p * t / rate)) / p
    return bought


def expected_purchases(
    model: PurchaseModel,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    t: npt.ArrayLike,
) -> Array:
    """Return the purchases expected within `t` after the cutoff; not discounted.

    Fader, Hardie & Lee (2005), equation 10, as p_alive · E[(1 − e^(−λpt)) / p].

    Parameters
    ----------
    model : PurchaseModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.
    t : array_like
        Days ahead, one for all or one a row.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> model = PurchaseModel("bg_nbd", .2426, 4.4136, .7929, 2.4259, -9582.43, "converged", 2357)
    >>> expected_purchases(model, 2, 30.43, 38.86, 39).round(3)  # the paper's example, in weeks
    array([1.226])
    """
    x, t_x, age, ahead = floats(frequency, recency, T, t)

    def kernel(p: Array, shape: float, age: Array, until: Array) -> list[Array]:
        return [_bought_by(p, shape, model.alpha + age, until)]

    if_alive = mean_if_alive(model, kernel, float(ahead.max(initial=0)), x, age, ahead)[:, 0]
    return p_alive(model, x, t_x, age) * if_alive


def purchases_by_step(
    model: PurchaseModel, frequency: npt.ArrayLike, T: npt.ArrayLike, edges: npt.ArrayLike
) -> Array:
    """Return the purchases expected in each step of a grid, given alive at the cutoff.

    Parameters
    ----------
    model : PurchaseModel
    frequency, T : array_like
        Repeat purchase days, days from the first purchase to the cutoff.
    edges : array_like
        Increasing days after the cutoff, the first 0.

    Returns
    -------
    ndarray
        One row a customer, one column a step.
    """
    x, age = floats(frequency, T)
    grid = np.asarray(edges, dtype=np.float64)

    def kernel(p: Array, shape: float, age: Array) -> list[Array]:
        return [_bought_by(p, shape, model.alpha + age, u) for u in grid]

    return np.diff(mean_if_alive(model, kernel, float(grid[-1]), x, age), axis=1)


def silent_purchases_by_step(
    model: PurchaseModel,
    frequency: npt.ArrayLike,
    T: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    horizon: float,
    gap: float = 0,
) -> Array:
    """Like `purchases_by_step`, counting only those who buy nothing in the label window.

    The purchases of each step times the indicator of no purchase in [gap, gap + horizon), both
    given alive at the cutoff. A purchase in the gap may be the last one, or be followed by
    silence; after the window only the survivors of a silence buy.

    Parameters
    ----------
    model : PurchaseModel
    frequency, T : array_like
        Repeat purchase days, days from the first purchase to the cutoff.
    edges : array_like
        Increasing days after the cutoff, the first 0; no step may straddle gap or gap + horizon.
    horizon, gap : float
        Days of the label window and before it.

    Returns
    -------
    ndarray
        One row a customer, one column a step.
    """
    x, age = floats(frequency, T)
    grid = np.asarray(edges, dtype=np.float64)
    steps = list(pairwise(grid))
    end = gap + horizon

    def kernel(p: Array, shape: float, age: Array) -> list[Array]:
        rate = model.alpha + age
        later = rate + p * gap + horizon
        survived = np.exp(-shape * np.log1p((p * gap + horizon) / rate))
        # given λ and p, buyers of the window buy at the constant rate λ(1−p)e^(−λpg)(1−e^(−λh))
        # in the gap: whoever reaches the window alive has survived each purchase before it
        in_gap = (1 - p) * shape / rate * np.exp(-(shape + 1) * np.log1p(p * gap / rate))
        in_gap = in_gap * -np.expm1(-(shape + 1) * np.log1p(horizon / (rate + p * gap)))
        values = []
        for u, v in steps:
            if v <= gap:
                everybody = _bought_by(p, shape, rate, v) - _bought_by(p, shape, rate, u)
                values.append(everybody - (v - u) * in_gap)
            elif u < end:
                values.append(np.zeros_like(survived))
            else:
                since = _bought_by(p, shape, later, v - end) - _bought_by(p, shape, later, u - end)
                values.append(survived * since)
        return values

    return mean_if_alive(model, kernel, float(grid[-1]) + end, x, age)


def p_purchase_if_alive(
    model: PurchaseModel, frequency: npt.ArrayLike, T: npt.ArrayLike, horizon: float, gap: float = 0
) -> tuple[Array, Array]:
    """Probabilities of a purchase and of none in [gap, gap + horizon), given alive at the cutoff.

    Both are returned since either may be far below the rounding of the other.

    Parameters
    ----------
    model : PurchaseModel
    frequency, T : array_like
        Repeat purchase days, days from the first purchase to the cutoff.
    horizon, gap : float
        Days of the window and before it.

    Returns
    -------
    tuple of ndarray
        Logarithms of P(purchase) and of P(none).
    """
    x, age = floats(frequency, T)
    if gap == 0:
        log_none = -(model.r + x) * np.log1p(horizon / (model.alpha + age))
        return np.log(-np.expm1(log_none)), log_none

    def kernel(p: Array, shape: float, age: Array) -> list[Array]:
        rate = model.alpha + age
        there = -shape * np.log1p(p * gap / rate)  # log P(alive when the window opens)
        silent = -shape * np.log1p(horizon / (rate + p * gap))  # log P(no purchase in it | that)
        return [np.exp(there) * -np.expm1(silent), -np.expm1(there) + np.exp(there + silent)]

    means = mean_if_alive(model, kernel, gap + horizon, x, age)
    return np.log(means[:, 0]), np.log(means[:, -1])


def log_odds_no_purchase(
    model: PurchaseModel,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    horizon: float,
    gap: float = 0,
) -> Array:
    """Log-odds of no purchase in [gap, gap + horizon) after the cutoff; always finite.

    Parameters and formula as in `p_no_purchase`; exact where the probability rounds to 0 or 1.

    Returns
    -------
    ndarray
    """
    x, t_x, age = floats(frequency, recency, T)
    dead_over_alive = log_dead_over_alive(model, x, t_x, age)
    log_alive, log_dead = log_expit(-dead_over_alive), log_expit(dead_over_alive)
    log_buys, log_none = p_purchase_if_alive(model, x, age, horizon, gap)
    odds: Array = np.logaddexp(log_dead, log_alive + log_none) - (log_alive + log_buys)
    return odds


def p_no_purchase(
    model: PurchaseModel,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    horizon: float,
    gap: float = 0,
) -> Array:
    """Probability of no purchase in [gap, gap + horizon) after the cutoff.

    With gap 0 this is 1 − p_alive · (1 − ((α+T)/(α+T+h))^(r+x)); with a gap, whoever is alive may
    also drop out during it, which takes the mean over p.

    Parameters
    ----------
    model : PurchaseModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.
    horizon, gap : float
        Days of the window and before it.

    Returns
    -------
    ndarray
    """
    odds = log_odds_no_purchase(model, frequency, recency, T, horizon, gap)
    none: Array = np.exp(log_expit(odds))
    return none
