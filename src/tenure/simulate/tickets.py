"""Tickets: who asks, how long the answer takes, and whether it solves anything."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.orders import NEVER, Orders
from tenure.simulate.people import DAY, HOUR, WEEK, People, moment
from tenure.simulate.world import Intervention, Shop, Subscriptions

__all__ = [
    "CHANNELS", "KINDS", "SPREAD", "TOPICS", "Tickets", "about_orders",
    "expected_slow_ratio", "handled", "slow_exposure", "spontaneous", "spontaneous_rate",
    "usual_hours",
]  # fmt: skip

KINDS = ("question", "complaint", "request", "return")
TOPICS = ("delivery", "product", "billing", "account")
CHANNELS = ("email", "chat", "phone")
Tickets = dict[str, Ints]
SPREAD = 1.2  # of the log of hours until the first response
_CHANNEL_SPEED = np.array([1.3, 0.8, 0.5])
_UNDERSTAFFED = range(60, 91)


def slow_exposure(hours: Floats) -> Floats:
    """Return a slow response's size: 0 up to 8 hours, 1 for 48 hours, at most 2."""
    return np.clip((hours - 8) / 40, 0, 2)


def spontaneous_rate(world: Shop, asking: Floats) -> Floats:
    """Return the weekly chance of a ticket that concerns no order."""
    return np.minimum(0.05 * world.tickets_per_order * asking, 0.5)


def spontaneous(
    draws: Draws, people: People, week: int, rate: Floats, here: Flags
) -> Tickets:  # fmt: skip
    """Open the tickets of a week that concern no order; `here` says who is still a customer."""
    asks = (draws.uniform(week, "asks") < rate) & here
    who = np.flatnonzero(asks)
    topic = draws.choice(week, "asks topic", (0.0, 1.0, 1.0, 1.0), who)
    opened = np.maximum(moment(draws, week, "asks", who), people.signup[who] + HOUR)
    return {
        "who": who,
        "code": np.full(len(who), week * 16 + 15, dtype=np.int64),
        "order": np.full(len(who), -1, dtype=np.int64),
        "opened_at": opened,
        "kind": np.where(topic == 3, 2, 0),
        "topic": topic,
    }


def about_orders(world: Shop, draws: Draws, people: People, week: int, orders: Orders) -> Tickets:
    """Open the tickets that follow from the orders of a week: complaints, returns, questions."""
    who, k = orders["who"], orders["code"] % 8
    arrives = orders["delivered_at"] != NEVER
    late = np.where(arrives, orders["delivered_at"] - orders["promised_at"], 0)
    when = draws.uniform(week, "ticket when", who, k)
    complains = (late > DAY) & (draws.uniform(week, "complains", who, k) < 0.4)
    asked = draws.uniform(week, "ticket", who, k) < np.minimum(
        world.tickets_per_order * people.asking[who], 0.6
    )
    returns = arrives & (draws.uniform(week, "returns", who, k) < 0.25)
    some = (complains | asked) & (orders["cancelled_at"] == NEVER)
    opened = np.where(
        complains,
        orders["promised_at"] * complains + (0.1 + 0.9 * when) * late,
        np.where(
            returns,
            orders["delivered_at"] * returns + (0.5 + 9 * when) * DAY,
            orders["ts"] + (0.02 + 3 * when) * DAY,
        ),
    ).astype(np.int64)
    kind = np.where(complains, 1, np.where(returns, 3, 0))
    other = draws.choice(week, "ticket topic", (1.0, 1.0, 1.0), who, k)
    topic = np.where(complains, 0, np.where(returns, 1, other))
    found = {
        "who": who, "code": week * 16 + k, "order": orders["code"], "opened_at": opened,
        "kind": kind, "topic": topic,
    }  # fmt: skip
    return {name: values[some] for name, values in found.items()}


def handled(
    world: Shop | Subscriptions, draws: Draws, week: int, tickets: Tickets,
    change: Intervention | None,
) -> Tickets:  # fmt: skip
    """Answer and solve tickets, whose draws belong to the week and number in their code."""
    who, k, opened = tickets["who"], tickets["code"] % 16, tickets["opened_at"]

    def u(purpose: str) -> Floats:
        return draws.uniform(week, f"ticket {purpose}", who, k)

    changed = np.full(len(who), change is not None) & (
        opened // WEEK >= (change.from_week if change else 0)
    )
    channel = draws.choice(week, "ticket channel", (0.5, 0.3, 0.2), who, k)
    hours = usual_hours(world, opened, channel) * np.exp(
        SPREAD * draws.normal(week, "first response", who, k)
    )
    if change and change.first_response_hours is not None:
        hours = np.where(changed, np.minimum(hours, change.first_response_hours), hours)
    first = opened + np.maximum(hours * HOUR, 60)
    unsolved = u("unsolved") < 0.04
    reopens = (u("reopened") < 0.12) & ~unsolved
    if change and change.no_reopening:
        unsolved, reopens = unsolved & ~changed, reopens & ~changed
    resolved = first + 20 * HOUR * np.exp(draws.normal(week, "resolution", who, k))
    reopened = resolved + (0.2 + 4 * u("reopened at")) * DAY
    closed = np.where(reopens, reopened + (0.5 + 6 * u("closed at")) * DAY, resolved + 2 * DAY)
    escalated = u("escalated") < np.where(tickets["kind"] == 1, 0.15, 0.04)
    escalated_at = first + (1 + 40 * u("escalated at")) * HOUR

    def only(where: Flags, moments: Floats) -> Ints:
        return np.where(where, moments, NEVER).astype(np.int64)

    wait = np.where(channel == 2, 30 + 900 * u("wait") ** 2, first - opened)
    return tickets | {
        "channel": channel,
        "direction": (u("direction") < 0.05).astype(np.int64),
        "first_response_at": first.astype(np.int64),
        "resolved_at": only(~unsolved, resolved),
        "reopened_at": only(reopens, reopened),
        "closed_at": only(~unsolved, closed),
        "escalated_at": only(escalated, escalated_at),
        "wait_seconds": wait.astype(np.int64),
        "replies": 1 + np.floor(4 * u("replies") ** 2).astype(np.int64) + reopens,
        "handoffs": np.floor(2.2 * u("handoffs") ** 2).astype(np.int64) + escalated,
        "reopens": reopens.astype(np.int64),
    }


def usual_hours(world: Shop | Subscriptions, opened: Ints, channel: Ints) -> Floats:
    """Return the median hours until the first response."""
    week = opened // WEEK
    load = np.where((week >= _UNDERSTAFFED.start) & (week < _UNDERSTAFFED.stop), 1.8, 1.0)
    return np.asarray(world.slow_hours * load * _CHANNEL_SPEED[channel])


@lru_cache
def expected_slow_ratio(effect: float, hours: float) -> float:
    """Return the mean hazard ratio of a first response, by its usual hours."""
    u = (np.arange(400) + 0.5) / 400
    waits = hours * np.exp(SPREAD * ndtri(u))
    return float(np.exp(effect * slow_exposure(waits)).mean())
