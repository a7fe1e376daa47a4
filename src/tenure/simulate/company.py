"""A simulated company: its tables, and the truth beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
import pyarrow as pa

from tenure.errors import ConfigError
from tenure.simulate import shop, subscription_world
from tenure.simulate.dirt import dirtied
from tenure.simulate.draws import Draws
from tenure.simulate.shop_tables import shop_tables
from tenure.simulate.subscription_tables import subscription_tables
from tenure.simulate.truth import Truth, shop_truth, subscription_truth
from tenure.simulate.world import Intervention, Shop, Subscriptions

__all__ = ["WORLDS", "Company", "demo_table", "simulate"]

WORLDS: dict[str, Shop | Subscriptions] = {"shop": Shop(), "subscriptions": Subscriptions()}
World = Shop | Subscriptions


@dataclass(frozen=True)
class Company:
    """A company's tables by their name in the contract, and the truth.

    Attributes
    ----------
    tables : dict of str to pyarrow.Table
    truth : Truth
    """

    tables: dict[str, pa.Table]
    truth: Truth

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table as a data frame."""
        frame: pd.DataFrame = self.tables[name].to_pandas()
        return frame


def simulate(
    world: str | World = "shop", customers: int = 20_000, seed: int = 7,
    intervention: Intervention | None = None, weeks: int = 156, with_truth: bool = True,
    horizon_days: int | None = None,
) -> Company:  # fmt: skip
    """Simulate a company.

    Draws belong to (seed, customer, week, purpose): the same arguments give the same bytes, a
    customer's rows do not depend on how many others there are, and a re-run under an intervention
    differs by what follows from it only.

    Parameters
    ----------
    world : {"shop", "subscriptions"} or Shop or Subscriptions
        A world of the usual parameters, or one of your own: ``replace(Shop(), late_effect=0)``.
    customers, seed : int
    intervention : Intervention, optional
        What is done differently.
    weeks : int
        Length of the log from 2023-01-02, at least 30.
    with_truth : bool
        Whether to keep the weekly panel and run the filter, which takes three times as long.
    horizon_days : int, optional
        Of the filter's label; 90 for the shop, 30 for subscriptions.

    Returns
    -------
    Company

    Raises
    ------
    ConfigError
        If there is no such world, or the size makes no sense.
    """
    chosen = _chosen(world)
    if customers < 1 or customers > 999_999 or weeks < 30 or seed < 0:
        raise ConfigError(
            "simulate: give 1 to 999,999 customers, a seed of at least 0 and at least 30 weeks."
        )
    draws = Draws(seed, customers)
    tables, truth = _run(chosen, draws, customers, weeks, intervention, with_truth, horizon_days)
    tables, counts = dirtied(tables, draws, chosen.dirt)
    late = _late_rows(tables["surveys"].to_pandas())
    truth.facts.update(dirt=counts, late_rows=late)
    return Company(tables, truth)


def _late_rows(surveys: pd.DataFrame) -> dict[str, int]:
    """Count the surveys loaded more than a day late, and those corrected by a later row."""
    sound = surveys[surveys["survey_id"].str.count("-") == 2]
    again = sound["survey_id"].duplicated()
    known = sound["answered_at"].fillna(sound["sent_at"])
    late = sound["loaded_at"] - known > pd.Timedelta(days=1)
    return {"loaded_late": int((late & ~again).sum()), "corrected": int(again.sum())}


def _chosen(world: str | World) -> World:
    if not isinstance(world, str):
        return world
    if world not in WORLDS:
        raise ConfigError(f"simulate: there is no world {world!r}; known: {', '.join(WORLDS)}.")
    return WORLDS[world]


def _run(
    world: World, draws: Draws, customers: int, weeks: int, change: Intervention | None,
    with_truth: bool, horizon_days: int | None,
) -> tuple[dict[str, pa.Table], Truth]:  # fmt: skip
    if isinstance(world, Shop):
        horizon = horizon_days or 90
        bought = shop.run(world, draws, customers, weeks, change, with_truth, horizon)
        truth = shop_truth(world, bought, horizon, with_truth)
        return shop_tables(bought, draws), truth
    horizon = horizon_days or 30
    ran = subscription_world.run(world, draws, weeks, change, with_truth, horizon)
    truth = subscription_truth(world, ran, horizon, with_truth)
    return subscription_tables(ran, draws), truth


@lru_cache(maxsize=2)
def _demo(world: str, customers: int) -> Company:
    return simulate(world, customers, 7, with_truth=False)


def demo_table(world: str, table: str) -> pa.Table:
    """Return a table of the company that the package carries: 20,000 customers, seed 7.

    The company of subscribers has 5,000.
    """
    return _demo(world, 20_000 if world == "shop" else 5_000).tables[table]
