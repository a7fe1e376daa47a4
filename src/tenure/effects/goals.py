"""What reaching a goal would change: by the adjusted effect, and by the model, side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tenure import levers
from tenure.bundle import Bundle
from tenure.config import Config, GoalConfig
from tenure.effects.adjusted import Estimate
from tenure.effects.checks import FEWEST
from tenure.effects.reached import Pieces, pieces_of
from tenure.effects.rewritten import by_model
from tenure.effects.rows import KEYS, Cohort, exposed, today
from tenure.levers import Lever
from tenure.population import Population
from tenure.sources import Sources

__all__ = ["simulate_goals"]

Json = dict[str, Any]

SCORE_KPIS = ("nps", "csat", "ces", "review", "score")


def simulate_goals(
    of: Cohort | None, ready: Population, sources: Sources, bundle: Bundle, scores: pd.DataFrame,
    config: Config, progress: Callable[..., None],
) -> list[Json]:  # fmt: skip
    """Simulate every goal of the config, or say why not.

    Parameters
    ----------
    of : Cohort or None
        The customers to compare; None where the log is too short for any.
    ready, sources, bundle
        The population, its logs, and the model.
    scores : DataFrame
        `customer_id`, `churn_probability` and `value_at_risk` of today.
    config, progress
        The config, and what is told how far this is.
    """
    told = []
    for goal in config.goals:
        progress(f"simulating goals: {goal.name}")
        lever = _lever(goal, ready)
        why = _why_not(goal, lever, of, ready)
        if why is None and lever is not None and of is not None:
            found = _simulated(goal, lever, of, ready, sources, bundle, scores, config)
            told.append({**_about(goal), **found})
        else:
            told.append({**_about(goal), "status": "refused", "why": why})
    return told


def _about(goal: GoalConfig) -> Json:
    return {
        "name": goal.name, "kpi": goal.kpi, "feature": goal.feature, "target": goal.target,
        "owner": goal.owner, "from": str(goal.start), "cost": goal.cost,
    }  # fmt: skip


def _lever(goal: GoalConfig, ready: Population) -> Lever | None:
    column = {c.name: c.feature for c in ready.schema.columns()}.get(goal.feature or "")
    names = (column, goal.feature, goal.kpi)
    found = next((one for n in names if n and (one := levers.named(n))), None)
    return found if found in levers.available(ready.schema) else None


def _why_not(
    goal: GoalConfig, lever: Lever | None, of: Cohort | None, ready: Population
) -> str | None:
    about = goal.feature or goal.kpi
    if any(about.startswith(score) for score in SCORE_KPIS):
        return (
            "A score is a signal to listen to, not a lever to pull: it moves when experiences do. "
            "Set a goal on the experience behind it."
        )
    if lever is None:
        known = sorted({m for one in levers.available(ready.schema) for m in one.moves})
        return (
            f"{about} is no experience whose dose can be limited here. Those that can: "
            f"{', '.join(known) or 'none in these data'}."
        )
    if goal.target is None:
        return "Only a `target` can be simulated: the most that any one customer shall bear."
    if of is None or ready.as_of is None:
        return "The log is too short to follow customers over two windows of time."
    return None


def _simulated(
    goal: GoalConfig, lever: Lever, of: Cohort, ready: Population, sources: Sources,
    bundle: Bundle, scores: pd.DataFrame, config: Config,
) -> Json:  # fmt: skip
    limit = float(goal.target or 0.0)
    about = {"lever": lever.name, "factor": lever.factor, "reading": _reading(lever, limit)}
    given = sources.tables, of.days, config.zone, ready.schema, of.window
    dosage = levers.knots(lever, limit, *given)
    if dosage is None:
        return {**about, "status": "refused", "why": "No case lies beyond it: it is met already."}
    rows = exposed(lever, dosage, of, sources, ready.schema, config)
    thin = _thin(rows, lever, limit)
    if thin:
        return {**about, "status": "refused", "why": thin}
    pieces = pieces_of(rows, dosage, of.confounders, config.model.seed)
    effect = pieces.effect(rows["churned"])
    now = today(lever, dosage, of, ready, sources, config)
    beyond = (now[dosage.above].sum(axis=1) > 0).to_numpy()
    if not beyond.any():
        why = f"In the last {of.window} days no customer at stake was beyond it: it is met now."
        return {**about, "status": "refused", "why": why}
    stakes = now[["customer_id"]].merge(_stakes(scores), on="customer_id", how="left")
    stake = stakes["stake"].to_numpy()
    share = 100.0 / len(now)
    fewer = pieces.change(effect, now)
    kept = Estimate(-fewer.value, fewer.error)
    worth = None
    if np.isfinite(stake).all():
        saved = pieces.change(effect, now, stake)
        worth = Estimate(-saved.value, saved.error)
    return {
        **about,
        "status": "simulated",
        "why": None,
        "window_days": of.window,
        "customers": {
            "with_opportunity": len(now),
            "affected": int(beyond.sum()),
            "of": int((scores["status"] == "scored").sum()),
        },
        "support": _support(rows, limit),
        "adjusted": {
            "points": fewer.to_json(share),
            "points_of_affected": fewer.to_json(100.0 / int(beyond.sum())),
            "customers_kept": kept.to_json(),
            "value_kept": None if worth is None else worth.to_json(),
            "rows": len(rows),
            "customers": int(rows["customer_id"].nunique()),
        },
        "model": by_model(lever, limit, of, ready, sources, bundle, now, stake, config),
        "tickets_saved": _tickets(lever, pieces, rows, now, of, sources, ready, config),
        "money": _money(goal, kept, worth, config),
        "when": _when(goal, of, config),
    }


def _reading(lever: Lever, limit: float) -> str:
    """Say what the target means for each single case."""
    if lever.unit in ("yes or no", "count"):
        return f"No {lever.one} at all."
    noun = (lever.opportunities or "").removesuffix("s").replace("deliverie", "delivery")
    return f"No {noun} beyond {limit:g} {lever.unit}."


def _thin(rows: pd.DataFrame, lever: Lever, limit: float) -> str | None:
    """Say why the goal cannot be compared with anything observed."""
    met = rows.loc[rows["worst"] <= limit, "customer_id"].nunique()
    beyond = rows.loc[rows["worst"] > limit, "customer_id"].nunique()
    if met >= FEWEST and beyond >= FEWEST and rows["churned"].nunique() == 2:
        return None
    return (
        f"Too little was observed: {met:,} customers were within the target all the time and "
        f"{beyond:,} beyond it ({lever.opportunities or 'cases'} of {len(rows):,} rows); "
        f"{FEWEST} on both sides are needed."
    )


def _support(rows: pd.DataFrame, limit: float) -> Json:
    return {
        "customers_within": int(rows.loc[rows["worst"] <= limit, "customer_id"].nunique()),
        "customers_beyond": int(rows.loc[rows["worst"] > limit, "customer_id"].nunique()),
    }


def _stakes(scores: pd.DataFrame) -> pd.DataFrame:
    """Return what each customer's staying is worth: V_A − V_0 = value at risk / p."""
    p = scores["churn_probability"]
    stake = (scores["value_at_risk"] / p.where(p > 0)).to_numpy(dtype=np.float64)
    return pd.DataFrame({"customer_id": scores["customer_id"], "stake": stake})


