"""Whether the rows of a table belong to customers that other tables know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.contract import TABLES
from tenure.errors import DataError

__all__ = ["WHO", "check_customers"]

MOST_UNMATCHED = 0.2
WHO = ("customers", "transactions", "subscriptions")  # tables that say who is a customer


def check_customers(
    con: Any, name: str, sound: ir.Table, before: Mapping[str, ir.Table]
) -> ir.Table | None:
    """Find the rows whose customer no other table knows.

    Purchases and subscriptions make a customer of whoever they name; beside a table of customers
    they must still match it for the most part, or the ids of the two are written differently.

    Parameters
    ----------
    con : ibis backend
        The engine.
    name : str
        The table.
    sound : Table
        Its typed rows that break no rule, with `row`.
    before : mapping of str to Table
        The tables read so far.

    Returns
    -------
    Table or None
        `row` and `rule` of the rows to be set aside; None where every row may stay.

    Raises
    ------
    DataError
        If more than 20 % of the rows match nobody, with the shapes of both sides' ids.
    """
    who = [before[n] for n in WHO if n in before]
    if not TABLES[name].needs_customer:
        who = [before["customers"]] if "customers" in before and name != "customers" else []
    if not who:
        return None
    known = reduce(lambda a, b: a.union(b), [t.select("customer_id") for t in who]).distinct()
    unmatched = sound.anti_join(known, "customer_id")
    counts = con.to_pyarrow(
        ibis.union(
            sound.aggregate(n=sound.count()), unmatched.aggregate(n=unmatched.count())
        ).order_by(ibis.desc("n"))
    )["n"].to_pylist()
    rows, strange = counts
    if strange > MOST_UNMATCHED * rows:
        theirs, ours = _shapes(con, unmatched), _shapes(con, known)
        alike = "Both look alike: load the customers who are missing, or "
        raise DataError(
            f"{name}: {strange:,} of {rows:,} rows match no customer. Their ids look like "
            f"{theirs}, those of the customers like {ours} (A and a stand for letters, 9 for "
            f"digits). {alike + 'map' if theirs == ours else 'Map'} the column that both sides "
            "share."
        )
    if not strange or not TABLES[name].needs_customer:
        return None
    return unmatched.select("row", rule=ibis.literal("unknown_customer"))


def _shapes(con: Any, rows: ir.Table) -> str:
    """Describe the three most frequent forms of ids, never an id itself."""
    form = rows.customer_id.re_replace(r"[0-9]", "9").re_replace(r"\p{Lu}", "A")
    form = form.re_replace(r"\p{Ll}|\p{Lo}|\p{Lt}", "a").re_replace(r"[^9Aa ._:@/-]", "?")
    shaped = rows.group_by(form=form).agg(n=rows.count())
    top = con.to_pyarrow(shaped.order_by(ibis.desc("n"), "form").limit(3))["form"].to_pylist()
    runs = [re.sub(r"(.)\1{2,}", lambda m: f"{m[1]}×{len(m[0])}", one[:60]) for one in top]
    return " or ".join(map(repr, runs)) or "nothing"
