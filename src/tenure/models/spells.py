"""How long subscriptions last: Kaplan-Meier by age, and the shifted beta-geometric.

Both answer one question: of a subscription `age` days old, what is the chance that its subscriber
ends it in [gap, gap + horizon) days from now? Involuntary ends, and subscriptions that still run,
are censored: they tell only how long nobody left.

References
----------
Fader & Hardie (2007), "How to project customer retention", J. of Interactive Marketing 21(1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaln, polygamma, psi

from tenure.errors import DataError

__all__ = [
    "KaplanMeier",
    "ShiftedBetaGeometric",
    "SpellTiming",
    "fit_periods",
    "fit_spells",
    "log_covariance",
]

Array = npt.NDArray[np.float64]

PERIOD_DAYS = 365.25 / 12
SLACK = 0.1  # of a period: months are not equally long
LEAST_AT_RISK = 20
_LOG_BOUNDS = (-7.0, 9.0)  # of the parameters: beyond, customers are all alike or all unlike


@dataclass(frozen=True)
class KaplanMeier:
    """The share of subscriptions that reach an age, step by step.

    Parameters
    ----------
    ages : tuple of float
        Days after the start at which somebody left, ascending.
    survival : tuple of float
        Share still there just after each of them.
    at_risk : tuple of float
        Subscriptions that were seen to reach each of them.
    """

    ages: tuple[float, ...]
    survival: tuple[float, ...]
    at_risk: tuple[float, ...]

    def reached(self, age: npt.ArrayLike) -> Array:
        """Return the share of subscriptions that last to the start of day `age`."""
        place = np.searchsorted(self.ages, np.asarray(age, dtype=np.float64), side="left")
        steps: Array = np.concatenate([[1.0], self.survival])[place]
        return steps

    def p_end(self, age: npt.ArrayLike, horizon: float, gap: float = 0) -> Array:
        """Chance of an end in [gap, gap + horizon) days from now, given the age.

        One more subscription, of the chance at age 0, is added to those seen at that age, so that
        few of them make no certainty. Ages beyond what at least 20 reached count as the oldest
        whose window is known.
        """
        given = np.asarray(age, dtype=np.float64)
        enough = [a for a, n in zip(self.ages, self.at_risk, strict=True) if n >= LEAST_AT_RISK]
        oldest = max(0.0, (enough[-1] + 1 if enough else 0.0) - gap - horizon)
        known = np.minimum(given, oldest)
        overall = float(self.reached(gap) - self.reached(gap + horizon))
        ended = self.reached(known + gap) - self.reached(known + gap + horizon)
        n = np.append(self.at_risk, self.at_risk[-1])[np.searchsorted(self.ages, known)]
        chance = np.clip(ended / np.maximum(self.reached(known), 1e-12), 0, 1)
        smoothed: Array = (chance * n + overall) / (n + 1)
        return np.where(np.isnan(given), np.nan, smoothed)

    @classmethod
    def fit(cls, days: Array, left: npt.NDArray[np.bool_], weight: Array) -> Self:
        """Fit the product-limit estimate; who is censored at an age is not at risk at it."""
        ages, place = np.unique(days[left], return_inverse=True)
        ends = np.bincount(place.ravel(), weights=weight[left], minlength=ages.size)
        lasted = np.where(left, days, np.nextafter(days, -np.inf))
        order = np.argsort(lasted, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(weight[order])])
        at_risk = before[-1] - before[np.searchsorted(lasted[order], ages, side="left")]
        survival = np.cumprod(1 - ends / at_risk)
        return cls(*(tuple(map(float, c)) for c in (ages, survival, at_risk)))


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    """Each subscriber ends a period with their own constant chance ~ Beta(α, β).

    P(T = t) = B(α + 1, β + t − 1) / B(α, β) and S(t) = B(α, β + t) / B(α, β), t = 1, 2, … periods
    (Fader & Hardie 2007, equations 5 and 6); between periods S follows the same formula.

    Parameters
    ----------
    alpha, beta : float
    period_days : float
    log_covariance : pair of pairs of float, optional
        Of the estimates of log α and log β; None where the likelihood does not tell.
    """

    alpha: float
    beta: float
    period_days: float = PERIOD_DAYS
    log_covariance: tuple[tuple[float, float], tuple[float, float]] | None = None

    def survival(self, periods: npt.ArrayLike) -> Array:
        """Return the share still there after so many periods.

        Examples
        --------
        >>> ShiftedBetaGeometric(0.668, 3.806).survival([1, 12]).round(3)
        array([0.851, 0.378])
        """
        t = np.asarray(periods, dtype=np.float64)
        left: Array = np.exp(betaln(self.alpha, self.beta + t) - betaln(self.alpha, self.beta))
        return left

    def p_end(self, age: npt.ArrayLike, horizon: float, gap: float = 0) -> Array:
        """Chance of an end in [gap, gap + horizon) days from now, given the age in days."""
        t = np.asarray(age, dtype=np.float64)
        opens, closes = (self.survival((t + d) / self.period_days) for d in (gap, gap + horizon))
        chance: Array = (opens - closes) / self.survival(t / self.period_days)
        return chance


def fit_periods(
    periods: npt.ArrayLike, left: npt.ArrayLike, weight: npt.ArrayLike
) -> tuple[float, float]:
    """Fit α and β by maximum likelihood.

    Parameters
    ----------
    periods : array_like of int
        Of who left, the period in which (from 1); of others, the periods they stayed.
    left : array_like of bool
    weight : array_like
        Subscriptions a row stands for.

    Returns
    -------
    (float, float)

    Raises
    ------
    DataError
        If nobody left.
    """
    t, w = np.asarray(periods, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    gone = np.asarray(left, dtype=bool)
    if not w[gone].sum() > 0:
        raise DataError(
            f"subscriptions: none of {w.sum():,.0f} ended by the subscriber before the cutoff, so "
            "how long they last cannot be learnt. Take a longer history."
        )

    def loss(theta: Array) -> float:
        alpha, beta = np.exp(theta)
        chance = np.where(gone, betaln(alpha + 1, beta + t - 1), betaln(alpha, beta + t))
        return -float(w @ (chance - betaln(alpha, beta))) / float(w.sum())

    start = np.log([1.0, max(1.0, float(w @ t) / float(w[gone].sum()))])
    options = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 500}
    found = minimize(loss, start, method="L-BFGS-B", bounds=[_LOG_BOUNDS] * 2, options=options)
    alpha, beta = np.exp(found.x)
    return float(alpha), float(beta)


def log_covariance(
    alpha: float,
    beta: float,
    periods: npt.ArrayLike,
    left: npt.ArrayLike,
    weight: npt.ArrayLike,
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Invert the information on log α and log β that the observed periods hold.

    The negative Hessian of the log-likelihood in closed form, at the estimates; None where it is
    not positive definite, as on a bound.

    Parameters
    ----------
    alpha, beta
        From `fit_periods`.
    periods, left, weight
        As there.
    """
    t, w = np.asarray(periods, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    gone = np.asarray(left, dtype=bool)
    a, b = alpha + gone, beta + t - gone

    def taken(of: Callable[[Array], Array]) -> tuple[float, float, float]:
        """Sum a function at a, b and a + b of the rows, less its value at the parameters."""
        ends = ((a, alpha), (b, beta), (a + b, alpha + beta))
        one, two, both = (float(w @ (of(rows) - of(np.array(at)))) for rows, at in ends)
        return one, two, both

    one, two, both = taken(psi)
    slope = np.array([one - both, two - both]) * (alpha, beta)
    scale = np.array([[alpha * alpha, alpha * beta], [alpha * beta, beta * beta]])
    one, two, both = taken(lambda v: polygamma(1, v))
    bend = np.array([[one - both, -both], [-both, two - both]]) * scale
    information = -(bend + np.diag(slope))
    if not (np.isfinite(information).all() and (np.linalg.eigvalsh(information) > 0).all()):
        return None
    (aa, ab), (ba, bb) = np.linalg.inv(information).tolist()
    return (aa, ab), (ba, bb)


@dataclass(frozen=True)
class SpellTiming:
    """Both models of how long subscriptions last."""

    kaplan_meier: KaplanMeier
    sbg: ShiftedBetaGeometric

    def to_json(self) -> dict[str, Any]:
        """Return the models as plain JSON values."""
        km, sbg = self.kaplan_meier, self.sbg
        return {
            "kaplan_meier": {k: list(v) for k, v in vars(km).items()},
            "sbg": dict(vars(sbg)),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild the models that `to_json` described."""
        km = {k: tuple(map(float, v)) for k, v in stored["kaplan_meier"].items()}
        sbg = dict(stored["sbg"])
        if sbg.get("log_covariance"):
            sbg["log_covariance"] = tuple(tuple(row) for row in sbg["log_covariance"])
        return cls(KaplanMeier(**km), ShiftedBetaGeometric(**sbg))


def fit_spells(
    days: npt.ArrayLike, left: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> SpellTiming:
    """Fit both models to subscriptions as they were known at one moment.

    Parameters
    ----------
    days : array_like
        How long each lasted or has lasted so far, in days.
    left : array_like of bool
        Whether it ended because the subscriber wanted it to.
    weight : array_like, optional
        Subscriptions a row stands for.

    Returns
    -------
    SpellTiming

    Raises
    ------
    DataError
        If nobody left.
    """
    lasted = np.maximum(np.asarray(days, dtype=np.float64), 0.0)
    gone = np.asarray(left, dtype=bool)
    n = np.ones(lasted.size) if weight is None else np.asarray(weight, dtype=np.float64)
    in_period = np.maximum(np.ceil(lasted / PERIOD_DAYS - SLACK), 1.0)
    stayed = np.floor(lasted / PERIOD_DAYS + SLACK)
    pairs = np.column_stack([np.where(gone, in_period, stayed), gone])
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    counts = np.bincount(place.ravel(), weights=n, minlength=len(unique))
    alpha, beta = fit_periods(unique[:, 0], unique[:, 1], counts)
    spread = log_covariance(alpha, beta, unique[:, 0], unique[:, 1], counts)
    sbg = ShiftedBetaGeometric(alpha, beta, log_covariance=spread)
    return SpellTiming(KaplanMeier.fit(lasted, gone, n), sbg)
