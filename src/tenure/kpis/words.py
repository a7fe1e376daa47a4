"""The figures as text: the newest full month beside the one before and the one a year earlier."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pandas as pd

from tenure.kpis.goals import Progress
from tenure.kpis.grid import ALL
from tenure.kpis.registry import FIGURES
from tenure.kpis.run import KpiResult
from tenure.kpis.world import month_after

__all__ = ["number", "summary", "to_json"]

_RANKED = ("topic", "request")
_SHOWN = 5


def number(value: float | None, unit: str) -> str:
    """Write a figure with its unit.

    Examples
    --------
    >>> number(0.1234, "share"), number(12345.6, "EUR"), number(31.25, "points"), number(None, "x")
    ('12.3 %', '12,346 EUR', '31.2 points', '–')
    """
    if value is None or pd.isna(value):
        return "–"
    if unit == "share":
        return f"{100 * value:.1f} %"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    if unit in ("contacts", "subscribers"):
        digits = 0
    return f"{value:,.{digits}f} {unit}"


def _span(row: pd.Series) -> str:
    if pd.isna(row["lower"]) and pd.isna(row["upper"]):
        return "no range"
    low, high = (number(row[c], row["unit"]) for c in ("lower", "upper"))
    return f"{low.removesuffix(' ' + row['unit']).removesuffix(' %')} to {high}"


def summary(done: KpiResult) -> str:
    """Return the figures for everybody, the rankings, the goals and the milestones as text."""
    lines = [
        f"Figures from {done.first_day} to {done.observed_until} (not included), local months."
        if done.first_day < done.observed_until
        else "Figures of data without dates: no months.",
        "Ranges are 90 % likely ranges: what chance alone could make of the same month.",
        done.leaving,
        "",
    ]
    overall = done.table[done.table["by"] == ALL]
    for name in FIGURES:
        rows = overall[overall["figure"] == name]
        if len(rows):
            lines += [*_figure(name, rows), ""]
    lines += _rankings(done.table)
    lines += _by_group(done.table)
    lines += [_goal(goal) for goal in done.goals]
    lines += [f"Milestone {on}: {name}" for on, name in done.milestones]
    if done.absent:
        lines += ["", "Not computed:", *(f"  {n}: {why}" for n, why in done.absent.items())]
    if done.out is not None:
        lines += ["", f"Every month and group: {done.out}"]
    return "\n".join(lines)


def _figure(name: str, rows: pd.DataFrame) -> list[str]:
    """Return a figure's formula, its newest month with those to compare it with, and the whole."""
    lines = [f"{name}: {FIGURES[name].formula}"]
    months = {row["period"]: row for _, row in rows.iterrows() if not pd.isna(row["period"])}
    if months:
        newest = max(months)
        lines.append(f"  {newest:%Y-%m}: {_value(months[newest])}")
        for words, back in (("month before", -1), ("a year before", -12)):
            then = months.get(month_after(newest, back))
            if then is not None:
                lines.append(f"  {words} ({then['period']:%Y-%m}): {_value(then)}")
    lines += [f"  whole log: {_value(row)}" for _, row in rows.iterrows() if pd.isna(row["period"])]
    return lines


def _value(row: pd.Series) -> str:
    n = "few" if pd.isna(row["n"]) else f"{int(row['n']):,}"
    return f"{number(row['value'], row['unit'])} ({_span(row)}; n {n})"


def _rankings(table: pd.DataFrame) -> list[str]:
    """Return what customers ask about, ranked by number, by their spend, and by their leaving."""
    whole = table[table["period"].isna() & table["value"].notna()]
    lines = []
    for by in _RANKED:
        for name in ("topic_contacts", "topic_asker_spend", "topic_asker_churn_rate"):
            rows = whole[(whole["figure"] == name) & (whole["by"] == by)]
            if len(rows):
                first = rows.sort_values("value", ascending=False, kind="stable").head(_SHOWN)
                said = "; ".join(
                    f"{r['group']} {number(r['value'], r['unit'])}" for _, r in first.iterrows()
                )
                lines.append(f"{name} by {by}, highest first: {said}")
    return [*lines, ""] if lines else []


_BANDS = ("bad_experiences", "score_band", "touchpoint", "delivery", "campaign")


def _by_group(table: pd.DataFrame) -> list[str]:
    """Return the groups that tell most about the experience, over the whole log."""
    whole = table[table["period"].isna()]
    lines = []
    for by in _BANDS:
        for name in FIGURES:
            rows = whole[(whole["figure"] == name) & (whole["by"] == by)]
            if len(rows):
                said = "; ".join(f"{r['group']}: {_value(r)}" for _, r in rows.iterrows())
                lines.append(f"{name} by {by}: {said}")
    return [*lines, ""] if lines else []


def _goal(goal: Progress) -> str:
    if goal.current is None or goal.target is None:
        when = "from its start on" if goal.current is None else "before its start"
        return (
            f"Goal {goal.name} ({goal.kpi}): cannot be judged yet, since no full month "
            f"{when} ({goal.start}) has the figure."
        )
    words = [f"Goal {goal.name} ({goal.kpi}"]
    words[0] += f", {goal.owner})" if goal.owner else ")"
    came = "" if goal.baseline is None else f"from {number(goal.baseline, goal.unit)} "
    month = f" in {goal.current_month:%Y-%m}" if goal.current_month else ""
    wanted = number(goal.target, goal.unit)
    words.append(f"{came}to {number(goal.current, goal.unit)}{month}, wanted {wanted}")
    if goal.share_of_the_way is not None:
        words.append(f"{100 * goal.share_of_the_way:.0f} % of the way")
    if goal.expected_share is not None:
        words.append(f"{100 * goal.expected_share:.0f} % of the time has passed")
    words.append("reached" if goal.reached else "on track" if goal.on_track else "not on track")
    if goal.beyond_chance is not None:
        words.append("beyond chance" if goal.beyond_chance else "within what chance alone can do")
    return f"{words[0]}: {'; '.join(words[1:])}."


def to_json(done: KpiResult) -> dict[str, Any]:
    """Return the overall figures, goals and milestones as plain values."""
    overall = done.table[done.table["by"] == ALL]
    figures: dict[str, Any] = {}
    for name in FIGURES:
        rows = overall[overall["figure"] == name]
        if len(rows):
            figures[name] = {
                "formula": FIGURES[name].formula,
                "unit": rows.iloc[0]["unit"],
                "rows": [_plain(r) for _, r in rows.iterrows()],
            }
    return {
        "figures": figures,
        "goals": [
            {k: str(v) if isinstance(v, dt.date) else v for k, v in dataclasses.asdict(g).items()}
            for g in done.goals
        ],
        "milestones": [{"on": str(on), "name": name} for on, name in done.milestones],
        "leaving": done.leaving,
        "not_computed": done.absent,
        "first_day": str(done.first_day),
        "observed_until": str(done.observed_until),
        "out": None if done.out is None else str(done.out),
    }


def _plain(row: pd.Series) -> dict[str, Any]:
    cells = {
        c: None if pd.isna(row[c]) else row[c] for c in ("period", "n", "value", "lower", "upper")
    }
    cells["period"] = None if cells["period"] is None else str(cells["period"])
    cells["n"] = None if cells["n"] is None else int(cells["n"])
    return {k: float(v) if k in ("value", "lower", "upper") and v is not None else v
            for k, v in cells.items()}  # fmt: skip
