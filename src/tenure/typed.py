"""Values as given become typed columns: decimals, moments, days, flags and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from tenure import parsing
from tenure.contract import PURCHASE, REFUND, SCALES, Column, Table
from tenure.reading import Reading, is_attribute

__all__ = ["typed"]


def typed(raw: ir.Table, reading: Reading, spec: Table) -> ir.Table:
    """Type the columns of a raw table, whose columns have canonical names already.

    Parameters
    ----------
    raw : ir.Table
        Columns as given, and ``row``.
    reading : Reading
        How to read them.
    spec : Table
        The contract's table.

    Returns
    -------
    ir.Table
        ``row``, each column x as ``given_x`` and typed as x, the local days, and what the table's
        values make together.
    """
    columns = [c for c in spec.columns if c.name in raw.columns]
    attributes = [c for c in raw.columns if is_attribute(c)]
    names = [*(c.name for c in columns), *attributes]
    t = raw.select("row", **{f"given_{n}": raw[n] for n in names})
    values = {c.name: _typed_column(t, c, reading) for c in columns}
    t = t.mutate(**values, **{a: _attribute(t, a, reading) for a in attributes})
    if spec.name in _WHOLE_ROWS:
        t = _WHOLE_ROWS[spec.name](t, reading)
    t = t.mutate(**_not_before_start(t, spec, reading.zone))
    days = {d: parsing.local_day(t[at], reading.zone) for d, at in spec.days.items() if at in names}
    return t.mutate(**days)


def _typed_column(t: ir.Table, column: Column, reading: Reading) -> ir.Value:
    given = t[f"given_{column.name}"]
    if column.kind == "id":
        return parsing.identifier(given)
    if column.kind == "instant":
        return parsing.instant(given, reading.zone, reading.formats.get(column.name))
    if column.kind == "flag":
        return parsing.flag(given)
    if column.kind == "text":
        label = parsing.text(given)
        return label.lower() if column.levels else label
    kind = parsing.PRICE if column.name == "unit_price" else parsing.MONEY
    number = parsing.money(given, column.name in reading.decimal_comma, kind)
    return number.cast("int64") if column.kind == "whole" else number


def _attribute(t: ir.Table, name: str, reading: Reading) -> ir.Value:
    given = t[f"given_{name}"]
    if name.endswith("]_at"):
        return parsing.instant(given, reading.zone, reading.formats.get(name))
    if name not in reading.numeric:
        return parsing.text(given)
    return parsing.blank(given).ifelse(ibis.null("float64"), parsing.as_double(given))


def _not_before_start(t: ir.Table, spec: Table, zone: str) -> dict[str, ir.Value]:
    """Let facts of the day on which the row starts happen no earlier than the start.

    A date without a time reads as midnight: the answer of the same day came after the question.
    """
    start = spec.at[0]
    if start not in t.columns or spec.name == "transactions":
        return {}
    facts = [c.name for c in spec.columns if c.hangs_on == c.name and c.name in t.columns]
    same_day = {
        c: parsing.local_day(t[c], zone) == parsing.local_day(t[start], zone) for c in facts
    }
    return {c: (same & (t[c] < t[start])).ifelse(t[start], t[c]) for c, same in same_day.items()}


def _purchases(t: ir.Table, reading: Reading) -> ir.Table:
    """Give amounts in one currency and with their sign: refunds are at most 0."""
    if "currency" in t.columns:
        code = t.currency.upper()
        t = t.mutate(currency=code.isin(list(reading.rates)).ifelse(code, None))
    if "amount" not in t.columns:
        t = t.mutate(amount=_product(t.quantity, t.unit_price))
    if "currency" in t.columns:
        money = [n for n in ("amount", "discount") if n in t.columns]
        rate = _rate(t.currency, reading.rates)
        t = t.mutate(**{n: _product(t[n], rate) for n in money})
    if "promised_at" in t.columns:
        t = t.mutate(promised_at=_whole_day(t.promised_at, reading.zone))
    return t.mutate(**_signed(t))


def _whole_day(at: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """Let a date without a time last until the end of its day, to the microsecond.

    What is promised for a day is not late on it, and what was sent on the day of an arrival was
    not sent before it; but what arrives on the next day, given as a date too, is late.
    """
    day = parsing.local_day(at, zone)
    next_day = parsing.midnight((day + ibis.interval(days=1)).cast("date"), zone)
    end = (next_day - ibis.interval(microseconds=1)).cast("timestamp(6)")
    return (at == parsing.midnight(day, zone)).ifelse(end, at)


def _scores(t: ir.Table, reading: Reading) -> ir.Table:
    """Turn scores so that more is better; who answered has been asked."""
    if "score" in t.columns:
        turned = [(k, s) for k, s in reading.scales.items() if s.better == "low"]
        cases = [(t.kind == k, s.low + s.high - t.score) for k, s in turned]
        score = ibis.cases(*cases, else_=t.score) if cases else t.score
        t = t.mutate(score=score.cast(parsing.MONEY))
        ends = SCALES | {k: (s.low, s.high) for k, s in reading.scales.items()}
        shares = [(t.kind == k, (t.score - lo) / (hi - lo)) for k, (lo, hi) in ends.items()]
        t = t.mutate(score_share=ibis.cases(*shares, else_=None).cast(parsing.MONEY))
    if "sent_at" in t.columns:
        t = t.mutate(sent_at=_whole_day(t.sent_at, reading.zone))
    if {"sent_at", "answered_at"} <= set(t.columns):
        unasked = t.sent_at.isnull() & parsing.blank(t.given_sent_at)
        t = t.mutate(sent_at=unasked.ifelse(t.answered_at, t.sent_at))
    return t


def _groups(t: ir.Table, reading: Reading) -> ir.Table:  # noqa: ARG001
    """Count events of no group as use."""
    return t.mutate(group=t.group.fill_null("use") if "group" in t.columns else ibis.literal("use"))


_WHOLE_ROWS: dict[str, Callable[[ir.Table, Reading], ir.Table]] = {
    "transactions": _purchases,
    "surveys": _scores,
    "events": _groups,
}


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
