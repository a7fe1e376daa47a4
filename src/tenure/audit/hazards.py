"""What groups of customers may be expected to have come to, when only their hazards differ."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from tenure.audit.ranks import Array

__all__ = ["grown", "order_of"]


def grown(share: Array, size: Array, gone: float, most: float) -> Array:
    """Return the share of each group that is gone once `gone` customers are, in all.

    With proportional hazards a share p becomes 1 − (1 − p)^k, the same k for every group.

    Parameters
    ----------
    share : array of shape (groups,)
        Who was gone early.
    size : array of shape (groups,)
        Customers.
    gone : float
        Customers of all groups who are gone late.
    most : float
        The largest k, by the time gone by.

    Examples
    --------
    >>> grown(np.array([0.1, 0.3]), np.array([50.0, 50.0]), 35.0, most=10.0).round(2).tolist()
    [0.19, 0.51]
    """
    stay = np.clip(1 - share, 1e-9, 1 - 1e-9)

    def beyond(k: float) -> float:
        return float((size * (1 - stay**k)).sum()) - gone

    least = 1e-6
    k = most if beyond(most) < 0 else float(brentq(beyond, least, most))
    later: Array = 1 - stay**k
    return later


def order_of(share: Array, size: Array) -> float:
    """Return the AUC of the groups' order when such shares of them are gone.

    Examples
    --------
    >>> order_of(np.array([0.0, 1.0]), np.array([10.0, 20.0]))
    1.0
    """
    leavers, stayers = size * share, size * (1 - share)
    below = np.cumsum(stayers) - stayers / 2
    return float((leavers * below).sum() / (leavers.sum() * stayers.sum()))
