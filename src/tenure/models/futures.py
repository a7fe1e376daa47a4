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
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.models import btyd, spend
from tenure.models.btyd import Array, BuyTillYouDie, floats, p_alive
from tenure.models.spend import SpendModel

__all__ = ["likely_purchases", "likely_spend", "totals"]

M = TypeVar("M", bound=BuyTillYouDie)

_STEP = 1e-3  # of the logarithm of a parameter, for second differences
_UNKNOWN = 1.0  # standard error of a logarithm above which a direction counts as not determined


def _draws(fit: Callable[[Array], float], at: Array, draws: int, seed: int) -> Array:
    """Draw parameters about the optimum `at`, normal in their logarithms; shape (draws, k).

    The curvature is taken by second differences. Directions that the data do not determine, as
    where a parameter ran to the edge of sense, are held at the optimum.
    """
    centre, k = np.log(at), len(at)
    steps = _STEP * np.eye(k)

    def value(shift: Array) -> float:
        return fit(np.exp(centre + shift))

    curvature = np.array(
        [[value(u + v) - value(u - v) - value(v - u) + value(-u - v) for v in steps] for u in steps]
    ) / (4 * _STEP**2)
    information, directions = np.linalg.eigh(-(curvature + curvature.T) / 2)
    known = information > _UNKNOWN**-2
    errors = np.where(known, 1 / np.sqrt(np.where(known, information, 1.0)), 0.0)
    normal = np.random.default_rng([seed, k]).standard_normal((draws, k))
    drawn: Array = np.exp(centre + (normal * errors) @ directions.T)
    return drawn


def likely_purchases(model: M, rfm: pd.DataFrame, *, draws: int, seed: int) -> list[M]:
    """Draw purchase models that fit almost as well as the best one.

    Parameters
    ----------
    model : BuyTillYouDie
        The optimum.
    rfm : DataFrame
        `frequency`, `recency`, `T` of customers like those it was fitted to: what a customer says
        about the parameters counts `n_customers` times.
    draws, seed : int

    Returns
    -------
    list of models of that family
    """
    rows = rfm.groupby(["frequency", "recency", "T"]).size().rename("n").reset_index()
    x, t_x, T, count = (rows[c].to_numpy(dtype=np.float64) for c in rows)
    weights = count * (model.n_customers / count.sum())

    def fit(parameters: Array) -> float:
        one = dataclasses.replace(model, **dict(zip(model.NAMES, parameters.tolist(), strict=True)))
        return float(btyd.log_likelihood(one, x, t_x, T) @ weights)

    at = np.array([getattr(model, n) for n in model.NAMES])
    return [
        dataclasses.replace(model, **dict(zip(model.NAMES, one.tolist(), strict=True)))
        for one in _draws(fit, at, draws, seed)
    ]


def likely_spend(
    model: SpendModel,
    frequency: npt.ArrayLike,
    monetary_value: npt.ArrayLike,
    *,
    draws: int,
    seed: int,
) -> list[SpendModel]:
    """Draw spend models that fit almost as well as the best one; their q stays above 1.

    Parameters
    ----------
    model : SpendModel
        The optimum.
    frequency, monetary_value : array_like
        What it was fitted to.
    draws, seed : int

    Returns
    -------
    list of SpendModel
    """
    x, m = floats(frequency, monetary_value)
    used = (x > 0) & (m > 0) & np.isfinite(m)
    order = np.lexsort((m[used], x[used]))  # sums of doubles depend on their order
    x, m = x[used][order], m[used][order]

    def fit(parameters: Array) -> float:
        p, excess, v = parameters
        return float(spend.log_likelihood(p, 1 + excess, v, x, m).sum())

    # a model set by rule is no optimum: there is no curvature to read
    at = np.array([model.p, model.q - 1, model.v])
    if model.status == "fallback":
        return [model] * draws
    return [
        dataclasses.replace(model, p=float(p), q=1 + float(excess), v=float(v))
        for p, excess, v in _draws(fit, at, draws, seed)
    ]


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
    names = ["frequency", "recency", "T", "monetary_value"]
    rows = rfm[names].astype("float64").sort_values(names, kind="stable", ignore_index=True)
    x, t_x, T, m = (rows[c].to_numpy() for c in names)
    fits = [purchases] * draws
    if purchases.status != "fallback":
        fits = likely_purchases(purchases, rows, draws=draws, seed=seed)
    worths = likely_spend(money, x, m, draws=draws, seed=seed)
    found = np.empty((2, draws))
    rng = np.random.default_rng([seed, 0])
    for j, (timing, worth) in enumerate(zip(fits, worths, strict=True)):
        alive = timing.bought(x, T, days, rng)
        bought = np.where(rng.random(len(x)) < p_alive(timing, x, t_x, T), alive, 0.0)
        shape, scale = spend.posterior(worth, x, m)
        spread = rng.gamma(worth.p * bought) / rng.gamma(shape)
        found[:, j] = bought.sum(), (scale * spread).sum()
    return found[0], found[1]