def _tickets(
    lever: Lever, pieces: Pieces, rows: pd.DataFrame, now: pd.DataFrame, of: Cohort,
    sources: Sources, ready: Population, config: Config,
) -> Json:  # fmt: skip
    """Estimate how many tickets would not have been opened in the window."""
    asked = levers.LEVERS["slow_response"]
    if lever.table == asked.table or asked.view not in ready.schema.views():
        why = "The goal is about how tickets are handled, not about how many are opened."
        absent = "There is no table of tickets."
        return {"value": None, "why": why if lever.table == asked.table else absent}
    had = levers.exposures(
        replace(asked, dose=lambda t: t.age), None, sources.tables, of.days, config.zone,
        ready.schema, of.window,
    )  # fmt: skip
    counts = had[[*KEYS, "n"]].rename(columns={"n": "tickets_opened"})
    both = rows.merge(counts, on=KEYS, how="left", validate="1:1").fillna({"tickets_opened": 0.0})
    fewer = pieces.change(pieces.effect(both["tickets_opened"]), now)
    return {**fewer.to_json(-1.0), "unit": f"tickets in {of.window} days", "why": None}


def _money(goal: GoalConfig, kept: Estimate, worth: Estimate | None, config: Config) -> Json:
    """Hold what the goal costs against what it keeps."""
    replacing = config.clv.replacement_cost
    told: Json = {
        "currency": config.currency,
        "cost": goal.cost,
        "replacing_them_would_cost": None if replacing is None else kept.to_json(replacing),
        "break_even_customers": None,
        "pays": None,
    }
    if goal.cost is None or worth is None or kept.value <= 0:
        return told
    each = worth.value / kept.value
    low, high = worth.ends()
    pays = "yes" if low >= goal.cost else "no" if high < goal.cost else "cannot be told"
    return {
        **told,
        "value_of_one": each,
        "break_even_customers": goal.cost / each if each > 0 else None,
        "pays": pays,
    }


def _when(goal: GoalConfig, of: Cohort, config: Config) -> Json:
    """Say from when the goal is met, and in which window of time its effect falls."""
    met = goal.start + dt.timedelta(days=of.window)
    first = met + dt.timedelta(days=config.churn.gap_days)
    last = first + dt.timedelta(days=config.churn.horizon_days)
    early = "an improvement needs experiences first, and who has one has bought"
    if config.churn.kind == "subscription":
        early = "experiences add up over the window before they show"
    return {
        "met_from": str(goal.start),
        "met_until": str(met),
        "leaving_from": str(first),
        "leaving_until": str(last),
        "note": (
            f"The effect is on leaving from {first} until before {last}, if the goal is met from "
            f"{goal.start} on. Hardly any of it shows before: {early}."
        ),
    }
