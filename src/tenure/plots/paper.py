"""What all charts share: their size, colours and words around the data."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

__all__ = [
    "ACTUAL",
    "EXPECTED",
    "INK",
    "LINE",
    "MUTED",
    "SMALL",
    "dated",
    "day",
    "dressed",
    "explained",
    "paper",
    "period",
]

EXPECTED, ACTUAL = "#0072b2", "#d55e00"  # of Okabe & Ito: apart for every kind of colour vision
INK, MUTED, LINE = "#1c2127", "#545d68", "#d9d7d0"
NORMAL, SMALL = 11.0, 10.0
WIDTH, HEIGHT = 5.0, 3.5  # inches: as wide as a phone, so that text keeps its size there

# not strftime: it speaks the language of the machine
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def paper(ax: Axes | None) -> Axes:
    """Return the axes to draw on; new ones of a figure of their own if there are none."""
    if ax is not None:
        return ax
    return Figure(figsize=(WIDTH, HEIGHT), layout="constrained").add_subplot()


def dressed(ax: Axes, title: str, about: str, x: str, y: str) -> Axes:
    """Say what the chart is, of whom, and in what unit."""
    ax.set_title(
        f"{title}\n{about}", loc="left", fontsize=NORMAL, color=INK, linespacing=1.4,
        parse_math=False,
    )  # fmt: skip
    ax.set_xlabel(x, color=MUTED, fontsize=SMALL, parse_math=False)
    ax.set_ylabel(y, color=MUTED, fontsize=SMALL, parse_math=False)
    ax.tick_params(colors=MUTED, labelsize=SMALL, length=3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(LINE)
    return ax


def explained(ax: Axes, where: Literal["best", "upper left", "lower left"] = "best") -> Legend:
    """Name the marks."""
    return ax.legend(loc=where, frameon=False, fontsize=SMALL, labelcolor=INK, handlelength=1.8)


def dated(ax: Axes, first: int, last: int) -> None:
    """Mark some days of an axis that counts as `date.toordinal`: the months that fit, if any."""
    begin, end = dt.date.fromordinal(first), dt.date.fromordinal(last)
    months = range(_month(begin) + 1, _month(end) + 1)
    if len(months) < 2:
        days = sorted({first, (first + last) // 2, last})
        ax.set_xticks(days, [day(dt.date.fromordinal(d))[:-5] for d in days])
        return
    step = next((s for s in (1, 2, 3, 6, 12, 24) if len(months) / s <= 6), 60)
    starts = [dt.date(m // 12, m % 12 + 1, 1) for m in months if m % step == 0]
    years = [None, *(d.year for d in starts)]
    names = [
        day(d)[2:-5] + (f"\n{d.year}" if d.year != before else "")
        for d, before in zip(starts, years, strict=False)
    ]
    ax.set_xticks([d.toordinal() for d in starts], names)


def _month(date: dt.date) -> int:
    return 12 * date.year + date.month - 1


def day(date: str | dt.date) -> str:
    """Write a date shortly.

    Examples
    --------
    >>> day("1998-02-15")
    '15 Feb 1998'
    """
    moment = dt.date.fromisoformat(str(date))
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def period(start: str | dt.date, days: int) -> str:
    """Write the first and the last of `days` days.

    Examples
    --------
    >>> period("1998-02-15", 136)
    '15 Feb to 30 Jun 1998'
    """
    begin = dt.date.fromisoformat(str(start))
    last = day(begin + dt.timedelta(days=days - 1))
    return f"{day(begin).removesuffix(f' {last[-4:]}')} to {last}"
