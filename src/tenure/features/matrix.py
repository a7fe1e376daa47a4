"""Every feature of every customer at every cutoff, view by view, then block by block."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table
from tenure.features.grouping import Grouped, group, rows_of
from tenure.features.profile import attribute_levels, attribute_values, known_attributes
from tenure.features.schema import OTHER, Schema
from tenure.features.scratch import Scratch
from tenure.features.spec import COMBINED, FEATURES, VIEWS
from tenure.snapshot import known

__all__ = ["KEYS", "blocks", "build", "plan_schema"]

KEYS = ["customer_id", "cutoff"]
BLOCK = 16_384  # customers whose rows are finished at once
MOST_LEVELS = 8
FEWEST = 10  # customers behind a level: a rare one may be somebody's free text


def plan_schema(
    tables: Mapping[str, ir.Table],
    first_day: dt.date,
    earliest: dt.date,
    zone: ZoneInfo,
    levels: Mapping[str, Sequence[str]],
    *,
    population: str = "transactions",
    settings: Mapping[str, float] | None = None,
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
        Levels the config sets, by column or by `table.column`; other by-columns get their 8 most
        frequent, each of at least 10 customers.
    population : str
        The table whose customers the matrix is about: `transactions` or `subscriptions`.
    settings : mapping, optional
        Numbers of the config that features use.
    """
    available = {name: tuple(t.columns) for name, t in tables.items()}
    bare = Schema((earliest - first_day).days, {}, available, population, settings or {})
    moments = ibis.memtable(cutoff_table([earliest], zone))
    chosen = _levels_needed(tables, moments)
    bare = dataclasses.replace(bare, levels=chosen)
    for v in (VIEWS[name] for name in bare.views()):
        for by in dict.fromkeys(f.by for f in FEATURES.values() if f.by and f.view == v.name):
            key = f"{v.table}.{by}"
            if key in chosen or by not in available[v.table]:
                continue
            given = levels.get(key, levels.get(by))
            if given is not None:
                chosen[key] = tuple(x for x in given if x != OTHER)
                continue
            rows = rows_of(v, tables, moments, bare)
            chosen[key] = _most_frequent(rows, by)
    for rows in known_attributes(tables["customers"], moments) if "customers" in tables else ():
        chosen |= attribute_levels(rows, levels)
    return dataclasses.replace(bare, levels=chosen)


def _levels_needed(tables: Mapping[str, ir.Table], moments: ir.Table) -> dict[str, tuple[str, ...]]:
    """Find the levels of the columns of which some feature needs one (`column=level`)."""
    named = {
        (VIEWS[f.view].table, need.partition("=")[0])
        for f in FEATURES.values()
        for need in f.needs
        if "=" in need
    }
    return {
        f"{table}.{column}=": _most_frequent(known(table, tables[table], moments), column)
        for table, column in sorted(named)
        if table in tables and column in tables[table].columns
    }


