"""The rules that set rows aside."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from tenure import parsing
from tenure.contract.tables import PURCHASE, Column, Table

__all__ = ["LATEST", "SCALES", "Rule", "broken_rule", "rules", "says"]

_EARLIEST, LATEST = dt.datetime(1971, 1, 1), dt.datetime(2200, 1, 1)
_ABSURD = Decimal(10) ** 13
SCALES: dict[str, tuple[int, int]] = {
    "nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "review": (1, 5),
}  # fmt: skip


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
    needs: tuple[str, ...] = ()  # columns without which the rule is idle


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
        return (t[column] < _EARLIEST) | (t[column] >= LATEST)

    says = f"{column} lies outside 1971 to 2199, as placeholders do. Empty it or correct it."
    return Rule(f"impossible_{column}", column, broken, says)


def _unreadable_number(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        given = t[f"given_{column}"]
        return t[column].isnull() & ~parsing.blank(given) & parsing.as_double(given).isnull()

    return Rule(f"unreadable_{column}", column, broken, f"{column} is not a number. Clean it.")


def _unreadable_flag(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        return t[column].isnull() & ~parsing.blank(t[f"given_{column}"])

    says = f"{column} is neither yes nor no (true/false, 1/0). Translate it with map: {{…}}."
    return Rule(f"unreadable_{column}", column, broken, says)


def _absurd(column: str) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        number = t[column]
        lost = number.isnull()
        if column != "amount":  # by now a missing amount has been set aside already
            lost &= ~parsing.blank(t[f"given_{column}"])
        return lost | (number.abs() >= _ABSURD)

    says = f"{column} is infinite or too large (10^13 and more). Correct it."
    return Rule(f"absurd_{column}", column, broken, says)


def _unknown_level(column: Column) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        return ~parsing.text(t[f"given_{column.name}"]).lower().isin(column.levels)

    known, name = ", ".join(column.levels), column.name
    if len(column.levels) == 2:
        says = f"{name} is neither {' nor '.join(column.levels)}."
    else:
        says = f"{name} is none of {known}."
    says += f" Translate it: {name}: {{column: …, map: {{…}}}}."
    return Rule(f"unknown_{name}", name, broken, says)


def _negative(column: str) -> Rule:
    says = f"{column} is below zero. Correct it."
    return Rule(f"negative_{column}", column, lambda t: t[column] < 0, says)


def _too_early(column: str, start: str) -> Rule:
    says = f"{column} comes on a day before {start}. Correct one of them."
    return Rule(f"early_{column}", column, lambda t: t[column] < t[start], says, needs=(start,))


def _off_scale(scales: Mapping[str, tuple[int, int]]) -> Rule:
    def broken(t: ir.Table) -> ir.BooleanValue:
        outside = ibis.cases(
            *((t.kind == k, ~t.score.between(low, high)) for k, (low, high) in scales.items()),
            else_=False,
        )
        return t.score.notnull() & outside

    known = ", ".join(f"{k} {low}-{high}" for k, (low, high) in scales.items())
    says = f"score lies outside its scale ({known}). Correct it, or give scales: for the table."
    return Rule("score_off_scale", "score", broken, says, needs=("kind",))


def _unanswered(t: ir.Table) -> ir.BooleanValue:
    return t.score.notnull() & t.answered_at.isnull()


def _answered_in_words(t: ir.Table) -> ir.BooleanValue:
    if not t.given_score.type().is_string():
        return ibis.literal(False)
    return t.given_score.re_search(r"(?i)^\s*n/a\s*$") & t.answered_at.notnull()


def _dates(spec: Table) -> list[Rule]:
    """Return the rules on a row's beginning: without one nobody knows when it was."""
    starts = [c for c in spec.at if any(k.name == c and k.required for k in spec.columns)]
    if spec.name == "surveys":
        starts = list(spec.at)

    def undated(t: ir.Table) -> ir.BooleanValue:
        held = [c for c in starts if c in t.columns]
        blank = [t[c].isnull() & parsing.blank(t[f"given_{c}"]) for c in held]
        return ibis.and_(*blank)

    if not starts:
        return []
    which = " and ".join(starts)
    says = f"{which} {'is' if len(starts) == 1 else 'are'} empty, so nobody knows when. "
    return [Rule("missing_date", "", undated, says + "Fill it where the file is made.")]


