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
    import optuna  # half a second to import, and only training needs it
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not trials:
        return dict(DEFAULTS), 0
    JOURNALS.mkdir(parents=True, exist_ok=True)

    def objective(trial: Any) -> float:
        return loss(_suggested(trial))

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
        "num_iterations": trial.suggest_int("num_iterations", 120, 300, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 40, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 0.9),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 0.9),
    }
