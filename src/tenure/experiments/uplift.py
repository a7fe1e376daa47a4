"""Who is persuadable: whether those a contact keeps can be told apart, and better than by risk.

A ranking judged in folds is learnt from the rows that judge its neighbours, so that its merit is
Σ K(i, j)·ψᵢ·ψⱼ over pairs of rows in different folds: each pair counts twice, and where nobody is
persuadable the variance is twice what is seen with the rankings held fixed (a degenerate
U-statistic; Lee 1990, U-Statistics, 1.3). Intervals of such figures are √2 times as wide. Of a
ranking learnt on earlier tests they are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.config import Config
from tenure.experiments.effect import counts, difference, stretched
from tenure.experiments.learning import Learnt, carried_on, signal
from tenure.experiments.policy import policies
from tenure.experiments.qini import qini, ranks_of_fold
from tenure.experiments.rows import Array, Trial

__all__ = ["LEAST_LEAVERS", "judged", "uplift"]

LEAST_LEAVERS = 100  # of each arm: with fewer, who is persuadable cannot be learnt
FIFTHS = 5
CROSSED = 2.0**0.5
"""How much wider intervals are of what was learnt in folds."""


def uplift(trial: Trial, learnt: Learnt, config: Config, worth: float | None) -> dict[str, Any]:
    """Say who is persuadable, how well it can be told, and what it is worth against risk.

    Parameters
    ----------
    trial : Trial
    learnt : Learnt
        What learners say that did not see the customer.
    config : Config
        Its campaign, and when a label is complete.
    worth : float, optional
        Money that a customer kept is worth.

    Returns
    -------
    dict
        `out_of_fold` and, where an earlier test's label was complete before the newest,
        `out_of_time`; `told_apart` and `better_than_risk`, and `says`, a sentence.
    """
    told: dict[str, Any] = {"out_of_fold": judged(trial, learnt, config, worth, CROSSED)}
    told["out_of_time"] = None
    earlier, later = _in_time(trial, config)
    if _learnable(trial, earlier) and _learnable(trial, later):
        newest = trial.take(later)
        told["out_of_time"] = judged(newest, carried_on(trial, earlier, later), config, worth)
    first, then = told["out_of_fold"], told["out_of_time"]
    told["told_apart"] = first["qini"]["lower"] > 0
    gain = first["policy"]["uplift_less_risk"]["kept"]
    told["better_than_risk"] = told["told_apart"] and gain["lower"] > 0
    told["says"] = _says(told, gain, then)
    return told


def judged(
    trial: Trial, learnt: Learnt, config: Config, worth: float | None, wider: float = 1.0
) -> dict[str, Any]:
    """Judge a ranking by uplift beside one by risk, on rows that did not teach it."""
    by = {
        "uplift": ranks_of_fold(learnt, learnt.saved),
        "risk": ranks_of_fold(learnt, learnt.expected),
    }
    saved = -signal(trial, learnt.expected)
    return {
        **counts(trial),
        "qini": qini(trial, by["uplift"], wider=wider, seed=config.model.seed),
        "qini_by_risk": qini(trial, by["risk"], seed=config.model.seed),
        "fifths": _fifths(trial, learnt, by["uplift"], wider),
        "policy": policies(trial, saved, by, config.campaign, worth, wider),
    }


def _fifths(trial: Trial, learnt: Learnt, rank: Array, wider: float) -> list[dict[str, Any]]:
    """Return the effect of a contact by fifth of the ranking, the most persuadable first."""
    number = np.minimum((rank * FIFTHS).astype(int), FIFTHS - 1)
    rows = []
    for k in reversed(range(FIFTHS)):
        here = trial.take(number == k)
        arms = [here.left[here.treated == arm] for arm in (True, False)]
        if min(map(len, arms)) < 2:
            continue
        found = stretched(difference(here.left, here.treated, here.test, here.customer), wider)
        expected = -100 * float(learnt.saved[number == k].mean())
        rows.append({"fifth": FIFTHS - k, **counts(here), "effect": found, "expected": expected})
    return rows


def _in_time(trial: Trial, config: Config) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell the rows of the newest day, and those whose label was complete by it."""
    days = pd.to_datetime(trial.tests["day"]).to_numpy()[trial.test]
    known = days + np.timedelta64(config.churn.complete_days, "D")
    return known <= days.max(), days == days.max()


def _learnable(trial: Trial, some: NDArray[np.bool_]) -> bool:
    return enough_leavers(trial.take(some)) if some.any() else False


def enough_leavers(trial: Trial) -> bool:
    """Tell whether both arms have leavers and stayers enough to learn who is persuadable."""
    arms = [trial.left[trial.treated == arm] for arm in (True, False)]
    return all(min(a.sum(), len(a) - a.sum()) >= LEAST_LEAVERS for a in arms)


def _says(told: dict[str, Any], gain: dict[str, float], then: dict[str, Any] | None) -> str:
    first = told["out_of_fold"]["qini"]
    range_ = f"Qini {first['value']:.2f} [{first['lower']:.2f}, {first['upper']:.2f}]"
    more = f"{gain['value']:+.1f} [{gain['lower']:+.1f}, {gain['upper']:+.1f}]"
    if not told["told_apart"]:
        return (
            f"Who is persuadable cannot be told from these tests ({range_} of customers held out): "
            "choose by risk and value."
        )
    if not told["better_than_risk"]:
        said = (
            f"The persuadable can be told apart ({range_}), but choosing by it is not shown to "
            f"keep more customers than choosing by risk ({more} per 1,000): risk and value do."
        )
    else:
        said = (
            f"The persuadable can be told apart ({range_}): choosing by it keeps {more} customers "
            "per 1,000 more than choosing by risk."
        )
    if then is not None and then["qini"]["value"] <= 0:
        said += " On the newest test, unseen while learning, the ranking did not hold."
    return said
