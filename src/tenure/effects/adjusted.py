"""Effects adjusted for what customers were like before, by double machine learning.

Partially linear regression: leaving = θ·doses + g(what was known before) + noise, with g and the
doses' own dependence on it learnt by boosted trees on other customers.

References
----------
Chernozhukov, Chetverikov, Demirer, Duflo, Hansen, Newey & Robins (2018), "Double/debiased machine
learning for treatment and structural parameters", Econometrics Journal 21, eq. 1.1-1.2 and
theorem 4.1. Package `DoubleML` (Bach, Chernozhukov, Kurz & Spindler 2022).
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = [
    "LEVEL",
    "Adjusted",
    "Estimate",
    "adjusted",
    "folds_of",
    "learner",
    "matrix_of",
    "numbered",
    "quietly",
]

Array = NDArray[np.float64]

LEVEL = 0.9
FOLDS = 5


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error; its range is that of 90 %."""

    value: float
    error: float

    def ends(self, level: float = LEVEL) -> tuple[float, float]:
        """Return both ends of the interval of a level."""
        reach = float(norm.ppf((1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    @property
    def z(self) -> float:
        """How many standard errors the figure lies from 0."""
        return self.value / self.error if self.error > 0 else 0.0

    def to_json(self, scale: float = 1.0) -> dict[str, float]:
        """Return value and interval."""
        low, high = sorted(scale * end for end in self.ends())
        return {"value": scale * self.value, "lower": low, "upper": high}


@dataclass(frozen=True)
class Adjusted:
    """Coefficients of doses, and how each row moves them.

    Attributes
    ----------
    coefficients : ndarray, shape (k,)
        Change of the chance of leaving a unit of each dose.
    influence : ndarray, shape (n, k)
        Of mean 0; their mean over rows is the coefficients' error.
    customers : ndarray of int, shape (n,)
        Whose row it is: errors are clustered by customer.
    robustness : float or None
        Share of what is left unexplained of doses and of leaving that an unseen trait would have
        to explain to bring the effect to 0 (Chernozhukov et al. 2022, "Long story short").
    """

    coefficients: Array
    influence: Array
    customers: NDArray[np.int64]
    robustness: float | None

    def combined(self, weights: Sequence[float]) -> Estimate:
        """Return a weighted sum of the coefficients."""
        w = np.asarray(weights, dtype=np.float64)
        by_customer = np.bincount(self.customers, self.influence @ w)
        error = float(np.sqrt((by_customer**2).sum()) / len(self.influence))
        return Estimate(float(self.coefficients @ w), error)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep DoubleML's notices to itself; around threads, since filters belong to the process."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # DoubleML 0.11: what pandas and scikit-learn retire
        yield


def learner(seed: int) -> Any:
    """Return small boosted trees for what was known before."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=50, num_leaves=8, learning_rate=0.12, min_child_samples=40,
        colsample_bytree=0.3, reg_lambda=5.0, max_bin=63, n_jobs=1, verbosity=-1,
        random_state=seed, deterministic=True, force_col_wise=True,
    )  # fmt: skip


def folds_of(customers: NDArray[np.int64], seed: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Cut the rows into folds that no customer straddles."""
    drawn = np.random.default_rng(seed).permutation(customers.max() + 1) % FOLDS
    fold = drawn[customers]
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(FOLDS)]


def adjusted(
    rows: pd.DataFrame, dose: str, confounders: Sequence[str], *, seed: int,
    outcome: str = "churned",
) -> Adjusted:  # fmt: skip
    """Estimate what a unit of a dose does to the outcome among customers alike before.

    Parameters
    ----------
    rows : DataFrame
        `customer_id`, the outcome, the dose and confounders; a missing confounder is told by NaN.
    dose, outcome : str
        Columns.
    confounders : sequence of str
        Columns.
    seed : int
        Of folds and learners.
    """
    import doubleml as dml  # takes seconds to import

    customers, x = numbered(rows), matrix_of(rows, confounders)
    y, d = (rows[c].to_numpy(dtype=np.float64) for c in (outcome, dose))
    data = dml.DoubleMLData.from_arrays(x, y, d, force_all_x_finite="allow-nan")
    model = dml.DoubleMLPLR(
        data, learner(seed), learner(seed), n_folds=FOLDS, draw_sample_splitting=False
    )
    model.set_sample_splitting([folds_of(customers, seed)])
    model.fit()
    slope = model.psi_elements["psi_a"][:, 0, :].mean(axis=0)
    influence = np.asarray(-model.psi[:, 0, :] / slope)
    theta = np.asarray(model.coef, dtype=np.float64)
    return Adjusted(theta, influence, customers, _robustness(model))


def numbered(rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the customers of rows as numbers, in the order of their ids."""
    return np.asarray(pd.factorize(rows["customer_id"], sort=True)[0], dtype=np.int64)


def matrix_of(rows: pd.DataFrame, confounders: Sequence[str]) -> Array:
    """Return the confounders as numbers."""
    return np.ascontiguousarray(rows[list(confounders)].to_numpy(dtype=np.float64))


def _robustness(model: Any) -> float | None:
    """Return how strong an unseen trait would have to be."""
    model.sensitivity_analysis(cf_y=0.03, cf_d=0.03)
    values = np.asarray(model.sensitivity_params["rv"], dtype=np.float64)
    return float(values.min()) if np.isfinite(values).all() else None
