"""Fit the value models; the only door to lifetimes, of which only `.fit()` is used.

lifetimes searches; `optimum` takes its best end to the top of our own likelihood and checks it.
Every fit ends in a known state: `converged`, `boundary`, `fallback`, or a DataError that says why
it is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.errors import DataError
from tenure.models import btyd, edges, spend
from tenure.models.btyd import Array, PurchaseModel, Status
from tenure.models.families import AnyModel
from tenure.models.optimum import Optimum, find
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

__all__ = ["FAMILIES", "fit_purchases", "fit_spend"]

_SEARCHED = 20_000  # histories, or customers with spend, that the searches see at most
_PARETO_SEARCHED, _PARETO_CLIMBED = 2_000, 5_000  # their likelihood is an integral each
_LONGEST_SEARCH = 300  # steps of the optimiser; a sound fit takes some 30
_LONGEST_SIMPLEX = 600  # Pareto/NBD is searched without gradients
_ALIKE = 100.0  # a shape above: rates differ by less than a tenth
_SMALLEST = 1e-6


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


def _attempt(
    fitter: Any, start: Array, *columns: Array, weights: Array, steps: int = _LONGEST_SEARCH
) -> Array | None:
    """Return the parameters, or None where the optimiser did not converge."""
    with _quiet(), contextlib.suppress(ValueError, FloatingPointError, np.linalg.LinAlgError):
        fitter.fit(*columns, weights=weights, initial_params=start, maxiter=steps)
    # a singular Hessian costs only the standard errors, which `optimum` computes itself
    found = getattr(fitter, "params_", None)
    if found is None:
        return None
    # an optimum at 0 (nobody leaves) or at infinity (all customers alike) is cut by `edges`
    parameters: Array = np.maximum(found.to_numpy(dtype=np.float64), _SMALLEST)
    return parameters if np.isfinite(parameters).all() else None


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


def _thinned(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Take every so many customers, in the order of frequency, recency and age.

    Rows of `_usable`; so many customers stand for all, whatever the order of the rows was.
    """
    if len(rows) <= most:
        return rows
    n = rows["customers"].sum()
    ranks = np.linspace(0, n, most, endpoint=False)
    taken = np.unique_counts(np.searchsorted(rows["customers"].cumsum(), ranks, side="right"))
    return rows.iloc[taken.values].assign(customers=taken.counts * (n / most))


@dataclasses.dataclass(frozen=True)
class _Family:
    """What one family of purchase models brings to the fit."""

    fitter: Callable[..., Any]
    build: Callable[..., AnyModel]
    shapes: tuple[int, int, int]  # which parameters have no unit
    searched: int
    climbed: int | None  # None: everybody
    steps: int


class _ParetoFitter(ParetoNBDFitter):  # type: ignore[misc]  # lifetimes has no types
    """lifetimes' search on our likelihood: its own cancels, and takes ten times as long."""

    @staticmethod
    def _negative_log_likelihood(
        parameters: Array, x: Array, t_x: Array, T: Array, weights: Array, penalty: float
    ) -> float:
        if parameters.min() < _SMALLEST or parameters[[0, 2]].max() > _ALIKE:
            return np.inf  # the search has no limits of its own
        model = _pareto(parameters.tolist())
        found = float(btyd.log_likelihood(model, x, t_x, T) @ weights)
        return penalty * float(np.square(np.log(parameters)).sum() * weights.sum()) - found


def _pareto(parameters: list[float]) -> ParetoModel:
    r, alpha, s, beta = parameters
    return ParetoModel(r, alpha, s, beta, np.nan, "converged", 0)


def _mbg(parameters: list[float]) -> PurchaseModel:
    r, alpha, a, b = parameters
    return PurchaseModel("mbg_nbd", r, alpha, a, b, np.nan, "converged", 0)


def _bg(parameters: list[float]) -> PurchaseModel:
    return dataclasses.replace(_mbg(parameters), family="bg_nbd")


_FAMILIES: dict[str, _Family] = {
    "mbg_nbd": _Family(
        ModifiedBetaGeoFitter, _mbg, (0, 2, 3),
        _SEARCHED, None, _LONGEST_SEARCH,
    ),
    "bg_nbd": _Family(
        BetaGeoFitter, _bg, (0, 2, 3),
        _SEARCHED, None, _LONGEST_SEARCH,
    ),
    "pareto_nbd": _Family(
        _ParetoFitter, _pareto, (0, 2, 2),
        _PARETO_SEARCHED, _PARETO_CLIMBED, _LONGEST_SIMPLEX,
    ),
}  # fmt: skip

FAMILIES = tuple(_FAMILIES)
"""Families of purchase models, the default first."""


