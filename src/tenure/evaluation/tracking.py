"""Purchases as they came beside those expected: week by week, and by past frequency."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure.evaluation.clv import mean

__all__ = ["MOST", "by_frequency", "by_week", "week_edges"]

MOST = 7  # repeat purchases and above, taken together

Array = npt.NDArray[np.float64]


def week_edges(days: int) -> npt.NDArray[np.int64]:
    """Return the days at which weeks begin, counted from one end, and where the last one ends.

    Examples
    --------
    >>> week_edges(17).tolist()
    [0, 7, 14, 17]
    """
    return np.unique([*range(0, days, 7), days])


def by_week(
    origin: dt.date, edges: npt.ArrayLike, expected: npt.ArrayLike, actual: npt.ArrayLike
) -> list[dict[str, Any]]:
    """Lay out expected and actual purchases by week, each and added up.

    Parameters
    ----------
    origin : date
        Day 0 of the edges.
    edges : array_like of int, shape (n + 1,)
        Days from the origin at which the steps begin, and the end.
    expected, actual : array_like, shape (n,)
        Purchases in each step.

    Returns
    -------
    list of dict
        `starts` (a date), `days`, `expected`, `actual`, and with `_total` what has come since the
        first step.

    Examples
    --------
    >>> by_week(dt.date(2026, 1, 1), [0, 7, 9], [2.0, 1.0], [3, 0])[1]["actual_total"]
    3.0
    """
    begin = np.asarray(edges, dtype=np.int64)
    pair = {"expected": expected, "actual": actual}
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in pair.items()}
    columns |= {f"{name}_total": np.cumsum(column) for name, column in columns.items()}
    return [
        {
            "starts": str(origin + dt.timedelta(days=int(start))),
            "days": int(length),
            **{name: float(column[k]) for name, column in columns.items()},
        }
        for k, (start, length) in enumerate(zip(begin[:-1], np.diff(begin), strict=True))
    ]


def by_frequency(
    frequency: npt.ArrayLike,
    expected: npt.ArrayLike,
    actual: npt.ArrayLike,
    *,
    draws: int = 400,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Hold the mean purchases expected against those that came, by past repeat purchases.

    The conditional expectations of Fader, Hardie & Lee (2005).

    Parameters
    ----------
    frequency : array_like
        Repeat purchase days until the origin; `MOST` and above are one group.
    expected, actual : array_like
        Purchases after it, one of each a customer.
    draws, seed : int
        Bootstrap draws of the customers of a group.

    Returns
    -------
    list of dict
        `frequency` (the least of the group), `customers`, `expected` and `actual`, the latter with
        its 90 % interval; a frequency that nobody has is absent.
    """
    group = np.minimum(np.asarray(frequency, dtype=np.float64), MOST)
    said, came = (np.asarray(c, dtype=np.float64) for c in (expected, actual))
    return [
        {
            "frequency": int(x),
            "customers": int((group == x).sum()),
            "expected": float(np.sort(said[group == x]).mean()),
            "actual": mean(came[group == x], draws, seed),
        }
        for x in np.unique(group)
    ]
