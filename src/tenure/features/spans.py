"""Features whose rows are the same at every cutoff: summed once a span of time, then added up.

The instants of all cutoffs and window starts cut time into spans. What a window holds is what its
spans hold together, exactly: numbers are whole (decimals count their last digit). So each row is
read once, in one grouped query, instead of once for every cutoff and window.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from tenure.features.spec import Window
from tenure.features.whole import from_whole, is_whole, to_whole

__all__ = ["Spans", "is_steady", "keeps_rows"]

Values = Mapping[str, tuple[ir.Value, Window]]
Dense = tuple[np.ndarray, np.ndarray]  # (span, customer): whole numbers, and where there are any
Over = Callable[[np.ndarray, np.ndarray], Dense]
_ADDED = (ops.Sum, ops.Count, ops.CountStar)


def _reductions(value: ir.Value) -> list[ops.Reduction]:
    """Return the reductions that a feature is made of."""
    found: list[ops.Reduction] = value.op().find(ops.Reduction, filter=ops.Value)
    return found


def is_steady(value: ir.Value, window: Window) -> bool:
    """Tell whether a feature can be added up from spans of time.

    Its reductions must be of a kind whose parts add up, over values that no cutoff decides.
    """
    return isinstance(window, int | None) and all(
        _adds_up(base) or (_is_cutoff(base) and window is None) for base in _reductions(value)
    )


def _adds_up(base: ops.Reduction) -> bool:
    if isinstance(base, ops.CountStar | ops.Count):
        return not _moves(base)
    if isinstance(base, ops.Sum | ops.Max | ops.Min):
        return is_whole(base.dtype) and not _moves(base)
    if isinstance(base, ops.ArgMax | ops.ArgMin):
        return is_whole(base.dtype) and is_whole(base.key.dtype) and not _moves(base)
    return False


def _is_cutoff(base: ops.Reduction) -> bool:
    """Tell whether a reduction only names the cutoff's own day, which all rows share."""
    return isinstance(base, ops.Max | ops.Min) and (
        isinstance(base.arg, ops.Field) and base.arg.name == "cutoff_day" and base.where is None
    )


def _moves(node: ops.Value) -> bool:
    """Tell whether a value depends on the cutoff: on a parameter that `timeless` left open."""
    return _depends(node, {})


def _depends(node: ops.Value, known: dict[ops.Value, bool]) -> bool:
    if node not in known:
        parts = [part for part in node.__children__ if isinstance(part, ops.Value)]
        if isinstance(node, ops.Field):
            parts = [node.rel.values[node.name]] if node.name in node.rel.values else []
        known[node] = isinstance(node, ops.ScalarParameter) or any(
            _depends(part, known) for part in parts
        )
    return known[node]


def keeps_rows(rows: ir.Table, opened: ir.Table) -> bool:
    """Tell whether a view's rows are the opened ones, less some that no cutoff decides on."""
    node = rows.op()
    while node != opened.op():
        is_cut = isinstance(node, ops.Filter) and not any(map(_moves, node.predicates))
        if not (is_cut or isinstance(node, ops.Project | ops.DropColumns)):
            return False
        node = node.parent
    return True


