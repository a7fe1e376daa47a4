"""What the churn models see: the features, and what timing alone says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import logit

from tenure.config import ChurnConfig
from tenure.errors import ModelError
from tenure.features.attributes import columns_of
from tenure.features.schema import Column, Schema
from tenure.models.btyd import p_alive
from tenure.models.candidate import BTYD, KAPLAN_MEIER, LARGEST_LOG_ODDS, SBG
from tenure.models.families import AnyModel
from tenure.models.purchases import expected_purchases, log_odds_no_purchase
from tenure.models.spells import SpellTiming
from tenure.value.subscribers import AGE

__all__ = ["Timing", "described", "inputs", "timing_says"]

Timing = AnyModel | SpellTiming

ALIVE, EXPECTED = "btyd_p_alive", "btyd_expected_purchases"

ADDED: Mapping[str, tuple[Column, ...]] = {
    "inactivity": (
        Column(
            BTYD, BTYD, None, None, "log-odds", "engagement",
            "Chance of staying away, by the rhythm of past purchases", 1,
            "By their rhythm so far, the chance of staying away is {value}",
        ),
        Column(
            ALIVE, ALIVE, None, None, "share", "engagement",
            "Chance of still being a customer, by the rhythm of past purchases", -1,
            "By their rhythm so far, the chance of still being a customer is {value}",
        ),
        Column(
            EXPECTED, EXPECTED, None, None, "count", "engagement",
            "Purchases expected within the horizon, by the rhythm of past purchases", -1,
            "By their rhythm so far, {n} [purchase|purchases] to come",
        ),
    ),
    "subscription": (
        Column(
            KAPLAN_MEIER, KAPLAN_MEIER, None, None, "log-odds", "lifecycle",
            "Chance of ending, of subscriptions of that age", 1,
            "Of subscriptions of that age, {value} end",
        ),
        Column(
            SBG, SBG, None, None, "log-odds", "lifecycle",
            "Chance of ending, by how loyal those become who stay", 1,
            "Of subscribers who have stayed as long, {value} leave",
        ),
    ),
    "label": (),
}  # fmt: skip
"""What each kind's models see beside the features."""


def inputs(
    matrix: pd.DataFrame, schema: Schema, timing: Timing | None, churn: ChurnConfig
) -> pd.DataFrame:
    """Return what churn models see: the features, and in log-odds what timing alone says.

    Parameters
    ----------
    matrix : DataFrame
        From `features`.
    schema : Schema
        The features.
    timing : Timing or None
        MBG/NBD of purchases, or how long subscriptions last; None says nothing.
    churn : ChurnConfig
        The question.

    Raises
    ------
    ModelError
        If the matrix lacks features of the schema.
    """
    names = [c.name for c in columns_of(schema)]
    absent = [n for n in names if n not in matrix.columns]
    if absent:
        raise ModelError(
            f"features: {len(absent)} of the {len(names)} columns the model was trained with are "
            f"missing: {', '.join(map(repr, absent[:5]))}. Score data with the columns it was "
            "trained on, or train again."
        )
    return matrix[names].assign(**timing_says(matrix, timing, churn))


def timing_says(
    matrix: pd.DataFrame, timing: Timing | None, churn: ChurnConfig
) -> dict[str, np.ndarray]:
    """Return what timing alone says: leaving in log-odds, and of purchases what is behind it."""
    if churn.kind == "label":
        return {}
    if churn.kind == "inactivity":
        if timing is None or isinstance(timing, SpellTiming) or matrix.empty:
            nothing = np.full(len(matrix), np.nan)
            return {BTYD: np.zeros(len(matrix)), ALIVE: nothing, EXPECTED: nothing}
        x, t_x, T = (matrix[c].to_numpy() for c in ("frequency", "recency", "T"))
        odds = log_odds_no_purchase(timing, x, t_x, T, churn.horizon_days, churn.gap_days)
        return {
            BTYD: _bounded(odds),
            ALIVE: p_alive(timing, x, t_x, T),
            EXPECTED: expected_purchases(timing, x, t_x, T, churn.horizon_days),
        }
    if not isinstance(timing, SpellTiming):
        return {name: np.full(len(matrix), np.nan) for name in (KAPLAN_MEIER, SBG)}
    age = matrix[AGE].to_numpy(dtype=np.float64)
    window = churn.horizon_days, churn.gap_days
    chances = {
        KAPLAN_MEIER: timing.kaplan_meier.p_end(age, *window),
        SBG: timing.sbg.p_end(age, *window),
    }
    return {k: _bounded(logit(np.clip(p, 1e-9, 1 - 1e-9))) for k, p in chances.items()}


def _bounded(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))


def described(schema: Schema, churn: ChurnConfig) -> dict[str, Column]:
    """Say what each input of the churn models is."""
    return {c.name: c for c in (*columns_of(schema), *ADDED[churn.kind])}
