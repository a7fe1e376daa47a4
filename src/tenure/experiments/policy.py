"""What choosing whom to contact is worth, read off the randomised rows.

A customer kept by contacting a share of the rows is the mean of the row's signal (`learning`) over
those chosen: unbiased, since who was contacted was drawn (Dudík, Langford and Li 2011). Two ways of
choosing are compared row by row, so that whom both would contact cancels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tenure.config import CampaignConfig
from tenure.experiments.effect import NINETY, clustered_error, stretched
from tenure.experiments.rows import Array, Trial

__all__ = ["SHARE", "chosen", "contact_costs", "policies"]

SHARE = 0.2
"""Contacted where the config has no capacity."""


def chosen(trial: Trial, score: Array, capacity: int | None) -> Array:
    """Return each row's chance to be contacted: within each test the highest scores first.

    As many as the capacity allows, but at most half of a test, or a fifth where there is no limit;
    where the border falls among equal scores, they are taken in proportion.
    """
    told = np.zeros(len(trial))
    for number in np.unique(trial.test):
        here = np.flatnonzero(trial.test == number)
        n = len(here)
        k = SHARE * n if capacity is None else min(capacity, n / 2)
        order = here[np.argsort(-score[here], kind="stable")]
        start = np.flatnonzero(np.diff(-score[order], prepend=-np.inf))
        size = np.diff(start, append=n)
        share = np.clip((k - start) / size, 0, 1)
        told[order] = np.repeat(share, size)
    return told


def contact_costs(trial: Trial, campaign: CampaignConfig) -> tuple[Array, str]:
    """Return what contacting each customer costs, and where that is from.

    The mean recorded cost of the contacted, if all of theirs are recorded; else the config's: the
    contact, and the incentive of those who take it, who are `accept_rate` of the leavers and
    `stayers_take_rate` of the others.
    """
    paid = trial.cost[trial.treated]
    if len(paid) and np.isfinite(paid).all():
        return np.full(len(trial), paid.mean()), "recorded in treatments"
    leaving = trial.left[~trial.treated].mean()
    takes = campaign.accept_rate * leaving + campaign.stayers_take_rate * (1 - leaving)
    cost = campaign.contact_cost + campaign.incentive * takes
    return np.full(len(trial), cost), "expected by the config's campaign"


def policies(
    trial: Trial,
    saved: Array,
    scores: dict[str, Array],
    campaign: CampaignConfig,
    worth: float | None = None,
    wider: float = 1.0,
) -> dict[str, Any]:
    """Compare ways of choosing whom to contact, per 1,000 customers.

    Parameters
    ----------
    trial : Trial
    saved : array
        The signal of being kept by a contact, of each row.
    scores : dict of str to array
        `uplift`, `risk`: the highest are contacted first.
    campaign : CampaignConfig
        Capacity and costs.
    worth : float, optional
        Money that a customer kept is worth (V_A − V_0).
    wider : float
        By how much intervals of what uplift chooses are stretched: `uplift.CROSSED` for a ranking
        learnt in folds.

    Returns
    -------
    dict
        Of each way `contacted`, `kept` with a 90 % interval and, where `worth` is given, `net`
        money alike, and `cost_of_kept`, what a customer kept costs (None where a bound cannot be
        had); `uplift_less_risk`, the same of their difference.
    """
    cost, source = contact_costs(trial, campaign)
    ways = {name: chosen(trial, score, campaign.capacity) for name, score in scores.items()}
    share = float(np.mean(next(iter(ways.values()))))
    ways |= {"random": np.full(len(trial), share), "everybody": np.ones(len(trial))}
    told: dict[str, Any] = {}
    for name, way in ways.items():
        learnt = wider if name == "uplift" else 1.0
        told[name] = _of(trial, saved, way, cost, worth, learnt)
    apart = _of(trial, saved, ways["uplift"] - ways["risk"], cost, worth, wider)
    del apart["contacted"], apart["cost_of_kept"]
    return {
        "per": 1000, "share_contacted": share, "cost_of_contact": float(cost.mean()),
        "cost_source": source, "kept_worth": worth, "ways": told, "uplift_less_risk": apart,
    }  # fmt: skip


def _of(
    trial: Trial, saved: Array, way: Array, cost: Array, worth: float | None, wider: float
) -> dict[str, Any]:
    kept = stretched(_mean(way * saved, trial), wider)
    told: dict[str, Any] = {"contacted": 1000 * float(way.mean()), "kept": kept}
    spent = 1000 * float((way * cost).mean())
    bounds = {"value": kept["value"], "lower": kept["upper"], "upper": kept["lower"]}
    told["cost_of_kept"] = {name: spent / n if n > 0 else None for name, n in bounds.items()}
    if worth is not None and math.isfinite(worth):
        told["net"] = stretched(_mean(way * (worth * saved - cost), trial), wider)
    return told


def _mean(values: Array, trial: Trial) -> dict[str, float]:
    """Return the mean per 1,000 rows with a 90 % interval, customers being independent."""
    value = 1000 * float(values.mean())
    error = 1000 * clustered_error((values - values.mean()) / len(values), trial.customer)
    return {"value": value, "lower": value - NINETY * error, "upper": value + NINETY * error}
