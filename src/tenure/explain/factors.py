"""The factors in full: whom each touches, how leaving follows it, and what goes with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tenure.explain.curves import curve
from tenure.explain.points import Explained, by_factor, drivers, exposure
from tenure.features.schema import Column

__all__ = ["correlated", "factors_in_full"]

CURVES = 3  # features of a factor that are drawn
TOUCHED = 1.0  # points by which a factor must raise a customer's chance to count as touching them
FEW = 20  # customers below whom a rank correlation means nothing
CLOSE = 0.5  # |Spearman| from which two factors are called entangled


def factors_in_full(
    explained: Explained,
    here: pd.DataFrame,
    X: pd.DataFrame,
    rows: pd.DataFrame,
    columns: Mapping[str, Column],
) -> list[dict[str, Any]]:
    """List the factors, strongest first, each with whom it touches and its curves.

    Parameters
    ----------
    explained, here : Explained, DataFrame
        The explained customers and their inputs.
    X, rows : DataFrame
        The labelled rows' inputs, and their `customer_id` and `churned`.
    columns : mapping of str to Column
        What each input is.

    Returns
    -------
    list of dict
        As from `drivers`, and `touched` (`customers` and `share` whose chance the factor raises by
        a point or more) and `curves` of its three strongest features.
    """
    summed = by_factor(explained.points, columns)
    found = drivers(explained, here, columns)
    for told in found:
        raised = summed[told["factor"]].to_numpy() >= TOUCHED
        told["touched"] = {
            "customers": int(raised.sum()),
            "share": float(raised.mean()) if len(raised) else None,
        }
        strongest = [f["feature"] for f in told["features"] if f["churn_points"] > 0][:CURVES]
        told["curves"] = [
            curve(columns[name], X[name], rows, here[name], explained.points[name])
            for name in strongest
        ]
    return found


def correlated(
    explained: Explained, here: pd.DataFrame, columns: Mapping[str, Column]
) -> list[dict[str, Any]]:
    """Name the factors that the model cannot well tell apart.

    Returns
    -------
    list of dict
        `factors`, `points` and `exposure`: Spearman's rank correlation over the customers of the
        two factors' points, and of how badly they fare by the features that declare a direction
        (null where none does); `sentence`. Only where one of the two is at least .5 in size.
    """
    summed = by_factor(explained.points, columns)
    used = [columns[str(c)] for c in explained.points]
    felt: dict[str, pd.Series | None] = {
        factor: exposure(here, [c for c in used if c.factor == factor]) for factor in summed.columns
    }
    found = []
    for b in felt:
        for a in list(felt)[: list(felt).index(b)]:
            points = _spearman(summed[a], summed[b])
            fares = _spearman(felt[a], felt[b])
            strength = max(abs(points or 0.0), abs(fares or 0.0))
            if strength >= CLOSE:
                told = {
                    "factors": [a, b],
                    "points": points,
                    "exposure": fares,
                    "sentence": _entangled(a, b, points, fares),
                }
                found.append((-strength, a, b, told))
    return [told for *_, told in sorted(found, key=lambda f: f[:3])]


def _spearman(a: pd.Series | None, b: pd.Series | None) -> float | None:
    """Spearman's rank correlation where both are known; None where one does not vary."""
    if a is None or b is None:
        return None
    both = a.notna() & b.notna()
    x, y = a[both].rank().to_numpy(), b[both].rank().to_numpy()
    if len(x) < FEW or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _entangled(a: str, b: str, points: float | None, fares: float | None) -> str:
    if fares is not None and abs(fares) >= CLOSE:
        also = "badly" if fares > 0 else "well"
        return (
            f"Who fares badly by {a} mostly fares {also} by {b} (rank correlation {fares:.2f}): "
            "how the points are shared between the two is uncertain."
        )
    way = "the same way" if (points or 0.0) > 0 else "opposite ways"
    return (
        f"{a.capitalize()} and {b} mostly push a customer {way} "
        f"(rank correlation {points or 0:.2f}): read the two together."
    )
