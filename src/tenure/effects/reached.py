"""The adjusted effect of a limit on a lever's dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.effects.adjusted import Adjusted, Estimate, adjusted
from tenure.levers import Dosage

__all__ = ["Reached", "reached"]


@dataclass(frozen=True)
class Reached:
    """The adjusted effect of a limit on a lever's dose.

    Attributes
    ----------
    effect : Adjusted
        Of each piece of the dose.
    pieces : tuple of str
        Their names, in the order of the coefficients.
    dosage : Dosage
    """

    effect: Adjusted
    pieces: tuple[str, ...]
    dosage: Dosage

    def change(self, rows: pd.DataFrame, weight: np.ndarray | float = 1.0) -> Estimate:
        """Return the change in the sum over rows of weight × chance of leaving."""
        gone = [name in self.dosage.above for name in self.pieces]
        sums = (rows[list(self.pieces)].to_numpy() * np.reshape(weight, (-1, 1))).sum(axis=0)
        return self.effect.combined(-sums * gone)


def reached(rows: pd.DataFrame, dosage: Dosage, confounders: tuple[str, ...], seed: int) -> Reached:
    """Estimate what a limit would have changed among customers alike before.

    Parameters
    ----------
    rows : DataFrame
        From `effects.rows.exposed` with this dosage.
    """
    pieces = tuple(name for name, _, _ in dosage.spans() if rows[name].sum() > 0)
    return Reached(adjusted(rows, pieces, [*confounders, "n"], seed=seed), pieces, dosage)
