"""The ceiling of the simulated shop for somebody who must infer each customer's rates too.

`ShopFilter` knows every customer's purchase and visit rate, which nobody could see. Here these two
are unknown: a grid of nodes carries their prior, each node runs the same recursion, and what the
nodes say is averaged by how well they explain the customer's past. The rates of the world itself
(effects, prior, season) stay known, so this still is a ceiling.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gamma

from tenure.simulate import Shop, shop, simulate, surveys
from tenure.simulate.orders import season
from tenure.simulate.people import DAY, WEEK, People
from tenure.simulate.shop_filter import ShopFilter

RATES, VISITS = 16, 6  # nodes
VISIT_SHAPE = 4.0  # of people.visits


def _nodes(shape: float, n: int) -> np.ndarray:
    """Return the medians of n equally likely parts of a gamma distribution of mean 1."""
    return gamma.ppf((np.arange(n) + 0.5) / n, shape, scale=1 / shape)


class UncertainRates:
    """Stands in for `ShopFilter`: the same calls, customers times nodes inside."""

    def __init__(self, world: Shop, people: People, horizon_days: int, weeks: int) -> None:
        pairs = np.array([(a, b) for a in _nodes(world.purchase_shape, RATES)
                          for b in _nodes(VISIT_SHAPE, VISITS)])  # fmt: skip
        n, self.k = len(people), len(pairs)
        relative, visiting = np.tile(pairs, (n, 1)).T
        wide = {f.name: self._wide(getattr(people, f.name)) for f in dataclasses.fields(people)}
        rate = relative * world.purchases_per_year / 52
        wide |= {
            "rate": rate,
            "visits": rate * world.visits_per_purchase * visiting,
            "asking": relative**world.ticket_confounding,
        }
        self.inner = ShopFilter(world, dataclasses.replace(people, **wide), horizon_days, weeks)
        self.true = ShopFilter(world, people, horizon_days, weeks)
        # leaving depends on the purchase rate as well
        own_rate = np.log(people.rate * 52 / world.purchases_per_year)
        self.shift = world.buyers_effect * (np.log(relative) - self._wide(own_rate))
        self.log_weight = np.zeros(n * self.k)
        self.predictions: list[dict[str, Any]] = []

    def _wide(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(values, self.k)

    def observe(self, week, bought, visits, asked, surveyed, grievance):
        inner = self.inner
        old = inner.people.joined < week
        mean = inner.people.rate * season(week)
        bought_, visits_, asks_ = self._wide(bought), self._wide(visits), self._wide(asked > 0)
        seen = bought_ * np.log(mean) - mean + visits_ * np.log(inner.people.visits)
        seen += np.where(asks_, np.log(inner.asking), np.log1p(-inner.asking)) - inner.people.visits
        self.log_weight += np.where(old, seen, 0.0)
        asked_, answers = surveyed
        wide = {f.name: self._wide(getattr(asked_, f.name)) for f in dataclasses.fields(asked_)}
        wide["who"] = wide["who"] * self.k + np.tile(np.arange(self.k), len(asked_.who))
        told = surveys.Asked(**wide), {n: self._wide(v) for n, v in answers.items()}
        inner.observe(week, bought_, visits_, asks_, told, self._wide(grievance))
        self.log_weight += np.log(inner.explained)

    def step(self, week, known, own, raw, cared_until, batches):
        inner, world = self.inner, self.inner.world
        joined = inner.people.joined <= week
        log_hazard = self._wide(known) + self.shift
        hazard = -np.expm1(-np.exp(log_hazard[:, None] - inner.spread)) * joined[:, None]
        leaving = inner.here * hazard
        inner.here -= leaving
        inner.gone += leaving
        latest = batches["orders"][-1]
        np.maximum.at(self.true.last, latest["who"], latest["ts"])
        cutoff = week + 1
        if cutoff < 26 or cutoff % 4 or cutoff * WEEK + inner.horizon * DAY > inner.weeks * WEEK:
            return
        who = np.flatnonzero(self.true.last >= cutoff * WEEK - inner.horizon * DAY)
        at = (who[:, None] * self.k + np.arange(self.k)).ravel()
        weeks = -(-inner.horizon // 7)
        pending = self.true._pending(cutoff, weeks, batches)
        here, gone = inner.here[at].copy(), inner.gone[at].sum(axis=1)
        effects, own_ = self._wide(raw[who]), self._wide(own[who]) + self.shift[at]
        cared, decay = self._wide(cared_until[who]), 0.5 ** (1 / world.half_life_weeks)
        for j in range(weeks):
            part = min(1.0, (inner.horizon - 7 * j) / 7)
            quiet = np.exp(-inner.people.rate[at] * season(cutoff + j) * part)
            effects = effects * decay + self._wide(pending[j][who])
            now = own_ + np.minimum(effects, world.most_grievance)
            now = now + world.campaign_effect * (cutoff + j < cared)
            hazard = -np.expm1(-np.exp(now[:, None] - inner.spread)) * (part == 1)
            here *= quiet[:, None]
            gone += (here * hazard).sum(axis=1)
            here *= 1 - hazard
        weight = self.log_weight[at].reshape(len(who), self.k)
        weight = np.exp(weight - weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        said = (here.sum(axis=1) + gone).reshape(len(who), self.k)
        self.predictions.append(
            {
                "cutoff": cutoff, "who": who, "probability": (weight * said).sum(axis=1),
                "probability_purchases_only": np.zeros(len(who)), "p_alive": np.ones(len(who)),
            }
        )  # fmt: skip


def ceiling(customers: int, seed: int = 7) -> pd.DataFrame:
    """Return what can be known of the shop's first customers, with and without their rates."""
    known = simulate(Shop(), customers, seed).truth.ceiling
    shop.ShopFilter = UncertainRates  # type: ignore[misc]
    try:
        inferred = simulate(Shop(), customers, seed).truth.ceiling
    finally:
        shop.ShopFilter = ShopFilter  # type: ignore[misc]
    keys = ["customer_id", "cutoff"]
    return known.merge(
        inferred[[*keys, "probability"]].rename(columns={"probability": "probability_inferred"}),
        on=keys, validate="one_to_one",
    )  # fmt: skip
