"""The best that anybody could say of a subscriber: P(the subscription ends | past).

Asked of whom the label is asked: subscribers without notice and past their trial. What it knows:
every rate and effect of the world, the customer's own use, region, terms and contacts, and every
row up to the cutoff. It does not know the temperament, nor whether the product lies idle, and
infers both by forward recursion over the weeks (5 × 2 states) from days of use, surveys answered
or not, and from no notice having been given.

Approximations: slow answers, incidents and price rises to come enter by their mean hazard ratio,
campaigns to come do not; who comes back within the grace time does so by the world's share; of
payments that failed the usual share ends the subscription.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tenure.simulate import surveys, tickets
from tenure.simulate.draws import Flags, Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, WEEK
from tenure.simulate.subscribers import (
    IDLE_USE,
    RETURN_WEEKS,
    Periods,
    Subscribers,
    term_factor,
)
from tenure.simulate.world import TEMPERAMENTS, Subscriptions

__all__ = ["GRACE_DAYS", "SubscriptionFilter"]

GRACE_DAYS = 30
_EVERY, _FIRST = 4, 26  # weeks
_NODES = len(TEMPERAMENTS)


class SubscriptionFilter:
    """The state of knowledge about subscribers.

    Parameters
    ----------
    world, people : Subscriptions, Subscribers
    horizon_days, weeks : int
        The label's horizon, and the length of the log.
    """

    def __init__(
        self, world: Subscriptions, people: Subscribers, horizon_days: int, weeks: int
    ) -> None:
        self.world, self.people = world, people
        self.horizon, self.weeks = horizon_days, weeks
        n = len(people)
        self.spread = world.temperament * np.array(TEMPERAMENTS)
        self.state = np.zeros((n, 2, _NODES))  # in use or idle, by temperament
        self.state[:, 0] = 1 / _NODES
        self.number = np.zeros(n, dtype=np.int64)
        self.failed = np.full(n, -9)  # week of the last failed payment
        self.usual = self._usual()
        self.predictions: list[dict[str, Any]] = []

    def _usual(self) -> Floats:
        """Return the log mean hazard ratio of what a week brings."""
        w, people = self.world, self.people
        slow = tickets.expected_slow_ratio(w.slow_effect, w.slow_hours)
        incidents = w.incident_share * np.array(w.region_incidents)[people.region]
        extra = incidents * np.expm1(w.incident_effect)
        extra = extra + w.price_rise_share * np.expm1(w.price_effect)
        asks = np.minimum(w.tickets_per_week * people.asking, 0.5)
        return np.asarray(np.log1p(extra + asks * (slow - 1)))

    def observe(
        self, week: int, periods: Periods, used: Ints,
        surveyed: tuple[surveys.Asked, dict[str, Ints]], grievance: Floats,
    ) -> None:  # fmt: skip
        """Learn from what a week brought, given the grievance in it."""
        again = periods.number != self.number
        self.state[again, 0] += self.state[again, 1]  # who comes back uses the product
        self.state[again, 1] = 0
        self.number = periods.number.copy()
        active = periods.running & (periods.begun_week < week)
        idle = IDLE_USE**used * np.exp((1 - IDLE_USE) * self.people.use)
        self.state[:, 1] *= np.where(active, idle, 1.0)[:, None]
        asked, answers = surveyed
        satisfied = self.spread - grievance[asked.who][:, None]
        likely = surveys.likelihood(asked, answers, satisfied, self.world.response_slope, 1.0)
        np.multiply.at(self.state, asked.who, likely[:, None, :])
        self.state /= self.state.sum(axis=(1, 2), keepdims=True)

    def step(
        self, week: int, known: Floats, risk: Flags, failed: Ints, cared_until: Ints,
        own: Floats, raw: Floats, periods: Periods,
    ) -> None:  # fmt: skip
        """Let a week end without notice for those who gave none; at every fourth, predict.

        Parameters
        ----------
        known : array, shape (customers,)
            Log hazard of an even temperament that uses the product.
        risk : array of bool
            Who could give notice.
        failed : array of int
            Whose payment failed.
        cared_until : array of int
            Week in which the campaign's effect ends.
        own, raw : array
            The part of the log hazard that never changes, and the sum of the effects.
        periods : Periods
            With the notices of this week.
        """
        self.failed[failed] = week
        self.state *= 1 - self._hazard(known) * risk[:, None, None]
        self.state /= self.state.sum(axis=(1, 2), keepdims=True)
        self._turn(self.state)
        cutoff = week + 1
        ends = cutoff * WEEK + (self.horizon + GRACE_DAYS) * DAY
        if cutoff >= _FIRST and cutoff % _EVERY == 0 and ends <= self.weeks * WEEK:
            stays = periods.running & (periods.ends_in == NEVER) & (periods.trial_until < cutoff)
            self._predict(cutoff, np.flatnonzero(stays), own, raw, cared_until, periods)

    def _hazard(self, known: Floats) -> Floats:
        idle = self.world.unused_effect * np.array([0.0, 1.0])[None, :, None]
        return np.asarray(-np.expm1(-np.exp(known[:, None, None] + idle - self.spread)))

    def _turn(self, state: Floats) -> None:
        """Let some fall idle and others begin again."""
        starts = state[:, 0] * self.world.idle_start
        ends = state[:, 1] * self.world.idle_end
        state[:, 0] += ends - starts
        state[:, 1] += starts - ends

    def _predict(
        self, cutoff: int, who: Ints, own: Floats, raw: Floats, cared_until: Ints, periods: Periods
    ) -> None:
        """Follow the weeks until the term ends, if that is within the horizon."""
        boundary = periods.next_boundary(cutoff - 1)[who]
        p_idle = self.state[who, 1].sum(axis=1)
        state, effects = self.state[who].copy(), raw[who]
        decay = 0.5 ** (1 / self.world.half_life_weeks)
        ends = np.zeros(len(who))
        kept = np.where(self.failed[who] >= cutoff - 2, 1 - self.world.lost_payments, 1.0)
        offset, usual = periods.begun[who] % WEEK, self.usual[who]
        last = cutoff * WEEK + self.horizon * DAY
        annual = self.people.annual[who]
        for week in range(cutoff, cutoff + -(-self.horizon // 7)):
            boundary = np.where(boundary <= week, boundary + np.where(annual, 52, 4), boundary)
            inside = boundary * WEEK + offset < last
            effects = effects * decay + usual
            known = own[who] + np.minimum(effects, self.world.most_grievance)
            known = known + self.world.campaign_effect * (week < cared_until[who])
            hazard = self._hazard(known + np.log(term_factor(annual, boundary - week)))
            ends += inside * kept * (state * hazard).sum(axis=(1, 2))
            kept = kept * (1 - self.world.payment_failures * self.world.lost_payments)
            state *= 1 - hazard
            self._turn(state)
        low, high = RETURN_WEEKS
        soon = max(0, GRACE_DAYS // 7 - low + 1) / (high - low + 1)
        ends *= 1 - self.world.return_share * soon
        self.predictions.append(
            {"cutoff": cutoff, "who": who, "probability": ends, "p_idle": p_idle}
        )
