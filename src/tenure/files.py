"""Files become relations of the engine: found, checked and described before a row is read."""

from __future__ import annotations

import csv
import glob
import gzip
import os
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO, cast

import duckdb
import sqlglot.expressions as sge

from tenure.errors import ConfigError, DataError, EnvironmentFault, listing

__all__ = [
    "Scan",
    "column_names",
    "describe",
    "faults",
    "find",
    "is_database",
    "literal",
    "quoted",
    "scan",
]

_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet",
    ".duckdb": "duckdb", ".db": "duckdb", ".ddb": "duckdb",
}  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """One input as the engine will read it: its columns, each with its SQL, and the relation.

    Parameters
    ----------
    name : str
        What to call it in messages.
    columns : dict of str to str
        SQL expression of each column.
    relation : str
        What stands behind FROM.
    types : tuple of str
        Engine types in the order of `columns`; empty where everything is text.
    loose : bool
        Whether a column may be absent from single files (JSON), which reads as null.
    """

    name: str
    columns: dict[str, str]
    relation: str
    types: tuple[str, ...] = ()
    loose: bool = False


def quoted(name: str) -> str:
    """Return an identifier, quoted for the engine."""
    return str(sge.to_identifier(name, quoted=True).sql("duckdb"))


def literal(text: str) -> str:
    """Return a text constant, quoted for the engine."""
    return str(sge.Literal.string(text).sql("duckdb"))


def is_database(file: Path) -> bool:
    """Tell whether a file is a DuckDB database."""
    return _format(file) == "duckdb"


def find(
    paths: Sequence[str], where: str, endings: Collection[str] = tuple(_FORMATS)
) -> list[Path]:
    """Expand paths and globs to files that can be read, each once.

    Raises
    ------
    ConfigError
        Naming every path that is missing, a folder, or of an unknown kind.
    EnvironmentFault
        If a file may not be read.
    """
    files, problems = [], []
    for pattern in paths:
        exact = Path(pattern)  # a name that holds [ or * is a file first, a pattern second
        found = [exact] if exact.exists() else _matching(pattern)
        if not found:
            problems.append(f"{pattern}: no such file. Paths are relative to {Path.cwd()}.")
        for file in found:
            if file.is_dir():
                problems.append(f"{file}: is a folder. Name its files, for example {file}/*.csv.")
            elif _ending(file) not in endings:
                problems.append(f"{file}: unknown kind. Readable here: {', '.join(endings)}.")
            elif not os.access(file, os.R_OK):
                raise EnvironmentFault(f"{file}: may not be read; check its permissions.")
            else:
                files.append(file)
    if problems:
        raise ConfigError(listing(where, problems))
    return list(dict.fromkeys(files))


def _matching(pattern: str) -> list[Path]:
    return sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207 (may be absolute)


def _ending(file: Path) -> str:
    return Path(file.name.lower().removesuffix(".gz")).suffix


def _format(file: Path) -> str | None:
    return _FORMATS.get(_ending(file))


@contextmanager
def faults(where: str) -> Iterator[None]:
    """Turn engine errors into ours, without the values of rows that they may echo."""
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.OutOfMemoryException:
        raise EnvironmentFault(
            f"{where}: memory or temporary disk ran out. Raise data.memory_limit or free disk."
        ) from None
    except duckdb.Error as fault:
        line = str(fault).splitlines()[0]
        if re.search("no space left|could not write", line, re.IGNORECASE):
            raise EnvironmentFault(f"{where}: the disk for temporary files is full.") from None
        raise DataError(f"{where}: cannot be read ({_redacted(fault, line)}).") from None


def _redacted(fault: duckdb.Error, line: str) -> str:
    """Return an engine message without anything it quotes; of values not even the message."""
    if isinstance(fault, duckdb.ConversionException | duckdb.OutOfRangeException):
        return "a value does not fit the type it is turned into"
    return re.sub(r"\"[^\"]*\"|'[^']*'|:\s[^:]*[\\/{\[].*$", "…", line)[:160].rstrip(" .")


def scan(con: duckdb.DuckDBPyConnection, file: Path, table: str | None) -> Scan:
    """Describe one file.

    Raises
    ------
    ConfigError
        If `table` does not fit the file.
    DataError
        If the file is empty, broken or not UTF-8.
    """
    if file.stat().st_size == 0:
        raise DataError(f"{file}: is empty (0 bytes).")
    kind = _format(file)
    if (table is not None) != (kind == "duckdb"):
        need = "needs `table:`" if table is None else "has no tables; leave `table:` out"
        raise ConfigError(f"{file}: {need}.")
    with faults(str(file)):
        if kind == "csv":
            return _scan_csv(file)
        if kind == "json":
            return _scan_json(con, file)
        if kind == "parquet":
            source = f"read_parquet({literal(str(file))}, hive_partitioning=false)"
            return describe(con, str(file), source)
        return _scan_database(con, file, cast(str, table))


