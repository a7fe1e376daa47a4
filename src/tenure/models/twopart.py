"""The challenger of the purchase models: whether customers buy, and what the buyers bring.

Boosted trees on the point-in-time features, in two parts: the chance of buying within a horizon,
and purchases and money given that one buys; the product is the expected value. It knows nothing of
later than its horizon and has no law of its own: `value.buyers` lends it that of a purchase model.

References
----------
Duan, Manning, Morris & Newhouse (1983), "A comparison of alternative models for the demand for
medical care", J. of Business & Economic Statistics 1(2), for the two parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.errors import DataError
from tenure.models.candidate import select_inputs
from tenure.models.trees import PARAMETERS, ROUNDS, THREADS

__all__ = ["LEAST_BUYERS", "TwoPart", "fit_two_part"]

Array = npt.NDArray[np.float64]

LEAST_BUYERS = 100
"""Below, what buyers bring cannot be learnt from features."""

_PARTS = {"buys": "binary", "purchases": "poisson", "value": "gamma"}
_SMALLEST = 1e-3  # of the mean: buyers whose refunds ate their purchases count as so much


@dataclass(frozen=True)
class TwoPart:
    """Boosted trees for whether, how often and for how much a customer buys.

    Attributes
    ----------
    horizon_days : int
        They were trained on so many days after the cutoff.
    columns : tuple of str
        Inputs in the order of training.
    boosters : tuple of str
        Texts of the three boosters: buys, purchases and value given that one buys.
    unit : float
        Mean value of a buyer, in currency; the third booster counts in it.
    """

    horizon_days: int
    columns: tuple[str, ...]
    boosters: tuple[str, ...]
    unit: float

    @cached_property
    def _built(self) -> list[Any]:
        return [lgb.Booster(model_str=text) for text in self.boosters]

    def expected(self, X: pd.DataFrame) -> tuple[Array, Array]:
        """Return the purchases and the money expected within the horizon, undiscounted.

        Both 0 or more and finite, whatever X holds.
        """
        values = select_inputs(X, self.columns, "lightgbm")
        if not len(values):  # LightGBM raises on no rows
            return np.empty(0), np.empty(0)
        buys, often, much = (b.predict(values, num_threads=THREADS) for b in self._built)
        return buys * often, buys * much * self.unit

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {
            "horizon_days": self.horizon_days,
            "columns": list(self.columns),
            "boosters": list(self.boosters),
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(
            int(stored["horizon_days"]),
            tuple(stored["columns"]),
            tuple(map(str, stored["boosters"])),
            float(stored["unit"]),
        )


def fit_two_part(
    X: pd.DataFrame,
    purchases: npt.ArrayLike,
    value: npt.ArrayLike,
    *,
    horizon_days: int,
    seed: int = 0,
) -> TwoPart:
    """Fit both parts.

    Parameters
    ----------
    X : DataFrame
        Features as known at the cutoffs, NaN = missing.
    purchases, value : array_like
        Purchase days and net money of the horizon after them; currency scales out exactly.
    horizon_days : int
    seed : int

    Raises
    ------
    DataError
        If fewer than 100 rows bought, or none did not.
    """
    often, much = (np.asarray(c, dtype=np.float64) for c in (purchases, value))
    bought = often > 0
    if bought.sum() < LEAST_BUYERS or bought.all():
        raise DataError(
            f"clv: {int(bought.sum()):,} of {len(bought):,} past cases bought within "
            f"{horizon_days} days; the two-part model needs {LEAST_BUYERS}, and some who did not."
        )
    columns = tuple(map(str, X.columns))
    inputs = select_inputs(X, columns, "lightgbm")
    unit = float(np.mean(np.maximum(much[bought], 0))) or 1.0
    # rounded, so that the rounding of a currency cannot move a split
    worth = np.maximum(np.round(much[bought] / unit, 12), _SMALLEST)
    targets = {
        "buys": (inputs, bought.astype(np.float64)),
        "purchases": (inputs[bought], often[bought]),
        "value": (inputs[bought], worth),
    }
    boosters = tuple(
        lgb.train(
            {**PARAMETERS, "objective": objective, "seed": seed},
            lgb.Dataset(*targets[part], params=dict(PARAMETERS)),
            num_boost_round=ROUNDS,
        ).model_to_string()
        for part, objective in _PARTS.items()
    )
    return TwoPart(horizon_days, columns, boosters, unit)
