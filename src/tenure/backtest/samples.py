"""A share of the customers, and predictions for customers held out, whatever the order of rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.config import Config
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings

__all__ = ["held_out", "some_customers"]


def some_customers(rows: pd.DataFrame, most: int) -> NDArray[np.bool_]:
    """Choose customers whose rows are about `most` together; all rows if they are not more."""
    if len(rows) <= most:
        return np.ones(len(rows), dtype=bool)
    return _draw(rows["customer_id"], "sample") < most / len(rows)


def held_out(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    settings: Settings,
    folds: int,
    names: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Predict every row by candidates that did not learn from its customer.

    Parameters
    ----------
    X, rows : DataFrame
        Inputs, and beside them `customer_id`, `churned`, …
    config, settings
        What is fitted, and how.
    folds : int
        Into how many parts the customers are dealt.
    names : iterable of str, optional
        The candidates; all of the roster by default.

    Returns
    -------
    DataFrame
        The rows with one margin a candidate; those of a fold whose other folds hold one class are
        left out.
    """
    parts = []
    fold = (_draw(rows["customer_id"], "fold") * folds).astype(int)
    for k in range(folds):
        learn, judge = fold != k, fold == k
        if rows["churned"][learn].nunique() < 2 or not judge.any():
            continue
        fitted = fit_candidates(
            X[learn], rows["churned"][learn], seed=config.model.seed, kind=config.churn.kind,
            names=names, settings=settings,
        )  # fmt: skip
        parts.append(rows[judge].assign(**{n: m.margin(X[judge]) for n, m in fitted.items()}))
    return pd.concat(parts, ignore_index=True) if parts else rows.iloc[:0]


def _draw(customer_id: pd.Series, purpose: str) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each row, equal for the rows of a customer.

    A hash of the id, so that it depends on nobody else.
    """
    named = (purpose + ":" + customer_id.astype("str")).to_numpy(dtype=object)
    return np.asarray(pd.util.hash_array(named) / 2.0**64, dtype=np.float64)
