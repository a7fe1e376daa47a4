"""Lead time: how early a flag comes, and how many of the flags are false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.evaluation.bootstrap import Estimate, interval

__all__ = ["RATES", "flagged", "lead_time"]

RATES = (0.05, 0.1, 0.2, 1.0)
"""Shares of the riskiest who are flagged; 1 flags everybody, which is what no model knows."""

DRAWS = 400
QUARTILES = {"lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75}

Array = NDArray[np.float64]


def flagged(probability: ArrayLike, rate: float) -> NDArray[np.bool_]:
    """Flag the riskiest share of one cutoff's customers.

    Equal probabilities are flagged together or not at all, whichever comes nearer to the share, so
    that the order of rows cannot matter.

    Examples
    --------
    >>> flagged([0.1, 0.9, 0.5, 0.5], 0.25).tolist()
    [False, True, False, False]
    >>> flagged([0.5] * 4, 0.25).tolist()
    [False, False, False, False]
    """
    p = np.asarray(probability, dtype=np.float64)
    minus, count = np.unique(-p, return_counts=True)
    reached = np.concatenate([[0], np.cumsum(count)])
    levels = int(np.argmin(np.abs(reached - rate * p.size)))
    return p >= -minus[levels - 1] if levels else np.zeros(p.size, dtype=bool)


def lead_time(
    frame: pd.DataFrame,
    probability: ArrayLike,
    *,
    rates: Sequence[float] = RATES,
    rule_calls: bool = True,
    draws: int = DRAWS,
    seed: int,
) -> list[dict[str, Any]]:
    """Tell how many days ahead leavers were flagged, with the false flags beside.

    At each cutoff the riskiest share of those whom the plain rule has not called lost yet is
    flagged. A customer counts once, by the first flag: a true one if they left in the label window
    of that cutoff, else a false one, whatever they did later.

    Parameters
    ----------
    frame : DataFrame
        One row a customer and cutoff: `customer_id`, `cutoff`, `churned`, and `lead_days` from
        `labels.lead_days`: of leavers, the days from the cutoff until the plain rule would have
        called them lost (or their subscription ended).
    probability : array-like
        Row for row, by the registered model.
    rates : sequence of float
        Shares to flag.
    rule_calls : bool
        Whether a row of 0 days or less is not flagged, since the plain rule had called it by then.
        Where no rule calls (subscriptions), who is flagged may not depend on what came.
    draws, seed : int
        Of the bootstrap over the flagged customers; the flags themselves are held fixed.

    Returns
    -------
    list of dict
        By rate: `flag_rate`, `flagged` and `leavers` (customers), and with 90 % intervals
        `median`, `lower_quartile` and `upper_quartile` (days) and `false_flags` (share of the
        flags); these are None where nobody was flagged, and the days where no leaver was.
    """
    said = frame[["customer_id", "cutoff", "churned", "lead_days"]].assign(
        p=np.asarray(probability, dtype=np.float64)
    )
    if rule_calls:
        said = said[~(said["lead_days"] <= 0)]
    said = said.sort_values(["cutoff", "customer_id"])
    return [_at_rate(said, rate, draws, seed) for rate in rates]


def _at_rate(said: pd.DataFrame, rate: float, draws: int, seed: int) -> dict[str, Any]:
    parts = [here[flagged(here["p"], rate)] for _, here in said.groupby("cutoff")]
    flags = pd.concat(parts) if parts else said
    first = flags.drop_duplicates("customer_id").sort_values("customer_id")
    left = first["churned"].to_numpy() == 1
    counts = {"flag_rate": rate, "flagged": len(first), "leavers": int(left.sum())}
    lead = np.where(left, first["lead_days"].to_numpy(dtype=np.float64), np.nan)
    return counts | _estimates(lead, draws, seed)


def _estimates(lead: Array, draws: int, seed: int) -> dict[str, Estimate | None]:
    """Value and interval of the quartiles of lead, and of the share without one."""
    nothing: dict[str, Estimate | None] = dict.fromkeys((*QUARTILES, "false_flags"))
    if not lead.size:
        return nothing
    rng = np.random.default_rng([seed, 2])
    drawn = [lead[rng.integers(0, lead.size, lead.size)] for _ in range(draws)]
    shares = np.array([np.isnan(one).mean() for one in drawn])
    found = nothing | {"false_flags": interval(float(np.isnan(lead).mean()), shares)}
    if np.isnan(lead).all():
        return found
    known = [one[~np.isnan(one)] for one in drawn]
    quantiles = np.array([_quartiles(one) for one in known if one.size])
    values = _quartiles(lead[~np.isnan(lead)])
    for k, name in enumerate(QUARTILES):
        found[name] = interval(float(values[k]), quantiles[:, k])
    return found


def _quartiles(days: Array) -> Array:
    return np.asarray(np.quantile(days, list(QUARTILES.values())), dtype=np.float64)
