"""Small and odd logs from fit to value: finite, in order, and in no unit of money or time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.config import ChurnConfig, ClvConfig
from tenure.errors import DataError
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.value import buyer_values

RFM = ["frequency", "recency", "T"]
ASKED = ChurnConfig(horizon_days=91, gap_days=0)
TERMS = ClvConfig(horizon_days=364, annual_discount_rate=0.0)
DISCOUNTED = ClvConfig(horizon_days=365, annual_discount_rate=0.1, margin=0.4, cost_to_serve=1.0)


def few_customers(seed):
    """A random log of few customers, from loyal to gone, from daily to yearly."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    T = rng.integers(0, 700, n).astype(float)
    x = np.minimum(rng.poisson(rng.gamma(0.3, 10, n)), T)
    t_x = np.where(x > 0, np.maximum(x, np.round(T * rng.random(n))), 0)
    m = rng.lognormal(3, rng.choice([0.01, 0.5, 3]), n)
    m[rng.random(n) < 0.1] *= -1  # refunds
    return log(x, t_x, T, m)


def log(x, t_x, T, m):
    columns = np.broadcast_arrays(*(np.asarray(c, dtype=float) for c in (x, t_x, T, m)))
    table = pd.DataFrame(dict(zip([*RFM, "monetary_value"], columns, strict=True)))
    return table.assign(monetary_value=table["monetary_value"].where(table["frequency"] > 0))


def regular(seed=0, n=18):
    rng = np.random.default_rng(seed)
    T = rng.integers(200, 400, n).astype(float)
    x = rng.poisson(rng.gamma(0.8, 8.0, n)).astype(float)
    t_x = np.where(x > 0, np.maximum(x, np.round(T * rng.random(n))), 0)
    return rng, x, np.minimum(t_x, T), T


def odd_logs():
    rng, x, t_x, T = regular()
    heavy = rng.pareto(0.25, len(x)) + 1e-3
    grows = 5 * (1 + x) ** 1.5 * rng.lognormal(0, 0.1, len(x))
    days = np.array([1, 2, 5, 30, 90])
    return {
        "one customer": log([3], [60], [90], [12.0]),
        "two alike": log([1, 1], [10, 10], [20, 20], [5.0, 5.0]),
        "daily buyers": log(days, days, days, 3 + days % 5),
        "daily for years": log([3000, 2999, 0], [3000, 2999, 0], [3000, 3000, 40], [4, 5, 1]),
        "nearly all once": log(np.r_[1, np.zeros(49)], np.r_[9, np.zeros(49)], 100, 30.0),
        "heavy-tailed spend": log(x, t_x, T, heavy),
        "spend goes with frequency": log(x, t_x, T, grows),
        "everybody spends the same": log(x, t_x, T, 9.99),
        "cents and millions": log(x, t_x, T, np.where(x % 2 == 1, 0.01, 1e6)),
        "all bought yesterday": log([0, 1, 2, 0], [0, 1, 2, 0], [0, 1, 2, 0], 10.0),
    }


ODD = odd_logs()


def chances(n):
    """Of leaving: also certain, impossible and not scored."""
    p = np.random.default_rng(n).random(n)
    p[::5], p[1::7], p[2::7] = np.nan, 0.0, 1.0
    return p


def fits(rfm, family):
    return fit_purchases(rfm[RFM], family), fit_spend(rfm["frequency"], rfm["monetary_value"])


def values(rfm, models, terms=TERMS, asked=ASKED):
    return buyer_values(rfm, *models, chances(len(rfm)), asked, terms)


def check(rfm, found):
    """Everything is finite and in order."""
    money = found[["spend_per_purchase", "clv", "lower", "upper"]]
    assert np.isfinite(money).all(axis=None)
    assert (money >= 0).all(axis=None)
    assert (found["lower"] <= found["clv"]).all()
    assert (found["clv"] <= found["upper"]).all()
    scored = np.isfinite(chances(len(rfm)))
    stays, leaves = (found.loc[scored, c] for c in ("if_stays", "if_leaves"))
    assert np.isfinite(stays + leaves).all()
    assert (stays >= leaves * (1 - 1e-9)).all()
    assert (leaves >= 0).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ODD)
def test_odd_logs_have_values_that_are_finite_and_in_order(name, family):
    rfm, models = ODD[name], fits(ODD[name], family)
    for terms in (TERMS, DISCOUNTED):
        check(rfm, values(rfm, models, terms))


@pytest.mark.parametrize("name", ["daily for years", "heavy-tailed spend", "cents and millions"])
def test_odd_logs_know_no_unit_of_money(name):
    rfm = ODD[name]
    purchases, _ = models = fits(rfm, "mbg_nbd")
    dear = rfm.assign(monetary_value=1e6 * rfm["monetary_value"])
    rich = purchases, fit_spend(dear["frequency"], dear["monetary_value"])
    found = 1e6 * values(rfm, models)
    pd.testing.assert_frame_equal(values(dear, rich), found, rtol=1e-9, atol=0)


@pytest.mark.parametrize("seed", range(20))
def test_random_logs_have_values_that_are_finite_in_order_and_know_no_unit(seed):
    """A family each in turn; what cannot be valued says so."""
    rfm, family = few_customers(seed), FAMILIES[seed % 3]
    if not ((rfm["frequency"] > 0) & (rfm["monetary_value"] > 0)).any():
        with pytest.raises(DataError, match="no repeat purchases"):
            fits(rfm, family)
        return
    purchases, spend = fits(rfm, family)
    found = values(rfm, (purchases, spend))
    check(rfm, found)
    dear = rfm.assign(monetary_value=1e6 * rfm["monetary_value"])
    rich = purchases, fit_spend(dear["frequency"], dear["monetary_value"])
    pd.testing.assert_frame_equal(values(dear, rich), 1e6 * found, rtol=1e-9, atol=0)
    weekly = rfm.assign(recency=rfm["recency"] / 7, T=rfm["T"] / 7)
    in_weeks = TERMS.model_copy(update={"horizon_days": 52}), ChurnConfig(horizon_days=13)
    again = values(weekly, (fit_purchases(weekly[RFM], family), spend), *in_weeks)
    pd.testing.assert_frame_equal(again, found, rtol=1e-9, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_log_of_one_timers_is_refused(family):
    with pytest.raises(DataError, match="none of 30 customers bought on a second day"):
        fits(log(np.zeros(30), 0, np.arange(30), np.nan), family)


def test_the_logs_are_as_odd_as_they_say():
    heavy, grows = (
        fit_spend(ODD[name]["frequency"], ODD[name]["monetary_value"])
        for name in ("heavy-tailed spend", "spend goes with frequency")
    )
    assert "heavy-tailed" in heavy.warnings[-1]  # q <= 1: no mean, and a rule instead
    assert heavy.status == "fallback"
    assert grows.is_doubtful
    assert grows.correlation > 0.3
