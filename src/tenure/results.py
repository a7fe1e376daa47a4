"""What a run found, as the values of `metrics.json` and of the MLflow run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from tenure import labels
from tenure.backtest import sensitivity
from tenure.backtest.champion import Meeting
from tenure.backtest.churn import Backtest
from tenure.backtest.record import champion_said, recall
from tenure.config import Config, load_config
from tenure.evaluation.churn import by_cutoff, paired
from tenure.evaluation.gate import gate, inferior
from tenure.evaluation.lead_time import lead_time
from tenure.evaluation.metrics import point
from tenure.features.attributes import columns_of
from tenure.models.churn import ROSTERS
from tenure.population import Population
from tenure.sources import Sources
from tenure.table import judge_table

__all__ = [
    "churn_figures",
    "churn_figures_again",
    "data_figures",
    "flat",
    "label_report",
    "params",
    "tags",
    "with_lead",
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


def churn_figures(
    churn: Backtest, config: Config, champion: Meeting | None = None
) -> dict[str, Any]:
    """Judge every candidate on the test rows, and the procedure that selects one at the gate.

    Parameters
    ----------
    churn, config
        The backtest from `table.annotate` and the config; the run's own artifacts give both back
        (`backtest.record`).
    champion : Meeting, optional
        What the champion says of the test rows; None before there is one.

    Returns
    -------
    dict
        The `churn` part of `metrics.json`, without `promoted` and the counts of rows.
    """
    roster = ROSTERS[config.churn.kind]
    active = config.churn.active_days if config.churn.kind == "inactivity" else None
    judged = judge_table(churn, config)
    table, improvement = judged.table, judged.improvement
    test = table[judged.tested]
    rival = table[churn.best_baseline]
    gains = improvement[judged.tested]
    met = _champion(churn, champion, config.model.seed)
    verdict = gate(test, rival, gains["log_loss"], gains["auc"])
    return {
        "definition": config.churn.model_dump(mode="json"),
        "active_within_days": active,
        "selected": churn.selected,
        "best_baseline": churn.best_baseline,
        "tests": [str(d) for d in churn.tests],
        "test": test,
        "baselines": {n: table[n] for n in roster.baselines},
        "candidates": {n: table[n] for n in churn.probabilities if n not in roster.baselines},
        "improvement_on_best_baseline": improvement,
        "as_good": judged.as_good,
        "campaign": judged.campaign,
        "reliability": judged.reliability,
        "monotone_cost": judged.monotone_cost,
        "log_loss_before_tests": churn.before,
        "lead_time": _lead_time(churn, config),
        **_spread(churn),
        "gate": {
            "passed": verdict.passed and not met["reasons"],
            "signal": verdict.signal,
            "reasons": [*verdict.reasons, *met["reasons"]],
            "champion": met,
        },
    }


def churn_figures_again(folder: Path) -> dict[str, Any]:
    """Compute every churn figure anew from what a run's MLflow artifacts hold.

    Parameters
    ----------
    folder : Path
        The downloaded artifacts: `backtest.parquet`, `config.yaml`, and `metrics.json` for what
        is no figure (the champion's version, how it was met, and why so).

    Returns
    -------
    dict
        As from `churn_figures`.
    """
    config = load_config(folder / "config.yaml")
    frame = pd.read_parquet(folder / "backtest.parquet")
    told = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    # the horizon that was settled, where the config left it to the data
    config = config.asking(**told["churn"]["definition"])
    met = told["churn"]["gate"]["champion"]
    champion = None
    if met["version"] is not None:
        champion = Meeting(met["version"], met["met"], met["why"], champion_said(frame))
    with threadpool_limits(1, user_api="blas"):  # as in training: more threads round otherwise
        return churn_figures(recall(frame, config), config, champion)


def _champion(churn: Backtest, champion: Meeting | None, seed: int) -> dict[str, Any]:
    """Hold what the procedure said against the champion, on the rows it may speak of."""
    if champion is None:
        return {"version": None, "met": "none", "why": "There was none.", "reasons": []}
    p, name = champion.probability, f"the champion (version {champion.version})"
    here = np.isfinite(p)
    about = {"version": champion.version, "met": champion.met, "why": champion.why}
    if not here.any():
        return {**about, "reasons": [f"{name} could not be met: {champion.why}"]}
    rows, said = churn.test[here], churn.said[here]
    gains = {m: paired(rows, said, p[here], m, seed=seed) for m in ("log_loss", "auc")}
    log_loss = point(rows["churned"], p[here], "log_loss")
    return {
        **about,
        "rows": len(rows),
        "log_loss": log_loss,
        "improvement": gains,
        "reasons": inferior(log_loss, gains["log_loss"], gains["auc"], name),
    }


def _spread(churn: Backtest) -> dict[str, Any]:
    """Show the spread across test cutoffs, or across rounds of folds where nothing is dated."""
    if churn.tests:
        return {"by_cutoff": by_cutoff(churn.test, churn.probabilities)}
    rounds = by_cutoff(churn.test.assign(cutoff=churn.test["repeat"]), churn.probabilities)
    by_repeat = [{"repeat": int(r.pop("cutoff")), **r} for r in rounds]
    return {"by_cutoff": [], "by_repeat": by_repeat}


def label_report(sources: Sources, ready: Population, config: Config) -> dict[str, Any]:
    """Tell how the figures move with the question (the `label_report` of `metrics.json`)."""
    if ready.as_of is None:
        return sensitivity.no_report()
    log = sensitivity.Log(
        sources.tables, ready.matrix, ready.days, ready.as_of, config.zone, ready.timings
    )
    return sensitivity.run(log, config)


def with_lead(churn: Backtest, sources: Sources, ready: Population, config: Config) -> Backtest:
    """Put beside each test row by how many days a flag there comes ahead: `lead_days`."""
    if ready.as_of is None:
        return churn
    ahead = labels.lead_days(
        sources.tables, churn.test, ready.matrix, churn.tests, config.zone, config.churn
    )
    return replace(churn, test=churn.test.assign(lead_days=ahead))


def _lead_time(churn: Backtest, config: Config) -> dict[str, Any]:
    if "lead_days" not in churn.test:
        return {"why": "Nothing is dated, so no flag comes before anything.", "rates": []}
    until = f"a silence of {config.churn.horizon_days} days"
    return {
        "why": None,
        "unit": "days",
        "until": "the subscription ended" if config.churn.kind == "subscription" else until,
        "tests": [str(day) for day in churn.tests],
        "rates": lead_time(
            churn.test,
            churn.said,
            rule_calls=config.churn.kind == "inactivity",
            seed=config.model.seed,
        ),
    }


def params(config: Config, ready: Population) -> dict[str, Any]:
    """Return the run's MLflow parameters: every setting that decides a number."""
    flat = {
        f"{section}.{key}": value
        for section in ("churn", "cutoffs", "model", "clv", "campaign")
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
