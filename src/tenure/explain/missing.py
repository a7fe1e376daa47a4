"""What is not known of a customer, in words: the model filled it in from others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tenure.features.profile import called
from tenure.features.schema import Column

__all__ = ["MISSING", "information_missing"]

MISSING = "information_missing"

TELLING: Mapping[str, str] = {
    "days_since_answer": "no survey answered",
    "days_since_last_ticket": "no ticket",
    "days_late_last": "no delivery with a promised date",
    "gap_last": "no second purchase",
    "days_since_use": "no use of the product",
    "days_since_visit": "no visit",
    "days_to_renewal": "no renewal date",
    "days_since_signup": "no sign-up date",
}
"""All-time features that are missing exactly where the customer has no such row at all."""

INSTEAD: Mapping[str, tuple[str, str]] = {
    "delivery_days_mean": ("days_late_last", "no delivery"),
}
"""Features that tell the same where another one is not built, for want of its columns."""


def information_missing(matrix: pd.DataFrame, columns: Mapping[str, Column]) -> pd.Series:
    """Say what is not known of each customer.

    Only what the model was trained with can be missing: without a table of tickets nobody lacks
    one. A count of 0 is knowledge; what counts here is what could not be computed for the lack of
    any row, however long ago.

    Parameters
    ----------
    matrix : DataFrame
        The features, one row a customer.
    columns : mapping of str to Column
        What each of them is.

    Returns
    -------
    Series of object
        "no survey answered, no ticket", in this order for everybody; null where nothing is missing.

    Examples
    --------
    >>> from tenure.features.schema import Column
    >>> name = "days_since_last_ticket"
    >>> known = {name: Column(name, name, None, None, "days", "effort", "", 0)}
    >>> information_missing(pd.DataFrame({name: [4.0, float("nan")]}), known).tolist()
    [None, 'no ticket']
    """
    told = _told(columns)
    if matrix.empty or not told:
        return pd.Series(None, index=matrix.index, name=MISSING, dtype="object")
    absent = np.column_stack([matrix[name].isna().to_numpy() for name, _ in told])
    patterns, which = np.unique(absent, axis=0, return_inverse=True)
    words = [
        ", ".join(said for (_, said), gone in zip(told, pattern, strict=True) if gone) or None
        for pattern in patterns
    ]
    said = np.array([*words, None], dtype=object)[which.ravel()]
    return pd.Series(said, index=matrix.index, name=MISSING, dtype="object")


def _told(columns: Mapping[str, Column]) -> list[tuple[str, str]]:
    """List the columns that tell whether something is known, each with its words."""
    told = {name: said for name, said in TELLING.items() if name in columns}
    for name, (better, said) in INSTEAD.items():
        if name in columns and better not in columns:
            told[name] = said
    seen: set[str] = set()
    for name, column in columns.items():  # one column speaks for all levels of an attribute
        if column.feature.startswith("attribute[") and column.feature not in seen:
            seen.add(column.feature)
            told[name] = f"{called(column.feature)} not known"
    return list(told.items())