def _most_frequent(rows: ir.Table, by: str) -> tuple[str, ...]:
    n = rows.orders.sum() if "orders" in rows.columns else rows.count()
    top = rows.group_by(level=rows[by]).agg(n=n, customers=rows.customer_id.nunique())
    top = top.filter(top.level.notnull(), top.level != OTHER, top.customers >= FEWEST)
    top = top.order_by(ibis.desc("n"), "level").limit(MOST_LEVELS)
    return tuple(sorted(top.level.to_pyarrow().to_pylist()))


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
        One row for each customer of the schema's population known before the cutoff, ordered by
        `customer_id` and `cutoff` (a local day), then one float64 column a feature, NaN where
        the feature is missing.
    """
    return _frame(list(blocks(tables, days, zone, schema)))


def blocks(
    tables: Mapping[str, ir.Table],
    days: Sequence[dt.date],
    zone: ZoneInfo,
    schema: Schema,
) -> Iterator[pa.Table]:
    """Compute the matrix of `build` in parts: some thousand customers each, in order.

    Memory holds one part; the engine keeps the rest, on disk where it must.
    """
    # Columns travel under short names: the engine does not tell `share_Web` from `share_web`.
    alias = {c.name: f"c{i}" for i, c in enumerate(schema.columns())}
    cuts = cutoff_table(days, zone, windows=schema.windows())
    with Scratch(tables[schema.population]) as scratch:
        firsts = _first_ids(tables[schema.population])
        views = [group(VIEWS[n], tables, cuts, schema, alias, scratch) for n in schema.views()]
        apart = _people(tables, ibis.memtable(cuts), schema)
        apart += _attributes(tables, ibis.memtable(cuts), schema, alias)
        apart += [view.by_cutoff for view in views if view.by_cutoff is not None]
        is_one = len(firsts) == 1
        apart = apart if is_one else [scratch.keep(one) for one in apart]
        finished: ir.Table | None = None
        for first, after in zip(firsts, [*firsts[1:], None], strict=True):
            here = scratch.keep(_ends(first, after), "block")
            parts = _added_up(views, first, after, scratch)
            if finished is None:
                parts = [*(apart if is_one else [_between(one, here) for one in apart]), *parts]
                finished = _finished(parts, schema, alias)
                finished = finished if is_one else scratch.view(finished)
            made = finished.to_pyarrow().rename_columns([*KEYS, *alias])
            yield made.sort_by([(key, "ascending") for key in KEYS])


def _first_ids(population: ir.Table) -> list[str]:
    """Return the id with which each block of customers begins."""
    ids = population.select("customer_id").distinct()
    ids = ids.mutate(place=ibis.row_number().over(order_by=ids.customer_id))
    firsts = ids.filter(ids.place % BLOCK == 0).order_by("customer_id").customer_id
    return firsts.to_pyarrow().to_pylist() or [""]


def _ends(first: str, after: str | None) -> pa.Table:
    return pa.table({"first": pa.array([first]), "after": pa.array([after], pa.string())})


def _between(table: ir.Table, block: ir.Table) -> ir.Table:
    first, after = block["first"].as_scalar(), block["after"].as_scalar()
    return table.filter(table.customer_id >= first, after.isnull() | (table.customer_id < after))


def _added_up(
    views: Sequence[Grouped], first: str, after: str | None, scratch: Scratch
) -> list[ir.Table]:
    """Add up the features of a block of customers that are made of spans."""
    made = []
    for place, view in enumerate(views):
        if view.spans is not None and view.stored is not None:
            ids = view.stored.customer_id
            inside = (ids >= first) if after is None else (ids >= first) & (ids < after)
            some = view.stored.filter(inside).order_by("customer_id", "span").to_pyarrow()
            kept = scratch.keep(view.spans.added_up(some), f"added_up_{place}")
            made.append(view.spans.finished(kept))
    return made


def _finished(parts: Sequence[ir.Table], schema: Schema, alias: Mapping[str, str]) -> ir.Table:
    """Put the parts beside each other, for everybody who is a customer at a cutoff."""
    base, *others = parts
    if schema.population == "transactions":  # the purchase days know
        bought = alias["purchase_days"]
        base = next(part for part in parts if bought in part.columns)
        others = [part for part in parts if part is not base]
        base = base.filter(base[bought] > 0)
    for one in others:
        base = base.left_join(one, ["customer_id", "cutoff_day"])
        base = base.drop(c for c in base.columns if c.endswith("_right"))
    base = _combined(_filled(base, schema, alias), schema, alias)
    return base.select("customer_id", "cutoff_day", *alias.values())


def _frame(parts: list[pa.Table]) -> pd.DataFrame:
    """Write the parts into one array of numbers, letting go of each once it is written."""
    names = parts[0].column_names[len(KEYS) :]
    ids, cutoffs = (
        pa.chunked_array([c for p in parts for c in p[k].chunks], parts[0][k].type) for k in KEYS
    )
    numbers, start = np.empty((len(names), len(ids))), 0
    while parts:
        part = parts.pop(0)
        for place, name in enumerate(names):
            numbers[place, start : start + len(part)] = part[name].to_numpy()
        start += len(part)
    frame = pd.DataFrame(numbers.T, columns=names, copy=False)
    frame.insert(0, "cutoff", cutoffs.cast(pa.timestamp("s")).to_pandas())
    frame.insert(0, "customer_id", ids.to_pandas())
    return frame


def _attributes(
    tables: Mapping[str, ir.Table], cuts: ir.Table, schema: Schema, alias: Mapping[str, str]
) -> list[ir.Table]:
    """Return the dated attributes of customers, one table for each date they hang on."""
    asked = [dataclasses.replace(a, name=alias[a.name]) for a in schema.attributes()]
    made: list[ir.Table] = []
    if asked:
        for rows in known_attributes(tables["customers"], cuts.select("cutoff", "cutoff_day")):
            values = attribute_values(rows, [a for a in asked if a.source in rows.columns])
            of = rows.group_by("customer_id", "cutoff_day")
            made.append(of.agg(**{n: v.max() for n, v in values.items()}))
    return made


def _people(tables: Mapping[str, ir.Table], cuts: ir.Table, schema: Schema) -> list[ir.Table]:
    """Return who ever had a subscription before each cutoff; who bought, the features know."""
    if schema.population == "transactions":
        return []
    log = tables[schema.population].select(_identity(schema.population, tables))
    rows = known(schema.population, log, cuts.select("cutoff", "cutoff_day"))
    return [rows.select("customer_id", "cutoff_day").distinct()]


def _identity(name: str, tables: Mapping[str, ir.Table]) -> list[str]:
    held = tables[name].columns
    names = ("customer_id", *TABLES[name].at, *TABLES[name].key, "loaded_at")
    return [c for c in dict.fromkeys(names) if c in held]


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
            value = schema.finish(COMBINED[column.feature], finished, column.window)
            made[alias[column.name]] = value.cast("float64")
    return base.mutate(**made)
