"""What a purchase day is worth: predictions of the Gamma-Gamma model.

A customer's spend per purchase day varies around their own mean (shape p), and means vary between
customers (shapes q, scale v), independently of how often they buy.

References
----------
Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", brucehardie.com/notes/025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from tenure.models.btyd import Array, Status, floats, frozen, plain

__all__ = ["CORRELATED", "SURE", "SpendModel", "log_likelihood", "posterior", "spend_per_purchase"]


CORRELATED, SURE = 0.3, 0.01
"""Rank correlation of spend with frequency, and its p-value, from which Gamma-Gamma is doubted."""


@dataclass(frozen=True)
class SpendModel:
    """Parameters of the Gamma-Gamma model and how they were found.

    Attributes
    ----------
    p, q, v : float
        Shapes and scale; `v` is in the currency of the data. Always q > 1, so that the prior
        mean p·v/(q − 1) is positive and finite.
    log_likelihood : float
        At these parameters, in the same currency.
    n_customers : int
        Customers with a repeat purchase of positive value.
    status : {"converged", "boundary", "fallback"}
        "fallback": p, q, v are set so that the prior mean is `mean_spend`.
    mean_spend : float
        Mean of these customers' spend per repeat purchase day.
    correlation : float
        Spearman correlation of spend with frequency, which the model takes to be 0.
    warnings : tuple of str
        What a reader must know, in words.
    correlation_p : float
        P-value of the correlation.
    gradient : float or None
        Largest slope of the log-likelihood in the logarithm of a parameter, per customer.
    covariance : tuple of tuple of float
        Of the logarithms of p, q and v; 0 in directions not determined.
    """

    p: float
    q: float
    v: float
    log_likelihood: float
    n_customers: int
    status: Status
    mean_spend: float
    correlation: float
    warnings: tuple[str, ...] = ()
    correlation_p: float = 1.0
    gradient: float | None = None
    covariance: tuple[tuple[float, ...], ...] = ()

    @property
    def is_doubtful(self) -> bool:
        """Whether spend has no usable mean, or goes with frequency, which the model rules out."""
        goes_along = abs(self.correlation) >= CORRELATED and self.correlation_p <= SURE
        return self.status == "fallback" or goes_along

    @property
    def prior_mean(self) -> float:
        """Expected spend per purchase day of a customer of whom nothing is known."""
        return self.p * self.v / (self.q - 1)

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        return plain(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> SpendModel:
        """Rebuild the model that `to_json` described."""
        return cls(**frozen(stored))


def log_likelihood(
    p: float, q: float, v: float, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike
) -> Array:
    """Log-likelihood of each customer's mean spend; Fader & Hardie (2013), equation 1a.

    Parameters
    ----------
    p, q, v : float
    frequency, monetary_value : array_like
        Repeat purchase days (>= 1) and mean spend on them (> 0).

    Returns
    -------
    ndarray
    """
    x = np.asarray(frequency, dtype=np.float64)
    m = np.asarray(monetary_value, dtype=np.float64)
    likelihood: Array = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        - np.log(m)
        + q * (np.log(v) - np.log(v + x * m))
        + p * x * (np.log(x * m) - np.log(v + x * m))
    )
    return likelihood


def posterior(
    model: SpendModel, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike
) -> tuple[Array, Array]:
    """Return shape and rate of the Gamma law of ν, of which a purchase day's spend is Gamma(p, ν).

    q + p·x and v + x·m; Fader & Hardie (2013), equation 4. As in `spend_per_purchase`, a missing
    mean leaves the prior, and a net mean below zero counts as zero.

    Parameters
    ----------
    model : SpendModel
    frequency, monetary_value : array_like
        Repeat purchase days and mean net spend on them; NaN at frequency 0.

    Returns
    -------
    tuple of ndarray
        Without unit, and in the currency of the data.
    """
    x, m = floats(frequency, monetary_value)
    known = (x > 0) & np.isfinite(m)
    spent = np.where(known, x * np.maximum(m, 0), 0.0)
    return np.where(known, model.q + model.p * x, model.q), model.v + spent


def spend_per_purchase(
    model: SpendModel, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike
) -> Array:
    """Return the spend expected per future purchase day, in the currency of the data.

    The customer's own mean, drawn towards the prior mean by (q − 1)/(px + q − 1); Fader & Hardie
    (2013), equation 5. Without a repeat purchase it is the prior mean. A net mean below zero
    (refunds exceed purchases) counts as zero: the next purchase does not cost the company money.

    Parameters
    ----------
    model : SpendModel
    frequency, monetary_value : array_like
        Repeat purchase days and mean net spend on them; NaN at frequency 0.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> model = SpendModel(6.25, 3.74, 15.44, -4055.92, 946, "converged", 35.17, 0.1)
    >>> spend_per_purchase(model, [0, 2], [float("nan"), 20.0]).round(2)
    array([35.22, 22.74])
    """
    x, m = np.broadcast_arrays(
        np.atleast_1d(np.asarray(frequency, dtype=np.float64)),
        np.atleast_1d(np.asarray(monetary_value, dtype=np.float64)),
    )
    known = (x > 0) & np.isfinite(m)
    own = np.where(known, np.maximum(m, 0), model.prior_mean)
    weight = np.where(known, model.p * x / (model.p * x + model.q - 1), 0.0)
    spend: Array = (1 - weight) * model.prior_mean + weight * own
    return spend
