"""Fit the value models; the only door to lifetimes, of which only `.fit()` is used."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from tenure.errors import DataError
from tenure.models import btyd, pareto, spend
from tenure.models.btyd import Array, Family, PurchaseModel, Status
from tenure.models.pareto import ParetoModel
from tenure.models.spend import SpendModel

with warnings.catch_warnings():
    # lifetimes sets a pandas option that is deprecated and, on import, silences FutureWarning for
    # the whole process; remove when lifetimes is replaced
    warnings.simplefilter("ignore")
    from lifetimes import (
        BetaGeoFitter,
        GammaGammaFitter,
        ModifiedBetaGeoFitter,
        ParetoNBDFitter,
    )

__all__ = ["fit_pareto", "fit_purchases", "fit_spend"]

_FITTERS: dict[Family, Any] = {"bg_nbd": BetaGeoFitter, "mbg_nbd": ModifiedBetaGeoFitter}
_PENALTIES = (0.0, 1e-6, 1e-4, 1e-2)
_LONGEST_SEARCH = 300  # steps of the optimiser; a sound fit takes some 30
_LONGEST_SIMPLEX = 600  # Pareto/NBD is searched without gradients
_PARETO_CUSTOMERS = 2500  # whose likelihoods take 5 ms, some 500 times
_ALIKE = 100.0  # a shape above: rates differ by less than a tenth
_SMALLEST, _LARGEST = 1e-6, 1e6
_SENSIBLE = (1e-3, 1e3)  # of shape parameters: outside, customers are all alike or all unlike
_HIGHEST_PRIOR_MEAN = 3.0  # times the observed mean; above, q is too near 1 to be believed


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the optimiser's overflow warnings and its printed report to ourselves."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _attempt(fitter: Any, start: Array | None, *columns: Array, weights: Array) -> Array | None:
    """Return the parameters, or None where the optimiser did not converge."""
    with _quiet(), contextlib.suppress(ValueError, FloatingPointError, np.linalg.LinAlgError):
        fitter.fit(*columns, weights=weights, initial_params=start, maxiter=_LONGEST_SEARCH)
    # a singular Hessian costs only the standard errors, which nobody reads
    found = getattr(fitter, "params_", None)
    if found is None:
        return None
    # an optimum at 0 (nobody leaves) is cut where predictions no longer change; one at infinity
    # (all customers alike) is left to the penalty, which keeps the ratios of the parameters
    parameters: Array = np.maximum(found.to_numpy(dtype=np.float64), _SMALLEST)
    return parameters if (parameters < _LARGEST).all() else None


def _ladder(
    fitter: Callable[..., Any], starts: list[Array | None], *columns: Array, weights: Array
) -> tuple[Array, float] | None:
    """Climb penalties and starting points until a fit converges; (parameters, penalty)."""
    for penalty in _PENALTIES:
        for start in starts if penalty == 0 else starts[-1:]:
            found = _attempt(fitter(penalizer_coef=penalty), start, *columns, weights=weights)
            if found is not None:
                return found, penalty
    return None


def _usable(rfm: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Distinct histories with their counts, and a sentence about those left out."""
    rows = rfm[["frequency", "recency", "T"]].astype("float64")
    x, t_x, T = (rows[c].to_numpy() for c in rows)
    possible = np.isfinite(x + t_x + T) & (x >= 0) & (x % 1 == 0) & (t_x >= 0) & (t_x <= T)
    possible &= (x > 0) == (t_x > 0)
    left_out = int((~possible).sum())
    notes = []
    if left_out:
        notes.append(f"{left_out:,} of {len(rows):,} histories are impossible and were left out.")
    counts = rows[possible].groupby(["frequency", "recency", "T"]).size()
    return counts.rename("customers").reset_index(), notes


