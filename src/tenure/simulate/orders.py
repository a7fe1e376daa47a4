"""Orders of the shop and their deliveries."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.people import DAY, HOUR, People, moment
from tenure.simulate.world import Intervention, Shop

__all__ = [
    "CARRIERS", "CATEGORIES", "CHANNELS", "NEVER", "Orders", "expected_late_ratio",
    "late_exposure", "late_risk", "ordinals", "place", "season",
]  # fmt: skip

CHANNELS = ("web", "app", "store")
CATEGORIES = ("home", "garden", "toys", "books", "sports", "fashion")
CARRIERS = ("swift", "parcelo", "roadway")
NEVER = 2**50  # exact also as a double
Orders = dict[str, Ints]
_CARRIER_LATE = np.array([0.7, 1.0, 1.6])
_STORE = 2
_FIRST_LATE_DAYS, _MEAN_LATE_DAYS, _MOST_LATE_DAYS = 1.0, 4.5, 21.0
_ROUGH = range(70, 86)  # weeks of the move of the warehouse


def season(week: int) -> float:
    """Return how busy a week is, on average 1."""
    return 1 + 0.15 * float(np.cos(2 * np.pi * (week - 49) / 52))


def ordinals(who: Ints) -> Ints:
    """Return the place of each among its equal neighbours, from 0."""
    starts = np.flatnonzero(np.r_[True, who[1:] != who[:-1]]) if len(who) else np.array([], int)
    lengths = np.diff(np.r_[starts, len(who)])
    return np.arange(len(who)) - np.repeat(starts, lengths)


def late_exposure(days_late: Floats) -> Floats:
    """Return a late delivery's size: 1 for 5 days, at most 2."""
    return np.asarray(np.clip(days_late, 0, 10) / 5)


def place(
    world: Shop, draws: Draws, people: People, week: int, counts: Ints,
    change: Intervention | None,
) -> Orders:  # fmt: skip
    """Place the orders of a week.

    Parameters
    ----------
    counts : array of int
        Orders by customer.

    Returns
    -------
    dict of str to array
        One entry an order, moments in seconds since the start, `NEVER` where there is none.
    """
    buyers = np.flatnonzero(counts)
    who = np.repeat(buyers, counts[buyers])
    k = ordinals(who)
    ts = moment(draws, week, "order", who, k)
    new = (people.joined[who] == week) & (k == 0)
    ts = np.where(new, people.signup[who] + 600, ts)
    at_store = draws.uniform(week, "at store", who, k) < people.store[who]
    online = (draws.uniform(week, "app", who, k) < 0.4).astype(np.int64)
    quantity = 1 + np.floor(3 * draws.uniform(week, "quantity", who, k) ** 2).astype(np.int64)
    price = people.spend[who] * np.exp(0.4 * draws.normal(week, "price", who, k))
    full = np.maximum(np.round(price * quantity**0.5, 2), 1.0)
    cut = draws.uniform(week, "discounted", who, k) < 0.2
    discount = np.where(cut, np.round(full * 0.15, 2), 0.0)
    cancelled = (draws.uniform(week, "cancelled", who, k) < 0.015) & ~at_store
    soon = ts + (1 + 20 * draws.uniform(week, "cancelled at", who, k)) * HOUR
    orders = {
        "who": who,
        "code": week * 8 + k,
        "ts": ts,
        "cents": np.round(100 * (full - discount)).astype(np.int64),
        "discount": np.round(100 * discount).astype(np.int64),
        "quantity": quantity,
        "channel": np.where(at_store, _STORE, online),
        "category": draws.choice(week, "category", (3.0, 2.0, 2.0, 2.0, 1.0, 3.0), who, k),
        "carrier": draws.choice(week, "carrier", (1.0, 1.0, 1.0), who, k),
        "cancelled_at": np.where(cancelled, soon, NEVER).astype(np.int64),
    }
    return orders | _delivered(world, draws, people, week, orders, at_store | cancelled, change)


def _delivered(
    world: Shop, draws: Draws, people: People, week: int, orders: Orders, none: Flags,
    change: Intervention | None,
) -> Orders:  # fmt: skip
    """Deliver what was ordered online and not cancelled."""
    who, ts, k = orders["who"], orders["ts"], orders["code"] % 8
    days = 3 + np.floor(3 * draws.uniform(week, "promised", who, k))
    promised = (ts // DAY + days) * DAY + 18 * HOUR
    is_late = draws.uniform(week, "late", who, k) < late_risk(world, people, week, orders)
    longer = -_MEAN_LATE_DAYS * np.log(draws.uniform(week, "days late", who, k))
    late = np.minimum(_FIRST_LATE_DAYS + longer, _MOST_LATE_DAYS)
    early = 1.5 * draws.uniform(week, "early", who, k)
    days_late = np.where(is_late, late, -early)
    if change and change.most_days_late is not None and week >= change.from_week:
        days_late = np.minimum(days_late, change.most_days_late)
    delivered = promised + days_late * DAY
    return {
        "promised_at": np.where(none, NEVER, promised).astype(np.int64),
        "delivered_at": np.where(none, NEVER, delivered).astype(np.int64),
    }


def late_risk(world: Shop, people: People, week: int, orders: Orders) -> Floats:
    """Return the chance of each parcel of a week to come late."""
    rough = 1.8 if week in _ROUGH else 1.0
    region = np.array(world.region_late)[people.region[orders["who"]]]
    risk = world.late_share * rough * region * _CARRIER_LATE[orders["carrier"]]
    return np.asarray(np.minimum(risk, 0.9))


@lru_cache
def expected_late_ratio(effect: float) -> float:
    """Return the mean hazard ratio of a late delivery when it arrives."""
    u = (np.arange(400) + 0.5) / 400
    days = np.minimum(_FIRST_LATE_DAYS - _MEAN_LATE_DAYS * np.log(u), _MOST_LATE_DAYS)
    return float(np.exp(effect * late_exposure(days)).mean())