@dataclass(frozen=True)
class Spans:
    """The steady features of a view, by the reductions they are made of.

    Attributes
    ----------
    rows : Table
        The view's rows as `timeless` has them, with `span`.
    values : mapping
        The features by column name: aggregates over `rows`, and their windows.
    cuts : pyarrow.Table
        From `cutoff_table`.
    instants : sequence of datetime
        All instants in it, in order.
    """

    rows: ir.Table
    values: Values
    cuts: pa.Table
    instants: Sequence[dt.datetime]

    def grouped(self) -> ir.Table:
        """Reduce the rows to one a customer and span."""
        asked: dict[str, ops.Value] = {}
        for base, name in self._bases().items():
            asked[name] = base
            if isinstance(base, ops.ArgMax | ops.ArgMin):  # which row the engine takes
                best = ops.Max if isinstance(base, ops.ArgMax) else ops.Min
                held = ops.NotNull(base.arg)
                where = held if base.where is None else ops.And(base.where, held)
                asked[f"{name}_key"] = best(base.key, where=where)
        of = self.rows.group_by("customer_id", "span")
        one = of.agg(**{name: base.to_expr() for name, base in asked.items()}).op()
        open_ones = one.find(ops.ScalarParameter)  # nothing that is asked for needs them
        return one.replace({p: ops.Literal(None, p.dtype) for p in open_ones}).to_expr()

    def added_up(self, grouped: pa.Table) -> pa.Table:
        """Add the spans of some customers up to windows.

        Parameters
        ----------
        grouped : pyarrow.Table
            All rows of these customers, ordered by customer and span.

        Returns
        -------
        pyarrow.Table
            A row for each customer and cutoff with rows before it, in this order, and a column
            for each reduction and window.
        """
        ids = grouped["customer_id"].combine_chunks().dictionary_encode()
        shape = (len(self.instants), len(ids.dictionary))
        cell = grouped["span"].to_numpy() * shape[1] + ids.indices.to_numpy()
        ends = self._places("cutoff")
        here = _dense(np.ones(len(cell), bool), cell, shape)
        who, when = np.nonzero(np.logical_or.accumulate(here)[ends - 1].T)
        flat = when * shape[1] + who
        columns: dict[str, Any] = {
            "customer_id": ids.dictionary.take(pa.array(who)),
            "cutoff_day": self.cuts["cutoff_day"].take(pa.array(when)),
        }
        for base, name in self._bases().items():
            reduce = _added if isinstance(base, _ADDED) else _chosen
            numbers, keys = (_read(grouped, n, cell, shape) for n in _columns_of(base, name))
            over = reduce(base, numbers, keys)
            for window in self._windows(base):
                starts = np.zeros_like(ends) if window is None else self._places(f"start_{window}d")
                values, held = (x.reshape(-1).take(flat) for x in over(starts, ends))
                columns[_column(name, window)] = from_whole(values, held, base.dtype)
        return pa.table(columns)

    def finished(self, reduced: ir.Table) -> ir.Table:
        """Make the features out of the columns of `added_up`."""
        names = self._bases()
        finished = {}
        for column, (value, window) in self.values.items():
            found = {
                base: reduced[_column(names[base], window) if base in names else "cutoff_day"].op()
                for base in _reductions(value)
            }
            made = value.op().replace(found, filter=ops.Value).to_expr()
            finished[column] = made.cast("float64")
        return reduced.select("customer_id", "cutoff_day", **finished)

    def _bases(self) -> dict[ops.Reduction, str]:
        every = (base for value, _ in self.values.values() for base in _reductions(value))
        distinct = dict.fromkeys(base for base in every if not _is_cutoff(base))
        return {base: f"b{i}" for i, base in enumerate(distinct)}

    def _windows(self, base: ops.Reduction) -> list[Window]:
        asked = (w for value, w in self.values.values() if base in _reductions(value))
        return list(dict.fromkeys(asked))

    def _places(self, column: str) -> np.ndarray:
        """Return the span with which each instant of a column begins."""
        order = {instant: place for place, instant in enumerate(self.instants)}
        return np.array([order[moment] + 1 for moment in self.cuts[column].to_pylist()])


def _column(name: str, window: Window) -> str:
    return name if window is None else f"{name}_{window}"


def _columns_of(base: ops.Reduction, name: str) -> tuple[str, str]:
    is_pair = isinstance(base, ops.ArgMax | ops.ArgMin)
    return name, f"{name}_key" if is_pair else name


def _read(grouped: pa.Table, name: str, cell: np.ndarray, shape: tuple[int, int]) -> Dense:
    values, held = to_whole(grouped[name])
    return _dense(values, cell, shape), _dense(held, cell, shape)


def _dense(values: np.ndarray, cell: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    made = np.zeros(shape, values.dtype)
    made.reshape(-1)[cell] = values
    return made


def _added(base: ops.Reduction, numbers: Dense, keys: Dense) -> Over:  # noqa: ARG001
    """Return what adds a base up over the spans from each start to before each end."""
    total, count = (_running(x) for x in numbers)
    is_sum = isinstance(base, ops.Sum)  # of nothing is null; a count of nothing is 0

    def over(starts: np.ndarray, ends: np.ndarray) -> Dense:
        held = count[ends] > count[starts] if is_sum else np.ones((len(ends), total.shape[1]), bool)
        return total[ends] - total[starts], held

    return over


def _running(values: np.ndarray) -> np.ndarray:
    kind = np.int32 if values.dtype == bool else values.dtype
    total = np.zeros((len(values) + 1, values.shape[1]), kind)
    np.cumsum(values, axis=0, out=total[1:])
    return total


def _chosen(base: ops.Reduction, numbers: Dense, keys: Dense) -> Over:
    """Return what takes the value of the span whose key is the best."""
    values, held = numbers[0], numbers[1] & keys[1]
    sign = -1 if isinstance(base, ops.Min | ops.ArgMin) else 1
    ranked = np.where(keys[1], sign * keys[0], np.iinfo(np.int64).min)

    def over(starts: np.ndarray, ends: np.ndarray) -> Dense:
        pairs = zip(starts, ends, strict=True)
        best = np.array([s + ranked[s:e].argmax(axis=0) for s, e in pairs])
        return np.take_along_axis(values, best, 0), np.take_along_axis(held, best, 0)

    return over
