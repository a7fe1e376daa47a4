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
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.config import Config
from tenure.contract import TABLES, Table, broken_rule, repeats, rules, says
from tenure.errors import DataError, listing
from tenure.files import faults
from tenure.ingest import RAW, Inputs, broken_lines, find_inputs, ingest, lock, open_engine
from tenure.matching import WHO, check_customers
from tenure.observation import observe
from tenure.parsing import engine_function
from tenure.quality import DataReport, TableReport, examine
from tenure.reading import how_to_read, is_attribute, is_date_of_attribute
from tenure.typed import typed

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
        Local day of the first row of the label's table; `date.min` where nothing is dated.
    observed_until : date
        The local day whose midnight ends observation: nothing at or after it is known.
    ends : dict of str to date
        Where the other tables end before that.
    digest : str
        SHA-256 of the input's content, whatever the order of rows and their split into files.
    """

    con: Any
    tables: Mapping[str, ir.Table]
    report: DataReport
    first_day: dt.date
    observed_until: dt.date
    ends: Mapping[str, dt.date]
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
        aside = [self.con.to_pyarrow(part.order_by("rule", "row")) for part in parts]
        rows = pa.concat_tables(aside, promote_options="default")
        beside = path.with_name(f"{path.name}.tmp-{uuid4().hex}")
        try:
            pq.write_table(rows, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return int(rows.num_rows)

    def require(self, day: dt.date) -> None:
        """Refuse to take the silence of a table that ended before `day` for knowledge.

        Raises
        ------
        DataError
            Naming each such table and its end.
        """
        problems = [
            f"{name} ends at {end}, before {day}: its silence since then would count as nothing "
            "happening. Load newer rows, or set its observed_until if nothing did happen."
            for name, end in self.ends.items()
            if end < day
        ]
        if problems:
            raise DataError(listing("data", problems))

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
        return _load(con, config, inputs, temporary)
    except BaseException:
        if con is not None:
            con.disconnect()
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _load(con: Any, config: Config, inputs: Mapping[str, Inputs], temporary: Path) -> Sources:
    """Read table by table; every broken one is named in one message."""
    tables: dict[str, ir.Table] = {}
    reports: dict[str, TableReport] = {}
    digests: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name in sorted(inputs, key=_order):
        try:
            empty = ingest(con.con, name, config.data.tables[name], inputs[name])
            with faults(name):
                # where one of those is broken, nobody can say who is no customer
                known = {} if set(WHO) & problems.keys() else tables
                found = _table(con, name, config, inputs[name], known)
            tables[name], report, digests[name] = found
            reports[name] = replace(report, notes=(*empty, *report.notes))
        except DataError as fault:
            problems[name] = str(fault)
    if problems:
        raise DataError("\n".join(problems.values()))
    spans = {n: (r.first_day, r.last_day) for n, r in reports.items()}
    first, until, early, notes = observe(con, config, tables, spans)
    for name, more in notes.items():
        reports[name] = replace(reports[name], notes=(*reports[name].notes, *more))
    digest = hashlib.sha256("|".join(f"{n}:{d}" for n, d in sorted(digests.items())).encode())
    return Sources(
        con=con,
        tables=tables,
        report=DataReport(reports),
        first_day=first,
        observed_until=until,
        ends=early,
        digest=digest.hexdigest() if len(digests) > 1 else next(iter(digests.values())),
        temporary=temporary,
    )


def _order(name: str) -> tuple[bool, int]:
    """Order the tables: those that say who is a customer come first."""
    return TABLES[name].needs_customer, list(TABLES).index(name)


def _table(
    con: Any, name: str, config: Config, inputs: Inputs, before: Mapping[str, ir.Table]
) -> tuple[ir.Table, TableReport, str]:
    """Type one table, set rows aside, and say what was found."""
    table, spec = config.data.tables[name], TABLES[name]
    raw = con.table(RAW.format(name))
    raw = raw.mutate(row=raw.rowid() + 1)
    if name == config.churn.table == "customers" and "label" not in raw.columns:
        raise DataError("customers: churn.kind is label, so label is required: map it.")
    reading = how_to_read(con, raw, name, table, config)
    digest = _digest(con, raw)
    scales = {kind: (scale.low, scale.high) for kind, scale in table.scales.items()}
    every = rules(spec, scales, [c for c in raw.columns if is_date_of_attribute(c)])
    parsed = typed(raw, reading, spec)
    parsed = parsed.mutate(rule=broken_rule(parsed, every))
    used_up = [c for c in parsed.columns if c.startswith("given_") or c in _USED_UP]
    parsed = con.create_table("parsed", parsed.drop(*used_up), overwrite=True)
    strangers = check_customers(con, name, parsed.filter(parsed.rule.isnull()), before)
    _split(con, spec, raw, parsed, strangers)
    _add_broken_lines(con, name, inputs)
    con.drop_table(RAW.format(name))
    kept = con.table(name)
    aside = con.table(_QUARANTINE.format(name))
    report = examine(con, name, kept, aside, says(spec, every))
    kept, notes = _usable(con, kept, spec, config)
    return kept, replace(report, notes=(*report.notes, *notes)), digest


def _usable(con: Any, kept: ir.Table, spec: Table, config: Config) -> tuple[ir.Table, list[str]]:
    """Leave out the columns that nothing can be built from, and say so."""
    kept, notes = _without_empty(con, kept)
    undated = [
        c
        for c in kept.columns
        if is_attribute(c) and not is_date_of_attribute(c) and config.churn.kind != "label"
        and not _is_dated(c, kept, config)
    ]  # fmt: skip
    notes += [
        f"{c} has no date from which it was known and is left out: a value filled in later would "
        "leak. Say known_from: signup_at, or name the column with the date."
        for c in undated
    ]
    hanging = [c for c, on in spec.hangs_on(kept.columns).items() if on is None]
    notes += [f"{c} has no date that reveals it; nothing is built from it." for c in hanging]
    unused = [*undated, *hanging]
    return (kept.drop(*unused) if unused else kept), notes


def _is_dated(attribute: str, kept: ir.Table, config: Config) -> bool:
    declared = config.data.tables["customers"].attributes
    name = attribute.removeprefix("attribute[").removesuffix("]")
    known_from = None if declared == "all" else declared[name].known_from
    return f"{attribute}_at" in kept.columns or (
        known_from == "signup_at" and "signup_at" in kept.columns
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


def _split(
    con: Any, spec: Table, raw: ir.Table, parsed: ir.Table, strangers: ir.Table | None
) -> None:
    """Leave the kept rows, typed, in the table's name and the others, as given, in quarantine."""
    name = spec.name
    sound = parsed.filter(parsed.rule.isnull()).drop("rule")
    aside = parsed.filter(parsed.rule.notnull()).select("row", "rule")
    if strangers is not None:
        aside = aside.union(strangers)
        sound = sound.anti_join(strangers, "row")
    if spec.key and set(spec.key) <= set(sound.columns):
        again = con.create_table("repeats", repeats(sound, spec), overwrite=True)
        aside = aside.union(again)
        sound = sound.anti_join(again, "row")
    con.create_table(name, sound.drop("row"))
    as_given = raw.mutate(**{c: raw[c].cast("string") for c in raw.columns if c != "row"})
    quarantine = as_given.inner_join(aside, "row").mutate(line=ibis.null("string"))
    names = [c for c in as_given.columns if c != "row"]
    quarantine = quarantine.select(ibis.literal(name).name("table"), "rule", "row", "line", *names)
    con.create_table(_QUARANTINE.format(name), quarantine)
    con.drop_table("parsed")


def _add_broken_lines(con: Any, name: str, inputs: Inputs) -> None:
    lines = broken_lines(con.con, inputs)
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
