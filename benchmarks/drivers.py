"""Exact SHAP for everybody: how fast, how exact and in how much memory, beside its peers.

`make bench-drivers`: LightGBM of the usual settings on 272 inputs, a third missing, explained for
200,000 rows; each line is a process of its own. `shap.TreeExplainer` and woodelf run on fewer rows
where they would take too long, and are told by the row.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from tenure.models.trees import LightGBM, Settings, fit_lightgbm

INPUTS, LEARNT, ROWS, CHUNK = 272, 20_000, 200_000, 20_000
CHECKED = 2_000  # rows on which everybody is compared with `pred_contrib`

SETTINGS = {
    "usual": (Settings(), ROWS),
    "40 leaves, 3 boosters": (
        Settings({"num_leaves": 40, "num_iterations": 200}, seeds=3), 20_000,
    ),
}  # fmt: skip
"""Settings of the models, and rows at most: the peer takes minutes on the second."""


def rows(n: int, seed: int) -> pd.DataFrame:
    """Draw inputs as features are: skewed, lumpy, a third missing."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(1.0, 10.0, (n, INPUTS))
    values[:, ::3] = np.floor(values[:, ::3] / 5)
    for j in range(0, INPUTS, 3):
        values[rng.random(n) < 0.9 * j / INPUTS, j + 1 if j + 1 < INPUTS else j] = np.nan
    return pd.DataFrame(values, columns=[f"input {j}" for j in range(INPUTS)])


def model(which: str) -> LightGBM:
    """Learn a label that hangs on a dozen inputs and on who misses them."""
    X = rows(LEARNT, 1)
    pull = sum(np.nan_to_num(X.iloc[:, j].to_numpy()) / (20 + j) for j in range(12))
    y = np.random.default_rng(2).random(LEARNT) < 1 / (1 + np.exp(2 - pull))
    return fit_lightgbm(X, y.astype(int), settings=SETTINGS[which][0])


def by_tables(made: LightGBM, X: pd.DataFrame) -> np.ndarray:
    return made.contributions(X)[0].to_numpy()


def by_tables_in_chunks(made: LightGBM, X: pd.DataFrame) -> np.ndarray:
    """Keep one mean only, as a report does."""
    total = np.zeros(INPUTS)
    for start in range(0, len(X), CHUNK):
        total += made.contributions(X.iloc[start : start + CHUNK])[0].abs().sum().to_numpy()
    return by_tables(made, X.iloc[:CHECKED])


def by_pred_contrib(made: LightGBM, X: pd.DataFrame) -> np.ndarray:
    return np.mean(
        [lgb.Booster(model_str=t).predict(X.to_numpy(), pred_contrib=True, num_threads=1)[:, :-1]
         for t in made.boosters], axis=0,
    )  # fmt: skip


def by_tree_explainer(made: LightGBM, X: pd.DataFrame) -> np.ndarray:
    import shap

    told = (shap.TreeExplainer(lgb.Booster(model_str=t)) for t in made.boosters)
    return np.mean([t.shap_values(X.to_numpy()) for t in told], axis=0)


def by_woodelf(made: LightGBM, X: pd.DataFrame) -> np.ndarray:
    from woodelf import WoodelfExplainer

    found = []
    with contextlib.redirect_stdout(None):
        for text in made.boosters:
            booster = lgb.Booster(model_str=text)
            given = X.set_axis(booster.feature_name(), axis=1)
            found.append(WoodelfExplainer(booster).shap_values(given, verbose=False))
    return np.mean(found, axis=0)


WHO: dict[str, tuple[Callable[..., np.ndarray], int]] = {
    "ours": (by_tables, ROWS),
    "ours, 20,000 rows at a time": (by_tables_in_chunks, ROWS),
    "shap.TreeExplainer": (by_tree_explainer, ROWS),
    "LightGBM pred_contrib": (by_pred_contrib, 20_000),
    "woodelf 0.4.8": (by_woodelf, ROWS),
}


def measure(who: str, which: str, n: int, folder: Path) -> dict[str, Any]:
    """Explain in this process, and keep the first rows for comparison."""
    made = LightGBM.from_json(json.loads((folder / f"{which}.json").read_text()))
    made.margin(rows(1, 0))  # building the boosters is nobody's explanation
    X = rows(n, 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter(), time.process_time()
    found = WHO[who][0](made, X)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    np.save(folder / "first.npy", found[:CHECKED])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": n, "seconds": seconds, "cpu": cpu, "grown": max(peak - before, 0) / 1e6}


def main() -> None:
    """Measure each in a process of its own and print the table."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=ROWS)
    asked.add_argument("--one", nargs=3, metavar=("WHO", "WHICH", "FOLDER"))
    given = asked.parse_args()
    if given.one:
        who, which, folder = given.one
        print(json.dumps(measure(who, which, given.rows, Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for which in SETTINGS:
            made = model(which)
            (Path(folder) / f"{which}.json").write_text(json.dumps(made.to_json()))
            n = min(given.rows, SETTINGS[which][1])
            _table(which, by_pred_contrib(made, rows(n, 3).iloc[:CHECKED]), folder, n)


def _table(which: str, wanted: np.ndarray, folder: str, most: int) -> None:
    print(f"\nSHAP of {which} LightGBM, {INPUTS} inputs")
    print("| who | rows | µs a row | CPU µs a row | to TreeExplainer | largest gap | GB grown |")
    print("|---|---|---|---|---|---|---|")
    found: dict[str, dict[str, Any]] = {}
    for who in WHO:
        n = min(most, WHO[who][1])
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.drivers", "--rows", str(n)]
        done = subprocess.run(
            [*command, "--one", who, which, folder], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        first = np.load(Path(folder) / "first.npy")
        told = json.loads(done.stdout.splitlines()[-1])
        same = f"{np.abs(first - wanted).max():.1e}" if n == most else "other rows"
        found[who] = {**told, "gap": same}
    peer = found["shap.TreeExplainer"]["cpu"] / found["shap.TreeExplainer"]["rows"]
    for who, told in found.items():
        a_row = told["cpu"] / told["rows"]
        print(
            f"| {who} | {told['rows']:,} | {1e6 * told['seconds'] / told['rows']:,.1f} | "
            f"{1e6 * a_row:,.1f} | {peer / a_row:.1f} times as fast | {told['gap']} | "
            f"{told['grown']:.2f} |"
        )


if __name__ == "__main__":
    main()
