"""Columns that know too much at their own cutoff: alone, by a mark, or only just before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tenure.audit.evidence import FEWEST, Alarm, Evidence, worst
from tenure.audit.ranks import Codes, Flags, Power, filled, least, power, ranked

__all__ = ["alone", "fades", "marks"]

TOO_WELL = 0.95
"""AUC above which no single column is believed; the best honest one measured has .87."""
WELL, AHEAD = 0.80, 0.12
"""AUC that is believed only where another column is no more than so far behind."""
SAME = 0.9
"""Rank correlation from which on two columns are nearly the same."""

PURE, PURE_FOR_SURE, TIMES_THE_ODDS = 0.95, 0.75, 20.0
"""Share of leavers behind a mark; its lower limit; its odds beside the usual odds."""

STRONG, KEPT, BEYOND, APART = 0.75, 1 / 3, 0.10, 0.5
"""AUC at the cutoff, share of it left a horizon earlier, loss beyond that of columns of another
kind, and the rank correlation below which they are of another kind."""


def alone(e: Evidence) -> list[Alarm]:
    """Find columns that by themselves tell leavers from stayers too well.

    Above .95 always; above .80 where no other column, unless it is nearly the same one, comes
    within .12.
    """
    said = {name: e.power(name) for name in e.X.columns}
    found = []
    for name, here in said.items():
        low = here.auc - e.z * here.error
        if low < WELL:
            continue
        rival = _rival(e, name, said)
        gap, error = here.minus(said[rival]) if rival else (0.0, 0.0)
        is_ahead = rival is not None and gap - e.z * error > 0 and gap > AHEAD
        if low < TOO_WELL and not is_ahead:
            continue
        evidence = f"alone it ranks {_pairs(here)} of 100 pairs of a leaver and a stayer rightly"
        if rival:
            evidence += f"; the best other column, {rival}, {_pairs(said[rival])}"
        evidence += f" ({_n(e)}{e.span()})."
        figures: dict[str, Any] = {"auc": here.auc, "error": here.error, "rows": len(e.left)}
        if rival:
            figures |= {"rival": rival, "rival_auc": said[rival].auc}
        found.append((e.families[name], low, Alarm("alone", name, evidence, ASK, figures)))
    return worst(found)


ASK = (
    "Ask when it is written: if at or after leaving, leave it out or name the column with its date."
)


def _rival(e: Evidence, name: str, said: dict[str, Power]) -> str | None:
    """Return the best column that is made of something else and not nearly the same."""
    mine = ranked(e.column(name))
    for other in sorted(said, key=lambda one: -said[one].auc):
        is_kin = e.families[other] == e.families[name]
        if not is_kin and abs(float(mine @ ranked(e.column(other)))) < SAME:
            return other
    return None


def marks(e: Evidence) -> list[Alarm]:
    """Find marks that (almost) only leavers bear: a value, a filled cell, a missing one.

    Of those who bear it at least 95 % left, at least 75 % for sure, and their odds of leaving are
    20 times the usual.
    """
    found = []
    for name in e.X.columns:
        for words, here in _states(e, name):
            bearers = int(np.unique(e.customer[here]).size)
            if bearers < FEWEST or here.all():
                continue
            share = float(e.left[here].mean())
            odds = (share * bearers + 0.5) / ((1 - share) * bearers + 0.5)
            times = odds / (e.usual / (1 - e.usual))
            low = least(share, bearers, e.z)
            if share < PURE or low < PURE_FOR_SURE or times < TIMES_THE_ODDS:
                continue
            evidence = (
                f"of {bearers:,} customers for whom it {words}, {share:.0%} left, where "
                f"{e.usual:.0%} is usual; they are {e.left[here].sum() / e.left.sum():.0%} of all "
                f"who left{e.span()}."
            )
            figures = {"state": words, "share": share, "lower": low, "customers": bearers}
            figures |= {"usual": e.usual, "times_the_odds": times}
            size = float(e.left[here].sum())
            found.append((e.families[name], size, Alarm("marks", name, evidence, ASK, figures)))
    return worst(found)


def _states(e: Evidence, name: str) -> list[tuple[str, Flags]]:
    """List what a column can say of a row besides how much: missing or not, usual value or not."""
    x = e.column(name)
    missing = np.isnan(x)
    states = [("is missing", missing), ("is filled", ~missing)] if missing.any() else []
    values, n = np.unique(x[~missing], return_counts=True)
    if not values.size or n.max() < max(2, len(x) // 100):
        return states
    most = values[n.argmax()]
    other = ~missing & (x != most)
    return [*states, (f"is {most:g}", x == most), (f"is not {most:g}", other)]


def fades(e: Evidence, matrix: pd.DataFrame, horizon_days: int) -> list[Alarm] | str:
    """Find columns that are strong at the cutoff and tell little of the same a horizon earlier.

    What is written down only as people leave has no past. Recency, and a bad week, also lose:
    so it must have been strong (.75), keep less than a third, and lose .10 more than any column
    of another kind (rank correlation below .5).
    """
    earlier = _a_horizon_earlier(e, matrix, horizon_days)
    left = e.left[earlier >= 0]
    if min(left.sum(), (~left).sum()) < FEWEST:
        return (
            f"whether a column was as strong {horizon_days} days earlier: too few rows have a "
            "cutoff one to two horizons before theirs."
        )
    told = _now_and_then(e, matrix, earlier)
    loss = {name: now.auc - then.auc for name, (now, then) in told.items()}
    found = []
    for name, (now, then) in told.items():
        kept, error = then.minus(now, KEPT)
        if now.auc - e.z * now.error < STRONG or kept + e.z * error > 0:
            continue
        usual = _usual_loss(e, name, loss)
        if loss[name] - usual < BEYOND:
            continue
        evidence = (
            f"at the cutoff it ranks {_pairs(now)} of 100 pairs of a leaver and a stayer rightly, "
            f"{horizon_days} days earlier {_pairs(then)} of the same customers (50 is a coin); "
            f"columns of another kind lose {100 * max(0.0, usual):.0f} at most "
            f"({_n(e)}{e.span()})."
        )
        figures = {"auc": now.auc, "earlier_auc": then.auc, "other_loss": usual, "rows": len(left)}
        found.append((e.families[name], loss[name], Alarm("fades", name, evidence, WHEN, figures)))
    return worst(found)


def _now_and_then(
    e: Evidence, matrix: pd.DataFrame, earlier: Codes
) -> dict[str, tuple[Power, Power]]:
    """Return what each column tells at the cutoff and, of the same rows, a horizon earlier."""
    both = earlier >= 0
    left, customer = e.left[both], e.customer[both]
    told = {}
    for name in (c for c in e.X.columns if c in matrix.columns):
        now = filled(e.column(name)[both], left)
        then = matrix[name].to_numpy(dtype=np.float64)[earlier[both]]
        missing = np.inf if np.isposinf(now).any() else -np.inf
        first = power(now, left, customer, e.customers)
        second = power(np.where(np.isnan(then), missing, then), left, customer, e.customers)
        up = first.auc >= 0.5
        told[name] = first.sided(up), second.sided(up)
    return told


WHEN = (
    "Ask whether it is written down as people leave, or back-dated: then it warns of nothing. "
    "Give its table loaded_at, or leave it out."
)


def _a_horizon_earlier(e: Evidence, matrix: pd.DataFrame, horizon_days: int) -> Codes:
    """Return each row's place in the matrix at the newest day one to two horizons earlier."""
    days = np.sort(matrix["cutoff"].unique())
    far = pd.Timedelta(days=horizon_days)
    back = {}
    for day in e.rows["cutoff"].unique():
        fits = days[(days <= day - far) & (days >= day - 2 * far)]
        back[day] = fits.max() if fits.size else pd.NaT
    keys = pd.MultiIndex.from_arrays([e.rows["customer_id"], e.rows["cutoff"].map(back)])
    held = pd.MultiIndex.from_frame(matrix[["customer_id", "cutoff"]])
    places: Codes = held.get_indexer(keys)
    return places


def _usual_loss(e: Evidence, name: str, loss: dict[str, float]) -> float:
    """Return the largest loss among the columns of another kind."""
    mine = ranked(e.column(name))
    for other in sorted(loss, key=lambda one: -loss[one]):
        is_kin = e.families[other] == e.families[name]
        if not is_kin and abs(float(mine @ ranked(e.column(other)))) < APART:
            return loss[other]
    return 0.0


def _pairs(said: Power) -> str:
    return f"{100 * said.auc:.0f}"


def _n(e: Evidence) -> str:
    return f"{len(e.left):,} rows, {int(e.left.sum()):,} left"