def fit_purchases(rfm: pd.DataFrame, family: Family) -> PurchaseModel:
    """Fit BG/NBD or MBG/NBD by maximum likelihood.

    Equal histories are fitted once with their count as weight; the result does not depend on the
    order of the rows. Where the plain fit fails, other starting points and growing penalties are
    tried, and as a last resort parameters are set from the average rate; `status` and `warnings`
    say so.

    Parameters
    ----------
    rfm : DataFrame
        `frequency` (purchase days − 1), `recency` (first to last purchase day) and `T` (first
        purchase day to the day before the cutoff), in days; one row a customer.
    family : {"bg_nbd", "mbg_nbd"}

    Returns
    -------
    PurchaseModel
        `alpha` and the log-likelihood in days.

    Raises
    ------
    DataError
        If nobody bought twice: then no rate and no dropout can be learnt.
    """
    rows, notes = _usable(rfm)
    x, t_x, T, count = rows.to_numpy(dtype=np.float64).T
    if not (x > 0).any():
        raise DataError(
            f"clv: no repeat purchases: none of {int(count.sum()):,} customers bought on a second "
            "day before the cutoff, so rates and dropout cannot be learnt. Take a longer history."
        )
    # lifetimes divides time by the longest T; this rate is on its scale
    rate = np.average(x, weights=count) / np.average(T / T.max(), weights=count)
    moments = np.array([1.0, 1.0 / rate, 0.5, 2.0])
    fitted = _ladder(_FITTERS[family], [None, np.log(moments)], x, t_x, T, weights=count)
    status: Status = "converged"
    if fitted is None:
        parameters, status = moments * [1, T.max(), 1, 1], "fallback"
        notes.append(
            f"The {family} fit did not converge on {len(rows):,} distinct histories; its "
            "parameters are set from the average purchase rate. Read its values as rough."
        )
    else:
        parameters, penalty = fitted
        shapes = parameters[[0, 2, 3]]
        edge = bool((shapes < _SENSIBLE[0]).any() or (shapes > _SENSIBLE[1]).any())
        if penalty or edge:
            status = "boundary"
            how = f"needed a penalty of {penalty:g}" if penalty else "ran to the edge of sense"
            notes.append(f"The {family} fit {how}; its parameters are not a plain optimum.")
    r, alpha, a, b = (float(value) for value in parameters)
    model = PurchaseModel(family, r, alpha, a, b, np.nan, status, int(count.sum()), tuple(notes))
    likelihood = float(btyd.log_likelihood(model, x, t_x, T) @ count)
    return dataclasses.replace(model, log_likelihood=likelihood)


class _ParetoFitter(ParetoNBDFitter):  # type: ignore[misc]  # lifetimes has no types
    """lifetimes' search on our likelihood: its own cancels, and takes ten times as long."""

    @staticmethod
    def _negative_log_likelihood(
        parameters: Array, x: Array, t_x: Array, T: Array, weights: Array, _: float
    ) -> float:
        if parameters.min() < _SMALLEST or parameters[[0, 2]].max() > _ALIKE:
            return np.inf  # the search has no limits of its own
        return -float(pareto.log_likelihood(_pareto(parameters), x, t_x, T) @ weights)


def _pareto(parameters: Array) -> ParetoModel:
    r, alpha, s, beta = parameters.tolist()
    return ParetoModel(r, alpha, s, beta, np.nan, "converged", 0)


def fit_pareto(rfm: pd.DataFrame) -> ParetoModel:
    """Fit Pareto/NBD by maximum likelihood, to stand beside the families that may be chosen.

    Of a large log every so many customers are taken, in the order of frequency, recency and age,
    so that the result does not depend on the order of the rows; a sentence says so.

    Parameters
    ----------
    rfm : DataFrame
        As in `fit_purchases`.

    Returns
    -------
    ParetoModel
        `alpha`, `beta` and the log-likelihood (of those taken) in days.

    Raises
    ------
    DataError
        If nobody bought twice.
    """
    rows, notes = _usable(rfm)
    n = int(rows["customers"].sum())
    if len(rows) > _PARETO_CUSTOMERS:
        ranks = np.linspace(0, n, _PARETO_CUSTOMERS, endpoint=False)
        taken = np.searchsorted(rows["customers"].cumsum(), ranks, side="right")
        rows = rows.iloc[np.unique(taken)].assign(customers=np.unique_counts(taken).counts)
        notes.append(f"pareto_nbd, shown beside, saw {_PARETO_CUSTOMERS:,} of {n:,} customers.")
    x, t_x, T, count = rows.to_numpy(dtype=np.float64).T
    if not (x > 0).any():
        raise DataError(f"clv: pareto_nbd: no repeat purchases among {n:,} customers.")
    fitter = _ParetoFitter()
    with _quiet():  # the start is given, since lifetimes' own is random
        fitter.fit(x, t_x, T, weights=count, initial_params=np.ones(4), maxiter=_LONGEST_SIMPLEX)
    found = fitter.params_.to_numpy(dtype=np.float64)

    def miss(parameters: Array) -> float:
        return fitter._negative_log_likelihood(parameters, x, t_x, T, count, 0.0)

    best, steps = miss(found), 0.02 * np.vstack([np.eye(4), -np.eye(4)])
    is_optimum = min(miss(found * np.exp(step)) for step in steps) >= best - 0.05
    is_optimum = is_optimum and found[[0, 2]].max() < 0.9 * _ALIKE
    if not is_optimum:
        notes.append("pareto_nbd, shown beside, ran to the edge: its customers leave alike.")
    return dataclasses.replace(
        _pareto(found),
        log_likelihood=-best,
        status="converged" if is_optimum else "boundary",
        n_customers=int(count.sum()),
        warnings=tuple(notes),
    )


