"""How large a test must be to find an effect, and how small an effect a test can find.

Two proportions by the normal approximation without continuity correction (Fleiss, Levin and Paik
2003, Statistical Methods for Rates and Proportions, eq. 4.14), generalised to unequal arms
(eq. 4.19).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm

from tenure.config import Config

__all__ = ["POINTS", "customers_an_arm", "detectable", "power", "sample_size"]

POINTS = (1.0, 2.0, 3.0, 5.0)
LEVEL, POWER = 0.05, 0.8
"""Two-sided chance of a false finding, and the chance to find an effect that is there."""


def customers_an_arm(
    rate: float, effect: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Return how many customers each of two equal arms needs.

    Parameters
    ----------
    rate : float
        Leaving rate of those held out, 0 < rate < 1.
    effect : float
        By how much contacting lowers it, a share above 0.
    level, power : float
        Two-sided chance of a false finding, and the chance to find the effect.

    Returns
    -------
    int or None
        None where the rate is not so large as the effect.

    Examples
    --------
    >>> customers_an_arm(0.30, 0.05)
    1251
    """
    lower = rate - effect
    if effect <= 0 or lower < 0 or rate >= 1:
        return None
    mean = (rate + lower) / 2
    null = float(norm.isf(level / 2)) * math.sqrt(2 * mean * (1 - mean))
    other = float(norm.ppf(power)) * math.sqrt(rate * (1 - rate) + lower * (1 - lower))
    return math.ceil(((null + other) / effect) ** 2)


def power(
    rate: float, effect: float, contacted: float, held_out: float, *, level: float = LEVEL
) -> float:
    """Return the chance that a test of given arms finds an effect, in its own direction."""
    lower = rate - effect
    mean = (contacted * lower + held_out * rate) / (contacted + held_out)
    null = math.sqrt(mean * (1 - mean) * (1 / contacted + 1 / held_out))
    own = math.sqrt(lower * (1 - lower) / contacted + rate * (1 - rate) / held_out)
    short = effect - norm.isf(level / 2) * null
    if own == 0:
        return float(short > 0)
    return float(norm.cdf(short / own))


def detectable(rate: float, contacted: float, held_out: float) -> float | None:
    """Return the smallest lowering of the leaving rate that is found 4 times in 5, as a share."""
    if not 0 < rate < 1 or power(rate, rate, contacted, held_out) < POWER:
        return None

    def lacks(effect: float) -> float:
        return power(rate, effect, contacted, held_out) - POWER

    return float(brentq(lacks, 1e-9, rate))


def sample_size(probabilities: ArrayLike, config: Config) -> dict[str, Any] | None:
    """Say how large a test among the riskiest customers must be.

    Of the riskiest customers, twice as many as can be contacted at a time (everybody where there
    is no limit), half are drawn to be held out. Where one round is too small the test is repeated
    every `cutoffs.every_days`; the last round's label is complete `complete_days` after it.

    Parameters
    ----------
    probabilities : array-like
        Chance of leaving of each customer who could be contacted today.
    config : Config
        Its capacity, `accept_rate`, horizon and rhythm.

    Returns
    -------
    dict or None
        Leaving rate of those asked, and of each effect in points the customers in each arm, rounds
        and days; the effect that the config assumes is `accept_rate` times the leaving rate. None
        without customers.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    p = np.sort(p[np.isfinite(p)])[::-1]
    most = len(p) // 2
    if not most:
        return None
    each = most if config.campaign.capacity is None else min(config.campaign.capacity, most)
    rate = float(p[: 2 * each].mean())
    among = f"all {len(p):,}" if each == most else f"the riskiest {2 * each:,} of {len(p):,}"
    assumed = 100 * config.campaign.accept_rate * rate
    rows = [{**_row(rate, points, each, config), "assumed": False} for points in POINTS]
    rows.append({**_row(rate, assumed, each, config), "assumed": True})
    return {
        "power": POWER, "level": LEVEL, "among": 2 * each, "customers": len(p),
        "leaving_rate": rate, "contacted_a_round": each, "effects": rows,
        "says": _says(rows, each, rate, among),
    }  # fmt: skip


def _row(rate: float, points: float, each: int, config: Config) -> dict[str, Any]:
    need = customers_an_arm(rate, points / 100)
    rounds = None if need is None else math.ceil(need / each)
    days = None
    if rounds is not None and config.churn.kind != "label":
        days = (rounds - 1) * config.cutoffs.every_days + config.churn.complete_days
    return {"points": points, "customers_each_arm": need, "rounds": rounds, "days": days}


def _says(rows: Sequence[dict[str, Any]], each: int, rate: float, among: str) -> str:
    """Say of the effect the config assumes, and of one of 2 points, what they take."""
    told = []
    for row in (rows[-1], rows[1]):
        if row["customers_each_arm"] is None:
            continue
        times = "1 round" if row["rounds"] == 1 else f"{row['rounds']:,} rounds"
        days = "" if row["days"] is None else f", known after {row['days']:,} days"
        which = "the effect the config assumes" if row["assumed"] else "an effect"
        told.append(
            f"{which} ({row['points']:.1f} points) takes {row['customers_each_arm']:,} customers "
            f"contacted and as many held out at random ({times} of {each:,}{days})"
        )
    if not told:
        return "Hardly anybody leaves: a test would find nothing."
    return (
        f"Among {among}, of whom {100 * rate:.0f} % leave, a test that finds it "
        f"4 times in 5: {'; '.join(told)}."
    )
