"""LightGBM's settings, found once on the past before any test cutoff.

Everything here sees only rows whose label is complete by the earliest test cutoff. Its newest
cutoffs judge, each predicted by rows complete by it. Trials are kept in a journal named after the
data they were made on: what was interrupted goes on, what was finished is not done again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from tenure.backtest.samples import some_customers
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.errors import ModelError
from tenure.models.churn import ROSTERS, fit_candidates
from tenure.models.shift import offset
from tenure.models.trees import PARAMETERS, ROUNDS, Settings

__all__ = ["Tuned", "tune"]

JOURNALS = Path("mlruns") / "tuning"
MOST_ROWS = 10_000  # to learn from
MOST_JUDGED = 5_000  # of a cutoff
MOST_JUDGES = 4  # cutoffs
LEAST_RARER = 50  # rows of the rarer class, to learn from and to judge by
BAG = 3  # boosters
PAYS = 0.002  # share of the log loss that a bag must save: it costs three times the time
SHARES = (0.25, 0.5, 0.75)  # of LightGBM in the blend; the half wins ties

DEFAULTS: Mapping[str, Any] = {
    "num_iterations": ROUNDS,
    **{
        name: PARAMETERS[name]
        for name in (
            "num_leaves", "min_data_in_leaf", "lambda_l2", "feature_fraction", "bagging_fraction"
        )
    },
}  # fmt: skip

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
    """Rows to learn from and the rows of one later cutoff to judge by."""

    cutoff: dt.date
    learn: NDArray[np.intp]
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

    A result that is not better than the defaults by one standard error (paired, customers as
    clusters) is not taken.

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
    default = bench.losses(DEFAULTS)
    best, done = _search(bench, config, progress)
    gain, error = _gain(default, bench.losses(best), bench.customers)
    adopted = gain > error
    chosen = replace(settings, parameters=best if adopted else {})
    progress("tuning: bag and blend")
    chosen, extras = bench.bag_and_share(chosen)
    report = {
        "trials": done,
        "rows": int(max(len(f.learn) for f in folds)),
        "judges": [str(f.cutoff) for f in folds],
        "log_loss": {"default": _mean(default), "best": _mean(default) - gain},
        "gain": {"value": gain, "standard_error": error},
        "adopted": adopted,
        **extras,
        **chosen.to_json(),
    }
    return Tuned(chosen, {**report, "sentence": _sentence(report)})


def _sentence(report: Mapping[str, Any]) -> str:
    gain = f"{report['gain']['value']:.4f} ± {report['gain']['standard_error']:.4f} log loss"
    verdict = "were taken" if report["adopted"] else "were not taken (within one standard error)"
    bag = f"is the average of {report['seeds']} boosters" if report["seeds"] > 1 else "stays single"
    return (
        f"Tuning: {report['trials']} trials on cutoffs before the test; the best settings save "
        f"{gain} and {verdict}. LightGBM {bag} and makes {report['share']:.0%} of the blend."
    )


def _folds(
    rows: pd.DataFrame, config: Config, days: Sequence[dt.date], first_test: dt.date
) -> list[_Fold]:
    """Take the newest cutoffs before the test that have enough complete rows before them."""
    seen = complete_for(days, first_test, config.churn.complete_days)
    churned = rows["churned"].to_numpy()
    folds: list[_Fold] = []
    for day in reversed(seen):
        earlier = pd.to_datetime(list(complete_for(seen, day, config.churn.complete_days)))
        before = rows["cutoff"].isin(earlier).to_numpy()
        some = some_customers(rows[before], MOST_ROWS)
        learn = np.flatnonzero(before)[some]
        judge = np.flatnonzero((rows["cutoff"] == pd.Timestamp(day)).to_numpy())
        judge = judge[some_customers(rows.iloc[judge], MOST_JUDGED)]
        if min(_rarer(churned[learn]), _rarer(churned[judge])) >= LEAST_RARER:
            folds.append(_Fold(day, learn, judge))
    return folds[:MOST_JUDGES]


def _rarer(churned: NDArray[Any]) -> int:
    return int(min(churned.sum(), len(churned) - churned.sum()))


class _Bench:
    """The folds, binned once, on which every trial is judged."""

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
        sha.update(repr((self._settings, tuple(self._X.columns), PARAMETERS)).encode())
        for fold in self._folds:
            for part in (fold.learn, fold.judge):
                sha.update(self._X.iloc[part].to_numpy(dtype=np.float64).tobytes())
                sha.update(self._rows["churned"].to_numpy()[part].tobytes())
        return sha.hexdigest()[:16]

    def losses(self, parameters: Mapping[str, Any]) -> Array:
        """Return the log loss of every judging row."""
        settings = replace(self._settings, parameters=dict(parameters))
        said = self.margins(settings, ["lightgbm"])["lightgbm"]
        return self._loss(said)

    def margins(self, settings: Settings, names: Sequence[str]) -> dict[str, list[Array]]:
        """Return what candidates say of the judging rows, fold by fold."""

        def say(fold: _Fold) -> dict[str, Array]:
            fitted = fit_candidates(
                self._X.iloc[fold.learn],
                self._rows["churned"].iloc[fold.learn],
                seed=self._config.model.seed,
                kind=self._config.churn.kind,
                names=names,
                settings=settings,
            )
            here = self._X.iloc[fold.judge]
            return {name: model.margin(here) for name, model in fitted.items()}

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            said = list(pool.map(say, self._folds))
        return {name: [part[name] for part in said] for name in names}

    def bag_and_share(self, settings: Settings) -> tuple[Settings, dict[str, Any]]:
        """Decide on the bag, then on the blend's share, by the same folds."""
        partner = ROSTERS[self._config.churn.kind].partner
        said = self.margins(settings, ["lightgbm", partner])
        one = _mean(self._loss(said["lightgbm"]))
        bagged = self.margins(replace(settings, seeds=BAG), ["lightgbm"])["lightgbm"]
        many = _mean(self._loss(bagged))
        pays = one - many > PAYS * one
        trees = bagged if pays else said["lightgbm"]
        pairs = list(zip(trees, said[partner], strict=True))
        by_share = {w: _mean(self._loss([w * a + (1 - w) * b for a, b in pairs])) for w in SHARES}
        share = min(SHARES, key=lambda w: (by_share[w], abs(w - 0.5)))
        found = {
            "bag": {"1": one, str(BAG): many},
            "blend": {str(w): v for w, v in by_share.items()},
        }
        return replace(settings, seeds=BAG if pays else 1, share=share), found

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


