"""What all customers together may do: futures of the whole company, drawn one after another.

The law of a sum has no closed form, so a total's interval is drawn: each future takes parameters
that the data could as well have given, and then lets every customer live on by them. Errors of the
parameters are common to all customers and do not average out; on a large log they decide the width.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
Gelman et al. (2013), "Bayesian Data Analysis", section 4.1 (the normal approximation).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import pandas as pd

from tenure.models import spend
from tenure.models.btyd import Array, BuyTillYouDie, p_alive
from tenure.models.optimum import drawn
from tenure.models.spend import SpendModel

__all__ = ["HISTORY", "RFM", "likely_purchases", "likely_spend", "lives", "totals"]

M = TypeVar("M", bound=BuyTillYouDie)

RFM = ["frequency", "recency", "T"]
HISTORY = [*RFM, "monetary_value"]


def likely_purchases(model: M, *, draws: int, seed: int) -> list[M]:
    """Draw purchase models that fit almost as well as the best one.

    About its parameters with the covariance of their logarithms; directions that the data do not
    determine, as where a parameter ran to the edge of sense, are held.

    Parameters
    ----------
    model : BuyTillYouDie
        The optimum; without a covariance nothing scatters.
    draws, seed : int

    Returns
    -------
    list of models of that family
    """
    at = np.array([getattr(model, n) for n in model.NAMES])
    if not model.covariance:
        return [model] * draws
    return [
        dataclasses.replace(model, **dict(zip(model.NAMES, one.tolist(), strict=True)))
        for one in drawn(at, np.array(model.covariance), draws, seed)
    ]


def likely_spend(model: SpendModel, *, draws: int, seed: int) -> list[SpendModel]:
    """Draw spend models that fit almost as well as the best one; their q stays above 1.

    Parameters
    ----------
    model : SpendModel
        The optimum; one set by rule is no optimum, and nothing scatters.
    draws, seed : int

    Returns
    -------
    list of SpendModel
    """
    if model.status == "fallback" or not model.covariance:
        return [model] * draws
    excess = model.q - 1
    in_excess = np.array([1.0, model.q / excess, 1.0])  # d log(q − 1) / d log q
    spread = np.array(model.covariance) * np.outer(in_excess, in_excess)
    at = np.array([model.p, excess, model.v])
    return [
        dataclasses.replace(model, p=p, q=1 + above, v=v)
        for p, above, v in drawn(at, spread, draws, seed).tolist()
    ]


def lives(
    purchases: BuyTillYouDie,
    money: SpendModel,
    rows: pd.DataFrame,
    days: float,
    *,
    draws: int,
    seed: int,
) -> Iterator[tuple[Array, Array]]:
    """Yield, future by future, what each row buys and spends within `days`; undiscounted.

    Parameters
    ----------
    purchases, money : BuyTillYouDie, SpendModel
    rows : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`; in an order of their own, since each draws
        from one stream of random numbers.
    days : float
    draws, seed : int

    Yields
    ------
    tuple of ndarray
        Purchases and money, a number a row.
    """
    x, t_x, T, m = (rows[c].to_numpy(dtype=np.float64) for c in HISTORY)
    fits = likely_purchases(purchases, draws=draws, seed=seed)
    worths = likely_spend(money, draws=draws, seed=seed)
    rng = np.random.default_rng([seed, 0])
    for timing, worth in zip(fits, worths, strict=True):
        alive = timing.bought(x, T, days, rng)
        bought = np.where(rng.random(len(x)) < p_alive(timing, x, t_x, T), alive, 0.0)
        shape, scale = spend.posterior(worth, x, m)
        yield bought, scale * (rng.gamma(worth.p * bought) / rng.gamma(shape))


def totals(
    purchases: BuyTillYouDie,
    money: SpendModel,
    rfm: pd.DataFrame,
    days: float,
    *,
    draws: int = 200,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Draw what all customers together buy and spend within `days`; undiscounted.

    Parameters
    ----------
    purchases, money : BuyTillYouDie, SpendModel
        Fitted to these rows.
    rfm : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`; the order of the rows does not matter.
    days : float
    draws, seed : int

    Returns
    -------
    tuple of ndarray
        Purchases and money of each future.
    """
    rows = rfm[HISTORY].astype("float64").sort_values(HISTORY, kind="stable", ignore_index=True)
    futures = lives(purchases, money, rows, days, draws=draws, seed=seed)
    sums = np.array([(bought.sum(), came.sum()) for bought, came in futures])
    return sums[:, 0], sums[:, 1]
