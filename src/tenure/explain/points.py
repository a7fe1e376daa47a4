"""Contributions in points of churn probability, summed within experience factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.errors import ModelError
from tenure.explain.reasons import phrase
from tenure.features.schema import Column
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate

if TYPE_CHECKING:
    import shap

__all__ = ["Explained", "by_factor", "drivers", "explain", "exposure"]

ADDITIVE = 1e-6  # log-odds by which contributions may miss the margin
FEW = 20  # rows below which worst and best fifths mean nothing

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """Every row's margin taken apart, in log-odds and in points.

    Attributes
    ----------
    log_odds : DataFrame, shape (n, inputs)
        Signed contributions; with `base` they add up to the margin.
    base : float
        The explainer's base value: the margin of the typical training row.
    points : DataFrame, shape (n, inputs)
        The same in points of churn probability (1 point = .01); they add from the typical
        row's probability to the customer's.
    probability : ndarray, shape (n,)
        Calibrated churn probability.
    typical : float
        The probability at the base value, where the points start from.
    """

    log_odds: pd.DataFrame
    base: float
    points: pd.DataFrame
    probability: Array
    typical: float

    @property
    def scale(self) -> Array:
        """Points of churn probability for each unit of log-odds, by row."""
        log_odds, points = self.log_odds.to_numpy(), self.points.to_numpy()
        if not log_odds.shape[1]:
            return np.zeros(len(log_odds))
        rows, most = np.arange(len(log_odds)), np.abs(log_odds).argmax(axis=1)
        given = log_odds[rows, most]
        return np.asarray(points[rows, most] / np.where(given == 0, 1.0, given))

    def rows(self, some: slice) -> Explained:
        """Return a part of the rows."""
        return replace(
            self, log_odds=self.log_odds.iloc[some], points=self.points.iloc[some],
            probability=self.probability[some],
        )  # fmt: skip

    def to_shap(self, X: pd.DataFrame) -> shap.Explanation:
        """Return a `shap.Explanation` in log-odds, so that every shap plot works."""
        import shap  # takes seconds to import, and only plots need it

        names = list(self.log_odds.columns)
        return shap.Explanation(
            values=self.log_odds.to_numpy(),
            base_values=np.full(len(self.log_odds), self.base),
            data=X.reindex(columns=names).to_numpy(),
            feature_names=names,
        )


def explain(model: Candidate, calibrator: Calibrator, X: pd.DataFrame) -> Explained:
    """Take the margin of every row apart, exactly.

    Points are `φ · (g(m) − g(m̄)) / (m − m̄)`, with the limit `g'(m̄)`, where `g` is the calibrator
    and `m̄` the base value (definitions, "Drivers").

    Raises
    ------
    ModelError
        If the contributions of some row do not add up to its margin.
    """
    log_odds, base = model.contributions(X)
    margin = model.margin(X)
    gap = np.abs(log_odds.to_numpy().sum(axis=1) + base - margin)
    if len(gap) and gap.max() > ADDITIVE:
        raise ModelError(
            f"explain: contributions of {int((gap > ADDITIVE).sum()):,} of {len(gap):,} rows miss "
            f"the margin by up to {gap.max():.2g}; the explanation is not exact, so none is given."
        )
    away = margin - base
    at_base = float(calibrator.probability(np.array([base]))[0])
    probability = np.asarray(calibrator.probability(margin), dtype=np.float64)
    flat = np.abs(away) < 1e-9
    slope = np.where(
        flat,
        calibrator.slope(np.array([base]))[0],
        (probability - at_base) / np.where(flat, 1.0, away),
    )
    points = log_odds.mul(100.0 * slope, axis=0)
    return Explained(log_odds, base, points, probability, at_base)


def by_factor(points: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Sum signed points within each factor, before anything absolute is taken."""
    factors = [columns[c].factor for c in points.columns]
    return points.T.groupby(factors).sum().T


def drivers(
    explained: Explained, X: pd.DataFrame, columns: Mapping[str, Column]
) -> list[dict[str, Any]]:
    """List the factors by how many points they move a customer, strongest first.

    Returns
    -------
    list of dict
        `factor`, `churn_points` (mean absolute points), `direction` (mean points of the
        worst-exposed fifth minus the best; null where no feature of the factor declares which
        way is worse) and its `features` with their own signed behaviour.
    """
    factors = by_factor(explained.points, columns)
    found = []
    for factor in factors.columns:
        members = [c for c in explained.points.columns if columns[c].factor == factor]
        found.append(
            {
                "factor": factor,
                "churn_points": float(factors[factor].abs().mean()),
                "direction": _direction(factors[factor], X, [columns[c] for c in members]),
                "features": sorted(
                    (_feature(explained.points[c], X[c], columns[c]) for c in members),
                    key=lambda f: (-f["churn_points"], f["feature"]),
                ),
            }
        )
    return sorted(found, key=lambda d: (-d["churn_points"], d["factor"]))


def _feature(points: pd.Series, values: pd.Series, column: Column) -> dict[str, Any]:
    known = values.notna()
    v, p = values[known].rank().to_numpy(), points[known].rank().to_numpy()
    sign = np.corrcoef(v, p)[0, 1] if len(v) > 1 and np.ptp(v) > 0 and np.ptp(p) > 0 else np.nan
    return {
        "feature": column.name,
        "family": column.feature,
        "description": phrase(column),
        "unit": column.unit,
        "churn_points": float(points.abs().mean()),
        "more_means": None if np.isnan(sign) else ("more leaving" if sign > 0 else "less leaving"),
    }


def exposure(X: pd.DataFrame, members: list[Column]) -> pd.Series | None:
    """Mean rank of the features that declare a direction, 1 = worst; None if none does."""
    declared = [c for c in members if c.direction]
    if not declared:
        return None
    ranks = [X[c.name].rank(pct=True) * c.direction for c in declared]
    return pd.concat(ranks, axis=1).mean(axis=1)


def _direction(points: pd.Series, X: pd.DataFrame, members: list[Column]) -> float | None:
    felt = exposure(X, members)
    if felt is None or len(points) < FEW:
        return None
    worst = points[felt >= felt.quantile(0.8)]
    best = points[felt <= felt.quantile(0.2)]
    return float(worst.mean() - best.mean()) if len(worst) and len(best) else None
