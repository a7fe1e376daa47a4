"""The churn models against the strongest single one, and against what can be known at all.

`make bench-models`: CDNOW and Complete Journey (everybody ever seen, and those active within one
horizon), pooled over the test cutoffs; then the simulated shop beside its two ceilings.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.ceiling import ceiling
from tenure.backtest import churn
from tenure.config import Config, load_config
from tenure.evaluation.bootstrap import Estimate
from tenure.evaluation.churn import evaluate, paired
from tenure.population import prepare
from tenure.sources import load

SEED = 7
LOGS = (("CDNOW", "configs/cdnow.yaml"), ("Complete Journey", "configs/complete_journey.yaml"))
SINGLE_ENDS = ("recency_rule", "btyd", "btyd_recalibrated", "logistic_rfm", "logistic_rfm_btyd",
               "lightgbm")  # fmt: skip
ALIGNED = dt.date(2025, 9, 8)  # a cutoff of the simulator's filter, which predicts every 28 days


def main() -> None:
    """Run every comparison and print it."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, file in LOGS:
            config = load_config(root / file)
            for whom in ("all", None):
                asked = config.asking(active_within_days=whom)
                _against_single(f"{name}, {'everybody' if whom else 'active'}", asked, folder)
        _against_ceiling(load_config(root / "configs/demo.yaml"), folder)


def _backtest(config: Config, folder: str) -> churn.Backtest:
    with load(config) as sources:
        ready = prepare(sources, config)
    here = Path.cwd()
    os.chdir(folder)  # tuning leaves its journal where it stands
    try:
        return churn.run(ready.X, ready.rows, config)
    finally:
        os.chdir(here)


def _against_single(name: str, config: Config, folder: str) -> None:
    done = _backtest(config, folder)
    table = evaluate(done.test, done.probabilities, seed=SEED)
    best = max(SINGLE_ENDS, key=lambda n: table[n]["auc"]["value"])
    error = table[done.selected]["expected_calibration_error"]
    print(f"\n{name}: {len(done.test):,} rows at {', '.join(map(str, done.tests))}")
    for n in dict.fromkeys((done.selected, best, "lightgbm", "logistic_rfm_btyd")):
        print(f"  {n:20s} AUC {_said(table[n]['auc'])}  log loss {_said(table[n]['log_loss'], 5)}")
    for metric in ("auc", "log_loss"):
        gain = paired(
            done.test, done.probabilities[done.selected], done.probabilities[best], metric,
            seed=SEED,
        )  # fmt: skip
        print(f"  registered ({done.selected}) against {best}, {metric}: {_said(gain, 5)}")
    target = max(0.015, error["floor_p95"])
    print(f"  calibration error {_said(error)}, target {target:.4f}")


def _against_ceiling(config: Config, folder: str) -> None:
    aligned = config.cutoffs.model_copy(update={"every_days": 28, "last": ALIGNED})
    done = _backtest(config.model_copy(update={"cutoffs": aligned}), folder)
    truth = ceiling(20_000)
    keys = ["customer_id", "cutoff"]
    truth["cutoff"] = truth["cutoff"].astype("datetime64[s]")
    said = done.test.assign(**done.probabilities).astype({"cutoff": "datetime64[s]"})
    both = said.merge(truth.drop(columns="churned"), on=keys, how="inner")
    assert len(both) > 0.97 * len(said), "the simulator's filter stands at other cutoffs"
    given = {
        "known rates": both["probability"],
        "inferred rates": both["probability_inferred"],
        **{n: both[n] for n in ("lightgbm", "blend", done.best_baseline)},
    }
    table = evaluate(both, {n: np.asarray(p) for n, p in given.items()}, seed=SEED)
    print(f"\nSimulated shop: {len(both):,} rows at {', '.join(map(str, done.tests))}")
    for n, row in table.items():
        print(f"  {n:20s} AUC {_said(row['auc'])}  log loss {_said(row['log_loss'], 5)}")
    for other in ("known rates", "inferred rates", done.best_baseline):
        gap = paired(both, both["lightgbm"], np.asarray(given[other]), "auc", seed=SEED)
        print(f"  lightgbm against {other}, auc: {_said(gap)}")


def _said(figure: Estimate, digits: int = 4) -> str:
    return "{value:.{d}f} [{lower:.{d}f}, {upper:.{d}f}]".format(d=digits, **figure)


if __name__ == "__main__":
    sys.exit(main())
