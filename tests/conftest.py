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
from hypothesis import strategies as st

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

    def worlds(self, variants, days, zone="UTC", longest=30, **levels):
        """Return {name: matrix} of several logs, built at once as if in worlds apart.

        A build takes half a second and customers do not touch each other (which has a test of
        its own), so that every variant of a log may bring its own set of them.
        """
        rows = [
            row
            | {"customer_id": f"{name}|{row['customer_id']}"}
            | ({"transaction_id": f"{name}|{i}"} if (i := row.get("transaction_id")) else {})
            for name, variant in variants.items()
            for row in variant
        ]
        log = self.log(rows, zone)
        matrix = self.matrix(log, days, self.schema(log, longest, **levels), zone)
        world = matrix["customer_id"].str.split("|", n=1)
        matrix["customer_id"] = world.str[1]
        return {name: matrix[world.str[0] == name].reset_index(drop=True) for name in variants}


@pytest.fixture(scope="module")
def typed():
    con = ibis.duckdb.connect()
    yield Typed(con)
    con.disconnect()


CUTOFF = dt.date(2024, 4, 1)  # the day after Europe's clocks change
EDGES = [-1, 0, -30, -31, -60, -61]  # either side of the cutoff and of the windows
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(9, 30), dt.time(23, 59, 59, 999999)]


@st.composite
def _events(draw, offsets, late, customers=("a", "b")):
    day = CUTOFF + dt.timedelta(days=draw(offsets))
    moment = dt.datetime.combine(day, draw(st.sampled_from(TIMES)))
    kind = draw(st.sampled_from(["purchase", "purchase", "purchase", "refund"]))
    amount = Decimal(draw(st.sampled_from(["0", "5", "12.34", "0.0001", "99999.5"])))
    later = st.sampled_from([None, None, 0, 1, 20, 45])
    undone, waited = draw(later), draw(st.sampled_from([-1, 0, 1, 20, 45]))
    row = {
        "customer_id": draw(st.sampled_from(customers)),
        "ts": moment,
        "kind": kind,
        "amount": -amount if kind == "refund" else amount,
        "discount": draw(st.sampled_from([None, 0, "1.5"])),
        "channel": draw(st.sampled_from(["Web", "web", "shop", "it's", None])),
        "cancelled_at": None if undone is None else moment + dt.timedelta(days=undone),
        "transaction_id": draw(st.sampled_from(["t1", "t2", "t3", None])),
    }
    return row | ({"loaded_at": moment + dt.timedelta(days=waited)} if late else {})


@pytest.fixture(scope="session")
def logs():
    """Return strategies: logs around 2024-04-01, and additions that nobody knew by then."""

    def make(late, *, unknown=False):
        offsets = st.one_of(st.sampled_from(EDGES), st.integers(-80, 40))
        if unknown and not late:
            offsets = st.one_of(st.just(0), st.integers(0, 40))
        rows = _events(offsets, late, ("a", "b", "new") if unknown else ("a", "b"))
        if unknown and late:
            midnight = dt.datetime.combine(CUTOFF, dt.time())
            rows = rows.filter(lambda row: max(row["ts"], row["loaded_at"]) >= midnight)
        size = (1, 6) if unknown else (8, 20)
        alike = None
        if late:  # the loader leaves one row an id and load

            def alike(row):
                name = row["transaction_id"]
                return (name, row["loaded_at"]) if name else object()

        return st.lists(rows, min_size=size[0], max_size=size[1], unique_by=alike)

    return make


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
