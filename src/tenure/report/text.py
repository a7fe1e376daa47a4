"""Figures and tables as plain text, for the end of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["estimate", "short", "table"]


def estimate(figure: dict[str, float], digits: int) -> str:
    """Write an estimate and its interval; a dash where there is none."""
    value, lower, upper = (figure[k] for k in ("value", "lower", "upper"))
    if value is None or value != value:
        return "-"
    return f"{value:z.{digits}f} [{lower:z.{digits}f}, {upper:z.{digits}f}]"  # z: no -0.000


def short(figure: dict[str, float], digits: int) -> str:
    """Write an estimate without the 0 before the point, so that five fit in 120 columns."""
    return re.sub(r"(?<!\d)0\.", ".", estimate(figure, digits))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out rows under a head, columns aligned."""
    every = [list(head), *(list(r) for r in rows)]
    widths = [max(len(r[i]) for r in every) for i in range(len(head))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip()
        for r in every
    ]
