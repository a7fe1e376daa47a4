"""Groups of customers: what was expected of them on average, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from tenure.plots.paper import ACTUAL, EXPECTED, dressed, explained, paper, period

__all__ = ["conditional_expectation", "decile_calibration"]

Json = Mapping[str, Any]


def decile_calibration(
    deciles: Sequence[Json],
    ax: Axes | None = None,
    *,
    origin: str,
    horizon_days: int,
    unit: str = "money",
    column: str = "value",
) -> Axes:
    """Draw the mean expected of each tenth of the customers beside the mean that came.

    Parameters
    ----------
    deciles : sequence of mapping
        `clv.holdout.deciles` of `metrics.json`.
    ax : Axes, optional
        Where to draw.
    origin, horizon_days
        When the holdout begins, and how long it is.
    unit : str
        Of the column, as `USD`.
    column : {"value", "purchases"}

    Returns
    -------
    Axes
    """
    ax = paper(ax)
    names = [str(row["decile"]) for row in deciles]
    said = [row[column]["expected_mean"] for row in deciles]
    came = [row[column]["actual_mean"] for row in deciles]
    _beside(ax, names, said, came)
    n = sum(row["customers"] for row in deciles)
    return dressed(
        ax,
        "What a customer brings: expected, and what came",
        f"{n:,} customers; {period(origin, horizon_days)}",
        "Tenth of the customers; 1 = most expected",
        f"{unit} per customer",
    )


def conditional_expectation(data: Json, ax: Axes | None = None) -> Axes:
    """Draw the mean purchases of the holdout by earlier repeat purchases, expected and come.

    Parameters
    ----------
    data : mapping
        `clv.holdout.conditional_expectation` of `metrics.json`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    ax = paper(ax)
    groups = data["groups"]
    names = [f"{group['frequency']}\n{_short(group['customers'])}" for group in groups]
    if groups[-1]["frequency"] == MOST:
        names[-1] = names[-1].replace("\n", "+\n")
    _beside(ax, names, [g["expected"] for g in groups], [g["actual"] for g in groups])
    return dressed(
        ax,
        "Purchases by how often they had bought",
        f"{data['customers']:,} customers; {period(data['origin'], data['horizon_days'])}",
        "Repeat purchase days before; beneath, customers",
        "Purchase days per customer",
    )


MOST = 7
"""Repeat purchase days and more: the last group of `conditional_expectation`."""


def _beside(ax: Axes, names: list[str], said: list[float], came: list[Json]) -> None:
    """Draw bars for what was expected, and points with their interval for what came."""
    at = range(len(names))
    ax.bar(at, said, width=0.74, color=(EXPECTED, 0.35), edgecolor=EXPECTED, label="expected")
    values = [figure["value"] for figure in came]
    sides = [[abs(f["value"] - _or(f[k], f["value"])) for f in came] for k in ("lower", "upper")]
    ax.errorbar(
        at, values, yerr=sides, fmt="o", color=ACTUAL, markersize=4.5, elinewidth=1.4, capsize=3,
        label="came, with likely range",
    )  # fmt: skip
    ax.set_xticks(at, names)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    explained(ax)


def _or(value: float | None, instead: float) -> float:
    return instead if value is None else value


def _short(n: int) -> str:
    return f"{n:,}" if n < 100_000 else f"{n / 1000:,.0f}k"
