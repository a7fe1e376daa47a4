"""The shop's three years, week by week: what happens to customers, and who leaves.

In a week: what was delivered or answered adds to the grievance; those still customers buy, visit
and ask; surveys are sent and answered; at its end some leave for good, by a hazard
`base · exp(region + buyers · log rate + grievance − temperament + campaign)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure.simulate import orders as orders_
from tenure.simulate import surveys, tickets
from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import WEEK, People, people
from tenure.simulate.shop_filter import ShopFilter
from tenure.simulate.world import TEMPERAMENTS, Intervention, Shop

__all__ = ["CAUSES", "Run", "run"]

CAUSES = ("late_delivery", "slow_response", "unsolved_ticket")
_CAMPAIGN_EVERY, _FIRST_CAMPAIGN = 26, 52
_MAIL_EVERY = 8
Batches = dict[str, list[dict[str, Any]]]


@dataclass
class Run:
    """What happened.

    Attributes
    ----------
    people : People
    batches : dict of str to list
        Rows of orders, tickets, surveys, visits, mails, contacts, by week.
    left : array of int
        Week at whose end each customer left, or the number of weeks.
    panel : dict of str to array, shape (weeks, customers)
        `hazard`, and the exposure to each cause.
    predictions : list of dict
        What the filter says at its cutoffs.
    """

    people: People
    weeks: int
    batches: Batches
    left: Ints
    panel: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)


class _Shop:
    """The state of a shop between two weeks."""

    def __init__(
        self, world: Shop, draws: Draws, customers: int, weeks: int, change: Intervention | None
    ) -> None:
        self.world, self.draws, self.weeks, self.change = world, draws, weeks, change
        self.people = people(world, draws, weeks)
        self.effects = np.array([world.late_effect, world.slow_effect, world.unsolved_effect])
        self.decay = 0.5 ** (1 / world.half_life_weeks)
        self.exposure = np.zeros((len(CAUSES), customers))
        self.incoming = np.zeros((weeks, len(CAUSES), customers), dtype=np.float32)
        self.left = np.full(customers, weeks)
        self.last_purchase = np.full(customers, -1)  # its week
        self.cared_until = np.full(customers, -1)
        self.due: list[list[dict[str, Ints]]] = [[] for _ in range(weeks)]
        names = ("orders", "tickets", "surveys", "visits", "mails", "contacts")
        self.batches: Batches = {name: [] for name in names}
        relative = self.people.rate * 52 / world.purchases_per_year
        region = np.array(world.region_effects)[self.people.region]
        self.own = np.log(world.base_hazard) + region + world.buyers_effect * np.log(relative)
        self.asking = tickets.spontaneous_rate(world, self.people.asking)

    def grievance(self) -> Floats:
        """Return what the causes add to the log hazard now."""
        return np.minimum(self.effects @ self.exposure, self.world.most_grievance)

    def land(self, cause: int, who: Ints, moment: Ints, size: Floats) -> None:
        """Let an experience add to the exposure in the week in which it happens."""
        week = moment // WEEK
        some = (week < self.weeks) & (size > 0)
        np.add.at(self.incoming[:, cause], (week[some], who[some]), size[some])

    def buy(self, week: int, here: Flags) -> Ints:
        """Place the week's orders and return their number by customer."""
        mean = self.people.rate * orders_.season(week)
        counts = self.draws.poisson(week, "purchases", mean)
        counts = np.where(self.people.joined == week, 1, counts * here)
        placed = orders_.place(self.world, self.draws, self.people, week, counts, self.change)
        self.last_purchase[counts > 0] = week
        arrives = placed["delivered_at"] != NEVER
        days = np.where(arrives, placed["delivered_at"] - placed["promised_at"], 0) / 86_400
        self.land(0, placed["who"], placed["delivered_at"], orders_.late_exposure(days))
        asks = arrives & (self.draws.uniform(
            week, "review", placed["who"], placed["code"] % 8) < 0.5)  # fmt: skip
        self._schedule(
            placed["promised_at"] // WEEK + 1,
            {
                "who": placed["who"], "order": placed["code"], "arrives": placed["delivered_at"],
                "kind": np.full(len(asks), surveys.REVIEW), "ticket": np.full(len(asks), -1),
            },
            asks,
        )  # fmt: skip
        self.batches["orders"].append(placed)
        return counts

    def ask(self, week: int, here: Flags) -> Ints:
        """Open and answer the tickets of a week's orders and those that concern none."""
        found = [
            tickets.about_orders(
                self.world, self.draws, self.people, week, self.batches["orders"][-1]
            ),
            tickets.spontaneous(self.draws, self.people, week, self.asking, here),
        ]
        asked = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
        done = tickets.handled(self.world, self.draws, week, asked, self.change)
        who, first = done["who"], done["first_response_at"]
        hours = (first - done["opened_at"]) / 3_600
        self.land(1, who, first, tickets.slow_exposure(hours))
        again = done["reopened_at"] != NEVER
        unsolved = np.where(again, done["reopened_at"], done["opened_at"] + 2 * WEEK)
        size = (again | (done["resolved_at"] == NEVER)).astype(np.float64)
        self.land(2, who, unsolved, size)
        effort = np.where(done["kind"] >= 2, surveys.CES, surveys.CSAT)
        some = (done["resolved_at"] != NEVER) & (
            self.draws.uniform(week, "csat", who, done["code"] % 16) < 0.7
        )
        self._schedule(
            done["resolved_at"] // WEEK + 1,
            {
                "who": who, "order": done["order"], "ticket": done["code"], "kind": effort,
                "arrives": np.full(len(who), NEVER),
            },
            some,
        )  # fmt: skip
        self.batches["tickets"].append(done)
        return np.bincount(found[1]["who"], minlength=len(self.people))

    def _schedule(self, week: Ints, rows: dict[str, Ints], some: Flags) -> None:
        """Remember surveys that are due in a later week."""
        some = some & (week < self.weeks)
        for due in np.unique(week[some]):
            mine = some & (week == due)
            self.due[due].append({name: values[mine] for name, values in rows.items()})

    def survey(
        self, week: int, here: Flags, satisfaction: Floats
    ) -> tuple[surveys.Asked, dict[str, Ints]]:
        """Send the week's surveys and draw the answers."""
        listed = (self.people.joined < week) & (self.last_purchase >= week - 52)
        who, kind = surveys.relational(self.draws, week, listed)
        none = np.full(len(who), -1)
        rows = [
            {"who": who, "kind": kind, "order": none, "ticket": none, "arrives": none * 0 + NEVER},
            *self.due[week],
        ]
        joint = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
        asked = surveys.ask(self.draws, week, **joint)
        share = np.where(here[asked.who], 1.0, self.world.gone_response)
        answers = surveys.respond(
            self.draws, week, asked, satisfaction[asked.who], self.world.response_slope, share
        )
        self.batches["surveys"].append({**vars(asked), **answers})
        return asked, answers

    def visit(self, week: int, here: Flags) -> Ints:
        """Draw the week's visits, a few of them by those who have left, and send the mails."""
        mean = self.people.visits * np.where(here, 1.0, self.world.stray_visits)
        counts = self.draws.poisson(week, "visits", mean) * (self.people.joined < week)
        self.batches["visits"].append({"week": week, "counts": counts})
        turn = np.floor(_MAIL_EVERY * self.draws.uniform(-1, "mail turn")) == week % _MAIL_EVERY
        mailed = np.flatnonzero(turn & self.people.contactable & (self.people.joined < week))
        self.batches["mails"].append({"week": week, "who": mailed})
        return counts

    def contact(self, week: int) -> None:
        """Run a campaign: of the reachable recent buyers 40 % take part, half of them contacted."""
        if week < _FIRST_CAMPAIGN or (week - _FIRST_CAMPAIGN) % _CAMPAIGN_EVERY:
            return
        fits = self.people.contactable & (self.last_purchase >= week - 26)
        fits &= self.people.joined <= week - 8
        fits &= self.draws.uniform(week, "campaign") < 0.4
        treated = self.draws.uniform(week, "treated") < 0.5
        self.cared_until[fits & treated] = week + self.world.campaign_weeks
        who = np.flatnonzero(fits)
        self.batches["contacts"].append({"week": week, "who": who, "treated": treated[who]})

    def known_hazard(self, week: int, grievance: Floats) -> Floats:
        """Return the log hazard of an even temperament."""
        care = self.world.campaign_effect * (week < self.cared_until)
        return np.asarray(self.own + grievance + care)


