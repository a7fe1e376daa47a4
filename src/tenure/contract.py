"""What a table must look like: its columns, their types, and the rules that set rows aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import ibis
import ibis.expr.types as ir

from tenure import parsing

__all__ = [
    "PLANNED",
    "PURCHASE",
    "REFUND",
    "RULES",
    "SAYS",
    "TABLES",
    "Column",
    "Rule",
    "Table",
    "broken_rule",
    "repeats",
]

Kind = Literal["id", "instant", "money", "count", "text"]
PURCHASE, REFUND = "purchase", "refund"
_EARLIEST, _LATEST = dt.datetime(1971, 1, 1), dt.datetime(2200, 1, 1)
_ABSURD = Decimal(10) ** 13


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, kind : str
        Its name and how it is read.
    required : bool
        Whether the table is unusable without it.
    planned : bool
        A date that is known from the row's start and may lie in the future.
    hangs_on : str, optional
        The instant before which the value is unknown; None means from the row's start.
    """

    name: str
    kind: Kind
    required: bool = False
    planned: bool = False
    hangs_on: str | None = None


@dataclass(frozen=True)
class Table:
    """A table's columns, the instant at which its rows begin, and the column that names a row."""

    name: str
    at: str
    id: str
    columns: tuple[Column, ...]

    def kinds(self, *kinds: Kind) -> tuple[str, ...]:
        """Return the names of the columns of these kinds."""
        return tuple(c.name for c in self.columns if c.kind in kinds)


TABLES: dict[str, Table] = {
    "transactions": Table(
        name="transactions",
        at="ts",
        id="transaction_id",
        columns=(
            Column("customer_id", "id", required=True),
            Column("ts", "instant", required=True),
            Column("amount", "money", required=True),  # or quantity × unit_price
            Column("unit_price", "money"),
            Column("transaction_id", "id"),
            Column("kind", "text"),
            Column("channel", "text"),
            Column("category", "text"),
            Column("partner", "text"),
            Column("currency", "text"),
            Column("quantity", "count"),
            Column("discount", "money"),
            Column("promised_at", "instant", planned=True),
            Column("cancelled_at", "instant", hangs_on="cancelled_at"),
            Column("delivered_at", "instant", hangs_on="delivered_at"),
            Column("loaded_at", "instant"),
        ),
    )
}

PLANNED = frozenset(c.name for table in TABLES.values() for c in table.columns if c.planned)
"""Dates known from their row's own start, which may lie in the future."""


@dataclass(frozen=True)
class Rule:
    """Rows of which `broken` holds are set aside under `name`.

    `broken` sees the typed table, in which ``given_x`` is the column x as it was given. Rules act
    in order: a row is set aside by the first one it breaks.
    """

    name: str
    column: str
    broken: Callable[[ir.Table], ir.BooleanValue]
    says: str
    unless: str | None = None  # a column whose presence makes the rule idle


def _missing(column: str, says: str, unless: str | None = None) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        return t[column].isnull() & parsing.blank(t[f"given_{column}"])

    return Rule(f"missing_{column}", column, broken, says, unless)


