"""What a run says of value: held against what came, and summed up for those who plan with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from tenure.backtest import churn as churn_backtest
from tenure.backtest import subscription_value
from tenure.backtest import value as value_backtest
from tenure.backtest.foresight import foresight
from tenure.backtest.record import numbered
from tenure.backtest.stakes import NO_VALUE, value_unit
from tenure.backtest.value import ValueBacktest
from tenure.bundle import Bundle
from tenure.config import Config, load_config
from tenure.models.spells import ShiftedBetaGeometric, SpellTiming
from tenure.outlook import totals
from tenure.population import Population
from tenure.sources import Sources
from tenure.value.totals import missed

__all__ = [
    "Held",
    "fitted",
    "held",
    "no_value",
    "told",
    "value_figures",
    "value_figures_again",
]

Json = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """Value held against what came.

    Attributes
    ----------
    figures : dict
        The `clv` part of `metrics.json`.
    errors : tuple of float
        Log of actual over expected total value at past origins.
    notes : tuple of str
    tables : dict of DataFrame
        What the figures are made of, customers numbered, as they are kept with the run.
    """

    figures: Json
    errors: tuple[float, ...]
    notes: tuple[str, ...]
    tables: dict[str, pd.DataFrame]


def held(
    ready: Population, sources: Sources, churn: churn_backtest.Backtest, config: Config
) -> tuple[ValueBacktest | None, Held]:
    """Judge the value of the kind; beside it, what was chosen for purchases."""
    if config.churn.kind == "inactivity":
        rows = value_backtest.past(ready.matrix, ready.after, ready.origins)
        rows, notes = foresight(rows, ready.features, config) if len(rows) else (rows, ())
        value = value_backtest.judge(rows, ready.daily, config, ready.value_days)
        figures = value_figures(value, config)
        tables = {"value": numbered(value.rows), "daily": ready.daily}
        return value, Held(figures, value.errors, (*value.notes, *notes), tables)
    if config.churn.kind == "subscription" and ready.first_day and ready.as_of:
        kept = subscription_value.run(sources.tables, churn, config, ready.first_day, ready.as_of)
        total = kept.figures["holdout"].get("total", {"origins": []})
        past = [one["value"] for one in (*total["origins"], total) if "value" in one]
        errors = tuple(
            e for one in past if (e := missed(one["actual"], one["expected"])) is not None
        )
        tables = {"value": numbered(kept.rows)} if len(kept.rows.columns) else {}
        return None, Held(kept.figures, errors, kept.notes, tables)
    return None, Held(no_value(config), (), (), {})


def no_value(config: Config) -> dict[str, Any]:
    """Return the `clv` part of `metrics.json` where value is not modelled."""
    return {
        "family": None,
        "why": NO_VALUE[config.churn.kind],
        "unit": value_unit(config.clv),
        "holdout": {"horizon_days": None, "origin": None, "purchases": {}},
        "baselines": {},
    }


def value_figures(value: ValueBacktest, config: Config) -> dict[str, Any]:
    """Return the `clv` part of `metrics.json`."""
    model = value.figures.get("model", {})
    return {
        "family": value.family,
        "name": value.name,
        "timing_family": value.timing_family,
        "why": value.why,
        "unit": value_unit(config.clv),
        "holdout": {
            "horizon_days": value.horizon_days,
            "origin": None if value.origin is None else str(value.origin),
            "unit": "revenue",  # what came is held against what was said, before any margin
            **model.get("value", {}),
            "purchases": model.get("purchases", {}),
            **value.spread,
            "total_errors": list(value.errors),
        },
        "baselines": {n: f["value"] for n, f in value.figures.items() if n != "model"},
    }


def value_figures_again(folder: Path) -> dict[str, Any]:
    """Fit and judge the value models anew from what a run's MLflow artifacts hold.

    Parameters
    ----------
    folder : Path
        The downloaded artifacts: `value.parquet`, `daily.parquet`, `config.yaml`, and
        `metrics.json` for the length of the horizon and the question.

    Returns
    -------
    dict
        As from `value_figures`.
    """
    config, rows = load_config(folder / "config.yaml"), pd.read_parquet(folder / "value.parquet")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    config = config.asking(**metrics["churn"]["definition"])
    days = metrics["clv"]["holdout"]["horizon_days"]
    if config.churn.kind == "subscription":
        return subscription_value.figures(rows, config, days)
    daily = pd.read_parquet(folder / "daily.parquet")
    with threadpool_limits(1, user_api="blas"):  # as in training: more threads round otherwise
        return value_figures(value_backtest.judge(rows, daily, config, days), config)


def told(
    found: Held,
    scores: pd.DataFrame,
    bundle: Bundle,
    refused: list[str],
    ready: Population,
    config: Config,
) -> Json:
    """Return the `clv` part of `metrics.json`: what was held, how fits ended, what is expected."""
    judged_over = found.figures["holdout"]["horizon_days"] or config.clv.horizon_days
    # an error that wanders grows with the root of the time it has
    further = float(np.sqrt(max(1.0, config.clv.horizon_days / judged_over)))
    errors = tuple(further * e for e in found.errors)
    return {
        **found.figures,
        "fits": fitted(bundle, refused),
        "totals": totals(scores, bundle, ready, errors, config),
    }


def fitted(bundle: Bundle, refused: list[str]) -> Json:
    """Say in which state the value models ended: the `fits` of `clv`.

    Returns
    -------
    dict
        `purchases` and `spend`, each with its `status` (`refused`, with the reason, where there is
        none), parameters with standard errors of their logarithms, and the largest slope left; of
        subscriptions `ends`, the shifted beta-geometric.
    """
    if isinstance(bundle.timing, SpellTiming):
        return {"ends": _ends(bundle.timing.sbg)}
    why = next((n for n in refused if n.startswith("Value is declined")), None)
    found: Json = {}
    for name, model, parameters in (
        ("purchases", bundle.purchases, getattr(bundle.purchases, "NAMES", ())),
        ("spend", bundle.spend, ("p", "q", "v")),
    ):
        if model is None:
            found[name] = {"status": "refused", "why": why}
            continue
        spread = np.sqrt(np.diag(np.array(model.covariance)))
        found[name] = {
            "status": model.status,
            "customers": model.n_customers,
            "log_likelihood": model.log_likelihood,
            "gradient": model.gradient,
            "parameters": {
                k: {"value": getattr(model, k), "log_error": float(error) or None}
                for k, error in zip(parameters, spread, strict=True)
            },
            "warnings": list(model.warnings),
        }
    return found


def _ends(sbg: ShiftedBetaGeometric) -> Json:
    known = sbg.log_covariance is not None
    spread = np.sqrt(np.diag(np.array(sbg.log_covariance))) if known else np.zeros(2)
    return {
        "status": "converged" if known else "boundary",
        "parameters": {
            k: {"value": getattr(sbg, k), "log_error": float(error) or None}
            for k, error in zip(("alpha", "beta"), spread, strict=True)
        },
    }
