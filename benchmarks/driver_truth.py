"""Drivers and goals held against worlds whose true causes are known.

`make bench-drivers` (second part). Goals: of 100 small worlds, each with its own causes, strengths,
confounding and noise, nine in ten ranges should hold what the re-run world shows. Drivers: which
causes are called sure, in worlds that have them and in worlds that have none, beside who reads the
ten strongest columns by mean |SHAP|.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.driver_worlds import CURES, Worlds, drawn, effect, loaded, world_of
from tenure import labels, levers
from tenure.effects.adjusted import quietly
from tenure.effects.assess import LEAST_POINTS, assess_rows
from tenure.effects.reached import pieces_of
from tenure.effects.rows import KEYS, beside, past
from tenure.features.schema import Column
from tenure.inputs import described
from tenure.models.trees import fit_lightgbm
from tenure.simulate import Shop

GOALS = {
    "no delivery more than 2 days late": ("late_delivery", 2.0, {"most_days_late": 2.0}),
    "first response under 2 hours": ("slow_response", 2.0, {"first_response_hours": 2.0}),
}
LARGE = 2.0  # points from which an effect's range should be narrow
NONE = 0.05  # points below which the re-run shows nothing
TOP = 10  # columns that a reader of mean |SHAP| takes for drivers


def goals(worlds: int, customers: int, at_once: int) -> pd.DataFrame:
    """Simulate every goal in every world, and re-run the world with the goal met."""
    found = []
    for here in _batches(worlds, customers, at_once, first=1_000, every_null=5):
        about = _about(here)
        for name, (lever_name, limit, change) in GOALS.items():
            lever = levers.LEVERS[lever_name]
            dosage = levers.knots(lever, limit, *about)
            assert dosage is not None
            had = levers.exposures(lever, dosage, *about)
            for number, rows in _by_world(here, beside(lever, here.cohort.rows, had)):
                pieces = pieces_of(rows, dosage, here.cohort.confounders, 7)
                said = pieces.change(pieces.effect(rows["churned"]), rows)
                told = said.to_json(100.0 / len(rows))
                truth = effect(here, number, rows, change)
                found.append({"goal": name, "world": number, "truth": truth, **told})
    return pd.DataFrame(found)


def drivers(worlds: int, customers: int, at_once: int, *, null: bool) -> pd.DataFrame:
    """Assess every lever in every world, and measure what curing it does in a re-run."""
    found = []
    for here in _batches(worlds, customers, at_once, first=2_000 + 3_000 * null, null=null):
        before = past(here.cohort, here.population, here.config)
        read = {} if null else dict(_by_mean_shap(here))
        for name, cure in CURES.items():
            lever = levers.LEVERS[name]
            had = levers.exposures(lever, None, *_about(here))
            for number, rows in _by_world(here, beside(lever, here.cohort.rows, had)):
                one = assess_rows(lever, rows, before, here.cohort.confounders, 7)
                if one.all_of_them is None:
                    continue
                found.append(
                    {
                        "world": number, "lever": name, "sure": one.holds,
                        "points": one.all_of_them.value,
                        "truth": 0.0 if null else -effect(here, number, rows, cure),
                        **(read[number][lever.factor] if read else {}),
                    }
                )  # fmt: skip
    return pd.DataFrame(found)


def _batches(
    worlds: int, customers: int, at_once: int, first: int, *, null: bool = False,
    every_null: int = 0,
) -> Iterator[Worlds]:  # fmt: skip
    started = time.perf_counter()
    for start in range(first, first + worlds, at_once):
        numbers = range(start, min(start + at_once, first + worlds))
        shops: dict[int, Shop] = {
            i: drawn(i, null=null or (bool(every_null) and i % every_null == 0)) for i in numbers
        }
        with loaded(shops, customers) as here, quietly():
            yield here
        took = time.perf_counter() - started
        print(f"{numbers[-1] - first + 1} of {worlds} worlds, {took:,.0f} s", file=sys.stderr)


def _about(here: Worlds) -> tuple[object, ...]:
    population, of = here.population, here.cohort
    return here.sources.tables, of.days, here.config.zone, population.schema, of.window


def _by_world(here: Worlds, rows: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    number = world_of(rows["customer_id"])
    for i in here.shops:
        yield i, rows[number == i].reset_index(drop=True)


def _by_mean_shap(here: Worlds) -> Iterator[tuple[int, Mapping[str, dict[str, object]]]]:
    """Explain LightGBM on all columns as known at the cutoffs, as peers do, world by world."""
    matrix, churn = here.population.matrix, here.config.churn
    days = here.cohort.days
    asked = matrix["cutoff"].isin(pd.to_datetime(list(days)))
    asked &= labels.statuses(matrix, churn) == "scored"
    people = matrix[asked].reset_index(drop=True)
    left = labels.with_outcome(here.sources.tables, people[KEYS], days, here.config.zone, churn)
    columns = described(here.population.schema, churn)
    names = [c for c in columns if c in people]
    for number, rows in _by_world(here, people.assign(churned=left)):
        model = fit_lightgbm(rows[names], rows["churned"], seed=7)
        yield number, _read(rows[names], model.contributions(rows[names])[0], columns)


def _read(
    X: pd.DataFrame, shap: pd.DataFrame, columns: Mapping[str, Column]
) -> dict[str, dict[str, object]]:
    """Read a bar chart of mean |SHAP|: what stands among its ten longest bars is a driver."""
    strength = shap.abs().mean()
    top = set(strength.nlargest(TOP).index)
    told = {}
    for factor in {levers.LEVERS[name].factor for name in CURES}:
        mine = [c for c in shap if columns[c].factor == factor]
        longest = max(mine, key=lambda c: strength[c])
        known = X[longest].notna()
        rise = spearmanr(X.loc[known, longest], shap.loc[known, longest]).statistic
        told[factor] = {
            "peer_sure": bool(top & set(mine)),
            "peer_size": float(strength[mine].sum()),
            "peer_sign": float(np.sign(np.nan_to_num(rise)) * (columns[longest].direction or 1)),
        }
    return told


def _share(some: pd.Series) -> str:
    return f"{some.mean():.2f} ({int(some.sum())} of {len(some)})"


def show_goals(found: pd.DataFrame) -> None:
    """Print how true and how wide the ranges are."""
    found["inside"] = (found["lower"] <= found["truth"]) & (found["truth"] <= found["upper"])
    found["width"] = found["upper"] - found["lower"]
    print("\n| goal | worlds | covered | null worlds covered | width / effect | mean error |")
    print("|---|---|---|---|---|---|")
    for name, rows in found.groupby("goal", sort=False):
        large = rows[rows["truth"].abs() >= LARGE]
        none = rows[rows["truth"].abs() < NONE]
        print(
            f"| {name} | {len(rows)} | {rows['inside'].mean():.3f} | {_share(none['inside'])} | "
            f"{(large['width'] / large['truth'].abs()).median():.2f} ({len(large)} large) | "
            f"{(rows['value'] - rows['truth']).mean():+.2f} points |"
        )


def show_drivers(found: pd.DataFrame, null: pd.DataFrame) -> None:
    """Print whom each way of reading calls a driver, and whether it is one."""
    is_cause = found["truth"] >= LEAST_POINTS
    is_any = found["truth"] >= NONE
    print(
        f"\n{len(found)} checks, {int(is_cause.sum())} causes of at least {LEAST_POINTS:.0f} point"
    )
    print("| read by | precision | recall | right sign | rank correlation |")
    print("|---|---|---|---|---|")
    ways = (
        ("how sure", found["sure"], found["points"], np.sign(found["points"])),
        ("ten longest bars", found["peer_sure"], found["peer_size"], found["peer_sign"]),
    )
    for name, sure, size, sign in ways:
        print(
            f"| {name} | {_share(is_cause[sure.astype(bool)])} | "
            f"{_share(sure[is_cause].astype(bool))} | {_share(sign[is_any] > 0)} | "
            f"{spearmanr(size, found['truth']).statistic:.2f} |"
        )
    print(f"\nworlds without causes: {_share(null['sure'])} called sure")


def main() -> None:
    """Run both studies and print them."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--goals", type=int, default=100, help="worlds")
    asked.add_argument("--causes", type=int, default=24, help="worlds")
    asked.add_argument("--null", type=int, default=70, help="worlds")
    asked.add_argument("--save", help="a folder for the rows behind the tables")
    given = asked.parse_args()
    if given.goals:
        found = goals(given.goals, 8_000, 10)
        _keep(found, given.save, "goals")
        show_goals(found)
    if given.causes and given.null:
        made = drivers(given.causes, 10_000, 8, null=False)
        null = drivers(given.null, 3_000, 35, null=True)
        _keep(made, given.save, "causes")
        _keep(null, given.save, "null")
        show_drivers(made, null)


def _keep(found: pd.DataFrame, folder: str | None, name: str) -> None:
    if folder:
        found.to_parquet(f"{folder}/{name}.parquet")


if __name__ == "__main__":
    main()
