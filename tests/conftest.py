"""Small typed logs in an engine of their own; helpers are fixtures, since tests import nothing."""

import datetime as dt
import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pyarrow as pa
import pytest

from tenure.features.matrix import build
from tenure.features.schema import Schema

MONEY = pa.decimal128(18, 4)
TYPES = {
    "customer_id": pa.string(),
    "ts": pa.timestamp("us"),
    "day": pa.date32(),
    "amount": MONEY,
    "kind": pa.string(),
    "transaction_id": pa.string(),
    "discount": MONEY,
    "channel": pa.string(),
    "category": pa.string(),
    "promised_at": pa.timestamp("us"),
    "delivered_at": pa.timestamp("us"),
    "cancelled_at": pa.timestamp("us"),
    "cancelled_day": pa.date32(),
    "loaded_at": pa.timestamp("us"),
}
ALWAYS = {"customer_id", "ts", "day", "amount", "kind"}


def as_utc(moment, zone):
    """Read a date, or a naive wall-clock time, in `zone`; return naive UTC."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    return moment.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC).replace(tzinfo=None)


def local_day(moment, zone):
    return moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).date()


@dataclass
class Typed:
    """Makes typed `transactions` tables, and matrices of them, from plain rows.

    A row is a dict: `customer_id`, `ts` and `amount`, and what else it has. Moments are wall-clock
    times of `zone`. A negative amount is a refund unless `kind` says otherwise.
    """

    con: object
    number: itertools.count = field(default_factory=itertools.count)

    def log(self, rows, zone="UTC", columns=()):
        """Return a table with the columns that some row or `columns` names."""
        rows = [self._typed(row, zone) for row in rows]
        names = ALWAYS | set(columns) | {name for row in rows for name in row}
        if "cancelled_at" in names:
            names |= {"cancelled_day"}
        data = {
            name: pa.array([row.get(name) for row in rows], kind)
            for name, kind in TYPES.items()
            if name in names
        }
        return self.con.create_table(f"transactions_{next(self.number)}", pa.table(data))

    def _typed(self, row, zone):
        amount = Decimal(str(row["amount"]))
        typed = {"kind": "refund" if amount < 0 else "purchase"} | row | {"amount": amount}
        for name in typed.keys() & {n for n in TYPES if n == "ts" or n.endswith("_at")}:
            typed[name] = None if typed[name] is None else as_utc(typed[name], zone)
        if typed.get("discount") is not None:
            typed["discount"] = Decimal(str(typed["discount"]))
        if typed.get("cancelled_at") is not None:
            typed["cancelled_day"] = local_day(typed["cancelled_at"], zone)
        return typed | {"day": local_day(typed["ts"], zone)}

    def schema(self, log, longest=365, **levels):
        """Return the columns a log affords, with the levels given."""
        return Schema(longest, levels, {"transactions": tuple(log.columns)})

    def matrix(self, log, days, schema, zone="UTC"):
        return build({"transactions": log}, days, ZoneInfo(zone), schema)


@pytest.fixture(scope="module")
def typed():
    con = ibis.duckdb.connect()
    yield Typed(con)
    con.disconnect()


@pytest.fixture(scope="session")
def image():
    """Return the exact content of a matrix: names, keys and the bytes of every number."""

    def of(matrix):
        keys = tuple(zip(matrix["customer_id"], matrix["cutoff"].astype(str), strict=True))
        numbers = {
            name: np.ascontiguousarray(matrix[name].to_numpy(np.float64)).tobytes()
            for name in matrix.columns[2:]
        }
        return keys, numbers

    return of
