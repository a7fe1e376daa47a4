"""Tables that the engine keeps while a matrix is built; it may move them to disk."""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

__all__ = ["Scratch"]

_PREFIX = "features_scratch_"


class Scratch:
    """Keeps results in the engine of a table, and removes them at the end of its `with`."""

    def __init__(self, table: ir.Table) -> None:
        self._engine: Any = table.get_backend()
        self._number = itertools.count()
        self._tables: dict[str, None] = {}
        self._views: dict[str, None] = {}

    def keep(self, table: ir.Table | pa.Table, name: str | None = None) -> ir.Table:
        """Store a result; one of the same name and columns takes the place of the last."""
        name = _PREFIX + (f"{next(self._number)}" if name is None else name)
        self._tables[name] = None
        kept: ir.Table = self._engine.create_table(name, table, temp=True, overwrite=True)
        return kept

    def view(self, table: ir.Table) -> ir.Table:
        """Store a query, to run again each time the tables it is made of have been replaced."""
        name = _PREFIX + f"view_{next(self._number)}"
        self._views[name] = None
        made: ir.Table = self._engine.create_view(name, table, overwrite=True)
        return made

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._views:
            self._engine.drop_view(name, force=True)
        for name in self._tables:
            self._engine.drop_table(name, force=True)
