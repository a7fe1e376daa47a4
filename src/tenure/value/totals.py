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

__all__ = ["LEAST_ORIGINS", "likely_totals", "missed", "said_total", "widened"]

_LEAST_CAME = 0.01  # of what was expected
_LIVES = 200_000  # customers whose futures are drawn
_FEW = 500  # customers of a group, all of whom are drawn however many there are

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
    said of them to what the models expect. Of more than 200,000 customers all of small groups live
    on, and every so many of the others, whose totals then scatter too much, not too little; the
    means of all groups stay what is said.

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
    weight = _stands_for([table[f"in {name}"].to_numpy() for name in groups], len(table))
    means = {name: _means(table, name, weight) for name in groups}
    table = table[weight > 0].reset_index(drop=True)
    weight = weight[weight > 0]
    x, t_x, T, m = (table[c].to_numpy() for c in HISTORY)
    bought = expected_purchases(purchases, x, t_x, T, days)
    came = bought * spend_per_purchase(spend, x, m)
    often, much = (
        weight * np.divide(table[c], mean, out=np.zeros_like(mean), where=mean > 0)
        for c, mean in (("often", bought), ("much", came))
    )
    drawn = {name: np.empty((*mean.shape, draws)) for name, mean in means.items()}
    futures = lives(purchases, spend, table, days, draws=draws, seed=seed)
    for j, (counts, amounts) in enumerate(futures):
        for name, ratio in means.items():
            here, size = table[f"in {name}"].to_numpy(), ratio.shape[1]
            drawn[name][0, :, j] = np.bincount(here, counts * often, minlength=size)
            drawn[name][1, :, j] = np.bincount(here, amounts * much, minlength=size)
    return {name: futures * means[name][:, :, None] for name, futures in drawn.items()}


def _stands_for(groups: Sequence[npt.NDArray[np.intp]], n: int) -> Array:
    """Return how many customers each of n stands for: 0 where others do that for them."""
    if n <= _LIVES:
        return np.ones(n)
    is_few = np.zeros(n, dtype=bool)
    for group in groups:
        is_few |= np.bincount(group)[group] <= _FEW
    rest = np.flatnonzero(~is_few)
    most = min(len(rest), max(_LIVES - int(is_few.sum()), _FEW))
    weight = is_few.astype(np.float64)
    weight[rest[np.arange(most) * len(rest) // max(most, 1)]] = len(rest) / max(most, 1)
    return weight


def _means(table: pd.DataFrame, name: str, weight: Array) -> Array:
    """Return what is said of each group over what is said of who lives on; 1 where all do."""
    here = table[f"in {name}"].to_numpy()
    size = int(here.max(initial=-1)) + 1
    ratios = np.ones((2, size))
    for ratio, column in zip(ratios, ("often", "much"), strict=True):
        whole, some = (np.bincount(here, table[column] * w, size) for w in (1.0, weight))
        np.divide(whole, some, out=ratio, where=some > 0)
    return ratios


def said_total(expected: float, futures: Array, errors: Sequence[float] = ()) -> dict[str, float]:
    """Return a total with its 90 % interval, from its futures and the errors of past totals."""
    low, high = (float(q) for q in np.quantile(futures, [0.05, 0.95]))
    lower, upper = widened(expected, min(low, expected), max(high, expected), errors)
    return {"expected": expected, "lower": lower, "upper": upper}


def missed(actual: float, expected: float) -> float | None:
    """Return log(actual / expected) of a past total; None where nothing was expected.

    What came counts as at least 1 % of what was expected, so that the worst misses, where nothing
    came or refunds ate it up, widen the most instead of being left out.

    Examples
    --------
    >>> round(missed(110.0, 100.0), 4), round(missed(-5.0, 100.0), 4)
    (0.0953, -4.6052)
    """
    if not expected > 0:
        return None
    return float(np.log(max(actual / expected, _LEAST_CAME)))


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
