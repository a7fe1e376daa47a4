"""What reading a table found, in counts and in sentences."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure import parsing
from tenure.contract import SAYS
from tenure.errors import DataError, listing

__all__ = ["DataReport", "TableReport", "ends", "examine"]

_MAJORITY_ALLOWED = ("missing_customer",)  # anonymous sales may well be most of a shop's rows
_WORDS = ("null", "none", "nan", "na", "n/a", "<na>", "unknown", "0", "-1")


@dataclass(frozen=True)
class TableReport:
    """What reading one table found.

    Parameters
    ----------
    rows_read, rows_kept, customers, purchases, refunds : int
        Counts; the last three of kept rows.
    set_aside : dict of str to int
        Rows by the name of the rule they broke.
    sentences : tuple of str
        One for each of these rules: how many, why, what to do.
    notes : tuple of str
        What is odd about kept rows.
    first_day, last_day : date
        Local days of the first and the last kept row.
    """

    rows_read: int
    rows_kept: int
    customers: int
    purchases: int
    refunds: int
    set_aside: dict[str, int]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    first_day: dt.date
    last_day: dt.date


@dataclass(frozen=True)
class DataReport:
    """What reading found, by table."""

    tables: dict[str, TableReport]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, dates in ISO."""
        plain = {name: asdict(report) for name, report in self.tables.items()}
        for report in plain.values():
            report.update({k: str(report[k]) for k in ("first_day", "last_day")})
        return plain


def examine(con: Any, name: str, kept: ir.Table, aside: ir.Table) -> TableReport:
    """Count what was kept and set aside.

    Raises
    ------
    DataError
        If no row is left, or the rules took more than half of the rows that name a customer.
    """
    broken = _broken(con, aside)
    found = _row(con, kept.aggregate(**_figures(kept)))
    rows_kept = found["rows"]
    rows_read = rows_kept + sum(n for _, n, _ in broken)
    sentences = [_sentence(name, rule, n, rows, rows_read) for rule, n, rows in broken]
    counted = [rule not in _MAJORITY_ALLOWED for rule, _, _ in broken]
    if sum(n for _, n, _ in itertools.compress(broken, counted)) > rows_kept:
        fatal = list(itertools.compress(sentences, counted))
        raise DataError(listing(f"{name}: more than half of the rows break a rule", fatal))
    if not rows_kept:
        raise DataError(listing(f"{name}: no transactions are left", sentences))
    return TableReport(
        rows_read=rows_read,
        rows_kept=rows_kept,
        customers=found["customers"],
        purchases=rows_kept - found["refunds"],
        refunds=found["refunds"],
        set_aside={rule: n for rule, n, _ in broken},
        sentences=tuple(sentences),
        notes=tuple(_notes(con, kept, found)),
        first_day=found["first_day"],
        last_day=found["last_day"],
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


def _sentence(name: str, rule: str, n: int, rows: list[int], rows_read: int) -> str:
    first = ", ".join(f"{r:,}" for r in rows)
    noun = "row" if n == 1 else "rows"
    return (
        f"{rule}: {n:,} of {rows_read:,} {noun} of {name} set aside (first: {first}): {SAYS[rule]}"
    )


def _figures(kept: ir.Table) -> dict[str, ir.Value]:
    purchase = kept.kind == "purchase"
    figures = {
        "rows": kept.count(),
        "customers": kept.customer_id.nunique(),
        "refunds": (~purchase).sum().fill_null(0),
        "zero": (purchase & (kept.amount == 0)).sum().fill_null(0),
        "words": kept.customer_id.lower().isin(_WORDS).sum().fill_null(0),
        "first_day": kept.day.min(),
        "last_day": kept.day.max(),
    }
    if "transaction_id" in kept.columns:
        figures["nameless"] = kept.transaction_id.isnull().sum().fill_null(0)
    return figures


def _notes(con: Any, kept: ir.Table, found: dict[str, Any]) -> list[str]:
    notes = []
    if found["zero"]:
        notes.append(f"{found['zero']:,} purchases have amount 0; they make no purchase day.")
    if found["words"]:
        notes.append(
            f"{found['words']:,} rows name a customer like NULL, nan, unknown or 0. If that means "
            "nobody, empty customer_id there: together they count as one customer."
        )
    if found.get("nameless"):
        notes.append(f"{found['nameless']:,} rows have no transaction_id and cannot be compared.")
    if "transaction_id" not in kept.columns:
        repeated = found["rows"] - int(con.to_pyarrow(kept.distinct().count()).as_py())
        if repeated:
            notes.append(
                f"{repeated:,} rows repeat another row exactly and are kept: without "
                "transaction_id, a second purchase and a copy look alike. Map it if you have one."
            )
        moments = int(con.to_pyarrow(kept.select("customer_id", "ts").distinct().count()).as_py())
        if 3 * (found["rows"] - moments) > found["rows"]:
            notes.append(
                f"{found['rows'] - moments:,} of {found['rows']:,} rows share customer and moment "
                "with another: these look like item lines, and each now counts as an order. Sum "
                "them per invoice with `sql:` (docs/config.md has an example)."
            )
    return notes + _closing_silence(con, kept)


def _closing_silence(con: Any, kept: ir.Table) -> list[str]:
    """Warn of a last day that stands alone far behind the others, as mistyped years do."""
    days = con.to_pyarrow(kept.select("day").distinct().order_by("day"))["day"].to_pylist()
    gaps = [(b - a).days for a, b in itertools.pairwise(days)]
    if len(gaps) < 30 or gaps[-1] <= max(30, 3 * max(gaps[:-1])):
        return []
    note = (
        f"the last day, {days[-1]}, comes {gaps[-1]:,} days after the one before. If it is a "
        f"slip, correct it or set observed_until: {days[-2]}: customers silent since then would "
        "count as lost."
    )
    return [note]


def ends(con: Any, kept: ir.Table, zone: str) -> dt.date:
    """Return the local day at whose midnight observation ends.

    The last row's day has been seen in part only, so that observation ends when it starts; where
    dates carry no time, it has been seen whole.
    """
    dated = (kept.ts == parsing.midnight(kept.day, zone)).all()
    found = _row(con, kept.aggregate(last=kept.day.max(), dated=dated))
    last: dt.date = found["last"]
    return last + dt.timedelta(days=1) if found["dated"] else last
