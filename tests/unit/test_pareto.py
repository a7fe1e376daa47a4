"""Pareto/NBD against mpmath, against a mixture over rates, and at its limits.

Beside the other families it stands in test_clv.py, test_predictive.py and test_value.py.
"""

from __future__ import annotations

import re

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from tenure.errors import DataError
from tenure.models.btyd import log_likelihood, p_alive
from tenure.models.clv import fit_purchases
from tenure.models.pareto import ParetoModel
from tenure.models.purchases import (
    expected_purchases,
    p_purchase_if_alive,
    silent_purchases_by_step,
)


def model(r, alpha, s, beta):
    return ParetoModel(r, alpha, s, beta, 0.0, "converged", 1)


CASES = [
    # r, alpha, s, beta, x, t_x, T
    (0.553, 10.578, 0.606, 11.669, 2, 30.43, 38.86),
    (0.553, 10.578, 0.606, 11.669, 0, 0, 38.86),
    (2.9, 123.0, 77.0, 51555.0, 10, 500, 900),
    (0.05, 0.5, 0.02, 0.003, 0, 0, 3650),
    (0.05, 500.0, 0.02, 0.03, 1, 2, 3650),
    (1.4, 9.5, 0.11, 784.0, 5000, 100, 3650),
    (0.3, 0.001, 5.0, 300.0, 3, 200, 365),
    (1.4, 9.5, 1.0, 784.0, 200, 364, 365),
]


def exact_odds(m, x, t_x, T):
    """P(dead) / P(alive) with 40 digits, over the moments at which life may have ended."""
    mp.mp.dps = 40
    r, al, s, be, x, t_x, T = (mp.mpf(v) for v in (m.r, m.alpha, m.s, m.beta, x, t_x, T))

    def density(u):
        return s / (be + u) * ((be + T) / (be + u)) ** s * ((al + T) / (al + u)) ** (r + x)

    breaks = [t_x, *(t_x + (T - t_x) * mp.mpf(10) ** k for k in range(-8, 0)), T]
    return mp.quad(density, breaks)


@pytest.mark.parametrize("case", CASES)
def test_odds_of_being_dead_and_expectations_equal_mpmath(case):
    *parameters, x, t_x, T = case
    m, odds = model(*parameters), exact_odds(model(*parameters), x, t_x, T)
    given = (np.array([float(v)]) for v in (x, t_x, T))
    assert m.log_dead_over_alive(*given)[0] == pytest.approx(float(mp.log(odds)), abs=1e-10)
    for t in (1, 90, 3650):
        # mean time alive within t, at a rate that has not been seen to end
        lived = mp.quad(
            lambda u: ((m.beta + mp.mpf(T)) / (m.beta + T + u)) ** mp.mpf(m.s), [0, t / 10, t]
        )
        exact = (m.r + x) / (m.alpha + mp.mpf(T)) * lived / (1 + odds)
        found = expected_purchases(m, x, t_x, T, t)[0]
        assert found == pytest.approx(float(exact), rel=1e-9)


class Lived:
    """Who is alive, with 25 digits, each history weighed by when life ends."""

    def __init__(self, m, x, T):
        mp.mp.dps = 25
        self.k, self.rate, self.s, self.base = (
            mp.mpf(v) for v in (m.r + x, m.alpha + T, m.s, m.beta + T)
        )

    def mean(self, of, *breaks):
        """Mean of what hangs on the end of life and no longer changes after the last break."""
        last, least = breaks[-1], min(self.rate / self.k, self.base)
        fine = (least * mp.mpf(10) ** e for e in range(-2, 3))
        edges = sorted({0, *breaks, *(u for u in fine if u < last)})

        def density(u):
            return self.s / (self.base + u) * (self.base / (self.base + u)) ** self.s

        ends = mp.quad(lambda u: density(u) * of(u), edges)
        return ends + (self.base / (self.base + last)) ** self.s * of(mp.mpf(last))

    def silence(self, days, more=0):
        """Mean of λ^more · e^(−λ·days), in units of the mean rate."""
        return (1 + days / self.rate) ** (-self.k - more)

    def nbd(self, n, bought, silent=0):
        whole = self.rate + bought + silent
        ways = mp.gamma(self.k + n) / mp.gamma(self.k) / mp.factorial(n)
        return ways * (mp.mpf(bought) / whole) ** n * (self.rate / whole) ** self.k


