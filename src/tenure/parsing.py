"""Text and engine values become instants, amounts and ids, as Ibis expressions.

An expression is null where a value cannot be read; `contract.py` says what happens to such rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

__all__ = [
    "MONEY",
    "PRICE",
    "RATE",
    "as_double",
    "blank",
    "decimal_comma_only",
    "decimal_point_only",
    "either_separator",
    "engine_function",
    "flag",
    "identifier",
    "instant",
    "local_day",
    "local_seconds",
    "midnight",
    "money",
    "order_unclear",
    "text",
]

MONEY = dt.Decimal(18, 4)
PRICE = dt.Decimal(18, 6)  # a price a piece may be 0.00035
RATE = dt.Decimal(18, 10)  # a dong is worth 0.0000360 euros
_INSTANT = dt.Timestamp(timezone="UTC")

# Words that programs write where a value is missing; never applied to ids, which are kept exactly.
_NO_VALUE = r"(?i)^\s*(null|none|nan|nat|na|n/a|<na>|\\n|-)?\s*$"

_YES, _NO = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")

_DATE = r"\d{4}(-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2})"
_TIME = r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_OFFSET = r"\s?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
_NAIVE = rf"^\s*{_DATE}({_TIME})?\s*$"
_AWARE = rf"^\s*{_DATE}{_TIME}{_OFFSET}\s*$"
_COMPACT = r"^\s*(\d{4})(\d{2})(\d{2})\s*$"
_DECIMAL_COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+,\d*|\d{1,3}(\.\d{3}){2,}|\d+,(\d{1,2}|\d{4,}))$"
_DECIMAL_POINT = r"^[+-]?(\d{1,3}(,\d{3})+\.\d*|\d{1,3}(,\d{3}){2,}|\d*\.(\d{1,2}|\d{4,}))$"
_ORDER_UNCLEAR = r"^\s*\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})\b"


def engine_function(name: str, takes: tuple[Any, ...], returns: Any) -> Callable[..., Any]:
    """Return a function of the engine that Ibis does not know, of one or two arguments."""
    shape: Callable[..., None] = (lambda _: None) if len(takes) == 1 else (lambda _a, _b: None)
    function: Callable[..., Any] = ibis.udf.scalar.builtin(name=name, signature=(takes, returns))(
        shape
    )
    return function


# The engine's timezone() is slow: it is called where a zone is met, and UTC is counted instead.
_to_instant = engine_function("timezone", (dt.string, dt.timestamp), _INSTANT)
_to_local = engine_function("timezone", (dt.string, _INSTANT), dt.timestamp)
_counted = engine_function("epoch_us", (_INSTANT,), dt.int64)
_as_utc = engine_function("make_timestamp", (dt.int64,), dt.timestamp)
_count_utc = engine_function("epoch_us", (dt.timestamp,), dt.int64)
_as_instant = engine_function("make_timestamptz", (dt.int64,), _INSTANT)
_trim = engine_function("trim", (dt.string,), dt.string)
_strptime = engine_function("try_strptime", (dt.string, dt.string), dt.timestamp)
_strptime_aware = engine_function("try_strptime", (dt.string, dt.string), _INSTANT)


def blank(given: ir.Value) -> ir.BooleanValue:
    """Tell where nothing was given: null, spaces, or a word such as ``NULL`` or ``n/a``."""
    if given.type().is_string():
        return given.isnull() | given.re_search(_NO_VALUE)
    if given.type().is_floating():
        return given.isnull() | given.isnan()
    return given.isnull()


def identifier(given: ir.Value) -> ir.StringValue:
    """Return an id exactly as it was given; null only where it is empty or spaces.

    Whole numbers in floating columns lose their ``.0``: a column of ids becomes floating only
    because some of them are missing.
    """
    kind = given.type()
    if kind.is_floating():
        whole = given.try_cast("int64")
        same = whole.cast("float64") == given
        return ibis.ifelse(same, whole.cast("string"), given.cast("string"))
    return given.re_search(r"\S").ifelse(given, None) if kind.is_string() else given.cast("string")


def text(given: ir.Value) -> ir.StringValue:
    """Return a label without spaces around it; null where nothing was given."""
    return blank(given).ifelse(None, _trim(given.cast("string")))


def flag(given: ir.Value) -> ir.BooleanValue:
    """Return yes or no; null where it is neither."""
    word = given.cast("string").strip().lower()
    return ibis.cases((word.isin(_YES), True), (word.isin(_NO), False), else_=None)


def instant(given: ir.Value, zone: str, form: str | None = None) -> ir.TimestampValue:
    """Return the UTC moment as a timestamp without zone; null where unreadable.

    Parameters
    ----------
    given : ir.Value
        Text (ISO dates and times, with or without offset, or yyyymmdd), a date, a timestamp, or
        whole numbers as yyyymmdd.
    zone : str
        IANA zone in which values without an offset are local times; a date is its midnight.
    form : str, optional
        ``strptime`` format that is tried first on text.
    """
    kind = given.type()
    if kind.is_timestamp() and kind.timezone is not None:
        return _utc(given.cast(_INSTANT))
    if kind.is_timestamp() or kind.is_date():
        return _local_to_utc(given.cast("timestamp(6)"), zone)
    if not (kind.is_string() or kind.is_integer()):
        return ibis.null("timestamp(6)")
    value = given.cast("string")
    compact = value.re_replace(_COMPACT, r"\1-\2-\3")
    naive = value.re_search(_NAIVE).ifelse(
        value.try_cast("timestamp"),
        value.re_search(_COMPACT).ifelse(compact.try_cast("timestamp"), None),
    )
    aware = value.re_search(_AWARE).ifelse(value.try_cast(_INSTANT), None)
    iso = ibis.coalesce(_local_to_utc(naive, zone), _utc(aware))
    if form is None:
        return iso
    if "%z" in form or "%Z" in form:
        return ibis.coalesce(_utc(_strptime_aware(value, form)), iso)
    return ibis.coalesce(_local_to_utc(_strptime(value, form), zone), iso)


def _local_to_utc(at: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    # an hour that a clock change skips moves forward, one that it repeats is the engine's choice
    return at if zone == "UTC" else _utc(_to_instant(zone, at))


def _utc(at: ir.TimestampValue) -> ir.TimestampValue:
    return _as_utc(_counted(at))


def local_day(at: ir.TimestampValue, zone: str) -> ir.DateValue:
    """Return the local day in `zone` of a UTC moment."""
    return _local(at, zone).cast("date")


def local_seconds(at: ir.TimestampValue, zone: str) -> ir.IntegerValue:
    """Return what the wall clock in `zone` shows at a UTC moment, as seconds since 1970."""
    return _count_utc(_local(at, zone)) // 1_000_000  # epoch_seconds() would be a double


def _local(at: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    return at if zone == "UTC" else _to_local(zone, _as_instant(_count_utc(at)))


def midnight(day: ir.DateValue, zone: str) -> ir.TimestampValue:
    """Return the UTC moment at which a local day starts in `zone`."""
    return _local_to_utc(day.cast("timestamp(6)"), zone)


def order_unclear(given: ir.StringValue) -> ir.BooleanValue:
    """Tell where a date starts with its day or its month, and only a format can say which."""
    return given.re_search(_ORDER_UNCLEAR)


def money(
    given: ir.Value, decimal_comma: bool = False, kind: dt.Decimal = MONEY
) -> ir.DecimalValue:
    """Return an amount as a decimal of `kind`; null where unreadable or too large.

    Currency signs, spaces and thousands separators are removed, ``(12.50)`` is -12.50.
    """
    if given.type().is_floating():
        return given.nullif(float("nan")).try_cast(kind)
    if not given.type().is_string():
        return given.try_cast(kind)
    plain = _plain_number(given, decimal_comma).try_cast(kind)
    return plain if decimal_comma else ibis.coalesce(given.try_cast(kind), plain)


def as_double(given: ir.Value, decimal_comma: bool = False) -> ir.FloatingValue:
    """Return an amount without bounds; null where it is no number at all."""
    if given.type().is_string():
        given = _plain_number(given, decimal_comma)
    return given.try_cast("float64")


def _bare(given: ir.StringValue) -> ir.StringValue:
    """Return text without currency signs and marks of thousands, accountants' minus resolved."""
    bare = given.re_replace(r"\p{Sc}", "")
    bare = bare.re_replace(r"^[\p{Z}\s]*\((.+)\)[\p{Z}\s]*$", r"-\1")
    bare = bare.re_replace(r"^[\p{Z}\s]*([+-]?)[\p{Z}\s]*(.*?)[\p{Z}\s]*$", r"\1\2")
    grouped = bare.re_search(r"^[+-]?\d{1,3}([\p{Z}\s'’]\d{3})+([.,]\d*)?$")
    return grouped.ifelse(bare.re_replace(r"[\p{Z}\s'’]", ""), bare)


def _plain_number(given: ir.StringValue, decimal_comma: bool) -> ir.StringValue:
    bare = _bare(given)
    if decimal_comma:
        grouped = bare.re_search(r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d*)?$")
        return grouped.ifelse(bare.replace(".", "").replace(",", "."), None)
    grouped = bare.re_search(r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")
    return grouped.ifelse(bare.replace(",", ""), bare)


def decimal_comma_only(given: ir.StringValue) -> ir.BooleanValue:
    """Tell where the comma must be the decimal sign, as in ``1.234,50`` and ``12,5``."""
    return _bare(given).re_search(_DECIMAL_COMMA)


def decimal_point_only(given: ir.StringValue) -> ir.BooleanValue:
    """Tell where the point must be the decimal sign, as in ``1,234.50`` and ``12.5``."""
    return _bare(given).re_search(_DECIMAL_POINT)


def either_separator(given: ir.StringValue) -> ir.BooleanValue:
    """Tell where one comma may be a decimal sign or group thousands, as in ``1,234``."""
    return _bare(given).re_search(r"^[+-]?[1-9]\d{0,2},\d{3}$")
