"""How a figure is written: rows of one kind, and one expression over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ibis.expr.types as ir

__all__ = ["FIGURES", "MEASURES", "ROWS", "Figure", "Measure", "Rows", "figure", "rows"]

Measure = Literal["share", "mean", "nps", "ratio", "total", "median", "difference"]
MEASURES: dict[Measure, str] = {
    "share": "Wilson",
    "mean": "Student's t over customers",
    "nps": "adjusted Wald over customers",
    "ratio": "Student's t over customers",
    "total": "compound Poisson over customers",
    "median": "Kaplan–Meier, log-log (Brookmeyer–Crowley)",
    "difference": "Newcombe",
}
"""How a figure is made of its rows, and where its likely range comes from."""


@dataclass(frozen=True)
class Rows:
    """What figures are computed from: one row an order, a ticket, an answer and so on.

    Attributes
    ----------
    name : str
        What it is called here.
    needs : tuple of str
        The `table` or `table.column` without which there are no such rows; `a|b` is either.
    by : tuple of str
        Columns by which the figures are also given, where the rows have them.
    own_periods : bool
        Whether the rows bring their own periods, null for the whole log; else each row has the
        `month` it belongs to and counts for the whole log as well.
    build : callable
        Makes the rows of a `World`: `customer_id`, `month`, and what figures and groups need.
    """

    name: str
    needs: tuple[str, ...]
    by: tuple[str, ...]
    own_periods: bool
    build: Callable[[Any], ir.Table]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    name, unit : str
        Its name in outputs and goals, and what it is measured in.
    of : str
        The rows it is computed from.
    measure : str
        How the values of the rows become the figure.
    needs : tuple of str
        What it needs beyond its rows.
    by : tuple of str, optional
        The groups it is given for; all those of its rows by default.
    overall : bool
        Whether it is also given for everybody together.
    better : int
        1 if more is better, -1 if less is, 0 if neither.
    body : callable
        Takes the rows: a value (null where a row does not count); for a ratio, a pair of parts;
        for a median, seconds and whether they have ended; for a difference, a value and the arm.
    """

    name: str
    unit: str
    of: str
    measure: Measure
    needs: tuple[str, ...]
    by: tuple[str, ...] | None
    overall: bool
    better: int
    body: Callable[[ir.Table], Any]

    @property
    def formula(self) -> str:
        """How it is computed, in one sentence."""
        return " ".join((self.body.__doc__ or "").split())

    @property
    def requires(self) -> tuple[str, ...]:
        """Every `table` and `table.column` it needs."""
        return tuple(dict.fromkeys((*ROWS[self.of].needs, *self.needs)))

    def given_by(self, by: str) -> bool:
        """Tell whether it is given for the groups of a column."""
        return self.by is None or by in self.by or (by.startswith("attribute[") and "*" in self.by)


ROWS: dict[str, Rows] = {}
FIGURES: dict[str, Figure] = {}


def rows(
    *needs: str, by: Sequence[str] = (), own_periods: bool = False
) -> Callable[[Callable[[Any], ir.Table]], Callable[[Any], ir.Table]]:
    """Register rows that figures are computed from."""

    def add(build: Callable[[Any], ir.Table]) -> Callable[[Any], ir.Table]:
        ROWS[build.__name__] = Rows(build.__name__, needs, tuple(by), own_periods, build)
        return build

    return add


def figure(
    of: Callable[[Any], ir.Table],
    measure: Measure,
    *,
    unit: str,
    needs: Sequence[str] = (),
    by: Sequence[str] | None = None,
    overall: bool = True,
    better: int = 0,
) -> Callable[[Callable[[ir.Table], Any]], Callable[[ir.Table], Any]]:
    """Register a figure; its docstring is its formula. `*` in `by` stands for attributes."""

    def add(body: Callable[[ir.Table], Any]) -> Callable[[ir.Table], Any]:
        name = body.__name__
        if name in FIGURES:
            raise ValueError(f"kpis: {name} is defined twice; give the second another name")
        groups = None if by is None else tuple(by)
        FIGURES[name] = Figure(
            name, unit, of.__name__, measure, tuple(needs), groups, overall, better, body
        )
        return body

    return add
