"""Bad experiences: what they are, and the moment from which each is known."""

from __future__ import annotations

import functools

import ibis
import ibis.expr.types as ir

from tenure.features.interactions import SLOW, from_customers
from tenure.kpis.orders import due
from tenure.kpis.surveys import low_limit
from tenure.kpis.tickets import done_at
from tenure.kpis.world import World

__all__ = ["bad_moments"]


def bad_moments(world: World) -> ir.Table | None:
    """Return one row a bad experience: `customer_id`, and `at` from which it is one.

    A parcel is late from the promised moment on, a first response slow once 24 hours have
    passed without one, a low score known when it is given. None where the log has
    none of what the config lists.
    """
    makers = {"late_delivery": _late, "slow_response": _slow, "low_score": _low}
    parts = [makers[kind](world) for kind in world.config.experience.bad_experience]
    found = [part for part in parts if part is not None]
    return functools.reduce(lambda a, b: a.union(b), found) if found else None


def _late(world: World) -> ir.Table | None:
    if not (world.has("transactions.promised_at") and world.has("transactions.delivered_at")):
        return None
    t = due(world).filter(lambda t: t.is_late)
    return t.select("customer_id", at="promised_at")


def _slow(world: World) -> ir.Table | None:
    if not world.has("interactions.first_response_at"):
        return None
    t = from_customers(world.tables["interactions"])
    limit = t.opened_at + ibis.interval(seconds=SLOW)
    answered = ibis.coalesce(t.first_response_at, done_at(t), world.end)
    return t.filter(answered > limit).select("customer_id", at=limit)


def _low(world: World) -> ir.Table | None:
    if not (world.has("surveys.score") and world.has("surveys.answered_at")):
        return None
    t = world.tables["surveys"].filter(lambda s: s.score.notnull() & s.answered_at.notnull())
    low = [(t.kind == k, t.score <= low_limit(world, k)) for k in ("nps", "csat", "ces", "review")]
    return t.filter(ibis.cases(*low, else_=False)).select("customer_id", at="answered_at")
