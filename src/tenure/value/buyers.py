"""What the customers of a day are worth, by their purchases and their chance of leaving."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.config import ChurnConfig, ClvConfig
from tenure.models.btyd import p_alive
from tenure.models.families import AnyModel
from tenure.models.predictive import Leaving
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value.bounds import interval
from tenure.value.clv import clv, combine, conditional_values

__all__ = ["VALUES", "Foreseen", "buyer_timing", "buyer_values"]

Array = npt.NDArray[np.float64]

VALUES = ["clv", "lower", "upper", "if_stays", "if_leaves"]


class Foreseen(NamedTuple):
    """What another model expects each customer to bring, which sets the level of the values.

    Attributes
    ----------
    value : ndarray
        Money of the horizon, undiscounted and before any margin.
    horizon_days : int
    """

    value: Array
    horizon_days: int


def buyer_timing(matrix: pd.DataFrame, purchases: AnyModel, days: float) -> pd.DataFrame:
    """Return `p_alive` and `expected_purchases` (undiscounted) of each row, by timing alone."""
    x, t_x, T = (matrix[c].to_numpy(dtype=np.float64) for c in ("frequency", "recency", "T"))
    return pd.DataFrame(
        {
            "p_alive": p_alive(purchases, x, t_x, T),
            "expected_purchases": expected_purchases(purchases, x, t_x, T, days),
        },
        index=matrix.index,
    )


def buyer_values(
    matrix: pd.DataFrame,
    purchases: AnyModel,
    spend: SpendModel,
    p: Array,
    churn: ChurnConfig,
    terms: ClvConfig,
    foreseen: Foreseen | None = None,
) -> pd.DataFrame:
    """Value each row of a matrix, with bounds, and what it is if the customer stays or leaves.

    Scored: (1 − p)·V_A + p·V_0. Others: by the purchase model alone. Where another model sets the
    level, the value is what it expects over its horizon, extended by the ratio of the purchase
    model alone; all values of a customer are multiplied by the one factor that this takes.

    Parameters
    ----------
    matrix : DataFrame
        `frequency`, `recency`, `T`, `monetary_value`.
    purchases, spend : models
    p : ndarray
        The calibrated chance of leaving; missing for who is not scored.
    churn, terms : ChurnConfig, ClvConfig
        What leaving and value mean here.
    foreseen : Foreseen, optional

    Returns
    -------
    DataFrame
        `spend_per_purchase`; `clv`, `lower`, `upper` (90 % of what one customer may bring),
        `if_stays` (V_A) and `if_leaves` (V_0), the latter two null unless scored.
    """
    found = pd.DataFrame(np.nan, index=matrix.index, columns=VALUES)
    x, m = (matrix[c].to_numpy(dtype=np.float64) for c in ("frequency", "monetary_value"))
    found.insert(0, "spend_per_purchase", spend_per_purchase(spend, x, m))
    value, V_A, V_0 = _values(matrix, purchases, spend, p, churn, terms)
    if foreseen is not None:
        level = _extended(foreseen, matrix, purchases, spend, terms)
        factor = np.divide(level, value, out=np.zeros_like(value), where=value > 0)
        value, V_A, V_0 = factor * value, factor * V_A, factor * V_0
    found["clv"], found["if_stays"], found["if_leaves"] = value, V_A, V_0
    leaving = Leaving(p, churn.horizon_days, churn.gap_days)
    found["lower"], found["upper"] = interval(
        purchases, spend, matrix, value, horizon_days=terms.horizon_days, leaving=leaving
    )
    return found


def _extended(
    foreseen: Foreseen,
    matrix: pd.DataFrame,
    purchases: AnyModel,
    spend: SpendModel,
    terms: ClvConfig,
) -> Array:
    """Extend what was foreseen to the horizon and the terms of value, by the purchase model alone.

    Not by the values given p: of who will hardly stay they have next to nothing early on, and their
    ratio no bound.
    """
    as_they_come = {"annual_discount_rate": 0.0, "margin": 1.0}
    early = clv(purchases, spend, matrix, horizon_days=foreseen.horizon_days, **as_they_come)
    late = clv(purchases, spend, matrix, **terms.money)
    ratio: Array = np.divide(late, early, out=np.zeros_like(early), where=early > 0)
    return foreseen.value * ratio


def _values(
    matrix: pd.DataFrame,
    purchases: AnyModel,
    spend: SpendModel,
    p: Array,
    churn: ChurnConfig,
    terms: ClvConfig,
) -> tuple[Array, Array, Array]:
    """Value, and value if staying and if leaving; the latter two NaN unless scored."""
    scored = np.isfinite(p)
    value = clv(purchases, spend, matrix, **terms.money)
    V_A, V_0 = np.full((2, len(matrix)), np.nan)
    if scored.any():
        V_A[scored], V_0[scored], _ = conditional_values(
            purchases, spend, matrix[scored], **terms.money,
            label_horizon_days=churn.horizon_days, gap_days=churn.gap_days,
        )  # fmt: skip
        value[scored] = combine(p[scored], V_A[scored], V_0[scored])
    return value, V_A, V_0
