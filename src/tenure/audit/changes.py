"""Ways to change what lies at or after a cutoff: none may move a feature."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

import ibis
import ibis.expr.types as ir

from tenure.contract import Table
from tenure.parsing import local_day
from tenure.snapshot import bought

__all__ = ["CHANGES", "alter_past"]

Change = Callable[[ir.Table, Table, dt.datetime, str], ir.Table]


def _is_future(t: ir.Table, spec: Table, moment: dt.datetime) -> ir.BooleanValue:
    """Tell which rows are dated or loaded at or after the moment."""
    start = spec.start(t.columns)
    columns = [c for c in (start, "loaded_at") if c in t.columns]
    late = [t[c] >= ibis.timestamp(moment) for c in columns]
    return ibis.or_(*late).fill_null(False) if late else ibis.literal(False)


def _facts(t: ir.Table, spec: Table) -> list[str]:
    """Return the dates that are unknown until they come."""
    planned = {c.name for c in spec.columns if c.planned}
    start = spec.start(t.columns)
    return [c for c in t.columns if c.endswith("_at") and c not in {*planned, "loaded_at", start}]


def _hanging(t: ir.Table, spec: Table, fact: str) -> list[str]:
    return [c for c, on in spec.hangs_on(t.columns).items() if on == fact]


def _cut_off(t: ir.Table, spec: Table, moment: dt.datetime, zone: str) -> ir.Table:  # noqa: ARG001
    """Delete the future, and hide cells that were not known yet."""
    now = ibis.timestamp(moment)
    hidden = {}
    for fact in _facts(t, spec):
        for column in (fact, *_hanging(t, spec, fact)):
            hidden[column] = (t[fact] < now).ifelse(t[column], ibis.null(t[column].type()))
    return t.filter(~_is_future(t, spec, moment)).mutate(**hidden)


def _other_value(t: ir.Table, spec: Table, column: str) -> ir.Value:
    """Return another value of the same type, of a closed set another member of it."""
    kind = t[column].type()
    levels = next((c.levels for c in spec.columns if c.name == column), ())
    if levels:
        first, second, *_ = levels
        return (t[column] == first).ifelse(second, first)
    if kind.is_boolean():
        return ~t[column]
    if kind.is_numeric():
        return (t[column].fill_null(0) * 3 + 1).cast(kind)
    if kind.is_string():
        return t[column].fill_null("").concat("?")
    if kind.is_date():
        return t[column] + ibis.interval(days=5)
    return (t[column] + ibis.interval(days=5)).cast(kind)


def _alter(t: ir.Table, spec: Table, moment: dt.datetime, zone: str) -> ir.Table:
    """Change everything about unknown rows and cells but that they were unknown."""
    now, future = ibis.timestamp(moment), _is_future(t, spec, moment)
    start, facts = spec.start(t.columns), _facts(t, spec)
    revealed = {c: fact for fact in facts for c in (fact, *_hanging(t, spec, fact))}
    fixed = {"customer_id", *spec.key, "loaded_at", start, *spec.days}
    changed: dict[str, ir.Value] = {}
    for column in t.columns:
        if column in revealed:  # a cell, of a known row too; what never came comes later
            fact = t[revealed[column]]
            known = (fact < now).fill_null(False) & ~future
            later = ibis.greatest(fact.fill_null(now), now) + ibis.interval(days=5)
            other = later.cast(fact.type()) if column in facts else _other_value(t, spec, column)
            changed[column] = known.ifelse(t[column], other)
        elif column not in fixed:
            changed[column] = future.ifelse(_other_value(t, spec, column), t[column])
    someone = t.customer_id.min().over(ibis.window())
    if "customer_id" not in spec.key:
        changed["customer_id"] = future.ifelse(someone, t.customer_id)
    if start is not None:  # a row loaded late keeps its date: only future dates may move
        later = (t[start] + ibis.interval(hours=49)).cast(t[start].type())
        changed[start] = (t[start] >= now).fill_null(False).ifelse(later, t[start])
    return _with_days(t.mutate(**changed), spec, zone)


def _with_days(t: ir.Table, spec: Table, zone: str) -> ir.Table:
    days = {d: at for d, at in spec.days.items() if at in t.columns and d in t.columns}
    return t.mutate(**{d: local_day(t[at].cast("timestamp(6)"), zone) for d, at in days.items()})


def _extend(t: ir.Table, spec: Table, moment: dt.datetime, zone: str) -> ir.Table:
    """Add a copy of every past row, from the very instant of the cutoff on."""
    start = spec.start(t.columns)
    if start is None:
        return t
    past = t.filter(~_is_future(t, spec, moment), t[start].notnull())
    place = ibis.row_number().over(ibis.window(order_by=[past[start], past.customer_id])) % 90
    then = (ibis.timestamp(moment) + place.cast("int64").as_interval("D")).cast(t[start].type())
    moved: dict[str, ir.Value] = {start: then}
    if "loaded_at" in t.columns:
        moved["loaded_at"] = then
    moved |= {c: past[c] * 2 for c in past.columns if past[c].type().is_decimal()}
    typed = {c: value.cast(t[c].type()) for c, value in moved.items()}
    copies = _with_days(past.mutate(**typed), spec, zone)
    return t.union(copies.select(t.columns))


def alter_past(t: ir.Table, spec: Table, moment: dt.datetime) -> ir.Table:
    """Alter the newest purchase before the cutoff; of another log drop all that was known.

    The control: the comparison must notice.
    """
    future = _is_future(t, spec, moment)
    if spec.name != "transactions":
        return t.filter(future)
    last = t.filter(~future, bought(t)).ts.max()
    newest = (t.ts == last.as_scalar()) & (t.kind == "purchase")
    return t.mutate(amount=newest.ifelse((t.amount * 2 + 1).cast(t.amount.type()), t.amount))


CHANGES: Mapping[str, Change] = {
    "the log cut off": _cut_off,
    "future rows altered": _alter,
    "rows added from the cutoff on": _extend,
}
