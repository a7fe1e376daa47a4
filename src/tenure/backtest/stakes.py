"""What was at stake at past cutoffs, by value models that could have stood there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tenure.config import ClvConfig, Config
from tenure.errors import DataError
from tenure.inputs import Timing
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.models.futures import RFM
from tenure.models.spells import SpellTiming
from tenure.value import ConditionalValues, conditional_values, contracts

__all__ = ["NO_PRICE", "NO_VALUE", "at_stake", "value_unit"]

NO_VALUE = {
    "label": "Value takes dated purchases, and the label kind reads none.",
}
"""Why there is no value, by kind of leaving."""

NO_PRICE = "value takes the monthly price of subscriptions: map `mrr`."

FAMILY = FAMILIES[0]
"""The default family: the one chosen for scores was chosen on dates after the test cutoffs."""


def value_unit(clv: ClvConfig) -> str:
    """Say what a value is: revenue, or the margin on it, and whether serving is paid from it."""
    kept = "revenue" if clv.margin == 1.0 else f"margin at {clv.margin:.0%}"
    return f"{kept} less the cost to serve" if clv.cost_to_serve else kept


def at_stake(
    matrix: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    timings: Mapping[dt.date, Timing | None],
) -> ConditionalValues:
    """Value of each row if they stay and if they leave, as known at the row's cutoff.

    Purchases and spend are learnt at each cutoff from everybody ever seen by then, timing as
    `timings` holds it; a row of subscriptions without a known price has nothing at stake.

    Parameters
    ----------
    matrix : DataFrame
        Features of everybody ever seen at the cutoffs (`frequency`, `recency`, `T`,
        `monetary_value`; of subscriptions what `labels.beside` adds).
    rows : DataFrame
        `customer_id` and `cutoff`, each of them in `matrix`.
    config : Config
        Its `clv` and `churn` sections decide.
    timings : mapping of date to Timing or None
        The timing as learnt before each cutoff.

    Returns
    -------
    ConditionalValues
        Row for row.

    Raises
    ------
    DataError
        If value is not modelled, or a cutoff has no repeat purchases to learn from.
    """
    if config.churn.kind in NO_VALUE:
        raise DataError(NO_VALUE[config.churn.kind])
    if config.churn.kind == "subscription":
        return _of_contracts(matrix, rows, config, timings)
    found = np.empty((3, len(rows)))
    for cutoff in rows["cutoff"].unique():
        seen = matrix[matrix["cutoff"] == cutoff].set_index("customer_id")
        here = (rows["cutoff"] == cutoff).to_numpy()
        timing = timings.get(pd.Timestamp(cutoff).date())
        try:
            # the timing is this family, fitted to the same histories; SpellTiming is of the others
            known = timing if not isinstance(timing, SpellTiming) else None
            purchases = known or fit_purchases(seen[RFM], FAMILY)
            spend = fit_spend(seen["frequency"], seen["monetary_value"])
        except DataError as fault:
            raise DataError(f"at {pd.Timestamp(cutoff).date()}: {fault}") from None
        found[:, here] = conditional_values(
            purchases,
            spend,
            seen.loc[rows["customer_id"][here]],
            **config.clv.money,
            label_horizon_days=config.churn.horizon_days,
            gap_days=config.churn.gap_days,
        )
    return ConditionalValues(*found)


def _of_contracts(
    matrix: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    timings: Mapping[dt.date, Timing | None],
) -> ConditionalValues:
    found = np.empty((3, len(rows)))
    for cutoff in rows["cutoff"].unique():
        day = pd.Timestamp(cutoff).date()
        timing = timings.get(day)
        if not isinstance(timing, SpellTiming):
            raise DataError(f"at {day}: how long subscriptions last could not be learnt.")
        seen = matrix[matrix["cutoff"] == cutoff].set_index("customer_id")
        here = (rows["cutoff"] == cutoff).to_numpy()
        terms = seen.loc[rows["customer_id"][here]]
        if terms["price"].isna().all():
            raise DataError(f"at {day}: {NO_PRICE}")
        given = contracts(terms, timing, config.churn, config.clv).values()
        found[:, here] = np.nan_to_num(given.V_A), np.nan_to_num(given.V_0), given.p0
    return ConditionalValues(*found)
