"""How numbers, money, dates and ranges are written for readers."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from tenure.report.words import TERMS

__all__ = [
    "ABSENT",
    "chance",
    "count",
    "day",
    "estimate",
    "finite",
    "listed",
    "money",
    "number",
    "percent",
    "points",
    "ranged",
    "rough",
    "signed",
    "span",
]

NBSP = "\u00a0"
ABSENT = "–"

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip


def finite(value: Any) -> float | None:
    """Return a number, or None for what is missing (None, NaN, infinite).

    Examples
    --------
    >>> finite(2), finite(float("nan")), finite(None)
    (2.0, None, None)
    """
    if value is None or value is pd.NA or not math.isfinite(value):
        return None
    return float(value)


def day(value: Any) -> str:
    """Write a date as people do.

    Examples
    --------
    >>> day("1998-07-01"), day(dt.date(1998, 4, 2))
    ('1 July 1998', '2 April 1998')
    """
    moment = pd.Timestamp(value)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def span(start: dt.date, days: int) -> str:
    """Write the first and the last of `days` days.

    Examples
    --------
    >>> span(dt.date(1998, 7, 1), 90)
    '1 July to 28 September 1998'
    """
    last = start + dt.timedelta(days=days - 1)
    if last == start:
        return day(start)
    first = day(start)
    return f"{first.removesuffix(f' {last.year}')} to {day(last)}"


def number(value: Any, digits: int = 0) -> str:
    """Write a number with thousands apart; a dash for a missing one.

    Examples
    --------
    >>> number(12345.6), number(-0.0001, 2), number(None)
    ('12,346', '0.00', '–')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    text = f"{known:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def count(n: int, one: str, many: str | None = None) -> str:
    """Count things.

    Examples
    --------
    >>> count(1, "customer"), count(3301, "customer")
    ('1 customer', '3,301 customers')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def percent(share: Any, digits: int = 0) -> str:
    r"""Write a share in percent.

    Examples
    --------
    >>> percent(0.6532, 1)
    '65.3\xa0%'
    """
    known = finite(share)
    return ABSENT if known is None else f"{number(100 * known, digits)}{NBSP}%"


def chance(probability: Any) -> str:
    """Write a chance in percent; never 0 or 100, since nothing here is certain.

    Examples
    --------
    >>> chance(0.553).replace(NBSP, " "), chance(0.9999).replace(NBSP, " ")
    ('55 %', 'over 99 %')
    """
    known = finite(probability)
    if known is None:
        return ABSENT
    if round(100 * known) < 1:
        return f"under 1{NBSP}%"
    return f"over 99{NBSP}%" if round(100 * known) > 99 else percent(known)


def points(value: Any) -> str:
    """Write points of the chance of leaving.

    Examples
    --------
    >>> points(18.19), points(1.0)
    ('18.2 points', '1.0 point')
    """
    text = number(value, 1)
    return f"{text} point{'' if text == '1.0' else 's'}"


def signed(value: Any, digits: int = 1) -> str:
    """Write a change with its sign.

    Examples
    --------
    >>> signed(1.26), signed(-4.7), signed(0.01), signed(None)
    ('+1.3', '-4.7', '0.0', '–')
    """
    text = number(value, digits)
    return f"+{text}" if re.search("[1-9]", text) and not text.startswith("-") else text


def ranged(figure: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """Write a figure with its likely range, where it has one.

    Examples
    --------
    >>> ranged({"value": 2.0, "lower": 1.0, "upper": 3.0}, signed)
    '+2.0 (likely range +1.0 to +3.0)'
    >>> ranged({"value": 15.0, "lower": 14.1, "upper": 15.9}, points)
    '15.0 points (likely range 14.1 to 15.9)'
    >>> ranged({"value": 2.0, "lower": None, "upper": None}, number)
    '2'
    """
    ends = [finite(figure.get(k)) for k in ("lower", "upper")]
    said = write(figure["value"])
    if None in ends:
        return said
    low, high = (re.sub(r" points?$", "", write(end)) for end in ends)
    return f"{said} ({TERMS['interval']} {low} to {high})"


def money(value: Any, currency: str | None, *, exact: bool = False) -> str:
    """Write money; `exact` keeps two decimals of small amounts.

    Examples
    --------
    >>> money(48123.4, "USD").replace(NBSP, " "), money(3.5, "EUR", exact=True).replace(NBSP, " ")
    ('48,123 USD', '3.50 EUR')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    digits = 2 if (exact and abs(known) < 1000) or 0 < abs(known) < 10 else 0
    return f"{number(known, digits)}{NBSP}{currency}" if currency else number(known, digits)


def rough(value: Any, unit: str | None = None) -> str:
    """Write three digits of a total that is known no better.

    Examples
    --------
    >>> rough(1731.4), rough(0.62), rough(156087.3, "USD").replace(NBSP, " ")
    ('1,730', '0.6', '156,000 USD')
    """
    known = finite(value)
    if known is None:
        return ABSENT
    size = math.floor(math.log10(abs(known))) if known else 0
    text = number(round(known, min(1, 2 - size)), 1 if 0 < abs(known) < 10 else 0)
    return f"{text}{NBSP}{unit}" if unit else text


def estimate(figure: Mapping[str, Any] | None, digits: int) -> tuple[str, str]:
    """Write an estimate and its interval.

    Examples
    --------
    >>> estimate({"value": 0.72, "lower": 0.71, "upper": 0.73}, 2)
    ('0.72', '[0.71, 0.73]')
    """
    if figure is None or finite(figure.get("value")) is None:
        return ABSENT, ""
    lower, upper = (number(figure.get(k), digits) for k in ("lower", "upper"))
    return number(figure["value"], digits), f"[{lower}, {upper}]"


def listed(items: Sequence[str]) -> str:
    """List things in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
