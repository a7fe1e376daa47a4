"""What a customer is worth: purchases over a horizon × spend, discounted to the cutoff."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.config import CampaignConfig
from tenure.errors import ConfigError, listing
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.predictive import Leaving, laws
from tenure.models.purchases import (
    p_no_purchase,
    p_purchase_if_alive,
    purchases_by_step,
    silent_purchases_by_step,
)
from tenure.models.spend import SpendModel, spend_per_purchase

__all__ = [
    "ConditionalValues",
    "clv",
    "combine",
    "conditional_values",
    "expected_saved_value",
    "interval",
    "value_at_risk",
]

Array = npt.NDArray[np.float64]

_LONGEST_STEP = 30.0  # days
_YEAR = 365.0


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


def _check(horizon_days: float, annual_discount_rate: float, margin: float) -> None:
    problems = [
        f"clv.{name}: must be {rule}, got {got!r}."
        for name, got, rule, fits in (
            ("horizon_days", horizon_days, "above 0", 0 < horizon_days < np.inf),
            ("annual_discount_rate", annual_discount_rate, "0 or more", annual_discount_rate >= 0),
            ("margin", margin, "above 0 and at most 1", 0 < margin <= 1),
        )
        if not fits
    ]
    if problems:
        raise ConfigError(listing("value", problems))


def _grid(horizon_days: float, *breaks: float) -> Array:
    """Edges from 0 to the horizon, steps of at most 30 days, each break an edge.

    Examples
    --------
    >>> _grid(75, 45).tolist()
    [0.0, 30.0, 45.0, 75.0]
    """
    ends = sorted({0.0, float(horizon_days), *(b for b in breaks if 0 < b < horizon_days)})
    starts = [np.arange(u, v, _LONGEST_STEP) for u, v in pairwise(ends)]
    return np.append(np.concatenate(starts), ends[-1])


def _discount(edges: Array, annual_discount_rate: float) -> Array:
    """Discount factor (1 + d)^(−t/365) at the middle of each step."""
    middles = (edges[:-1] + edges[1:]) / 2
    factors: Array = (1 + annual_discount_rate) ** (-middles / _YEAR)
    return factors


def _money(spend: SpendModel, rfm: pd.DataFrame, margin: float) -> Array:
    x, m = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "monetary_value"))
    return margin * spend_per_purchase(spend, x, m)


def clv(
    purchases: PurchaseModel,
    spend: SpendModel,
    rfm: pd.DataFrame,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    margin: float,
) -> Array:
    """Discounted value of the purchases expected within the horizon, by BTYD alone.

    The sum over steps of at most 30 days of expected purchases × spend × (1 + d)^(−t/365), t the
    middle of the step; the last step is cut at the horizon, never rounded up.

    Parameters
    ----------
    purchases : PurchaseModel
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

    Returns
    -------
    ndarray
        In the currency of the data.

    Raises
    ------
    ConfigError
        If horizon, discount rate or margin make no sense.
    """
    _check(horizon_days, annual_discount_rate, margin)
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T"))
    edges = _grid(horizon_days)
    bought = purchases_by_step(purchases, x, T, edges) @ _discount(edges, annual_discount_rate)
    return p_alive(purchases, x, t_x, T) * bought * _money(spend, rfm, margin)


def conditional_values(
    purchases: PurchaseModel,
    spend: SpendModel,
    rfm: pd.DataFrame,
    *,
    horizon_days: float,
    annual_discount_rate: float,
    margin: float,
    label_horizon_days: float,
    gap_days: float = 0,
) -> ConditionalValues:
    """Value given a purchase, and given none, in the label window [gap, gap + label horizon).

    Posterior means of the discounted value over `horizon_days`, from the cutoff on, so that
    (1 − p0)·V_A + p0·V_0 is the value by BTYD alone on this grid, which has both ends of the label
    window as edges. V_A ≥ V_0 ≥ 0 always: who buys sooner buys no less.

    Parameters
    ----------
    purchases, spend, rfm, horizon_days, annual_discount_rate, margin
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
    _check(horizon_days, annual_discount_rate, margin)
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T"))
    window = {"horizon": label_horizon_days, "gap": gap_days}
    edges = _grid(horizon_days, gap_days, gap_days + label_horizon_days)
    discount = _discount(edges, annual_discount_rate)
    everybody = purchases_by_step(purchases, x, T, edges) @ discount
    silent = silent_purchases_by_step(purchases, x, T, edges, **window) @ discount
    log_buys, _ = p_purchase_if_alive(purchases, x, T, **window)
    p0 = p_no_purchase(purchases, x, t_x, T, **window)
    money = _money(spend, rfm, margin)
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


def expected_saved_value(
    p: npt.ArrayLike, V_A: npt.ArrayLike, V_0: npt.ArrayLike, campaign: CampaignConfig
) -> Array:
    """Value that contacting the customer is expected to save, all costs paid.

    p·accept_rate·(V_A − V_0 − incentive) − (1 − p)·stayers_take_rate·incentive − contact_cost.
    With p = 1 or 0 it is what contacting one who leaves, or one who stays, brings.

    Examples
    --------
    >>> costs = CampaignConfig(contact_cost=1, incentive=10, accept_rate=0.3)
    >>> expected_saved_value([1.0, 0.0, 0.5], 120.0, 20.0, costs)
    array([ 26. , -11. ,   7.5])
    """
    leaves, if_stays, if_leaves = (np.asarray(c, dtype=np.float64) for c in (p, V_A, V_0))
    kept = leaves * campaign.accept_rate * (if_stays - if_leaves - campaign.incentive)
    given_away = (1 - leaves) * campaign.stayers_take_rate * campaign.incentive
    return kept - given_away - campaign.contact_cost


def interval(
    purchases: PurchaseModel,
    spend: SpendModel,
    rfm: pd.DataFrame,
    mean: npt.ArrayLike,
    *,
    horizon_days: float,
    leaving: Leaving | None = None,
) -> tuple[Array, Array]:
    """Bounds between which a customer's realised value falls with 90 % probability.

    The 5 % and 95 % points of the law of the money spent within the horizon, in each customer's
    proportion of mean value to mean money, which brings discount and margin in: a customer's
    purchases are discounted alike, and the law has the mean that is reported. Widened to contain
    it: where one customer in thirty buys, 95 in 100 bring nothing.

    Parameters
    ----------
    purchases, spend, rfm
        As in `clv`.
    mean : array_like
        Value of each customer, from `clv` or `combine`.
    horizon_days : float
    leaving : Leaving, optional
        The calibrated chance behind `mean`, where it was combined with one.

    Returns
    -------
    tuple of ndarray
        Lower and upper bound, in the currency of the data.
    """
    expected = np.broadcast_to(np.asarray(mean, dtype=np.float64), (len(rfm),))
    bounds = np.empty((2, len(rfm)))
    for law in laws(purchases, spend, rfm, horizon_days, leaving):
        here, money = expected[law.rows], law.expected_money
        kept = np.divide(here, money, out=np.zeros_like(here), where=money > 0)
        low, high = law.money_at(0.05, 0.95)
        bounds[:, law.rows] = np.minimum(kept * low, here), np.maximum(kept * high, here)
    return bounds[0], bounds[1]
