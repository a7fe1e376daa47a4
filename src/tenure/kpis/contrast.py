"""Shares, means and differences between leavers and stayers, each customer one independent draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tenure.kpis.intervals import LEVEL, cluster_variance, design_effect, wilson

__all__ = ["contrast", "mean_of", "share_of"]

Json = dict[str, Any]


def contrast(y: pd.Series, left: pd.Series, customer: pd.Series) -> Json:
    """Return the means of leavers and stayers, and their difference with a 90 % range.

    A customer may stand on both sides, at different cutoffs; the range is that of independent
    customers: Student's interval on the linearised difference, `ψ_i = Σ (y − m₁)/n₁` over the
    rows of customer i who left less `Σ (y − m₀)/n₀` over the others.

    Parameters
    ----------
    y : Series
        The figure of each row.
    left : Series of 0 and 1
        Whether the row's customer left.
    customer : Series
        Whose row it is.

    Returns
    -------
    dict
        `leavers`, `stayers`, `difference`, `lower`, `upper`; the range is null where all rows of
        a side are alike or a side is empty.

    Examples
    --------
    >>> both = pd.Series([1.0, 3.0, 0.0, 0.0]), pd.Series([1, 1, 0, 0]), pd.Series(list("abcd"))
    >>> told = contrast(*both)
    >>> told["leavers"], told["stayers"], round(told["lower"], 2)
    (2.0, 0.0, 0.08)
    """
    value, gone = y.to_numpy(np.float64), left.to_numpy() == 1
    blank: Json = dict.fromkeys(("leavers", "stayers", "difference", "lower", "upper"))
    if not gone.any() or gone.all():
        return blank
    means = value[gone].mean(), value[~gone].mean()
    pull = np.where(gone, (value - means[0]) / gone.sum(), -(value - means[1]) / (~gone).sum())
    codes, people = pd.factorize(customer)
    psi = np.bincount(codes, weights=pull, minlength=len(people))
    g, difference = len(people), means[0] - means[1]
    variance = g / max(g - 1, 1) * float((psi**2).sum())
    told = {"leavers": float(means[0]), "stayers": float(means[1]), "difference": float(difference)}
    if variance <= 1e-18 * max(means) ** 2:
        return blank | told
    half = float(stats.t.ppf(0.5 + LEVEL / 2, g - 1) * np.sqrt(variance))
    return told | {"lower": told["difference"] - half, "upper": told["difference"] + half}


def share_of(is_so: pd.Series, customer: pd.Series) -> Json:
    """Return a share with Wilson's 90 % range, widened where customers have several rows.

    Returns
    -------
    dict
        `share`, `lower`, `upper`; null without rows.
    """
    n = len(is_so)
    if not n:
        return dict.fromkeys(("share", "lower", "upper"))
    y = is_so.to_numpy(np.float64)
    variance = _variance(y, customer)
    alone = y.mean() * (1 - y.mean()) / max(n - 1, 1)
    effect = design_effect(np.array(variance), np.array(alone))
    share, lower, upper = wilson(np.array(y.mean()), np.array(float(n)), effect)
    return {"share": float(share), "lower": float(lower), "upper": float(upper)}


def mean_of(y: pd.Series, customer: pd.Series, least: int) -> Json | None:
    """Return a mean with Student's 90 % range over customers; null for fewer than `least`."""
    people = customer.nunique()
    if people < least:
        return None
    value = y.to_numpy(np.float64)
    variance = _variance(value, customer)
    mean = float(value.mean())
    if variance <= 1e-18 * mean**2:
        return {"mean": mean, "lower": None, "upper": None, "n": len(value)}
    half = float(stats.t.ppf(0.5 + LEVEL / 2, people - 1) * np.sqrt(variance))
    return {"mean": mean, "lower": mean - half, "upper": mean + half, "n": len(value)}


def _variance(y: np.ndarray, customer: pd.Series) -> float:
    """Return the variance of a mean, each customer one draw."""
    codes, people = pd.factorize(customer)
    y, x = np.bincount(codes, weights=y), np.bincount(codes).astype(np.float64)
    sums = [np.array(v.sum()) for v in (y, x, y * y, x * y, x * x)]
    y, x, yy, xy, xx = sums
    return float(cluster_variance(y, x, yy, xy, xx, np.array(len(people))))
