"""The churn models without a fit to speak of: base rate, recency rule, timing as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.models.candidate import (
    BTYD,
    KAPLAN_MEIER,
    LARGEST_LOG_ODDS,
    SBG,
    checked_target,
    select_inputs,
)

__all__ = [
    "AsIs",
    "BaseRate",
    "RecencyRule",
    "fit_base_rate",
    "fit_btyd",
    "fit_kaplan_meier",
    "fit_recency_rule",
    "fit_sbg",
]

Array = NDArray[np.float64]

RECENCY = "days_since_last_purchase"
RECENCY_BINS = 20
ROWS_PER_BIN = 50


def _log_odds(p: Array | float) -> Any:
    return np.log(p) - np.log1p(-np.asarray(p))


def _one_column(column: str, values: Array, index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({column: values}, index=index)


@dataclass(frozen=True)
class BaseRate:
    """The share that churned in training, the same for everybody."""

    log_odds: float
    name: str = "base_rate"
    kind: ClassVar[str] = "base_rate"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn, the same for every row."""
        return np.full(len(X), self.log_odds)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """No column contributes anything."""
        return pd.DataFrame(index=X.index, dtype=np.float64), self.log_odds

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(float(stored["log_odds"]), str(stored["name"]))


@dataclass(frozen=True)
class RecencyRule:
    """The churn rate of each bin of days since the last purchase.

    Parameters
    ----------
    edges : tuple of float
        Inner edges in days, ascending; a value on an edge belongs to the bin above it.
    log_odds : tuple of float
        One more than edges.
    base : float
        Mean log-odds of the training rows; also what a row without recency gets.
    """

    edges: tuple[float, ...]
    log_odds: tuple[float, ...]
    base: float
    name: str = "recency_rule"
    kind: ClassVar[str] = "recency_rule"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn of the row's recency bin."""
        days = select_inputs(X, [RECENCY], self.name)[:, 0]
        by_bin = np.asarray(self.log_odds)[np.searchsorted(self.edges, days, side="right")]
        return np.where(np.isnan(days), self.base, by_bin)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Recency contributes all of the distance to the base."""
        return _one_column(RECENCY, self.margin(X) - self.base, X.index), self.base

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {
            "kind": self.kind,
            "name": self.name,
            "edges": list(self.edges),
            "log_odds": list(self.log_odds),
            "base": self.base,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        numbers = tuple(map(float, stored["edges"])), tuple(map(float, stored["log_odds"]))
        return cls(*numbers, float(stored["base"]), str(stored["name"]))


@dataclass(frozen=True)
class AsIs:
    """The log-odds of a timing model as they are, cut at `LARGEST_LOG_ODDS`."""

    column: str
    base: float
    name: str
    kind: ClassVar[str] = "as_is"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn; the training mean where the timing model says nothing."""
        said = select_inputs(X, [self.column], self.name)[:, 0]
        bounded = np.clip(said, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
        return np.where(np.isnan(bounded), self.base, bounded)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Give the one column all of the distance to the base."""
        return _one_column(self.column, self.margin(X) - self.base, X.index), self.base

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(str(stored["column"]), float(stored["base"]), str(stored["name"]))


def fit_base_rate(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> BaseRate:  # noqa: ARG001
    """Learn the share of churners."""
    return BaseRate(float(_log_odds(checked_target(X, y).mean())))


def fit_recency_rule(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> RecencyRule:  # noqa: ARG001
    """Learn the churn rate of up to 20 equally filled bins of `days_since_last_purchase`.

    Each bin holds one more row, of the overall rate, so that a bin of one class stays finite.
    """
    label = checked_target(X, y)
    days = select_inputs(X, [RECENCY], "recency_rule")[:, 0]
    known = ~np.isnan(days)
    bins = int(np.clip(known.sum() // ROWS_PER_BIN, 1, RECENCY_BINS))
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(days[known], inner)) if inner.size else np.empty(0)
    held = np.searchsorted(edges, days[known], side="right")
    churned = np.bincount(held, weights=label[known], minlength=edges.size + 1)
    rows = np.bincount(held, minlength=edges.size + 1)
    by_bin = _log_odds((churned + label.mean()) / (rows + 1))
    base = float(by_bin[held].mean()) if held.size else float(_log_odds(label.mean()))
    return RecencyRule(tuple(edges.tolist()), tuple(by_bin.tolist()), base)


def fit_btyd(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> AsIs:  # noqa: ARG001
    """Take the BTYD log-odds as they are; only their training mean is learnt."""
    return _as_is(BTYD, "btyd", X, y)


def fit_kaplan_meier(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> AsIs:  # noqa: ARG001
    """Take what Kaplan-Meier says of the subscription's age as it is."""
    return _as_is(KAPLAN_MEIER, "kaplan_meier", X, y)


def fit_sbg(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> AsIs:  # noqa: ARG001
    """Take what the shifted beta-geometric says of the subscription's age as it is."""
    return _as_is(SBG, "sbg", X, y)


def _as_is(column: str, name: str, X: pd.DataFrame, y: ArrayLike) -> AsIs:
    label = checked_target(X, y)
    said = AsIs(column, 0.0, name).margin(X)
    silent = bool(X[column].isna().all())
    return AsIs(column, float(_log_odds(label.mean()) if silent else said.mean()), name)
