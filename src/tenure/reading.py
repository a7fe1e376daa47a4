"""How a table's values are read: decided from all of its rows or asked for, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from tenure import parsing
from tenure.config import Config, TableConfig
from tenure.contract import PURCHASE, REFUND, TABLES, Column
from tenure.errors import ConfigError, DataError, listing

__all__ = ["Reading", "how_to_read", "typed"]

_COLUMNS = TABLES["transactions"].columns


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
    """

    zone: str = "UTC"
    formats: Mapping[str, str] = field(default_factory=dict)
    decimal_comma: Collection[str] = ()
    rates: Mapping[str, float] = field(default_factory=dict)


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
    dates = [c for c in spec.kinds("instant") if c in strings and c not in table.formats]
    numbers = [c for c in spec.kinds("money", "count") if c in strings]
    counts = _counts(con, raw, dates, numbers)
    problems = [] if counts["rows"] else [f"no transactions: {_source(table)} has no rows."]
    problems += [p for c in dates for p in _unclear_dates(c, counts)]
    problems += [p for c in numbers for p in _unclear_numbers(c, counts)]
    rates, lacking = _rates(con, raw, config)
    problems += lacking
    if problems:
        raise DataError(listing(name, problems))
    comma = [c for c in numbers if counts[f"{c} comma"] and not counts[f"{c} point"]]
    return Reading(config.timezone, dict(table.formats), comma, rates)


def _source(table: TableConfig) -> str:
    return ", ".join(table.paths) or table.sql or f"dataset {table.dataset}"


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


def _unclear_dates(column: str, counts: Counter[str]) -> list[str]:
    n = counts[f"{column} unclear"]
    if not n:
        return []
    problem = (
        f"{column}: {n:,} of {counts['rows']:,} rows have dates that may be day/month or "
        f"month/day. Say which: formats: {{{column}: '%d/%m/%Y'}} or '%m/%d/%Y', with %H:%M if "
        "there is a time."
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


def typed(raw: ir.Table, reading: Reading) -> ir.Table:
    """Type the columns of raw transactions, whose columns have canonical names already.

    Parameters
    ----------
    raw : ir.Table
        Columns as given, and ``row``.
    reading : Reading
        How to read them.

    Returns
    -------
    ir.Table
        ``row``, each column x as ``given_x`` and typed as x, ``day`` (local), ``kind``, and
        `amount` as signed decimal(18,4): at least 0 for purchases, at most 0 for refunds.
    """
    names = [c.name for c in _COLUMNS if c.name in raw.columns]
    t = raw.select("row", **{f"given_{n}": raw[n] for n in names})
    t = t.mutate(**{c.name: _typed_column(t, c, reading) for c in _COLUMNS if c.name in names})
    if "amount" not in names:
        t = t.mutate(amount=_product(t.quantity, t.unit_price))
    if "currency" in names:
        money = [n for n in ("amount", "discount") if n in t.columns]
        rate = _rate(t.currency, reading.rates)
        t = t.mutate(**{n: _product(t[n], rate) for n in money})
    days = {"day": parsing.local_day(t.ts, reading.zone)}
    if "cancelled_at" in t.columns:
        days["cancelled_day"] = parsing.local_day(t.cancelled_at, reading.zone)
    return t.mutate(**days).mutate(**_signed(t))


def _typed_column(t: ir.Table, column: Column, reading: Reading) -> ir.Value:
    given = t[f"given_{column.name}"]
    if column.kind == "id":
        return parsing.identifier(given)
    if column.kind == "instant":
        return parsing.instant(given, reading.zone, reading.formats.get(column.name))
    if column.kind == "text":
        label = parsing.text(given)
        if column.name != "currency":
            return label
        return label.upper().isin(list(reading.rates)).ifelse(label.upper(), None)
    kind = parsing.PRICE if column.name == "unit_price" else parsing.MONEY
    return parsing.money(given, column.name in reading.decimal_comma, kind)


def _product(amount: ir.DecimalValue, factor: ir.DecimalValue) -> ir.DecimalValue:
    """Multiply in 38 digits, where two numbers of 18 always fit; null beyond those of money."""
    wide = amount.cast("decimal(20, 4)")
    scale = wide.type().scale + factor.type().scale
    multiply = parsing.engine_function(
        "multiply", (wide.type(), factor.type()), dt.Decimal(38, scale)
    )
    return multiply(wide, factor).try_cast(parsing.MONEY)


def _rate(currency: ir.StringValue, rates: Mapping[str, float]) -> ir.DecimalValue:
    cases = [(currency == code, Decimal(str(rate))) for code, rate in rates.items()]
    return ibis.cases(*((when, ibis.literal(r).cast(parsing.RATE)) for when, r in cases))


def _signed(t: ir.Table) -> dict[str, ir.Value]:
    """Return kind and signed amount; a kind that was given decides, otherwise the sign does."""
    refund = t.amount < 0
    if "kind" in t.columns:
        refund |= (parsing.text(t.given_kind).lower() == REFUND).fill_null(False)
    negative = ibis.cases((t.amount > 0, -t.amount), else_=t.amount)
    signed = {"amount": refund.ifelse(negative, t.amount), "kind": refund.ifelse(REFUND, PURCHASE)}
    return signed | {n: t[n].abs() for n in ("quantity", "discount") if n in t.columns}
