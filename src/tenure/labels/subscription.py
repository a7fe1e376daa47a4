"""Leaving a contract: spells of subscriptions, who could still leave, and who left.

Rows of one customer with at most `grace_days` local days between an end and the next start are one
spell: an upgrade, or a short pause, is not an end. A row that a later row of the same subscription
replaces ends where that one starts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from tenure.config import ChurnConfig
from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table
from tenure.snapshot import ahead, during, final, known, running, versions

__all__ = [
    "days_to_end",
    "departures",
    "durations",
    "ends",
    "known_periods",
    "lives",
    "noticed",
    "periods",
    "standing",
]

NAME = "subscriptions"
OPEN_END = dt.date(9999, 12, 31)
COLUMNS = (
    "customer_id", "subscription_id", "started_at", "day", "ended_at", "ended_day", "end_reason",
    "cancel_requested_at", "trial_ends_at", "renews_at", "plan", "mrr", "loaded_at",
)  # fmt: skip


def standing(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo
) -> pd.DataFrame:
    """Say where everybody who ever subscribed stands at each cutoff, as known then.

    Returns
    -------
    DataFrame
        `customer_id`, `cutoff` and `status`, ordered by customer and cutoff: `ended` without a
        running subscription, `notice` if notice was given for all that run, `trial` if the others
        are all within their trial, else `scored`.
    """
    rows = known_periods(tables, days, zone)
    gone = rows.open & noticed(rows)
    found = rows.group_by("customer_id", "cutoff_day").agg(
        running=rows.open.sum(),
        noticed=gone.sum(),
        trying=(rows.open & ~gone & ahead(rows, "trial_ends_at")).sum(),
    )
    status = ibis.cases(
        (found.running == 0, "ended"),
        (found.noticed == found.running, "notice"),
        (found.noticed + found.trying == found.running, "trial"),
        else_="scored",
    )
    told = found.select("customer_id", cutoff="cutoff_day", status=status)
    return _collected(told.order_by("customer_id", "cutoff"))


def durations(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo, churn: ChurnConfig
) -> dict[dt.date, pd.DataFrame]:
    """Return how long spells have lasted, as known before each cutoff.

    Whether an end within `grace_days` before the cutoff was one is not known yet: everything is
    followed up to `grace_days` before it.

    Returns
    -------
    dict of date to DataFrame
        `days` that spells lasted or have lasted so far, `left` (their subscribers ended them) and
        `n`, how many.
    """
    told = lives(tables, days, zone, churn)
    told = told.filter(told.days >= 0)
    told = told.group_by("cutoff_day", "days", "left").agg(n=told.count())
    frame = told.order_by("cutoff_day", "days", "left").to_pyarrow().to_pandas()
    asked = pd.to_datetime(frame.pop("cutoff_day")).dt.date
    return {day: frame[asked == day].reset_index(drop=True) for day in days}


def lives(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo, churn: ChurnConfig
) -> ir.Table:
    """Return every spell as known before each cutoff.

    Returns
    -------
    Table
        `customer_id`, `cutoff_day`, `started_at`, `started_day`; `days` and `left` as in
        `durations` (`days` below 0: it began within the grace); `runs`, and its `age` in days.
    """
    rows = known_periods(tables, days, zone)
    spells = _spells(rows, ["customer_id", "cutoff_day"], churn.grace_days)
    until = spells.cutoff_day - ibis.interval(days=churn.grace_days)
    ended = spells.ended_day.notnull() & (spells.ended_day < until.cast("date"))
    last = ended.ifelse(spells.ended_day, until.cast("date"))
    return spells.select(
        "customer_id",
        "cutoff_day",
        "started_at",
        "started_day",
        days=last.delta(spells.started_day, unit="day"),
        left=ended & spells.voluntary,
        runs=spells.running > 0,
        age=spells.cutoff_day.delta(spells.started_day, unit="day"),
    )


def departures(
    tables: Mapping[str, ir.Table],
    keys: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> np.ndarray:
    """Return 1 for each row of `keys` whose customer left in the label window, else 0.

    Left means that the spell that ran at the cutoff ended in `[cutoff + gap, cutoff + gap +
    horizon)` because the subscriber wanted it to, and none followed within `grace_days`. An end
    of another cause, or before the window, comes first and is 0.

    Parameters
    ----------
    tables, days, zone, churn
        The logs, the cutoffs asked about and the question.
    keys : DataFrame
        `customer_id` and `cutoff`.

    Returns
    -------
    ndarray of int8
    """
    gone = days_to_end(tables, keys, days, zone, churn)
    return np.asarray(~np.isnan(gone), dtype=np.int8)


def days_to_end(
    tables: Mapping[str, ir.Table],
    keys: pd.DataFrame,
    days: Sequence[dt.date],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> np.ndarray:
    """Return the local days from the cutoff to the end of who left; NaN for who stayed.

    Parameters, and what leaving is, as in `departures`.

    Returns
    -------
    ndarray of float
    """
    log = tables[NAME].select(*_held(tables))
    truth = periods(final(versions(log, TABLES[NAME])), ["customer_id"])
    spells = _spells(truth, ["customer_id"], churn.grace_days)
    cuts = ibis.memtable(cutoff_table(days, zone, label=(churn.gap_days, churn.horizon_days)))
    ran = running(spells, cuts.select("cutoff", "cutoff_day"), "started_at", "ended_at")
    ran = ran.select("customer_id", "cutoff_day", "started_at")
    ended = during(spells.filter(spells.voluntary), cuts, "ended_at")
    left = ended.semi_join(ran, ["customer_id", "cutoff_day", "started_at"])
    told = left.group_by("customer_id", cutoff="cutoff_day").agg(
        days=left.ended_day.max().delta(left.cutoff_day.max(), unit="day")
    )
    gone = _collected(told.order_by("customer_id", "cutoff"))
    asked = keys[["customer_id", "cutoff"]].merge(gone, on=["customer_id", "cutoff"], how="left")
    return asked["days"].to_numpy(dtype=np.float64)


def ends(
    tables: Mapping[str, ir.Table], day: dt.date, zone: ZoneInfo, grace_days: int
) -> pd.DataFrame:
    """Return the ends of spells that are known to be ends at a cutoff, and their reasons.

    What ended within `grace_days` before it may still go on.

    Returns
    -------
    DataFrame
        `customer_id` and `reason` (`voluntary`, `involuntary`, or null where nothing is said).
    """
    rows = known_periods(tables, [day], zone)
    spells = _spells(rows, ["customer_id"], grace_days)
    certain = spells.ended_day < ibis.literal(day - dt.timedelta(days=grace_days))
    over = spells.filter(certain).select("customer_id", "ended_at", "voluntary")
    said = rows.filter(rows.end_reason == "voluntary")
    said = said.select("customer_id", "ended_at", is_said=True).distinct()
    both = over.left_join(said, ["customer_id", "ended_at"])
    reason = ibis.cases(
        (~both.voluntary, "involuntary"), (both.is_said.notnull(), "voluntary"), else_=None
    )
    told = both.select("customer_id", "ended_at", reason=reason.cast("string"))
    frame: pd.DataFrame = told.order_by("customer_id", "ended_at").to_pyarrow().to_pandas()
    return frame[["customer_id", "reason"]]


def _held(tables: Mapping[str, ir.Table]) -> list[str]:
    return [c for c in COLUMNS if c in tables[NAME].columns]


def known_periods(
    tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo
) -> ir.Table:
    """Return the rows of subscriptions as known at each cutoff, each with its end."""
    moments = ibis.memtable(cutoff_table(days, zone)).select("cutoff", "cutoff_day")
    rows = known(NAME, tables[NAME].select(*_held(tables)), moments)
    return periods(rows, ["customer_id", "cutoff_day"])


def noticed(rows: ir.Table) -> ir.BooleanValue:
    """Tell for which rows notice was given."""
    if "cancel_requested_at" not in rows.columns:
        return ibis.literal(False)
    return rows.cancel_requested_at.notnull()


def periods(rows: ir.Table, by: list[str]) -> ir.Table:
    """Give every row its end: its own, or the start of the row that replaces it."""
    nothing = {
        "ended_at": ibis.null("timestamp(6)"),
        "ended_day": ibis.null("date"),
        "end_reason": ibis.null("string"),
    }
    rows = rows.mutate(**{c: v for c, v in nothing.items() if c not in rows.columns})
    own = rows.ended_at.notnull()
    if "subscription_id" in rows.columns:
        same = ibis.window(
            group_by=[*(rows[c] for c in by), rows.subscription_id],
            order_by=[rows.started_at, rows.ended_at],
        )
        is_named = rows.subscription_id.notnull() & ~own
        rows = rows.mutate(
            ended_at=is_named.ifelse(rows.started_at.lead().over(same), rows.ended_at),
            ended_day=is_named.ifelse(rows.day.lead().over(same), rows.ended_day),
        )
    voluntary = rows.end_reason.fill_null("voluntary") != "involuntary"
    return rows.mutate(open=rows.ended_at.isnull(), voluntary=voluntary)


def _spells(rows: ir.Table, by: list[str], grace_days: int) -> ir.Table:
    """Join the rows of each customer that follow one another within the grace."""
    mine = {
        "group_by": [rows[c] for c in by],
        "order_by": [rows.started_at, rows.ended_at, rows.voluntary],
    }
    covered = rows.ended_day.fill_null(ibis.literal(OPEN_END))
    before = covered.max().over(ibis.window(**mine, rows=(None, -1)))
    pause = rows.day.delta(before, unit="day")
    rows = rows.mutate(begins=((pause > grace_days).fill_null(True)).cast("int64"))
    rows = rows.mutate(spell=rows.begins.sum().over(ibis.window(**mine, rows=(None, 0))))
    spells = rows.group_by(*by, "spell").agg(
        started_at=rows.started_at.min(),
        started_day=rows.day.min(),
        running=rows.open.sum(),
        last_at=rows.ended_at.max(),
        last_day=rows.ended_day.max(),
        voluntary=rows.voluntary.argmax(
            ibis.struct({"at": rows.ended_at, "voluntary": rows.voluntary}),
            where=rows.ended_at.notnull(),
        ),
    )
    over = spells.running == 0
    return spells.mutate(
        ended_at=over.ifelse(spells.last_at, ibis.null("timestamp(6)")),
        ended_day=over.ifelse(spells.last_day, ibis.null("date")),
        voluntary=over & spells.voluntary,
    )


def _collected(rows: ir.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pyarrow().to_pandas()
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    return frame
