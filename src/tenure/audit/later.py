"""Attributes that know what came long after the day they are said to be known from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.audit.evidence import FEWEST, Alarm, Evidence, drawn, worst
from tenure.audit.hazards import grown, order_of
from tenure.audit.ranks import Array, Codes, Flags, filled, least, power, ranked
from tenure.config import ChurnConfig
from tenure.labels import bought_within

__all__ = ["follows_the_log", "knows_the_end"]

BETTER, COMMON, BEST = 0.08, 0.62, 0.87
"""AUC for the far window above what the own window lets expect; the least that is always to be
expected, as an effect may turn round (who buys often is silent late, but then gone for good); and
the most, the best honest column measured."""
FASTER = 1.5
"""How much faster than in the own window people may leave later."""
BINS = 10
PURE, PURE_FOR_SURE, TIMES_THE_ODDS = 0.95, 0.75, 5.0
"""Share of a group that is gone at the end; its lower limit; its odds beside the expected ones."""
ONE_THING, NEARER = 0.9, 0.1
"""Rank correlation with a figure of the log's end, and how far above that with the same then."""

ADVICE = (
    "It looks as if it was filled in when the data were taken, not when it is said to be known. "
    "Name the column that holds its date (known_from), or leave it out."
)


@dataclass(frozen=True)
class _Windows:
    """The customers of one early cutoff: who was gone after its own window, and who at the end."""

    start: pd.Timestamp
    own_end: pd.Timestamp
    end: pd.Timestamp
    customers: pd.Index
    own: Flags
    far: Flags

    def expected(self, group: Codes) -> Array:
        """Return the share of each group that may be gone at the end, by who left first."""
        size = np.bincount(group).astype(np.float64)
        early = (np.bincount(group, self.own) + self.own.mean()) / (size + 1)
        most = FASTER * (self.end - self.start) / (self.own_end - self.start)
        return grown(early, size, float(self.far.sum()), most)


def knows_the_end(
    e: Evidence, matrix: pd.DataFrame, as_of: dt.date, churn: ChurnConfig
) -> list[Alarm] | str:
    """Find attributes that tell who is gone at the end of the log far better than who left first.

    The far-window test of the definitions: of the customers of an early cutoff, how well does the
    attribute tell who was gone after one horizon, and who is gone at the end? What only differs
    in hazard does better with time too; how much better follows from the hazard of its groups
    (proportional hazards: 1 − (1 − p)^k), and only what lies beyond that, and beyond .62, counts.
    And is there a group of whom all are gone at the end?
    """
    if not _attributes(e):
        return []
    windows = next(_early(e, matrix, as_of, churn), None)
    if windows is None:
        return (
            "whether attributes know the end of the log: no cutoff lies so far before it that "
            f"{FEWEST} customers are gone, and {FEWEST} are not, after one horizon and at the end."
        )
    at = matrix[matrix["cutoff"] == windows.start].set_index("customer_id")
    found = []
    for name in _attributes(e):
        x = at[name].reindex(windows.customers).to_numpy(dtype=np.float64)
        if len(np.unique(x)) < 2:
            continue
        group = _binned(x, windows.far)
        for figure, evidence, figures in (
            *_ranks_the_end(group, windows, e.z),
            *_seals_the_end(group, x, windows, e.z),
        ):
            alarm = Alarm("later", name, evidence, ADVICE, figures | {"customers": len(x)})
            found.append((e.families[name], figure, alarm))
    return worst(found)


_Sign = tuple[float, str, dict[str, Any]]


def _ranks_the_end(group: Codes, windows: _Windows, z: float) -> Iterator[_Sign]:
    """Find groups in an order that tells the far window better than is to be expected."""
    x, each, n = group.astype(np.float64), np.arange(len(group)), len(group)
    own, far = (power(x, left, each, n) for left in (windows.own, windows.far))
    up, size = far.auc >= 0.5, np.bincount(group).astype(np.float64)
    expected = order_of(windows.expected(group), size)
    own, far, expected = own.sided(up), far.sided(up), expected if up else 1 - expected
    limit = max(COMMON, own.strong.auc, min(expected, BEST))
    excess, error = far.auc - limit, max(far.error, far.minus(own)[1])
    if excess < BETTER or excess - z * error < 0:
        return
    evidence = (
        f"as of {windows.start:%Y-%m-%d} it ranks {100 * own.auc:.0f} of 100 pairs rightly by "
        f"who was gone at {windows.own_end:%Y-%m-%d}, but {100 * far.auc:.0f} by who is gone "
        f"at {windows.end:%Y-%m-%d}, where at most {100 * limit:.0f} was to be expected "
        f"({n:,} customers, {int(windows.far.sum()):,} gone; 50 is a coin)."
    )
    figures = {"own_auc": own.auc, "far_auc": far.auc, "expected_auc": limit, "error": error}
    yield excess, evidence, figures