def run(
    world: Shop, draws: Draws, customers: int, weeks: int, change: Intervention | None,
    with_truth: bool, horizon_days: int,
) -> Run:  # fmt: skip
    """Run a shop from its first week to its last.

    Parameters
    ----------
    with_truth : bool
        Whether to keep the weekly panel and run the filter.
    """
    shop = _Shop(world, draws, customers, weeks, change)
    spread = world.temperament * np.array(TEMPERAMENTS)
    mine = spread[shop.people.temperament]
    panel = {
        name: np.zeros((weeks, customers), dtype=np.float32)
        for name in (("hazard", *CAUSES) if with_truth else ())
    }
    watcher = ShopFilter(world, shop.people, horizon_days, weeks) if with_truth else None
    for week in range(weeks):
        here = (shop.people.joined <= week) & (shop.left >= week)
        shop.contact(week)
        shop.exposure = shop.exposure * shop.decay + shop.incoming[week]
        grievance = shop.grievance()
        bought = shop.buy(week, here)
        asked = shop.ask(week, here & (shop.people.joined < week))
        visits = shop.visit(week, here)
        surveyed = shop.survey(week, here, mine - grievance)
        known = shop.known_hazard(week, grievance)
        hazard = -np.expm1(-np.exp(known - mine))
        leaves = here & (draws.uniform(week, "leaves") < hazard)
        shop.left[leaves] = week
        if watcher:
            watcher.observe(week, bought, visits, asked, surveyed, grievance)
            raw = shop.effects @ shop.exposure
            watcher.step(week, known, shop.own, raw, shop.cared_until, shop.batches)
            panel["hazard"][week] = hazard
            for name, values in zip(CAUSES, shop.exposure, strict=True):
                panel[name][week] = values
    return Run(
        shop.people, weeks, shop.batches, shop.left, panel, watcher.predictions if watcher else []
    )
