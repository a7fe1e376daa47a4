"""How a table's values are read: decided from all of its rows or asked for, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from tenure import parsing
from tenure.config import Config, ScaleConfig, TableConfig
from tenure.contract import TABLES
from tenure.errors import ConfigError, DataError, listing

__all__ = ["Reading", "how_to_read", "is_attribute", "is_date_of_attribute"]


@dataclass(frozen=True)
class Reading:
    """How the values of one table are to be read.

    Parameters
    ----------
    zone : str
        IANA zone of local days and of instants without an offset.
    formats : mapping of str to str
        ``strptime`` format of instant columns that are not ISO.
    decimal_comma : collection of str
        Number columns whose decimal sign is the comma.
    rates : mapping of str to float
        Worth of one unit of each currency in the config's currency.
    numeric : collection of str
        Attributes whose every value is a number.
    scales : mapping of str to ScaleConfig
        Scales of surveys that the config sets.
    """

    zone: str = "UTC"
    formats: Mapping[str, str] = field(default_factory=dict)
    decimal_comma: Collection[str] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    numeric: Collection[str] = ()
    scales: Mapping[str, ScaleConfig] = field(default_factory=dict)


def how_to_read(con: Any, raw: ir.Table, name: str, table: TableConfig, config: Config) -> Reading:
    """Decide on date formats, decimal signs and currencies, looking at every row once.

    Raises
    ------
    ConfigError
        If a format is no ``strptime`` format.
    DataError
        Naming every column that can be read in two ways, and every currency without a rate.
    """
    spec = TABLES[name]
    _valid_formats(con, name, table)
    strings = [c for c in raw.columns if raw[c].type().is_string()]
    formats = _formats(table)
    instants = (*spec.kinds("instant"), *filter(is_date_of_attribute, raw.columns))
    dates = [c for c in instants if c in strings and c not in formats]
    numbers = [c for c in spec.kinds("money", "count", "whole", "number") if c in strings]
    counts = _counts(con, raw, dates, numbers)
    problems = [] if counts["rows"] else [f"no {name}: {_source(table)} has no rows."]
    said = _said(table)
    problems += [p for c in dates for p in _unclear_dates(c, said.get(c, c), counts)]
    problems += [p for c in numbers for p in _unclear_numbers(c, counts)]
    rates, lacking = _rates(con, raw, config)
    problems += lacking
    if problems:
        raise DataError(listing(name, problems))
    comma = [c for c in numbers if counts[f"{c} comma"] and not counts[f"{c} point"]]
    return Reading(config.timezone, formats, comma, rates, _numeric(con, raw), table.scales)


def _source(table: TableConfig) -> str:
    return ", ".join(table.paths) or table.sql or f"dataset {table.dataset}"


def _said(table: TableConfig) -> dict[str, str]:
    """Return the columns of the file that hold the dates of attributes."""
    declared = {} if table.attributes == "all" else table.attributes
    return {f"attribute[{n}]_at": a.known_from for n, a in declared.items() if a.known_from}


def _formats(table: TableConfig) -> dict[str, str]:
    """Return the date formats; those of attributes are given by the column of the file."""
    said = _said(table).items()
    return {**table.formats, **{c: table.formats[s] for c, s in said if s in table.formats}}


def _valid_formats(con: Any, name: str, table: TableConfig) -> None:
    problems = []
    for column, form in table.formats.items():
        try:
            con.con.execute("SELECT try_strptime('', ?) IS NULL", [form]).fetchall()
        except duckdb.Error:
            problems.append(f"formats.{column}: {form!r} is no format such as '%d/%m/%Y %H:%M'.")
    if problems:
        raise ConfigError(listing(f"data.tables.{name}", problems))


def _counts(con: Any, raw: ir.Table, dates: list[str], numbers: list[str]) -> Counter[str]:
    first = {"rows": raw.count()}
    first |= {f"{c} unclear": parsing.order_unclear(raw[c]).sum() for c in dates}
    first |= {f"{c} commas": raw[c].contains(",").sum() for c in numbers}
    counts = _integers(con, raw.aggregate(**first))
    asked = {}
    for c in (c for c in numbers if counts[f"{c} commas"]):  # most files have none: one look less
        asked[f"{c} comma"] = parsing.decimal_comma_only(raw[c]).sum()
        asked[f"{c} point"] = parsing.decimal_point_only(raw[c]).sum()
        asked[f"{c} either"] = parsing.either_separator(raw[c]).sum()
    return counts + _integers(con, raw.aggregate(**asked)) if asked else counts


def _integers(con: Any, one: ir.Table) -> Counter[str]:
    found = con.to_pyarrow(one).to_pylist()[0]
    return Counter({key: int(n or 0) for key, n in found.items()})


def _unclear_dates(column: str, said: str, counts: Counter[str]) -> list[str]:
    n = counts[f"{column} unclear"]
    if not n:
        return []
    problem = (
        f"{said}: {n:,} of {counts['rows']:,} rows have dates that may be day/month or "
        f"month/day. Say which: formats: {{{said}: '%d/%m/%Y'}} or '%m/%d/%Y', with the sign that "
        "stands between ('%d.%m.%Y'), and with %H:%M if there is a time."
    )
    return [problem]


def _unclear_numbers(column: str, counts: Counter[str]) -> list[str]:
    n = counts[f"{column} either"]
    if not n or counts[f"{column} comma"] or counts[f"{column} point"]:
        return []
    problem = (
        f"{column}: {n:,} of {counts['rows']:,} rows look like 1,234, and no other row says "
        "whether the comma groups thousands. Read the file through `sql:` with replace()."
    )
    return [problem]


def _rates(con: Any, raw: ir.Table, config: Config) -> tuple[dict[str, float], list[str]]:
    """Return the worth of each currency in the rows, and what is missing to know it."""
    if "currency" not in raw.columns:
        return {}, []
    code = raw.currency.cast("string").strip().upper()
    codes = raw.select(code=code)
    codes = codes.filter(codes.code.re_search("^[A-Z]{3}$")).group_by("code").agg(n=ibis._.count())
    rows = con.to_pyarrow(codes.order_by("code")).to_pylist()
    home = config.currency
    if home is None and len(rows) == 1:
        home = rows[0]["code"]  # one currency throughout needs no rate
    rates = {**config.rates, **({home: 1.0} if home else {})}
    lacking = [r for r in rows if r["code"] not in rates]
    if not lacking:
        return rates, []
    held = ", ".join(f"{r['code']} ({r['n']:,} rows)" for r in rows[:12])
    need = ", ".join(f"{r['code']}: …" for r in lacking[:12])
    into = f"currency {home}" if home else "a `currency:` for the project"
    return rates, [f"currency: mixed: {held}. Give {into} and rates: {{{need}}}, worth in it."]


def is_attribute(column: str) -> bool:
    """Tell whether a column is a declared attribute, or the date from which one is known."""
    return column.startswith("attribute[")


def is_date_of_attribute(column: str) -> bool:
    """Tell whether a column is the date from which a declared attribute is known."""
    return is_attribute(column) and column.endswith("]_at")


def _numeric(con: Any, raw: ir.Table) -> list[str]:
    """Return the attributes that hold nothing but numbers."""
    asked: dict[str, ir.Value] = {}
    names = [c for c in raw.columns if is_attribute(c) and not is_date_of_attribute(c)]
    for i, c in enumerate(names):
        given = raw[c].cast("string")
        filled = ~parsing.blank(given)
        number = parsing.as_double(given)
        asked[f"bad{i}"] = (filled & (number.isnull() | number.isinf() | number.isnan())).sum()
        asked[f"n{i}"] = filled.sum()
    counts = _integers(con, raw.aggregate(**asked)) if asked else Counter()
    return [c for i, c in enumerate(names) if counts[f"n{i}"] and not counts[f"bad{i}"]]