def _unreadable_instant(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        return t[column].isnull() & ~parsing.blank(t[f"given_{column}"])

    says = f"{column} is no date we can read. Clean it, or name its form under formats: {column}."
    return Rule(f"unreadable_{column}", column, broken, says)


def _impossible(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        return (t[column] < _EARLIEST) | (t[column] >= _LATEST)

    says = f"{column} lies outside 1971 to 2199, as placeholders do. Empty it or correct it."
    return Rule(f"impossible_{column}", column, broken, says)


def _unreadable_number(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        given = t[f"given_{column}"]
        return t[column].isnull() & ~parsing.blank(given) & parsing.as_double(given).isnull()

    return Rule(f"unreadable_{column}", column, broken, f"{column} is not a number. Clean it.")


def _absurd(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        number = t[column]
        lost = number.isnull()
        if column != "amount":  # by now a missing amount has been set aside already
            lost &= ~parsing.blank(t[f"given_{column}"])
        return lost | (number.abs() >= _ABSURD)

    says = f"{column} is infinite or too large (10^13 and more). Correct it."
    return Rule(f"absurd_{column}", column, broken, says)


def _unknown_kind(t: ir.Table) -> ir.BooleanValue:
    return ~parsing.text(t.given_kind).lower().isin((PURCHASE, REFUND))


def _negative_purchase(t: ir.Table) -> ir.BooleanValue:
    return (parsing.text(t.given_kind).lower() == PURCHASE) & (t.amount < 0)


_T = TABLES["transactions"]
RULES: tuple[Rule, ...] = (
    Rule(
        "missing_customer",
        "customer_id",
        lambda t: t.customer_id.isnull(),
        "customer_id is empty, so nobody knows who bought. They count for no customer.",
    ),
    Rule(
        "missing_date",
        "ts",
        lambda t: t.ts.isnull() & parsing.blank(t.given_ts),
        "ts is empty, so nobody knows when. Fill it where the file is made.",
    ),
    _missing("amount", "amount is empty. Write 0 where nothing was paid."),
    _missing("quantity", "quantity is empty, and there is no amount.", unless="amount"),
    _missing("unit_price", "unit_price is empty, and there is no amount.", unless="amount"),
    _missing("loaded_at", "loaded_at is empty, so nobody knows since when the row is known."),
    *(_unreadable_instant(c) for c in _T.kinds("instant")),
    *(_impossible(c) for c in _T.kinds("instant")),
    *(_unreadable_number(c) for c in _T.kinds("money", "count")),
    Rule(
        "unknown_currency",
        "currency",
        lambda t: t.currency.isnull(),
        "currency is empty or no code of three letters. Fill it, or give rates: for it.",
    ),
    *(_absurd(c) for c in _T.kinds("money", "count") if c != "amount"),
    _absurd("amount"),  # last, since it may be a product of the others
    Rule(
        "unknown_kind",
        "kind",
        _unknown_kind,
        "kind is neither purchase nor refund. Translate it: kind: {column: …, map: {…}}.",
    ),
    Rule(
        "negative_purchase",
        "kind",
        _negative_purchase,
        "kind says purchase and the amount is negative. Correct one, or leave kind out.",
    ),
)

SAYS: dict[str, str] = {
    **{rule.name: rule.says for rule in RULES},
    "broken_line": "the line has too many or too few fields, or an open quote. Repair the file.",
    "repeated_row": "an equal row of the same transaction_id stands already. Nothing to do.",
    "repeated_id": (
        "an earlier row of the same transaction_id stays. If rows are item lines, sum them with "
        "`sql:`, for example SELECT customer, invoice, min(date) AS ts, sum(amount) AS amount "
        "FROM lines GROUP BY customer, invoice. If they are corrections, map loaded_at."
    ),
}


def broken_rule(t: ir.Table) -> ir.StringValue:
    """Return the name of the first rule that each row of a typed table breaks, or null."""
    given = {c.removeprefix("given_") for c in t.columns if c.startswith("given_")}
    active = [
        r
        for r in RULES
        if (r.column in given or r.name == "absurd_amount") and r.unless not in given
    ]
    return ibis.cases(*((rule.broken(t), rule.name) for rule in active), else_=None)


def repeats(t: ir.Table) -> ir.Table:
    """Find the rows whose id another row bears that stands before them.

    Of the rows of one ``transaction_id`` (with ``loaded_at``: of one id and loading) the earliest
    stays. Among rows of the same instant the order is by what was known at that instant, then by
    the later instants in the order of time, so that nothing later decides about the past.

    Parameters
    ----------
    t : ir.Table
        Typed transactions with ``row``.

    Returns
    -------
    ir.Table
        ``row`` and ``rule`` (``repeated_row`` if equal to the row that stays, ``repeated_id``).
    """
    key = [c for c in ("transaction_id", "loaded_at") if c in t.columns]
    named = t.filter(t.transaction_id.notnull())
    ids = named.group_by(key).agg(bearers=named.count())
    rows = named.semi_join(ids.filter(ids.bearers > 1), key)
    later = [c.name for c in _T.columns if c.hangs_on == c.name and c.name in t.columns]
    their_days = {c.replace("_at", "_day") for c in later}  # no more known than the moments
    known = sorted(set(t.columns) - {"row", "ts", *later, *their_days, *key})
    order = [rows.ts, *(rows[c] for c in known)]
    if later:
        far = ibis.literal(_LATEST).cast("timestamp(6)")
        order.append(
            ibis.array(
                [ibis.struct({"at": rows[c].fill_null(far), "what": c}) for c in later]
            ).sort()
        )
    content = ibis.struct({c: rows[c] for c in ["ts", *known, *later]})
    window = ibis.window(group_by=[rows[c] for c in key], order_by=order)
    placed = rows.select(
        "row",
        place=ibis.row_number().over(window),
        same=content == content.first().over(window),
    )
    rule = placed.same.ifelse("repeated_row", "repeated_id")
    return placed.filter(placed.place > 0).select("row", rule=rule)
