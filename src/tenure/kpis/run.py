"""All figures of a project: computed, suppressed where few stand behind them, written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from tenure.config import Config

# importing registers the figures
from tenure.kpis import asks, leaving, orders, people, revenue, surveys, tickets, untimely  # noqa: F401
from tenure.kpis.goals import Progress, check_goals, progress_of
from tenure.kpis.grid import ALL, LEAST, cells
from tenure.kpis.leaving import meaning
from tenure.kpis.registry import FIGURES, ROWS, Figure, Rows
from tenure.kpis.world import World
from tenure.labels.horizon import settled
from tenure.outputs import write_table
from tenure.sources import load

__all__ = ["COLUMNS", "KpiResult", "compute", "kpis"]

COLUMNS = ("period", "figure", "by", "group", "n", "value", "lower", "upper", "unit")
_CLOCK = "experience.support_hours"


@dataclass(frozen=True)
class KpiResult:
    """Every figure, and what goes with it.

    Attributes
    ----------
    table : DataFrame
        `period` (date, null for the whole log), `figure`, `by`, `group`, `n`, `value`, `lower`,
        `upper` (90 %), `unit`; n and figures are null where fewer than 10 customers or rows stand
        behind a group.
    absent : dict of str to str
        The figures left out, each with what is missing.
    goals : tuple of Progress
        How far each goal of the config is.
    milestones : tuple
        What the config marks on the time axis, in order.
    leaving : str
        What leaving means.
    first_day, observed_until : date
        What the figures are made of: `[first_day, observed_until)`.
    out : Path or None
        Where the table was written.
    """

    table: pd.DataFrame
    absent: dict[str, str]
    goals: tuple[Progress, ...]
    milestones: tuple[tuple[dt.date, str], ...]
    leaving: str
    first_day: dt.date
    observed_until: dt.date
    out: Path | None = None


def kpis(config: Config, *, progress: Callable[[str], None] = lambda _: None) -> KpiResult:
    """Compute every figure the data afford and write `out/<project>/kpis.parquet`.

    Parameters
    ----------
    config : Config
        Which tables, what leaving means, goals and milestones.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    KpiResult

    Raises
    ------
    ConfigError
        If a goal names no figure, or support hours cannot be read.
    DataError
        If a table is broken.
    EnvironmentFault
        If the output cannot be written.
    """
    check_goals(config.goals)
    progress("reading")
    with load(config) as sources:
        config, _ = settled(config, sources)
        done = compute(
            sources.con, config, sources.tables, sources.observed_until, sources.ends, progress
        )
    out = config.out / "kpis.parquet"
    write_table(done.table, out)
    return KpiResult(**(vars(done) | {"out": out}))


def compute(
    con: Any,
    config: Config,
    tables: Mapping[str, ir.Table],
    until: dt.date,
    ends: Mapping[str, dt.date] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> KpiResult:
    """Compute every figure from typed tables, as known at the end of observation.

    Parameters
    ----------
    con, tables
        The engine and its typed tables.
    config : Config
        As for `kpis`.
    until : date
        The local day whose midnight ends observation.
    ends : mapping, optional
        Where tables end before that.
    progress : callable, optional
        Told what is being done.
    """
    check_goals(config.goals)
    world = World.at_the_end(con, config, tables, until, ends)
    absent = {name: why for name, f in FIGURES.items() if (why := _missing(world, f))}
    parts = []
    for kind in ROWS.values():
        chosen = [f for f in FIGURES.values() if f.of == kind.name and f.name not in absent]
        if chosen:
            progress(f"figures on {kind.name.replace('_', ' ')}")
            found = cells(world, kind, chosen)
            parts += [found, _zeros(world, kind, chosen, found)]
    whole = [part for part in parts if len(part)]
    found = pd.concat(whole, ignore_index=True) if whole else pd.DataFrame()
    table = _finished(found, config.currency)
    for name in FIGURES.keys() - set(table["figure"]) - absent.keys():
        absent[name] = "no row counts towards it"
    return KpiResult(
        table=table,
        absent={name: absent[name] for name in FIGURES if name in absent},
        goals=progress_of(config.goals, table, until),
        milestones=tuple(sorted((m.on, m.name) for m in config.milestones)),
        leaving=meaning(world),
        first_day=world.first_day,
        observed_until=until,
    )


def _zeros(
    world: World, kind: Rows, figures: Sequence[Figure], found: pd.DataFrame
) -> pd.DataFrame:
    """Return the months in which there was nothing to add up: 0, not unknown."""
    counted = [f for f in figures if f.measure == "total" and f.overall]
    if not counted or found.empty:
        return pd.DataFrame()
    months = [str(m) for m in world.months(*(n for n in kind.needs if "." not in n))]
    there = found[found["by"] == ALL].groupby("figure")["period"].agg(set).to_dict()
    return pd.DataFrame(
        [
            {"period": month, "by": ALL, "group": ALL, "figure": f.name, "n": 0.0,
             "customers": 0.0, "value": 0.0, "lower": 0.0, "upper": float("nan"), "unit": f.unit}
            for f in counted for month in months if month not in there.get(f.name, set())
        ]
    )  # fmt: skip


def _missing(world: World, figure: Figure) -> str:
    """Say what a figure lacks, or nothing."""
    hours = world.config.experience.support_hours
    lacks = [n for n in figure.requires if not (bool(hours) if n == _CLOCK else world.has(n))]
    kind = world.config.churn
    if figure.of in ("customer_months", "asks_and_leaving") and kind.table not in world.tables:
        lacks.append(kind.table)
    return f"needs {', '.join(n.replace('|', ' or ') for n in lacks)}" if lacks else ""


def _finished(found: pd.DataFrame, currency: str | None) -> pd.DataFrame:
    """Suppress small groups, order the rows, and give the columns their types."""
    if found.empty:
        found = pd.DataFrame(columns=[*COLUMNS, "customers"])
    place = {name: i for i, name in enumerate(FIGURES)}
    found = found.assign(place=found["figure"].map(place), grouped=found["by"] != ALL)
    found = found.sort_values(["place", "grouped", "by", "group", "period"], kind="stable")
    alone = (found["n"] < LEAST) | (found["customers"] < LEAST)
    few = (found["grouped"] & alone).to_numpy(bool)
    days = [dt.date.fromisoformat(p) if p else None for p in found["period"]]
    unit = found["unit"].astype("str")
    if currency:
        unit = unit.str.replace("currency", currency)
    numbers = {
        c: pd.to_numeric(found[c]).astype("float64").mask(few).round(6).to_numpy()
        for c in ("value", "lower", "upper")
    }
    return pd.DataFrame(
        {
            "period": pd.array(pa.array(days, pa.date32()), dtype=pd.ArrowDtype(pa.date32())),
            **{c: found[c].astype("str").to_numpy() for c in ("figure", "by", "group")},
            "n": pd.to_numeric(found["n"]).astype("float64").mask(few).astype("Int64").array,
            **numbers,
            "unit": unit.to_numpy(),
        }
    )
