"""The subscribers' three years, week by week: what happens to them, and who gives notice.

In a week: due ends and returns happen; what was answered, what broke and price rises add to the
grievance; subscribers use the product unless it lies idle, ask, and answer surveys; payments fail;
at its end some give notice, by a hazard
`base · exp(region + heavy · log use + grievance + unused · idle − temperament + campaign)`, in
yearly plans six times as large within eight weeks of the renewal and .15 times before. The
subscription ends with its term: four weeks, or a year.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure.simulate import surveys, tickets
from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, HOUR, WEEK, moment
from tenure.simulate.subscribers import (
    IDLE_USE,
    RETURN_WEEKS,
    TRIAL_WEEKS,
    Periods,
    Subscribers,
    subscribers,
    term_factor,
)
from tenure.simulate.subscription_filter import SubscriptionFilter
from tenure.simulate.world import TEMPERAMENTS, Intervention, Subscriptions

__all__ = ["CAUSES", "SubscriptionRun", "run"]

CAUSES = ("slow_response", "incident", "price_rise")
_CAMPAIGN_EVERY, _FIRST_CAMPAIGN = 26, 52
_STAY_AFTER_TRIAL = 0.65
Batches = dict[str, list[dict[str, Any]]]


@dataclass
class SubscriptionRun:
    """What happened: as `shop.Run`, with the periods of subscriptions.

    Attributes
    ----------
    people : Subscribers
    weeks : int
    batches : dict of str to list
        Rows of tickets, surveys, use, incidents, failures, contacts, by week.
    periods : Periods
    panel : dict of str to array, shape (weeks, customers)
        `at_risk`, `hazard`, `left`, `idle`, and the exposure to each cause.
    predictions : list of dict
    """

    people: Subscribers
    weeks: int
    batches: Batches
    periods: Periods
    panel: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)


class _Company:
    """The state of the company between two weeks."""

    def __init__(
        self, world: Subscriptions, draws: Draws, weeks: int, change: Intervention | None
    ) -> None:
        self.world, self.draws, self.weeks, self.change = world, draws, weeks, change
        self.people = people = subscribers(world, draws, weeks)
        n = len(people)
        self.effects = np.array([world.slow_effect, world.incident_effect, world.price_effect])
        self.decay = 0.5 ** (1 / world.half_life_weeks)
        self.exposure = np.zeros((len(CAUSES), n))
        self.incoming = np.zeros((weeks, len(CAUSES), n), dtype=np.float32)
        self.periods = Periods(people)
        self.idle = np.zeros(n, dtype=bool)
        self.cared_until = np.full(n, -1)
        self.returns_at = np.full(n, NEVER)
        self.due: list[list[dict[str, Ints]]] = [[] for _ in range(weeks)]
        names = ("tickets", "surveys", "use", "incidents", "failures", "contacts")
        self.batches: Batches = {name: [] for name in names}
        region = np.array(world.region_effects)[people.region]
        self.own = np.log(world.base_hazard) + region + world.heavy_effect * np.log(people.use)
        self.asking = np.minimum(world.tickets_per_week * people.asking, 0.5)

    def begin(self, week: int) -> None:
        """Let due ends, first starts and returns happen, and trials end."""
        p, people = self.periods, self.people
        over = np.flatnonzero(p.running & (p.ends_in == week))
        self._end(week, over, 1)
        lost = np.flatnonzero(p.running & (p.lost_in == week))
        self._end(week, lost, 2)
        new = np.flatnonzero(people.joined == week)
        p.open(new, people.signup[new], people.trial[new])
        back = np.flatnonzero(self.returns_at // WEEK == week)
        p.open(back, self.returns_at[back], np.zeros(len(back), dtype=bool))
        self.returns_at[back] = NEVER
        self.idle[back] = False
        tried = p.running & (p.trial_until == week)
        stays = self.draws.uniform(week, "stays after trial") < _STAY_AFTER_TRIAL
        leaves = np.flatnonzero(tried & ~stays)
        at = people.signup[leaves] + TRIAL_WEEKS * WEEK
        p.notices.append((p.row[leaves], at - 12 * HOUR))
        p.close(leaves, at, 1)

    def _end(self, week: int, who: Ints, reason: int) -> None:
        at = week * WEEK + self.periods.begun[who] % WEEK
        self.periods.close(who, at, reason)
        comes = self.draws.uniform(week, "returns", who) < self.world.return_share
        low, high = RETURN_WEEKS
        pause = low + np.floor((high - low + 1) * self.draws.uniform(week, "pause", who))
        self.returns_at[who] = np.where(comes, at + pause * WEEK, NEVER).astype(np.int64)

    def at_risk(self, week: int) -> Flags:
        """Tell who could give notice: no trial, no notice yet."""
        p = self.periods
        return np.asarray(p.running & (p.ends_in == NEVER) & (p.trial_until < week))

    def land(self, cause: int, who: Ints, at: Ints, size: Floats) -> None:
        """Let an experience add to the exposure in the week in which it happens."""
        week = at // WEEK
        some = (week < self.weeks) & (size > 0)
        np.add.at(self.incoming[:, cause], (week[some], who[some]), size[some])

    def change_terms(self, week: int) -> None:
        """Raise prices, renew years, and let customers change plan and seats."""
        p, draws = self.periods, self.draws
        settled = self.at_risk(week) & (p.begun_week <= week - 12)
        rises = settled & (draws.uniform(week, "price rise") < self.world.price_rise_share)
        if self.change and not self.change.price_rises and week >= self.change.from_week:
            rises = rises & False
        renews = p.running & (p.ends_in == NEVER) & self.people.annual & (
            (week > p.begun_week) & ((week - p.begun_week) % 52 == 0)
        )  # fmt: skip
        u = draws.uniform(week, "terms")
        higher = settled & (u < 0.003) & (p.plan < 2)
        lower = settled & (u > 0.9985) & (p.plan > 0)
        seats = settled & (draws.uniform(week, "seats change") < 0.004)
        p.price[rises] *= 1.1
        self.exposure[2] += rises
        p.price[higher] *= 2.2
        p.price[lower] /= 2.2
        p.plan = p.plan + higher - lower
        p.seats = p.seats + seats
        changed = np.flatnonzero(rises | renews | higher | lower | seats)
        at = np.where(
            renews[changed], week * WEEK + p.begun[changed] % WEEK, week * WEEK + 6 * HOUR
        )
        p.change(changed, at)

    def use(self, week: int) -> Ints:
        """Draw the days of use, and what broke."""
        active = self.periods.running & (self.periods.begun_week < week)
        mean = self.people.use * np.where(self.idle, IDLE_USE, 1.0)
        counts = self.draws.poisson(week, "use", mean) * active
        region = np.array(self.world.region_incidents)[self.people.region]
        breaks = self.draws.uniform(week, "incident") < self.world.incident_share * region
        who = np.flatnonzero(breaks & active)
        at = moment(self.draws, week, "incident", who)
        np.add.at(self.exposure[1], who, 1.0)
        self.batches["use"].append({"week": week, "counts": counts})
        self.batches["incidents"].append({"who": who, "ts": at})
        return counts

    def ask(self, week: int) -> None:
        """Open and answer tickets; incidents add complaints."""
        active = self.periods.running & (self.periods.begun_week < week)
        asks = active & (self.draws.uniform(week, "asks") < self.asking)
        broke = self.batches["incidents"][-1]
        complains = np.zeros(len(self.people), dtype=bool)
        complains[broke["who"]] = self.draws.uniform(week, "complains", broke["who"]) < 0.4
        who = np.flatnonzero(asks | complains)
        complaint = complains[who]
        topic = self.draws.choice(week, "asks topic", (0.0, 1.0, 1.0, 1.0), who)
        at = np.full(len(self.people), 0)
        at[broke["who"]] = broke["ts"]
        opened = np.where(complaint, at[who] + HOUR, moment(self.draws, week, "asks", who))
        rows = {
            "who": who, "code": np.full(len(who), week * 16 + 15), "opened_at": opened,
            "order": np.full(len(who), -1), "topic": np.where(complaint, 1, topic),
            "kind": np.where(complaint, 1, np.where(topic == 3, 2, 0)),
        }  # fmt: skip
        done = tickets.handled(self.world, self.draws, week, rows, self.change)
        first = done["first_response_at"]
        self.land(0, who, first, tickets.slow_exposure((first - opened) / HOUR))
        some = (done["resolved_at"] < self.weeks * WEEK) & (
            self.draws.uniform(week, "csat", who) < 0.7
        )
        weeks = done["resolved_at"] // WEEK + 1
        none = np.full(len(who), -1)
        for due in np.unique(weeks[some & (weeks < self.weeks)]):
            mine = some & (weeks == due)
            kind = np.where(done["kind"] >= 2, surveys.CES, surveys.CSAT)
            self.due[due].append(
                {"who": who[mine], "kind": kind[mine], "order": none[mine],
                 "ticket": done["code"][mine], "arrives": none[mine] * 0 + NEVER}
            )  # fmt: skip
        self.batches["tickets"].append(done)

    def survey(self, week: int, satisfaction: Floats) -> tuple[surveys.Asked, dict[str, Ints]]:
        """Ask the subscribers, and draw their answers."""
        active = self.periods.running & (self.periods.begun_week < week - 4)
        who, kind = surveys.relational(self.draws, week, active)
        none = np.full(len(who), -1)
        rows = [
            {"who": who, "kind": kind, "order": none, "ticket": none, "arrives": none * 0 + NEVER},
            *({k: v[self.periods.running[r["who"]]] for k, v in r.items()} for r in self.due[week]),
        ]
        joint = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
        asked = surveys.ask(self.draws, week, **joint)
        answers = surveys.respond(
            self.draws, week, asked, satisfaction[asked.who], self.world.response_slope,
            np.ones(len(asked.who)),
        )  # fmt: skip
        self.batches["surveys"].append({**vars(asked), **answers})
        return asked, answers

    def bill(self, week: int) -> None:
        """Let payments fail; some of them end the subscription two weeks later."""
        p = self.periods
        pays = self.at_risk(week) & (p.lost_in == NEVER)
        fails = pays & (self.draws.uniform(week, "payment") < self.world.payment_failures)
        lost = fails & (self.draws.uniform(week, "lost payment") < self.world.lost_payments)
        p.lost_in[lost] = week + 2
        who = np.flatnonzero(fails)
        self.batches["failures"].append(
            {"who": who, "ts": week * WEEK + 2 * DAY + np.full(len(who), 4 * HOUR)}
        )

    def contact(self, week: int) -> None:
        """Run a campaign: of the reachable subscribers 40 % take part, half of them contacted."""
        if week < _FIRST_CAMPAIGN or (week - _FIRST_CAMPAIGN) % _CAMPAIGN_EVERY:
            return
        fits = self.people.contactable & self.at_risk(week)
        fits &= self.draws.uniform(week, "campaign") < 0.4
        treated = self.draws.uniform(week, "treated") < 0.5
        self.cared_until[fits & treated] = week + self.world.campaign_weeks
        who = np.flatnonzero(fits)
        self.batches["contacts"].append({"week": week, "who": who, "treated": treated[who]})

    def known_hazard(self, week: int, left: Ints) -> Floats:
        """Return the log hazard of an even temperament that uses the product."""
        grievance = np.minimum(self.effects @ self.exposure, self.world.most_grievance)
        care = self.world.campaign_effect * (week < self.cared_until)
        return np.asarray(self.own + grievance + care + np.log(term_factor(
            self.people.annual, left)))  # fmt: skip


def run(
    world: Subscriptions, draws: Draws, weeks: int, change: Intervention | None,
    with_truth: bool, horizon_days: int,
) -> SubscriptionRun:  # fmt: skip
    """Run a company of subscribers from its first week to its last."""
    firm = _Company(world, draws, weeks, change)
    periods = firm.periods
    mine = world.temperament * np.array(TEMPERAMENTS)[firm.people.temperament]
    panel = {
        name: np.zeros((weeks, len(firm.people)), dtype=np.float32)
        for name in (("at_risk", "hazard", "left", "idle", *CAUSES) if with_truth else ())
    }
    watcher = SubscriptionFilter(world, firm.people, horizon_days, weeks) if with_truth else None
    for week in range(weeks):
        firm.begin(week)
        firm.contact(week)
        firm.exposure = firm.exposure * firm.decay + firm.incoming[week]
        firm.change_terms(week)
        used = firm.use(week)
        firm.ask(week)
        grievance = np.minimum(firm.effects @ firm.exposure, world.most_grievance)
        surveyed = firm.survey(week, mine - grievance)
        firm.bill(week)
        risk = firm.at_risk(week)
        ends_in = periods.next_boundary(week)
        known = firm.known_hazard(week, ends_in - week)
        hazard = -np.expm1(-np.exp(known - mine + world.unused_effect * firm.idle)) * risk
        leaves = np.flatnonzero(draws.uniform(week, "leaves") < hazard)
        asks_at = moment(draws, week, "notice", leaves)
        asks_at = np.maximum(asks_at, periods.since[leaves] + HOUR)
        if watcher:
            values = (risk, hazard, hazard * 0, firm.idle, *firm.exposure)
            for name, value in zip(panel, values, strict=True):
                panel[name][week] = value
            panel["left"][week, leaves] = 1
            watcher.observe(week, periods, used, surveyed, grievance)
        periods.give_notice(leaves, asks_at, ends_in[leaves])
        if watcher:
            watcher.step(
                week, known, risk, firm.batches["failures"][-1]["who"], firm.cared_until, firm.own,
                firm.effects @ firm.exposure, periods,
            )  # fmt: skip
        turns = draws.uniform(week, "idle")
        firm.idle = np.where(firm.idle, turns >= world.idle_end, turns < world.idle_start)
    return SubscriptionRun(
        firm.people, weeks, firm.batches, periods, panel, watcher.predictions if watcher else []
    )