def _search(
    bench: _Bench, config: Config, progress: Callable[..., None]
) -> tuple[dict[str, Any], int]:
    """Run the trials that the journal does not hold yet, and return the best of all."""
    import optuna  # half a second to import, and only training needs it
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials, seed = config.model.tuning_trials, config.model.seed
    if not trials:
        return dict(DEFAULTS), 0
    JOURNALS.mkdir(parents=True, exist_ok=True)
    name = bench.key()

    def objective(trial: Any) -> float:
        return _mean(bench.losses(_suggested(trial)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental features, none of which we choose
        storage = JournalStorage(JournalFileBackend(str(JOURNALS / f"{name}.journal")))
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        study.enqueue_trial(dict(DEFAULTS), skip_if_exists=True)
        while (done := len(_complete(study))) < trials:
            progress("tuning", done, trials)
            # a sampler anew for each trial: going on after an interrupt suggests the same
            study.sampler = optuna.samplers.TPESampler(seed=seed + done, constant_liar=False)
            study.optimize(objective, n_trials=1, catch=(lgb.basic.LightGBMError,))
            if len(_complete(study)) == done and len(study.trials) > 2 * trials:
                raise ModelError(
                    f"tuning: {len(study.trials) - done} of {len(study.trials)} trials failed. "
                    "Set model.tuning_trials: 0 to train with the defaults."
                )
    every = _complete(study)[:trials]
    best = min(every, key=lambda t: (t.value, t.number))
    return dict(best.params), len(every)


def _complete(study: Any) -> list[Any]:
    return [t for t in study.trials if t.value is not None]


def _suggested(trial: Any) -> dict[str, Any]:
    return {
        "num_iterations": trial.suggest_int("num_iterations", 200, 500, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 40, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 0.9),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 0.9),
    }


def _gain(default: Array, best: Array, customers: NDArray[np.intp]) -> tuple[float, float]:
    """Return the mean saving and its standard error, customers as clusters."""
    saved = default - best
    by_customer = np.bincount(customers, weights=saved - saved.mean())
    return float(saved.mean()), float(np.sqrt((by_customer**2).sum()) / saved.size)


def _mean(losses: Array) -> float:
    return float(losses.mean())
