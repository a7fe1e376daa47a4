"""Whether the data suffice for what is asked of them, in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np

from tenure.config import Config
from tenure.cutoffs import complete_for, plan
from tenure.errors import DataError
from tenure.labels.horizon import Purchases
from tenure.sources import Sources

__all__ = ["words"]

LEAST = 50  # rows of the rarer class that training asks for
HISTORY = 90  # days before the earliest cutoff


def words(
    sources: Sources, config: Config, p: Purchases | None
) -> tuple[list[str], dict[str, Any]]:
    """Say what the data afford, and what to do where they do not suffice.

    Returns
    -------
    list of str, dict
        Sentences, and the same as values.
    """
    kind = config.churn.kind
    customers = sources.report.tables[config.churn.table].customers
    values: dict[str, Any] = {"kind": kind, "customers": customers}
    if kind == "label":
        return _labels(sources, values)
    first, until = sources.first_day, sources.observed_until
    history = (until - first).days
    values |= {"history_days": history, "horizon_days": config.churn.horizon_days}
    lines = [f"{customers:,} customers, {first} to {until}: {history:,} days of history."]
    if p is not None:
        repeat = int((p.per_customer > 1).sum())
        values["repeat_buyers"] = repeat
        lines.append(f"{repeat:,} of {len(p.per_customer):,} buyers bought on more than one day.")
    try:
        days = plan(config, first, until)
    except DataError as fault:
        return [*lines, f"NOT ENOUGH: {fault}"], {**values, "cutoffs": 0, "enough": False}
    values["cutoffs"] = len(days)
    lines.append(
        f"{len(days)} cutoffs with complete labels at a horizon of {config.churn.horizon_days} "
        f"days, {days[0]} to {days[-1]}."
    )
    counts = _subscribers(sources, config, days) if kind == "subscription" else None
    if counts is None and p is not None:
        counts = {day: _standing(p, day, config) for day in days}
    return _verdict(lines, values, counts or {}, days, config)


def _standing(p: Purchases, day: dt.date, config: Config) -> tuple[int, int]:
    """Count who left and who stayed after a cutoff, of those who had bought shortly before."""
    churn = config.churn
    at = day.toordinal() - dt.date(1970, 1, 1).toordinal()
    since = at - churn.active_days if churn.active_days else p.first
    here = np.unique(p.who[(p.day >= since) & (p.day < at)])
    window = (p.day >= at + churn.gap_days) & (p.day < at + churn.label_days)
    stayed = len(np.intersect1d(here, p.who[window], assume_unique=False))
    return len(here) - stayed, stayed


def _subscribers(
    sources: Sources, config: Config, days: Sequence[dt.date]
) -> dict[dt.date, tuple[int, int]]:
    """Count, roughly, whose subscriptions all ended in the horizon, of those that ran."""
    t = sources.tables["subscriptions"]
    ended = t.ended_day if "ended_day" in t.columns else None
    found = {}
    for day in days:
        end = day + dt.timedelta(days=config.churn.label_days)
        runs = t.filter(t.day < day)
        runs = runs if ended is None else runs.filter(ended.isnull() | (ended >= day))
        there = int(runs.customer_id.nunique().to_pyarrow().as_py())
        later = t.filter(t.day < end)
        later = later if ended is None else later.filter(ended.isnull() | (ended >= end))
        both = runs.select("customer_id").distinct().semi_join(later, "customer_id")
        stayed = int(both.count().to_pyarrow().as_py())
        found[day] = (there - stayed, stayed)
    return found


def _verdict(
    lines: list[str],
    values: dict[str, Any],
    counts: dict[dt.date, tuple[int, int]],
    days: Sequence[dt.date],
    config: Config,
) -> tuple[list[str], dict[str, Any]]:
    newest = counts.get(days[-1], (0, 0))
    usable = complete_for(days, days[-1], config.churn.complete_days)
    left, stayed = (sum(counts.get(d, (0, 0))[i] for d in usable) for i in (0, 1))
    lines.append(
        f"At the newest cutoff, {newest[0] + newest[1]:,} customers could leave and "
        f"{newest[0]:,} did."
    )
    lines.append(
        f"Of the {len(usable)} cutoffs a model for it may learn from, {left:,} left and "
        f"{stayed:,} stayed."
    )
    values |= {
        "leavers": newest[0],
        "stayers": newest[1],
        "learn_left": left,
        "learn_stayed": stayed,
    }
    values["enough"] = min(left, stayed) >= LEAST
    if values["enough"]:
        lines.append(f"ENOUGH to train: both are at least {LEAST}.")
    else:
        other = "longer" if stayed < left else "shorter"
        lines.append(
            f"NOT ENOUGH to train: at least {LEAST} who left and {LEAST} who stayed are needed "
            f"before the newest cutoff. Load a longer log or more customers, or try a {other} "
            "churn.horizon_days; features and figures work all the same."
        )
    return lines, values


def _labels(sources: Sources, values: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    t = sources.tables["customers"]
    found = sources.con.to_pyarrow(
        t.aggregate(left=t.label.sum().fill_null(0), known=t.label.count())
    ).to_pylist()[0]
    left, stayed = int(found["left"]), int(found["known"] - found["left"])
    values |= {"leavers": left, "stayers": stayed, "enough": min(left, stayed) >= LEAST}
    lines = [
        f"{values['customers']:,} customers with a label: {left:,} left and {stayed:,} stayed.",
        "There are no dates, so nobody can prove that the columns were known before the label.",
    ]
    if left > stayed:
        lines.append(
            "More left than stayed: check that the label is the right way round (yes, or 1, must "
            "mean that the customer left)."
        )
    enough = f"ENOUGH to train: both are at least {LEAST}."
    lacking = f"NOT ENOUGH to train: at least {LEAST} of each are needed. Load more customers."
    return [*lines, enough if values["enough"] else lacking], values
