"""Rows as they were known at a cutoff: the only module that compares dates with the cutoff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import ibis
import ibis.expr.types as ir

from tenure.contract import TABLES, Table

__all__ = [
    "ahead",
    "bought",
    "during",
    "final",
    "known",
    "ledger",
    "met",
    "opened",
    "overlaps",
    "running",
    "seen",
    "span",
    "timeless",
    "versions",
]


def known(
    name: str,
    table: ir.Table,
    cutoffs: ir.Table,
    at: str | None = None,
    collapse: Callable[[ir.Table], ir.Table] | None = None,
) -> ir.Table:
    """Return the rows of a contract's table as they were known at each cutoff.

    Parameters
    ----------
    name : str
        Which table it is; its contract says what is a fact, a plan, and what hangs on what.
    table, cutoffs : Table
        The log, and the cutoffs from `cutoffs.cutoff_table`.
    at : str, optional
        The instant that opens a row; the table's own start by default.
    collapse : callable, optional
        Applied before the rows meet the cutoffs.

    Returns
    -------
    Table
        As `seen` returns it, the newest version known of each row.
    """
    return met(name, table, opened(name, table, at, collapse), cutoffs, at)


def opened(
    name: str,
    table: ir.Table,
    at: str | None = None,
    collapse: Callable[[ir.Table], ir.Table] | None = None,
) -> ir.Table:
    """Return the rows of a contract's table before they meet the cutoffs, as `known` has them."""
    spec = TABLES[name]
    start = spec.start(table.columns) or spec.at[0]
    rows = versions(table, spec)
    if at not in (None, start) and start in rows.columns:  # an answer needs its survey
        rows = rows.filter(rows[start].isnull() | (rows[start] <= rows[at]))
    return collapse(rows) if collapse else rows


def met(
    name: str, table: ir.Table, rows: ir.Table, cutoffs: ir.Table, at: str | None = None
) -> ir.Table:
    """Return opened rows of a contract's table as they were known at each cutoff."""
    return seen(rows, cutoffs, *_dating(name, table, at))


def timeless(name: str, table: ir.Table, rows: ir.Table, at: str) -> ir.Table:
    """Return opened rows with an open parameter wherever the cutoff would decide what is seen.

    A value that needs none of these parameters is the same at every cutoff that sees its row.
    """
    hidden = _hidden(rows, *_dating(name, table, at))
    moving = {c: ibis.param(rows[c].type()) for c in hidden}
    return rows.mutate(cutoff=ibis.param("timestamp(6)"), cutoff_day=ibis.param("date"), **moving)


def span(at: ir.Value, instants: Sequence[dt.datetime], before: int = 0) -> ir.Value:
    """Return how many of the ordered instants had come at a moment.

    A row lies before instant i (from 0) where that is at most i.
    """
    if not instants:
        return ibis.literal(before, "int32")
    half = len(instants) // 2
    later = span(at, instants[half + 1 :], before + half + 1)
    return (at < ibis.literal(instants[half], "timestamp(6)")).ifelse(
        span(at, instants[:half], before), later
    )


def _dating(
    name: str, table: ir.Table, at: str | None
) -> tuple[str, frozenset[str], Mapping[str, str | None]]:
    """Return the instant that opens a row, the planned dates, and what hangs on which fact."""
    spec = TABLES[name]
    planned = frozenset(c.name for c in spec.columns if c.planned)
    return at or spec.start(table.columns) or spec.at[0], planned, spec.hangs_on(table.columns)


def versions(table: ir.Table, spec: Table) -> ir.Table:
    """Mark when each row of a reloaded log was replaced by a later version of itself.

    A version takes effect once it is both dated and loaded; a row is superseded at the first
    moment a later version takes effect. Tables without `loaded_at` have one version a row.

    Returns
    -------
    Table
        With `superseded_at` (null for the newest version) where `loaded_at` exists.
    """
    named = {"loaded_at", *spec.key} <= set(table.columns) and bool(spec.key)
    if not named:
        return table
    key, start = [table[k] for k in spec.key], spec.start(table.columns)
    dated = [table[start]] if start else []
    later = ibis.window(group_by=key, order_by=[table.loaded_at, *dated], rows=(1, None))
    effect = ibis.greatest(table.loaded_at, *dated) if dated else table.loaded_at
    replaced = key[0].notnull().ifelse(effect.min().over(later), ibis.null("timestamp(6)"))
    return table.mutate(superseded_at=replaced)


