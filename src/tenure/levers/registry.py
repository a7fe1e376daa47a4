"""Levers: experiences that a company can change, each with its dose, and what a limit means."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import SLOW
from tenure.features.schema import Schema
from tenure.features.spec import VIEWS

__all__ = ["LEVERS", "Lever", "available", "named"]

HOUR, DAY = 3_600, 86_400
UNSOLVED = 14 * DAY  # open for longer counts as never solved


@dataclass(frozen=True)
class Lever:
    """One kind of experience.

    Attributes
    ----------
    name, factor : str
        What it is called, and the factor whose features tell of it.
    view : str
        The rows it happens in, as features see them.
    needs : tuple of str
        Columns of the view's table without which it cannot be told.
    dose : callable
        Rows to whole numbers (seconds, or 0 and 1): how bad a row was; null where the row gave no
        opportunity, or not yet.
    per, unit : int, str
        Units of the dose in one `unit`.
    limit : float
        Doses above it, in `unit`, are a bad experience.
    one, many : str
        A bad experience in words.
    opportunities : str or None
        What the rows are, for people; None where it happens to customers without any: then every
        customer had the opportunity.
    moves : tuple of str
        Features and figures of which a goal's target is a limit on this dose.
    cap : callable or None
        Table, limit in units of the dose, and moment: the log in which no row from that moment on
        goes beyond the limit. None where nothing can be capped.
    """

    name: str
    factor: str
    view: str
    needs: tuple[str, ...]
    dose: Callable[[ir.Table], ir.Value]
    per: int
    unit: str
    limit: float
    one: str
    many: str
    opportunities: str | None
    moves: tuple[str, ...]
    cap: Callable[[ir.Table, int, dt.datetime], ir.Table] | None = None

    @property
    def table(self) -> str:
        """The table it is read from."""
        return VIEWS[self.view].table


def _earlier(column: str, start: str) -> Callable[[ir.Table, int, dt.datetime], ir.Table]:
    """Let a moment come at most so many seconds after another one of the same row."""

    def cap(t: ir.Table, most: int, since: dt.datetime) -> ir.Table:
        latest = t[start] + ibis.interval(seconds=most)
        opened = "opened_at" if "opened_at" in t.columns else "ts"
        is_new = t[opened] >= ibis.literal(since, "timestamp(6)")
        # what has not come yet would have come by then; without a start there is no limit
        earlier = ibis.least(ibis.coalesce(t[column], latest), latest)
        moved = (is_new & t[start].notnull()).ifelse(earlier, t[column])
        return t.mutate(**{column: moved.cast(t[column].type())})

    return cap


def _never_again(t: ir.Table, _: int, since: dt.datetime) -> ir.Table:
    """Let no ticket be opened again."""
    is_new = t.opened_at >= ibis.literal(since, "timestamp(6)")
    nothing = ibis.null(t.reopened_at.type())
    return t.mutate(reopened_at=is_new.ifelse(nothing, t.reopened_at))


def _unsolved(t: ir.Table) -> ir.Value:
    bad = t.reopened_at.notnull() | (t.is_open & (t.age > UNSOLVED))
    return bad.cast("int64")


LEVERS: dict[str, Lever] = {
    lever.name: lever
    for lever in (
        Lever(
            "late_delivery", "delivery", "deliveries_", ("promised_at", "delivered_at"),
            lambda t: t.late, DAY, "days late", 0.0, "late delivery", "late deliveries",
            "deliveries",
            ("days_late_mean", "days_late_worst", "days_late_last", "late_deliveries"),
            _earlier("delivered_at", "promised_at"),
        ),
        Lever(
            "slow_response", "responsiveness", "tickets_", ("first_response_at",),
            lambda t: t.waited, HOUR, "hours", SLOW / HOUR, "slow first response",
            "slow first responses", "tickets",
            ("first_response_hours_median", "first_response_hours_worst",
             "first_response_hours_last", "slow_responses"),
            _earlier("first_response_at", "opened_at"),
        ),
        Lever(
            "unsolved_ticket", "resolution", "tickets_", ("reopened_at", "resolved_at"),
            _unsolved, 1, "yes or no", 0.0, "ticket that was not solved",
            "tickets that were not solved", "tickets", ("reopened_share", "reopen_share"),
            _never_again,
        ),
        Lever(
            "incident", "product", "event_days_", ("group",),
            lambda t: t.is_incident.ifelse(t.n, 0), 1, "count", 0.0, "incident", "incidents",
            None, ("incidents",),
        ),
        Lever(
            "failed_payment", "billing", "event_days_", ("group",),
            lambda t: t.is_payment_failed.ifelse(t.n, 0), 1, "count", 0.0, "failed payment",
            "failed payments", None, ("failed_payments",),
        ),
        Lever(
            "price_rise", "pricing", "periods_", ("mrr", "plan"),
            lambda t: (t.price_step > 0).fill_null(False).cast("int64"), 1, "count", 0.0,
            "price rise", "price rises", None, ("price_rises",),
        ),
    )
}  # fmt: skip
"""Every lever by name."""

_GROUPS = {"incident": "incident", "failed_payment": "payment_failed"}


def available(schema: Schema) -> list[Lever]:
    """List the levers whose table and columns the data have."""
    views = set(schema.views())
    return [one for one in LEVERS.values() if one.view in views and _told(one, schema)]


def _told(lever: Lever, schema: Schema) -> bool:
    held = schema.available[lever.table]
    group = _GROUPS.get(lever.name)
    seen: Any = schema.levels.get(f"{lever.table}.group=", ())
    return all(c in held for c in lever.needs) and (group is None or group in seen)


def named(name: str) -> Lever | None:
    """Return the lever that a feature or figure speaks of, if one does."""
    return next((one for one in LEVERS.values() if name in one.moves), None)
