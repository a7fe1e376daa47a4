"""What one customer may bring: the middle 90 % of the law of the money spent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.models.btyd import BuyTillYouDie
from tenure.models.predictive import Leaving, laws
from tenure.models.spend import SpendModel

__all__ = ["interval"]

Array = npt.NDArray[np.float64]


def interval(
    purchases: BuyTillYouDie,
    spend: SpendModel,
    rfm: pd.DataFrame,
    mean: npt.ArrayLike,
    *,
    horizon_days: float,
    leaving: Leaving | None = None,
) -> tuple[Array, Array]:
    """Bounds between which a customer's realised value falls with 90 % probability.

    The 5 % and 95 % points of the law of the money spent within the horizon, in each customer's
    proportion of mean value to mean money, which brings discount, margin and, roughly, costs in:
    a customer's purchases are discounted alike, and the law has the mean that is reported. Widened
    to contain it: where one customer in thirty buys, 95 in 100 bring nothing.

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
