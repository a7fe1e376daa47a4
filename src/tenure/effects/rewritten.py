"""The model's own answer: the same customers, by the features of a log in which a goal was met."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.bundle import Bundle
from tenure.config import Config
from tenure.cutoffs import instant
from tenure.effects.rows import Cohort
from tenure.features.matrix import build
from tenure.levers import Lever
from tenure.population import Population
from tenure.sources import Sources

__all__ = ["by_model"]

Json = dict[str, Any]


def by_model(
    lever: Lever, limit: float, of: Cohort, ready: Population, sources: Sources, bundle: Bundle,
    now: pd.DataFrame, stake: np.ndarray, config: Config,
) -> Json:  # fmt: skip
    """Ask the model about the same customers had no recent case gone beyond the limit."""
    if lever.cap is None or ready.as_of is None:
        return {"points": None, "why": "The log cannot be rewritten for this kind of experience."}
    here = ready.today[ready.today["customer_id"].isin(now["customer_id"])]
    before = bundle.inputs(here)
    after = _rewritten(lever, limit, of, here, before, ready, sources, config)
    seen = ready.X[before.columns]
    after = after.clip(seen.min(), seen.max(), axis=1).where(after.ne(before), before)
    p, q = (bundle.explain(X, ready.as_of).probability for X in (before, after))
    fewer = q - p
    return {
        "points": 100.0 * float(fewer.mean()),
        "customers_kept": -float(fewer.sum()),
        "value_kept": -float(fewer @ stake) if np.isfinite(stake).all() else None,
        "clipped_to": "what was observed in training",
        "why": "The model's own answer, without a range: what it learnt goes together, no more.",
    }


def _rewritten(
    lever: Lever, limit: float, of: Cohort, here: pd.DataFrame, before: pd.DataFrame,
    ready: Population, sources: Sources, config: Config,
) -> pd.DataFrame:  # fmt: skip
    """Return the inputs as the features would be of a log in which the goal had been met."""
    day = ready.as_of
    if lever.cap is None or day is None:
        return before
    schema, tables = ready.schema, sources.tables
    kept = {lever.table, schema.population}
    only = replace(schema, available={k: v for k, v in schema.available.items() if k in kept})
    since = instant(day - dt.timedelta(days=of.window), config.zone)
    log = {name: tables[name] for name in kept}
    capped = log | {lever.table: lever.cap(log[lever.table], round(limit * lever.per), since)}
    names = [c.name for c in only.columns() if c.name in before.columns]

    def at_end(log: dict[str, Any]) -> np.ndarray:
        matrix = build(log, [day], config.zone, only).set_index("customer_id")
        return np.asarray(matrix.loc[here["customer_id"], names], dtype=np.float64)

    was, would = at_end(log), at_end(capped)
    changed = ~((was == would) | (np.isnan(was) & np.isnan(would)))
    old = before[names].to_numpy()
    # sums over several tables move by the difference; what had no value takes the new one
    moved = np.where(np.isnan(old) | np.isnan(was), would, old + (would - was))
    return before.assign(**dict(zip(names, np.where(changed, moved, old).T, strict=True)))
