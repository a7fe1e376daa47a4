"""The proof, on the user's own data, that no feature sees past its cutoff."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from tenure.audit.changes import CHANGES, alter_past
from tenure.config import Config
from tenure.contract import TABLES
from tenure.cutoffs import instant, plan
from tenure.errors import DataError
from tenure.features.matrix import KEYS, build, plan_schema
from tenure.features.schema import Schema
from tenure.features.spec import VIEWS
from tenure.labels.horizon import settled
from tenure.sources import load

__all__ = ["CHANGES", "Finding", "contract_report", "prove"]


@dataclass(frozen=True)
class Finding:
    """A text for people and the same as values."""

    text: str
    values: dict[str, Any]


def contract_report(config: Config) -> Finding:
    """Load the data and say what was kept, what was set aside and why.

    Raises
    ------
    DataError
        If a table is broken.
    """
    with load(config) as sources:
        values = sources.report.to_json()
        until, early = sources.observed_until, sources.ends
        dated = config.churn.kind != "label"
        config, horizon_why = settled(config, sources)
        days = plan(config, sources.first_day, until) if dated else ()
    lines = []
    for table, report in values.items():
        aside = report["rows_read"] - report["rows_kept"]
        span = ""
        if "first_day" in report:
            span = f", {report['first_day']} to {report['last_day']}"
            span += f", observed until {early.get(table, until)}" if dated else ""
        lines.append(
            f"{table}: {report['rows_kept']:,} of {report['rows_read']:,} rows kept, {aside:,} set "
            f"aside; {report['customers']:,} customers{span}"
        )
        lines += [f"  {sentence}" for sentence in (*report["sentences"], *report["notes"])]
    if days:
        lines.append(f"cutoffs: {len(days)} with complete labels, {days[0]} to {days[-1]}")
    lines += horizon_why
    values["cutoffs"] = [str(d) for d in days]
    return Finding("\n".join(lines), values)


def prove(config: Config, *, progress: Callable[[str], None] = lambda _: None) -> Finding:
    """Change the future in every way we know and compare the features byte by byte.

    At the earliest, the middle and the newest cutoff all logs are altered, extended and cut off
    at or after the cutoff (by event date, by the date a cell was known, by load date). As a
    control, the newest purchase before the cutoff is altered, and what any other log says before
    it is dropped: the comparison must notice each.

    Returns
    -------
    Finding

    Raises
    ------
    DataError
        If some change reached a feature: names the columns. Or if the control went unnoticed.
    """
    if config.churn.kind == "label":
        raise DataError(
            "leak check: labels without dates have no cutoff, so that nothing can be proven about "
            "what was known when."
        )
    with load(config) as sources:
        config, _ = settled(config, sources)
        days = plan(config, sources.first_day, sources.observed_until)
        picked = sorted({days[0], days[len(days) // 2], days[-1]})
        schema = plan_schema(
            sources.tables,
            sources.first_day,
            days[0],
            config.zone,
            config.features.levels,
            population=config.churn.table,
            settings=config.feature_settings,
        )
        names = [c.name for c in schema.columns()]
        tried: list[dict[str, Any]] = []
        noticed: set[str] = set()

        def matrix(day: dt.date, words: str, tables: Mapping[str, ir.Table]) -> pd.DataFrame:
            progress(f"{day}: {words}")
            return build(tables, [day], config.zone, schema)

        for day in picked:
            moment = instant(day, config.zone)
            truth = matrix(day, "as it is", sources.tables)
            for words, change in CHANGES.items():
                changed = {
                    n: change(t, TABLES[n], moment, config.timezone)
                    for n, t in sources.tables.items()
                }
                other = matrix(day, words, changed)
                tried.append(_compare(day, words, truth, other, sources.tables, changed))
            past = {n: alter_past(t, TABLES[n], moment) for n, t in sources.tables.items()}
            noticed |= _noticed(truth, matrix(day, "the control", past), schema)
    _raise_if_leaking(tried)
    _raise_if_blind(schema, noticed)
    rows = sum(t["rows_changed"] for t in tried)
    lines = [
        f"No feature sees past its cutoff: {len(names)} features, {len(tried)} changes to the "
        f"future ({rows:,} rows in all) at cutoffs {', '.join(map(str, picked))}, every matrix "
        "byte-identical.",
        *(f"  {t['cutoff']}  {t['change']}: {t['rows_changed']:,} rows, identical" for t in tried),
        "  control: altering each log before each cutoff was noticed each time.",
    ]
    return Finding("\n".join(lines), {"features": len(names), "tried": tried, "leaks": 0})


def _noticed(truth: pd.DataFrame, other: pd.DataFrame, schema: Schema) -> set[str]:
    """Return the tables whose altered past moved a column that is made of them."""
    both = truth.merge(other, on=KEYS, suffixes=("", " then"))
    if len(both) < len(truth):
        return {schema.population}
    return {
        VIEWS[name].table
        for name in schema.views()
        for _, column in schema.aggregates(name)
        if not both[column.name].equals(both[f"{column.name} then"].rename(column.name))
    }


def _raise_if_blind(schema: Schema, noticed: set[str]) -> None:
    """Refuse to prove by a comparison that does not see the past change."""
    blind = {VIEWS[name].table for name in schema.views()} - noticed
    if blind:
        raise DataError(
            f"leak check: the control went unnoticed ({', '.join(sorted(blind))} was altered "
            "before every cutoff and no feature moved); the check proves nothing on these data."
        )


def _compare(
    day: dt.date,
    words: str,
    truth: pd.DataFrame,
    other: pd.DataFrame,
    before: Mapping[str, ir.Table],
    after: Mapping[str, ir.Table],
) -> dict[str, Any]:
    same = _digest(truth) == _digest(other)
    moved = [c for c in truth.columns if not truth[c].equals(other[c])]
    return {
        "cutoff": str(day),
        "change": words,
        "rows_changed": sum(_rows_between(before[n], after[n]) for n in before),
        "identical": same,
        "columns": moved,
    }


def _rows_between(one: ir.Table, two: ir.Table) -> int:
    """Count the rows of either table that the other does not hold."""
    first, second = one.select(sorted(one.columns)), two.select(sorted(one.columns))
    gone = first.difference(second, distinct=False).count().to_pyarrow().as_py()
    come = second.difference(first, distinct=False).count().to_pyarrow().as_py()
    return int(max(gone, come))


def _raise_if_leaking(tried: list[dict[str, Any]]) -> None:
    leaks = [t for t in tried if not t["identical"]]
    if leaks:
        lines = [
            f"{t['cutoff']}, {t['change']}: moved {', '.join(map(repr, t['columns'][:5]))}"
            for t in leaks
        ]
        raise DataError("leak check: the future reaches features\n  " + "\n  ".join(lines))


def _digest(matrix: pd.DataFrame) -> str:
    sha = hashlib.sha256("\x1f".join(matrix.columns).encode())
    sha.update("\x1f".join(matrix["customer_id"]).encode())
    for column in matrix.columns[1:]:
        sha.update(matrix[column].to_numpy().tobytes())
    return sha.hexdigest()
