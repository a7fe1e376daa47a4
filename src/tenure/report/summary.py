"""The run in one screen of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tenure.config import Config
from tenure.report.driver_lines import driver_lines
from tenure.report.meaning import in_short
from tenure.report.money import Scale, as_good, basis
from tenure.report.question import in_brief
from tenure.report.text import estimate, short, table
from tenure.report.trust import came_true
from tenure.report.value_lines import value_lines

__all__ = ["summary"]

_METRICS = (
    ("auc", "AUC", 3),
    ("log_loss", "log loss", 4),
    ("expected_calibration_error", "calib. error", 3),
    ("top_decile_lift", "lift top 10 %", 2),
)


def summary(
    metrics: dict[str, Any],
    drivers: dict[str, Any],
    scores: pd.DataFrame,
    config: Config,
    config_file: Path,
) -> str:
    """Write the end of a training run: data, cutoffs, churn, value, drivers, what next."""
    blocks = [
        _leaks(metrics["audit"]["findings"]),
        _first(metrics),
        _data(metrics, config),
        _churn(metrics, config),
        in_brief(metrics["churn"]),
        value_lines(metrics, scores, config),
        driver_lines(drivers, config),
        _warnings(metrics),
        _next(metrics, config, config_file),
    ]
    return "\n\n".join("\n".join(b) for b in blocks if b)


def _leaks(findings: list[dict[str, Any]]) -> list[str]:
    """Name the columns that may know the answer: no other figure counts before that is settled."""
    if not findings:
        return []
    n = len({f["column"] for f in findings})
    return [
        f"LOOKS LIKE A LEAK: {n} {'thing' if n == 1 else 'things'} below may know who left; trust "
        "no figure before this is settled.",
        *(f"  {f['column']}: {f['evidence']} {f['advice']}" for f in findings),
    ]


def _first(metrics: dict[str, Any]) -> list[str]:
    """Say what a reader must know before anything else."""
    churn = metrics["churn"]
    if not churn["gate"]["signal"]:
        return ["NO SIGNAL: the model cannot tell leavers from stayers; nothing was promoted."]
    lines: list[str] = []
    best, selected = churn["best_baseline"], churn["selected"]
    before = churn["log_loss_before_tests"]
    gain = churn["improvement_on_best_baseline"][selected]
    if selected == best:
        lines.append(
            f"A SIMPLE MODEL IS REGISTERED: {selected} had the best log loss {_where(churn)}, "
            f"{before[selected]:.4f}; LightGBM had {before['lightgbm']:.4f}, its blend "
            f"{before['blend']:.4f}."
        )
    if churn["gate"]["reasons"]:
        lines.append(f"CHECK FIRST: {selected} misses a line of the gate.")
        lines += [f"  {reason}" for reason in churn["gate"]["reasons"]]
    elif selected != best and not (gain["log_loss"]["lower"] > 0 or gain["auc"]["lower"] > 0):
        lines.append(
            f"AS GOOD AS A BASELINE: {selected} and {best} cannot be told apart on the test "
            "rows; the simpler one would do."
        )
    if selected != best:
        lines += [f"NOT BETTER: {sentence}" for sentence in as_good(churn)]
    return lines


def _data(metrics: dict[str, Any], config: Config) -> list[str]:
    data, name = metrics["data"], config.churn.table
    table = data[name]
    aside = ", ".join(f"{n:,} {rule}" for rule, n in table["set_aside"].items() if n)
    days = metrics["cutoffs"]
    rest = f" ({aside})" if aside else ""
    rest += f"; {data['first_day']} up to {data['observed_until']}" if days else ""
    lines = [
        f"Data     {name}: {table['rows_kept']:,} of {table['rows_read']:,} rows kept, "
        f"{table['rows_read'] - table['rows_kept']:,} set aside{rest}",
    ]
    lines += [
        f"         {other}: {t['rows_kept']:,} of {t['rows_read']:,} rows kept"
        for other, t in data.items()
        if isinstance(t, dict) and other != name
    ]
    if not days:
        rounds = len(metrics["churn"]["by_repeat"])
        return [*lines, f"Folds    ten, dealt {rounds} times; nothing is dated"]
    tests = ", ".join(metrics["churn"]["tests"])
    return [*lines, f"Cutoffs  {len(days)} from {days[0]} to {days[-1]}; test: {tests}"]


def _where(churn: dict[str, Any]) -> str:
    """Say on what the choice among candidates was made."""
    return "on the cutoffs before the test" if churn["tests"] else "on held-out folds"


def _churn(metrics: dict[str, Any], config: Config) -> list[str]:
    churn = metrics["churn"]
    test = churn["test"]
    error = test["expected_calibration_error"]
    every = {**churn["candidates"], **churn["baselines"]}
    scale = Scale.of(row["profit"]["value"] for row in every.values())
    lines = [
        f"Churn    {in_short(config.churn)}; usual rate on the test "
        f"{'cutoffs' if churn['tests'] else 'folds'} {test['base_rate']['value']:.1%} "
        f"({sum(t['n'] for t in churn['reliability']['overall']):,} rows)",
        "",
        *table(
            ["", *(name for _, name, _ in _METRICS), f"profit{scale.unit}"],
            [
                [
                    _mark(name, churn),
                    *(short(row[key], digits) for key, _, digits in _METRICS),
                    scale.write(row["profit"]),
                ]
                for name, row in every.items()
            ],
        ),
        "  > registered model   * best baseline on "
        f"{'earlier cutoffs' if churn['tests'] else 'held-out folds'}   [90 % interval]",
        *_choice_included(churn),
        f"  calibration error by chance alone: {error['floor_mean']:.3f} on average, "
        f"{error['floor_p95']:.3f} at most in 19 of 20",
        *(f"  {sentence}" for sentence in came_true(churn)),
        *(f"  {line}" for line in basis(churn["campaign"], scale)),
    ]
    return [*lines, *_gains(churn, scale), *_directions(churn)]


def _directions(churn: dict[str, Any]) -> list[str]:
    """Tell what it costs that features act in their direction only, where that was asked for."""
    cost = churn["monotone_cost"]
    if cost is None:
        return []
    return [
        "  model.monotone costs LightGBM (below 0 it helps): "
        f"{estimate(cost['log_loss'], 4)} log loss, {estimate(cost['auc'], 3)} AUC"
    ]


def _gains(churn: dict[str, Any], scale: Scale) -> list[str]:
    """Compare with the best baseline, draw by draw."""
    lines = [f"  against {churn['best_baseline']}, on the same draws (above 0 is better):"]
    for name, gain in churn["improvement_on_best_baseline"].items():
        if name == churn["best_baseline"]:
            continue
        profit = ""
        if gain["profit"]["value"] is not None:
            profit = f", {scale.write(gain['profit'])} profit{scale.unit}"
        lines.append(
            f"    {name} {estimate(gain['log_loss'], 4)} log loss, {estimate(gain['auc'], 3)} AUC"
            f"{profit}"
        )
    return [*(lines if len(lines) > 1 else []), *_champion(churn)]


def _champion(churn: dict[str, Any]) -> list[str]:
    """Tell how the champion was met, and who was better."""
    met = churn["gate"]["champion"]
    if met["version"] is None:
        return []
    name = f"the champion (version {met['version']})"
    if met["met"] == "none":
        return [f"  {name} could not be met: {met['why']}"]
    gain = met["improvement"]
    return [
        f"  {churn['selected']} against {name} on {met['rows']:,} rows (above 0 is better): "
        f"{estimate(gain['log_loss'], 4)} log loss, {estimate(gain['auc'], 3)} AUC",
        f"    met by {met['met']}: {met['why']}",
    ]


def _choice_included(churn: dict[str, Any]) -> list[str]:
    """Tell, where folds are the test, the figures of the procedure that chooses in each."""
    if churn["tests"]:
        return []
    said = ", ".join(f"{name} {estimate(churn['test'][key], d)}" for key, name, d in _METRICS)
    return [f"  the choice of the model included: {said}"]


def _mark(name: str, churn: dict[str, Any]) -> str:
    mark = ">" if name == churn["selected"] else ""
    mark += "*" if name == churn["best_baseline"] else ""
    return f"{mark:2} {name}"


def _warnings(metrics: dict[str, Any]) -> list[str]:
    tables = (t for t in metrics["data"].values() if isinstance(t, dict))
    said = [*metrics["warnings"], *(note for t in tables for note in t.get("notes", ()))]
    return ["Notes", *(f"  - {w}" for w in dict.fromkeys(said))] if said else []


def _next(metrics: dict[str, Any], config: Config, config_file: Path) -> list[str]:
    version = metrics["model_version"]
    churn = metrics["churn"]
    state = "champion" if churn["promoted"] else "challenger; what was in use stays"
    if churn["promoted"] and not churn["gate"]["passed"]:
        state = "champion, as the first one with signal"
    return [
        f"MLflow   run {metrics['run_id']}, model {config.project} version {version} ({state}); "
        "`make mlflow` shows it",
        f"Files    {config.out}/: report.html, metrics.json, drivers.json, scores.parquet, "
        "set_aside.parquet",
        "Next     open the report, then score a list:",
        f"         make score CONFIG={config_file} CUSTOMERS=list.csv OUT={config.out}/list.csv",
    ]
