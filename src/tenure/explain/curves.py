"""Dose and response: how often customers left, by the value of one feature, with its support."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.explain.words import number, phrase
from tenure.features.schema import Column

__all__ = ["curve", "leaving_rate"]

BINS = 8
FEWEST = 10  # customers behind a bin; fewer join their neighbour
Z = 1.6448536269514722  # 90 %

Array = NDArray[np.float64]


def leaving_rate(churned: Array, customer: NDArray[np.intp]) -> tuple[float, float, float]:
    """Return the share who left with its 90 % interval, customers as clusters.

    Wilson's interval at the effective number of rows, r(1 − r) over the cluster-robust variance
    of the rate (Dean and Pagano 2015); where everybody did the same, the number of customers.
    """
    n = len(churned)
    rate = float(churned.mean())
    code = np.unique(customer, return_inverse=True)[1]
    clusters = int(code.max()) + 1
    pulls = np.bincount(code, weights=churned - rate)
    variance = float(pulls @ pulls) / n**2 * clusters / max(clusters - 1, 1)
    spread = rate * (1 - rate)
    effective = min(float(n), spread / variance) if variance > 0 else float(clusters)
    centre = (rate + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z * np.sqrt(spread / effective + Z**2 / (4 * effective**2)) / (1 + Z**2 / effective)
    return rate, float(centre - half), float(centre + half)


def curve(
    column: Column, values: pd.Series, rows: pd.DataFrame, here: pd.Series, points: pd.Series
) -> dict[str, Any]:
    """Return the leaving rate by bins of one feature.

    Bins hold about as many rows each, with edges of two digits; a feature of few values has a bin
    for each. Bins with fewer than 10 customers join a neighbour.

    Parameters
    ----------
    column : Column
    values : Series
        The feature on the labelled rows.
    rows : DataFrame
        Their `customer_id` and `churned`.
    here, points : Series
        The feature of the explained customers, and its points.

    Returns
    -------
    dict
        `feature`, `description`, `unit`, and `bins`: `label`, `from` (excluded), `to` (included;
        both null for "none"), `rows`, `customers`, `left` with `lower` and `upper` (null where
        fewer than 10 customers), `points` (mean of the explained; null where fewer than 10).
    """
    given, now = _known(values), _known(here)
    customer = pd.factorize(rows["customer_id"])[0]
    churned = rows["churned"].to_numpy(dtype=np.float64)
    edges = _edges(given, customer)
    bins = []
    for k, (low, high) in enumerate(pairwise(edges)):
        inside = (given > low) & (given <= high)
        label = _label(given[inside], low, high, k, len(edges) - 1, column.unit)
        now_inside = (now > low) & (now <= high)
        bins.append(
            {
                "label": label,
                "from": None if np.isinf(low) else float(low),
                "to": None if np.isinf(high) else float(high),
                **_support(churned[inside], customer[inside], points.to_numpy()[now_inside]),
            }
        )
    none = np.isnan(given)
    if none.any():
        told = _support(churned[none], customer[none], points.to_numpy()[np.isnan(now)])
        bins.append({"label": "none", "from": None, "to": None, **told})
    return {
        "feature": column.name,
        "description": phrase(column),
        "unit": column.unit,
        "bins": bins,
    }


def _known(values: pd.Series) -> Array:
    """Return numbers, with NaN for the infinite ones, as models read them."""
    given = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(np.where(np.isinf(given), np.nan, given))


def _support(churned: Array, customer: NDArray[np.intp], points: Array) -> dict[str, Any]:
    customers = len(np.unique(customer))
    told = leaving_rate(churned, customer) if customers >= FEWEST else (None, None, None)
    return {
        "rows": len(churned),
        "customers": customers,
        **dict(zip(("left", "lower", "upper"), told, strict=True)),
        "points": float(points.mean()) if len(points) >= FEWEST else None,
    }


def _edges(values: Array, customer: NDArray[np.intp]) -> list[float]:
    """Return the ends of the bins, from −∞ to ∞; none where nothing is known."""
    known = ~np.isnan(values)
    if not known.any():
        return []
    unique = np.unique(values[known])
    if len(unique) <= BINS:
        inner = list(unique[:-1])
    else:
        cuts = np.quantile(values[known], np.arange(1, BINS) / BINS, method="inverted_cdf")
        inner = [e for e in np.unique(_plain(cuts)) if unique[0] <= e < unique[-1]]
    edges = [-np.inf, *map(float, inner), np.inf]
    while len(edges) > 2:
        place = np.searchsorted(edges, values[known]) - 1
        counts = [len(np.unique(customer[known][place == k])) for k in range(len(edges) - 1)]
        thin = int(np.argmin(counts))
        if counts[thin] >= FEWEST:
            break
        beside = [k for k in (thin - 1, thin + 1) if 0 <= k < len(counts)]
        joined = min(beside, key=lambda k: counts[k])
        del edges[max(thin, joined)]
    return edges


def _plain(cuts: Array) -> Array:
    """Round to two digits, so that an edge can be said."""
    return np.array([float(f"{c:.2g}") for c in cuts])


def _label(inside: Array, low: float, high: float, k: int, bins: int, unit: str) -> str:
    if len(inside) and inside.min() == inside.max():
        return number(float(inside[0]), unit)
    if bins == 1:
        return "any"
    if k == 0:
        return f"up to {number(high, unit)}"
    if k == bins - 1:
        return f"more than {number(low, unit)}"
    return f"over {number(low, unit)} to {number(high, unit)}"
