"""How sure a total is: the models' own spread, widened by how totals missed in the past.

Totals of groups of customers are the sums of what is said of each, so that columns add up; their
intervals are drawn, since neither luck nor the parameters' errors are the same for a group as for
its members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from tenure.models.btyd import Array, BuyTillYouDie
from tenure.models.futures import HISTORY, lives
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase

__all__ = ["LEAST_ORIGINS", "likely_totals", "said_total", "widened"]

_LIVES = 200_000  # customers whose futures are drawn

LEAST_ORIGINS = 3
"""Past totals needed before their errors say anything; with fewer a total is "model only"."""


def likely_totals(
    purchases: BuyTillYouDie,
    spend: SpendModel,
    rfm: pd.DataFrame,
    days: float,
    said: tuple[Array, Array],
    groups: Mapping[str, npt.NDArray[np.intp]],
    *,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, Array]:
    """Draw what groups of customers together buy and bring.

    Every customer's futures are those of the purchase and spend models, in proportion of what is
    said of them to what the models expect. Of more than 200,000 customers every so many live on;
    totals of small groups then scatter a little too much, never too little.

    Parameters
    ----------
    purchases, spend : BuyTillYouDie, SpendModel
        In days and currency.
    rfm : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`.
    days : float
    said : (ndarray, ndarray)
        Purchases and value expected of each row.
    groups : mapping of str to ndarray of int
        By segmentation, the group of each row, from 0.
    draws, seed : int

    Returns
    -------
    dict
        By segmentation an array (2, groups, draws): purchases and value. The order of the rows
        does not matter.
    """
    table = rfm[HISTORY].astype("float64").reset_index(drop=True)
    table = table.assign(often=said[0], much=said[1], **{f"in {k}": v for k, v in groups.items()})
    table = table.sort_values([*map(str, table)], kind="stable", ignore_index=True)
    stands_for = max(1.0, len(table) / _LIVES)
    places = np.arange(0, len(table), stands_for).astype(np.intp)
    table = table.iloc[places].reset_index(drop=True)
    x, t_x, T, m = (table[c].to_numpy() for c in HISTORY)
    bought = expected_purchases(purchases, x, t_x, T, days)
    came = bought * spend_per_purchase(spend, x, m)
    often, much = (
        stands_for * np.divide(table[c], mean, out=np.zeros_like(mean), where=mean > 0)
        for c, mean in (("often", bought), ("much", came))
    )
    sizes = {name: int(np.max(group, initial=-1)) + 1 for name, group in groups.items()}
    drawn = {name: np.empty((2, size, draws)) for name, size in sizes.items()}
    futures = lives(purchases, spend, table, days, draws=draws, seed=seed)
    for j, (counts, amounts) in enumerate(futures):
        for name, size in sizes.items():
            here = table[f"in {name}"].to_numpy()
            drawn[name][0, :, j] = np.bincount(here, counts * often, minlength=size)
            drawn[name][1, :, j] = np.bincount(here, amounts * much, minlength=size)
    return drawn


def said_total(expected: float, futures: Array, errors: Sequence[float] = ()) -> dict[str, float]:
    """Return a total with its 90 % interval, from its futures and the errors of past totals."""
    low, high = (float(q) for q in np.quantile(futures, [0.05, 0.95]))
    lower, upper = widened(expected, min(low, expected), max(high, expected), errors)
    return {"expected": expected, "lower": lower, "upper": upper}


def widened(
    expected: float, lower: float, upper: float, errors: Sequence[float]
) -> tuple[float, float]:
    """Widen a total's 90 % interval by the errors of past totals.

    The errors are log(actual / expected). Taken as normal about 0, the next one lies with 90 %
    probability within t(.95, n) times their root mean square (n errors whose mean is known leave n
    degrees of freedom); the wider of this and the models' own interval holds at either end.

    Parameters
    ----------
    expected, lower, upper : float
        The total and the models' own 90 % interval.
    errors : sequence of float
        Log of actual over expected at past origins whose horizons do not overlap.

    Returns
    -------
    (float, float)
        As given where there are fewer than `LEAST_ORIGINS` errors.

    Examples
    --------
    >>> [round(v, 1) for v in widened(100.0, 95.0, 106.0, [0.05, -0.05, 0.05])]
    [88.9, 112.5]
    """
    if len(errors) < LEAST_ORIGINS:
        return lower, upper
    usual = float(np.sqrt(np.mean(np.square(errors))))
    reach = float(np.exp(student.ppf(0.95, len(errors)) * usual))
    return min(lower, expected / reach), max(upper, expected * reach)
