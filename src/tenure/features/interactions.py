"""What support tickets say: how many, how long they wait, how they end, and how often again."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.features.deliveries import DAY, LAST, mean, newest, not_below_0, seconds
from tenure.features.spec import Direction, Window, feature, view
from tenure.features.transactions import late_keys

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
HOUR = 3600
PROMPT, SLOW, AGAIN = 2 * HOUR, 24 * HOUR, 7 * DAY
WINDOWS = (90, 365, None)
ENDED = "resolved_at|closed_at"


def from_customers(interactions: ir.Table) -> ir.Table:
    """Keep the tickets that customers opened; where nothing says who did, all of them."""
    if "direction" not in interactions.columns:
        return interactions
    return interactions.filter(interactions.direction.fill_null("in") == "in")


def ends_of(t: ir.Table) -> list[ir.Value]:
    """Return the moments that end a ticket, of those the log has."""
    return [t[c] for c in ("resolved_at", "closed_at") if c in t.columns]


def _either(conditions: list[Any]) -> Any:
    return functools.reduce(operator.or_, conditions, ibis.literal(False))


def solved_at(t: ir.Table) -> ir.Value:
    """Return when a ticket was resolved or closed, null while it is open.

    What ended it before it was opened again does not count.
    """
    ends = ends_of(t)
    if "reopened_at" in t.columns:
        undone = [(t.reopened_at >= end).fill_null(False) for end in ends]
        nothing = ibis.null("timestamp(6)")
        ends = [u.ifelse(nothing, end) for u, end in zip(undone, ends, strict=True)]
    return ibis.least(*ends)


def was_open(t: ir.Table, moment: ir.Value) -> ir.Value:
    """Tell whether a ticket was open at a moment, as far as its dates say."""
    begun = t.opened_at < moment
    ended = [(end <= moment).fill_null(False) for end in ends_of(t)]
    is_open = ~_either(ended)
    if "reopened_at" in t.columns:
        after = [e & (end > t.reopened_at) for e, end in zip(ended, ends_of(t), strict=True)]
        is_open |= (t.reopened_at <= moment).fill_null(False) & ~_either(after)
    return begun & is_open


def _in_order(t: ir.Table, keys: list[str]) -> ir.Table:
    """Add the ticket before on the same topic, and when three newer tickets had been opened."""
    mine = [*keys, "customer_id"]
    moments = t.select(*mine, "opened_at").distinct()
    newer = ibis.window(group_by=mine, order_by="opened_at")
    moments = moments.mutate(passed_3_at=moments.opened_at.lead(LAST.n).over(newer))
    t = t.left_join(moments, [*mine, "opened_at"])
    t = t.drop(c for c in t.columns if c.endswith("_right"))
    if "topic" not in t.columns:
        return t
    ties = [c for c in ("interaction_id", "channel") if c in t.columns]
    same = ibis.window(group_by=[*mine, "topic"], order_by=["opened_at", *ties])
    since = seconds(t.opened_at, t.opened_at.lag().over(same))
    again = t.topic.notnull() & (since <= AGAIN).fill_null(False)
    moved = ibis.literal(False)
    if "channel" in t.columns:
        moved = (t.channel != t.channel.lag().over(same)).fill_null(False)
    return t.mutate(is_again=again, is_elsewhere=again & moved)


def in_order(interactions: ir.Table) -> ir.Table:
    """Put the customers' tickets in order, where rows cannot load late."""
    t = from_customers(interactions)
    return t if late_keys(t) else _in_order(t, [])


@view("interactions", at="opened_at", collapse=in_order, rows="tickets", none="No ticket")
def tickets_(t: ir.Table) -> ir.Table:
    """Rows: tickets a customer opened."""
    if "passed_3_at" not in t.columns:  # late rows take their place at the cutoff that knows them
        t = _in_order(t, ["cutoff", "cutoff_day"])
    age = seconds(t.cutoff, t.opened_at)
    t = t.mutate(age=age, is_last_3=t.passed_3_at.isnull())
    if ends_of(t):
        t = t.mutate(solved_at=solved_at(t))
        is_open = t.solved_at.isnull()
        took = not_below_0(seconds(ibis.coalesce(t.solved_at, t.cutoff), t.opened_at))
        t = t.mutate(is_open=is_open, open_age=is_open.ifelse(t.age, 0), took=took)
    if "first_response_at" in t.columns:  # solved without a reply: it waited until then
        ends = [ibis.least(*ends_of(t))] if ends_of(t) else []
        answered = ibis.coalesce(t.first_response_at, *ends, t.cutoff)
        waited = not_below_0(seconds(answered, t.opened_at))
        t = t.mutate(waited=waited, is_prompt=waited <= PROMPT, is_slow=waited > SLOW)
    return t


@feature(
    tickets_, windows=WINDOWS, unit="count", factor="effort", empty=0, direction=1,
    says="{n} [ticket|tickets]",
)  # fmt: skip
def tickets(t: ir.Table) -> Any:
    """Tickets the customer opened."""
    return t.count()


@feature(tickets_, unit="days", factor="effort", says="Last ticket {value} ago")
def days_since_last_ticket(t: ir.Table) -> Any:
    """Days since the customer last opened a ticket."""
    return t.cutoff_day.max().delta(t.day.max(), unit="day") - 1


RESPONSE = ("first_response_at",)


