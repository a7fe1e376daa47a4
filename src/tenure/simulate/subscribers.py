"""Who the subscribers are, and the periods of their subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, HOUR, WEEK
from tenure.simulate.world import TEMPERAMENTS, Subscriptions

__all__ = [
    "IDLE_USE", "PLANS", "PRICES", "RETURN_WEEKS", "TRIAL_WEEKS", "Periods", "Subscribers",
    "subscribers", "term_factor",
]  # fmt: skip

PLANS = ("basic", "team", "pro")
PRICES = np.array([1900, 4900, 9900])  # cents a seat and month
TRIAL_WEEKS = 2
RETURN_WEEKS = (2, 20)  # a pause lasts from so many weeks to so many
IDLE_USE = 0.1  # of the usual use


@dataclass(frozen=True)
class Subscribers:
    """Traits, one entry a customer, as in `People`.

    Attributes
    ----------
    joined, signup, region, contactable, asking, temperament : array
        As in `people.People`.
    sector, source : array of int
        Levels without any effect.
    use : array of float
        Days of use a week while the product is in use.
    annual, trial : array of bool
        Pays by the year; began with a trial.
    plan, seats : array of int
        At the beginning.
    """

    joined: Ints
    signup: Ints
    region: Ints
    sector: Ints
    source: Ints
    contactable: Flags
    use: Floats
    asking: Floats
    annual: Flags
    trial: Flags
    plan: Ints
    seats: Ints
    temperament: Ints

    def __len__(self) -> int:
        return len(self.joined)


def subscribers(world: Subscriptions, draws: Draws, weeks: int) -> Subscribers:
    """Draw the customers of a company of subscribers."""
    joined = np.floor(draws.uniform(-1, "joined") * (weeks - 6)).astype(np.int64)
    day, hour = draws.uniform(-1, "signup day"), draws.uniform(-1, "signup hour")
    signup = joined * WEEK + np.floor(7 * day) * DAY + np.floor((8 + 13 * hour) * HOUR)
    relative = draws.gamma("use", 2.0)
    return Subscribers(
        joined=joined,
        signup=signup.astype(np.int64),
        region=draws.choice(-1, "region", (0.3, 0.25, 0.25, 0.2)),
        sector=draws.choice(-1, "sector", (0.4, 0.3, 0.3)),
        source=draws.choice(-1, "source", (0.5, 0.3, 0.2)),
        contactable=draws.uniform(-1, "contactable") < 0.85,
        use=0.3 + 1.2 * relative,
        asking=relative**world.ticket_confounding,
        annual=draws.uniform(-1, "annual") < 0.3,
        trial=draws.uniform(-1, "trial") < 0.5,
        plan=draws.choice(-1, "plan", (0.5, 0.35, 0.15)),
        seats=1 + np.floor(6 * draws.uniform(-1, "seats") ** 3).astype(np.int64),
        temperament=draws.choice(-1, "temperament", (1.0,) * len(TEMPERAMENTS)),
    )


def term_factor(annual: Flags, left: Ints) -> Floats:
    """Return by how much the term multiplies the hazard, given the weeks left of it."""
    return np.where(annual, np.where(left <= 8, 6.0, 0.15), 1.0)


@dataclass
class Periods:
    """The rows of the subscriptions' table, one for each plan, price, seats and term.

    Parameters
    ----------
    people : Subscribers
    """

    people: Subscribers
    batches: list[dict[str, Any]] = field(default_factory=list)
    ends: list[tuple[Ints, Ints, int]] = field(default_factory=list)
    notices: list[tuple[Ints, Ints]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.people)
        self.running = np.zeros(n, dtype=bool)
        self.row = np.full(n, -1)  # of the period that runs
        self.number = np.zeros(n, dtype=np.int64)  # of the customer's subscription
        self.begun = np.full(n, NEVER)  # moment at which the subscription began
        self.since = np.full(n, NEVER)  # moment at which the period began
        self.plan, self.seats = self.people.plan.copy(), self.people.seats.copy()
        self.price = PRICES[self.plan].astype(np.float64)
        self.ends_in = np.full(n, NEVER)  # week in which it ends, once notice is given
        self.lost_in = np.full(n, NEVER)  # week in which it ends for want of payment
        self.trial_until = np.full(n, -1)  # week
        self._rows = 0

    @property
    def begun_week(self) -> Ints:
        """Week in which the running subscription began."""
        return self.begun // WEEK

    def open(self, who: Ints, at: Ints, trial: Flags) -> None:
        """Begin new subscriptions."""
        self.running[who] = True
        self.number[who] += 1
        self.begun[who] = at
        self.ends_in[who] = self.lost_in[who] = NEVER
        self.trial_until[who] = np.where(trial, at // WEEK + TRIAL_WEEKS, -1)
        self._write(who, at, np.where(trial, at + TRIAL_WEEKS * WEEK, NEVER))

    def change(self, who: Ints, at: Ints) -> None:
        """End periods by a new one of the same subscription."""
        self.ends.append((self.row[who], at, 0))
        self._write(who, at, np.full(len(who), NEVER))

    def close(self, who: Ints, at: Ints, reason: int) -> None:
        """End subscriptions; the reason is 1 for voluntary, 2 for involuntary."""
        self.ends.append((self.row[who], at, reason))
        self.running[who] = False
        self.ends_in[who] = self.lost_in[who] = NEVER

    def give_notice(self, who: Ints, at: Ints, ends_in: Ints) -> None:
        """Note that subscriptions will end in a later week."""
        self.notices.append((self.row[who], at))
        self.ends_in[who] = ends_in

    def next_boundary(self, week: int) -> Ints:
        """Return the first week after `week` in which a term ends: of 4 weeks, or of 52."""
        term = np.where(self.people.annual, 52, 4)
        begun = np.where(self.running, self.begun_week, week)
        return np.asarray(begun + term * ((week - begun) // term + 1))

    def _write(self, who: Ints, at: Ints, trial_ends: Ints) -> None:
        self.since[who] = at
        self.row[who] = self._rows + np.arange(len(who))
        self._rows += len(who)
        terms = (at - self.begun[who]) // (52 * WEEK) + 1
        renews = np.where(self.people.annual[who], self.begun[who] + terms * 52 * WEEK, NEVER)
        self.batches.append(
            {
                "who": who, "number": self.number[who], "started_at": at, "renews_at": renews,
                "plan": self.plan[who], "seats": self.seats[who], "trial_ends_at": trial_ends,
                "cents": np.round(self.price[who] * self.seats[who]).astype(np.int64),
            }
        )  # fmt: skip

    def rows(self) -> dict[str, Ints]:
        """Return all periods with their ends, reasons and notices."""
        found = {n: np.concatenate([b[n] for b in self.batches]) for n in self.batches[0]}
        ended, reason, notice = (np.full(self._rows, fill) for fill in (NEVER, 0, NEVER))
        for rows, at, why in self.ends:
            ended[rows], reason[rows] = at, why
        for rows, at in self.notices:
            notice[rows] = at
        return found | {"ended_at": ended, "reason": reason, "cancel_requested_at": notice}
