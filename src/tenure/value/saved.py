"""What contacting a customer is worth, all costs paid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenure.config import CampaignConfig

__all__ = ["expected_saved_value"]

Array = npt.NDArray[np.float64]


def expected_saved_value(
    p: npt.ArrayLike, V_A: npt.ArrayLike, V_0: npt.ArrayLike, campaign: CampaignConfig
) -> Array:
    """Value that contacting the customer is expected to save, all costs paid.

    p·accept_rate·(V_A − V_0 − incentive) − (1 − p)·stayers_take_rate·incentive − contact_cost.
    With p = 1 or 0 it is what contacting one who leaves, or one who stays, brings.

    Examples
    --------
    >>> costs = CampaignConfig(contact_cost=1, incentive=10, accept_rate=0.3)
    >>> expected_saved_value([1.0, 0.0, 0.5], 120.0, 20.0, costs)
    array([ 26. , -11. ,   7.5])
    """
    leaves, if_stays, if_leaves = (np.asarray(c, dtype=np.float64) for c in (p, V_A, V_0))
    kept = leaves * campaign.accept_rate * (if_stays - if_leaves - campaign.incentive)
    given_away = (1 - leaves) * campaign.stayers_take_rate * campaign.incentive
    return kept - given_away - campaign.contact_cost
