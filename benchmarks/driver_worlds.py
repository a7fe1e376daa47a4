"""Worlds whose causes are known, as one log: who the customers of each are, and what is true."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.config import Config
from tenure.effects.rows import Cohort, cohort
from tenure.features.matrix import build, plan_schema
from tenure.population import Population
from tenure.simulate import START, Intervention, Shop, simulate
from tenure.sources import Sources, load

__all__ = ["CURES", "WEEKS", "Worlds", "drawn", "effect", "loaded", "world_of"]

TABLES = ("customers", "transactions", "interactions")
WEEKS, STEP, CUTOFFS = 156, 13, (99, 112, 125, 138)  # the last three are compared
IDS = ("customer_id", "transaction_id", "interaction_id")
ATTRIBUTES = {a: {"known_from": "signup_at"} for a in ("region", "segment")}

CURES = {
    "late_delivery": {"most_days_late": 0.0},
    "slow_response": {"first_response_hours": 2.0},
    "unsolved_ticket": {"no_reopening": True},
}
"""What is changed in a re-run so that a lever's bad experiences are none."""


def drawn(seed: int, *, null: bool = False) -> Shop:
    """Draw a world: which causes it has and how strong, how confounded and how noisy it is."""
    rng = np.random.default_rng([seed, int(null)])
    on = np.zeros(3) if null else rng.random(3) < 0.6
    late, slow, unsolved = on * rng.uniform((0.9, 1.0, 1.2), (2.0, 2.2, 2.4))
    region = float(rng.choice([0.0, 0.35, 0.8]))
    return replace(
        Shop(), dirt=0.0, late_effect=float(late), slow_effect=float(slow),
        unsolved_effect=float(unsolved), region_effects=(0.0, 0.0, 0.0, region),
        region_late=(1.0, 1.0, 0.7, float(rng.choice([1.0, 2.0, 2.5]))),
        ticket_confounding=float(rng.choice([0.0, 0.7, 1.0])),
        buyers_effect=float(rng.choice([0.0, -0.2, -0.4])),
        temperament=float(rng.choice([0.2, 0.5, 0.8])),
        base_hazard=float(rng.choice([0.0035, 0.007])),
        tickets_per_order=float(rng.choice([0.12, 0.2])),
    )  # fmt: skip


def world_of(customer_id: pd.Series) -> np.ndarray:
    """Return the number of the world a customer lives in."""
    return customer_id.str.slice(1, 5).astype(int).to_numpy()


@dataclass(frozen=True)
class Worlds:
    """Several worlds in one log.

    Attributes
    ----------
    shops : dict of int to Shop
    customers : int
        Of each world.
    sources, config, population, cohort
        As the package sees all of them together.
    """

    shops: Mapping[int, Shop]
    customers: int
    sources: Sources
    config: Config
    population: Population
    cohort: Cohort


@contextmanager
def loaded(shops: Mapping[int, Shop], customers: int) -> Iterator[Worlds]:
    """Simulate worlds, read them as one log, and build what was known at the cutoffs."""
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
        for number, shop in shops.items():
            company = simulate(shop, customers, number, weeks=WEEKS, with_truth=False)
            for name in TABLES:
                parts[name].append(_marked(company.tables[name], number))
        for name, tables in parts.items():
            pq.write_table(pa.concat_tables(tables), Path(folder) / f"{name}.parquet")
        config = _config(Path(folder))
        with load(config) as sources:
            days = tuple(_day(week) for week in CUTOFFS)
            schema = plan_schema(
                sources.tables, sources.first_day, days[0], config.zone, {},
                settings=config.feature_settings,
            )  # fmt: skip
            population = _population(build(sources.tables, days, config.zone, schema), schema, days)
            of = cohort(population, sources, config)
            assert of is not None
            yield Worlds(shops, customers, sources, config, population, of)


def _population(matrix: pd.DataFrame, schema: object, days: Sequence[dt.date]) -> Population:
    none = pd.DataFrame()
    return Population(
        schema=schema, matrix=matrix, days=tuple(days), first_day=None, as_of=None, rows=none,
        X=none, timing=None, after=none, daily=none, value_days=0, origins=(),
        known=pd.Series(dtype="str"), treated=0, notes=(),
    )  # fmt: skip


def _marked(table: pa.Table, number: int) -> pa.Table:
    for name in IDS:
        if name in table.column_names:
            place = table.column_names.index(name)
            text = pc.binary_join_element_wise(f"w{number:04d}-", table[name], "")
            table = table.set_column(place, name, text)
    return table


def _config(folder: Path) -> Config:
    tables: dict[str, dict[str, object]] = {
        n: {"path": str(folder / f"{n}.parquet")} for n in TABLES
    }
    tables["customers"]["attributes"] = ATTRIBUTES
    return Config.model_validate(
        {
            "project": "worlds",
            "data": {"tables": tables},
            "churn": {"horizon_days": 7 * STEP},
            "cutoffs": {"every_days": 7 * STEP},
        }
    )


def _day(week: int) -> dt.date:
    return START.date() + dt.timedelta(weeks=week)


def effect(worlds: Worlds, number: int, rows: pd.DataFrame, change: dict[str, object]) -> float:
    """Return the true effect on a world's rows: leaving in the re-run less leaving, in points.

    Parameters
    ----------
    rows : DataFrame
        `customer_id`, `cutoff`, `churned` of this world's customers.
    change : dict
        Of `Intervention`, from the start of each cutoff's window on.
    """
    moved = 0.0
    for week in CUTOFFS[1:]:
        here = rows[rows["cutoff"] == pd.Timestamp(_day(week))]
        again = simulate(
            worlds.shops[number], worlds.customers, number,
            Intervention(from_week=week - STEP, **change), weeks=WEEKS, with_truth=False,
        )  # fmt: skip
        t = again.frame("transactions")
        bought = t[(t["kind"] == "purchase") & (t["amount"] > 0)]
        since = (pd.to_datetime(bought["ts"]) - pd.Timestamp(_day(week))) / pd.Timedelta(weeks=1)
        inside = (since >= 0) & (since < STEP)
        comes = f"w{number:04d}-" + bought.loc[inside, "customer_id"]
        moved += float((~here["customer_id"].isin(comes) - here["churned"]).sum())
    return 100.0 * moved / len(rows)
