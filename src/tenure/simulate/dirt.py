"""Dirt: copies of real rows, each broken in one way that the contract sets aside.

The real rows all stay, so a loader that sets the broken copies aside recovers the world exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tenure.simulate.cells import joined
from tenure.simulate.draws import Draws

__all__ = ["dirtied"]

Change = Callable[[pa.Table], pa.Table]
_DAY = 86_400_000_000


def _set(**values: Any) -> Change:
    """Return what puts a constant into columns."""

    def change(t: pa.Table) -> pa.Table:
        for name, value in values.items():
            kind = t.schema.field(name).type
            column = pa.array([value] * t.num_rows, type=kind)
            t = t.set_column(t.schema.get_field_index(name), name, column)
        return t

    return change


def _answered_too_early(t: pa.Table) -> pa.Table:
    opened = t["opened_at"].cast(pa.int64()).to_numpy()
    before = pa.array(opened - 40 * _DAY).cast(pa.timestamp("us"))
    return t.set_column(t.schema.get_field_index("first_response_at"), "first_response_at", before)


def _scored_in_silence(t: pa.Table) -> pa.Table:
    return _set(answered_at=None, replied_at=None, score=3)(t)


# The contract's rule, and what breaks it; the last word says whether the copy keeps its id.
_DIRT: dict[str, tuple[tuple[str, Change, bool], ...]] = {
    "transactions": (
        ("repeated_row", lambda t: t, True),
        ("unreadable_ts", _set(ts="soon"), False),
        ("missing_customer", _set(customer_id=None), False),
        ("unknown_kind", _set(kind="gift?"), False),
    ),
    "interactions": (
        ("repeated_row", lambda t: t, True),
        ("unknown_customer", _set(customer_id="C-lost"), False),
        ("early_first_response_at", _answered_too_early, False),
        ("negative_handoffs", _set(handoffs=-1), False),
    ),
    "surveys": (
        ("unknown_customer", _set(customer_id="C-lost"), False),
        ("score_off_scale", _set(score=99), False),
        ("score_without_answer", _scored_in_silence, False),
    ),
    "subscriptions": (
        ("repeated_row", lambda t: t, True),
        ("negative_mrr", _set(mrr=-1.0), False),
    ),
    "events": (
        ("unknown_customer", _set(customer_id="C-lost"), False),
        ("unknown_group", _set(group="other?"), False),
    ),
}
_KEYS = {
    "transactions": "transaction_id", "interactions": "interaction_id", "surveys": "survey_id",
    "subscriptions": "subscription_id",
}  # fmt: skip
_NEEDS = {"score_off_scale": "score", "early_first_response_at": "first_response_at"}


def dirtied(
    tables: dict[str, pa.Table], draws: Draws, share: float
) -> tuple[dict[str, pa.Table], dict[str, dict[str, int]]]:
    """Add broken copies of a share of the rows, for each kind of dirt.

    Parameters
    ----------
    tables : dict of str to Table
    draws : Draws
        One draw a row of the largest table.
    share : float
        Of the rows, for each kind; 0 leaves the tables clean.

    Returns
    -------
    tables, counts
        The tables, and the number of rows by table and rule of the contract.
    """
    found = dict(tables)
    counts: dict[str, dict[str, int]] = {}
    if "transactions" in tables:
        found["transactions"] = _as_text(tables["transactions"], "ts")
    for name, kinds in _DIRT.items():
        if name not in tables or not share:
            continue
        parts, counts[name] = [found[name]], {}
        for rule, change, keeps in kinds:
            copies = found[name].filter(_chosen(found[name], draws, name, rule, share))
            if name in _KEYS and not keeps:
                copies = _renamed(copies, _KEYS[name], rule)
            parts.append(change(copies))
            counts[name][rule] = copies.num_rows
        found[name] = pa.concat_tables(parts)
    return found, counts


def _chosen(t: pa.Table, draws: Draws, name: str, rule: str, share: float) -> pa.Array:
    """Choose rows by what names them, so that other rows of a re-run do not matter."""
    names = _KEYS.get(name, "customer_id")
    hashed = pd.util.hash_array(t[names].to_numpy(zero_copy_only=False), categorize=False)
    key = hashed.astype(np.int64)
    if name not in _KEYS:
        key = key ^ (t["ts"].cast(pa.int64()).to_numpy() << 1)
    chosen = draws.uniform(-1, f"dirt {name} {rule}", np.zeros_like(key), key) < share
    if rule in _NEEDS:
        chosen &= t[_NEEDS[rule]].is_valid().to_numpy()
    return pa.array(chosen)


def _renamed(t: pa.Table, key: str, rule: str) -> pa.Table:
    """Give copies ids of their own."""
    column = joined(pc.cast(t[key].combine_chunks(), pa.string()), f"-{rule}")
    return t.set_column(t.schema.get_field_index(key), key, column)


def _as_text(t: pa.Table, column: str) -> pa.Table:
    seconds = t[column].cast(pa.timestamp("s"), safe=False)
    text = pc.strftime(seconds, format="%Y-%m-%d %H:%M:%S")
    return t.set_column(t.schema.get_field_index(column), column, text)
