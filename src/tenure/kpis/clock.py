"""The clock that runs only while support works."""

from __future__ import annotations

import re
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from tenure import parsing
from tenure.errors import ConfigError

__all__ = ["opening_times", "working_seconds"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"^([01]\d|2[0-4]):([0-5]\d)\s*-\s*([01]\d|2[0-4]):([0-5]\d)$")


def opening_times(hours: Mapping[str, str]) -> list[tuple[int, int]]:
    """Return when support opens and closes on each day of the week, Monday first, in seconds.

    Raises
    ------
    ConfigError
        If a day, a range of days or a time cannot be read, with all of them.

    Examples
    --------
    >>> opening_times({"mon-fri": "09:00-17:00", "sat": "10:00-14:00"})[4:]
    [(32400, 61200), (36000, 50400), (0, 0)]
    """
    week = [(0, 0)] * 7
    wrong = []
    for days, times in hours.items():
        first, _, last = days.strip().lower().partition("-")
        found = _HOURS.match(times.strip())
        if first not in _DAYS or (last or first) not in _DAYS or found is None:
            wrong.append(f"{days}: {times}")
            continue
        a, b, c, d = (int(part) for part in found.groups())
        opens, closes = a * 3600 + b * 60, c * 3600 + d * 60
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        if not opens < closes <= 86400:
            wrong.append(f"{days}: {times}")
            continue
        for day in range(start, end + 1 if end >= start else end + 8):
            week[day % 7] = (opens, closes)
    if wrong or not any(closes for _, closes in week):
        raise ConfigError(
            f"experience.support_hours: cannot read {'; '.join(wrong) or 'an empty week'}. Write "
            '{mon-fri: "09:00-17:00", sat: "10:00-14:00"}.'
        )
    return week


def working_seconds(
    start: ir.TimestampValue, end: ir.TimestampValue, hours: Mapping[str, str], zone: str
) -> ir.IntegerValue:
    """Return the seconds between two moments in which support worked, by local wall clock.

    A night on which the clocks change counts by what the clock on the wall shows.
    """
    week = opening_times(hours)
    return _worked(end, week, zone) - _worked(start, week, zone)


def _worked(at: ir.TimestampValue, week: list[tuple[int, int]], zone: str) -> ir.IntegerValue:
    """Return the working seconds from the Monday before 1970 until a moment."""
    local = parsing.local_seconds(at, zone)
    days = local // 86400 + 3  # 1970-01-01 was a Thursday
    second, day = local % 86400, days % 7
    whole = sum(closes - opens for opens, closes in week)
    before, cases = 0, []
    for i, (opens, closes) in enumerate(week):
        today = ibis.greatest(ibis.least(second, closes) - opens, 0)
        cases.append((day == i, before + today))
        before += closes - opens
    return (days // 7) * whole + ibis.cases(*cases)
