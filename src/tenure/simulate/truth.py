"""The truth beside a company's tables: who left when, every week's hazard, and the ceiling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tenure.simulate.cells import ids, stack
from tenure.simulate.draws import Ints
from tenure.simulate.facts import facts
from tenure.simulate.people import DAY, WEEK
from tenure.simulate.shop import Run
from tenure.simulate.subscription_filter import GRACE_DAYS
from tenure.simulate.subscription_world import SubscriptionRun
from tenure.simulate.world import START, Shop, Subscriptions

__all__ = ["Truth", "shop_truth", "subscription_truth"]


@dataclass(frozen=True)
class Truth:
    """What nobody can see.

    Attributes
    ----------
    facts : dict
        The world's numbers, causes with their effects, symptoms, confounders, non-causes, and the
        rows of each kind of dirt by table and rule.
    customers : DataFrame
        `customer_id`, `left_at` (null for those still there), `rate` and `temperament`.
    panel : DataFrame
        Week by week until the customer leaves: `customer`, `week`, `hazard`, `left` and the
        exposure to each cause. Empty without truth.
    ceiling : DataFrame
        The filter: `customer_id`, `cutoff`, `probability`, `probability_purchases_only`,
        `p_alive`, `alive`, `churned`. Empty without truth.
    """

    facts: dict[str, Any]
    customers: pd.DataFrame
    panel: pd.DataFrame = field(default_factory=pd.DataFrame)
    ceiling: pd.DataFrame = field(default_factory=pd.DataFrame)


def shop_truth(world: Shop, run: Run, horizon_days: int, whole: bool) -> Truth:
    """Return the truth about a shop; without `whole`, neither panel nor ceiling."""
    if not whole:
        return Truth(facts(world), _shop_customers(run))
    return Truth(
        facts(world), _shop_customers(run), _shop_panel(run), _shop_ceiling(run, horizon_days)
    )


def subscription_truth(
    world: Subscriptions, run: SubscriptionRun, horizon_days: int, whole: bool
) -> Truth:
    """Return the truth about a company of subscribers."""
    periods = run.periods.rows()
    customers = _subscribers(run, periods)
    if not whole:
        return Truth(facts(world), customers)
    ceiling = _subscription_ceiling(run, periods, horizon_days)
    return Truth(facts(world), customers, _subscription_panel(run), ceiling)


def _day(week: Any) -> Any:
    return np.datetime64(START, "us") + np.asarray(week) * np.timedelta64(7, "D")


def _shop_customers(run: Run) -> pd.DataFrame:
    gone = run.left < run.weeks
    left = np.where(gone, _day(run.left + 1), np.datetime64("NaT"))
    return pd.DataFrame(
        {
            "customer_id": ids("C", np.arange(len(run.people))).to_pandas(),
            "left_at": left,
            "purchases_per_week": run.people.rate,
            "temperament": run.people.temperament,
        }
    )


def _shop_panel(run: Run) -> pd.DataFrame:
    """Return one row for each week in which a customer could leave."""
    weeks = np.arange(run.weeks)[:, None]
    at_risk = (run.people.joined <= weeks) & (run.left >= weeks)
    week, who = np.nonzero(at_risk)
    values = {name: table[at_risk] for name, table in run.panel.items()}
    return pd.DataFrame(
        {
            "customer": who.astype(np.int32), "week": week.astype(np.int16),
            "left": run.left[who] == week, **values,
        }
    )  # fmt: skip


def _shop_ceiling(run: Run, horizon_days: int) -> pd.DataFrame:
    bought = stack(run.batches["orders"])
    frames = []
    for said in run.predictions:
        start = said["cutoff"] * WEEK
        inside = (bought["ts"] >= start) & (bought["ts"] < start + horizon_days * DAY)
        comes = np.zeros(len(run.people), dtype=bool)
        comes[bought["who"][inside]] = True
        who = said["who"]
        frames.append(
            pd.DataFrame(
                {
                    "customer_id": ids("C", who).to_pandas(),
                    "cutoff": np.full(len(who), _day(said["cutoff"])),
                    "probability": said["probability"],
                    "probability_purchases_only": said["probability_purchases_only"],
                    "p_alive": said["p_alive"],
                    "alive": run.left[who] >= said["cutoff"],
                    "churned": ~comes[who],
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _subscribers(run: SubscriptionRun, periods: dict[str, Ints]) -> pd.DataFrame:
    """Return when the last subscription of each customer ended, if none runs."""
    n, end = len(run.people), run.weeks * WEEK
    running = np.zeros(n, dtype=bool)
    ended = np.where(periods["ended_at"] < end, periods["ended_at"], -1)
    running[periods["who"][ended < 0]] = True
    last = np.full(n, -1)
    np.maximum.at(last, periods["who"], ended)
    gone = ~running & (last >= 0)
    moment = np.datetime64(START, "us") + last * np.timedelta64(1, "s")
    return pd.DataFrame(
        {
            "customer_id": ids("C", np.arange(n)).to_pandas(),
            "left_at": np.where(gone, moment, np.datetime64("NaT")),
            "use_per_week": run.people.use,
            "temperament": run.people.temperament,
        }
    )


def _subscription_panel(run: SubscriptionRun) -> pd.DataFrame:
    """Return one row for each week in which a subscriber could give notice."""
    at_risk = run.panel["at_risk"] > 0
    week, who = np.nonzero(at_risk)
    values: dict[str, Any] = {n: t[at_risk] for n, t in run.panel.items() if n != "at_risk"}
    values["left"], values["idle"] = values["left"] > 0, values["idle"] > 0
    return pd.DataFrame({"customer": who.astype(np.int32), "week": week.astype(np.int16), **values})


def _subscription_ceiling(
    run: SubscriptionRun, periods: dict[str, Ints], horizon_days: int
) -> pd.DataFrame:
    frames = []
    for said in run.predictions:
        start, who = said["cutoff"] * WEEK, said["who"]
        ends = (periods["reason"] == 1) & (periods["ended_at"] >= start)
        ends &= periods["ended_at"] < start + horizon_days * DAY
        ended = np.full(len(run.people), -1)
        ended[periods["who"][ends]] = periods["ended_at"][ends]
        pause = periods["started_at"] - ended[periods["who"]]
        follows = (ended[periods["who"]] >= 0) & (pause >= 0) & (pause <= GRACE_DAYS * DAY)
        ended[periods["who"][follows]] = -1
        frames.append(
            pd.DataFrame(
                {
                    "customer_id": ids("C", who).to_pandas(),
                    "cutoff": np.full(len(who), _day(said["cutoff"])),
                    "probability": said["probability"],
                    "p_idle": said["p_idle"],
                    "churned": ended[who] >= 0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
