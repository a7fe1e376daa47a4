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
from tenure.backtest.segments import segments
from tenure.backtest.stakes import NO_VALUE, value_unit
from tenure.backtest.value import ValueBacktest
from tenure.bundle import Bundle
from tenure.config import Config, load_config
from tenure.models.spells import ShiftedBetaGeometric, SpellTiming
from tenure.population import Population
from tenure.sources import Sources
from tenure.value.subscribers import AGE, contracts
from tenure.value.totals import LEAST_ORIGINS, likely_totals, said_total

__all__ = [
    "Held",
    "fitted",
    "held",
    "no_value",
    "told",
    "totals",
    "value_figures",
    "value_figures_again",
]

Json = dict[str, Any]
Groups = dict[str, tuple[list[str], np.ndarray]]

FUTURES = 200


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
            float(np.log(one["actual"] / one["expected"]))
            for one in past
            if min(one["actual"], one["expected"]) > 0
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
    return {
        **found.figures,
        "fits": fitted(bundle, refused),
        "totals": totals(scores, bundle, ready, found.errors, config),
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
                k: {"value": getattr(model, k), "log_error": float(error)}
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
            k: {"value": getattr(sbg, k), "log_error": float(error)}
            for k, error in zip(("alpha", "beta"), spread, strict=True)
        },
    }


def totals(
    scores: pd.DataFrame,
    bundle: Bundle,
    ready: Population,
    errors: tuple[float, ...],
    config: Config,
) -> Json | None:
    """Sum up the value of everybody, of cohorts and of segments, each with its 90 % interval.

    Sums are those of the scores' own column. Intervals are the models' own (luck, and errors of
    the parameters), widened by how past totals missed where there are at least 3 of them.

    Returns
    -------
    dict or None
        `horizon_days`, `unit`, `as_of`, `scope`, `errors`, and `groups`: by segmentation (`all`,
        `cohort` by first purchase or start, `status`, and every segment) a list of `name`,
        `customers`, `expected`, `lower`, `upper`. None where nobody has a value.
    """
    column = f"clv_{config.clv.horizon_days}d"
    valued = scores.loc[scores[column].notna(), ["customer_id", "status", column]]
    if valued.empty or ready.as_of is None:
        return None
    today = ready.today.assign(customer_id=ready.today["customer_id"].astype("str"))
    people = valued.merge(today.drop(columns="status", errors="ignore"), on="customer_id")
    groups = _groups(people, ready, config)
    codes = {name: code for name, (_, code) in groups.items()}
    drawn = _drawn(people, scores, people[column].to_numpy(), codes, bundle, config)
    listed: Json = {}
    for name, (levels, code) in groups.items():
        sums = np.bincount(code, people[column].to_numpy(), minlength=len(levels))
        counts = np.bincount(code, minlength=len(levels))
        listed[name] = [
            {
                "name": level,
                "customers": int(counts[k]),
                **said_total(float(sums[k]), drawn[name][k], errors),
            }
            for k, level in enumerate(levels)
        ]
    enough = len(errors) >= LEAST_ORIGINS
    return {
        "horizon_days": config.clv.horizon_days,
        "unit": value_unit(config.clv),
        "currency": config.currency,
        "as_of": str(ready.as_of),
        "scope": f"widened by the errors of {len(errors)} past totals" if enough else "model only",
        "errors": list(errors),
        "groups": listed,
    }


def _groups(people: pd.DataFrame, ready: Population, config: Config) -> Groups:
    """Return names and codes of the groups of every segmentation."""
    keys = people[["customer_id", "cutoff"]]
    levels = segments(people, keys, ready.schema, config)
    named = {
        "all": np.full(len(people), "everybody", dtype=object),
        "cohort": _cohort(people, ready),
        "status": people["status"].to_numpy(dtype=object),
        **levels,
    }
    found: Groups = {}
    for name, labels in named.items():
        distinct, code = np.unique(labels.astype(str), return_inverse=True)
        found[name] = [str(d) for d in distinct], code
    return found


def _cohort(people: pd.DataFrame, ready: Population) -> np.ndarray:
    """Name the year, quarter or month of the first purchase or start, by the log's length."""
    since, last = (AGE, 0) if AGE in people else ("T", 1)  # T counts to the day before the cutoff
    age = pd.to_timedelta(people[since].fillna(0) + last, unit="D")
    assert ready.as_of is not None
    assert ready.first_day is not None
    first = pd.Timestamp(ready.as_of) - age
    years = (ready.as_of - ready.first_day).days / 365
    unit = "Y" if years > 3 else "Q" if years > 1 else "M"
    return np.asarray(first.dt.to_period(unit).astype("str"), dtype=object)


def _drawn(
    people: pd.DataFrame,
    scores: pd.DataFrame,
    value: np.ndarray,
    codes: dict[str, np.ndarray],
    bundle: Bundle,
    config: Config,
) -> dict[str, np.ndarray]:
    """Draw the totals of groups; by segmentation an array (groups, draws)."""
    if isinstance(bundle.timing, SpellTiming):
        return _of_contracts(people, scores, codes, bundle, config)
    if bundle.purchases is None or bundle.spend is None:  # then nobody has a value
        return {}
    said = np.zeros_like(value), value
    drawn = likely_totals(
        bundle.purchases, bundle.spend, people, config.clv.horizon_days, said, codes,
        draws=FUTURES, seed=config.model.seed,
    )  # fmt: skip
    return {name: both[1] for name, both in drawn.items()}


def _of_contracts(
    people: pd.DataFrame,
    scores: pd.DataFrame,
    codes: dict[str, np.ndarray],
    bundle: Bundle,
    config: Config,
) -> dict[str, np.ndarray]:
    """Draw normally, with the closed variance of independent ends, and the timing's own errors."""
    assert isinstance(bundle.timing, SpellTiming)
    p = scores.set_index("customer_id")["churn_probability"].reindex(people["customer_id"])
    ends = contracts(people, bundle.timing, config.churn, config.clv)
    runs = people["status"].isin(["scored", "trial"]).to_numpy()  # notice: paid to a known day
    alone = np.where(runs, np.nan_to_num(ends.variance(p.to_numpy())), 0.0)
    drift = np.where(runs[:, None], np.nan_to_num(ends.drift(p.to_numpy())), 0.0)
    rng = np.random.default_rng([config.model.seed, 2])
    together, luck = rng.standard_normal((2, FUTURES)), {}
    column = people[f"clv_{config.clv.horizon_days}d"].to_numpy()
    for name, code in codes.items():
        size = int(code.max(initial=-1)) + 1
        mean, spread, one, two = (
            np.bincount(code, c, minlength=size) for c in (column, alone, *drift.T)
        )
        own = rng.standard_normal((size, FUTURES)) * np.sqrt(spread)[:, None]
        moved = one[:, None] * together[0] + two[:, None] * together[1]
        luck[name] = np.maximum(mean[:, None] + own + moved, 0.0)
    return luck
