"""The run in one screen of text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tenure.config import Config
from tenure.report.cautions import use
from tenure.report.meaning import in_short
from tenure.report.money import Scale, as_good, basis
from tenure.report.question import in_brief
from tenure.report.trust import came_true
from tenure.report.valued import naive, spoken

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
        _value(metrics, scores, config),
        _drivers(drivers),
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
        *_table(
            ["", *(name for _, name, _ in _METRICS), f"profit{scale.unit}"],
            [
                [
                    _mark(name, churn),
                    *(_short(row[key], digits) for key, _, digits in _METRICS),
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
        f"{_estimate(cost['log_loss'], 4)} log loss, {_estimate(cost['auc'], 3)} AUC"
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
            f"    {name} {_estimate(gain['log_loss'], 4)} log loss, {_estimate(gain['auc'], 3)} AUC"
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
        f"{_estimate(gain['log_loss'], 4)} log loss, {_estimate(gain['auc'], 3)} AUC",
        f"    met by {met['met']}: {met['why']}",
    ]


def _choice_included(churn: dict[str, Any]) -> list[str]:
    """Tell, where folds are the test, the figures of the procedure that chooses in each."""
    if churn["tests"]:
        return []
    said = ", ".join(f"{name} {_estimate(churn['test'][key], d)}" for key, name, d in _METRICS)
    return [f"  the choice of the model included: {said}"]


def _mark(name: str, churn: dict[str, Any]) -> str:
    mark = ">" if name == churn["selected"] else ""
    mark += "*" if name == churn["best_baseline"] else ""
    return f"{mark:2} {name}"


def _value(metrics: dict[str, Any], scores: pd.DataFrame, config: Config) -> list[str]:
    clv, unit = metrics["clv"], config.currency or "money"
    hold = clv["holdout"]
    if "mae" not in hold:
        return [f"Value    declined or not judged; {clv['why']}"]
    names = (("mae", 2), ("rmse", 2), ("bias", 3), ("spearman", 3), ("gini", 3))
    rows = {f"> {clv['family']}": hold, **clv["baselines"]}
    lines = [
        f"Value    {unit} (revenue) over the {hold['horizon_days']} days after "
        f"{hold['origin']}, {spoken(config.churn.kind).people}",
        "",
        *_table(
            ["", *(n for n, _ in names)],
            [
                [n if n[0] == ">" else f"  {n}", *(_estimate(r[k], d) for k, d in names)]
                for n, r in rows.items()
            ],
        ),
    ]
    lines.append("  mae and rmse per customer; bias: predicted / actual total − 1")
    lines += _spread(hold, unit)
    guess, error = naive(clv) or ("", None)
    if error is not None and hold["mae"]["value"] >= error:
        lines.append(
            f"  {guess[:1].upper()}{guess[1:]} has the smaller mean error for one customer. "
            f"{use(hold)}"
        )
    column = f"clv_{config.clv.horizon_days}d"
    total, risk = scores[column].sum(), scores["value_at_risk"].sum()
    lines.append(
        f"  next {config.clv.horizon_days} days: {total:,.0f} {unit} ({clv['unit']}) expected of "
        f"{int(scores[column].notna().sum()):,} customers; {risk:,.0f} at risk among the "
        f"{int((scores['status'] == 'scored').sum()):,} who may leave (model only, no interval yet)"
    )
    return lines


def _spread(hold: dict[str, Any], unit: str) -> list[str]:
    """Say whether customers, and all of them together, came out within their intervals."""
    covered, total = hold["coverage"]["value"], hold["total"]["value"]
    return [
        f"  90 % interval for one customer: {_estimate(covered, 3)} of customers fell into it "
        f"(.90 is right; randomised PIT, plain share {covered['inside']:.3f})",
        f"  total: {total['expected']:,.0f} [{total['lower']:,.0f}, {total['upper']:,.0f}] {unit} "
        f"expected ({hold['total']['scope']}), {total['actual']:,.0f} came: "
        f"{'inside' if total['inside'] else 'OUTSIDE the interval'}",
    ]


def _drivers(drivers: dict[str, Any]) -> list[str]:
    day = f" at {drivers['as_of']}" if drivers["as_of"] else ""
    lines = [
        f"Drivers  mean points of churn probability among {drivers['customers']:,} customers{day} "
        f"({drivers['model']}; association, not proof)"
    ]
    for factor in drivers["factors"][:5]:
        lead = factor["features"][0]
        means = f", {lead['more_means']} with more of it" if lead["more_means"] else ""
        lines.append(
            f"  {factor['churn_points']:5.1f}  {factor['factor']}: {lead['description'].lower()} "
            f"({lead['feature']}{means})"
        )
    return lines


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


def _estimate(figure: dict[str, float], digits: int) -> str:
    value, lower, upper = (figure[k] for k in ("value", "lower", "upper"))
    if value is None or value != value:
        return "-"
    return f"{value:z.{digits}f} [{lower:z.{digits}f}, {upper:z.{digits}f}]"  # z: no -0.000


def _short(figure: dict[str, float], digits: int) -> str:
    """Write an estimate without the 0 before the point, so that five fit in 120 columns."""
    return re.sub(r"(?<!\d)0\.", ".", _estimate(figure, digits))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    every = [list(head), *(list(r) for r in rows)]
    widths = [max(len(r[i]) for r in every) for i in range(len(head))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip()
        for r in every
    ]
