"""Who the customers of the shop are: what never changes about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.world import TEMPERAMENTS, Shop

__all__ = ["DAY", "DEVICES", "HOUR", "REGIONS", "SEGMENTS", "WEEK", "People", "moment", "people"]

HOUR, DAY, WEEK = 3_600, 86_400, 604_800
REGIONS = ("north", "east", "west", "south")
SEGMENTS = ("private", "business", "student")
DEVICES = ("ios", "android", "desktop")


@dataclass(frozen=True)
class People:
    """Traits, one entry a customer.

    Attributes
    ----------
    joined : array of int
        Week of the first purchase.
    signup : array of int
        Seconds since the start.
    region, segment, device : array of int
        Levels.
    contactable : array of bool
    rate, visits : array of float
        Purchases and visits a week.
    spend : array of float
        Median amount of an order.
    asking : array of float
        Multiplies the number of tickets.
    store : array of float
        Share of purchases in a store.
    temperament : array of int
        Number of the level of `TEMPERAMENTS`.
    """

    joined: Ints
    signup: Ints
    region: Ints
    segment: Ints
    device: Ints
    contactable: Flags
    rate: Floats
    visits: Floats
    spend: Floats
    asking: Floats
    store: Floats
    temperament: Ints

    def __len__(self) -> int:
        return len(self.joined)


def moment(draws: Draws, week: int, purpose: str, who: Ints, which: Ints | int = 0) -> Ints:
    """Return moments of a week between 8 and 22 o'clock, in seconds since the start."""
    day = np.floor(draws.uniform(week, f"{purpose} day", who, which) * 7)
    hour = draws.uniform(week, f"{purpose} hour", who, which) * 14 + 8
    return (week * WEEK + day * DAY + hour * HOUR).astype(np.int64)


def people(world: Shop, draws: Draws, weeks: int) -> People:
    """Draw the customers of a shop; a fifth are there in the first quarter, the others join."""
    u = draws.uniform(-1, "joined")
    early = min(13, weeks) * u / 0.2
    late = 13 + (weeks - 13 - 4) * (u - 0.2) / 0.8
    joined = np.clip(np.where(u < 0.2, early, late), 0, max(weeks - 1, 0)).astype(np.int64)
    day, hour = draws.uniform(-1, "signup day"), draws.uniform(-1, "signup hour")
    signup = joined * WEEK + np.floor(day * 7) * DAY + (8 + 13 * hour) * HOUR
    relative = draws.gamma("rate", world.purchase_shape)
    rate = relative * world.purchases_per_year / 52
    return People(
        joined=joined,
        signup=signup.astype(np.int64),
        region=draws.choice(-1, "region", (0.3, 0.25, 0.25, 0.2)),
        segment=draws.choice(-1, "segment", (0.6, 0.25, 0.15)),
        device=draws.choice(-1, "device", (0.35, 0.4, 0.25)),
        contactable=draws.uniform(-1, "contactable") < 0.85,
        rate=rate,
        visits=rate * world.visits_per_purchase * draws.gamma("visits", 4.0),
        spend=40 * np.exp(0.5 * draws.normal(-1, "spend")),
        asking=relative**world.ticket_confounding,
        store=draws.uniform(-1, "store") ** 2 * 0.6,
        temperament=draws.choice(-1, "temperament", (1.0,) * len(TEMPERAMENTS)),
    )