def _correlation(x: Array, m: Array) -> tuple[float, list[str]]:
    """Rank correlation of spend with frequency, and a warning if it matters."""
    if np.ptp(x) == 0 or np.ptp(m) == 0:
        return 0.0, []
    rho, p_value = (float(v) for v in spearmanr(x, m))
    if abs(rho) < 0.3 or p_value > 0.01:
        return rho, []
    note = (
        f"Spend per purchase goes with frequency (rank correlation {rho:+.2f}, p = {p_value:.2g}), "
        "which Gamma-Gamma takes to be independent: values of frequent buyers are off."
    )
    return rho, [note]


def _guarded(parameters: Array | None, mean: float) -> tuple[Array, Status, list[str]]:
    """Keep the prior mean p·v/(q − 1) positive, finite and near what was observed."""
    if parameters is None:
        note = "The Gamma-Gamma fit did not converge; spend is drawn towards the overall mean."
        return np.array([1.0, 2.0, mean]), "fallback", [note]
    p, q, v = parameters
    if q > 1 and p * v / (q - 1) <= _HIGHEST_PRIOR_MEAN * mean:
        edge = parameters[:2].min() < _SENSIBLE[0] or parameters[:2].max() > _SENSIBLE[1]
        notes = ["The Gamma-Gamma fit ran to the edge of sense."] if edge else []
        return parameters, "boundary" if edge else "converged", notes
    note = (
        f"Spend is so heavy-tailed that Gamma-Gamma finds no usable mean (q = {q:.2f}); "
        "q was set so that the mean of a new customer is the observed one."
    )
    return np.array([p, 1 + p * v / mean, v]), "fallback", [note]


def fit_spend(frequency: npt.ArrayLike, monetary_value: npt.ArrayLike) -> SpendModel:
    """Fit Gamma-Gamma by maximum likelihood to customers with positive repeat spend.

    Money is fitted in units of its mean, so that the currency's scale cannot matter.

    Parameters
    ----------
    frequency, monetary_value : array_like
        Repeat purchase days and mean net spend on them, in the currency of the data. Rows with
        frequency 0, or a mean that is missing or not above 0, stay out.

    Returns
    -------
    SpendModel

    Raises
    ------
    DataError
        If no customer has a repeat purchase day of positive value.
    """
    x = np.asarray(frequency, dtype=np.float64)
    m = np.asarray(monetary_value, dtype=np.float64)
    used = (x > 0) & (m > 0) & np.isfinite(x) & np.isfinite(m)
    order = np.lexsort((m[used], x[used]))
    x, m = x[used][order], m[used][order]
    if not len(x):
        raise DataError(
            "clv: no repeat purchases of positive value: spend per purchase cannot be learnt. "
            "Check the sign of `amount`: purchases are positive, refunds negative."
        )
    mean = float(m.mean())
    rho, notes = _correlation(x, m)
    status: Status
    if np.ptp(m) <= 1e-9 * mean:
        parameters, status = np.array([1.0, 2.0, mean]), "fallback"
        more = ["Everybody spends the same per purchase; that amount is used for all."]
    else:
        starts: list[Array | None] = [None, np.log([6.0, 4.0, 0.5])]
        fitted = _ladder(GammaGammaFitter, starts, x, m / mean, weights=np.ones(len(x)))
        scaled = None if fitted is None else fitted[0] * np.array([1, 1, mean])
        parameters, status, more = _guarded(scaled, mean)
    p, q, v = (float(value) for value in parameters)
    likelihood = float(spend.log_likelihood(p, q, v, x, m).sum())
    return SpendModel(p, q, v, likelihood, len(x), status, mean, rho, (*notes, *more))