def rules(
    spec: Table,
    scales: Mapping[str, tuple[int, int]] | None = None,
    dates: Sequence[str] = (),
) -> tuple[Rule, ...]:
    """Return the rules of a table, in the order in which they act.

    Parameters
    ----------
    spec : Table
        The contract's table.
    scales : mapping, optional
        Lowest and highest score by kind of survey, where they are not the usual ones.
    dates : sequence of str
        Columns from which declared attributes are known.
    """
    who = "their rows" if spec.name == "customers" else "who it was"
    noun = "who bought" if spec.name == "transactions" else who
    instants = (*spec.kinds("instant"), *dates)
    numbers = spec.kinds("money", "count", "whole", "number")
    required = [c for c in spec.columns if c.required and c.kind in ("text", "flag")]
    facts = [c.name for c in spec.columns if c.hangs_on == c.name and c.name not in spec.at]
    if spec.name == "surveys":
        facts.append("answered_at")
    money = spec.name == "transactions"
    return (
        Rule(
            "missing_customer",
            "customer_id",
            lambda t: t.customer_id.isnull(),
            f"customer_id is empty, so nobody knows {noun}. They count for no customer.",
        ),
        *_dates(spec),
        *(_missing(c.name, f"{c.name} is empty. Fill it, or map a value.") for c in required),
        *(_AMOUNT if money else ()),
        _missing("loaded_at", "loaded_at is empty, so nobody knows since when the row is known."),
        *(_unreadable_instant(c) for c in instants),
        *(_impossible(c) for c in instants),
        *(_unreadable_number(c) for c in numbers),
        *(_unreadable_flag(c) for c in spec.kinds("flag")),
        *(_CURRENCY if money else ()),
        *(_absurd(c) for c in numbers if c != "amount"),
        *((_absurd("amount"),) if money else ()),  # last, since it may be a product of the others
        *(_unknown_level(c) for c in spec.columns if c.levels),
        *((_NEGATIVE_PURCHASE,) if money else ()),
        *(_negative(c) for c in (*spec.kinds("whole"), *(("mrr",) if "mrr" in numbers else ()))),
        *(() if money else (_too_early(c, spec.at[0]) for c in facts)),
        *((_off_scale({**SCALES, **(scales or {})}), *_ANSWERS) if "score" in numbers else ()),
    )


_AMOUNT = (
    _missing("amount", "amount is empty. Write 0 where nothing was paid."),
    _missing("quantity", "quantity is empty, and there is no amount.", unless="amount"),
    _missing("unit_price", "unit_price is empty, and there is no amount.", unless="amount"),
)
_CURRENCY = (
    Rule(
        "unknown_currency",
        "currency",
        lambda t: t.currency.isnull(),
        "currency is empty or no code of three letters. Fill it, or give rates: for it.",
    ),
)
_NEGATIVE_PURCHASE = Rule(
    "negative_purchase",
    "kind",
    lambda t: (parsing.text(t.given_kind).lower() == PURCHASE) & (t.amount < 0),
    "kind says purchase and the amount is negative. Correct one, or leave kind out.",
)
_ANSWERS = (
    Rule(
        "score_without_answer",
        "score",
        _unanswered,
        "there is a score and no answered_at, so nobody knows since when. Fill answered_at.",
        needs=("answered_at",),
    ),
    Rule(
        "score_in_words",
        "score",
        _answered_in_words,
        "the answer says N/A, so it is no score. Leave score empty where nobody answered.",
        needs=("answered_at",),
    ),
)


def says(spec: Table, every: tuple[Rule, ...]) -> dict[str, str]:
    """Return what each rule that may set a row of this table aside says."""
    name = spec.key[0] if spec.key else ""
    lines = (
        "If rows are item lines, sum them with `sql:`, for example SELECT customer, invoice, "
        "min(date) AS ts, sum(amount) AS amount FROM lines GROUP BY customer, invoice. "
    )
    return {
        **{rule.name: rule.says for rule in every},
        "broken_line": (
            "the line has too many or too few fields, or an open quote. Repair the file."
        ),
        "unknown_customer": (
            "no table of customers, purchases or subscriptions knows the customer_id. Check that "
            "both sides write ids alike, or load the customers too."
        ),
        "repeated_row": f"an equal row of the same {name} stands already. Nothing to do.",
        "repeated_id": (
            f"an earlier row of the same {name} stays. "
            + (lines if spec.name == "transactions" else "")
            + "If they are corrections, map loaded_at."
        ),
    }


def broken_rule(t: ir.Table, every: tuple[Rule, ...]) -> ir.StringValue:
    """Return the name of the first rule that each row of a typed table breaks, or null."""
    given = {c.removeprefix("given_") for c in t.columns if c.startswith("given_")}
    active = [
        r
        for r in every
        if (r.column in given or not r.column or r.name == "absurd_amount")
        and r.unless not in given
        and set(r.needs) <= given
    ]
    return ibis.cases(*((rule.broken(t), rule.name) for rule in active), else_=None)
