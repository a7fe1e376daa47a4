"""Until when each table says what happened: silence after its end is not knowledge."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure import parsing
from tenure.config import Config
from tenure.contract import TABLES
from tenure.errors import DataError

__all__ = ["observe"]

_QUIET_DAYS = 7  # a closing silence that needs no word
_FEW_DAYS, _LONG_GAP = 30, 30
_UNLABELLED = ("customers", "treatments")  # they hold no stream of events that could break off

Span = tuple[dt.date | None, dt.date | None]


def observe(
    con: Any, config: Config, tables: Mapping[str, ir.Table], spans: Mapping[str, Span]
) -> tuple[dt.date, dt.date, dict[str, dt.date], dict[str, list[str]]]:
    """Find where the label's table begins and ends, and which other tables end before it does.

    Parameters
    ----------
    con : ibis backend
        The engine.
    config : Config
        Its `observed_until` decide where they are given.
    tables : mapping of str to Table
        The kept rows.
    spans : mapping of str to (date, date)
        Local days of the first and the last row of each.

    Returns
    -------
    first_day, observed_until : date
        Of the label's table; `date.min` where labels have no dates.
    ends : dict of str to date
        Other tables that end before that.
    notes : dict of str to list of str
        What is odd about the end of each table.

    Raises
    ------
    DataError
        If `observed_until` leaves no day of the label's table.
    """
    name = config.churn.table
    first = spans[name][0]
    if first is None:  # labels without dates
        return dt.date.min, dt.date.min, {}, {}
    asked = {n: config.data.tables[n].observed_until for n in tables}
    notes = _beyond(name, asked, spans)
    given = asked[name]
    until = given or _end(con, name, tables[name], config.timezone)
    if given and until <= first:
        raise DataError(f"{name}: observed_until {until} leaves no day after the first row's.")
    if not given:
        notes.setdefault(name, []).extend(_closing_silence(con, name, tables[name]))
    early = {}
    for other, table in tables.items():
        if other not in (name, *_UNLABELLED):
            end = asked[other] or _fell_silent(con, table, other, until)
            if end is not None and end < until:
                early[other] = end
    return first, until, early, notes


def _end(con: Any, name: str, kept: ir.Table, zone: str) -> dt.date:
    """Return the local day at whose midnight observation of a table ends.

    The last row's day has been seen in part only, so that observation ends when it starts; where
    dates carry no time, it has been seen whole. Of subscriptions, an end is an event too.
    """
    moments = [kept[at] for at in (*TABLES[name].at, "ended_at") if at in kept.columns]
    at = ibis.greatest(*moments) if len(moments) > 1 else moments[0]
    day = parsing.local_day(at, zone)
    dated = (at == parsing.midnight(day, zone)).all()
    found = con.to_pyarrow(kept.aggregate(last=day.max(), dated=dated)).to_pylist()[0]
    last: dt.date = found["last"]
    return last + dt.timedelta(days=1) if found["dated"] else last


def _days(con: Any, kept: ir.Table, *columns: str) -> list[dt.date]:
    """Return the local days on which something happened, in order."""
    parts = [kept.select(day=kept[c]).distinct() for c in columns if c in kept.columns]
    rows = con.to_pyarrow(ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0])
    return sorted(day for day in rows["day"].to_pylist() if day is not None)


def _start_day(name: str, kept: ir.Table) -> str:
    spec = TABLES[name]
    start = spec.start(kept.columns)
    return next(day for day, at in spec.days.items() if at == start)


def _longest(days: Sequence[dt.date]) -> int | None:
    return max(((b - a).days for a, b in itertools.pairwise(days)), default=None)


def _fell_silent(con: Any, kept: ir.Table, name: str, until: dt.date) -> dt.date | None:
    """Return the day after a table's last one where its closing silence is no usual pause.

    A table shares the end of the label's table unless it has been silent before that end for more
    than three times its longest earlier gap.
    """
    # the end of a subscription is an event too
    days = [d for d in _days(con, kept, _start_day(name, kept), "ended_day") if d < until]
    longest = _longest(days)
    if longest is None or (until - days[-1]).days <= 3 * longest:
        return None
    return days[-1] + dt.timedelta(days=1)


def _beyond(
    label: str, asked: Mapping[str, dt.date | None], spans: Mapping[str, Span]
) -> dict[str, list[str]]:
    """Say of each table how far its `observed_until` lies behind its last row."""
    notes = {}
    for name, until in asked.items():
        last = spans[name][1]
        if until is None or last is None or (until - last).days <= _QUIET_DAYS:
            continue
        lost = "customers silent since then count as lost"
        since = lost if name == label else "its silence since then counts as nothing happening"
        notes[name] = [
            f"observed_until {until} lies {(until - last).days:,} days beyond the last row, of "
            f"{last}: {since}. Leave it out unless the rows are complete until then."
        ]
    return notes


def _closing_silence(con: Any, name: str, kept: ir.Table) -> list[str]:
    """Warn of a last day that stands alone far behind the others, as mistyped years do."""
    days = _days(con, kept, _start_day(name, kept), "ended_day")
    if "ended_day" in kept.columns:
        starts = _days(con, kept, _start_day(name, kept))
        planned = sum(day > starts[-1] for day in days)
        if planned and (days[-1] - starts[-1]).days > max(_LONG_GAP, 3 * (_longest(starts) or 0)):
            note = (
                f"ended_at goes on for {(days[-1] - starts[-1]).days:,} days after the last "
                f"started_at, of {starts[-1]}. If it holds planned ends, map them to renews_at and "
                "leave ended_at empty until an end has come, or set observed_until."
            )
            return [note]
    gap = (days[-1] - days[-2]).days if len(days) > 1 else 0
    if len(days) <= _FEW_DAYS or gap <= max(_LONG_GAP, 3 * (_longest(days[:-1]) or 0)):
        return []
    note = (
        f"the last day, {days[-1]}, comes {gap:,} days after the one before. If it is a "
        f"slip, correct it or set observed_until: {days[-2]}: customers silent since then would "
        "count as lost."
    )
    return [note]
