"""The configured inputs as typed tables of one engine, and what was set aside and why."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import ibis
import ibis.expr.datatypes as dtypes
import ibis.expr.types as ir
import pyarrow.parquet as pq

from tenure.config import Config
from tenure.contract import broken_rule, repeats
from tenure.errors import DataError
from tenure.files import faults
from tenure.ingest import RAW, broken_lines, find_inputs, ingest, lock, open_engine
from tenure.parsing import engine_function
from tenure.quality import DataReport, TableReport, ends, examine
from tenure.reading import Reading, how_to_read, typed

__all__ = ["DataReport", "Sources", "TableReport", "load"]


@dataclass(frozen=True)
class Sources:
    """Typed tables in an engine that can read nothing else; close it, or use it in `with`.

    Parameters
    ----------
    con : ibis backend
        The engine that holds the tables.
    tables : dict of str to ir.Table
        The kept rows, typed as the contract says.
    report : DataReport
        What was read, kept and set aside.
    first_day : date
        Local day of the first transaction.
    observed_until : date
        The local day whose midnight ends observation: nothing at or after it is known.
    digest : str
        SHA-256 of the input's content, whatever the order of rows and their split into files.
    """

    con: Any
    tables: Mapping[str, ir.Table]
    report: DataReport
    first_day: dt.date
    observed_until: dt.date
    digest: str
    temporary: Path

    def write_quarantine(self, path: Path) -> int:
        """Write the rows that were set aside as Parquet, atomically.

        Parameters
        ----------
        path : Path
            The file; columns ``table``, ``rule``, ``row`` (from 1, over all files in order),
            ``line`` (text of unreadable CSV lines), and the mapped columns as given.

        Returns
        -------
        int
            How many rows were written.
        """
        parts = [self.con.table(_QUARANTINE.format(name)) for name in self.tables]
        rows = self.con.to_pyarrow(parts[0].order_by("rule", "row"))
        beside = path.with_name(f"{path.name}.tmp-{uuid4().hex}")
        try:
            pq.write_table(rows, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return int(rows.num_rows)

    def close(self) -> None:
        """Close the engine and remove its temporary files."""
        self.con.disconnect()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_QUARANTINE = "quarantine_{}"
_USED_UP = ("unit_price", "currency")  # both are in the amount
# A sum of hashes disregards the order of rows. It must be exact: halves of 64 bits add up to a
# HUGEINT, whole hashes to a DOUBLE, whose last digits depend on that order.
_half_md5 = engine_function("md5_number_lower", (dtypes.string,), dtypes.uint64)


def load(config: Config) -> Sources:
    """Read, type and check every configured table.

    Parameters
    ----------
    config : Config
        Its `data`, `timezone`, `currency` and `rates` are used.

    Returns
    -------
    Sources
        To be closed by the caller.

    Raises
    ------
    ConfigError
        If a path, column name, format or SQL file is wrong.
    DataError
        If a table is broken, with every problem of it in one message.
    EnvironmentFault
        If a file may not be read, or memory or temporary disk runs out.
    """
    inputs = {name: find_inputs(name, table) for name, table in config.data.tables.items()}
    temporary = Path(tempfile.mkdtemp(prefix="tenure-"))
    con = None
    try:
        con = open_engine(config.data.memory_limit, temporary)
        lock(con.con, inputs.values())
        for name, table in config.data.tables.items():
            ingest(con.con, name, table, inputs[name])
        with faults("transactions"):
            return _transactions(con, config, temporary)
    except BaseException:
        if con is not None:
            con.disconnect()
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _transactions(con: Any, config: Config, temporary: Path) -> Sources:
    name = "transactions"
    table = config.data.tables["transactions"]
    raw = con.table(RAW.format(name))
    raw = raw.mutate(row=raw.rowid() + 1)
    reading = how_to_read(con, raw, name, table, config)
    digest = _digest(con, raw)
    _split(con, name, raw, reading)
    con.drop_table(RAW.format(name))
    kept = con.table(name)
    report = examine(con, name, kept, con.table(_QUARANTINE.format(name)))
    kept, notes = _without_empty(con, kept)
    report = replace(report, notes=(*report.notes, *notes))
    until = table.observed_until or ends(con, kept, config.timezone)
    if table.observed_until and until <= report.first_day:
        raise DataError(f"{name}: observed_until {until} leaves no day after the first row's.")
    return Sources(
        con=con,
        tables={name: kept},
        report=DataReport({name: report}),
        first_day=report.first_day,
        observed_until=until,
        digest=digest,
        temporary=temporary,
    )


def _without_empty(con: Any, kept: ir.Table) -> tuple[ir.Table, list[str]]:
    """Leave out optional columns that hold nothing: what they would feed is not built."""
    columns = kept.columns
    counts = con.to_pyarrow(
        kept.aggregate(**{f"n{i}": kept[c].count() for i, c in enumerate(columns)})
    )
    empty = [c for c, n in zip(columns, counts.to_pylist()[0].values(), strict=True) if n == 0]
    notes = [f"{c} is empty in every row; nothing is built from it." for c in empty]
    return (kept.drop(*empty) if empty else kept), notes


def _split(con: Any, name: str, raw: ir.Table, reading: Reading) -> None:
    """Leave the kept rows, typed, as table `name` and the others, as given, in its quarantine."""
    parsed = typed(raw, reading)
    parsed = parsed.mutate(rule=broken_rule(parsed))
    used_up = [c for c in parsed.columns if c.startswith("given_") or c in _USED_UP]
    parsed = con.create_table("parsed", parsed.drop(*used_up))
    sound = parsed.filter(parsed.rule.isnull()).drop("rule")
    aside = parsed.filter(parsed.rule.notnull()).select("row", "rule")
    if "transaction_id" in sound.columns:
        again = con.create_table("repeats", repeats(sound))
        aside = aside.union(again)
        sound = sound.anti_join(again, "row")
    con.create_table(name, sound.drop("row"))
    as_given = raw.mutate(**{c: raw[c].cast("string") for c in raw.columns if c != "row"})
    quarantine = as_given.inner_join(aside, "row").mutate(line=ibis.null("string"))
    names = [c for c in as_given.columns if c != "row"]
    quarantine = quarantine.select(ibis.literal(name).name("table"), "rule", "row", "line", *names)
    con.create_table(_QUARANTINE.format(name), quarantine)
    con.drop_table("parsed")
    _add_broken_lines(con, name)


def _add_broken_lines(con: Any, name: str) -> None:
    lines = broken_lines(con.con)
    if lines:
        con.con.executemany(
            f'INSERT INTO {_QUARANTINE.format(name)} ("table", rule, row, line) '
            "VALUES (?, 'broken_line', ?, ?)",
            [(name, number - 1, text) for _, number, text in lines],
        )


def _digest(con: Any, raw: ir.Table) -> str:
    """Return the SHA-256 of the column names, the number of rows and the sum of row hashes."""
    names = sorted(c for c in raw.columns if c != "row")
    values = [raw[n].cast("string") for n in names]
    # ASCII's own separators: a record of units, a lone record separator where a value is null
    row = ibis.literal("\x1f").join([v.fill_null("\x1e") for v in values])
    sums = raw.aggregate(n=raw.count(), total=_half_md5(row).sum().cast("string"))
    found = con.to_pyarrow(sums).to_pylist()[0]
    return hashlib.sha256(f"{names}|{found['n']}|{found['total']}".encode()).hexdigest()
