"""Which columns a matrix holds: fixed at training, stored with the model, reused at scoring."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis

from tenure.contract import TABLES
from tenure.features import profile
from tenure.features.spec import COMBINED, FEATURES, VIEWS, Combined, Feature, Window, column_name

__all__ = ["OTHER", "Column", "Schema"]

OTHER = "other"


@dataclass(frozen=True)
class Column:
    """One finished column and what it means.

    Attributes
    ----------
    says, none : str
        How one customer's number, and a missing one, are told, in the language of
        `explain/words.py`; empty: by the description.
    actionable : bool
        Whether the company can change it.
    """

    name: str
    feature: str
    window: Window
    level: str | None
    unit: str
    factor: str
    description: str
    direction: int
    says: str = ""
    none: str = ""
    actionable: bool = False


@dataclass(frozen=True)
class Schema:
    """What a matrix holds.

    Attributes
    ----------
    longest_window : int
        Calendar windows of more days than this are not built.
    levels : mapping
        The levels of each by-column, as `table.column`, without `other`.
    available : mapping
        The columns each table had.
    population : str
        The table whose customers the matrix is about.
    settings : mapping
        Numbers of the config that features use.
    """

    longest_window: int
    levels: Mapping[str, tuple[str, ...]]
    available: Mapping[str, tuple[str, ...]]
    population: str = "transactions"
    settings: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "longest_window": self.longest_window,
            "levels": {k: list(v) for k, v in self.levels.items()},
            "available": {k: list(v) for k, v in self.available.items()},
            "population": self.population,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote."""
        levels, available = (
            {k: tuple(v) for k, v in raw[part].items()} for part in ("levels", "available")
        )
        settings = {str(k): float(v) for k, v in raw["settings"].items()}
        return cls(int(raw["longest_window"]), levels, available, raw["population"], settings)

    def fits(self, window: Window) -> bool:
        """Whether the window is no longer than the history."""
        return not isinstance(window, int) or window <= self.longest_window

    def windows(self) -> set[int]:
        """All calendar windows that some feature wants and the history affords."""
        wanted = {w for f in FEATURES.values() for w in f.windows if isinstance(w, int)}
        return {w for w in wanted if self.fits(w)}

    def views(self) -> list[str]:
        """Names of the views whose table and columns exist."""
        return [
            v.name
            for v in VIEWS.values()
            if self._has(v.table, (v.at, *v.needs))
            and all(self._has(name, columns) for name, columns in v.beside.items())
            and any(True for _ in self.aggregates(v.name))
        ]

    def tables(self) -> set[str]:
        """Return the tables that some column is made of."""
        used = (VIEWS[name] for name in self.views())
        read = {table for view in used for table in (view.table, *view.beside)}
        return read | ({"customers"} if self.attributes() else set())

    def aggregates(self, view: str) -> Iterator[tuple[Feature, Column]]:
        """List a view's features, window by window and level by level."""
        for f in FEATURES.values():
            by = (f.by,) if f.by else ()
            if f.view != view or not self._has(VIEWS[view].table, (*f.needs, *by)):
                continue
            for window in filter(self.fits, f.windows):
                for level in self._levels(f):
                    yield f, _column(f, window, level)

    def columns(self) -> list[Column]:
        """List the finished columns, in the matrix's order."""
        made = {c.name: c for view in self.views() for _, c in self.aggregates(view)}
        for f in COMBINED.values():
            for window in filter(self.fits, f.windows):
                if self._affords(f, window, made):
                    column = _column(f, window, None)
                    made[column.name] = column
        return [*made.values(), *(_of_attribute(a) for a in self.attributes())]

    def attributes(self) -> list[profile.Attribute]:
        """List the columns that dated attributes of customers make."""
        dated = profile.dated_attributes(self.available.get("customers", ()))
        return profile.attribute_columns([c for held in dated.values() for c in held], self.levels)

    def parts(self, f: Combined, window: Window, made: Container[str]) -> list[str]:
        """Name the finished columns of `any_of` that count."""
        counted = [n for setting, n in f.any_of.items() if self.settings.get(setting, 1.0)]
        return [c for c in (column_name(n, window) for n in counted) if c in made]

    def finish(self, f: Combined, finished: Mapping[str, Any], window: Window) -> Any:
        """Compute one `@combined` column from finished ones."""
        if f.any_of:
            return f.body([finished[c] for c in self.parts(f, window, finished)])
        return _apply(f.body, finished, window)

    def _affords(self, f: Combined, window: Window, made: Mapping[str, Any]) -> bool:
        if f.any_of:
            return bool(self.parts(f, window, made))
        asked = _Asked()
        _apply(f.body, asked, window)
        return asked.keys() <= made.keys()

    def _levels(self, f: Feature) -> tuple[str | None, ...]:
        if f.by is None:
            return (None,)
        table = VIEWS[f.view].table
        kept = self.levels.get(f"{table}.{f.by}", ())
        is_closed = any(c.levels for c in TABLES[table].columns if c.name == f.by)
        return kept if is_closed else (*kept, OTHER)

    def _has(self, table: str, needs: Sequence[str]) -> bool:
        return table in self.available and all(self._meets(table, need) for need in needs)

    def _meets(self, table: str, need: str) -> bool:
        """Tell whether a table has `column`, either of `this|that`, or `column=level`."""
        column, _, level = need.partition("=")
        if level:
            return level in self.levels.get(f"{table}.{column}=", ())
        return any(c in self.available[table] for c in column.split("|"))


def _column(f: Any, window: Window, level: str | None) -> Column:
    name = column_name(f.name, window, level)
    return Column(
        name, f.name, window, level, f.unit, f.factor, f.description, f.direction,
        f.says, f.none, f.actionable,
    )  # fmt: skip


def _of_attribute(one: profile.Attribute) -> Column:
    return Column(
        one.name, one.source, None, None, one.unit, "profile", one.description, 0,
        one.says, one.none,
    )  # fmt: skip


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


def _apply(body: Any, columns: Mapping[str, Any], window: Window) -> Any:
    f = _Finished(columns)
    return body(f) if window is None else body(f, window)
