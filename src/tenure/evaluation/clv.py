"""How close predicted values came to what customers did, beside simple baselines.

Every figure comes with a 90 % interval: customers are drawn again with replacement, the models
stay as they are. No figure depends on the order of the rows: customers with equal predictions
share their rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure.evaluation.metrics import equal_mass_bins

__all__ = ["METRICS", "baselines", "coverage", "deciles", "holdout", "mean", "measure"]

Array = npt.NDArray[np.float64]
Figure = dict[str, float | None]

METRICS = ("mae", "rmse", "bias", "bias_total", "spearman", "gini")


class _Ranking:
    """Customers grouped by one column, lowest first; who ties shares a group."""

    def __init__(self, values: Array) -> None:
        levels, self.group = np.unique(values, return_inverse=True)
        self.groups = len(levels)

    def sums(self, weights: Array) -> Array:
        """Sum by group."""
        return np.bincount(self.group, weights, minlength=self.groups).astype(np.float64)

    def ranks(self, weights: Array) -> Array:
        """Mid-rank of every customer among weighted customers."""
        in_group = self.sums(weights)
        middle: Array = (np.cumsum(in_group) - in_group / 2)[self.group]
        return middle

    def area(self, weights: Array, amounts: Array) -> float:
        """Area between the diagonal and the cumulative share of amounts, not yet normalised.

        A straight line across ties is the mean over all their orders.
        """
        money = self.sums(weights * amounts)
        until = np.cumsum(money)
        return float(self.sums(weights) @ (until[-1] / 2 - (until - money / 2)))


def _correlation(u: Array, v: Array, weights: Array) -> float:
    """Weighted Pearson correlation; 0 where either does not vary."""
    du, dv = u - np.average(u, weights=weights), v - np.average(v, weights=weights)
    scale = float(np.sqrt((weights @ du**2) * (weights @ dv**2)))
    return float((weights * du) @ dv) / scale if scale > 0 else 0.0


def _figures(
    actual: Array, predicted: Array, by_actual: _Ranking, by_predicted: _Ranking, weights: Array
) -> list[float]:
    """Every metric, in the order of `METRICS`; NaN where undefined."""
    error = predicted - actual
    n, sold, missed = weights.sum(), weights @ actual, weights @ error
    best = by_actual.area(weights, actual)
    won = by_predicted.area(weights, actual)
    return [
        weights @ np.abs(error) / n,
        np.sqrt(weights @ error**2 / n),
        missed / sold if sold > 0 else np.nan,
        missed,
        _correlation(by_actual.ranks(weights), by_predicted.ranks(weights), weights),
        won / best if best > 0 else np.nan,
    ]


def measure(
    actual: npt.ArrayLike, predicted: npt.ArrayLike, *, draws: int = 400, seed: int = 0
) -> dict[str, Figure]:
    """Compare predictions with outcomes, one of each a customer.

    Parameters
    ----------
    actual, predicted : array_like
        In purchases or in money over the same horizon.
    draws : int
        Bootstrap draws of customers; 0 leaves the intervals out (None).
    seed : int
        Of the draws; the same seed and number of customers give the same draws.

    Returns
    -------
    dict
        For each of `METRICS` its `value`, `lower` and `upper` (5 % and 95 %):
        `mae` and `rmse` per customer; `bias` = predicted / actual total − 1; `bias_total` =
        predicted − actual total; `spearman`, 0 if all predictions are equal; `gini`, the area won
        by ranking on predictions as a share of the area that the actual order wins. None where
        the outcomes leave a figure undefined (nothing came, or less: no relative bias; nobody
        bought: no Gini).

    Raises
    ------
    ValueError
        If the columns differ in length, are empty, or hold anything not finite.

    Examples
    --------
    >>> measure([0.0, 10.0, 30.0], [5.0, 5.0, 20.0], draws=0)["bias"]["value"]
    -0.25
    """
    y, guess = (np.asarray(c, dtype=np.float64) for c in (actual, predicted))
    if y.shape != guess.shape or y.ndim != 1 or not len(y):
        raise ValueError(f"measure: needs two equal, non-empty columns, got {y.shape, guess.shape}")
    if not np.isfinite(y + guess).all():
        bad = int((~np.isfinite(y + guess)).sum())
        raise ValueError(f"measure: {bad} of {len(y)} rows are missing or infinite")
    rankings = _Ranking(y), _Ranking(guess)
    point = _figures(y, guess, *rankings, np.ones(len(y)))
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, len(METRICS)))
    for row in drawn:  # one draw at a time stays in the cache: ten times faster than all at once
        weights = np.bincount(rng.integers(len(y), size=len(y)), minlength=len(y))
        row[:] = _figures(y, guess, *rankings, weights.astype(np.float64))
    return {m: _figure(v, drawn[:, k]) for k, (m, v) in enumerate(zip(METRICS, point, strict=True))}


def _figure(value: float, drawn: Array) -> Figure:
    """Value and 90 % interval; None for what is undefined."""
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return {"value": None, "lower": None, "upper": None}
    if not len(known):
        return {"value": float(value), "lower": None, "upper": None}
    lower, upper = (float(q) for q in np.quantile(known, [0.05, 0.95]))
    return {"value": float(value), "lower": lower, "upper": upper}


def baselines(
    frequency: npt.ArrayLike,
    T: npt.ArrayLike,
    monetary_value: npt.ArrayLike,
    *,
    horizon_days: float,
) -> dict[str, tuple[Array, Array]]:
    """Predict purchases and spend by rules that need no model.

    Parameters
    ----------
    frequency, T, monetary_value : array_like
        Repeat purchase days, days since the first purchase, mean spend per repeat purchase day.
    horizon_days : float

    Returns
    -------
    dict
        `past_rate`: every customer goes on at frequency / T (0 at T = 0) and spends as before;
        `always_zero`: nobody buys again. Each as (purchases, value).
    """
    x, age, m = (np.asarray(c, dtype=np.float64) for c in (frequency, T, monetary_value))
    bought = np.divide(x, age, out=np.zeros_like(x), where=age > 0) * horizon_days
    spent = bought * np.where((x > 0) & np.isfinite(m), m, 0.0)
    nothing = np.zeros_like(bought)
    return {"past_rate": (bought, spent), "always_zero": (nothing, nothing)}


def holdout(
    actual_purchases: npt.ArrayLike,
    actual_value: npt.ArrayLike,
    predictions: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    draws: int = 400,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Figure]]]:
    """Judge several predictions on the same customers and the same draws.

    Parameters
    ----------
    actual_purchases, actual_value : array_like
        What each customer did within the horizon: purchase days, and money.
    predictions : mapping of str to (purchases, value)
        By name; the model and its `baselines` go through the same function.
    draws, seed : int
        As in `measure`.

    Returns
    -------
    dict
        name → {"value", "purchases"} → metric → figure.
    """
    return {
        name: {
            "value": measure(actual_value, value, draws=draws, seed=seed),
            "purchases": measure(actual_purchases, purchases, draws=draws, seed=seed),
        }
        for name, (purchases, value) in predictions.items()
    }


def deciles(
    predicted: npt.ArrayLike,
    columns: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    draws: int = 400,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Hold what was expected of ten groups of customers against what they did.

    Parameters
    ----------
    predicted : array_like
        What customers are sorted by. Customers with equal predictions stay together, in the tenth
        where their middle falls; so tenths may differ in size, and one without anybody is absent.
    columns : mapping of str to (predicted, actual)
        What is summed, as `value` and `purchases`.
    draws, seed : int
        Bootstrap draws of the customers of each group, for the actual figures.

    Returns
    -------
    list of dict
        From the highest predictions (`decile` 1) to the lowest: `decile`, `customers`, and for
        each column `expected_total`, `actual_total`, `expected_mean`, `actual_mean`; the actual
        ones with their 90 % interval.
    """
    levels, place = np.unique(-np.asarray(predicted, dtype=np.float64), return_inverse=True)
    group = equal_mass_bins(np.bincount(place, minlength=len(levels)).astype(np.float64))[place]
    table = []
    for number in np.unique(group):
        here = group == number
        row: dict[str, Any] = {"decile": int(number) + 1, "customers": int(here.sum())}
        for name, pair in columns.items():
            said, did = (np.asarray(c, dtype=np.float64)[here] for c in pair)
            came = mean(did, draws, seed)
            row[name] = {
                "expected_total": float(said.sum()),
                "actual_total": {k: None if v is None else v * len(did) for k, v in came.items()},
                "expected_mean": float(said.mean()),
                "actual_mean": came,
            }
        table.append(row)
    return table


