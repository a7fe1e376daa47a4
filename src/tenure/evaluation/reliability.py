"""Whether the percentages come true: overall, by segment, by what customers are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.evaluation.bootstrap import Estimate, Rows, customer_counts, interval
from tenure.evaluation.churn import DRAWS
from tenure.evaluation.metrics import BINS, equal_mass_bins

__all__ = ["LEAST_ROWS", "deciles", "reliability"]

Array = NDArray[np.float64]
Json = dict[str, Any]

LEAST_ROWS = 100
"""Rows below which a group's churn rate says too little to be shown."""


def deciles(values: ArrayLike) -> NDArray[np.intp]:
    """Deal rows into ten groups of equal size by a value, 1 the lowest; ties stay together.

    Examples
    --------
    >>> deciles(np.arange(20.0)).tolist()[:4], deciles([5.0, 5.0]).tolist()
    ([1, 1, 2, 2], [6, 6])
    """
    given = np.asarray(values, dtype=np.float64)
    _, level, rows = np.unique(given, return_inverse=True, return_counts=True)
    numbers: NDArray[np.intp] = equal_mass_bins(rows.astype(np.float64), BINS)[level.ravel()] + 1
    return numbers


def reliability(
    frame: pd.DataFrame,
    probability: ArrayLike,
    segments: Mapping[str, ArrayLike],
    worth: ArrayLike | None = None,
    *,
    draws: int = DRAWS,
    seed: int,
) -> Json:
    """Hold mean predicted churn against the share who left, group by group.

    Parameters
    ----------
    frame : DataFrame
        Rows as in `evaluate`: customer_id and churned.
    probability : array
        Of the model that is judged, row for row.
    segments : mapping of str to array
        Each row's level, as text, by the name of the segmentation.
    worth : array, optional
        Each row's expected value, for its deciles.
    draws, seed : int
        Of the bootstrap over customers.

    Returns
    -------
    dict
        `overall` (ten equal-mass bins of the probability) and `by_value` (deciles of worth, 1 the
        lowest; None without worth): lists of groups; `segments`: such lists by name; `too_small`:
        `segment`, `group` and `n` of the groups of fewer than `LEAST_ROWS` rows. A group has
        `group`, `n`, `predicted`, `actual` and `difference` (predicted − actual), the last two
        with 90 % intervals.
    """
    rows, p = Rows.of(frame), np.asarray(probability, dtype=np.float64)
    splits: dict[str, NDArray[Any]] = {"overall": deciles(p)}
    if worth is not None:
        splits["by_value"] = deciles(worth)
    splits |= {f"segments.{name}": np.asarray(level) for name, level in segments.items()}
    coded = {name: np.unique(level, return_inverse=True) for name, level in splits.items()}
    member = np.column_stack(
        [np.equal.outer(code.ravel(), np.arange(len(names))) for names, code in coded.values()]
    )
    judged = iter(_groups(rows, p, member, draws, seed))
    told = {
        name: [{"group": level, **next(judged)} for level in names.tolist()]
        for name, (names, _) in coded.items()
    }
    kept = {n: [g for g in groups if g["n"] >= LEAST_ROWS] for n, groups in told.items()}
    return {
        "overall": told["overall"],
        "by_value": told.get("by_value"),
        "segments": {name: kept[f"segments.{name}"] for name in segments},
        "too_small": [
            {"segment": name, "group": g["group"], "n": g["n"]}
            for name in segments
            for g in told[f"segments.{name}"]
            if g["n"] < LEAST_ROWS
        ],
        "least_rows": LEAST_ROWS,
    }


def _groups(
    rows: Rows, p: Array, member: NDArray[np.bool_], draws: int, seed: int
) -> list[dict[str, Any]]:
    """Judge groups of rows, a column of `member` each, in the same draws."""
    once = np.ones((1, rows.n_customers))
    n, left, said = (_by_customer(rows, part, member) for part in (None, rows.churned, p))
    found: list[tuple[Array, Array]] = []
    for counts in (once, *customer_counts(rows, draws, seed)):
        held = counts @ n
        with np.errstate(invalid="ignore"):
            found.append((counts @ left / held, counts @ said / held))
    actual, predicted = (np.concatenate(part) for part in zip(*found, strict=True))
    people = (n > 0).sum(axis=0)
    return [
        {
            "n": int(n[:, g].sum()),
            "predicted": float(predicted[0, g]),
            "actual": _rate(actual[:, g], int(people[g])),
            "difference": interval(
                float(predicted[0, g] - actual[0, g]), predicted[1:, g] - actual[1:, g]
            ),
        }
        for g in range(member.shape[1])
    ]


def _by_customer(rows: Rows, part: Array | None, member: NDArray[np.bool_]) -> Array:
    """Sum a column over each customer's rows in each group: (customers, groups)."""
    told = np.zeros((rows.n_customers, member.shape[1]))
    part = np.ones(rows.customer.size) if part is None else part
    order = np.lexsort((part, rows.customer))  # sums of one order, whatever that of the rows
    np.add.at(told, rows.customer[order], (member * part[:, None])[order])
    return told


def _rate(actual: Array, people: int) -> Estimate:
    """Interval of a rate; where all did the same, draws cannot vary and the exact limit stands."""
    rate = interval(float(actual[0]), actual[1:])
    unseen = 1 - 0.05 ** (1 / people)  # Clopper & Pearson (1934), one-sided 95 %
    if rate["value"] == 0:
        rate["upper"] = max(rate["upper"], unseen)
    if rate["value"] == 1:
        rate["lower"] = min(rate["lower"], 1 - unseen)
    return rate
