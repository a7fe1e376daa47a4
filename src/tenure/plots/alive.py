"""The chance that a customer is still one, by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.ticker import StrMethodFormatter

from tenure.plots.paper import ACTUAL, EXPECTED, INK, SMALL, day, dressed, explained, paper

__all__ = ["alive_history", "alive_map"]

Json = Mapping[str, Any]

_PALE = LinearSegmentedColormap.from_list("alive", [to_rgba(EXPECTED, 0), to_rgba(EXPECTED, 0.5)])
"""The higher the deeper; never so deep that the number on it could not be read."""


def alive_map(data: Json, ax: Axes | None = None) -> Axes:
    """Draw the chance of being alive by repeat purchases and days since the last one.

    Parameters
    ----------
    data : mapping
        `clv.holdout.alive_map` of `metrics.json`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        One cell a pair, with the chance in percent; empty where a pair is impossible.
    """
    ax = paper(ax)
    p = np.array(data["p_alive"], dtype=np.float64)  # None becomes NaN
    columns, rows = np.arange(p.shape[1]), np.arange(p.shape[0])
    ax.pcolormesh(columns, rows, p, cmap=_PALE, vmin=0, vmax=1, shading="nearest")
    for (row, column), value in np.ndenumerate(p):
        if np.isfinite(value):
            ax.text(
                column, row, _percent(value), color=INK, fontsize=SMALL, ha="center",
                va="center",
            )  # fmt: skip
    ax.set_xticks(columns, [f"{d:,}" for d in data["days_since"]])
    ax.set_yticks(rows, [str(x) for x in data["frequency"]])
    dressed(
        ax,
        "Chance of still being a customer, in %",
        _learnt(data),
        f"Days since the last purchase, {data['age_days']:,} days after the first",
        "Repeat purchase days",
    )
    ax.spines[:].set_visible(False)
    return ax


def alive_history(data: Json, ax: Axes | None = None) -> Axes:
    """Draw the chance of being alive day by day, and the purchases that lift it.

    Parameters
    ----------
    data : mapping
        `purchase_days` and `p_alive` of each day from the first of them on, as in
        `clv.holdout.alive_history` of `metrics.json`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    ax = paper(ax)
    bought, p = np.array(data["purchase_days"]), 100 * np.array(data["p_alive"])
    days = bought[0] + np.arange(len(p))
    ax.plot(days, p, color=EXPECTED, linewidth=1.8, label="chance of being a customer")
    ax.plot(bought, p[bought - bought[0]], "v", color=ACTUAL, markersize=7, label="a purchase")
    ax.set_ylim(0, 105)
    ax.set_xlim(days[0] - 0.01 * len(p), days[-1] + 0.01 * len(p))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f} %"))
    dressed(
        ax,
        "Silence lowers the chance, a purchase lifts it",
        _learnt(data),
        "Days since the first purchase; one customer",
        "Chance of still being a customer",
    )
    explained(ax, "lower left")
    return ax


def _percent(p: float) -> str:
    """Write a chance; never 0 or 100, since nothing here is certain.

    Examples
    --------
    >>> _percent(0.004), _percent(0.25), _percent(0.999)
    ('<1', '25', '>99')
    """
    rounded = round(100 * p)
    return "<1" if rounded < 1 else ">99" if rounded > 99 else str(rounded)


def _learnt(data: Json) -> str:
    return f"from {data['customers']:,} customers, data up to {day(data['origin'])}"