def _response(
    *windows: Window,
    says: str,
    unit: str = "hours",
    direction: Direction = 1,
    empty: int | None = None,
) -> Decorator:
    return feature(
        tickets_, windows=windows, unit=unit, factor="responsiveness", direction=direction,
        needs=RESPONSE, empty=empty, says=says, actionable=True,
    )  # fmt: skip


@_response(*WINDOWS, LAST, says="First response took {value}")
def first_response_hours_median(t: ir.Table) -> Any:
    """Typical hours until the first reply, up to now where none has come."""
    return t.waited.median() / HOUR


@_response(90, 365, says="The longest wait for a first response was {value}")
def first_response_hours_worst(t: ir.Table) -> Any:
    """Longest wait for a first reply, up to now where none has come."""
    return t.waited.max() / HOUR


@_response(None, says="The newest ticket waited {value} for a first response")
def first_response_hours_last(t: ir.Table) -> Any:
    """Hours the newest ticket waited for its first reply, up to now if none has come."""
    return newest(t.waited, t.opened_at) / HOUR


@_response(
    90, 365, unit="share", direction=-1,
    says="{value} of the tickets were answered within 2 h",
)  # fmt: skip
def answered_within_2h_share(t: ir.Table) -> Any:
    """Share of the tickets that got a first reply within two hours, leaving out newer ones."""
    old = t.age >= PROMPT
    return (old & t.is_prompt).sum() / old.sum().nullif(0)


@_response(
    90, 365, unit="count", empty=0,
    says="{n} [ticket|tickets] waited more than a day for a first response",
)  # fmt: skip
def slow_responses(t: ir.Table) -> Any:
    """Tickets that waited more than a day for a first reply, or still do."""
    return t.is_slow.sum()


def _resolution(
    *windows: Window, says: str, unit: str = "hours", empty: int | None = None
) -> Decorator:
    return feature(
        tickets_, windows=windows, unit=unit, factor="resolution", direction=1,
        needs=(ENDED,), empty=empty, says=says, actionable=True,
    )  # fmt: skip


@_resolution(*WINDOWS, says="Tickets took {value} to solve")
def resolution_hours_median(t: ir.Table) -> Any:
    """Typical hours until a ticket was solved, up to now where it is open."""
    return t.took.median() / HOUR


@_resolution(365, says="The slowest ticket took {value} to solve")
def resolution_hours_worst(t: ir.Table) -> Any:
    """Longest time until a ticket was solved, up to now where it is open."""
    return t.took.max() / HOUR


@_resolution(None, says="The newest ticket took {value} to solve")
def resolution_hours_last(t: ir.Table) -> Any:
    """Hours until the newest ticket was solved, up to now if it is open."""
    return newest(t.took, t.opened_at) / HOUR


@_resolution(
    None, unit="count", empty=0,
    says="{n} [ticket is|tickets are] open // No ticket is open",
)  # fmt: skip
def tickets_open(t: ir.Table) -> Any:
    """Tickets neither resolved nor closed, or opened again since."""
    return t.is_open.sum()


@_resolution(
    None, unit="days", empty=0,
    says="A ticket has been open for {value} // No ticket is open",
)  # fmt: skip
def open_ticket_age_max(t: ir.Table) -> Any:
    """Days since the oldest ticket that is still open was opened."""
    return t.open_age.max() / DAY


def outcome(
    *needs: str,
    windows: Sequence[Window] = (365, None),
    unit: str,
    factor: str,
    says: str,
    none: str = "",
    actionable: bool = False,
) -> Decorator:
    """Register a feature of what happened to tickets, of which more is worse."""
    return feature(
        tickets_, windows=windows, unit=unit, factor=factor, direction=1, needs=needs,
        says=says, none=none, actionable=actionable,
    )  # fmt: skip


@outcome(
    "reopened_at", unit="share", factor="resolution",
    says="{value} of the tickets had to be opened again", actionable=True,
)  # fmt: skip
def reopened_share(t: ir.Table) -> Any:
    """Share of the tickets that had to be opened again."""
    return t.reopened_at.count() / t.count().nullif(0)


@outcome(
    "escalated_at", unit="share", factor="resolution",
    says="{value} of the tickets were escalated", actionable=True,
)  # fmt: skip
def escalated_share(t: ir.Table) -> Any:
    """Share of the tickets handed up to a higher level."""
    return t.escalated_at.count() / t.count().nullif(0)


@outcome(
    "reopens", windows=(365,), unit="times per ticket", factor="resolution",
    says="Tickets were opened again {value} on average // No ticket was opened again",
    none="No finished ticket", actionable=True,
)  # fmt: skip
def reopens_mean(t: ir.Table) -> Any:
    """How often a finished ticket had been opened again, on average."""
    return mean(t.reopens)


@outcome(
    "wait_seconds", unit="seconds", factor="responsiveness",
    says="Waited {value} until somebody answered", none="No ticket with a known wait",
    actionable=True,
)  # fmt: skip
def wait_seconds_mean(t: ir.Table) -> Any:
    """Average seconds on hold before somebody answered."""
    return mean(t.wait_seconds)


@outcome(
    "wait_seconds", windows=(365,), unit="seconds", factor="responsiveness",
    says="Waited up to {value} until somebody answered", none="No ticket with a known wait",
    actionable=True,
)  # fmt: skip
def wait_seconds_worst(t: ir.Table) -> Any:
    """Longest time on hold before somebody answered, in seconds."""
    return t.wait_seconds.max()
