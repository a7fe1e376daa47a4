"""Logistic regression on a handful of inputs, stored as plain coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression

from tenure.models.candidate import (
    BTYD,
    KAPLAN_MEIER,
    LARGEST_LOG_ODDS,
    SBG,
    TIMING,
    checked_target,
    select_inputs,
)

__all__ = [
    "Logistic",
    "Term",
    "fit_btyd_recalibrated",
    "fit_logistic_attributes",
    "fit_logistic_rfm",
    "fit_logistic_rfm_btyd",
    "fit_logistic_subscription",
]

Array = NDArray[np.float64]

MONEY = ("monetary_value", "mrr")
RFM = ("frequency", "recency", "T", "days_since_last_purchase", "monetary_value")
SUBSCRIPTION = ("subscription_age_days", "mrr", "seats", "days_to_renewal", KAPLAN_MEIER, SBG)


@dataclass(frozen=True)
class Term:
    """One input of a logistic model: c·(t(x) − mean)/sd + c_missing·(missing − share).

    `t` is sign(x)·log(1 + |x|/unit) with a unit, a cut at `LARGEST_LOG_ODDS` without one. Money is
    measured in its training median, so that the currency cannot matter.
    """

    column: str
    unit: float | None
    mean: float
    sd: float
    coefficient: float = 0.0
    missing_share: float = 0.0
    missing_coefficient: float = 0.0

    @classmethod
    def learn(cls, column: str, x: Array) -> Self:
        """Measure mean, spread and missing share of the column's training values."""
        unit = None if column in TIMING else 1.0
        if column in MONEY and np.nanmax(np.abs(x), initial=0.0) > 0:
            unit = float(np.nanmedian(np.abs(x[x != 0])))
        blank = cls(column, unit, 0.0, 1.0, missing_share=float(np.isnan(x).mean()))
        known = blank.transform(x)[~np.isnan(x)]
        mean, sd = (float(known.mean()), float(known.std())) if known.size else (0.0, 0.0)
        return cls(column, unit, mean, sd or 1.0, missing_share=blank.missing_share)

    def transform(self, x: Array) -> Array:
        """Apply `t`."""
        if self.unit is None:
            bounded: Array = np.clip(x, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
            return bounded
        logs: Array = np.copysign(np.log1p(np.abs(x) / self.unit), x)
        return logs

    def standardised(self, x: Array) -> Array:
        """Training mean 0, spread 1; a missing value stands at the mean."""
        known: Array = np.nan_to_num((self.transform(x) - self.mean) / self.sd, nan=0.0)
        return known

    def log_odds(self, x: Array) -> Array:
        """Contribution of the column; the training mean is 0 by construction."""
        missing = self.missing_coefficient * (np.isnan(x) - self.missing_share)
        whole: Array = self.coefficient * self.standardised(x) + missing
        return whole


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on a handful of columns; its base is the mean training margin."""

    name: str
    intercept: float
    terms: tuple[Term, ...]
    kind: ClassVar[str] = "logistic"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn."""
        parts, base = self.contributions(X)
        return np.asarray(parts.to_numpy().sum(axis=1) + base, dtype=np.float64)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Coefficient × distance from the training mean, which is SHAP for a linear model."""
        values = select_inputs(X, [t.column for t in self.terms], self.name)
        parts = {t.column: t.log_odds(values[:, j]) for j, t in enumerate(self.terms)}
        return pd.DataFrame(parts, index=X.index), self.intercept

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        terms = [asdict(t) for t in self.terms]
        return {"kind": self.kind, "name": self.name, "intercept": self.intercept, "terms": terms}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        terms = tuple(Term(**t) for t in stored["terms"])
        return cls(str(stored["name"]), float(stored["intercept"]), terms)


def fit_btyd_recalibrated(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Logistic:  # noqa: ARG001
    """Logistic regression on the BTYD log-odds alone."""
    return _fit_logistic("btyd_recalibrated", (BTYD,), X, y)


def fit_logistic_rfm(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Logistic:  # noqa: ARG001
    """Logistic regression on log recency, frequency, T, silence and monetary value."""
    return _fit_logistic("logistic_rfm", RFM, X, y)


def fit_logistic_rfm_btyd(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Logistic:  # noqa: ARG001
    """Logistic regression on log RFM and the BTYD log-odds."""
    return _fit_logistic("logistic_rfm_btyd", (*RFM, BTYD), X, y)


def fit_logistic_subscription(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Logistic:  # noqa: ARG001
    """Logistic regression on log age, price, seats and renewal, and on both timing models."""
    held = [c for c in SUBSCRIPTION if c in X.columns and X[c].notna().any()]
    return _fit_logistic("logistic_subscription", held, X, y)


def fit_logistic_attributes(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Logistic:  # noqa: ARG001
    """Logistic regression on every declared attribute."""
    return _fit_logistic("logistic_attributes", tuple(map(str, X.columns)), X, y)


def _fit_logistic(name: str, columns: Sequence[str], X: pd.DataFrame, y: ArrayLike) -> Logistic:
    label = checked_target(X, y)
    values = select_inputs(X, columns, name)
    terms = [Term.learn(c, values[:, j]) for j, c in enumerate(columns)]
    flagged = [j for j, t in enumerate(terms) if 0 < t.missing_share < 1]
    flags = [np.isnan(values[:, j]) - terms[j].missing_share for j in flagged]
    design = np.column_stack([t.standardised(values[:, j]) for j, t in enumerate(terms)] + flags)
    # One unit of ridge on standardised inputs: nothing beside thousands of rows, and what keeps a
    # separable handful finite. Newton, since these inputs are nearly collinear.
    fitted = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8, max_iter=200).fit(
        design, label
    )
    coefficients = fitted.coef_[0].tolist()
    missing = dict(zip(flagged, coefficients[len(terms) :], strict=True))
    learnt = tuple(
        replace(t, coefficient=coefficients[j], missing_coefficient=missing.get(j, 0.0))
        for j, t in enumerate(terms)
    )
    return Logistic(name, float(fitted.intercept_[0]), learnt)