def coverage(
    below: npt.ArrayLike, until: npt.ArrayLike, *, draws: int = 400, seed: int = 0
) -> Figure:
    """Share of customers whose outcome fell into the middle 90 % of what was predicted.

    By the randomised probability integral transform: an outcome that has a chance of its own, as
    0 purchases has, stands evenly anywhere between P(less) and P(at most so much). The mean over
    that chance is taken exactly, so nothing is drawn. Right predictions give .90, however lumpy
    the counts; Czado, Gneiting & Held (2009), Biometrics 65(4), section 2.

    Parameters
    ----------
    below, until : array_like
        P(less than the outcome) and P(at most the outcome) by each customer's prediction.
    draws, seed : int
        Of the bootstrap over customers.

    Returns
    -------
    dict
        `value`, `lower`, `upper`.

    Examples
    --------
    >>> coverage([0.0, 0.5], [0.1, 0.5], draws=0)["value"]  # half of the first, all of the second
    0.75
    """
    low, high = (np.asarray(c, dtype=np.float64) for c in (below, until))
    width = high - low
    within = np.clip(np.minimum(high, 0.95) - np.maximum(low, 0.05), 0, None)
    point = ((low >= 0.05) & (low <= 0.95)).astype(np.float64)
    covered = np.divide(within, width, out=point, where=width > 0)
    return mean(covered, draws, seed)


def mean(values: Array, draws: int, seed: int) -> Figure:
    """Mean and its 90 % interval; sorted first, so that the order of rows cannot matter."""
    ordered, rng = np.sort(values), np.random.default_rng(seed)
    drawn = [ordered[rng.integers(len(ordered), size=len(ordered))].mean() for _ in range(draws)]
    return _figure(float(ordered.mean()), np.array(drawn))
