"""How long subscribers stay by rules that need no model of customers: whole cohorts' curves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.models.spells import LEAST_AT_RISK, KaplanMeier

__all__ = ["RULES", "staying_days"]

Array = npt.NDArray[np.float64]

RULES = (
    "everybody_stays", "constant_hazard", "kaplan_meier", "cohort_by_plan", "cohort_by_year",
)  # fmt: skip


def staying_days(lives: pd.DataFrame, people: pd.DataFrame, horizon_days: int) -> dict[str, Array]:
    """Expect the days that each customer stays within the horizon, by each rule.

    Parameters
    ----------
    lives : DataFrame
        Spells as known at the origin: `days`, `left`, `plan`, `year`.
    people : DataFrame
        Who subscribes then: `age`, `plan`, `year`.
    horizon_days : int

    Returns
    -------
    dict
        `everybody_stays`; `constant_hazard`: ends a day, alike at every age; `kaplan_meier` by
        age; `cohort_by_plan` and `cohort_by_year`: the same within the plan and the year in which
        the spell started, and beyond what that cohort has seen, as all.
    """
    ages = people["age"].to_numpy(dtype=np.int64)
    longest = int(ages.max(initial=0)) + horizon_days + 1
    rate = float(lives["left"].sum()) / max(1.0, float(lives["days"].sum()))
    days = np.arange(longest)
    constant = np.exp(-rate * days)
    everybody = _curve(lives, constant)
    found = {
        "everybody_stays": np.full(len(people), float(horizon_days)),
        "constant_hazard": _within(constant, ages, horizon_days),
        "kaplan_meier": _within(everybody, ages, horizon_days),
    }
    for cohort in ("plan", "year"):
        stays = found["kaplan_meier"].copy()
        for level, members in lives.groupby(cohort):
            here = (people[cohort] == level).to_numpy()
            stays[here] = _within(_curve(members, everybody), ages[here], horizon_days)
        found[f"cohort_by_{cohort}"] = stays
    return found


def _curve(lives: pd.DataFrame, beyond: Array) -> Array:
    """Share still there at each age: by Kaplan-Meier as long as enough were seen, then `beyond`."""
    days, left = lives["days"].to_numpy(dtype=np.float64), lives["left"].to_numpy(dtype=bool)
    if len(days) < LEAST_AT_RISK:
        return beyond
    curve = np.ones(len(beyond))
    if left.any():
        model = KaplanMeier.fit(days, left, np.ones(len(days)))
        curve = model.reached(np.arange(len(beyond)))
    seen = min(int(np.sort(days)[-LEAST_AT_RISK]), np.flatnonzero(curve > 0)[-1])
    curve[seen:] = curve[seen] * beyond[seen:] / beyond[seen]
    return curve


def _within(curve: Array, ages: npt.NDArray[np.int64], horizon_days: int) -> Array:
    """Sum the chances to be there still, half of each day's ends at its middle."""
    middles = (curve[:-1] + curve[1:]) / 2
    until = np.concatenate([[0.0], np.cumsum(middles)])
    stays: Array = (until[ages + horizon_days] - until[ages]) / curve[ages]
    return stays
