"""LightGBM's settings, found once on the past before any test cutoff.

Everything here sees only rows whose label is complete by the earliest test cutoff. Its newest
cutoffs judge, each predicted by rows complete by it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from tenure.backtest.calibrating import at_days
from tenure.backtest.classes import LEAST_RARER, rarer
from tenure.backtest.samples import some_customers
from tenure.backtest.trials import DEFAULTS, search
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.candidate import Candidate
from tenure.models.churn import ROSTERS, fit_candidates
from tenure.models.shift import offset
from tenure.models.trees import PARAMETERS, LightGBM, Settings

__all__ = ["Tuned", "tune"]

MOST_ROWS = 10_000  # to learn from
MOST_JUDGED = 5_000  # of a cutoff
MOST_JUDGES = 4  # cutoffs
PROBES = 2  # of them, on which the best settings meet the defaults with every row there is
BAG = 3  # boosters
PAYS = 0.002
"""Share of the log loss that a bag must save: it costs three times the time. Asked only where the
samples are all rows: what averages out in a sample is small in many."""
SHARES = (0.25, 0.5, 0.75)  # of LightGBM in the blend; the half wins ties

ROWS = ("learn", "every", "judge")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tuned:
    """What was decided and why.

    Attributes
    ----------
    settings : Settings
    report : dict
        For `metrics.json`: trials, rows, judges, losses, what was adopted, and a sentence.
    """

    settings: Settings
    report: dict[str, Any]


@dataclass(frozen=True)
class _Fold:
    """Rows to learn from (a sample, and all) and the rows of one later cutoff to judge by."""

    cutoff: dt.date
    learn: NDArray[np.intp]
    every: NDArray[np.intp]
    judge: NDArray[np.intp]


def tune(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    *,
    days: Sequence[dt.date],
    first_test: dt.date,
    settings: Settings,
    progress: Callable[..., None],
) -> Tuned:
    """Search LightGBM's parameters, then the size of its bag and its share of the blend.

    The search learns from samples. What suits a sample need not suit all rows, so all that follows
    learns from every row there is: the best settings meet the defaults, and are taken if they are
    better by one standard error (paired, customers as clusters); then bag and share.

    Parameters
    ----------
    X, rows : DataFrame
        Inputs, and beside them `customer_id`, `cutoff`, `churned`.
    config : Config
        `model.tuning_trials` and `model.seed`.
    days : sequence of date
        Every cutoff.
    first_test : date
        The earliest test cutoff.
    settings : Settings
        Directions and class weight that were asked for.
    progress : callable
        Told what is being done, how much is done and of how much.

    Raises
    ------
    ModelError
        If every trial failed.
    """
    folds = _folds(rows, config, days, first_test)
    if not folds:
        sentence = "Tuning: no cutoff before the test could judge settings; the defaults stand."
        return Tuned(settings, {"trials": 0, "adopted": False, "sentence": sentence})
    bench = _Bench(X, rows, folds, config, settings)
    best, done = search(
        lambda asked: _mean(bench.losses(asked)), bench.key(), config.model.tuning_trials,
        config.model.seed, progress,
    )  # fmt: skip
    progress("tuning: with every row")
    whole = _Bench(X, rows, _probes(folds), config, settings)
    adopted, (gain, error) = _adopt(whole, best)
    chosen = replace(settings, parameters=best if adopted else {})
    chosen, extras = whole.bag_and_share(chosen, may_bag=_whole(folds))
    report = {
        "trials": done,
        "rows": {name: int(max(len(getattr(f, name)) for f in folds)) for name in ROWS},
        "judges": [str(f.cutoff) for f in folds],
        "best": best,
        "gain": {"value": gain, "standard_error": error},
        "adopted": adopted,
        **extras,
        **chosen.to_json(),
    }
    return Tuned(chosen, {**report, "sentence": _sentence(report)})


def _sentence(report: Mapping[str, Any]) -> str:
    share = f"LightGBM makes {report['share']:.0%} of the blend"
    if report["seeds"] > 1:
        share = share.replace("LightGBM", f"LightGBM, the average of {report['seeds']} boosters,")
    if not report["trials"]:
        return f"Tuning: none, as model.tuning_trials says. {share}."
    gain, error = report["gain"]["value"], report["gain"]["standard_error"]
    size = f"by {abs(gain):.4f} log loss (standard error {error:.4f})"
    verdict = "was the defaults, which stay"
    if gain:
        verdict = f"is {'better' if gain > 0 else 'worse'} than the defaults {size} and was "
        verdict += "taken" if report["adopted"] else "not taken"
    return (
        f"Tuning: the best of {report['trials']} trials on cutoffs before the test {verdict}. "
        f"{share}."
    )


def _folds(
    rows: pd.DataFrame, config: Config, days: Sequence[dt.date], first_test: dt.date
) -> list[_Fold]:
    """Take the newest cutoffs before the test that have enough complete rows before them."""
    seen = complete_for(days, first_test, config.churn.complete_days)
    churned = rows["churned"].to_numpy()
    folds: list[_Fold] = []
    for day in reversed(seen):
        earlier = complete_for(seen, day, config.churn.complete_days)
        every = np.flatnonzero(at_days(rows, earlier))
        learn = every[some_customers(rows.iloc[every], MOST_ROWS)]
        judge = np.flatnonzero(at_days(rows, [day]))
        judge = judge[some_customers(rows.iloc[judge], MOST_JUDGED)]
        if min(rarer(churned[learn]), rarer(churned[judge])) >= LEAST_RARER:
            folds.append(_Fold(day, learn, every, judge))
    return folds[:MOST_JUDGES]


def _probes(folds: Sequence[_Fold]) -> list[_Fold]:
    """Let the newest folds learn from every row; where the samples are all rows, all folds."""
    if _whole(folds):
        return list(folds)
    return [replace(fold, learn=fold.every) for fold in folds[:PROBES]]


def _whole(folds: Sequence[_Fold]) -> bool:
    return all(len(fold.learn) == len(fold.every) for fold in folds)


def _adopt(bench: _Bench, best: Mapping[str, Any]) -> tuple[bool, tuple[float, float]]:
    """Tell whether settings beat the defaults; what they save, and its standard error."""
    if dict(best) == DEFAULTS:
        return False, (0.0, 0.0)
    saved = bench.losses(DEFAULTS) - bench.losses(best)
    by_customer = np.bincount(bench.customers, weights=saved - saved.mean())
    gain, error = float(saved.mean()), float(np.sqrt((by_customer**2).sum()) / saved.size)
    return gain > error, (gain, error)


class _Bench:
    """The folds on which settings are judged."""

    def __init__(
        self,
        X: pd.DataFrame,
        rows: pd.DataFrame,
        folds: Sequence[_Fold],
        config: Config,
        settings: Settings,
    ) -> None:
        self._X, self._rows, self._folds = X, rows, folds
        self._config, self._settings = config, settings
        self.customers = pd.factorize(
            np.concatenate([rows["customer_id"].to_numpy()[f.judge] for f in folds])
        )[0]

    def key(self) -> str:
        """Name what the trials depend on: rows, labels, folds, settings, seed, library."""
        sha = hashlib.sha256(repr((lgb.__version__, self._config.model.seed)).encode())
        sha.update(repr((self._settings, tuple(self._X.columns), PARAMETERS, DEFAULTS)).encode())
        for fold in self._folds:
            for part in (fold.learn, fold.judge):
                sha.update(self._X.iloc[part].to_numpy(dtype=np.float64).tobytes())
                sha.update(self._rows["churned"].to_numpy()[part].tobytes())
        return sha.hexdigest()[:16]

    def losses(self, parameters: Mapping[str, Any]) -> Array:
        """Return the log loss of every judging row."""
        settings = replace(self._settings, parameters=dict(parameters))

        def say(fold: _Fold) -> Array:
            fitted, here = self._fit(fold, settings, ["lightgbm"])
            return fitted["lightgbm"].margin(here)

        return self._loss(self._each(say))

    def bag_and_share(self, settings: Settings, may_bag: bool) -> tuple[Settings, dict[str, Any]]:
        """Decide on the bag, then on the blend's share, by the same folds."""
        partner = ROSTERS[self._config.churn.kind].partner
        seeds = BAG if may_bag else 1

        def say(fold: _Fold) -> tuple[Array, Array, Array]:
            fitted, here = self._fit(fold, replace(settings, seeds=seeds), ["lightgbm", partner])
            bag = fitted["lightgbm"]
            assert isinstance(bag, LightGBM)
            first = replace(bag, boosters=bag.boosters[:1])
            return first.margin(here), bag.margin(here), fitted[partner].margin(here)

        one, many, simple = zip(*self._each(say), strict=True)
        losses = _mean(self._loss(one)), _mean(self._loss(many))
        pays = losses[0] - losses[1] > PAYS * losses[0]
        pairs = list(zip(many if pays else one, simple, strict=True))
        by_share = {w: _mean(self._loss([w * a + (1 - w) * b for a, b in pairs])) for w in SHARES}
        share = min(SHARES, key=lambda w: (by_share[w], abs(w - 0.5)))
        bags = {"1": losses[0], str(BAG): losses[1]} if may_bag else {}
        found = {"bag": bags, "blend": {str(w): v for w, v in by_share.items()}}
        return replace(settings, seeds=seeds if pays else 1, share=share), found

    def _fit(
        self, fold: _Fold, settings: Settings, names: Sequence[str]
    ) -> tuple[dict[str, Candidate], pd.DataFrame]:
        """Fit candidates on what a fold learns from; return them, and the inputs to judge by."""
        fitted = fit_candidates(
            self._X.iloc[fold.learn],
            self._rows["churned"].iloc[fold.learn],
            seed=self._config.model.seed,
            kind=self._config.churn.kind,
            names=names,
            settings=settings,
        )
        return fitted, self._X.iloc[fold.judge]

    def _each(self, say: Callable[[_Fold], Any]) -> list[Any]:
        """Ask every fold; fits are single-threaded and independent."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(say, self._folds))

    def _loss(self, said: Sequence[Array]) -> Array:
        """Return each row's log loss once the fold's general level is put right.

        The level is the business of calibration and of the shift between cutoffs; what is asked
        here is which settings tell customers apart.
        """
        losses = []
        for fold, margin in zip(self._folds, said, strict=True):
            y = self._rows["churned"].to_numpy(dtype=np.float64)[fold.judge]
            p = np.clip(expit(margin + offset(margin, y)[0]), 1e-9, 1 - 1e-9)
            losses.append(-np.where(y == 1, np.log(p), np.log1p(-p)))
        return np.concatenate(losses)


def _mean(losses: Array) -> float:
    return float(losses.mean())
