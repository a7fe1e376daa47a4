"""Small typed logs in an engine of their own; helpers are fixtures, since tests import nothing."""

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from tenure.contract import TABLES
from tenure.features.matrix import build
from tenure.features.schema import Schema
from tenure.features.spec import COMBINED, FEATURES

MONEY = pa.decimal128(18, 4)
TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "instant": pa.timestamp("us"),
    "money": MONEY,
    "count": MONEY,
    "number": MONEY,
    "whole": pa.int64(),
    "flag": pa.bool_(),
    "date": pa.date32(),
}
ALWAYS = {"transactions": {"amount", "kind"}}


def as_utc(moment, zone):
    """Read a date, or a naive wall-clock time, in `zone`; return naive UTC."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime.combine(moment, dt.time())
    return moment.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC).replace(tzinfo=None)


def local_day(moment, zone):
    return moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).date()


@dataclass
class Typed:
    """Makes typed tables of the contract, and matrices of them, from plain rows.

    A row is a dict of what it has, at least the columns without which a row of its table is none.
    Moments are wall-clock times of `zone`. A negative amount is a refund unless `kind` says
    otherwise. Columns that are not the contract's (`attribute[x]`) keep the type of their values.
    """

    con: object
    number: itertools.count = field(default_factory=itertools.count)

    def log(self, rows, zone="UTC", columns=()):
        """Return `transactions` with the columns that some row or `columns` names."""
        return self.table("transactions", rows, zone, columns)

    def table(self, name, rows, zone="UTC", columns=()):
        """Return a table of the contract with the columns that some row or `columns` names."""
        spec = TABLES[name]
        kinds = {c.name: c.kind for c in spec.columns} | dict.fromkeys(spec.days, "date")
        rows = [_typed(spec, kinds, row, zone) for row in rows]
        held = {c.name for c in spec.columns if c.required} | ALWAYS.get(name, set())
        held |= set(columns) | {c for row in rows for c in row}
        held |= {day for day, at in spec.days.items() if at in held}
        data = {
            c: pa.array([row.get(c) for row in rows], TYPES.get(kinds.get(c)))
            for c in [*kinds, *sorted(held - kinds.keys())]
            if c in held
        }
        return self.con.create_table(f"{name}_{next(self.number)}", pa.table(data))

    def tables(self, logs, zone="UTC", columns=None):
        """Return {name: table} of {name: rows}, with the further columns of {name: columns}."""
        more = columns or {}
        return {n: self.table(n, rows, zone, more.get(n, ())) for n, rows in logs.items()}

    def schema(self, logs, longest=365, *, population="transactions", settings=None, **levels):
        """Return the columns that a log (transactions), or {name: table}, affords.

        Levels go by `column` of transactions or, through `**{...}`, by `table.column`.
        """
        logs = logs if isinstance(logs, Mapping) else {"transactions": logs}
        levels = {c if "." in c else f"transactions.{c}": given for c, given in levels.items()}
        available = {name: tuple(log.columns) for name, log in logs.items()}
        return Schema(longest, levels, available, population, settings or {})

    def matrix(self, logs, days, schema, zone="UTC"):
        logs = logs if isinstance(logs, Mapping) else {"transactions": logs}
        return build(logs, days, ZoneInfo(zone), schema)

    def worlds(self, variants, days, zone="UTC", longest=30, **how):
        """Return {name: matrix} of several logs, built at once as if in worlds apart.

        A variant is rows of transactions, or {name: rows}. A build takes half a second and
        customers do not touch each other (which has a test of its own), so that every variant of
        a log may bring its own set of them; ids of all kinds are kept apart.
        """
        logs = {}
        for world, variant in variants.items():
            variant = variant if isinstance(variant, Mapping) else {"transactions": variant}
            for name, rows in variant.items():
                logs.setdefault(name, []).extend(_apart(world, name, row) for row in rows)
        tables = self.tables(logs, zone)
        matrix = self.matrix(tables, days, self.schema(tables, longest, **how), zone)
        world = matrix["customer_id"].str.split("|", n=1)
        matrix["customer_id"] = world.str[1]
        return {name: matrix[world.str[0] == name].reset_index(drop=True) for name in variants}


def _typed(spec, kinds, row, zone):
    if spec.name == "transactions":
        amount = Decimal(str(row["amount"]))
        row = {"kind": "refund" if amount < 0 else "purchase"} | row
    typed = dict(row)
    for c, value in row.items():
        if value is None:
            continue
        if kinds.get(c) == "instant":
            typed[c] = as_utc(value, zone)
        elif TYPES.get(kinds.get(c)) == MONEY:
            typed[c] = Decimal(str(value))
    for day, at in spec.days.items():
        if typed.get(at) is not None:
            typed[day] = local_day(typed[at], zone)
    return typed


def _apart(world, name, row):
    ids = [c.name for c in TABLES[name].columns if c.kind == "id" and row.get(c.name)]
    return row | {c: f"{world}|{row[c]}" for c in ids}


@pytest.fixture(scope="module")
def typed():
    con = ibis.duckdb.connect()
    yield Typed(con)
    con.disconnect()


@pytest.fixture(scope="session")
def features_of():
    """Return a function that names the features some modules of `tenure.features` define."""

    def names(*modules):
        homes = {f"tenure.features.{m}" for m in modules}
        every = {**FEATURES, **COMBINED}
        return {name for name, f in every.items() if f.body.__module__ in homes}

    return names


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