def within(life, start, end):
    """Days of a life that fall between `start` and `end`."""
    return max(min(life, end) - start, mp.mpf(0))


@pytest.mark.parametrize(("horizon", "gap"), [(90, 0), (60, 30)])
@pytest.mark.parametrize("case", CASES)
def test_windows_of_silence_equal_mpmath(case, horizon, gap):
    *parameters, x, _, T = case
    m, end = model(*parameters), gap + horizon
    alive = Lived(m, x, T)
    none = alive.mean(lambda u: alive.silence(within(u, gap, end)), gap, end)
    log_buys, log_none = p_purchase_if_alive(m, x, T, horizon, gap)
    assert log_buys[0] == pytest.approx(float(mp.log(1 - none)), abs=1e-9)
    assert log_none[0] == pytest.approx(float(mp.log(none)), rel=1e-9, abs=1e-9)
    edges = np.unique([0.0, gap / 2, gap, end, 200])
    found = silent_purchases_by_step(m, x, T, edges, horizon=horizon, gap=gap)[0]
    for u, v, said in zip(edges[:-1], edges[1:], found, strict=True):
        if (u, v) == (gap, end):
            assert said == 0
            continue
        exact = alive.mean(
            lambda life, u=u, v=v: (
                within(life, u, v) * alive.silence(within(life, gap, end), more=1)
            ),
            *sorted({u, v, gap, end} - {0}),
        )
        assert said == pytest.approx(float(exact * alive.k / alive.rate), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("days", "horizon", "gap"), [(90, 60, 0), (100, 90, 30), (200, 60, 45)])
