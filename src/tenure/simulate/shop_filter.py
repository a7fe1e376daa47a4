"""The best that anybody could say from what is visible: P(no purchase in the next days | past).

What it knows: every rate and effect of the world, each customer's own purchase and visit rate,
region and campaign contacts, and every row up to the cutoff: purchases, visits, deliveries,
tickets, surveys with their answers and silences. It does not know who has left, nor the
temperament, and infers both by forward recursion over the weeks: 5 temperaments × (customer,
gone); a purchase or a ticket that concerns no order proves a customer. The prediction follows the
one path on which nothing is bought, along which the hazard falls back as the grievance decays.

Approximations: parcels under way and tickets without an answer enter by the mean hazard ratio
they will bring, complaints about parcels that will be late do not; future campaigns are unknown;
answers count from their own moment, though a few of them are loaded days later; the answer to a
survey is always in by the end of its week. Rates that it takes as known must be learnt by a model,
so the filter is a ceiling, not a target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from tenure.simulate import orders as orders_
from tenure.simulate import surveys, tickets
from tenure.simulate.draws import Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, HOUR, WEEK, People
from tenure.simulate.world import TEMPERAMENTS, Shop

__all__ = ["ShopFilter"]

_EVERY, _FIRST, _LOOK_BACK = 4, 26, 8  # weeks
_NODES = len(TEMPERAMENTS)
_UNSOLVED = 0.155  # share of tickets that is reopened or never solved


class ShopFilter:
    """The state of knowledge about a shop's customers.

    Parameters
    ----------
    world, people : Shop, People
    horizon_days, weeks : int
        The label's horizon, and the length of the log.
    """

    def __init__(self, world: Shop, people: People, horizon_days: int, weeks: int) -> None:
        self.world, self.people = world, people
        self.horizon, self.weeks = horizon_days, weeks
        n = len(people)
        self.spread = world.temperament * np.array(TEMPERAMENTS)
        self.here = np.full((n, _NODES), 1 / _NODES)  # probabilities, with `gone` summing to 1
        self.gone = np.zeros((n, _NODES))
        self.simple = np.ones(n)  # being a customer, from purchases and the mean hazard alone
        self.asking = tickets.spontaneous_rate(world, people.asking)
        self.last = np.full(n, -1)
        self.explained = np.ones(n)
        self.predictions: list[dict[str, Any]] = []

    def observe(
        self, week: int, bought: Ints, visits: Ints, asked: Ints,
        surveyed: tuple[surveys.Asked, dict[str, Ints]], grievance: Floats,
    ) -> None:  # fmt: skip
        """Learn from what a week brought, given the grievance in it."""
        old = self.people.joined < week
        mean = self.people.rate * orders_.season(week)
        silence = np.where(bought > 0, 0.0, np.exp(mean * old))
        stray = self.world.stray_visits
        look = stray**visits * np.exp((1 - stray) * self.people.visits)
        asks = np.where(asked > 0, 0.0, 1 / (1 - self.asking))
        self.gone *= np.where(old, silence * look * asks, 1.0)[:, None]
        asked_, answers = surveyed
        satisfied = self.spread - grievance[asked_.who][:, None]
        for state, share in ((self.here, 1.0), (self.gone, self.world.gone_response)):
            likely = surveys.likelihood(
                asked_, answers, satisfied, self.world.response_slope, share
            )
            np.multiply.at(state, asked_.who, likely)
        total = (self.here + self.gone).sum(axis=1, keepdims=True)
        self.explained = total[:, 0]  # the week's likelihood, up to what both states share
        self.here /= total
        self.gone /= total
        self.simple /= self.simple + (1 - self.simple) * np.where(old, silence, 1.0)

    def step(
        self, week: int, known: Floats, own: Floats, raw: Floats, cared_until: Ints,
        batches: dict[str, list[dict[str, Any]]],
    ) -> None:  # fmt: skip
        """Let a week end: some leave; at every fourth, predict.

        Parameters
        ----------
        known : array, shape (customers,)
            Log hazard of an even temperament.
        own, raw : array, shape (customers,)
            Its part that never changes, and the sum of the effects.
        cared_until : array of int
            Week in which the campaign's effect ends.
        batches : dict
            The rows so far.
        """
        joined = self.people.joined <= week
        hazard = -np.expm1(-np.exp(known[:, None] - self.spread)) * joined[:, None]
        leaving = self.here * hazard
        mean = leaving[joined].sum() / max(self.here[joined].sum(), 1e-9)
        self.here -= leaving
        self.gone += leaving
        self.simple *= 1 - mean * joined
        latest = batches["orders"][-1]
        np.maximum.at(self.last, latest["who"], latest["ts"])
        cutoff = week + 1
        if cutoff >= _FIRST and cutoff % _EVERY == 0 and (
            cutoff * WEEK + self.horizon * DAY <= self.weeks * WEEK
        ):  # fmt: skip
            active = self.last >= cutoff * WEEK - self.horizon * DAY
            self._predict(cutoff, np.flatnonzero(active), own, raw, cared_until, batches, mean)

    def _predict(
        self, cutoff: int, who: Ints, own: Floats, raw: Floats, cared_until: Ints,
        batches: dict[str, list[dict[str, Any]]], mean: float,
    ) -> None:  # fmt: skip
        """Follow the customers along the path without a purchase."""
        weeks = -(-self.horizon // 7)
        pending = self._pending(cutoff, weeks, batches)[:, who]
        here, gone = self.here[who].copy(), self.gone[who].sum(axis=1)
        p_alive = here.sum(axis=1)
        simple, simple_gone = self.simple[who].copy(), 1 - self.simple[who]
        effects = raw[who]
        decay = 0.5 ** (1 / self.world.half_life_weeks)
        for j in range(weeks):
            part = min(1.0, (self.horizon - 7 * j) / 7)
            quiet = np.exp(-self.people.rate[who] * orders_.season(cutoff + j) * part)
            effects = effects * decay + pending[j]
            known = own[who] + np.minimum(effects, self.world.most_grievance)
            known = known + self.world.campaign_effect * (cutoff + j < cared_until[who])
            hazard = -np.expm1(-np.exp(known[:, None] - self.spread)) * (part == 1)
            here *= quiet[:, None]
            gone += (here * hazard).sum(axis=1)
            here *= 1 - hazard
            simple *= quiet
            simple_gone += simple * mean
            simple *= 1 - mean
        self.predictions.append(
            {
                "cutoff": cutoff, "who": who, "p_alive": p_alive,
                "probability": here.sum(axis=1) + gone,
                "probability_purchases_only": simple + simple_gone,
            }
        )  # fmt: skip

    def _pending(self, cutoff: int, weeks: int, batches: dict[str, list[dict[str, Any]]]) -> Floats:
        """Return the log mean hazard ratios that open orders and tickets will bring, by week."""
        pending = np.zeros((weeks, len(self.people)))
        now = cutoff * WEEK
        for orders in batches["orders"][-_LOOK_BACK:]:
            self._open_orders(pending, now, orders)
        for rows in batches["tickets"][-_LOOK_BACK:]:
            self._open_tickets(pending, now, rows)
        return pending

    def _open_orders(self, pending: Floats, now: int, orders: dict[str, Ints]) -> None:
        open_ = (orders["delivered_at"] >= now) & (orders["delivered_at"] != NEVER)
        rows = {name: values[open_] for name, values in orders.items()}
        week = int(rows["code"][0] // 8) if len(rows["code"]) else 0
        risk = orders_.late_risk(self.world, self.people, week, rows)
        ratio = orders_.expected_late_ratio(self.world.late_effect)
        overdue = (now - rows["promised_at"]) / DAY
        late = self.world.late_effect * orders_.late_exposure(overdue + 3.5)
        size = np.where(overdue > 0, late, np.log1p(risk * (ratio - 1)))
        when = np.maximum(rows["promised_at"] - now, 0) // WEEK
        np.add.at(pending, (np.minimum(when, len(pending) - 1), rows["who"]), size)

    def _open_tickets(self, pending: Floats, now: int, found: dict[str, Ints]) -> None:
        opened = found["opened_at"] < now
        waiting = opened & (found["first_response_at"] >= now)
        rows = {name: values[waiting] for name, values in found.items()}
        usual = tickets.usual_hours(self.world, rows["opened_at"], rows["channel"])
        waited = np.maximum((now - rows["opened_at"]) / HOUR, 1e-3)
        below = ndtr(np.log(waited / usual) / tickets.SPREAD)
        u = below[:, None] + (1 - below[:, None]) * (np.arange(15) + 0.5) / 15
        hours = usual[:, None] * np.exp(tickets.SPREAD * ndtri(np.minimum(u, 1 - 1e-9)))
        size = np.log(np.exp(self.world.slow_effect * tickets.slow_exposure(hours)).mean(axis=1))
        np.add.at(pending[0], rows["who"], size)
        unsolved = opened & (found["reopened_at"] >= now) & (found["closed_at"] >= now)
        who = found["who"][unsolved]
        if len(pending) > 1:
            extra = np.log1p(_UNSOLVED * np.expm1(self.world.unsolved_effect))
            np.add.at(pending[1], who, extra)
