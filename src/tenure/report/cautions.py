"""What a reader must not do with the values: said once, in words, with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from tenure.config import Config
from tenure.report import writing

__all__ = ["cautions", "said_once", "trusted", "use"]

Json = dict[str, Any]

FAR = 4
"""Times the validation horizon, a quarter of the log at most, from which a value looks far."""


def use(hold: Json) -> str:
    """Say what values may be used for where they are too rough for one customer.

    Parameters
    ----------
    hold : dict
        `clv.holdout` of `metrics.json`, judged.
    """
    if not _came(hold):
        return "Use neither the totals nor the ranking; the notes say why."
    if not _ranks(hold):
        return "Use the totals; the ranking cannot be told from chance."
    if not _total(hold).get("inside", True):
        return "Use the ranking, and totals with care: this one missed its range."
    return "Use the totals and the ranking."


def trusted(hold: Json) -> str:
    """Say the same for readers; follows a colon.

    Parameters
    ----------
    hold : dict
        As in `use`.
    """
    if not _came(hold):
        return "neither plan with it nor rank by it"
    if not _ranks(hold):
        return "trust it for groups, not for ranking and not for one person"
    return "trust it for groups and for ranking, not for one person"


def cautions(clv: Json, scores: pd.DataFrame, config: Config) -> list[str]:
    """Return what makes the values of this run misleading; nothing where they may be used as such.

    Parameters
    ----------
    clv : dict
        Of `metrics.json`, with its totals and fits.
    scores : DataFrame
    config : Config
    """
    hold, spend = clv["holdout"], clv.get("fits", {}).get("spend", {})
    said = [*_served(scores, config)]
    if "mae" in hold:
        said += [*_given_back(hold, config), *_no_order(hold), *_far(clv, config)]
    if spend.get("warnings"):
        said += _instead(clv, hold, config)
    return said


def said_once(sentences: Iterable[str]) -> list[str]:
    """Keep the last of sentences that differ by their figures only, and none that another holds.

    The models are fitted for the holdout and again for today, and often warn of the same thing.

    Examples
    --------
    >>> said_once(["47% came early.", "Few came.", "49% came early."])
    ['Few came.', '49% came early.']
    """
    found: dict[str, str] = {}
    for one in sentences:
        gist = re.sub(r"\d[\d.,]*(e[+-]?\d+)?", "#", one)
        found.pop(gist, None)
        found[gist] = one
    kept = list(found.values())
    return [one for one in kept if not any(one in other and one != other for other in kept)]


def _total(hold: Json) -> Json:
    """Return the total held against what came; empty in runs of before it was kept."""
    found: Json = hold.get("total", {}).get("value", {})
    return found


def _came(hold: Json) -> bool:
    return bool(_total(hold).get("actual", 1.0) > 0)


def _ranks(hold: Json) -> bool:
    lower = hold["gini"]["lower"]
    return lower is not None and lower > 0


def _given_back(hold: Json, config: Config) -> list[str]:
    """Refunds may exceed purchases; a value does not count that."""
    if _came(hold):
        return []
    total = _total(hold)
    came, expected = (
        f"{writing.number(total[k], 0)} {config.currency or ''}".strip()
        for k in ("actual", "expected")
    )
    days = f"In the {hold['horizon_days']} days after {hold['origin']}"
    if total["actual"] == 0:
        if not total["expected"]:
            return []  # as said: nobody is worth anything
        return [
            f"{days} nothing came of any customer, where {expected} was expected: no value could "
            "be checked. Check prices and amounts."
        ]
    return [
        f"{days} customers were given back more than they paid: {came} in all, where {expected} "
        "was expected. A value counts refunds against purchases but never falls below 0, so totals "
        "are too high: do not plan with them before the refunds are understood."
    ]


def _no_order(hold: Json) -> list[str]:
    if _ranks(hold) or not _came(hold):
        return []
    gini = writing.estimate(hold["gini"], 2)
    return [
        f"After {hold['origin']} how the values rank customers could not be told from chance "
        f"(Gini {gini[0]} {gini[1]}): do not choose customers by them."
    ]


def _far(clv: Json, config: Config) -> list[str]:
    """Say so where values reach far beyond what could be checked."""
    longest = clv["longer"] if clv.get("longer") else clv
    asked, held = config.clv.horizon_days, longest["holdout"]["horizon_days"]
    if asked < FAR * (held + 1):
        return []
    return [
        f"Values look {asked:,} days ahead, and could be held against what came in {held:,} days "
        "only: beyond, they rest on the models' laws alone, and ranges do not tell how wrong those "
        "may be. For plans, lower clv.horizon_days."
    ]


def _served(scores: pd.DataFrame, config: Config) -> list[str]:
    """Count whose money the cost of serving eats up."""
    column = f"clv_{config.clv.horizon_days}d"
    valued = scores[column].dropna() if column in scores else pd.Series(dtype="float64")
    nothing, cost = int((valued == 0).sum()), config.clv.cost_to_serve
    if not nothing:
        return []
    who = f"{nothing:,} of {len(valued):,} customers are worth 0"
    if cost:
        each = "month" if config.churn.kind == "subscription" else "purchase day"
        return [
            f"{who}: serving them costs as much as they bring or more (clv.cost_to_serve "
            f"{cost:,.10g} a {each}, clv.margin {config.clv.margin:g}). Check both if not so."
        ]
    why = "their price is 0" if config.churn.kind == "subscription" else "nothing is to come"
    return [f"{who}: {why}. Check that if it is not meant."] if nothing == len(valued) else []


def _instead(clv: Json, hold: Json, config: Config) -> list[str]:
    """Say what doubts about Gamma-Gamma mean for the values, by who sets them."""
    if clv["family"] == "lightgbm":
        return [
            "What customers are worth is set by the two-part model (lightgbm), not by Gamma-Gamma; "
            f"of that come the ranges, and how values go on after {hold['horizon_days']} days."
        ]
    if config.clv.family not in ("auto", "lightgbm"):
        return [
            "clv.family names the family; `auto` would also try the two-part model, which does not "
            "take spend to follow Gamma-Gamma."
        ]
    return []
