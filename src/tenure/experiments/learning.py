"""What is expected of a customer, and what a contact changes, learnt from other customers only.

The DR-learner (Kennedy 2023, Electronic Journal of Statistics 17): regress on the features the
signal of a contact's effect,

    ψ = (T − p) · (left − m(x)) / (p · (1 − p)),

whose mean given x is the effect at x whatever m is, since p, the contacted arm's share, is known.
With m = (1 − p)·E[left | x, contacted] + p·E[left | x, held out] it is the doubly robust score,
which varies least; m is learnt at once, by weights (1 − p)/p of the contacted and p/(1 − p) of the
held out.

Customers are dealt into folds. m is learnt without two folds j and k for every pair; what is said
of fold k comes from a learner whose features, signals and expectations never saw its customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from tenure.experiments.rows import Array, Trial
from tenure.models.trees import PARAMETERS

__all__ = ["FOLDS", "Learnt", "carried_on", "cross_fitted", "folds", "signal"]

FOLDS = 5
SEED = 7
EXPECTING: Mapping[str, Any] = {
    **PARAMETERS, "learning_rate": 0.1, "num_leaves": 8, "feature_fraction": 0.3,
    "num_iterations": 50, "max_bin": 31,
}  # fmt: skip
"""Of who leaves."""
CHANGING: Mapping[str, Any] = {
    **PARAMETERS, "objective": "regression", "learning_rate": 0.05, "num_leaves": 4,
    "min_data_in_leaf": 200, "feature_fraction": 0.5, "num_iterations": 60, "max_bin": 31,
    "lambda_l2": 100.0,
}  # fmt: skip
"""Of the signal, which is nearly all noise: few, broad and hesitant leaves."""


@dataclass(frozen=True)
class Learnt:
    """What is said of each row by learners that did not see its customer.

    Attributes
    ----------
    expected : array
        Chance of leaving, of who is contacted and who is not in equal measure.
    saved : array
        Chance that a contact keeps the customer: above 0 is good.
    group : int array
        Rows with the same number were judged by the same learner, and only they can be ranked
        together.
    """

    expected: Array
    saved: Array
    group: NDArray[np.intp]


def signal(trial: Trial, expected: Array) -> Array:
    """Return ψ of each row: its mean is the effect of a contact on leaving."""
    p = trial.share
    return np.asarray((trial.treated - p) * (trial.left - expected) / (p * (1 - p)))


def folds(trial: Trial) -> NDArray[np.intp]:
    """Deal the customers into folds by lot, whatever they did."""
    n = int(trial.customer.max()) + 1
    return np.random.default_rng(SEED).permutation(n)[trial.customer] % FOLDS


def cross_fitted(trial: Trial) -> Learnt:
    """Learn expectations and effects, and say them of customers who were held out of both."""
    fold, X = folds(trial), _values(trial)
    expected = {pair: np.zeros(len(trial)) for pair in combinations(range(FOLDS), 2)}
    for (j, k), said in expected.items():
        inside = (fold != j) & (fold != k)
        said[:] = _expecting(trial, X, inside)(X)
    saved, prior = np.empty(len(trial)), np.empty(len(trial))
    for k in range(FOLDS):
        out = fold == k
        without = {j: expected[min(j, k), max(j, k)] for j in range(FOLDS) if j != k}
        here = np.mean(list(without.values()), axis=0)
        for j, said in without.items():
            here[fold == j] = said[fold == j]  # learnt without fold j and without fold k
        prior[out] = here[out]
        model = _changing(trial, X, here, ~out)
        saved[out] = model(X[out], here[out])
    return Learnt(prior, saved, fold)


def carried_on(trial: Trial, earlier: NDArray[np.bool_], later: NDArray[np.bool_]) -> Learnt:
    """Learn from earlier tests alone, and say it of a later one.

    The expectations of the earlier rows are cross-fitted; customers of both may be the same, as
    they are when a campaign is repeated.
    """
    X, fold = _values(trial), folds(trial)
    expected = _expecting(trial, X, earlier)(X)
    for k in range(2):
        half = (fold % 2) == k
        expected[earlier & half] = _expecting(trial, X, earlier & ~half)(X[earlier & half])
    model = _changing(trial, X, expected, earlier)
    n = int(later.sum())
    return Learnt(
        expected[later], model(X[later], expected[later]), np.zeros(n, dtype=np.intp)
    )  # fmt: skip


def _values(trial: Trial) -> Array:
    return trial.X.to_numpy(dtype=np.float64)


def _expecting(trial: Trial, X: Array, some: NDArray[np.bool_]) -> Any:
    p = trial.share[some]
    weight = np.where(trial.treated[some], (1 - p) / p, p / (1 - p))
    rows = lgb.Dataset(X[some], trial.left[some], weight=weight, params=dict(EXPECTING))
    return _fitted(rows, EXPECTING).predict


def _changing(trial: Trial, X: Array, expected: Array, some: NDArray[np.bool_]) -> Any:
    """Fit the signal of being kept; the expectation is a feature, since risk is the first guess."""
    kept = -signal(trial, expected)[some]
    beside = np.column_stack([X[some], expected[some]])
    booster = _fitted(lgb.Dataset(beside, kept, params=dict(CHANGING)), CHANGING)
    return lambda X, expected: booster.predict(np.column_stack([X, expected]))


def _fitted(rows: Any, parameters: Mapping[str, Any]) -> Any:
    given = dict(parameters)
    rounds = given.pop("num_iterations")
    return lgb.train({**given, "seed": SEED}, rows, num_boost_round=rounds)
