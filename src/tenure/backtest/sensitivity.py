"""The label report: how the figures move with what is asked.

One thing is changed at a time around the config's question: the horizon, the gap, or how lately an
eligible customer has bought. Every question is judged at the same test cutoffs by the same simple
model, under its own embargo, so that neither season nor method moves with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.special import expit

from tenure import labels
from tenure.backtest.classes import LEAST_RARER
from tenure.config import ChurnConfig, Config
from tenure.cutoffs import MOST_TESTS, complete_for
from tenure.evaluation.bootstrap import Metrics, Rows, estimates
from tenure.inputs import Timing, timing_says
from tenure.models.churn import ROSTERS
from tenure.models.logistic import RFM, SUBSCRIPTION

__all__ = ["Log", "no_report", "questions", "run"]

HORIZONS = (0.5, 1.5, 2.0)  # times the config's
GAPS = (0, 7, 14, 30)  # days
ACTIVE = (1, 2)  # horizons; and everybody ever seen
FIGURES = ("base_rate", "auc", "top_decile_lift")
DRAWS = 200
NEEDED = {"customer_id", "cutoff", "status", *RFM, *SUBSCRIPTION}

NO_REPORT = (
    "Not made: the label is what the data say, so neither a horizon nor a gap nor a window of "
    "activity can be changed."
)


@dataclass(frozen=True)
class Log:
    """What every question is asked of.

    Attributes
    ----------
    tables : mapping of str to Table
        The typed logs.
    matrix : DataFrame
        Everybody's features at the cutoffs; of subscriptions with their `status`.
    days : tuple of date
        The cutoffs.
    until : date
        The end of observation: a label must be complete by it.
    zone : ZoneInfo
        In which days begin.
    timings : mapping of date to Timing or None
        Fitted before each cutoff; they do not depend on the question.
    """

    tables: Mapping[str, ir.Table]
    matrix: pd.DataFrame
    days: tuple[dt.date, ...]
    until: dt.date
    zone: ZoneInfo
    timings: Mapping[dt.date, Timing | None]


@dataclass(frozen=True)
class _Posed:
    """One question, its labelled rows, and the cutoffs at which a model for it can be judged."""

    changed: str | None
    churn: ChurnConfig
    people: pd.DataFrame
    rows: pd.DataFrame
    days: tuple[dt.date, ...]
    origins: frozenset[dt.date]


def questions(churn: ChurnConfig) -> Iterator[tuple[str | None, ChurnConfig]]:
    """Yield the config's question, then each other one with the setting that it changes.

    Examples
    --------
    >>> [(name, q.horizon_days) for name, q in questions(ChurnConfig(horizon_days=30))][:4]
    [(None, 30), ('horizon_days', 15), ('horizon_days', 45), ('horizon_days', 60)]
    """
    fixed: dict[str, Any] = {}
    if churn.kind == "inactivity":  # a changed horizon must not change who is asked about
        fixed["active_within_days"] = churn.active_days or "all"
    base = churn.asking(**fixed)
    yield None, base
    for days in sorted({max(1, round(times * base.horizon_days)) for times in HORIZONS}):
        if days != base.horizon_days:
            yield "horizon_days", base.asking(horizon_days=days)
    for days in GAPS:
        if days != base.gap_days:
            yield "gap_days", base.asking(gap_days=days)
    for window in (*(times * base.horizon_days for times in ACTIVE), "all"):
        if fixed and window != base.active_within_days:
            yield "active_within_days", base.asking(active_within_days=window)


def no_report() -> dict[str, Any]:
    """Return the report of customers who carry their label."""
    return {"why": NO_REPORT, "model": None, "tests": [], "labels": [], "skipped": []}


def run(log: Log, config: Config) -> dict[str, Any]:
    """Judge every question that the log affords.

    The model of a question is fitted, at each test cutoff c, on the rows of cutoffs c' whose
    label *under that question* is complete by c. The test cutoffs are the newest (at most three)
    that all questions afford; the question with the longest label gives way where there is none.

    Parameters
    ----------
    log : Log
        The data; its features do not depend on the question.
    config : Config
        The question, and the seed of the bootstrap.

    Returns
    -------
    dict
        `why` (why there is no report, else None), `model`, `tests`, `labels` (each with what it
        changed, None for the config's own question; its settings; `rows`, `customers`,
        `learnt_rows`; `base_rate`, `auc`, `top_decile_lift` and, of inactivity, `auc_active` among
        those active within one horizon, with 90 % intervals) and `skipped` (each with why).
    """
    log = _thin(log)
    posed = [_pose(log, changed, churn) for changed, churn in questions(config.churn)]
    tests, kept, skipped = _common(posed)
    model = ROSTERS[config.churn.kind].partner
    return {
        "why": None if kept else "Not made: the log affords no cutoff at which to judge a label.",
        "model": model,
        "tests": [str(day) for day in tests],
        "labels": [_judge(one, log, tests, model, config.model.seed) for one in kept],
        "skipped": skipped,
    }


def _thin(log: Log) -> Log:
    """Keep the columns that the simple model and the labels need: the matrix has hundreds."""
    matrix = log.matrix[[c for c in log.matrix.columns if c in NEEDED]]
    return Log(log.tables, matrix, log.days, log.until, log.zone, log.timings)


def _pose(log: Log, changed: str | None, churn: ChurnConfig) -> _Posed:
    days = complete_for(log.days, log.until, churn.complete_days)
    if not days:
        return _Posed(changed, churn, log.matrix[:0], log.matrix[:0], (), frozenset())
    people, rows, _ = labels.labelled(log.tables, log.matrix, days, log.zone, churn)
    count = rows.groupby("cutoff")["churned"].agg(["sum", "size"]).reindex(pd.to_datetime(days))
    left = dict(zip(days, count["sum"].fillna(0), strict=True))
    asked = dict(zip(days, count["size"].fillna(0), strict=True))
    origins = set()
    for day in days:
        before = complete_for(days, day, churn.complete_days)
        learnt = sum(left[d] for d in before), sum(asked[d] - left[d] for d in before)
        if min(learnt) >= LEAST_RARER and 0 < left[day] < asked[day]:
            origins.add(day)
    return _Posed(changed, churn, people, rows, days, frozenset(origins))


def _common(
    posed: Sequence[_Posed],
) -> tuple[tuple[dt.date, ...], list[_Posed], list[dict[str, Any]]]:
    """Find the test cutoffs that all questions afford, and which must be left out for that."""
    kept = [one for one in posed if one.origins]
    dropped = [one for one in posed if not one.origins]
    while kept and not (shared := frozenset.intersection(*(one.origins for one in kept))):
        longest = max(one.churn.complete_days for one in kept)
        dropped += [one for one in kept if one.churn.complete_days == longest]
        kept = [one for one in kept if one.churn.complete_days < longest]
    tests = tuple(sorted(shared)[-MOST_TESTS:]) if kept else ()
    skipped = [{**_settings(one), "why": _why(one)} for one in posed if one in dropped]
    return tests, kept, skipped


def _why(one: _Posed) -> str:
    days = one.churn.complete_days
    if one.origins:
        return f"A label of {days} days is complete at no cutoff at which the others can be judged."
    return (
        f"A label takes {days} days, and no cutoff of the log has {LEAST_RARER} leavers and "
        f"{LEAST_RARER} stayers complete before it."
    )


def _settings(one: _Posed) -> dict[str, Any]:
    churn = one.churn
    active = {"active_within_days": churn.active_days or "all"}
    return {
        "changed": one.changed,
        "horizon_days": churn.horizon_days,
        "gap_days": churn.gap_days,
        **(active if churn.kind == "inactivity" else {}),
    }


def _judge(
    one: _Posed, log: Log, tests: Sequence[dt.date], model: str, seed: int
) -> dict[str, Any]:
    """Fit the simple model before each test cutoff and take its figures over all of them."""
    fit = ROSTERS[one.churn.kind].baselines[model]
    X, rows = _inputs(one, log, tests), one.rows
    frames, learnt = [], np.zeros(len(rows), dtype=bool)
    for day in tests:
        before = complete_for(one.days, day, one.churn.complete_days)
        learn = rows["cutoff"].isin(pd.to_datetime(list(before))).to_numpy()
        here = (rows["cutoff"] == pd.Timestamp(day)).to_numpy()
        fitted = fit(X[learn], rows["churned"][learn], seed=seed)
        frames.append(rows[here].assign(p=expit(fitted.margin(X[here]))))
        learnt |= learn
    frame = pd.concat(frames, ignore_index=True)
    return {
        **_settings(one),
        "rows": len(frame),
        "customers": int(frame["customer_id"].nunique()),
        "learnt_rows": int(learnt.sum()),
        **_figures(frame, seed, among_active=one.churn.kind == "inactivity"),
    }


def _figures(frame: pd.DataFrame, seed: int, *, among_active: bool) -> Metrics:
    every, p = Rows.of(frame), frame["p"].to_numpy()
    found = estimates(every, {"model": p}, FIGURES, DRAWS, seed)["model"]
    active = frame["active"].to_numpy()
    some = every.take(active)
    if among_active and 0 < some.churned.sum() < some.churned.size:
        again = estimates(some, {"model": p[active]}, ("auc",), DRAWS, seed)
        found["auc_active"] = again["model"]["auc"]
    return found


def _inputs(one: _Posed, log: Log, tests: Sequence[dt.date]) -> pd.DataFrame:
    """Return what the simple model sees, its timing asked about this question's window."""
    parts = []
    for day in (day for day in one.days if day <= tests[-1]):  # none behind them is learnt from
        here = one.people[one.people["cutoff"] == pd.Timestamp(day)]
        parts.append(here.assign(**timing_says(here, log.timings.get(day), one.churn)))
    return pd.concat(parts).reindex(one.people.index)
