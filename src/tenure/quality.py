"""What reading a table found, in counts and in sentences."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.contract import TABLES, Table
from tenure.errors import DataError, listing

__all__ = ["DataReport", "TableReport", "examine"]

_MAJORITY_ALLOWED = ("missing_customer",)  # anonymous sales may well be most of a shop's rows
_WORDS = ("null", "none", "nan", "na", "n/a", "<na>", "unknown", "0", "-1")


@dataclass(frozen=True)
class TableReport:
    """What reading one table found.

    Parameters
    ----------
    rows_read, rows_kept, customers : int
        Counts; the customers are those of kept rows.
    set_aside : dict of str to int
        Rows by the name of the rule they broke.
    sentences : tuple of str
        One for each of these rules: how many, why, what to do.
    notes : tuple of str
        What is odd about kept rows.
    first_day, last_day : date or None
        Local days of the first and the last kept row; None where rows have no date.
    purchases, refunds : int or None
        Of `transactions`.
    """

    rows_read: int
    rows_kept: int
    customers: int
    set_aside: dict[str, int]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    first_day: dt.date | None
    last_day: dt.date | None
    purchases: int | None = None
    refunds: int | None = None


@dataclass(frozen=True)
class DataReport:
    """What reading found, by table."""

    tables: dict[str, TableReport]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, dates in ISO."""
        plain = {name: asdict(report) for name, report in self.tables.items()}
        for report in plain.values():
            report.update({k: str(v) for k, v in report.items() if isinstance(v, dt.date)})
        return {name: {k: v for k, v in r.items() if v is not None} for name, r in plain.items()}


def examine(
    con: Any, name: str, kept: ir.Table, aside: ir.Table, says: Mapping[str, str]
) -> TableReport:
    """Count what was kept and set aside.

    Parameters
    ----------
    con : ibis backend
        The engine.
    name : str
        The table.
    kept, aside : Table
        Its kept rows, and the quarantine with `rule` and `row`.
    says : mapping
        What each rule says.

    Raises
    ------
    DataError
        If no row is left, or the rules took more than half of the rows that name a customer.
    """
    broken = _broken(con, aside)
    spec = TABLES[name]
    found = _row(con, kept.aggregate(**_figures(kept, spec)))
    rows_kept = found["rows"]
    rows_read = rows_kept + sum(n for _, n, _ in broken)
    sentences = [_sentence(name, rule, n, rows, rows_read, says) for rule, n, rows in broken]
    counted = [rule not in _MAJORITY_ALLOWED for rule, _, _ in broken]
    if sum(n for _, n, _ in itertools.compress(broken, counted)) > rows_kept:
        fatal = list(itertools.compress(sentences, counted))
        raise DataError(listing(f"{name}: more than half of the rows break a rule", fatal))
    if not rows_kept:
        raise DataError(listing(f"{name}: no {name} are left", sentences))
    refunds = found.get("refunds")
    return TableReport(
        rows_read=rows_read,
        rows_kept=rows_kept,
        customers=found["customers"],
        set_aside={rule: n for rule, n, _ in broken},
        sentences=tuple(sentences),
        notes=tuple(_notes(con, kept, found, spec)),
        first_day=found.get("first_day"),
        last_day=found.get("last_day"),
        purchases=None if refunds is None else rows_kept - refunds,
        refunds=refunds,
    )


def _row(con: Any, one: ir.Table) -> dict[str, Any]:
    return dict(con.to_pyarrow(one).to_pylist()[0])


def _broken(con: Any, aside: ir.Table) -> list[tuple[str, int, list[int]]]:
    """Return each broken rule, how often, and the first three rows."""
    ranked = aside.mutate(place=ibis.row_number().over(group_by=aside.rule, order_by=aside.row))
    counted = ranked.group_by("rule").agg(
        n=ranked.count(), rows=ranked.row.collect(where=ranked.place < 3)
    )
    found = con.to_pyarrow(counted.order_by(ibis.desc("n"), "rule")).to_pylist()
    return [(r["rule"], r["n"], sorted(r["rows"])) for r in found]


def _sentence(
    name: str, rule: str, n: int, rows: list[int], rows_read: int, says: Mapping[str, str]
) -> str:
    first = ", ".join(f"{r:,}" for r in rows)
    noun = "row" if n == 1 else "rows"
    return (
        f"{rule}: {n:,} of {rows_read:,} {noun} of {name} set aside (first: {first}): {says[rule]}"
    )


def _figures(kept: ir.Table, spec: Table) -> dict[str, ir.Value]:
    figures = {
        "rows": kept.count(),
        "customers": kept.customer_id.nunique(),
        "words": kept.customer_id.lower().isin(_WORDS).sum().fill_null(0),
    }
    day = _day(kept, spec)
    if day is not None:
        figures |= {"first_day": day.min(), "last_day": day.max()}
    if spec.name == "transactions":
        purchase = kept.kind == "purchase"
        figures["refunds"] = (~purchase).sum().fill_null(0)
        figures["zero"] = (purchase & (kept.amount == 0)).sum().fill_null(0)
    if spec.key and spec.key[0] in kept.columns:
        figures["nameless"] = kept[spec.key[0]].isnull().sum().fill_null(0)
    return figures


def _day(kept: ir.Table, spec: Table) -> ir.DateValue | None:
    """Return the local day on which each row begins."""
    start = spec.start(kept.columns)
    return next((kept[day] for day, at in spec.days.items() if at == start), None)


def _notes(con: Any, kept: ir.Table, found: dict[str, Any], spec: Table) -> list[str]:
    notes = []
    if found.get("zero"):
        notes.append(f"{found['zero']:,} purchases have amount 0; they make no purchase day.")
    if found["words"]:
        notes.append(
            f"{found['words']:,} rows name a customer like NULL, nan, unknown or 0. If that means "
            "nobody, empty customer_id there: together they count as one customer."
        )
    if found.get("nameless"):
        notes.append(f"{found['nameless']:,} rows have no {spec.key[0]} and cannot be compared.")
    if spec.key and spec.key[0] not in kept.columns:
        repeated = found["rows"] - int(con.to_pyarrow(kept.distinct().count()).as_py())
        if repeated:
            notes.append(
                f"{repeated:,} rows repeat another row exactly and are kept: without "
                f"{spec.key[0]}, a second one and a copy look alike. Map it if you have one."
            )
    if spec.name == "transactions" and "transaction_id" not in kept.columns:
        notes += _item_lines(con, kept, found["rows"])
    return notes


def _item_lines(con: Any, kept: ir.Table, rows: int) -> list[str]:
    moments = int(con.to_pyarrow(kept.select("customer_id", "ts").distinct().count()).as_py())
    if 3 * (rows - moments) <= rows:
        return []
    note = (
        f"{rows - moments:,} of {rows:,} rows share customer and moment with another: these look "
        "like item lines, and each now counts as an order. Sum them per invoice with `sql:` "
        "(docs/config.md has an example)."
    )
    return [note]