def ledger(transactions: ir.Table) -> ir.Table:
    """Turn each cancellation into a money event of its own date, beside its purchase.

    The purchase stays where it was: a cancellation changes money from its date on, not history.
    """
    if "cancelled_at" not in transactions.columns:
        return transactions
    t = transactions
    undone = t.filter(t.cancelled_at.notnull(), t.kind == "purchase").mutate(
        ts=ibis.greatest(t.cancelled_at, t.ts),
        day=ibis.greatest(t.cancelled_day, t.day),
        amount=-t.amount,
        kind=ibis.literal("cancellation"),
    )
    return t.union(undone).drop("cancelled_at", "cancelled_day")


def bought(transactions: ir.Table) -> ir.BooleanValue:
    """Tell which rows make a purchase day: the same in label, frequency and value."""
    return (transactions.kind == "purchase") & (transactions.amount > 0)


def final(table: ir.Table) -> ir.Table:
    """Keep the newest version of every row: the truth that labels are made of."""
    if "superseded_at" not in table.columns:
        return table
    return table.filter(table.superseded_at.isnull()).drop("superseded_at")


def seen(
    table: ir.Table,
    cutoffs: ir.Table,
    at: str,
    planned: frozenset[str] = frozenset(),
    hangs_on: Mapping[str, str | None] | None = None,
) -> ir.Table:
    """Pair every row with every cutoff at which it was known, hiding what was not known yet.

    Parameters
    ----------
    table : Table
        A log. Columns named `*_at` are past facts: null until their own instant.
    cutoffs : Table
        From `cutoffs.cutoff_table`.
    at : str
        The column that opens the row.
    planned : frozenset of str
        Dates known from the row's start, which may lie in the future.
    hangs_on : mapping, optional
        Columns without a date of their own, each with the past fact that reveals it; with None
        nothing ever does.

    Returns
    -------
    Table
        The rows with `ts < cutoff` (and `loaded_at < cutoff`), once for each such cutoff.
    """
    known = [table[at] < cutoffs.cutoff]
    if "loaded_at" in table.columns:
        known.append(table.loaded_at < cutoffs.cutoff)
    rows = table.join(cutoffs, known)
    hidden: dict[str, ir.Value] = {}
    for column, fact in _hidden(table, at, planned, hangs_on).items():
        nothing = ibis.null(table[column].type())
        is_known = None if fact is None else rows[fact] < rows.cutoff
        hidden[column] = nothing if is_known is None else is_known.ifelse(rows[column], nothing)
    rows = rows.mutate(**hidden)
    if "superseded_at" in table.columns:
        rows = rows.filter(rows.superseded_at.isnull()).drop("superseded_at")
    return rows


def _hidden(
    table: ir.Table, at: str, planned: frozenset[str], hangs_on: Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """Return each column that a cutoff may hide, with the past fact that reveals it."""
    facts = {c for c in table.columns if c.endswith("_at")} - {at, "loaded_at"} - planned
    hung = {c: fact for c, fact in (hangs_on or {}).items() if c in table.columns and fact != at}
    return {**{fact: fact for fact in facts}, **hung}


def during(table: ir.Table, cutoffs: ir.Table, at: str) -> ir.Table:
    """Pair every row with every cutoff in whose label window it falls."""
    inside = [table[at] >= cutoffs.label_start, table[at] < cutoffs.label_end]
    return table.join(cutoffs, inside)


def running(spells: ir.Table, cutoffs: ir.Table, start: str, end: str) -> ir.Table:
    """Pair every spell of time with every cutoff that it holds; one without an end holds all.

    The truth that labels are made of: an end after the cutoff is not hidden.
    """
    lasts = spells[end].isnull() | (spells[end] >= cutoffs.cutoff)
    return spells.join(cutoffs, [spells[start] < cutoffs.cutoff, lasts])


def overlaps(spans: ir.Table, cutoffs: ir.Table, start: str, end: str) -> ir.Table:
    """Pair every span of time with every cutoff whose label window it meets.

    Returns
    -------
    Table
        With `from_at` and `to_at`, the span cut at the window; one without an end lasts.
    """
    meets = spans[end].isnull() | (spans[end] > cutoffs.label_start)
    rows = spans.join(cutoffs, [spans[start] < cutoffs.label_end, meets])
    until = ibis.least(ibis.coalesce(rows[end], rows.label_end), rows.label_end)
    return rows.mutate(from_at=ibis.greatest(rows[start], rows.label_start), to_at=until)


def ahead(rows: ir.Table, planned: str) -> ir.BooleanValue:
    """Tell which rows hold a planned date that lies after their cutoff."""
    if planned not in rows.columns:
        return ibis.literal(False)
    return (rows[planned] > rows.cutoff).fill_null(False)