def fit_purchases(rfm: pd.DataFrame, family: str) -> AnyModel:
    """Fit BG/NBD, MBG/NBD or Pareto/NBD by maximum likelihood.

    Equal histories are fitted once with their count as weight; the result does not depend on the
    order of the rows. lifetimes searches from several starts, in units of the longest history, on
    at most 20,000 histories; Newton's method goes from the best end to the top of the likelihood
    of all, where the slope is checked. Where there is no top, growing penalties are tried, and as
    a last resort parameters are set from the average rate; `status` and `warnings` say so.

    Parameters
    ----------
    rfm : DataFrame
        `frequency` (purchase days − 1), `recency` (first to last purchase day) and `T` (first
        purchase day to the day before the cutoff), in days; one row a customer.
    family : {"mbg_nbd", "bg_nbd", "pareto_nbd"}

    Returns
    -------
    PurchaseModel or ParetoModel
        `alpha` (and `beta`) and the log-likelihood in days.

    Raises
    ------
    DataError
        If nobody bought twice: then no rate and no dropout can be learnt.
    """
    rows, notes = _usable(rfm)
    n, returned = rows["customers"].sum(), int((rows["frequency"] > 0).sum())
    if not returned:
        raise DataError(
            f"clv: no repeat purchases: none of {int(n):,} customers bought on a second day "
            "before the cutoff, so rates and dropout cannot be learnt. Take a longer history."
        )
    kind = _FAMILIES[family]
    seen = rows if kind.climbed is None else _thinned(rows, kind.climbed)
    if len(seen) < len(rows):
        notes.append(f"{family} saw {len(seen):,} histories that stand for {len(rows):,}.")
    notes += edges.left_truncation(rows["T"], rows["customers"])
    top, moments = _top(kind, rows, seen)
    status: Status = "converged"
    if top is None:
        status = "fallback"
        notes.append(
            f"The {family} fit did not converge on {len(rows):,} distinct histories; its "
            "parameters are set from the average purchase rate. Read its values as rough."
        )
        top = Optimum(moments, np.nan, None, np.zeros((4, 4)))
    elif told := edges.purchases_at_the_edge(family, top):
        status = "boundary"
        notes += told
    model = kind.build(top.at.tolist())
    x, t_x, T, count = rows.to_numpy(dtype=np.float64).T
    likelihood = float(btyd.log_likelihood(model, x, t_x, T) @ count)
    return dataclasses.replace(
        model,
        log_likelihood=likelihood,
        status=status,
        n_customers=int(n),
        warnings=tuple(notes),
        gradient=top.gradient,
        covariance=tuple(map(tuple, top.covariance.tolist())),
    )


def _top(kind: _Family, rows: pd.DataFrame, seen: pd.DataFrame) -> tuple[Optimum | None, Array]:
    """Find the top of the likelihood of the histories `seen`; and what simple moments say."""
    longest = float(rows["T"].max())
    in_days = np.where(np.isin(range(4), kind.shapes), 1.0, longest)
    x, t_x, T, count = _scaled(seen, longest)
    *columns, weights = _scaled(_thinned(rows, kind.searched), longest)

    def value(parameters: Array) -> float:
        return float(btyd.log_likelihood(kind.build(parameters.tolist()), x, t_x, T) @ count)

    def search(start: Array, penalty: float) -> Array | None:
        fitter = kind.fitter(penalizer_coef=penalty)
        return _attempt(fitter, start, *columns, weights=weights, steps=kind.steps)

    rate = np.average(x, weights=count) / np.average(T, weights=count)
    if kind.fitter is _ParetoFitter:  # searched on a plain scale
        moments, starts = np.array([1.0, 1 / rate, 1.0, 1.0]), [np.ones(4)]
        starts.append(moments)
    else:
        moments = np.array([1.0, 1 / rate, 0.5, 2.0])
        starts = [np.log(moments), np.log([0.2, 0.2 / rate, 2.0, 2.0])]

    within = partial(edges.within_sense, shapes=kind.shapes)
    top = find(search, value, starts, moments, float(count.sum()), within)
    if top is not None:
        top = dataclasses.replace(top, at=top.at * in_days)
    return top, moments * in_days


def _scaled(rows: pd.DataFrame, longest: float) -> tuple[Array, ...]:
    """Frequency, recency and age in units of the longest, and counts.

    Twelve digits are kept, so that the rounding of another unit of time cannot move a fit.
    """
    x, t_x, T, count = rows.to_numpy(dtype=np.float64).T
    return x, np.round(t_x / longest, 12), np.round(T / longest, 12), count


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
        came_again = bool((np.asarray(frequency, dtype=np.float64) > 0).any())
        raise DataError(
            "clv: no repeat purchases of positive value: spend per purchase cannot be learnt. "
            "Check the sign of `amount`: purchases are positive, refunds negative."
            if came_again
            else "clv: no repeat purchases: spend per purchase cannot be learnt. Take a longer "
            "history."
        )
    mean = float(m.mean())
    rho, p_value, notes = edges.spend_with_frequency(x, m)
    # nine digits, so that the rounding of a currency cannot move a fit; small amounts keep theirs
    in_means = np.exp(np.round(np.log(m / mean), 9))
    top = None if np.ptp(in_means) <= 1e-9 else _spend_top(x, in_means)
    parameters, status, more = edges.guarded_spend(top, in_means)
    p, q, v = (parameters * [1, 1, mean]).tolist()
    likelihood = float(spend.log_likelihood(p, q, v, x, m).sum())
    slope, spread = (None, np.zeros((3, 3))) if top is None else (top.gradient, top.covariance)
    return SpendModel(
        p, q, v, likelihood, len(x), status, mean, rho, (*notes, *more), p_value, slope,
        tuple(map(tuple, spread.tolist())),
    )  # fmt: skip


def _spend_top(x: Array, m: Array) -> Optimum | None:
    """Find the top of the likelihood of spend, in means."""
    every = slice(None, None, -(-len(x) // _SEARCHED))

    def search(start: Array, penalty: float) -> Array | None:
        fitter = GammaGammaFitter(penalizer_coef=penalty)
        ones = np.ones(len(x[every]))
        return _attempt(fitter, start, x[every], m[every], weights=ones)

    def value(parameters: Array) -> float:
        p, q, v = parameters.tolist()
        return float(spend.log_likelihood(p, q, v, x, m).sum())

    rough = np.array([1.0, 2.0, 1.0])
    starts = [np.log([6.0, 4.0, 0.5]), np.log(rough)]
    return find(search, value, starts, rough, len(x), edges.within_sense_of_spend)
