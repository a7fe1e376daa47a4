"""Every feature of every customer at every cutoff, in one grouped query a view."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pandas as pd

from tenure.contract import PLANNED, TABLES
from tenure.cutoffs import cutoff_table
from tenure.features.schema import OTHER, Schema, finish
from tenure.features.spec import COMBINED, FEATURES, VIEWS, View, Window, within
from tenure.snapshot import seen, versions

__all__ = ["KEYS", "build", "plan_schema"]

KEYS = ["customer_id", "cutoff"]
MOST_LEVELS = 8
FEWEST = 10  # customers behind a level: a rare one may be somebody's free text


def plan_schema(
    tables: Mapping[str, ir.Table],
    first_day: dt.date,
    earliest: dt.date,
    zone: ZoneInfo,
    levels: Mapping[str, Sequence[str]],
) -> Schema:
    """Fix windows and levels by what was known at the earliest cutoff.

    Parameters
    ----------
    tables : mapping of str to Table
        The loaded logs.
    first_day, earliest : date
        First local day of the log, and the earliest cutoff that will be built.
    zone : ZoneInfo
        The config's time zone.
    levels : mapping
        Levels the config sets; other by-columns get their 8 most frequent, each of at least 10
        customers.
    """
    available = {name: tuple(t.columns) for name, t in tables.items()}
    chosen: dict[str, tuple[str, ...]] = {}
    for f in FEATURES.values():
        v = VIEWS[f.view]
        if f.by is None or f.by in chosen or f.by not in available.get(v.table, ()):
            continue
        if f.by in levels:
            chosen[f.by] = tuple(x for x in levels[f.by] if x != OTHER)
            continue
        rows = _rows(v, tables[v.table], ibis.memtable(cutoff_table([earliest], zone)))
        top = rows.group_by(level=rows[f.by]).agg(
            n=rows.orders.sum(), customers=rows.customer_id.nunique()
        )
        top = (
            top.filter(top.level != OTHER, top.customers >= FEWEST)
            .order_by(ibis.desc("n"), "level")
            .limit(MOST_LEVELS)
        )
        chosen[f.by] = tuple(sorted(top.level.to_pyarrow().to_pylist()))
    return Schema((earliest - first_day).days, chosen, available)


def build(
    tables: Mapping[str, ir.Table],
    days: Sequence[dt.date],
    zone: ZoneInfo,
    schema: Schema,
) -> pd.DataFrame:
    """Compute the feature matrix.

    Parameters
    ----------
    tables : mapping of str to Table
        The loaded logs, all in one engine.
    days : sequence of date
        The cutoffs: history is everything before the local midnight that starts each.
    zone : ZoneInfo
        The config's time zone.
    schema : Schema
        Which columns to build.

    Returns
    -------
    DataFrame
        One row for each customer with a purchase known before the cutoff, ordered by
        `customer_id` and `cutoff` (a local day), then one float64 column a feature, NaN where
        the feature is missing.
    """
    cuts = ibis.memtable(cutoff_table(days, zone, windows=schema.windows()))
    # Columns travel under short names: the engine does not tell `share_Web` from `share_web`.
    alias = {c.name: f"c{i}" for i, c in enumerate(schema.columns())}
    base: ir.Table | None = None
    for name in schema.views():
        grouped = _grouped(VIEWS[name], tables[VIEWS[name].table], cuts, schema, alias)
        if base is None:  # the first view is the purchase days: it decides who is a customer
            base = grouped.filter(grouped[alias["purchase_days"]] > 0)
        else:
            base = base.left_join(grouped, ["customer_id", "cutoff_day"])
            base = base.drop(c for c in base.columns if c.endswith("_right"))
    assert base is not None
    base = _filled(base, schema, alias)
    base = _combined(base, schema, alias)
    ordered = base.select("customer_id", "cutoff_day", *alias.values())
    table = ordered.order_by("customer_id", "cutoff_day").to_pyarrow()
    frame: pd.DataFrame = table.rename_columns([*KEYS, *alias]).to_pandas()
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    return frame


def _rows(v: View, table: ir.Table, cuts: ir.Table) -> ir.Table:
    rows = versions(table, TABLES[v.table].id)
    rows = v.collapse(rows) if v.collapse else rows
    return v.build(seen(rows, cuts.select("cutoff", "cutoff_day"), v.at, planned=PLANNED))


def _grouped(
    v: View, table: ir.Table, cuts: ir.Table, schema: Schema, alias: Mapping[str, str]
) -> ir.Table:
    rows = _rows(v, table, cuts)
    starts = [c for c in cuts.columns if c.startswith("start_")]
    rows = rows.join(cuts.select("cutoff_day", *starts), "cutoff_day")
    rows = rows.mutate(**_levels(rows, v, schema))
    aggregates = {}
    for f, column in schema.aggregates(v.name):
        value = f.body(rows, column.level) if f.by else f.body(rows)
        inside = _inside(rows, v, column.window)
        value = value if inside is None else within(value, inside)
        aggregates[alias[column.name]] = value.cast("float64")
    return rows.group_by("customer_id", "cutoff_day").agg(**aggregates)


def _levels(rows: ir.Table, v: View, schema: Schema) -> dict[str, ir.Value]:
    by = {f.by for f, _ in schema.aggregates(v.name) if f.by}
    return {b: rows[b].isin(schema.levels[b]).ifelse(rows[b], OTHER) for b in sorted(by)}


def _inside(rows: ir.Table, v: View, window: Window) -> ir.BooleanValue | None:
    if window is None:
        return None
    if isinstance(window, int):
        return rows[v.at] >= rows[f"start_{window}d"]
    return rows[f"is_last_{window.n}"]


def _filled(base: ir.Table, schema: Schema, alias: Mapping[str, str]) -> ir.Table:
    """Write what "no rows" means where a customer has none."""
    values = {}
    for name in schema.views():
        for f, column in schema.aggregates(name):
            if f.empty is not None:
                short = alias[column.name]
                values[short] = base[short].fill_null(float(f.empty))
    return base.mutate(**values)


def _combined(base: ir.Table, schema: Schema, alias: Mapping[str, str]) -> ir.Table:
    finished = {name: base[short] for name, short in alias.items() if short in base.columns}
    made = {}
    for column in schema.columns():
        if column.feature in COMBINED:
            value = finish(COMBINED[column.feature].body, finished, column.window)
            made[alias[column.name]] = value.cast("float64")
    return base.mutate(**made)
