"""What is known at the end of observation, and the months it is reported for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tenure import parsing
from tenure.config import Config
from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table, instant
from tenure.snapshot import known, ledger

__all__ = ["World", "month_after", "months_between", "seconds_between"]


_COUNTED = ("transactions", "interactions", "subscriptions")


def month_after(day: dt.date, months: int = 1) -> dt.date:
    """Return the first day of the month so many months after the one that holds `day`.

    Examples
    --------
    >>> month_after(dt.date(2025, 12, 31)), month_after(dt.date(2025, 3, 1), -12)
    (datetime.date(2026, 1, 1), datetime.date(2024, 3, 1))
    """
    count = day.year * 12 + day.month - 1 + months
    return dt.date(count // 12, count % 12 + 1, 1)


def months_between(first_day: dt.date, until: dt.date) -> list[dt.date]:
    """Return the first days of the months that lie whole in `[first_day, until)`.

    Examples
    --------
    >>> months_between(dt.date(2025, 1, 2), dt.date(2025, 4, 1))
    [datetime.date(2025, 2, 1), datetime.date(2025, 3, 1)]
    """
    month = first_day if first_day.day == 1 else month_after(first_day)
    found = []
    while month_after(month) <= until:
        found.append(month)
        month = month_after(month)
    return found


def seconds_between(start: ir.TimestampValue, end: ir.TimestampValue) -> ir.IntegerValue:
    """Return the whole seconds from one moment to another."""
    return end.delta(start, unit="second")


def _is_dated(name: str, t: ir.Table) -> bool:
    return "loaded_at" in t.columns or TABLES[name].start(t.columns) is not None


def _all_begun(people: ir.Table) -> ir.Table:
    """Let customers without a sign-up have been there from the start."""
    begun = ibis.literal(dt.datetime(1970, 1, 1), "timestamp(6)")
    given = people.signup_at if "signup_at" in people.columns else ibis.null("timestamp(6)")
    return people.mutate(signup_at=ibis.coalesce(given, begun))


def _as_known(people: ir.Table) -> ir.Table:
    """Leave out attributes whose own date has not come."""
    dated = [c for c in people.columns if f"{c}_at" in people.columns]
    return people.mutate(
        **{
            c: people[f"{c}_at"].notnull().ifelse(people[c], ibis.null(people[c].type()))
            for c in dated
        }
    )


@dataclass(frozen=True)
class World:
    """Every table as known at the end of observation.

    Attributes
    ----------
    con : ibis backend
        The engine.
    config : Config
        What the user set.
    tables : mapping of str to ir.Table
        Rows and facts dated before the end; later ones are gone, later facts null.
    first_day, until : date
        Local days: the log begins on the first and ends with the midnight that starts the second.
    spans : mapping of str to (date, date)
        The same for each table by itself.
    """

    con: Any
    config: Config
    tables: Mapping[str, ir.Table]
    first_day: dt.date
    until: dt.date
    spans: Mapping[str, tuple[dt.date, dt.date]]

    @classmethod
    def at_the_end(
        cls,
        con: Any,
        config: Config,
        tables: Mapping[str, ir.Table],
        until: dt.date,
        ends: Mapping[str, dt.date] | None = None,
    ) -> World:
        """Hide whatever is dated, known or loaded at or after the end of observation.

        Parameters
        ----------
        con, config, tables : ibis backend, Config, mapping
            The engine, the settings and the typed tables.
        until : date
            The local day whose midnight ends observation.
        ends : mapping, optional
            Where tables end before that.
        """
        cuts = ibis.memtable(cutoff_table([until], config.zone))
        timeless = {name: t for name, t in tables.items() if not _is_dated(name, t)}
        seen = {
            name: known(name, t if name != "customers" else _all_begun(t), cuts)
            for name, t in tables.items()
            if name not in timeless
        }
        seen = {name: t.drop("cutoff", "cutoff_day") for name, t in seen.items()} | timeless
        if "customers" in seen:
            seen["customers"] = _as_known(seen["customers"])
        spans = {}
        for name, t in seen.items():
            start = TABLES[name].start(t.columns)
            if start is None or name == "customers":
                continue
            first = parsing.local_day(t[start].min(), config.timezone)
            day = con.to_pyarrow(first.name("day").as_table())["day"][0].as_py()
            if day is not None:
                spans[name] = (day, min(until, (ends or {}).get(name, until)))
        first_day = min((span[0] for span in spans.values()), default=until)
        main = config.churn.table
        first_day = spans[main][0] if main in spans else first_day
        return cls(con, config, seen, first_day, until, spans)

    @property
    def end(self) -> ir.TimestampScalar:
        """The moment at which observation ends."""
        return ibis.literal(instant(self.until, self.config.zone), "timestamp(6)")

    def has(self, need: str) -> bool:
        """Tell whether a `table`, a `table.column`, or one of several (`a|b`) is there."""
        if "|" in need:
            return any(self.has(one) for one in need.split("|"))
        table, _, column = need.partition(".")
        return table in self.tables and (not column or column in self.tables[table].columns)

    def day(self, at: ir.TimestampValue) -> ir.DateValue:
        """Return the local day of a moment."""
        return parsing.local_day(at, self.config.timezone)

    def asked_by(self, at: ir.TimestampValue) -> ir.TimestampValue:
        """Return the moment by which something was sent: of a date without a time, its end."""
        zone = self.config.timezone
        day = self.day(at)
        next_day = (day + ibis.interval(days=1)).cast("date")
        return (at == parsing.midnight(day, zone)).ifelse(parsing.midnight(next_day, zone), at)

    def month(self, at: ir.TimestampValue | ir.DateValue) -> ir.DateValue:
        """Return the first day of the local month of a moment or a local day."""
        day = self.day(at) if at.type().is_timestamp() else at
        return day.truncate("month").cast("date")

    def months(self, *tables: str) -> list[dt.date]:
        """Return the months that lie whole in the log, and for which these tables speak.

        A log that counts (orders, contacts, subscriptions) speaks from its first row on; surveys
        and campaigns may well begin within a month.
        """
        spans = {t: self.spans[t] for t in tables if t in self.spans}
        first = max([self.first_day, *(s[0] for t, s in spans.items() if t in _COUNTED)])
        return months_between(first, min([self.until, *(s[1] for s in spans.values())]))

    def calendar(self, months: Sequence[dt.date], **shifts: int) -> ir.Table:
        """Return one row a month: `month`, `starts`, `ends`, and moments so many days after it.

        Every moment is UTC; `<name>_day` beside it is the local day.
        """
        zone = self.config.zone
        edges: dict[str, list[dt.date]] = {
            "starts": list(months), "ends": [month_after(m) for m in months],
        }  # fmt: skip
        edges |= {n: [m + dt.timedelta(days=s) for m in months] for n, s in shifts.items()}
        columns: dict[str, pa.Array] = {"month": pa.array(months, pa.date32())}
        for name, days in edges.items():
            columns[name] = pa.array([instant(d, zone) for d in days], pa.timestamp("us"))
            columns[f"{name}_day"] = pa.array(days, pa.date32())
        return ibis.memtable(pa.table(columns))

    def ledger(self) -> ir.Table:
        """Return every change of money on its own date: purchases, refunds, cancellations."""
        return ledger(self.tables["transactions"])

    def purchases(self) -> ir.Table:
        """Return the purchases above 0."""
        t = self.tables["transactions"]
        return t.filter(t.kind == "purchase", t.amount > 0)

    def column(self, t: ir.Table, name: str, kind: str) -> ir.Value:
        """Return a column of a table, or nulls where the table does not have it."""
        return t[name] if name in t.columns else ibis.null(kind)
