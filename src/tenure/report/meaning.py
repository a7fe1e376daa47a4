"""What leaving means, in words: by the kind of leaving, with its dates and of whom it is asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from tenure.config import ChurnConfig, Config
from tenure.report import writing

__all__ = ["defined", "in_short", "meaning"]

Json = dict[str, Any]

OTHERS = {
    "lapsed": (
        "{n} had been away for longer and count as long gone: the question is not asked of them.",
        "other", "others",
    ),
    "notice": (
        "{n} already given notice: whether they will leave is no longer a question.",
        "other has", "others have",
    ),
    "trial": ("{n} still trying: they are asked once they pay.", "other is", "others are"),
    "ended": ("{n} no subscription that runs.", "other has", "others have"),
}  # fmt: skip
NEVER = {
    "inactivity": "{n} never bought for more than zero.",
    "subscription": "{n} never subscribed.",
}


def meaning(as_of: dt.date | None, config: Config, status: pd.Series) -> Json:
    """Say what leaving means here, and of whom it is asked.

    Parameters
    ----------
    as_of : date or None
        The end of observation; None where nothing is dated.
    config : Config
        The question.
    status : Series
        Of every customer, from the scores.

    Returns
    -------
    dict
        `left`, a sentence; `within`, which follows "chance of leaving"; `asked`; `scored`, a
        count; `others`, sentences about who is not scored.
    """
    counts = status.value_counts()
    others = [
        words.format(n=writing.count(int(counts[name]), one, many))
        for name, (words, one, many) in OTHERS.items()
        if counts.get(name, 0)
    ]
    if counts.get("never_bought", 0):
        never = writing.count(int(counts["never_bought"]), "more has", "more have")
        others.append(NEVER[config.churn.kind].format(n=never))
    left, within, asked = _sentences(as_of, config.churn)
    return {
        "left": left,
        "within": within,
        "asked": asked,
        "scored": int(counts.get("scored", 0)),
        "others": others,
    }


def _sentences(as_of: dt.date | None, churn: ChurnConfig) -> tuple[str, str, str]:
    if as_of is None:
        return (
            "Who has left is what the label in the data says; over what time, the data do not say.",
            "",
            "customers in the data, whether they carry a label or not",
        )
    today = writing.day(as_of)
    start = as_of + dt.timedelta(days=churn.gap_days)
    gap = f" that begin {writing.count(churn.gap_days, 'day')}" if churn.gap_days else ""
    since = f"the {writing.count(churn.horizon_days, 'day')}{gap} after {today}"
    window = writing.span(start, churn.horizon_days)
    if churn.kind == "subscription":
        again = "starts again"
        if churn.grace_days:
            again += f" within {writing.count(churn.grace_days, 'day')}"
        return (
            f"A customer has left when they end all their subscriptions in {since} ({window}) and "
            f"none {again}. A change of plan is no end; an end that is not their own will, such as "
            "an unpaid bill, does not count as leaving.",
            f" in {since}",
            f"customers with a subscription that runs on {today}, who have not given notice and "
            "are past their trial",
        )
    asked = "everybody who ever bought"
    if churn.active_days is not None:
        active = writing.count(churn.active_days, "day")
        asked = f"customers who bought in the {active} before {today}"
    left = f"A customer has left when they make no purchase in {since} ({window})."
    return left, f" in {since}", asked


def defined(churn: ChurnConfig) -> str:
    """Define the label for data scientists."""
    window = f"[cutoff + {churn.gap_days} d, cutoff + {churn.label_days} d)"
    if churn.kind == "label":
        return (
            "label: as the data give it; no cutoffs, so point-in-time cannot be proven. Eligible: "
            "all customers with a label."
        )
    if churn.kind == "subscription":
        return (
            f"subscription: the spell that runs at the cutoff ends by the subscriber's will in "
            f"{window}; rows at most {churn.grace_days} d apart are one spell; an involuntary end "
            "first is a competing event, label 0; a label is complete once the grace is over. "
            "Eligible: a running spell, neither notice given nor within a trial."
        )
    eligible = "everybody ever seen"
    if churn.active_days is not None:
        eligible = f"bought within {churn.active_days} d before the cutoff"
    return f"inactivity: no purchase day in {window}; eligible: {eligible}."


def in_short(churn: ChurnConfig) -> str:
    """Say in one line what is predicted of whom."""
    gap = f" after a gap of {churn.gap_days}" if churn.gap_days else ""
    if churn.kind == "label":
        return "the label of the data, of all customers who carry one"
    if churn.kind == "subscription":
        return (
            f"a subscription ended by its subscriber in {churn.horizon_days} days{gap}, of "
            "running ones past their trial and without notice"
        )
    active = churn.active_days
    who = "everybody ever seen" if active is None else f"active within {active} days"
    return f"no purchase in {churn.horizon_days} days{gap}, of customers {who}"
