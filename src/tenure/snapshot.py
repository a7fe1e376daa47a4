"""Rows as they were known at a cutoff: the only module that compares dates with the cutoff."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

__all__ = ["bought", "during", "final", "ledger", "seen", "versions"]


def versions(table: ir.Table, key: str) -> ir.Table:
    """Mark when each row of a reloaded log was replaced by a later version of itself.

    A version takes effect once it is both dated and loaded; a row is superseded at the first
    moment a later version takes effect. Tables without `loaded_at` have one version a row.

    Returns
    -------
    Table
        With `superseded_at` (null for the newest version) where `loaded_at` exists.
    """
    if "loaded_at" not in table.columns or key not in table.columns:
        return table
    later = ibis.window(group_by=[table[key]], order_by=[table.loaded_at, table.ts], rows=(1, None))
    effect = ibis.greatest(table.loaded_at, table.ts)
    replaced = table[key].notnull().ifelse(effect.min().over(later), ibis.null("timestamp(6)"))
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
    *,
    planned: frozenset[str] = frozenset(),
    hangs_on: Mapping[str, str] | None = None,
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
        Columns without a date of their own, each with the past fact that reveals it.

    Returns
    -------
    Table
        The rows with `ts < cutoff` (and `loaded_at < cutoff`), once for each such cutoff.
    """
    known = [table[at] < cutoffs.cutoff]
    if "loaded_at" in table.columns:
        known.append(table.loaded_at < cutoffs.cutoff)
    rows = table.join(cutoffs, known)
    facts = {c for c in table.columns if c.endswith("_at")} - {at, "loaded_at"} - planned
    reveals = {fact: fact for fact in facts} | {
        c: fact for c, fact in (hangs_on or {}).items() if c in table.columns
    }
    hidden = {
        column: (rows[fact] < rows.cutoff).ifelse(rows[column], ibis.null(table[column].type()))
        for column, fact in reveals.items()
    }
    rows = rows.mutate(**hidden)
    if "superseded_at" in table.columns:
        rows = rows.filter(rows.superseded_at.isnull()).drop("superseded_at")
    return rows


def during(table: ir.Table, cutoffs: ir.Table, at: str) -> ir.Table:
    """Pair every row with every cutoff in whose label window it falls."""
    inside = [table[at] >= cutoffs.label_start, table[at] < cutoffs.label_end]
    return table.join(cutoffs, inside)
