"""Decimals, dates and moments as whole numbers of their last digit, day or microsecond."""

from __future__ import annotations

import decimal

import ibis.expr.datatypes as dt
import numpy as np
import pyarrow as pa

__all__ = ["from_whole", "is_whole", "to_whole"]

_SAFE = 2.0**62  # sums below this fit 64 bits; larger ones are left to Python's own numbers


def is_whole(dtype: dt.DataType) -> bool:
    """Tell whether values of a type are whole numbers of some unit, so that sums are exact."""
    return bool(
        dtype.is_integer()
        or dtype.is_decimal()
        or dtype.is_date()
        or (dtype.is_timestamp() and dtype.timezone is None)
    )


def to_whole(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a column as whole numbers, 0 where it is null, and where it is not null.

    The numbers are int64, or Python's where their sum might not fit.
    """
    array = column.combine_chunks()
    held = array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_decimal(array.type):
        words = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)
        words = words[array.offset : array.offset + len(array)] * held[:, None]
        values = words[:, 0].copy()
        if not np.array_equal(words[:, 1], values >> 63):
            scale = array.type.scale
            values = np.array(
                [int((x or decimal.Decimal(0)).scaleb(scale)) for x in array.to_pylist()], object
            )
            return values, held
    else:
        if pa.types.is_date(array.type):
            array = array.cast(pa.int32())
        values = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if np.abs(values.astype(np.float64)).sum() >= _SAFE:
        values = values.astype(object)
    return values, held


def from_whole(values: np.ndarray, held: np.ndarray, dtype: dt.DataType) -> pa.Array:
    """Return whole numbers as a column of a type, null where nothing is held."""
    empty = ~held
    if dtype.is_decimal():
        kind = pa.decimal128(dtype.precision or 38, dtype.scale or 0)
        if values.dtype == object:
            return pa.array(
                [_decimal(v, kind.scale) if h else None for v, h in zip(values, held, strict=True)],
                kind,
            )
        words = np.empty((len(values), 2), np.int64)
        words[:, 0], words[:, 1] = values, values >> 63
        bits = pa.py_buffer(np.packbits(held, bitorder="little"))
        return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(words)])
    if dtype.is_date():
        return pa.array(values.astype(np.int32), pa.int32(), mask=empty).cast(pa.date32())
    made = pa.array(values.astype(np.int64), pa.int64(), mask=empty)
    return made.cast(pa.timestamp("us")) if dtype.is_timestamp() else made


def _decimal(value: int, scale: int) -> decimal.Decimal:
    return decimal.Decimal(value).scaleb(-scale, decimal.Context(prec=38))
