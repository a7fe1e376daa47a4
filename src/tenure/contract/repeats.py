"""Which of several rows of one id stays."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from tenure.contract.rules import LATEST
from tenure.contract.tables import Table

__all__ = ["repeats"]


def repeats(t: ir.Table, spec: Table) -> ir.Table:
    """Find the rows whose id another row bears that stands before them.

    Of the rows of one id (with ``loaded_at``: of one id and loading) the earliest stays. Among
    rows of the same instant the order is by what was known at that instant, then by the later
    instants in the order of time, so that nothing later decides about the past.

    Parameters
    ----------
    t : ir.Table
        Typed rows with ``row``.
    spec : Table
        The contract's table.

    Returns
    -------
    ir.Table
        ``row`` and ``rule`` (``repeated_row`` if equal to the row that stays, ``repeated_id``).
    """
    key = [c for c in (*spec.key, "loaded_at") if c in t.columns]
    named = t.filter(*(t[c].notnull() for c in spec.key))
    ids = named.group_by(key).agg(bearers=named.count())
    rows = named.semi_join(ids.filter(ids.bearers > 1), key)
    later = [c.name for c in spec.columns if c.hangs_on == c.name and c.name in t.columns]
    hanging = [c for c in spec.hangs_on(t.columns) if c not in later]
    start = [c for c in (spec.start(t.columns),) if c]
    known = sorted(set(t.columns) - {*start, *later, *hanging, *key, "row"})
    order = [rows[c] for c in (*start, *known) if c not in key]
    if later:
        far = ibis.literal(LATEST).cast("timestamp(6)")
        order.append(
            ibis.array(
                [ibis.struct({"at": rows[c].fill_null(far), "what": c}) for c in later]
            ).sort()
        )
    order += [rows[c] for c in hanging]
    content = ibis.struct({c: rows[c] for c in [*key, *start, *known, *later, *hanging]})
    window = ibis.window(group_by=[rows[c] for c in key], order_by=order)
    placed = rows.select(
        "row",
        place=ibis.row_number().over(window),
        same=content == content.first().over(window),
    )
    rule = placed.same.ifelse("repeated_row", "repeated_id")
    return placed.filter(placed.place > 0).select("row", rule=rule)