def _seals_the_end(group: Codes, x: Array, windows: _Windows, z: float) -> Iterator[_Sign]:
    """Find groups of whom (almost) all are gone at the end, far more than is to be expected."""
    for g, expected in enumerate(windows.expected(group)):
        here = group == g
        n, share = int(here.sum()), float(windows.far[here].mean())
        odds = (share * n + 0.5) / ((1 - share) * n + 0.5)
        times = odds * (1 - expected) / expected
        is_sure = least(share, n, z) > max(PURE_FOR_SURE, expected)
        if n < FEWEST or share < PURE or times < TIMES_THE_ODDS or not is_sure:
            continue
        low, high = x[here].min(), x[here].max()
        words = f"is {low:g}" if low == high else f"is {low:g} to {high:g}"
        words = "is missing" if np.isnan(low) else words
        evidence = (
            f"of {n:,} customers of {windows.start:%Y-%m-%d} for whom it {words}, {share:.0%} are "
            f"gone at {windows.end:%Y-%m-%d}, where {expected:.0%} was to be expected by the "
            f"{windows.own[here].mean():.0%} who were at {windows.own_end:%Y-%m-%d}."
        )
        figures = {"state": words, "far_share": share, "expected_share": float(expected)}
        yield share - expected, evidence, figures


def _attributes(e: Evidence) -> list[str]:
    return [c for c in e.X.columns if e.families[c].startswith("attribute[")]


def _early(
    e: Evidence, matrix: pd.DataFrame, as_of: dt.date, churn: ChurnConfig
) -> Iterator[_Windows]:
    """Yield the cutoffs, earliest first, whose own and far window lie apart and hold both kinds."""
    days, end = np.sort(matrix["cutoff"].unique()), pd.Timestamp(as_of)
    horizon = pd.Timedelta(days=churn.horizon_days)
    gone_by_end = _gone(matrix, end, churn)
    for cutoff in np.sort(e.rows["cutoff"].unique()):
        after = days[days >= cutoff + pd.Timedelta(days=churn.gap_days) + horizon]
        if not after.size or after.min() + horizon > end:
            return
        ids = e.rows.loc[e.rows["cutoff"] == cutoff, "customer_id"]
        who = pd.Index(ids[drawn(ids)])
        own = _gone(matrix, after.min(), churn).reindex(who).to_numpy(dtype=bool)
        far = gone_by_end.reindex(who).to_numpy(dtype=bool)
        if min(own.sum(), (~own).sum(), far.sum(), (~far).sum()) >= FEWEST:
            first = pd.Timestamp(after.min())
            yield _Windows(pd.Timestamp(cutoff), first, end, who, own, far)


def _gone(matrix: pd.DataFrame, day: pd.Timestamp, churn: ChurnConfig) -> pd.Series:
    """Tell by customer who is gone on a day: silent for a horizon, or ended."""
    here = matrix[matrix["cutoff"] == day]
    gone = (
        here["status"] == "ended"
        if churn.kind == "subscription"
        else ~bought_within(here, churn.horizon_days)
    )
    return pd.Series(np.asarray(gone, dtype=bool), index=here["customer_id"])


def _binned(x: Array, left: Flags) -> Codes:
    """Return the number of each value, or of its tenth; missing ones where they tell most."""
    known = x[~np.isnan(x)]
    values = np.unique(known)
    if values.size > BINS:
        values = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    step = np.searchsorted(values, x, side="right").astype(np.float64)
    step[np.isnan(x)] = np.nan
    return np.unique(filled(step, left), return_inverse=True)[1].ravel().astype(np.intp)


def follows_the_log(e: Evidence, matrix: pd.DataFrame, as_of: dt.date) -> list[Alarm]:
    """Find numbers that repeat a figure of the log's end, such as orders ever, not of their day.

    The rank correlation with the figure at the end is at least .9, and .1 above that with the
    same figure at the early cutoff.
    """
    early, end = e.rows["cutoff"].min(), pd.Timestamp(as_of)
    ids = e.rows.loc[e.rows["cutoff"] == early, "customer_id"]
    who = pd.Index(ids[drawn(ids)])
    then, now = (
        matrix[matrix["cutoff"] == day].set_index("customer_id").reindex(who)
        for day in (early, end)
    )
    numbers = [c for c in _attributes(e) if "=" not in c and then[c].nunique() > 2]
    if len(who) < 2 * FEWEST or not numbers:
        return []
    figures = [c for c in e.X.columns if c in matrix.columns and c not in _attributes(e)]
    ends = {c: ranked(now[c].to_numpy(dtype=np.float64)) for c in figures}
    found = []
    for name in numbers:
        mine = ranked(then[name].to_numpy(dtype=np.float64))
        near = {c: abs(float(mine @ other)) for c, other in ends.items()}
        best = max(near, key=lambda c: near[c])
        before = abs(float(mine @ ranked(then[best].to_numpy(dtype=np.float64))))
        # Fisher's transformation, both from the same customers: twice the variance at most
        sure = np.arctanh(min(near[best], 1 - 1e-9)) - np.arctanh(min(before, 1 - 1e-9))
        error = np.sqrt(2 / (len(who) - 3))
        if near[best] < ONE_THING or near[best] - before < NEARER or sure < e.z * error:
            continue
        evidence = (
            f"it sorts customers as {best} does as of {end:%Y-%m-%d} (alike by {near[best]:.0%}, "
            f"where 100 % is the same order), and less as of {early:%Y-%m-%d} ({before:.0%}; "
            f"{len(who):,} customers)."
        )
        values = {"figure": best, "at_the_end": near[best], "at_the_cutoff": before}
        values |= {"customers": len(who)}
        found.append((e.families[name], near[best], Alarm("log", name, evidence, ADVICE, values)))
    return worst(found)
