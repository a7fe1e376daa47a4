"""What contacting did: differences between the arms, with intervals clustered by customer.

In test s, with arms of n₁ and n₀ of its n customers, the effect is the difference of the arms' mean
leaving; of several tests, their mean by number of rows. A row's influence is (T/p − (1−T)/(1−p))
times its distance from its arm's mean, p = n₁/n; influences are summed by customer, who may be in
several tests, before they are squared (Liang and Zeger 1986). With `left − expected` in place of
`left`, expected from what was known before the contact by a model that did not see the customer,
the same formula is the doubly robust score of Chernozhukov et al. (2018, eq. 5.3) with the arms'
shares known: as unbiased, and narrower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tenure.experiments.rows import Array, Ints, Trial

__all__ = [
    "NINETY",
    "clustered_error",
    "counts",
    "difference",
    "effect",
    "enough",
    "influence",
    "stretched",
]

NINETY = float(norm.ppf(0.95))
FOUR_IN_FIVE = float(norm.ppf(0.975) + norm.ppf(0.8))
"""Standard errors that an effect must measure to be found (5 %, two-sided) 4 times in 5."""
LEAST = 10
"""Leavers and stayers each arm needs: below, a normal interval promises too much."""


def influence(y: Array, treated: NDArray[np.bool_], test: Ints) -> tuple[float, Array]:
    """Return the difference of the arms' means, and each row's part in its error.

    Rows of a test that has one arm only are 0 and count for nothing.
    """
    n, cells = int(test.max()) + 1, 2 * test + treated
    count = np.bincount(cells, minlength=2 * n).reshape(n, 2).astype(np.float64)
    total = np.bincount(cells, y, minlength=2 * n).reshape(n, 2)
    two = (count > 0).all(axis=1)
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    size = np.where(two, count.sum(axis=1), 0.0)
    if not two.any():
        return float("nan"), np.zeros(len(y))
    value = float((size * (mean[:, 1] - mean[:, 0])).sum() / size.sum())
    off = (y - mean[test, treated.astype(int)]) * np.where(treated, 1.0, -1.0)
    part = off * size[test] / count[test, treated.astype(int)]
    return value, part / size.sum()


def clustered_error(part: Array, customer: Ints) -> float:
    """Return the standard error of a sum of rows whose customers are independent."""
    by_customer = np.bincount(customer, part)
    n = len(np.unique(customer))
    return float(np.sqrt((by_customer**2).sum() * n / max(n - 1, 1)))


def difference(
    y: Array, treated: NDArray[np.bool_], test: Ints, customer: Ints, unit: float = 100.0
) -> dict[str, float]:
    """Return contacted less held out, its 90 % interval and its standard error.

    Examples
    --------
    >>> y = np.array([0.0, 0, 0, 1, 0, 1, 1, 1])
    >>> arm = np.array([True] * 4 + [False] * 4)
    >>> found = difference(y, arm, np.zeros(8, dtype=int), np.arange(8))
    >>> {name: round(value, 1) for name, value in found.items()}
    {'value': -50.0, 'lower': -103.8, 'upper': 3.8, 'error': 32.7}
    """
    value, part = influence(y, treated, test)
    error = unit * clustered_error(part, customer)
    value = unit * value
    return {
        "value": value, "lower": value - NINETY * error, "upper": value + NINETY * error,
        "error": error,
    }  # fmt: skip


def stretched(told: dict[str, float], wider: float) -> dict[str, float]:
    """Return an estimate whose interval is as many times as wide about its value."""
    value = told["value"]
    return {
        **told,
        "lower": value - wider * (value - told["lower"]),
        "upper": value + wider * (told["upper"] - value),
    }


def enough(trial: Trial) -> bool:
    """Tell whether each arm has leavers and stayers enough for an interval."""
    arms = [trial.left[trial.treated == arm] for arm in (True, False)]
    return all(min(arm.sum(), len(arm) - arm.sum()) >= LEAST for arm in arms)


def effect(trial: Trial, expected: Array | None) -> dict[str, Any]:
    """Return the effect of a contact on the leaving rate, in points.

    Parameters
    ----------
    trial : Trial
    expected : array or None
        Chance of leaving of each row, by what was known before and without the customer's own
        rows; None gives no adjusted effect.

    Returns
    -------
    dict
        `value`, `lower`, `upper` (90 %), `p_value` (two-sided), `detectable_points` (what tests of
        this size find 4 times in 5), `adjusted` alike, and how many were compared.
    """
    arms = trial.treated, trial.test, trial.customer
    told: dict[str, Any] = {**_tested(difference(trial.left, *arms)), "adjusted": None}
    if expected is not None:
        told["adjusted"] = _tested(difference(trial.left - expected, *arms))
    return {**told, **counts(trial)}


def counts(trial: Trial) -> dict[str, Any]:
    """Return how many were in each arm, and what share of them left."""
    told: dict[str, Any] = {"customers": len(np.unique(trial.customer))}
    for name, arm in (("contacted", trial.treated), ("held_out", ~trial.treated)):
        told[name] = int(arm.sum())
        told[f"leaving_rate_{name}"] = float(trial.left[arm].mean()) if arm.any() else None
    return told


def _tested(told: dict[str, float]) -> dict[str, Any]:
    """Add how rare such a difference is by chance, and which the tests could find."""
    error = told["error"]
    p = float(2 * norm.sf(abs(told["value"]) / error)) if error > 0 else None
    return {**told, "p_value": p, "detectable_points": FOUR_IN_FIVE * error}
