"""The main job: from a config to a tracked, evaluated and explained model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from tenure import results, storage, valuation
from tenure.audit.leaks import audit
from tenure.backtest import churn as churn_backtest
from tenure.backtest import folds as fold_backtest
from tenure.backtest.champion import Meeting, meet
from tenure.backtest.record import record
from tenure.config import Config
from tenure.drivers import Subject, find_drivers
from tenure.errors import ModelError
from tenure.features.attributes import columns_of
from tenure.inputs import described
from tenure.labels.horizon import settled
from tenure.outputs import check_writable, staged_folder, write_table
from tenure.population import Population, prepare
from tenure.refit import Refitted, refit
from tenure.report.cautions import cautions, said_once
from tenure.report.page import page
from tenure.report.summary import summary
from tenure.sources import Sources, load
from tenure.table import annotate
from tenure.track import Tracking, champion, champion_version

__all__ = ["Trained", "train"]

Progress = Callable[..., None]
"""Told what is being done and, where that is known, how much is done and of how much."""


@dataclass(frozen=True)
class Trained:
    """What a training run left behind."""

    metrics: dict[str, Any]
    drivers: dict[str, Any]
    folder: Path
    summary: str


def train(config: Config, config_file: Path, *, progress: Progress = lambda *_: None) -> Trained:
    """Train, evaluate, explain, track.

    Parameters
    ----------
    config : Config
        The checked config.
    config_file : Path
        Its file, kept with the run.
    progress : callable
        Told what is being done and, where that is known, how much is done and of how much.

    Returns
    -------
    Trained
        Its files stand in `out/<project>/` and in MLflow.

    Raises
    ------
    DataError
        If the data cannot carry the question.
    ModelError
        If tracking refuses.
    EnvironmentFault
        If the outputs cannot be written.
    """
    check_writable(config.out)
    progress("reading the data")
    # our matrices are thin: BLAS threads would only spin, and fight with the backtest's own
    one_thread = threadpool_limits(1, user_api="blas")
    with one_thread, load(config) as sources, Tracking(config.project) as tracking:
        config, horizon_why = settled(config, sources)
        progress("building features")
        ready = prepare(sources, config)
        progress("looking for leaks")
        audited = audit(ready, sources, config)
        judge = fold_backtest if config.churn.kind == "label" else churn_backtest
        columns = described(ready.schema, config.churn)
        directions = {name: c.direction for name, c in columns.items() if c.direction}
        churn = judge.run(ready.X, ready.rows, config, directions=directions, progress=progress)
        progress("evaluating")
        churn = results.with_lead(annotate(churn, ready, config), sources, ready, config)
        met = _meet_champion(churn, ready, config)
        churn_part = {
            "rows": len(ready.rows),
            "treated_rows": ready.treated,
            "tuning": churn.tuning,
            "base_rate_shift": churn.shift,
            **results.churn_figures(churn, config, met),
            "label_report": results.label_report(sources, ready, config),
            "horizon_why": horizon_why[0] if horizon_why else None,
        }
        gate = churn_part["gate"]
        # where there is signal a first champion exists, whatever line of the gate it misses
        churn_part["promoted"] = gate["signal"] and (met is None or gate["passed"])
        value, held = valuation.held(ready, sources, churn, config)
        progress("fitting the final models")
        final = refit(ready, churn, value, config)
        instead = final.lightgbm, final.lightgbm_calibrator
        subject, explained = Subject.of(final.bundle, ready, churn.settings, instead)
        scores = final.bundle.score(ready.today, ready.known, explained)
        found = find_drivers(subject, ready, sources, scores, config, progress)
        clv = valuation.told(held, scores, final.bundle, final.notes, ready, config)
        metrics = {
            "project": config.project,
            "run_id": tracking.run_id,
            "data": results.data_figures(sources, ready),
            "cutoffs": [str(d) for d in ready.days],
            "audit": audited.to_json(),
            "churn": churn_part,
            "clv": clv,
            "warnings": [
                *horizon_why,
                *ready.notes,
                *(f"Not asked by the leak audit: {one}" for one in audited.not_asked),
                *churn.notes,
                *said_once([*held.notes, *final.notes]),
                *cautions(clv, scores, config),
            ],
        }
        progress("writing")
        said = {"backtest": record(churn, met), **held.tables}
        return _write(
            metrics, found, scores, said, final, ready, sources, tracking, config, config_file
        )


def _meet_champion(
    churn: churn_backtest.Backtest, ready: Population, config: Config
) -> Meeting | None:
    """Let the champion, if there is one, speak of the test rows."""
    version, bundle = champion_version(config.project), None
    if version is None:
        return None
    # a champion whose files are broken is not met, and stays until somebody promotes another
    with contextlib.suppress(ModelError):
        bundle = storage.load(champion(config.project).folder)
    return meet(version, bundle, churn, ready, config)


def _write(
    metrics: dict[str, Any],
    found: dict[str, Any],
    scores: pd.DataFrame,
    said: dict[str, pd.DataFrame],
    final: Refitted,
    ready: Population,
    sources: Sources,
    tracking: Tracking,
    config: Config,
    config_file: Path,
) -> Trained:
    """Stage every file, log the run, move all files over at once, and only then promote."""
    bundle = final.bundle
    html = page(metrics, found, scores, config, bundle.band_limits())
    boosters = final.lightgbm.to_json()["boosters"]
    with staged_folder(config.out) as folder:
        storage.save(bundle, folder / "bundle")
        (folder / "lightgbm.txt").write_text("\n".join(boosters), encoding="utf-8")
        (folder / "config.yaml").write_bytes(config_file.read_bytes())
        (folder / "report.html").write_text(html, encoding="utf-8")
        results.write_json(folder / "drivers.json", found)
        for name, table in said.items():
            write_table(table, folder / f"{name}.parquet")
        results.write_json(folder / "metrics.json", metrics)
        metrics["model_version"] = tracking.log(
            params=results.params(config, ready),
            metrics=dict(results.flat(metrics)),
            tags=results.tags(metrics),
            outputs=folder,
            bundle=folder / "bundle",
            columns=[c.name for c in columns_of(ready.schema)],
        )
        results.write_json(folder / "metrics.json", metrics)
        # rows of the user's tables stay on the user's machine: these two are not logged
        sources.write_quarantine(folder / "set_aside.parquet")
        stamped = bundle.stamped(scores, ready.as_of, metrics["model_version"], tracking.run_id)
        write_table(stamped, folder / "scores.parquet")
    # last, so that whatever fails before leaves the old champion in force
    _finish(metrics, tracking, config)
    return Trained(metrics, found, config.out, summary(metrics, found, scores, config, config_file))


def _finish(metrics: dict[str, Any], tracking: Tracking, config: Config) -> None:
    """Let the gate's word come true, unless somebody moved the champion in the meantime."""
    churn = metrics["churn"]
    met, promoted = churn["gate"]["champion"], churn["promoted"]
    why = f"passed the gate, also against version {met['version']} ({met['met']})"
    if met["version"] is None:
        why = "the first version with signal"
    churn["promoted"] = tracking.finish(
        metrics["model_version"],
        promote=promoted,
        over=met["version"],
        why=why,
        signal=churn["gate"]["signal"],
    )
    if promoted and not churn["promoted"]:
        metrics["warnings"].append(
            "While this run trained, another version became champion. This one did not meet it and "
            "is the challenger: train again, or decide with `tenure promote`."
        )
        results.write_json(config.out / "metrics.json", metrics)
