"""The Pareto/NBD model, beside which BG/NBD and MBG/NBD are shown.

While alive a customer buys at a Poisson rate λ ~ Gamma(r, α); life ends at a rate μ ~ Gamma(s, β),
at any moment and not only after a purchase.

References
----------
Schmittlein, Morrison & Colombo (1987), "Counting your customers", Management Science 33(1).
Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", brucehardie.com/notes/009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, log_expit

from tenure.models.btyd import Array, Status, floats

__all__ = ["ParetoModel", "expected_purchases", "log_dead_over_alive", "log_likelihood", "p_alive"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NEGLIGIBLE = 45.0  # e^-45: beyond, nothing is left to add


@dataclass(frozen=True)
class ParetoModel:
    """Parameters of Pareto/NBD and how they were found.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of λ; `alpha` in the time unit of the data.
    s, beta : float
        Shape and rate of μ; `beta` in the time unit of the data.
    log_likelihood : float
        At these parameters, in the same time unit.
    status : {"converged", "boundary", "fallback"}
    n_customers : int
    warnings : tuple of str
        What a reader must know, in words.
    gradient : float or None
        Largest slope of the log-likelihood there in the logarithm of a parameter, per customer.
    covariance : tuple of tuple of float
        Of the logarithms of the parameters, in their order; 0 in directions not determined.
    """

    r: float
    alpha: float
    s: float
    beta: float
    log_likelihood: float
    status: Status
    n_customers: int
    warnings: tuple[str, ...] = ()
    gradient: float | None = None
    covariance: tuple[tuple[float, ...], ...] = ()


def log_dead_over_alive(model: ParetoModel, x: Array, t_x: Array, T: Array) -> Array:
    """Log of P(dead, history) / P(alive, history).

    ∫ s/(β+τ) · ((β+T)/(β+τ))^s · ((α+T)/(α+τ))^(r+x) dτ over (t_x, T), the moments at which life
    may have ended, by Gauss-Legendre on a logarithmic scale. Every term is positive: nothing
    cancels, as the difference of hypergeometric functions in the notes' equation 19 does.
    """
    least = min(model.alpha, model.beta)
    whole = np.log1p((T - t_x) / (least + t_x))
    # both factors fall at least so fast, measured on this scale
    steepness = (model.s + 1) * (least + t_x) / (model.beta + t_x)
    steepness += (model.r + x) * (least + t_x) / (model.alpha + t_x)
    reach = np.minimum(whole, _NEGLIGIBLE / steepness)
    w = (reach / 2)[:, None] * (1 + _NODES)
    tau = t_x[:, None] + (least + t_x)[:, None] * np.expm1(w)
    terms = w - (model.s + 1) * np.log(model.beta + tau)
    terms -= (model.r + x)[:, None] * np.log(model.alpha + tau)
    at_cutoff = model.s * np.log(model.beta + T) + (model.r + x) * np.log(model.alpha + T)
    step = np.log(model.s * (least + t_x)) + at_cutoff
    with np.errstate(divide="ignore"):  # a purchase on the last day leaves no time to die
        step = step + np.log(reach / 2)
    highest = terms.max(axis=1)
    odds: Array = step + highest + np.log(np.exp(terms - highest[:, None]) @ _WEIGHTS)
    return odds


def log_likelihood(
    model: ParetoModel, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Log-likelihood of each customer's history; Fader & Hardie (2005), equation 18.

    Parameters
    ----------
    model : ParetoModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.

    Returns
    -------
    ndarray
    """
    x, t_x, age = floats(frequency, recency, T)
    alive = gammaln(model.r + x) - gammaln(model.r)
    alive += model.r * np.log(model.alpha) + model.s * np.log(model.beta)
    alive -= (model.r + x) * np.log(model.alpha + age) + model.s * np.log(model.beta + age)
    total: Array = alive + np.logaddexp(0, log_dead_over_alive(model, x, t_x, age))
    return total


def p_alive(
    model: ParetoModel, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Probability that life has not ended by the cutoff; parameters as in `log_likelihood`."""
    alive: Array = np.exp(log_expit(-log_dead_over_alive(model, *floats(frequency, recency, T))))
    return alive


def expected_purchases(
    model: ParetoModel,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    t: npt.ArrayLike,
) -> Array:
    """Return the purchases expected within `t` after the cutoff; not discounted.

    Fader & Hardie (2005), equation 41, with its limit at s = 1.

    Parameters
    ----------
    model : ParetoModel
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.
    t : array_like
        Days ahead, one for all or one a row.

    Returns
    -------
    ndarray
    """
    x, t_x, age, ahead = floats(frequency, recency, T, t)
    longer = np.log1p(ahead / (model.beta + age))
    excess = model.s - 1
    lived = (model.beta + age) * (longer if excess == 0 else -np.expm1(-excess * longer) / excess)
    bought: Array = p_alive(model, x, t_x, age) * (model.r + x) / (model.alpha + age) * lived
    return bought
