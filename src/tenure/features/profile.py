"""Who the customer is: how long ago they signed up, and the attributes the config declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.spec import escaped, feature, view
from tenure.snapshot import known

__all__ = [
    "Attribute", "attribute_columns", "attribute_levels", "attribute_values", "called",
    "dated_attributes", "known_attributes",
]  # fmt: skip

DAY = 86_400
MOST, FEWEST = 8, 10  # levels of an attribute, and customers behind each
REST = "other"
PREFIX = "attribute["


@dataclass(frozen=True)
class Attribute:
    """One finished column of a customers' attribute: a number, or one level of a text.

    Attributes
    ----------
    name : str
        `profile[NAME]`, or `profile[NAME=level]`.
    source : str
        The column of `customers` it comes from.
    level : str or None
        The level it tells, None for a number.
    kept : tuple of str
        All levels of the attribute; what is none of them is `other`.
    """

    name: str
    source: str
    level: str | None = None
    kept: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What it is counted in."""
        return "number" if self.level is None else "0 or 1"

    @property
    def description(self) -> str:
        """What the number is, as a phrase for people."""
        name = called(self.source)
        return f"Attribute {name}" if self.level is None else f"Attribute {name}: {self.level}"

    @property
    def says(self) -> str:
        """How one customer's value is told; the user's words may hold signs of our language."""
        name = escaped(called(self.source))
        if self.level is None:
            return f"{name} is {{value}}"
        return f"{name} [is|is not] {escaped(self.level)}"

    @property
    def none(self) -> str:
        """What is said where the value is missing."""
        return f"{escaped(called(self.source))} is not known"


def attribute_levels(
    customers: ir.Table,
    given: Mapping[str, Sequence[str]] | None = None,
    *,
    most: int = MOST,
    fewest: int = FEWEST,
) -> dict[str, tuple[str, ...]]:
    """Choose the levels of every text attribute: the most frequent, ties by name.

    Parameters
    ----------
    customers : Table
        One row a customer, with the attributes as known by then; others are null.
    given : mapping, optional
        Levels that the config sets, by `customers.NAME` or `NAME`.
    most, fewest : int
        Levels kept, and customers each needs: a rarer one may be somebody's free text.

    Returns
    -------
    dict
        `customers.attribute[NAME]` to levels in order of name, without `other`; numeric
        attributes have no entry.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for column, kind in customers.schema().items():
        if not _is_attribute(column) or not kind.is_string():
            continue
        name = called(column)
        set_by = (given or {}).get(f"customers.{name}", (given or {}).get(name))
        if set_by is not None:
            chosen[f"customers.{column}"] = tuple(x for x in set_by if x != REST)
            continue
        top = customers.group_by(level=customers[column]).agg(n=customers.customer_id.nunique())
        top = top.filter(top.level.notnull(), top.level != REST, top.n >= fewest)
        top = top.order_by(ibis.desc("n"), "level").limit(most)
        chosen[f"customers.{column}"] = tuple(sorted(top.level.to_pyarrow().to_pylist()))
    return chosen


def attribute_columns(
    available: Sequence[str], levels: Mapping[str, Sequence[str]]
) -> list[Attribute]:
    """List the columns that the attributes make.

    Parameters
    ----------
    available : sequence of str
        Columns of `customers`.
    levels : mapping
        From `attribute_levels`; an attribute without an entry is a number.
    """
    made = []
    for column in filter(_is_attribute, available):
        name = called(column)
        if f"customers.{column}" not in levels:
            made.append(Attribute(f"profile[{name}]", column))
            continue
        kept = tuple(levels[f"customers.{column}"])
        made += [
            Attribute(f"profile[{name}={level}]", column, level, kept) for level in (*kept, REST)
        ]
    return made


def attribute_values(
    customers: ir.Table, attributes: Sequence[Attribute]
) -> dict[str, ir.FloatingValue]:
    """Compute the columns, one value a row of `customers`.

    A number stays as it is; a level is 1 or 0; what is missing or not yet known is missing in all
    its columns.

    Parameters
    ----------
    customers : Table
        Rows that hold the attributes' columns, null where unknown.
    attributes : sequence of Attribute
        From `attribute_columns`.
    """
    return {one.name: _value(customers[one.source], one) for one in attributes}


def _value(given: ir.Value, one: Attribute) -> Any:
    if one.level is None:
        return given.cast("float64")
    is_told = ~given.isin(one.kept) if one.level == REST else given == one.level
    return given.notnull().ifelse(is_told.cast("float64"), ibis.null("float64"))


def _is_attribute(column: str) -> bool:
    return column.startswith(PREFIX) and column.endswith("]")  # and not the date of one


def called(column: str) -> str:
    """Return the user's name of an attribute's column."""
    return column.removeprefix(PREFIX)[:-1]


def dated_attributes(available: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Group attributes by the date from which they are known: their own, else the sign-up.

    Those without a date are left out.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for column in filter(_is_attribute, available):
        at = f"{column}_at" if f"{column}_at" in available else "signup_at"
        if at in available:
            groups[at] = (*groups.get(at, ()), column)
    return groups


def known_attributes(customers: ir.Table, cutoffs: ir.Table) -> list[ir.Table]:
    """Return the customers and their attributes as known at each cutoff, one table a date."""
    loaded = [c for c in ("loaded_at",) if c in customers.columns]
    return [
        known("customers", customers.select("customer_id", at, *loaded, *columns), cutoffs, at)
        for at, columns in dated_attributes(customers.columns).items()
    ]


@view("customers", at="signup_at", rows="customers", none="No sign-up date")
def signups_(c: ir.Table) -> ir.Table:
    """Rows: the customers who have signed up."""
    return c


@feature(signups_, unit="days", factor="lifecycle", says="Signed up {value} ago")
def days_since_signup(c: ir.Table) -> Any:
    """Days since the customer signed up."""
    return c.cutoff.delta(c.signup_at, unit="second").max() / DAY
