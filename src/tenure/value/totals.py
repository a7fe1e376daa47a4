"""How sure a total is: the models' own spread, widened by how totals missed in the past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

__all__ = ["LEAST_ORIGINS", "widened"]

LEAST_ORIGINS = 3
"""Past totals needed before their errors say anything; with fewer a total is "model only"."""


def widened(
    expected: float, lower: float, upper: float, errors: Sequence[float]
) -> tuple[float, float]:
    """Widen a total's 90 % interval by the errors of past totals.

    The errors are log(actual / expected). Taken as normal about 0, the next one lies with 90 %
    probability within t(.95, n) times their root mean square (n errors whose mean is known leave n
    degrees of freedom); the wider of this and the models' own interval holds at either end.

    Parameters
    ----------
    expected, lower, upper : float
        The total and the models' own 90 % interval.
    errors : sequence of float
        Log of actual over expected at past origins whose horizons do not overlap.

    Returns
    -------
    (float, float)
        As given where there are fewer than `LEAST_ORIGINS` errors.

    Examples
    --------
    >>> [round(v, 1) for v in widened(100.0, 95.0, 106.0, [0.05, -0.05, 0.05])]
    [88.9, 112.5]
    """
    if len(errors) < LEAST_ORIGINS:
        return lower, upper
    usual = float(np.sqrt(np.mean(np.square(errors))))
    reach = float(np.exp(student.ppf(0.95, len(errors)) * usual))
    return min(lower, expected / reach), max(upper, expected * reach)
