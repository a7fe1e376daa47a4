"""The proof, on the user's own data, that no feature sees past its cutoff."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from tenure.config import Config
from tenure.contract import PLANNED
from tenure.cutoffs import instant, plan
from tenure.errors import DataError
from tenure.features.matrix import build, plan_schema
from tenure.parsing import local_day
from tenure.snapshot import bought
from tenure.sources import load

__all__ = ["Finding", "contract_report", "prove"]

Change = Callable[[ir.Table, dt.datetime, str], ir.Table]


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
        days = plan(config, sources.first_day, sources.observed_until)
        until = sources.observed_until
    lines = []
    for table, report in values.items():
        aside = report["rows_read"] - report["rows_kept"]
        lines.append(
            f"{table}: {report['rows_kept']:,} of {report['rows_read']:,} rows kept, {aside:,} set "
            f"aside; {report['customers']:,} customers, {report['first_day']} to "
            f"{report['last_day']}, observed until {until}"
        )
        lines += [f"  {sentence}" for sentence in (*report["sentences"], *report["notes"])]
    lines.append(f"cutoffs: {len(days)} with complete labels, {days[0]} to {days[-1]}")
    values["cutoffs"] = [str(d) for d in days]
    return Finding("\n".join(lines), values)


def prove(config: Config, *, progress: Callable[[str], None] = lambda _: None) -> Finding:
    """Change the future in every way we know and compare the features byte by byte.

    At the earliest, the middle and the newest cutoff the log is altered, extended and cut off at
    or after the cutoff (by event date, by the date a cell was known, by load date). As a control,
    one row before the cutoff is altered: the comparison must notice.

    Returns
    -------
    Finding

    Raises
    ------
    DataError
        If some change reached a feature: names the columns. Or if the control went unnoticed.
    """
    with load(config) as sources:
        days = plan(config, sources.first_day, sources.observed_until)
        picked = sorted({days[0], days[len(days) // 2], days[-1]})
        schema = plan_schema(
            sources.tables, sources.first_day, days[0], config.zone, config.features.levels
        )
        names = [c.name for c in schema.columns()]
        tried = []
        for day in picked:
            moment = instant(day, config.zone)
            truth = build(sources.tables, [day], config.zone, schema)
            for words, change in CHANGES.items():
                progress(f"{day}: {words}")
                changed = {n: change(t, moment, config.timezone) for n, t in sources.tables.items()}
                other = build(changed, [day], config.zone, schema)
                tried.append(_compare(day, words, truth, other, sources.tables, changed))
            control = {n: _alter_one_past_row(t, moment) for n, t in sources.tables.items()}
            if _digest(build(control, [day], config.zone, schema)) == _digest(truth):
                raise DataError(
                    f"leak check: the control at {day} went unnoticed (a row before the cutoff was "
                    "altered and no feature moved); the check proves nothing on these data."
                )
    _raise_if_leaking(tried)
    rows = sum(t["rows_changed"] for t in tried)
    lines = [
        f"No feature sees past its cutoff: {len(names)} features, {len(tried)} changes to the "
        f"future ({rows:,} rows in all) at cutoffs {', '.join(map(str, picked))}, every matrix "
        "byte-identical.",
        *(f"  {t['cutoff']}  {t['change']}: {t['rows_changed']:,} rows, identical" for t in tried),
        "  control: altering one row before each cutoff was noticed each time.",
    ]
    return Finding("\n".join(lines), {"features": len(names), "tried": tried, "leaks": 0})


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


def _is_future(t: ir.Table, moment: dt.datetime) -> ir.BooleanValue:
    future = t.ts >= ibis.timestamp(moment)
    return future | (t.loaded_at >= ibis.timestamp(moment)) if "loaded_at" in t.columns else future


def _known_later(t: ir.Table) -> list[str]:
    return [c for c in t.columns if c.endswith("_at") and c not in {*PLANNED, "loaded_at"}]


def _cut_off(t: ir.Table, moment: dt.datetime, zone: str) -> ir.Table:  # noqa: ARG001
    """Delete the future, and hide cells that were not known yet."""
    now = ibis.timestamp(moment)
    hidden = {c: (t[c] < now).ifelse(t[c], ibis.null(t[c].type())) for c in _known_later(t)}
    days = {c.replace("_at", "_day"): c for c in hidden if c.replace("_at", "_day") in t.columns}
    hidden |= {d: (t[c] < now).ifelse(t[d], ibis.null("date")) for d, c in days.items()}
    return t.filter(~_is_future(t, moment)).mutate(**hidden)


def _alter(t: ir.Table, moment: dt.datetime, zone: str) -> ir.Table:
    """Give future rows to one customer, change their money, kind, texts and dates."""
    future, someone = _is_future(t, moment), t.customer_id.min().over(ibis.window())
    changed: dict[str, ir.Value] = {"customer_id": future.ifelse(someone, t.customer_id)}
    for column, kind in t.schema().items():
        if kind.is_decimal():
            changed[column] = future.ifelse((t[column] * 3 + 1).cast(kind), t[column])
        elif column == "kind":
            changed[column] = future.ifelse("purchase", t[column])
        elif kind.is_string() and column not in ("customer_id", "transaction_id"):
            changed[column] = future.ifelse(t[column].concat("?"), t[column])
        elif column in _known_later(t):
            unknown = t[column] >= ibis.timestamp(moment)
            changed[column] = unknown.ifelse(t[column] + ibis.interval(days=5), t[column])
    # a row loaded late keeps its date: only rows dated after the cutoff may move
    dated = t.ts >= ibis.timestamp(moment)
    later = (t.ts + ibis.interval(hours=49)).cast(t.ts.type())
    changed["ts"] = dated.ifelse(later, t.ts)
    changed["day"] = dated.ifelse(local_day(later, zone), t.day)
    if "cancelled_at" in changed:
        changed["cancelled_day"] = local_day(changed["cancelled_at"].cast(t.ts.type()), zone)
    return t.mutate(**changed)


def _extend(t: ir.Table, moment: dt.datetime, zone: str) -> ir.Table:
    """Add a copy of every past row, from the very instant of the cutoff on."""
    now = ibis.timestamp(moment)
    past = t.filter(~_is_future(t, moment))
    place = ibis.row_number().over(ibis.window(order_by=[past.ts, past.customer_id])) % 90
    then = (now + place.cast("int64").as_interval("D")).cast(t.ts.type())
    moved = {"ts": then, "day": local_day(then, zone), "amount": past.amount * 2}
    if "loaded_at" in t.columns:
        moved["loaded_at"] = then
    typed = {c: value.cast(t[c].type()) for c, value in moved.items()}
    return t.union(past.mutate(**typed).select(t.columns))


def _alter_one_past_row(t: ir.Table, moment: dt.datetime) -> ir.Table:
    last = t.filter(~_is_future(t, moment), bought(t)).ts.max()
    newest = (t.ts == last.as_scalar()) & (t.kind == "purchase")
    return t.mutate(amount=newest.ifelse((t.amount * 2 + 1).cast(t.amount.type()), t.amount))


CHANGES: Mapping[str, Change] = {
    "the log cut off": _cut_off,
    "future rows altered": _alter,
    "rows added from the cutoff on": _extend,
}
