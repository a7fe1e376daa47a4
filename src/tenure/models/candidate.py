"""What every churn model can do, and the checks of what it is given.

A candidate is a frozen dataclass that speaks in margins (log-odds of churn) and splits a margin
exactly into one contribution per input column, measured from the training mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.errors import DataError, ModelError

__all__ = [
    "BTYD",
    "KAPLAN_MEIER",
    "LARGEST_LOG_ODDS",
    "SBG",
    "TIMING",
    "Candidate",
    "checked_target",
    "select_inputs",
]

Array = NDArray[np.float64]

BTYD = "btyd_log_odds"
KAPLAN_MEIER = "kaplan_meier_log_odds"
SBG = "sbg_log_odds"
TIMING = (BTYD, KAPLAN_MEIER, SBG)
"""What models of timing alone say of leaving: columns in log-odds."""

LARGEST_LOG_ODDS = 15.0
"""No timing model is surer than 3e-7 from certainty: its tails are not that well known."""


class Candidate(Protocol):
    """What every churn model can do, whatever it is made of."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Name in the tables of results."""

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn, one finite number a row."""

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Log-odds by input column, and the base they are measured from."""

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""


def select_inputs(X: pd.DataFrame, columns: Sequence[str], name: str) -> Array:
    """Take a model's columns by name, in its own order; infinite counts as missing.

    Raises
    ------
    ModelError
        If columns are absent, repeated or not numbers.
    """
    wanted = list(columns)
    absent = [c for c in wanted if c not in X.columns]
    if absent:
        raise ModelError(
            f"{name}: {len(absent)} of the {len(wanted)} columns it was trained with are not in "
            f"the features: {shortened(absent)}. Score with the config the model was trained with, "
            "or train again."
        )
    taken = X[wanted]
    if taken.shape[1] != len(wanted):
        twice = sorted(set(taken.columns[taken.columns.duplicated()]))
        raise ModelError(f"{name}: columns given twice: {shortened(twice)}. Keep one of each.")
    try:
        values = taken.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    except (TypeError, ValueError):
        text = [c for c in wanted if not pd.api.types.is_numeric_dtype(X[c])]
        raise ModelError(f"{name}: columns that are not numbers: {shortened(text)}.") from None
    values[np.isinf(values)] = np.nan
    return values


def shortened(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")


def checked_target(X: pd.DataFrame, y: ArrayLike) -> Array:
    """Return the label as floats, 1 = churned.

    Raises
    ------
    DataError
        If the label does not fit the rows, holds other values than 0 and 1, or one class only.
    """
    label = np.asarray(y, dtype=np.float64)
    if label.shape != (len(X),):
        raise DataError(f"churned: {label.size:,} labels for {len(X):,} rows; give one a row.")
    odd = int((~np.isin(label, (0.0, 1.0))).sum())
    if odd:
        raise DataError(f"churned: {odd:,} of {label.size:,} labels are neither 0 nor 1.")
    if label.size == 0 or label.min() == label.max():
        which = "there are no rows" if label.size == 0 else f"all {label.size:,} are {label[0]:.0f}"
        raise DataError(
            f"churned: one class ({which}); a churn model learns from both. Change "
            "churn.horizon_days, or take cutoffs with more history."
        )
    return label
