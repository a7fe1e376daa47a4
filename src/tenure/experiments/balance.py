"""Whether the arms look drawn by lot: nothing known before a contact may tell them apart.

Two checks, of which the smaller p counts, doubled. The largest difference of one feature, by its
own clustered error and times the number of features (Bonferroni), finds a rule such as "the regular
buyers". A quadratic form of the differences of the expected leaving and of the main directions of
all features (Hansen and Bowers 2008, Statistical Science 23, eq. 9, clustered by customer) finds
many small ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2, norm

from tenure.experiments.rows import Array, Trial

__all__ = ["BROKEN", "balance"]

BROKEN = 0.001
"""Arms that differ so much come by lot once in a thousand times or less."""
DIRECTIONS = 10
LEAST_MOVING = 100  # rows off a feature's commonest value: fewer have no normal error
SHOWN = 5
EXPECTED = "expected_leaving"


def balance(trial: Trial, expected: Array | None) -> dict[str, Any]:
    """Compare what was known of the arms before the contact.

    Parameters
    ----------
    trial : Trial
    expected : array or None
        Chance of leaving, by what was known before and without the customer's own rows.

    Returns
    -------
    dict
        `holds`, `p_value`, `features`, and the `largest` standardised differences (of the means,
        in standard deviations).
    """
    names, scaled = _standardised(trial, expected)
    if not names:
        return {"holds": True, "p_value": None, "features": 0, "largest": []}
    parts = _parts(scaled, trial)
    apart, spread = parts.sum(axis=0), np.sqrt((parts**2).sum(axis=0))
    z = np.abs(apart) / np.where(spread > 0, spread, np.inf)
    p_one = min(1.0, len(names) * 2 * float(norm.sf(z.max())))
    p_value = min(1.0, 2 * min(p_one, _joint(names, scaled, trial)))
    order = np.argsort(-np.abs(apart), kind="stable")[:SHOWN]
    largest = [{"feature": names[j], "difference": float(apart[j])} for j in order]
    return {
        "holds": p_value >= BROKEN, "p_value": p_value, "features": len(names), "largest": largest,
    }  # fmt: skip


def _standardised(trial: Trial, expected: Array | None) -> tuple[list[str], Array]:
    """Return the features that vary, missing ones at their mean, in standard deviations."""
    X = trial.X if expected is None else trial.X.assign(**{EXPECTED: expected})
    values = X.to_numpy(dtype=np.float64)
    names, kept = [], []
    for j, name in enumerate(X.columns):
        column = values[:, j]
        known = np.isfinite(column)
        if known.sum() < LEAST_MOVING:
            continue
        column = np.where(known, column, column[known].mean())
        _, often = np.unique(column, return_counts=True)
        if len(column) - often.max() < LEAST_MOVING:
            continue
        low, high = np.quantile(column, [0.005, 0.995])  # one customer's fortune is no imbalance
        column = np.clip(column, low, high)
        if column.std() > 0:
            names.append(str(name))
            kept.append((column - column.mean()) / column.std())
    return names, np.column_stack(kept) if kept else np.empty((len(trial), 0))


def _joint(names: list[str], scaled: Array, trial: Trial) -> float:
    """Return p of the quadratic form, chi-square with as many degrees as directions."""
    _, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    main = scaled @ directions[:, -DIRECTIONS:]
    if EXPECTED in names:
        main = np.column_stack([main, scaled[:, names.index(EXPECTED)]])
    parts = _parts(main, trial)
    apart, spread = parts.sum(axis=0), parts.T @ parts
    rank = int(np.linalg.matrix_rank(spread, hermitian=True))
    return float(chi2.sf(apart @ np.linalg.pinv(spread, hermitian=True) @ apart, rank))


def _parts(values: Array, trial: Trial) -> Array:
    """Return each customer's part in the differences of the arms' means, as a lot makes them.

    Measured from the mean of both arms of a test: under a fair lot they are one.
    """
    n = np.maximum(np.bincount(trial.test), 1).astype(np.float64)
    means = np.zeros((len(n), values.shape[1]))
    np.add.at(means, trial.test, values)
    p = trial.share
    weight = (trial.treated - p) / (p * (1 - p)) / len(trial)
    rows = (values - (means / n[:, None])[trial.test]) * weight[:, None]
    order = np.argsort(trial.customer, kind="stable")
    start = np.flatnonzero(np.diff(trial.customer[order], prepend=-1))
    return np.asarray(np.add.reduceat(rows[order], start, axis=0))
