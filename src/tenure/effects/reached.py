"""The adjusted effect of a limit on a lever's dose, whose pieces may act differently.

What `adjusted` does for one dose, for several: trees learnt on other customers take out of the
outcome and of each piece what was known before, and least squares on what they left gives the
effects jointly (Chernozhukov et al. 2018, eq. 4.4 with a vector of treatments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from tenure.effects.adjusted import (
    Adjusted,
    Estimate,
    folds_of,
    learner,
    matrix_of,
    numbered,
)
from tenure.levers import Dosage

__all__ = ["Pieces", "pieces_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pieces:
    """Doses cut into pieces, with what was known before taken out of them.

    Attributes
    ----------
    names : tuple of str
        The pieces of which there are any.
    dosage : Dosage
    left : ndarray, shape (n, pieces)
        What the trees left of each.
    x, customers : ndarray
        The confounders, and whose row it is.
    seed : int
    """

    names: tuple[str, ...]
    dosage: Dosage
    left: Array
    x: Array
    customers: NDArray[np.int64]
    seed: int

    def effect(self, outcome: pd.Series) -> Adjusted:
        """Return what a unit of each piece does to an outcome of the same rows."""
        rest = _left(self.x, outcome.to_numpy(dtype=np.float64), self.customers, self.seed)
        # pieces that nothing tells apart share their effect
        solve = np.linalg.pinv(self.left.T @ self.left / len(rest), rcond=1e-9, hermitian=True)
        theta = solve @ (self.left.T @ rest / len(rest))
        influence = (self.left * (rest - self.left @ theta)[:, None]) @ solve
        return Adjusted(theta, influence, self.customers, None)

    def change(self, effect: Adjusted, rows: pd.DataFrame, weight: Array | float = 1.0) -> Estimate:
        """Return the change in the sum over rows of weight × outcome, were the limit kept."""
        gone = [name in self.dosage.above for name in self.names]
        sums = (rows[list(self.names)].to_numpy() * np.reshape(weight, (-1, 1))).sum(axis=0)
        return effect.combined(-sums * gone)


def pieces_of(rows: pd.DataFrame, dosage: Dosage, confounders: Sequence[str], seed: int) -> Pieces:
    """Take what was known before out of each piece of a dose.

    Parameters
    ----------
    rows : DataFrame
        From `effects.rows.exposed` with this dosage.
    dosage, confounders, seed
        The pieces, the columns known before (`n` is added), and the seed of folds and learners.
    """
    names = tuple(name for name, _, _ in dosage.spans() if rows[name].sum() > 0)
    customers, x = numbered(rows), matrix_of(rows, [*confounders, "n"])
    left = [_left(x, rows[name].to_numpy(np.float64), customers, seed) for name in names]
    return Pieces(names, dosage, np.stack(left, axis=1), x, customers, seed)


def _left(x: Array, values: Array, customers: NDArray[np.int64], seed: int) -> Array:
    """Return what trees learnt on other customers leave of values."""
    said = cross_val_predict(learner(seed), x, values, cv=folds_of(customers, seed))
    return np.asarray(values - said, dtype=np.float64)
