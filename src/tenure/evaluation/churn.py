"""How good churn probabilities are: intervals over customers and paired comparisons.

Intervals are 90 %, from a bootstrap over customers (all rows of a customer together), pooled over
the cutoffs at hand and conditional on them. The draws depend on the seed and the customers only, so
every model and metric of one frame sees the same ones, and differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.errors import ModelError
from tenure.evaluation.bootstrap import (
    Estimate,
    Judged,
    Metrics,
    Rows,
    chunks,
    customer_codes,
    judge_probabilities,
    reflected,
)
from tenure.evaluation.metrics import BINS, METRICS, Metric, equal_mass_bins, point

__all__ = [
    "DRAWS",
    "Estimate",
    "Metrics",
    "by_cutoff",
    "calibration_floor",
    "compare",
    "evaluate",
    "figures",
    "paired",
]

Array = NDArray[np.float64]
DRAWS = 400
FLOOR_DRAWS = 200


def evaluate(
    frame: pd.DataFrame,
    probabilities: Mapping[str, ArrayLike],
    *,
    draws: int = DRAWS,
    seed: int,
) -> dict[str, Metrics]:
    """Judge several models on the same rows.

    Parameters
    ----------
    frame, probabilities, draws, seed
        As in `compare`.

    Returns
    -------
    dict
        By model, then by metric, `value`, `lower` and `upper`; see `figures`.

    Raises
    ------
    DataError
        If the rows hold one class.
    ModelError
        If probabilities do not fit the rows or lie outside 0 to 1.
    """
    return figures(
        compare(frame, probabilities, draws=draws, seed=seed), frame, probabilities, seed
    )


def compare(
    frame: pd.DataFrame,
    probabilities: Mapping[str, ArrayLike],
    *,
    more: Mapping[str, Metric] = MappingProxyType({}),
    draws: int = DRAWS,
    seed: int,
) -> Judged:
    """Take every metric of several models on the same rows and in the same draws.

    Parameters
    ----------
    frame : DataFrame
        One row per customer and cutoff: customer_id, cutoff, churned (1 = churned) and active
        (bought within one horizon before the cutoff).
    probabilities : mapping of str to array
        Probability of churn by model name, row for row.
    more : mapping of str to function
        Metrics of a `Tally` beside those of `METRICS`.
    draws : int
        Bootstrap draws of customers.
    seed : int
        Of the draws.

    Returns
    -------
    Judged
        Every metric, and auc_active on the active rows alone, which is left out where these hold
        one class.

    Raises
    ------
    DataError
        If the rows hold one class.
    ModelError
        If probabilities do not fit the rows or lie outside 0 to 1.
    """
    rows = Rows.of(frame)
    given = {name: _checked(name, p, len(frame)) for name, p in probabilities.items()}
    active = frame["active"].to_numpy(dtype=bool)
    some = rows.take(active)
    judged = judge_probabilities(rows, given, {**METRICS, **more}, draws, seed)
    if active.all():
        return judged | Judged(
            {n: {"auc_active": now["auc"]} for n, now in judged.now.items()},
            {n: {"auc_active": drawn["auc"]} for n, drawn in judged.drawn.items()},
        )
    if not 0 < some.churned.sum() < some.churned.size:
        return judged
    among = {name: p[active] for name, p in given.items()}
    return judged | judge_probabilities(some, among, {"auc_active": METRICS["auc"]}, draws, seed)


def figures(
    judged: Judged, frame: pd.DataFrame, probabilities: Mapping[str, ArrayLike], seed: int
) -> dict[str, Metrics]:
    """Return every metric with its interval, by model; the calibration error beside its floor.

    Returns
    -------
    dict
        By model, then by metric, `value`, `lower` and `upper`; expected_calibration_error also
        has `floor_mean` and `floor_p95`, see `calibration_floor`.
    """
    table = {name: judged.estimates(name) for name in judged.now}
    for name, p in probabilities.items():
        error = table[name]["expected_calibration_error"]
        floor = calibration_floor(frame, p, seed=seed)
        table[name]["expected_calibration_error"] = _without_bias(error, floor)
    return table


def paired(
    frame: pd.DataFrame,
    better: ArrayLike,
    worse: ArrayLike,
    metric: str,
    *,
    draws: int = DRAWS,
    seed: int,
) -> Estimate:
    """By how much one model improves on another, in the same bootstrap draws as `evaluate`.

    Parameters
    ----------
    frame : DataFrame
        As in `compare`.
    better, worse : array-like
        Probabilities of the model, and of the baseline that it should improve on.
    metric : str
        A key of `METRICS`. The improvement is baseline − model for losses, model − baseline for
        the others: positive is good.
    """
    rows = Rows.of(frame)
    given = {n: _checked(n, p, len(frame)) for n, p in (("model", better), ("baseline", worse))}
    judged = judge_probabilities(rows, given, {metric: METRICS[metric]}, draws, seed)
    return judged.gain("model", "baseline", metric)


def calibration_floor(
    frame: pd.DataFrame, probability: ArrayLike, *, draws: int = FLOOR_DRAWS, seed: int
) -> Estimate:
    """Calibration error that these probabilities show by chance when they are exactly right.

    Outcomes are drawn from the probabilities, one uniform a customer across cutoffs, since pooled
    cutoffs share customers.

    Returns
    -------
    dict
        `floor_mean` and `floor_p95`, the 95th percentile.
    """
    p = np.asarray(probability, dtype=np.float64)
    codes, n = customer_codes(frame)
    order = np.argsort(-p, kind="stable")
    minus, level, count = np.unique(-p, return_inverse=True, return_counts=True)
    bins = equal_mass_bins(count.astype(np.float64))
    member = np.equal.outer(bins, np.arange(BINS)).astype(np.float64)
    expected = (-minus * count) @ member
    first = np.flatnonzero(np.diff(bins[level.ravel()[order]], prepend=-1))
    held = np.unique(bins)
    rng = np.random.default_rng([seed, 1])
    errors: list[Array] = []
    for size in chunks(draws, p.size):
        uniform = rng.random((size, n))
        churned = np.take(uniform, codes[order], axis=1) < p[order]
        actual = np.add.reduceat(churned, first, axis=1, dtype=np.float64)
        errors.append(np.abs(expected[held] - actual).sum(axis=1) / p.size)
    drawn = np.concatenate(errors)
    return {"floor_mean": float(drawn.mean()), "floor_p95": float(np.quantile(drawn, 0.95))}


def by_cutoff(frame: pd.DataFrame, probabilities: Mapping[str, ArrayLike]) -> list[dict[str, Any]]:
    """Show the spread across cutoffs, earliest first.

    Returns
    -------
    list of dict
        cutoff (as text), n, base_rate, and by model name auc (None where the cutoff holds one
        class) and log_loss.
    """
    given = {name: _checked(name, p, len(frame)) for name, p in probabilities.items()}
    labels = frame["churned"].to_numpy(dtype=np.float64)
    cutoffs = frame["cutoff"].to_numpy()
    table = []
    for cutoff in sorted(pd.unique(frame["cutoff"])):
        here = cutoffs == cutoff
        y = labels[here]
        two = 0 < y.sum() < y.size
        table.append(
            {
                "cutoff": str(cutoff)[:10],  # a local day
                "n": int(here.sum()),
                "base_rate": float(y.mean()),
                "auc": {m: point(y, p[here], "auc") if two else None for m, p in given.items()},
                "log_loss": {m: point(y, p[here], "log_loss") for m, p in given.items()},
            }
        )
    return table


def _checked(name: str, probability: ArrayLike, n: int) -> Array:
    p = np.asarray(probability, dtype=np.float64)
    if p.shape != (n,):
        raise ModelError(f"{name}: {p.size:,} probabilities for {n:,} rows; give one a row.")
    odd = int((~((p >= 0) & (p <= 1))).sum())
    if odd:
        raise ModelError(f"{name}: {odd:,} of {n:,} probabilities are missing or not in 0 to 1.")
    return p


def _without_bias(error: Estimate, floor: Estimate) -> Estimate:
    """Turn the percentile interval of a calibration error into one that can hold the truth.

    A mean of absolute values grows with noise, and a bootstrap sample is noisier than the sample:
    the percentile interval of a right model often lies above its own value. So the interval is
    reflected at the value, widened to hold it, and reaches 0 where chance alone explains the value.
    """
    mirrored = reflected(error)
    if mirrored["value"] <= floor["floor_p95"]:
        mirrored["lower"] = 0.0
    return {**mirrored, "lower": max(mirrored["lower"], 0.0), **floor}