@pytest.mark.parametrize("case", [c for c in CASES if c[4] < 5000])
def test_laws_of_purchases_equal_mpmath(case, days, horizon, gap):
    *parameters, x, _, T = case
    m, end = model(*parameters), gap + horizon
    alive, counts = Lived(m, x, T), m.counting(float(x), (T, T), days)
    law, silent = (f[0] for f in (counts.law(np.array([float(T)])),
                                  counts.silent(np.array([float(T)]), horizon, gap)))  # fmt: skip
    assert law.sum() == pytest.approx(1, abs=1e-12)

    def outside(life):
        return within(life, 0, gap) + within(life, end, max(days, end))

    for n in sorted({0, 1, 2, int(np.argmax(law)), counts.most // 3}):
        exact = alive.mean(lambda life, n=n: alive.nbd(n, within(life, 0, days)), days)
        assert law[n] == pytest.approx(float(exact), rel=1e-9, abs=1e-12)
        exact = alive.mean(
            lambda life, n=n: alive.nbd(n, outside(life), within(life, gap, end)),
            *sorted({gap, end, max(days, end)} - {0}),
        )
        assert silent[n] == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("history", [(0, 0, 50), (3, 40, 100), (12, 90, 95)])
def test_likelihood_is_the_mixture_over_rates_of_buying_and_of_dying(history):
    x, t_x, T = history
    m = model(0.6, 12.0, 0.8, 60.0)
    share = (np.arange(2000) + 0.5) / 2000  # equally likely rates
    rate = gamma.ppf(share, m.r, scale=1 / m.alpha)[:, None]
    death = gamma.ppf(share, m.s, scale=1 / m.beta)
    alive = rate**x * np.exp(-(rate + death) * T)
    died = death * rate**x / (rate + death)
    died = died * (np.exp(-(rate + death) * t_x) - np.exp(-(rate + death) * T))
    assert np.exp(log_likelihood(m, x, t_x, T)[0]) == pytest.approx(np.mean(alive + died), rel=2e-3)


def test_one_fixed_rate_of_each_is_the_limit():
    """Customers all alike: exponential lives and Poisson purchases, by one integral."""
    rate, death, t_x, T = 0.05, 0.01, 40.0, 100.0
    m = model(1e7, 1e7 / rate, 1e7, 1e7 / death)
    odds, _ = quad(lambda u: death * np.exp((rate + death) * (T - u)), t_x, T)
    assert p_alive(m, 3, t_x, T)[0] == pytest.approx(1 / (1 + odds), rel=1e-4)


def test_extremes_stay_finite_and_monotone():
    m = model(0.3, 20.0, 1.0, 40.0)
    x, t_x, T = (
        np.array(c, dtype=float) for c in ([0, 0, 9, 5000], [0, 0, 9, 3650], [0, 3650, 3650, 3650])
    )
    ahead = np.stack([expected_purchases(m, x, t_x, T, t) for t in (1, 30, 365, 3650)])
    assert np.isfinite(ahead).all()
    assert (np.diff(ahead, axis=0) > 0).all()
    assert ((p_alive(m, x, t_x, T) >= 0) & (p_alive(m, x, t_x, T) <= 1)).all()
    assert p_alive(m, x, t_x, T)[0] == p_alive(m, x, t_x, T)[3] == 1


def test_customers_who_leave_alike_end_at_the_edge_and_say_so():
    rng = np.random.default_rng(0)
    T = rng.integers(50, 300, 400).astype(float)
    end = np.minimum(rng.exponential(100, 400), T)
    x = rng.poisson(0.1 * end).astype(float)
    recency = np.where(x > 0, np.maximum(1, np.round(end * rng.random(400) ** (1 / (x + 1)))), 0)
    rfm = pd.DataFrame({"frequency": x, "recency": np.minimum(recency, T), "T": T})
    found = fit_purchases(rfm, "pareto_nbd")
    assert found.status == "boundary"
    assert "leave alike" in found.warnings[0]
    assert found.gradient is not None
    assert 50 < found.beta / found.s < 200  # days a customer stays


def test_a_large_log_is_fitted_on_some_of_it_and_nobody_returning_is_refused():
    rng = np.random.default_rng(1)
    T = rng.integers(200, 3000, 9000).astype(float)
    x = rng.poisson(rng.gamma(0.6, 3, 9000)).astype(float)
    recency = np.where(x > 0, np.maximum(1, np.round(T * rng.random(9000) ** 0.3)), 0)
    rfm = pd.DataFrame({"frequency": x, "recency": recency, "T": T})
    found = fit_purchases(rfm, "pareto_nbd")
    assert found.n_customers == 9000
    assert re.search(r"saw 4,\d+ histories that stand for 7,\d+", found.warnings[0])
    assert fit_purchases(rfm.iloc[rng.permutation(9000)], "pareto_nbd") == found
    with pytest.raises(DataError, match="no repeat purchases: none of 3"):
        fit_purchases(
            pd.DataFrame({"frequency": [0.0] * 3, "recency": 0.0, "T": [1.0, 5.0, 9.0]}),
            "pareto_nbd",
        )


def test_hardly_anybody_dies_without_an_overflow():
    """A shape at the edge, as small samples give: lives beyond what a float holds."""
    rng = np.random.default_rng(0)
    for s, beta in ((1e-3, 9_000.0), (1e-3, 1e8), (0.06, 1e-7)):
        m = model(0.37, 43.7, s, beta)
        law = m.counting(2.0, (100.0, 400.0), 3650.0).law(np.array([100.0, 400.0]))
        assert law.sum(axis=1) == pytest.approx(1.0)
        x, T = np.full(20_000, 2.0), np.full(20_000, 100.0)
        drawn = m.bought(x, T, 365.0, rng)
        assert drawn.mean() == pytest.approx(
            m.bought_by(x[:1], T[:1], np.array([[365.0]]))[0, 0], rel=0.03
        )
