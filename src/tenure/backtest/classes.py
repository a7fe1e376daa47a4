"""Whether there are enough who left, and enough who stayed, to learn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tenure.errors import DataError

__all__ = ["LEAST_RARER", "check_classes", "rarer"]

LEAST_RARER = 50  # rows of the rarer class a model needs to learn from

_ADVICE = {
    "inactivity": "Use a longer log, more customers, or another churn.horizon_days or "
    "churn.active_within_days.",
    "subscription": "Use a longer log, more customers, or another churn.horizon_days.",
    "label": "Label more customers, or check the map of the label's values.",
}


def rarer(churned: pd.Series | ArrayLike) -> int:
    """Count the rows of the rarer class."""
    label = np.asarray(churned)
    left = int(label.sum())
    return min(left, len(label) - left)


def check_classes(
    churned: pd.Series | ArrayLike, where: str, kind: str = "inactivity", also: str = ""
) -> None:
    """Refuse to learn from fewer than 50 rows of the rarer class.

    Parameters
    ----------
    churned : array-like of 0 and 1
        The labels.
    where : str
        Which rows they are, for the message.
    kind : str
        Of leaving; it decides what can be done about it.
    also : str
        A sentence that explains the counts.

    Raises
    ------
    DataError
        With both counts.
    """
    if rarer(churned) >= LEAST_RARER:
        return
    label = np.asarray(churned)
    left = int(label.sum())
    stayed = len(label) - left
    words = "one class" if min(left, stayed) == 0 else "too few of one class"
    raise DataError(
        f"churn: {words} {where}: {left:,} left and {stayed:,} stayed, and training needs at "
        f"least {LEAST_RARER} of each. {also}{' ' if also else ''}{_ADVICE[kind]}"
    )
