"""Purchases expected and purchases that came, week by week."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from tenure.plots.paper import (
    ACTUAL,
    EXPECTED,
    MUTED,
    dated,
    day,
    dressed,
    explained,
    paper,
    period,
)

__all__ = ["tracking"]

Json = Mapping[str, Any]


def tracking(
    data: Json, ax: Axes | None = None, *, cumulative: bool = False, total: Json | None = None
) -> Axes:
    """Draw purchases by week, around the origin; or added up, after it.

    Parameters
    ----------
    data : mapping
        `clv.holdout.tracking` of `metrics.json`.
    ax : Axes, optional
        Where to draw.
    cumulative : bool
        Add up the weeks of the holdout.
    total : mapping, optional
        `clv.holdout.total.purchases`: its `lower` and `upper` are drawn at the end.

    Returns
    -------
    Axes
    """
    ax = paper(ax)
    about = f"{data['customers']:,} customers; "
    end = period(data["origin"], data["horizon_days"])
    if cumulative:
        _added_up(data["after"], ax, total)
        said = "Purchases so far: expected, and what came", about + end
        dressed(ax, *said, "", "Purchase days, added up")
    else:
        _week_by_week(data, ax)
        first = (data["before"] or data["after"])[0]["starts"]
        said = (
            "Purchases a week: expected, and what came",
            f"{about}{day(first)} to {end.split(' to ')[1]}",
        )
        dressed(ax, *said, "", "Repeat purchase days a week")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    explained(ax, "upper left" if cumulative else "best")
    return ax


def _added_up(weeks: list[Json], ax: Axes, total: Json | None) -> None:
    days = [_begins(weeks[0]), *(_begins(week) + week["days"] for week in weeks)]
    for name, style in _STYLES.items():
        ax.plot(days, [0.0, *(week[f"{name}_total"] for week in weeks)], **style)
    if total is not None:
        middle = weeks[-1]["expected_total"]
        sides = [[max(middle - total["lower"], 0)], [max(total["upper"] - middle, 0)]]
        ax.errorbar(
            days[-1:], [middle], yerr=sides, color=EXPECTED, capsize=4, linestyle="none",
            label="likely range of the forecast",
        )  # fmt: skip
    dated(ax, days[0], days[-1])


def _week_by_week(data: Json, ax: Axes) -> None:
    every = [*data["before"], *data["after"]]
    # the first week of the log and the last of the holdout may be shorter, and would look low
    weeks = [week for week in every if week["days"] == 7] or every
    days = [_begins(week) for week in weeks]
    for name, style in _STYLES.items():
        ax.plot(days, [week[name] for week in weeks], **style)
    begins = _begins(data["after"][0])
    ax.axvline(begins, color=MUTED, linewidth=1.2, linestyle=":", label="the forecast begins")
    dated(ax, days[0], days[-1])


_STYLES: dict[str, dict[str, Any]] = {
    "actual": {"color": ACTUAL, "linewidth": 1.6, "label": "came"},
    "expected": {"color": EXPECTED, "linewidth": 1.8, "linestyle": "--", "label": "expected"},
}


def _begins(week: Json) -> int:
    return dt.date.fromisoformat(week["starts"]).toordinal()
