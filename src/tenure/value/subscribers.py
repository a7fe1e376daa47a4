"""What the subscribers of a day are worth, by where each stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.config import ChurnConfig, ClvConfig
from tenure.models.ends import Ends
from tenure.models.spells import SpellTiming
from tenure.value.buyers import VALUES
from tenure.value.subscription import Contracts

__all__ = ["AGE", "contracts", "subscriber_values"]

AGE = "subscription_age_days"


def contracts(
    matrix: pd.DataFrame, timing: SpellTiming, churn: ChurnConfig, clv: ClvConfig
) -> Contracts:
    """Return the running subscriptions of a matrix on the config's terms, row for row.

    Parameters
    ----------
    matrix : DataFrame
        Features at one cutoff with what `labels.beside` adds.
    timing : SpellTiming
        As learnt before that cutoff.
    churn, clv : ChurnConfig, ClvConfig
        What leaving and value mean here.
    """
    ends = Ends(
        timing.sbg, matrix[AGE].to_numpy(dtype=np.float64), churn.gap_days, churn.label_days
    )
    return Contracts(
        ends,
        price=matrix["price"].to_numpy(dtype=np.float64),
        horizon_days=clv.horizon_days,
        annual_discount_rate=clv.annual_discount_rate,
        margin=clv.margin,
        cost_to_serve=clv.cost_to_serve,
        unpaid_days=matrix["unpaid_days"].to_numpy(dtype=np.float64),
    )


def subscriber_values(
    matrix: pd.DataFrame,
    timing: SpellTiming,
    p: npt.NDArray[np.float64],
    churn: ChurnConfig,
    clv: ClvConfig,
) -> pd.DataFrame:
    """Value each row of a matrix, with bounds, and what it is if the customer stays or leaves.

    Scored: by the calibrated chance. On trial: by the timing's own, paid once the trial is over.
    With notice given: what is paid until the planned renewal, where one is known. Ended: null.

    Parameters
    ----------
    matrix, timing, churn, clv
        As in `contracts`.
    p : ndarray
        The calibrated chance of leaving; missing for who is not scored.

    Returns
    -------
    DataFrame
        `clv`, `lower`, `upper` (90 % of what one customer may bring), `if_stays` (V_A) and
        `if_leaves` (V_0), the latter two null unless scored.
    """
    found = pd.DataFrame(np.nan, index=matrix.index, columns=VALUES)
    status = matrix["status"].to_numpy(dtype=object)
    runs = np.isin(status, ["scored", "trial"])
    if runs.any():
        here, chance = contracts(matrix[runs], timing, churn, clv), p[runs]
        mean, given = here.clv(chance), here.values()
        lower, upper = here.interval(chance, mean)
        scored = np.where(np.isfinite(chance), 0.0, np.nan)
        stakes = given.V_A + scored, given.V_0 + scored
        found.loc[runs] = np.column_stack([mean, lower, upper, *stakes])
    noticed = status == "notice"
    if noticed.any():
        left = contracts(matrix[noticed], timing, churn, clv).value_until(
            matrix["paid_days"][noticed].to_numpy(dtype=np.float64)
        )
        found.loc[noticed, VALUES[:3]] = np.column_stack([left] * 3)
    return found
