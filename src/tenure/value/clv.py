"""What a customer is worth: purchases over a horizon × spend, discounted to the cutoff."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.models.btyd import BuyTillYouDie, p_alive
from tenure.models.purchases import (
    p_no_purchase,
    p_purchase_if_alive,
    purchases_by_step,
    silent_purchases_by_step,
)
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value.discounting import check, discount, grid

__all__ = ["ConditionalValues", "clv", "combine", "conditional_values", "value_at_risk"]

Array = npt.NDArray[np.float64]


class ConditionalValues(NamedTuple):
    """Value by what happens in the label window; one entry a customer.

    Attributes
    ----------
    V_A : ndarray
        Value over the horizon of who buys in the label window.
    V_0 : ndarray
        Value over the same horizon of who does not: a silence is not the end.
    p0 : ndarray
        The purchase model's own probability of no purchase in the label window.
    """

    V_A: Array
    V_0: Array
    p0: Array


def _money(spend: SpendModel, rfm: pd.DataFrame, margin: float, cost_to_serve: float) -> Array:
    """Return what a purchase day brings once it is served; never below 0."""
    x, m = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "monetary_value"))
    return np.maximum(margin * spend_per_purchase(spend, x, m) - cost_to_serve, 0.0)


def clv(
    purchases: BuyTillYouDie,
    spend: SpendModel,
    rfm: pd.DataFrame,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    margin: float,
    cost_to_serve: float = 0.0,
) -> Array:
    """Discounted value of the purchases expected within the horizon, by BTYD alone.

    The sum over steps of at most 30 days of expected purchases × spend × (1 + d)^(−t/365), t the
    middle of the step; the last step is cut at the horizon, never rounded up.

    Parameters
    ----------
    purchases : BuyTillYouDie
        In days.
    spend : SpendModel
    rfm : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`; days and currency.
    horizon_days : float
        Above 0.
    annual_discount_rate : float
        0.10 is ten percent a year.
    margin : float
        Share of spend that is kept; 1.0 means that value is revenue.
    cost_to_serve : float
        Of a purchase day, in the currency of the data; what it brings is never below 0.

    Returns
    -------
    ndarray
        In the currency of the data.

    Raises
    ------
    ConfigError
        If horizon, discount rate or margin make no sense.
    """
    check(horizon_days, annual_discount_rate, margin)
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T"))
    edges = grid(horizon_days)
    bought = purchases_by_step(purchases, x, T, edges) @ discount(edges, annual_discount_rate)
    return p_alive(purchases, x, t_x, T) * bought * _money(spend, rfm, margin, cost_to_serve)


def conditional_values(
    purchases: BuyTillYouDie,
    spend: SpendModel,
    rfm: pd.DataFrame,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    margin: float,
    cost_to_serve: float = 0.0,
    label_horizon_days: float,
    gap_days: float = 0,
) -> ConditionalValues:
    """Value given a purchase, and given none, in the label window [gap, gap + label horizon).

    Posterior means of the discounted value over `horizon_days`, from the cutoff on, so that
    (1 − p0)·V_A + p0·V_0 is the value by BTYD alone on this grid, which has both ends of the label
    window as edges. Without a gap V_A ≥ V_0 ≥ 0: who buys sooner buys no less. With one, V_A may be
    below V_0 where most leave after any purchase and the horizon ends before the window does.

    Parameters
    ----------
    purchases, spend, rfm, horizon_days, annual_discount_rate, margin, cost_to_serve
        As in `clv`.
    label_horizon_days, gap_days : float
        Days of the label window, and between the cutoff and it.

    Returns
    -------
    ConditionalValues

    Raises
    ------
    ConfigError
        If horizon, discount rate or margin make no sense.
    """
    check(horizon_days, annual_discount_rate, margin)
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T"))
    window = {"horizon": label_horizon_days, "gap": gap_days}
    edges = grid(horizon_days, gap_days, gap_days + label_horizon_days)
    factors = discount(edges, annual_discount_rate)
    everybody = purchases_by_step(purchases, x, T, edges) @ factors
    silent = silent_purchases_by_step(purchases, x, T, edges, **window) @ factors
    log_buys, _ = p_purchase_if_alive(purchases, x, T, **window)
    p0 = p_no_purchase(purchases, x, t_x, T, **window)
    money = _money(spend, rfm, margin, cost_to_serve)
    # the dead neither buy in the window nor later: being alive cancels in V_A
    V_A = money * np.maximum(everybody - silent, 0) / np.exp(log_buys)
    V_0 = money * p_alive(purchases, x, t_x, T) * silent / p0
    return ConditionalValues(V_A, V_0, p0)


def combine(p: npt.ArrayLike, V_A: npt.ArrayLike, V_0: npt.ArrayLike) -> Array:
    """Value when no purchase in the label window has probability `p`: (1 − p)·V_A + p·V_0.

    Examples
    --------
    >>> combine([0.25], [100.0], [20.0])
    array([80.])
    """
    leaves, if_stays, if_leaves = (np.asarray(c, dtype=np.float64) for c in (p, V_A, V_0))
    return (1 - leaves) * if_stays + leaves * if_leaves


def value_at_risk(p: npt.ArrayLike, V_A: npt.ArrayLike, V_0: npt.ArrayLike) -> Array:
    """Value lost on average by leaving: p·(V_A − V_0), never below 0.

    Examples
    --------
    >>> value_at_risk([0.25], [100.0], [20.0])
    array([20.])
    """
    leaves, if_stays, if_leaves = (np.asarray(c, dtype=np.float64) for c in (p, V_A, V_0))
    return np.maximum(leaves * (if_stays - if_leaves), 0.0)
