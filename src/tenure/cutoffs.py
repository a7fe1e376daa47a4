"""Every instant the product compares with, as UTC, from local days of the config's time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa

from tenure.config import Config
from tenure.errors import DataError

__all__ = ["MOST_TESTS", "check_day", "complete_for", "cutoff_table", "instant", "plan"]

MOST_TESTS = 3  # cutoffs of the test, the newest that can be predicted
MOST = 18  # cutoffs taken when `count: auto`
LEAST_HISTORY = 90  # days of log before the earliest cutoff


def instant(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return the moment at which a local day begins, as naive UTC.

    Where a clock change skips midnight, the day begins when the clock first shows it.

    Examples
    --------
    >>> instant(dt.date(2026, 7, 1), ZoneInfo("Europe/Berlin"))
    datetime.datetime(2026, 6, 30, 22, 0)
    """
    local = dt.datetime(day.year, day.month, day.day, tzinfo=zone)
    return local.astimezone(dt.UTC).replace(tzinfo=None)


def cutoff_table(
    days: Sequence[dt.date],
    zone: ZoneInfo,
    *,
    windows: Iterable[int] = (),
    label: tuple[int, int] | None = None,
) -> pa.Table:
    """Return one row a cutoff with every instant a query may compare with.

    Parameters
    ----------
    days : sequence of date
        Local days whose midnight is a cutoff.
    zone : ZoneInfo
        The config's time zone.
    windows : iterable of int
        Calendar days; each gives a column `start_<w>d`, the first instant inside the window.
    label : (int, int), optional
        Gap and length of the label window in days, giving `label_start` and `label_end`
        (`[cutoff + gap, cutoff + gap + length)`).

    Returns
    -------
    pyarrow.Table
        `cutoff_day` (date), `cutoff` and the others (timestamp[us], naive UTC).
    """

    def column(shift: int) -> pa.Array:
        moments = [instant(day + dt.timedelta(days=shift), zone) for day in days]
        return pa.array(moments, pa.timestamp("us"))

    columns = {"cutoff_day": pa.array(days, pa.date32()), "cutoff": column(0)}
    columns |= {f"start_{w}d": column(-w) for w in sorted(set(windows))}
    if label is not None:
        gap, length = label
        columns |= {"label_start": column(gap), "label_end": column(gap + length)}
    return pa.table(columns)


def complete_for(days: Sequence[dt.date], cutoff: dt.date, label_days: int) -> tuple[dt.date, ...]:
    """Return the cutoffs whose label is complete at `cutoff`: the absolute embargo.

    Examples
    --------
    >>> complete_for([dt.date(2026, 1, 1), dt.date(2026, 2, 1)], dt.date(2026, 4, 1), 90)
    (datetime.date(2026, 1, 1),)
    """
    return tuple(day for day in days if day + dt.timedelta(days=label_days) <= cutoff)


def plan(config: Config, first_day: dt.date, observed_until: dt.date) -> tuple[dt.date, ...]:
    """Choose the cutoffs with complete labels that the log affords, oldest first.

    Parameters
    ----------
    config : Config
        Its `cutoffs` and `churn` sections decide.
    first_day : date
        Local day of the first event.
    observed_until : date
        Local day whose midnight ends observation; a label must be complete at or before it.

    Raises
    ------
    DataError
        If the asked-for last cutoff lies outside the data, or no cutoff fits.
    """
    label_days, table = config.churn.complete_days, config.churn.table
    newest = observed_until - dt.timedelta(days=label_days)
    last = newest if config.cutoffs.last == "latest" else config.cutoffs.last
    if last > newest:
        end = dt.date.fromordinal(min(last.toordinal() + label_days, dt.date.max.toordinal()))
        raise DataError(
            f"cutoffs.last: {last} needs labels up to {end}, but "
            f"the data end at {observed_until}. The newest cutoff with a complete label is "
            f"{newest}; give that, `latest`, or a shorter churn.horizon_days."
        )
    if last <= first_day:
        raise DataError(
            f"{table}: no {table} before cutoff {last}. The log runs from {first_day} "
            f"to {observed_until} and the label takes {label_days} days; "
            "use a longer log or a shorter churn.horizon_days."
        )
    step = dt.timedelta(days=config.cutoffs.every_days)
    most = MOST if config.cutoffs.count == "auto" else config.cutoffs.count
    days = [last - k * step for k in range(most)]
    return tuple(sorted(d for d in days if d > first_day and _has_history(d, first_day, last)))


def check_day(
    day: dt.date, first_day: dt.date, observed_until: dt.date, table: str = "transactions"
) -> None:
    """Refuse to look at customers before the label's table begins or after it ends.

    Raises
    ------
    DataError
        With both ends of the log.
    """
    if day > observed_until:
        raise DataError(
            f"{table}: end at {observed_until}, before {day}; silence after the end of the "
            "data is not knowledge. Load newer data, set observed_until if the log is complete, "
            "or ask for an earlier day."
        )
    if day <= first_day:
        raise DataError(f"{table}: no {table} before cutoff {day}; the log begins on {first_day}.")


def _has_history(day: dt.date, first_day: dt.date, last: dt.date) -> bool:
    # A log too short for the full history keeps its newest cutoff, and the run says so.
    return day == last or (day - first_day).days >= LEAST_HISTORY
