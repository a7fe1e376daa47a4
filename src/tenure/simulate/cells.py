"""Numbers become the columns of tables: ids, moments, levels, money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.simulate.draws import Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.world import START

__all__ = [
    "flags", "ids", "in_order", "is_known", "joined", "levels", "moments", "money", "stack",
    "whole",
]  # fmt: skip

_START = int(np.datetime64(START, "s").astype(np.int64))


def stack(batches: list[dict[str, Any]]) -> dict[str, Ints]:
    """Join the batches of all weeks, column by column."""
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def in_order(rows: dict[str, Ints], at: str, end: int) -> dict[str, Ints]:
    """Return the rows before the end, in the order of time."""
    order = np.lexsort((rows["who"], rows[at]))
    order = order[rows[at][order] < end]
    return {name: values[order] for name, values in rows.items()}


def joined(*parts: pa.Array | str) -> pa.Array:
    """Join texts element by element."""
    return pc.binary_join_element_wise(*parts, "")


def ids(letter: str, *numbers: Ints, where: Any = None) -> pa.Array:
    """Return ids such as C000012-1648, null where `where` is false.

    The first number is filled to six digits, so that ids sort as the numbers do.
    """
    first = pc.utf8_lpad(pa.array(numbers[0]).cast(pa.string()), 6, padding="0")
    rest = [part for n in numbers[1:] for part in ("-", pa.array(n).cast(pa.string()))]
    text = joined(letter, first, *rest)
    return (
        text if where is None else pc.if_else(pa.array(where), text, pa.scalar(None, pa.string()))
    )


def moments(seconds: Ints, end: int) -> pa.Array:
    """Return UTC moments without zone, null from `end` on: the log does not know them yet."""
    known = seconds < end
    micros = (np.where(known, seconds, 0) + _START) * 1_000_000
    return pa.array(micros, mask=~known).cast(pa.timestamp("us"))


def levels(codes: Ints, names: Sequence[str], where: Any = None) -> pa.Array:
    """Return the names of levels, null where `where` is false."""
    mask = None if where is None else ~np.asarray(where)
    return pa.array(names).take(pa.array(codes, mask=mask))


def money(cents: Ints) -> pa.Array:
    """Return amounts in the currency's unit."""
    return pa.array(cents / 100)


def whole(numbers: Ints, where: Any = None) -> pa.Array:
    """Return whole numbers, null where `where` is false."""
    return pa.array(numbers, mask=None if where is None else ~np.asarray(where), type=pa.int64())


def flags(values: Any) -> pa.Array:
    """Return yes or no."""
    return pa.array(np.asarray(values, dtype=bool))


def is_known(seconds: Ints, end: int) -> Any:
    """Tell which moments lie before `end`; `NEVER` does not."""
    return (seconds < end) & (seconds != NEVER)