def describe(con: duckdb.DuckDBPyConnection, name: str, relation: str) -> Scan:
    """Describe a relation of the engine by asking it for its columns."""
    rows = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return Scan(name, {r[0]: quoted(r[0]) for r in rows}, relation, tuple(str(r[1]) for r in rows))


def _open(file: Path) -> TextIO:
    opener: Any = gzip.open if file.suffix.lower() == ".gz" else open
    return cast(TextIO, opener(file, "rt", encoding="utf-8-sig", newline=""))


def _first_line(file: Path) -> str:
    try:
        with _open(file) as lines:
            return lines.readline(1_000_000)
    except UnicodeDecodeError:
        raise DataError(
            f"{file}: is not UTF-8 text. Convert it, for example: iconv -f latin1 -t utf-8."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{file}: is a broken or truncated gzip file. Fetch it again.") from None


def _scan_csv(file: Path) -> Scan:
    first = _first_line(file)
    if not first.strip():
        raise DataError(f"{file}: has no header line.")
    if "\0" in first:
        raise DataError(f"{file}: is not UTF-8 text (it holds zero bytes).")
    delimiter = max(",;\t|", key=lambda d: len(next(csv.reader([first], delimiter=d))))
    with _open(file) as lines:  # the reader, not the line: a quoted name may hold a line break
        names = next(csv.reader(lines, delimiter=delimiter))
    repeated = sorted({n for n in names if names.count(n) > 1 and n})
    if repeated:
        shown = column_names(repeated)
        raise DataError(f"{file}: {len(repeated)} column name(s) stand twice: {shown}.")
    names = [n or f"column {i}" for i, n in enumerate(names, start=1)]
    columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in names)
    relation = (
        f"read_csv({literal(str(file))}, auto_detect=false, header=true, "
        f"delim={literal(delimiter)}, quote='\"', escape='\"', columns={{{columns}}}, "
        "ignore_errors=true, store_rejects=true, rejects_limit=0)"
    )
    return Scan(str(file), {n: quoted(n) for n in names}, relation)


def _scan_json(con: duckdb.DuckDBPyConnection, file: Path) -> Scan:
    array = _first_line(file).lstrip().startswith("[")
    how = "format='array'" if array else "format='newline_delimited', ignore_errors=true"
    objects = f"read_json_objects({literal(str(file))}, {how})"
    broken, total = con.execute(
        f"SELECT count(*) FILTER (json_type(json) IS DISTINCT FROM 'OBJECT'), count(*) "
        f"FROM {objects}"
    ).fetchall()[0]
    if broken:
        raise DataError(f"{file}: {broken:,} of {total:,} entries are no JSON objects. Repair it.")
    rows = con.execute(
        f"SELECT DISTINCT unnest(json_keys(json)) AS k FROM {objects} ORDER BY k"
    ).fetchall()
    columns = {k: f"json_extract_string(json, {literal(_pointer(k))})" for (k,) in rows}
    return Scan(str(file), columns, objects, loose=True)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _scan_database(con: duckdb.DuckDBPyConnection, file: Path, table: str) -> Scan:
    attached = f"file {file.resolve()}"  # files of one name may stand in several folders
    alias = quoted(attached)
    con.execute(f"ATTACH IF NOT EXISTS {literal(str(file))} AS {alias} (READ_ONLY)")
    known = con.execute(
        "SELECT schema_name || '.' || name, name FROM ("
        "SELECT database_name, schema_name, table_name AS name FROM duckdb_tables() UNION ALL "
        "SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal"
        ") WHERE database_name = ? ORDER BY 1",
        [attached],
    ).fetchall()
    for full, short in known:
        if table in (full, short):
            schema, name = full.removesuffix("." + short), short
            found = describe(con, str(file), f"{alias}.{quoted(schema)}.{quoted(name)}")
            return replace(found, name=f"{file} ({table})")
    held = ", ".join(short for _, short in known) or "none"
    raise ConfigError(f"{file}: has no table {table!r}. It holds: {held}.")


def column_names(names: Sequence[str]) -> str:
    """Return column names for a message, leaving out those that look like data without a header."""
    plain = [n for n in names if re.fullmatch(r"[A-Za-z_][\w .()#%&/-]{0,59}", n)]
    rest = len(names) - len(plain)
    shown = ", ".join(plain[:40])
    if rest:
        note = f"{rest} that do not look like names (is the header line missing?)"
        shown = f"{shown} and {note}" if shown else note
    return shown
