"""Three plain sentences for each customer, with their own number and the usual one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tenure.features.schema import Column
from tenure.features.spec import FEATURES, VIEWS, Last, Window

__all__ = ["REASONS", "number", "phrase", "reasons"]

REASONS = ["reason_1", "reason_2", "reason_3"]


def phrase(column: Column) -> str:
    """Say what a column is, with its window and level.

    Examples
    --------
    >>> phrase(Column("spend_90d", "spend", 90, None, "currency", "value", "Money spent", 0))
    'Money spent in the last 90 days'
    """
    level = "" if column.level is None else f" ({column.level})"
    made = FEATURES.get(column.feature)
    rows = VIEWS[made.view].rows if made else "rows"
    pause = "," if "," in column.description and column.window is not None else ""
    return f"{column.description}{level}{pause}{_window(column.window, rows)}"


def _window(window: Window, rows: str) -> str:
    if window is None:
        return ""
    if isinstance(window, Last):
        return f" over the last {window.n} {rows}"
    return f" in the last {window} days"


def number(value: float, unit: str) -> str:
    """Write a value as people would.

    Examples
    --------
    >>> number(0.25, "share"), number(3.0, "days"), number(float("nan"), "days")
    ('25 %', '3', 'none')
    """
    if np.isnan(value):
        return "none"
    if unit == "log-odds":
        value, unit = 1.0 / (1.0 + float(np.exp(-value))), "share"
    if unit == "yes or no":
        return "yes" if value > 0.5 else "no"
    if unit == "share":
        return f"{100 * value:.0f} %"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def reasons(
    points: pd.DataFrame,
    X: pd.DataFrame,
    usual: Mapping[str, float],
    columns: Mapping[str, Column],
    raised: np.ndarray,
) -> pd.DataFrame:
    """Write each customer's three strongest reasons.

    Windows and levels of one feature speak together: their signed points are summed, and the
    strongest of them gives the number. A customer above the typical chance reads what raises it,
    one below reads what lowers it; the words never contradict the sign. A number within 2 % of the
    usual one is not told.

    Parameters
    ----------
    points : DataFrame, shape (n, inputs)
        Signed points by input.
    X : DataFrame, shape (n, ≥ inputs)
        The inputs' values.
    usual : mapping
        The usual value of each input.
    columns : mapping
        What each input is.
    raised : ndarray of bool, shape (n,)
        Whether the customer's chance of leaving is above the typical one.

    Returns
    -------
    DataFrame
        `reason_1` to `reason_3`; null where fewer than three inputs point that way.
    """
    names = list(points.columns)
    if not len(points) or not names:
        return pd.DataFrame(None, index=points.index, columns=REASONS, dtype="object")
    sign = np.where(raised, 1.0, -1.0)[:, None]
    families = pd.Index([columns[c].feature for c in names])
    values = X[names].to_numpy()
    # a number that is the usual one explains nothing to a reader, whatever its contribution
    told = ~_alike(values, np.array([usual[c] for c in names]))
    signed = points.to_numpy() * sign * told
    unique, member = np.unique(families, return_inverse=True)
    summed = np.stack([signed[:, member == k].sum(axis=1) for k in range(len(unique))], axis=1)
    order = np.argsort(-summed, axis=1, kind="stable")[:, : len(REASONS)]
    written = pd.DataFrame(None, index=points.index, columns=REASONS, dtype="object")
    for place in range(order.shape[1]):
        family = order[:, place]
        speaks = np.where(member[None, :] == family[:, None], signed, -np.inf).argmax(axis=1)
        positive = np.take_along_axis(summed, family[:, None], axis=1)[:, 0] > 1e-9
        written[REASONS[place]] = [
            _sentence(columns[names[c]], values[i, c], usual[names[c]], raised[i]) if ok else None
            for i, (c, ok) in enumerate(zip(speaks, positive, strict=True))
        ]
    return written


def _alike(values: np.ndarray, usual: np.ndarray) -> np.ndarray:
    near = np.abs(values - usual) <= 0.02 * np.abs(usual)
    return np.asarray(near | (np.isnan(values) & np.isnan(usual)))


def _sentence(column: Column, value: float, usual: float, raises: bool) -> str:
    effect = "raises" if raises else "lowers"
    return (
        f"{phrase(column)}: {number(value, column.unit)}; {number(usual, column.unit)} is usual "
        f"({effect} the chance of leaving)."
    )
