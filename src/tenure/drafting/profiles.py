"""What the columns of a file hold, seen from its header, a sample and a few counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ibis.expr.types as ir

from tenure import parsing
from tenure.errors import DataError, listing
from tenure.files import Scan, faults, literal, quoted, scan

__all__ = ["ASK", "Column", "File", "profile"]

SAMPLE = 20_000
ASK = "?"  # stands for a date format that only a person can tell
_MOST = 0.95  # of the filled cells must read as dates, or as numbers
_TIMES = {"": "", "9:9": " %H:%M", "9:9:9": " %H:%M:%S", "9:9 am": " %I:%M %p"}
_DAY_FIRST_OR_MONTH = r"^\s*(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})\b(.*)$"


@dataclass(frozen=True)
class Column:
    """One column: its name, that name's letters and digits only, and what it holds.

    Parameters
    ----------
    name, plain : str
        As in the file, and in lower case without signs.
    kind : str
        What at least 95 % of the filled cells of a sample are.
    format : str or None
        The ``strptime`` format that its dates need; `ASK` where several fit.
    unique : bool
        Whether every row has a value of its own.
    shared : bool
        Whether rows clearly share their values.
    values : tuple of str
        The two values of a column that has just two, in lower case; never shown.
    """

    name: str
    plain: str
    kind: Literal["date", "number", "text", "empty"]
    format: str | None = None
    unique: bool = False
    shared: bool = False
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """One input file, or several whose columns are the same."""

    paths: tuple[Path, ...]
    alias: str
    rows: int
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return ", ".join(p.name for p in self.paths)


def profile(con: Any, files: Sequence[Path]) -> list[File]:
    """Describe files; those with the same columns are one.

    Parameters
    ----------
    con : ibis backend
        An engine that may read them.
    files : sequence of Path

    Raises
    ------
    DataError
        Naming each file that is empty or broken.
    """
    groups: dict[tuple[str, ...], list[Scan]] = {}
    paths: dict[str, Path] = {}
    problems = []
    for file in files:
        try:
            one = scan(con.con, file, None)
        except DataError as fault:
            problems.append(str(fault))
            continue
        paths[one.name] = file
        groups.setdefault(tuple(sorted(one.columns)), []).append(one)
    if problems:
        raise DataError("\n".join(problems))
    found: list[File] = []
    for number, scans in enumerate(groups.values()):
        stem = re.sub(r"[^a-z0-9]+", "_", paths[scans[0].name].name.split(".")[0].lower()).strip(
            "_"
        )
        taken = {f.alias for f in found}
        alias = stem if stem and stem not in taken else f"file_{number + 1}"
        found.append(_profile(con, alias, [paths[s.name] for s in scans], scans))
    empty = [f"{f.name}: has a header and no rows." for f in found if not f.rows]
    if empty:
        raise DataError(listing("files", empty))
    return found


def _profile(con: Any, alias: str, paths: list[Path], scans: list[Scan]) -> File:
    """Look at a sample of every column, and at all rows where a sample cannot tell."""
    names = list(scans[0].columns)
    texts = [
        ", ".join(f"CAST({s.columns[n]} AS VARCHAR) AS c{i}" for i, n in enumerate(names))
        for s in scans
    ]
    whole = quoted(f"whole of {alias}")
    parts = (f"SELECT {t} FROM {s.relation}" for t, s in zip(texts, scans, strict=True))
    with faults(scans[0].name):
        con.con.execute(f"CREATE TEMP TABLE {whole} AS {' UNION ALL '.join(parts)}")
        counts = con.con.execute(
            "SELECT count(*), "
            + ", ".join(f"approx_count_distinct(c{i}), count(c{i})" for i in range(len(names)))
            + f" FROM {whole}"
        ).fetchall()[0]
    rows = int(counts[0])
    peek = con.table(f"whole of {alias}", database=("temp", "main")).limit(SAMPLE)
    kinds = _kinds(con, peek, len(names))
    columns = []
    for i, name in enumerate(names):
        distinct, filled = counts[1 + 2 * i], counts[2 + 2 * i]
        kind: Any = kinds[i]
        form = None
        if kind == "date-like":
            kind, form = "date", _format(con, whole, f"c{i}")
        unique = filled == rows and distinct > 0.8 * rows and _is_unique(con, whole, i, rows)
        values = _values(con, whole, i) if distinct <= 4 else ()
        columns.append(
            Column(
                name,
                re.sub(r"[^a-z0-9]", "", name.lower()),
                kind,
                form,
                unique,
                distinct < 0.9 * filled,
                values,
            )
        )
    con.con.execute(f"DROP TABLE {whole}")
    return File(tuple(paths), alias, rows, tuple(columns))


def _kinds(con: Any, peek: ir.Table, columns: int) -> list[str]:
    """Tell what the sampled cells of each column are."""
    asked: dict[str, ir.Value] = {}
    for i in range(columns):
        c = peek[f"c{i}"]
        filled = ~parsing.blank(c)
        at = parsing.instant(c, "UTC")
        asked[f"filled{i}"] = filled.sum()
        asked[f"iso{i}"] = (filled & at.year().between(1971, 2199)).sum()
        asked[f"unclear{i}"] = (filled & parsing.order_unclear(c)).sum()
        number = parsing.money(c).notnull() | parsing.money(c, decimal_comma=True).notnull()
        asked[f"number{i}"] = (filled & number).sum()
    found = {
        k: int(v or 0) for k, v in con.to_pyarrow(peek.aggregate(**asked)).to_pylist()[0].items()
    }
    kinds = []
    for i in range(columns):
        least = _MOST * found[f"filled{i}"]
        shares = {"date": "iso", "date-like": "unclear", "number": "number"}
        fitting = (kind for kind, count in shares.items() if found[f"{count}{i}"] >= least)
        kinds.append(next(fitting, "text") if least else "empty")
    return kinds


def _is_unique(con: Any, whole: str, column: int, rows: int) -> bool:
    found = con.con.execute(f"SELECT count(DISTINCT c{column}) FROM {whole}").fetchall()
    return bool(found[0][0] == rows)


def _values(con: Any, whole: str, column: int) -> tuple[str, ...]:
    found = con.con.execute(
        f"SELECT DISTINCT trim(c{column}) AS v FROM {whole} WHERE trim(c{column}) <> '' ORDER BY v"
    ).fetchall()
    return tuple(str(v) for (v,) in found) if len(found) == 2 else ()


def _format(con: Any, whole: str, column: str) -> str:
    """Return the format of dates that start with day or month, if all rows agree on one."""

    def part(number: int) -> str:
        return f"regexp_extract({column}, {pattern}, {number})"

    pattern = literal(_DAY_FIRST_OR_MONTH)
    times = f"replace(lower(trim({part(5)})), 'pm', 'am')"
    first, second, signs, years, times = con.con.execute(
        f"SELECT max(TRY_CAST({part(1)} AS INT)), max(TRY_CAST({part(3)} AS INT)), "
        f"list(DISTINCT {part(2)}), list(DISTINCT length({part(4)})), "
        f"list(DISTINCT regexp_replace({times}, '\\d+', '9', 'g')) "
        f"FROM {whole} WHERE regexp_matches({column}, {pattern})"
    ).fetchall()[0]
    time = _TIMES.get(times[0])
    if len(signs) > 1 or len(years) > 1 or len(times) > 1 or time is None:
        return ASK
    if (first > 12) == (second > 12):
        return ASK
    order = ("%d", "%m") if first > 12 else ("%m", "%d")
    return str(signs[0]).join((*order, "%Y" if years[0] == 4 else "%y")) + time
