"""A view's rows as known at each cutoff, and its features as aggregates over them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tenure.features.schema import OTHER, Column, Schema
from tenure.features.scratch import Scratch
from tenure.features.spans import Spans, is_steady, keeps_rows
from tenure.features.spec import Feature, View, Window, within
from tenure.snapshot import known, met, opened, span, timeless

__all__ = ["Grouped", "group", "rows_of"]

Asked = Mapping[str, tuple[Feature, Column]]


@dataclass(frozen=True)
class Grouped:
    """A view's features: those that add up from spans of time, and those grouped by cutoff.

    Attributes
    ----------
    spans, stored
        The first, and their sums in the engine; None without such features.
    by_cutoff
        The others, a row for each customer and cutoff; None without such features.
    """

    spans: Spans | None
    stored: ir.Table | None
    by_cutoff: ir.Table | None


def rows_of(v: View, tables: Mapping[str, ir.Table], cuts: ir.Table, schema: Schema) -> ir.Table:
    """Return a view's rows as known at each cutoff."""
    rows = opened(v.table, tables[v.table], v.at, v.collapse)
    return _met(v, tables, rows, cuts, schema)


def group(
    v: View,
    tables: Mapping[str, ir.Table],
    cuts: pa.Table,
    schema: Schema,
    alias: Mapping[str, str],
    scratch: Scratch,
) -> Grouped:
    """Compute a view's features, each the cheaper way; their columns bear the names in `alias`."""
    asked = {alias[column.name]: (f, column) for f, column in schema.aggregates(v.name)}
    rows = opened(v.table, tables[v.table], v.at, v.collapse)
    is_late = "loaded_at" in rows.columns
    if v.collapse and not is_late:
        rows = scratch.keep(rows)
    spans = None if is_late or v.beside else _spans(v, tables, rows, cuts, schema, asked)
    added = spans.values if spans else {}
    left = {name: one for name, one in asked.items() if name not in added}
    by_cutoff = None
    if left:
        instants = ibis.memtable(cuts)
        by_cutoff = _by_cutoff(v, _met(v, tables, rows, instants, schema), instants, schema, left)
    return Grouped(spans, scratch.keep(spans.grouped()) if spans else None, by_cutoff)


def _met(
    v: View, tables: Mapping[str, ir.Table], rows: ir.Table, cuts: ir.Table, schema: Schema
) -> ir.Table:
    moments = cuts.select("cutoff", "cutoff_day")
    rows = met(v.table, tables[v.table], rows, moments, v.at)
    beside = (known(name, tables[name], moments) for name in v.beside)
    return v.build(_settled(rows, v, schema), *beside)


def _settled(rows: ir.Table, v: View, schema: Schema) -> ir.Table:
    return rows.mutate(**{s: ibis.literal(schema.settings[s]) for s in v.settings})


def _spans(
    v: View,
    tables: Mapping[str, ir.Table],
    rows: ir.Table,
    cuts: pa.Table,
    schema: Schema,
    asked: Asked,
) -> Spans | None:
    names = [c for c in cuts.column_names if c != "cutoff_day"]
    instants: list[dt.datetime] = sorted({x for c in names for x in cuts[c].to_pylist()})
    rows = rows.mutate(span=span(rows[v.at], instants))
    rows = rows.filter(rows.span < len(instants))
    shaped = v.build(_settled(timeless(v.table, tables[v.table], rows, v.at), v, schema))
    if not keeps_rows(shaped, rows):
        return None
    shaped = shaped.mutate(**_levels(shaped, v, schema))
    values = {n: (_value(f, column, shaped), column.window) for n, (f, column) in asked.items()}
    steady = {
        n: (value, window) for n, (value, window) in values.items() if is_steady(value, window)
    }
    return Spans(shaped, steady, cuts, instants) if steady else None


def _by_cutoff(v: View, rows: ir.Table, cuts: ir.Table, schema: Schema, asked: Asked) -> ir.Table:
    starts = [c for c in cuts.columns if c.startswith("start_")]
    rows = rows.join(cuts.select("cutoff_day", *starts), "cutoff_day")
    rows = rows.mutate(**_levels(rows, v, schema))
    aggregates = {}
    for name, (f, column) in asked.items():
        value, inside = _value(f, column, rows), _inside(rows, v, column.window)
        value = value if inside is None else within(value, inside)
        aggregates[name] = value.cast("float64")
    return rows.group_by("customer_id", "cutoff_day").agg(**aggregates)


def _value(f: Feature, column: Column, rows: ir.Table) -> ir.Value:
    return f.body(rows, column.level) if f.by else f.body(rows)


def _levels(rows: ir.Table, v: View, schema: Schema) -> dict[str, ir.Value]:
    by = {f.by for f, _ in schema.aggregates(v.name) if f.by}
    kept = {b: rows[b].isin(schema.levels[f"{v.table}.{b}"]) for b in sorted(by)}
    nothing = ibis.null("string")
    return {
        b: ibis.cases((here, rows[b]), (rows[b].notnull(), OTHER), else_=nothing)
        for b, here in kept.items()
    }


def _inside(rows: ir.Table, v: View, window: Window) -> ir.BooleanValue | None:
    if window is None:
        return None
    if isinstance(window, int):
        return rows[v.at] >= rows[f"start_{window}d"]
    return rows[f"is_last_{window.n}"]
