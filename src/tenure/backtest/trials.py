"""The search for LightGBM's parameters, by Optuna.

Trials are kept in a journal named after the data they were made on: what was interrupted goes on,
what was finished is not done again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightgbm as lgb

from tenure.errors import ModelError
from tenure.models.trees import PARAMETERS, ROUNDS

__all__ = ["DEFAULTS", "search"]

JOURNALS = Path("mlruns") / "tuning"
FAILED = "failed"

DEFAULTS: Mapping[str, Any] = {
    "num_iterations": ROUNDS,
    **{
        name: PARAMETERS[name]
        for name in (
            "num_leaves", "min_data_in_leaf", "lambda_l2", "feature_fraction", "bagging_fraction"
        )
    },
}  # fmt: skip


def search(
    loss: Callable[[Mapping[str, Any]], float],
    name: str,
    trials: int,
    seed: int,
    progress: Callable[..., None],
) -> tuple[dict[str, Any], int]:
    """Run the trials that the journal does not hold yet, and return the best of all.

    Parameters
    ----------
    loss : callable
        Takes LightGBM parameters and returns what they lose.
    name : str
        Of the journal: what the loss depends on.
    trials, seed : int
        How many, and of the sampler. The defaults are the first.
    progress : callable
        Told how many of how many are done.

    Raises
    ------
    ModelError
        If the trials fail.
    """
    if not trials:
        return dict(DEFAULTS), 0
    import optuna  # half a second to import, and only training needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    JOURNALS.mkdir(parents=True, exist_ok=True)

    def objective(trial: Any) -> float:
        try:
            return loss(_suggested(trial))
        except lgb.basic.LightGBMError:
            trial.set_user_attr(FAILED, True)  # by itself, not by an interrupt
            raise

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental features, none of which we choose
        study = _opened(name)
        while len(_complete(study)) < trials:
            finished = [t for t in study.trials if t.value is not None or _has_failed(t)]
            progress("tuning", len(_complete(study)), trials)
            # a sampler anew for each trial: going on after an interrupt suggests the same
            study.sampler = optuna.samplers.TPESampler(
                seed=seed + len(finished), constant_liar=False
            )
            if not finished and not any(t.state.name == "WAITING" for t in study.trials):
                study.enqueue_trial(dict(DEFAULTS))
            study.optimize(objective, n_trials=1, catch=(lgb.basic.LightGBMError,))
            failed = sum(map(_has_failed, study.trials))
            if failed > trials:
                raise ModelError(
                    f"tuning: {failed} of {len(study.trials)} trials failed. Set "
                    "model.tuning_trials: 0 to train with the defaults."
                )
    every = _complete(study)[:trials]
    best = min(every, key=lambda t: (t.value, t.number))
    return dict(best.params), len(every)


def _opened(name: str) -> Any:
    """Open the journal; one that cannot be read is begun anew: it only saves work."""
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    path = JOURNALS / f"{name}.journal"
    for again in (False, True):
        try:
            if path.exists() and not path.read_bytes().endswith(b"\n"):
                raise ValueError("its last line was cut off, and would swallow the next")
            storage = JournalStorage(JournalFileBackend(str(path)))
            study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        except (ValueError, KeyError, TypeError, AssertionError):
            if again:
                raise ModelError(f"{path}: cannot be read or begun anew. Remove it.") from None
            path.unlink(missing_ok=True)
        else:
            return study
    raise AssertionError("unreachable")


def _has_failed(trial: Any) -> bool:
    """Tell a trial that failed by itself from one that was interrupted."""
    return bool(trial.user_attrs.get(FAILED))


def _complete(study: Any) -> list[Any]:
    return [t for t in study.trials if t.value is not None]


def _suggested(trial: Any) -> dict[str, Any]:
    return {
        "num_iterations": trial.suggest_int("num_iterations", 120, 300, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 40, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 0.9),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 0.9),
    }
