"""The most that a campaign could earn by a model's ranking: MPC and EMPC.

Both price the convex hull of the ROC curve, so they judge the ranking at its best threshold, with
one value for every customer. What a campaign really earns by each customer's own value and by the
model's own threshold is told by `campaign`.

References
----------
Verbraken, Verbeke & Baesens (2013), "A novel profit maximizing metric for measuring classification
performance of customer churn prediction models", IEEE Transactions on Knowledge and Data
Engineering 25(5), equations 9 and 14. The paper codes churn as 0; here 1 has churned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc

from tenure.evaluation.metrics import Hull, Tally

__all__ = ["CONCENTRATION", "Prices", "empc", "mpc", "profit_metrics"]

Array = NDArray[np.float64]

CONCENTRATION = 20.0
"""α + β of the accept rate's distribution: the paper's Beta(6, 14), which has mean .3. Another mean
a takes Beta(20·a, 20·(1 − a)), so that one is as sure of it as the paper is of its own."""


@dataclass(frozen=True)
class Prices:
    """What contacting one customer brings and costs, in one currency.

    Parameters
    ----------
    value : float
        What keeping a churner saves, before the incentive; the same for all customers.
    incentive, contact_cost : float
        An accepted offer, and any contact; 0 or more.
    accept_rate : float
        Share of churners who accept and stay, 0 < rate <= 1.
    stayers_take_rate : float
        Share of stayers who take the incentive all the same, 0 to 1; the paper's is 1.
    """

    value: float
    incentive: float
    contact_cost: float
    accept_rate: float
    stayers_take_rate: float = 1.0

    def margins(self, rate: Array) -> tuple[Array, Array]:
        """Return gain per accepted offer, and certain cost, of one contact at this churn rate."""
        taken = (1 - rate) * self.stayers_take_rate * self.incentive
        return rate * (self.value - self.incentive), taken + self.contact_cost


def mpc(tally: Tally, prices: Prices) -> Array:
    """Maximum profit of a campaign, per customer of the base: equation 9 of the paper.

    Contacting the best share of the ranking: Σ w·max(0, q·(γ·(V − d) − f) − (1 − q)·(s·d + f))
    over the hull's segments with share w and churn rate q; γ accept rate, V value, d incentive,
    f contact cost, s the stayers' take rate.

    Examples
    --------
    >>> flat = Tally.of([1, 0], [0.5, 0.5])
    >>> mpc(flat, Prices(value=200, incentive=10, contact_cost=1, accept_rate=0.3)).tolist()
    [22.5]
    """
    return _priced(tally, lambda hull: _at_most(hull, prices))


def empc(tally: Tally, prices: Prices) -> Array:
    """Maximum profit expected when the accept rate is uncertain: equation 14 of the paper.

    γ ~ Beta(α, β) with mean `prices.accept_rate` and α + β = `CONCENTRATION`, and for each γ the
    threshold that is best then. A segment is contacted where γ exceeds its own break-even, so each
    has a closed form. With an accept rate of 1 nothing is uncertain and it is the MPC.

    Examples
    --------
    >>> flat = Tally.of([1, 0], [0.5, 0.5])
    >>> empc(flat, Prices(value=200, incentive=10, contact_cost=1, accept_rate=0.3)).round(3)
    array([22.501])
    """
    if prices.accept_rate == 1:
        return mpc(tally, prices)
    return _priced(tally, lambda hull: _expected(hull, prices))


def profit_metrics(prices: Prices) -> Mapping[str, Callable[[Tally], Array]]:
    """Return MPC and EMPC at these prices, by name."""
    return {"mpc": partial(mpc, prices=prices), "empc": partial(empc, prices=prices)}


def _priced(tally: Tally, price: Callable[[Hull], float]) -> Array:
    return np.array([price(hull) for hull in tally.hulls])


def _at_most(hull: Hull, prices: Prices) -> float:
    gain, cost = prices.margins(hull.rate)
    return float(hull.share @ np.maximum(prices.accept_rate * gain - cost, 0))


def _expected(hull: Hull, prices: Prices) -> float:
    """Integrate max(0, γ·gain − cost) over γ, segment by segment."""
    alpha = CONCENTRATION * prices.accept_rate
    beta = CONCENTRATION - alpha
    gain, cost = prices.margins(hull.rate)
    worth = gain > cost  # at γ = 1; elsewhere nobody would be contacted whatever γ
    gain, cost = gain[worth], cost[worth]
    from_here = cost / gain
    accepted = prices.accept_rate * (1 - betainc(alpha + 1, beta, from_here))
    return float(hull.share[worth] @ (gain * accepted - cost * betaincc(alpha, beta, from_here)))
