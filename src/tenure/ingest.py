"""Configured inputs become raw tables of a locked engine, their columns named canonically."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import ibis

from tenure import datasets
from tenure.config import ColumnMap, TableConfig
from tenure.errors import ConfigError, DataError, listing
from tenure.files import (
    Scan,
    column_names,
    describe,
    faults,
    find,
    is_database,
    literal,
    quoted,
    scan,
)
from tenure.mapping import ROW, choose

__all__ = ["RAW", "Inputs", "broken_lines", "find_inputs", "ingest", "lock", "open_engine"]

RAW = "raw_{}"
_DATASET = "dataset:"
_PLAIN = (
    r"(VARCHAR|BOOLEAN|U?(TINY|SMALL|BIG)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|DATE|"
    r"TIMESTAMP( WITH TIME ZONE)?)$"
)
_CUT = dict.fromkeys(("TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"), "TIMESTAMP")
_CUT["TIMESTAMPTZ_NS"] = "TIMESTAMPTZ"
_SQL_SCHEMA = "sql_inputs"

Inputs = dict[str, list[Path]]  # the files of a table under its name, or of `files:` under theirs


def open_engine(memory_limit: str, temporary: Path) -> ibis.BaseBackend:
    """Open a DuckDB in memory that spills to `temporary` and fetches nothing."""
    return ibis.duckdb.connect(
        temp_directory=str(temporary),
        memory_limit=memory_limit.replace(" ", ""),
        autoinstall_known_extensions=False,
        autoload_known_extensions=False,
        python_enable_replacements=False,
    )


def find_inputs(name: str, table: TableConfig) -> Inputs:
    """Find all files of a table before any is opened.

    Raises
    ------
    ConfigError
        Naming what is missing.
    """
    where = f"data.tables.{name}"
    if table.sql is None:
        return {name: find(table.paths, where)}
    find([table.sql], where, endings=(".sql",))
    named = {k: [v] for k, v in table.files.items() if not v.startswith(_DATASET)}
    return {k: find(v, f"{where}.files.{k}") for k, v in named.items()}


def lock(con: duckdb.DuckDBPyConnection, inputs: Iterable[Inputs]) -> None:
    """Let the engine open the files of `inputs` and nothing else, for good."""
    files = [f for named in inputs for paths in named.values() for f in paths]
    allowed = [str(f) for f in files] + [f"{f}.wal" for f in files if is_database(f)]
    con.execute(f"SET allowed_paths = [{', '.join(map(literal, allowed))}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def ingest(
    con: duckdb.DuckDBPyConnection, name: str, table: TableConfig, inputs: Inputs
) -> list[str]:
    """Read a table's inputs into ``raw_<name>``: canonical names, values as given.

    Returns
    -------
    list of str
        A note on each file that has no rows, where others have some.

    Raises
    ------
    ConfigError
        If the mapping names unknown columns, or the SQL is not one SELECT that binds.
    DataError
        If files are broken, differ in their columns, or lack a required column.
    """
    if table.sql is not None:
        scans = [_run_sql(con, name, table, inputs)]
    elif table.dataset is not None:
        scans = [_register(con, table.dataset)]
    else:
        scans = _scan_all(con, inputs[name], table.table)
    _same_columns(name, scans)
    plain = [_plain(one) for one in scans]
    counts = _materialise(con, RAW.format(name), plain, choose(name, table, scans))
    empty = [one.name for one, n in zip(scans, counts, strict=True) if not n]
    return [f"{file} has no rows." for file in empty] if any(counts) else []


def _plain(one: Scan) -> Scan:
    """Return a scan whose types are few: nanoseconds are cut, unusual types become text."""
    columns = dict(one.columns)
    for name, kind in zip(one.columns, one.types, strict=False):
        if kind in _CUT:
            columns[name] = f"CAST({columns[name]} AS {_CUT[kind]})"
        elif not re.match(_PLAIN, kind):
            columns[name] = f"CAST({columns[name]} AS VARCHAR)"
    return replace(one, columns=columns)


def _scan_all(
    con: duckdb.DuckDBPyConnection, files: Sequence[Path], inner: str | None
) -> list[Scan]:
    """Describe files; every broken one is named in one message."""
    scans, problems = [], []
    for file in files:
        try:
            scans.append(scan(con, file, inner))
        except DataError as fault:
            problems.append(str(fault))
    if problems:
        raise DataError("\n".join(problems))
    return scans


def _register(con: duckdb.DuckDBPyConnection, dataset: str) -> Scan:
    con.register(f"{_DATASET}{dataset}", datasets.read(dataset))
    return describe(con, f"{_DATASET}{dataset}", quoted(f"{_DATASET}{dataset}"))


def _run_sql(con: duckdb.DuckDBPyConnection, name: str, table: TableConfig, inputs: Inputs) -> Scan:
    """Run the one SELECT of a SQL file over its named inputs, in a schema of their own."""
    file = Path(str(table.sql))
    query = _one_select(con, file)
    con.execute(f"CREATE SCHEMA {_SQL_SCHEMA}")
    con.execute(f"SET schema = '{_SQL_SCHEMA}'")
    try:
        for key, source in table.files.items():
            dataset = source.removeprefix(_DATASET) if source.startswith(_DATASET) else None
            scans = [_register(con, dataset)] if dataset else _scan_all(con, inputs[key], None)
            _same_columns(f"{name}.files.{key}", scans)
            columns = {c: c for s in scans for c in s.columns}
            if not sum(_materialise(con, key, scans, columns)):
                raise DataError(f"{name}: no rows in {', '.join(s.name for s in scans)}.")
        con.execute(f"CREATE TABLE main.{quoted('sql of ' + name)} AS {query}")
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException) as fault:
        known = ", ".join(table.files)
        raise ConfigError(f"{file}: {str(fault).splitlines()[0]} Its tables: {known}.") from None
    except duckdb.Error as fault:
        with faults(str(file)):
            raise fault
    finally:
        con.execute("SET schema = 'main'")
        con.execute(f"DROP SCHEMA {_SQL_SCHEMA} CASCADE")
    return describe(con, str(file), quoted("sql of " + name))


def _one_select(con: duckdb.DuckDBPyConnection, file: Path) -> str:
    try:
        statements = con.extract_statements(file.read_text(encoding="utf-8"))
    except (duckdb.ParserException, UnicodeDecodeError) as fault:
        raise ConfigError(f"{file}: is not SQL ({str(fault).splitlines()[0]}).") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ConfigError(f"{file}: holds {len(statements)} statements; write exactly one SELECT.")
    return statements[0].query.strip().rstrip(";")


def _materialise(
    con: duckdb.DuckDBPyConnection,
    target: str,
    scans: Sequence[Scan],
    sources: Mapping[str, str | ColumnMap],
) -> list[int]:
    """Read scans into one table of text and plain types; return the rows of each."""
    counts = []
    for number, one in enumerate(scans):
        chosen = ", ".join(f"{_expression(s, one)} AS {quoted(c)}" for c, s in sources.items())
        verb = f"INSERT INTO {quoted(target)}" if number else f"CREATE TABLE {quoted(target)} AS"
        with faults(one.name):
            done = con.execute(f"{verb} SELECT {chosen} FROM {one.relation}")
            counts.append(int(done.fetchall()[0][0]))
    return counts


def _expression(source: str | ColumnMap, one: Scan) -> str:
    """Return the SQL of one mapped column."""
    if source == ROW:
        return "CAST(row_number() OVER () AS VARCHAR)"
    if isinstance(source, str):
        return one.columns.get(source, "NULL")  # absent only from loose files
    if source.column is None:
        return literal(str(source.value))
    given = f"CAST({one.columns.get(source.column, 'NULL')} AS VARCHAR)"
    if not source.map:
        return given
    whens = " ".join(f"WHEN {literal(k)} THEN {literal(str(v))}" for k, v in source.map.items())
    return f"CASE {given} {whens} ELSE {given} END"


def _same_columns(where: str, scans: Sequence[Scan]) -> None:
    """Refuse files of one table whose columns or types differ; their order may."""
    first, *others = scans
    problems = []
    for other in others:
        if first.loose and other.loose:
            continue
        lost, new = first.columns.keys() - other.columns, other.columns.keys() - first.columns
        if lost:
            problems.append(f"{other.name} lacks {column_names(sorted(lost))}.")
        if new:
            problems.append(f"{other.name} also has {column_names(sorted(new))}.")
        kinds = dict(zip(other.columns, other.types, strict=False))
        for column, kind in zip(first.columns, first.types, strict=False):
            if kinds.get(column, kind) != kind:
                problems.append(f"{other.name} has {column} as {kinds[column]}, not {kind}.")
    if problems:
        advice = "Make the files alike, or read them apart through `sql:`."
        raise DataError(listing(f"{where}: files differ from {first.name}", [*problems, advice]))


def broken_lines(con: duckdb.DuckDBPyConnection, inputs: Inputs) -> list[tuple[str, int, str]]:
    """Return file, line number and text of the CSV lines of a table that have no readable fields.

    Raises
    ------
    DataError
        If a file is not UTF-8.
    """
    known = con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'reject_errors'")
    if known.fetchall() == [(0,)]:
        return []
    files = [str(f) for paths in inputs.values() for f in paths]
    rows = con.execute(
        "SELECT s.file_path, e.line, any_value(e.csv_line), bool_or(e.error_type ILIKE '%encod%') "
        "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) "
        "WHERE list_contains(?, s.file_path) GROUP BY ALL ORDER BY ALL",
        [files],
    ).fetchall()
    foreign = sorted({str(r[0]) for r in rows if r[3]})
    if foreign:
        advice = "is not UTF-8 text. Convert it, for example: iconv -f latin1 -t utf-8."
        raise DataError("\n".join(f"{file}: {advice}" for file in foreign))
    return [(str(file), int(line), str(text)) for file, line, text, _ in rows]
