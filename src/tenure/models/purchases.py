"""What is expected after the cutoff: purchases, their timing, and silence; for every family.

Being alive at the cutoff is one thing, what who is alive will do is another; the family knows both
(`btyd.BuyTillYouDie`) and the functions here put them together.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit

from tenure.models.btyd import Array, BuyTillYouDie, floats, p_alive

__all__ = [
    "expected_purchases",
    "log_odds_no_purchase",
    "p_no_purchase",
    "p_purchase_if_alive",
    "purchases_by_step",
    "silent_purchases_by_step",
]


def expected_purchases(
    model: BuyTillYouDie,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    t: npt.ArrayLike,
) -> Array:
    """Return the purchases expected within `t` after the cutoff; not discounted.

    Fader, Hardie & Lee (2005), equation 10, as p_alive · E[(1 − e^(−λpt)) / p]; for Pareto/NBD
    Fader & Hardie (2005), equation 41.

    Parameters
    ----------
    model : BuyTillYouDie
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.
    t : array_like
        Days ahead, one for all or one a row.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> from tenure.models.btyd import PurchaseModel
    >>> model = PurchaseModel("bg_nbd", .2426, 4.4136, .7929, 2.4259, -9582.43, "converged", 2357)
    >>> expected_purchases(model, 2, 30.43, 38.86, 39).round(3)  # the paper's example, in weeks
    array([1.226])
    """
    x, t_x, age, ahead = floats(frequency, recency, T, t)
    return p_alive(model, x, t_x, age) * model.bought_by(x, age, ahead[:, None])[:, 0]


def purchases_by_step(
    model: BuyTillYouDie, frequency: npt.ArrayLike, T: npt.ArrayLike, edges: npt.ArrayLike
) -> Array:
    """Return the purchases expected in each step of a grid, given alive at the cutoff.

    Parameters
    ----------
    model : BuyTillYouDie
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
    return np.diff(model.bought_by(x, age, grid[None, :]), axis=1)


def silent_purchases_by_step(
    model: BuyTillYouDie,
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
    model : BuyTillYouDie
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
    return model.silent_by_step(x, age, grid, horizon, gap)


def p_purchase_if_alive(
    model: BuyTillYouDie, frequency: npt.ArrayLike, T: npt.ArrayLike, horizon: float, gap: float = 0
) -> tuple[Array, Array]:
    """Probabilities of a purchase and of none in [gap, gap + horizon), given alive at the cutoff.

    Both are returned since either may be far below the rounding of the other.

    Parameters
    ----------
    model : BuyTillYouDie
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
    return model.log_purchase(x, age, horizon, gap)


def log_odds_no_purchase(
    model: BuyTillYouDie,
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
    dead_over_alive = model.log_dead_over_alive(x, t_x, age)
    log_alive, log_dead = log_expit(-dead_over_alive), log_expit(dead_over_alive)
    log_buys, log_none = p_purchase_if_alive(model, x, age, horizon, gap)
    odds: Array = np.logaddexp(log_dead, log_alive + log_none) - (log_alive + log_buys)
    return odds


def p_no_purchase(
    model: BuyTillYouDie,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    horizon: float,
    gap: float = 0,
) -> Array:
    """Probability of no purchase in [gap, gap + horizon) after the cutoff.

    For BG/NBD and MBG/NBD with gap 0 this is 1 − p_alive · (1 − ((α+T)/(α+T+h))^(r+x)); with a gap,
    and for Pareto/NBD always, whoever is alive may also leave before they would have bought.

    Parameters
    ----------
    model : BuyTillYouDie
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
