"""What a run found, as the values of `metrics.json` and of the MLflow run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tenure.backtest.churn import Backtest
from tenure.backtest.value import ValueBacktest
from tenure.config import Config
from tenure.evaluation.churn import by_cutoff, evaluate, paired
from tenure.evaluation.gate import gate
from tenure.features.attributes import columns_of
from tenure.models.churn import ROSTERS
from tenure.population import Population
from tenure.sources import Sources

__all__ = [
    "churn_figures",
    "data_figures",
    "flat",
    "no_value",
    "params",
    "tags",
    "value_figures",
    "write_json",
]


def data_figures(sources: Sources, ready: Population) -> dict[str, Any]:
    """Say what was read, kept and set aside, and from when to when."""
    return {
        **sources.report.to_json(),
        "digest": sources.digest,
        "first_day": None if ready.first_day is None else str(ready.first_day),
        "observed_until": None if ready.as_of is None else str(ready.as_of),
    }


def churn_figures(churn: Backtest, ready: Population, config: Config) -> dict[str, Any]:
    """Judge every candidate on the test rows, and the procedure that selects one at the gate.

    Parameters
    ----------
    churn, ready, config
        The backtest, what it ran on, and the config.

    Returns
    -------
    dict
        The `churn` part of `metrics.json`, without `promoted`.
    """
    seed, roster = config.model.seed, ROSTERS[config.churn.kind]
    active = config.churn.active_days if config.churn.kind == "inactivity" else None
    table = evaluate(churn.test, churn.probabilities, seed=seed)
    test = table[churn.selected]
    if churn.chosen is not None:
        test = evaluate(churn.test, {"chosen": churn.chosen}, seed=seed)["chosen"]

    def gains(said: np.ndarray) -> dict[str, Any]:
        rival = churn.probabilities[churn.best_baseline]
        return {m: paired(churn.test, said, rival, m, seed=seed) for m in ("log_loss", "auc")}

    named = dict.fromkeys((churn.selected, "blend", "lightgbm"))
    improvement = {name: gains(churn.probabilities[name]) for name in named}
    judged = improvement[churn.selected] if churn.chosen is None else gains(churn.chosen)
    verdict = gate(test, table[churn.best_baseline], judged["log_loss"], judged["auc"])
    return {
        "definition": config.churn.model_dump(mode="json"),
        "active_within_days": active,
        "rows": len(ready.rows),
        "treated_rows": ready.treated,
        "selected": churn.selected,
        "best_baseline": churn.best_baseline,
        "tests": [str(d) for d in churn.tests],
        "test": test,
        "baselines": {n: table[n] for n in roster.baselines},
        "candidates": {n: table[n] for n in roster.names if n not in roster.baselines},
        "improvement_on_best_baseline": improvement,
        "log_loss_before_tests": churn.before,
        **_spread(churn),
        "gate": {
            "passed": verdict.passed,
            "signal": verdict.signal,
            "reasons": list(verdict.reasons),
        },
    }


def _spread(churn: Backtest) -> dict[str, Any]:
    """Show the spread across test cutoffs, or across rounds of folds where nothing is dated."""
    if churn.tests:
        return {"by_cutoff": by_cutoff(churn.test, churn.probabilities)}
    rounds = by_cutoff(churn.test.assign(cutoff=churn.test["repeat"]), churn.probabilities)
    by_repeat = [{"repeat": int(r.pop("cutoff")), **r} for r in rounds]
    return {"by_cutoff": [], "by_repeat": by_repeat}


NO_VALUE = {
    "subscription": "The value of subscriptions is not modelled yet.",
    "label": "Value takes dated purchases, and the label kind reads none.",
}


def no_value(config: Config) -> dict[str, Any]:
    """Return the `clv` part of `metrics.json` where value is not modelled."""
    return {
        "family": None,
        "why": NO_VALUE[config.churn.kind],
        "unit": _unit(config),
        "holdout": {"horizon_days": None, "origin": None, "purchases": {}},
        "baselines": {},
    }


def value_figures(value: ValueBacktest, config: Config) -> dict[str, Any]:
    """Return the `clv` part of `metrics.json`."""
    model = value.figures.get("model", {})
    return {
        "family": value.family,
        "why": value.why,
        "unit": _unit(config),
        "holdout": {
            "horizon_days": value.horizon_days,
            "origin": None if value.origin is None else str(value.origin),
            "unit": "revenue",  # what came is held against what was said, before any margin
            **model.get("value", {}),
            "purchases": model.get("purchases", {}),
            **value.spread,
        },
        "baselines": {n: f["value"] for n, f in value.figures.items() if n != "model"},
    }


def _unit(config: Config) -> str:
    return "revenue" if config.clv.margin == 1.0 else f"margin at {config.clv.margin:.0%}"


def params(config: Config, ready: Population) -> dict[str, Any]:
    """Return the run's MLflow parameters: every setting that decides a number."""
    flat = {
        f"{section}.{key}": value
        for section in ("churn", "cutoffs", "model", "clv")
        for key, value in config.model_dump(mode="json")[section].items()
    }
    return {**flat, "timezone": config.timezone, "features": len(columns_of(ready.schema))}


def tags(metrics: dict[str, Any]) -> dict[str, str]:
    """Return the run's MLflow tags: cutoffs, data digest, code."""
    return {
        "cutoffs": ", ".join(metrics["cutoffs"]),
        "data_digest": metrics["data"]["digest"],
        "selected": metrics["churn"]["selected"],
        "tenure_version": version("tenure"),
        "code_version": _commit(),
    }


def _commit() -> str:
    """Return the commit of this source tree, or what says that there is none."""
    here = Path(__file__).parent
    try:
        asked = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "not under version control"
    return asked.stdout.strip()


def flat(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield every finite number of a nested dict under its dotted path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
        yield path, float(value)


def write_json(path: Path, value: Any) -> None:
    """Write JSON; what is not a number becomes null."""
    text = json.dumps(_plain(value), indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Turn NaN into null, and what JSON does not know into text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)
