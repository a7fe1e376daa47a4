"""How far each goal of the config is: where it began, where it is, where it should be by now."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tenure.config import GoalConfig
from tenure.errors import ConfigError, listing
from tenure.kpis.grid import ALL
from tenure.kpis.registry import FIGURES
from tenure.kpis.world import month_after

__all__ = ["Progress", "check_goals", "progress_of"]


@dataclass(frozen=True)
class Progress:
    """One goal's state.

    Attributes
    ----------
    name, kpi, unit, owner : str
        As the config has them.
    start, by : date
        From when, until when.
    baseline, current, target : float or None
        The figure in the month before the goal began (of those known), in the newest month, and
        where it shall come.
    baseline_month, current_month : date or None
        The months these two are of.
    share_of_the_way : float or None
        (current - baseline) / (target - baseline).
    expected_share : float or None
        The share of the goal's time that had passed by the end of the newest month.
    on_track : bool or None
        Whether the first is at least the second; without `by`, whether it is reached.
    reached : bool or None
        Whether the target is met.
    beyond_chance : bool or None
        Whether the likely ranges of the two months do not overlap.
    """

    name: str
    kpi: str
    unit: str
    owner: str | None
    start: dt.date
    by: dt.date | None
    baseline: float | None
    current: float | None
    target: float | None
    baseline_month: dt.date | None
    current_month: dt.date | None
    share_of_the_way: float | None
    expected_share: float | None
    on_track: bool | None
    reached: bool | None
    beyond_chance: bool | None


def check_goals(goals: Sequence[GoalConfig]) -> None:
    """Refuse goals on figures that do not exist.

    Raises
    ------
    ConfigError
        With every such goal and the nearest known name.
    """
    wrong = []
    for i, goal in enumerate(goals):
        if goal.kpi not in FIGURES:
            near = difflib.get_close_matches(goal.kpi, FIGURES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FIGURES)}."
            wrong.append(f"goals.{i}.kpi: no figure is called {goal.kpi!r}; {hint}")
    if wrong:
        raise ConfigError(listing("goals", wrong))


def progress_of(
    goals: Sequence[GoalConfig], table: pd.DataFrame, until: dt.date
) -> tuple[Progress, ...]:
    """Compare the newest month of each goal's figure with the month before the goal began.

    Parameters
    ----------
    goals : sequence of GoalConfig
        From the config.
    table : DataFrame
        As `kpis` writes it.
    until : date
        The end of observation.
    """
    return tuple(_progress(goal, table, until) for goal in goals)


def _progress(goal: GoalConfig, table: pd.DataFrame, until: dt.date) -> Progress:
    rows = table[(table["figure"] == goal.kpi) & (table["by"] == ALL) & table["period"].notna()]
    rows = rows[rows["value"].notna()].sort_values("period")
    periods = list(rows["period"])
    first = month_after(goal.start, 0)  # the month in which the goal begins
    old = [i for i, p in enumerate(periods) if p < first]
    base = rows.iloc[old[-1]] if old else None
    now = rows.iloc[-1] if periods and periods[-1] >= first else None
    start = None if base is None else float(base["value"])
    current = None if now is None else float(now["value"])
    target = _target(goal, start)
    share = reached = None
    if current is not None and target is not None:
        up = _upwards(goal, start, target)
        reached = current >= target if up else current <= target
        if start is not None and target != start:
            share = (current - start) / (target - start)
    passed = _passed(goal, None if now is None else month_after(now["period"]), until)
    unit = str(rows["unit"].iloc[0]) if periods else FIGURES[goal.kpi].unit
    on_track = reached
    if not reached and share is not None and passed is not None:
        on_track = share >= passed
    return Progress(
        name=goal.name, kpi=goal.kpi, unit=unit, owner=goal.owner,
        start=goal.start, by=goal.by, baseline=start, current=current, target=target,
        baseline_month=None if base is None else base["period"],
        current_month=None if now is None else now["period"],
        share_of_the_way=share, expected_share=passed, on_track=on_track, reached=reached,
        beyond_chance=_apart(base, now),
    )  # fmt: skip


def _target(goal: GoalConfig, start: float | None) -> float | None:
    if goal.target is not None:
        return float(goal.target)
    return None if start is None or goal.change is None else start + float(goal.change)


def _upwards(goal: GoalConfig, start: float | None, target: float) -> bool:
    if goal.change is not None:
        return goal.change > 0
    better = FIGURES[goal.kpi].better
    return better > 0 if better else start is None or target >= start


def _passed(goal: GoalConfig, end: dt.date | None, until: dt.date) -> float | None:
    if goal.by is None or end is None:
        return None
    done = (min(end, until) - goal.start).days / (goal.by - goal.start).days
    return min(max(done, 0.0), 1.0)


def _apart(base: pd.Series | None, now: pd.Series | None) -> bool | None:
    if base is None or now is None:
        return None
    edges = [base["lower"], base["upper"], now["lower"], now["upper"]]
    if any(pd.isna(e) for e in edges):
        return None
    return bool(now["lower"] > base["upper"] or now["upper"] < base["lower"])
