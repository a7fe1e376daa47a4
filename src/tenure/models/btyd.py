"""The buy-till-you-die models BG/NBD and MBG/NBD: parameters, likelihood, being alive.

Both say: while alive a customer buys at a Poisson rate λ ~ Gamma(r, α) and drops out with
probability p ~ Beta(a, b) after each purchase. MBG/NBD also offers the exit after the very first
purchase, so a customer who bought x times again had x + 1 chances to leave instead of x; nothing
else differs. What they expect of the future is in `purchases`.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24(3), for MBG/NBD.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln, log_expit

__all__ = [
    "Array",
    "Family",
    "PurchaseModel",
    "Status",
    "floats",
    "frozen",
    "log_dead_over_alive",
    "log_likelihood",
    "p_alive",
    "plain",
]

Family = Literal["bg_nbd", "mbg_nbd"]
Status = Literal["converged", "boundary", "fallback"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PurchaseModel:
    """Parameters of BG/NBD or MBG/NBD and how they were found.

    Attributes
    ----------
    family : {"bg_nbd", "mbg_nbd"}
    r, alpha : float
        Shape and rate of λ; `alpha` is in the time unit of the data, days in this project.
    a, b : float
        Parameters of the dropout probability.
    log_likelihood : float
        At these parameters, in the same time unit.
    status : {"converged", "boundary", "fallback"}
        "boundary": a parameter ran to the edge of sense, or a penalty had to hold it.
        "fallback": no fit succeeded, parameters are set by simple rates.
    n_customers : int
    warnings : tuple of str
        What a reader must know, in words.
    gradient : float or None
        Largest slope of the log-likelihood there in the logarithm of a parameter, per customer.
    covariance : tuple of tuple of float
        Of the logarithms of the parameters, in their order; 0 in directions not determined.
    """

    family: Family
    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    status: Status
    n_customers: int
    warnings: tuple[str, ...] = ()
    gradient: float | None = None
    covariance: tuple[tuple[float, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        return plain(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PurchaseModel:
        """Rebuild the model that `to_json` described."""
        return cls(**frozen(stored))

    def chances(self, frequency: Array) -> Array:
        """Return how often the customer could have dropped out so far."""
        return frequency + (self.family == "mbg_nbd")


def plain(model: Any) -> dict[str, Any]:
    """Return a fitted model's fields as plain JSON values."""
    held = asdict(model)
    rows = [list(row) for row in held["covariance"]]
    return {**held, "warnings": list(held["warnings"]), "covariance": rows}


def frozen(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that `plain` described; a model of before they were kept lacks some."""
    rows = tuple(tuple(row) for row in stored.get("covariance", ()))
    return {**stored, "warnings": tuple(stored["warnings"]), "covariance": rows}


def floats(*columns: npt.ArrayLike) -> tuple[Array, ...]:
    """Broadcast the columns to float arrays of one common length."""
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(c, dtype=np.float64)) for c in columns))
    return tuple(arrays)


def log_dead_over_alive(model: PurchaseModel, x: Array, t_x: Array, T: Array) -> Array:
    """Log of P(dead, history) / P(alive, history); −inf where dropout had no chance yet."""
    chances = model.chances(x)
    odds = model.a / (model.b + np.maximum(chances, 1) - 1)
    silence = (model.r + x) * np.log1p((T - t_x) / (model.alpha + t_x))
    return np.where(chances > 0, np.log(odds) + silence, -np.inf)


def log_likelihood(
    model: PurchaseModel, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Log-likelihood of each customer's history.

    Fader, Hardie & Lee (2005), equation 6; for MBG/NBD the same with one more chance to leave.

    Parameters
    ----------
    model : PurchaseModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.

    Returns
    -------
    ndarray
    """
    x, t_x, age = floats(frequency, recency, T)
    rate = gammaln(model.r + x) - gammaln(model.r) + model.r * np.log(model.alpha)
    alive = betaln(model.a, model.b + model.chances(x)) - betaln(model.a, model.b)
    alive = alive + rate - (model.r + x) * np.log(model.alpha + age)
    total: Array = alive + np.logaddexp(0, log_dead_over_alive(model, x, t_x, age))
    return total


def p_alive(
    model: PurchaseModel, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Probability that the customer has not dropped out by the cutoff.

    Always in [0, 1]; BG/NBD says 1 of everybody who bought once, by its assumptions.

    Parameters
    ----------
    model : PurchaseModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> model = PurchaseModel("bg_nbd", .2426, 4.4136, .7929, 2.4259, -9582.43, "converged", 2357)
    >>> p_alive(model, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([1.   , 0.727])
    """
    x, t_x, age = floats(frequency, recency, T)
    alive: Array = np.exp(log_expit(-log_dead_over_alive(model, x, t_x, age)))
    return alive
