"""Which factors change what one another mean: SHAP interaction values between factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.explain.points import Explained
from tenure.features.schema import Column
from tenure.models.booster_text import UnsuitedError
from tenure.models.candidate import Candidate, select_inputs
from tenure.models.churn import Blend
from tenure.models.shapley import shap, tables
from tenure.models.trees import LightGBM

__all__ = ["WEAKEST", "interplay", "strong_pairs"]

WEAKEST = 0.5  # points below which two factors are said to act on their own
CLEAR = 0.25  # points from which the two add more, or less, than each alone
FEW = 10  # customers for whom a mean may be told

Pair = tuple[str, str]
Array = NDArray[np.float64]


def interplay(
    model: Candidate, X: pd.DataFrame, columns: Mapping[str, Column]
) -> dict[Pair, Array]:
    """Return exact SHAP interaction values between every two factors, in log-odds.

    Both orders of a pair are summed, so that a pair's value is what the two do together beyond
    what each does alone (Lundberg et al. 2020, equation 8). Logistic models have none in log-odds.

    Returns
    -------
    dict of pair to ndarray, shape (n,)
        By `(a, b)`, a before b in the alphabet; pairs that meet in no tree are left out.
    """
    if isinstance(model, Blend):
        weighed: dict[Pair, Array] = {}
        for part, share in zip(model.parts, model.shares, strict=True):
            for pair, values in interplay(part, X, columns).items():
                weighed[pair] = weighed.get(pair, 0.0) + share * values
        return weighed
    if not isinstance(model, LightGBM):
        return {}
    factors = sorted({columns[c].factor for c in model.columns})
    into = [factors.index(columns[c].factor) for c in model.columns]
    try:
        made = tables(model.boosters, into, pairs=True)
    except UnsuitedError:
        return {}
    found = shap(made, select_inputs(X, model.columns, model.name))
    met = sorted({target for group in made.groups for target in group.targets})
    n = len(factors)
    return {(factors[t // n], factors[t % n]): found[:, t] for t in met}


def strong_pairs(
    explained: Explained,
    together: Mapping[Pair, Array],
    factors: pd.DataFrame,
    floors: Mapping[Pair, float],
) -> list[dict[str, Any]]:
    """List the pairs of factors that act together by at least half a point, and above noise.

    Parameters
    ----------
    explained : Explained
        The customers, explained.
    together : mapping of pair to ndarray
        From `interplay`, of the same customers.
    factors : DataFrame
        Their points by factor.
    floors : mapping of pair to float
        Points that noise gives (`Stability.pair_floors`); a pair without one is not listed.

    Returns
    -------
    list of dict
        `factors`, `churn_points` (mean absolute points), `floor`, `customers` whom both factors
        raise, `extra_points` (what the two add for them beyond each alone; null for fewer than
        10), `sentence`.
    """
    found = []
    for (a, b), values in together.items():
        pair = values * explained.scale
        strength = float(np.abs(pair).mean())
        floor = floors.get((a, b))
        if strength < WEAKEST or floor is None or strength <= floor:
            continue
        both = ((factors[a] > 0) & (factors[b] > 0)).to_numpy()
        extra = float(pair[both].mean()) if both.sum() >= FEW else None
        found.append(
            {
                "factors": [a, b],
                "churn_points": strength,
                "floor": floor,
                "customers": int(both.sum()),
                "extra_points": extra,
                "sentence": _sentence(a, b, extra),
            }
        )
    return sorted(found, key=lambda f: (-f["churn_points"], f["factors"]))


def _sentence(a: str, b: str, extra: float | None) -> str:
    if extra is None or abs(extra) < CLEAR:
        return f"What {a} means depends on {b}, now one way, now the other."
    more = "more" if extra > 0 else "less"
    return (
        f"{a.capitalize()} matters {more} for customers whom {b} drives off too: together they add "
        f"{abs(extra):.1f} points {more} than each alone."
    )
