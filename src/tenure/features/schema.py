"""Which columns a matrix holds: fixed at training, stored with the model, reused at scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis

from tenure.features import rfm, transactions  # noqa: F401  (importing registers the features)
from tenure.features.spec import COMBINED, FEATURES, VIEWS, Feature, Window, column_name

__all__ = ["OTHER", "Column", "Schema", "finish"]

OTHER = "other"


@dataclass(frozen=True)
class Column:
    """One finished column and what it means."""

    name: str
    feature: str
    window: Window
    level: str | None
    unit: str
    factor: str
    description: str
    direction: int


@dataclass(frozen=True)
class Schema:
    """What a matrix holds.

    Attributes
    ----------
    longest_window : int
        Calendar windows of more days than this are not built.
    levels : mapping
        The levels of each by-column, without `other`.
    available : mapping
        The columns each table had.
    """

    longest_window: int
    levels: Mapping[str, tuple[str, ...]]
    available: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "longest_window": self.longest_window,
            "levels": {k: list(v) for k, v in self.levels.items()},
            "available": {k: list(v) for k, v in self.available.items()},
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote."""
        levels, available = (
            {k: tuple(v) for k, v in raw[part].items()} for part in ("levels", "available")
        )
        return cls(int(raw["longest_window"]), levels, available)

    def fits(self, window: Window) -> bool:
        """Whether the window is no longer than the history."""
        return not isinstance(window, int) or window <= self.longest_window

    def windows(self) -> set[int]:
        """All calendar windows that some feature wants and the history affords."""
        wanted = {w for f in FEATURES.values() for w in f.windows if isinstance(w, int)}
        return {w for w in wanted if self.fits(w)}

    def views(self) -> list[str]:
        """Names of the views whose table and columns exist."""
        return [v.name for v in VIEWS.values() if self._has(v.table, v.needs)]

    def aggregates(self, view: str) -> Iterator[tuple[Feature, Column]]:
        """List a view's features, window by window and level by level."""
        for f in FEATURES.values():
            if f.view != view or not self._has(VIEWS[view].table, f.needs):
                continue
            for window in filter(self.fits, f.windows):
                for level in (*self.levels[f.by], OTHER) if f.by else (None,):
                    yield f, _column(f, window, level)

    def columns(self) -> list[Column]:
        """List the finished columns, in the matrix's order."""
        made = {c.name: c for view in self.views() for _, c in self.aggregates(view)}
        for f in COMBINED.values():
            for window in filter(self.fits, f.windows):
                if _parts(f.body, window) <= made.keys():
                    column = _column(f, window, None)
                    made[column.name] = column
        return list(made.values())

    def _has(self, table: str, needs: Sequence[str]) -> bool:
        return set(needs) <= set(self.available.get(table, ())) and table in self.available


def _column(f: Any, window: Window, level: str | None) -> Column:
    name = column_name(f.name, window, level)
    return Column(name, f.name, window, level, f.unit, f.factor, f.description, f.direction)


class _Finished:
    """Finished columns by feature name, as `@combined` bodies ask for them."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns

    def __getattr__(self, name: str) -> Any:
        return lambda window=None: self._columns[column_name(name, window)]


class _Asked(dict[str, Any]):
    """Answers every name with a number and so remembers what was asked."""

    def __missing__(self, name: str) -> Any:
        self[name] = ibis.literal(1.0)
        return self[name]


def finish(body: Any, columns: Mapping[str, Any], window: Window) -> Any:
    """Compute one `@combined` column from finished ones."""
    f = _Finished(columns)
    return body(f) if window is None else body(f, window)


def _parts(body: Any, window: Window) -> set[str]:
    asked = _Asked()
    finish(body, asked, window)
    return set(asked)
