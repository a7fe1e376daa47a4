"""Purchase and spend models against independent computations, limits and odd data."""

from __future__ import annotations

import json

import mpmath as mp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution

from tenure.errors import DataError
from tenure.models.btyd import PurchaseModel, log_likelihood, p_alive
from tenure.models.clv import fit_purchases, fit_spend
from tenure.models.families import from_json
from tenure.models.pareto import ParetoModel
from tenure.models.purchases import expected_purchases, log_odds_no_purchase, p_no_purchase
from tenure.models.spend import SpendModel, spend_per_purchase

FAMILIES = ("bg_nbd", "mbg_nbd")
ALL = (*FAMILIES, "pareto_nbd")


def model(r, alpha, a, b, family="bg_nbd"):
    if family == "pareto_nbd":
        return ParetoModel(r, alpha, a, 40 * b, 0.0, "converged", 1)
    return PurchaseModel(family, r, alpha, a, b, 0.0, "converged", 1)


def exact_expectation(m, x, t_x, T, t):
    """E[Y(t)] with 60 digits, as an integral over p of Wagner & Hoppe's form."""
    mp.mp.dps = 60
    r, al, a, b = (mp.mpf(v) for v in (m.r, m.alpha, m.a, m.b))
    n = x + (m.family == "mbg_nbd")
    # s ∫0^τ 2F1(s+1, a; a+b'; −u) du integrates the rate of purchases over time
    s, tau = r + x, mp.mpf(t) / (al + T)
    breaks = [0, *[tau * mp.mpf(10) ** k for k in (-6, -4, -2, -1)], tau]
    alive_value = mp.quad(lambda u: s * mp.hyp2f1(s + 1, a, a + b + n, -u), breaks)
    odds = 0 if n == 0 else a / (b + n - 1) * ((al + T) / (al + t_x)) ** s
    return float(alive_value / (1 + odds))


CASES = [
    # r, alpha, a, b, x, t_x, T, t
    (0.2426, 4.4136, 0.7929, 2.4259, 2, 30.43, 38.86, 39),
    (0.11, 2.24, 0.31, 0.5, 0, 0, 1, 30),
    (0.5, 5, 1.0, 2.0, 3, 20, 40, 90),
    (0.5, 5, 1.0, 2.0, 0, 0, 0, 3650),
    (1.4, 9.5, 0.005, 6.0, 60, 300, 320, 365),
    (0.24, 31.0, 0.79, 2.4, 40, 250, 600, 3650),
    (3.0, 100.0, 40.0, 160.0, 5, 100, 200, 365),
    (0.05, 0.5, 0.02, 0.03, 1, 2, 700, 365),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES)
def test_expected_purchases_equal_mpmath(family, case):
    *parameters, x, t_x, T, t = case
    m = model(*parameters, family)
    exact = exact_expectation(m, x, t_x, T, t)
    assert expected_purchases(m, x, t_x, T, t)[0] == pytest.approx(exact, rel=1e-9)


def test_a_plus_b_below_one_at_no_repeat_purchase():
    # lifetimes returns NaN here; 0.564589 by mpmath (acceptance.md)
    found = expected_purchases(model(0.11, 2.24, 0.31, 0.5), 0, 0, 1, 30)[0]
    assert found == pytest.approx(0.564589, abs=5e-7)


def test_a_of_exactly_one_is_the_limit_from_both_sides():
    around = [
        expected_purchases(model(0.5, 5, a, 2), 3, 20, 40, 90)[0] for a in (1 - 1e-7, 1 + 1e-7)
    ]
    assert expected_purchases(model(0.5, 5, 1, 2), 3, 20, 40, 90)[0] == pytest.approx(
        np.mean(around), rel=1e-9
    )


@pytest.mark.parametrize("family", ALL)
def test_extreme_histories_stay_finite_and_monotone(family):
    m = model(0.24, 31.0, 0.79, 2.4, family)
    x = np.array([0, 0, 1, 5000, 5000, 5000])
    t_x = np.array([0, 0, 1, 3649, 100, 3650])
    T = np.array([0, 3650, 3650, 3650, 3650, 3650])
    alive = p_alive(m, x, t_x, T)
    assert ((alive >= 0) & (alive <= 1)).all()
    ahead = np.stack([expected_purchases(m, x, t_x, T, t) for t in (1, 30, 365, 3650)])
    assert np.isfinite(ahead).all()
    assert (np.diff(ahead, axis=0) >= 0).all()
    for gap in (0, 30):
        odds = log_odds_no_purchase(m, x, t_x, T, 90, gap)
        none = p_no_purchase(m, x, t_x, T, 90, gap)
        assert np.isfinite(odds).all()
        assert ((none >= 0) & (none <= 1)).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("history", [(0, 0, 50), (3, 40, 100), (12, 90, 95)])
def test_likelihood_is_the_mixture_over_rates_and_dropouts(family, history):
    x, t_x, T = history
    m = model(0.6, 12.0, 0.8, 2.4, family)
    n = x + (family == "mbg_nbd")

    share = (np.arange(2000) + 0.5) / 2000  # equally likely rates, equally likely dropouts
    rate = gamma_distribution.ppf(share, m.r, scale=1 / m.alpha)[:, None]
    p = beta_distribution.ppf(share, m.a, m.b)
    alive = (1 - p) ** n * rate**x * np.exp(-rate * T)
    left = p * (1 - p) ** (n - 1) * rate**x * np.exp(-rate * t_x) if n else 0.0
    whole = np.mean(alive + left)
    assert np.exp(log_likelihood(m, x, t_x, T)[0]) == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("family", ALL)
def test_silence_is_a_ratio_of_likelihoods(family):
    m = model(0.24, 31.0, 0.79, 2.4, family)
    x, t_x, T = np.array([0, 2, 30]), np.array([0, 200, 260]), np.array([270, 270, 270])
    ratio = np.exp(log_likelihood(m, x, t_x, T + 90) - log_likelihood(m, x, t_x, T))
    np.testing.assert_allclose(p_no_purchase(m, x, t_x, T, 90), ratio, rtol=1e-10)
    odds = log_odds_no_purchase(m, x, t_x, T, 90)
    np.testing.assert_allclose(odds, np.log(ratio / (1 - ratio)), rtol=1e-8)


@pytest.mark.parametrize("family", ALL)
def test_a_gap_agrees_with_simulation_from_the_posterior(family):
    m = model(0.8, 20.0, 0.9, 2.0, family)
    x, t_x, T, gap, horizon = 4, 80, 100, 45, 60
    bought = futures(m, x, t_x, T, gap, horizon, horizon_days=gap + horizon, draws=400_000).bought
    error = 4 * bought.std() / np.sqrt(len(bought))
    assert p_no_purchase(m, x, t_x, T, horizon, gap)[0] == pytest.approx(
        1 - bought.mean(), abs=error
    )
    barely = p_no_purchase(m, x, t_x, T, horizon, 1e-9)
    np.testing.assert_allclose(barely, p_no_purchase(m, x, t_x, T, horizon), rtol=1e-8)


class futures:  # noqa: N801 (reads as a function)
    """Simulate what a customer does after the cutoff, purchase by purchase."""

    def __init__(self, m, x, t_x, T, gap, horizon, *, horizon_days, draws, seed=5):
        rng = np.random.default_rng(seed)
        rate = rng.gamma(m.r + x, 1 / (m.alpha + T), draws)
        end, leave = np.inf, 0.0
        if m.family == "pareto_nbd":
            end = rng.exponential(1 / rng.gamma(m.s, 1 / (m.beta + T), draws))
        else:
            leave = rng.beta(m.a, m.b + x + (m.family == "mbg_nbd"), draws)
        alive = rng.random(draws) < p_alive(m, x, t_x, T)[0]
        now = np.zeros(draws)
        self.bought = np.zeros(draws, dtype=bool)
        self.purchases = np.zeros(draws)
        while alive.any():
            now = now + rng.exponential(1 / rate)
            alive &= now < np.minimum(end, horizon_days)
            self.purchases += alive
            self.bought |= alive & (now >= gap) & (now < gap + horizon)
            alive &= rng.random(draws) >= leave


@pytest.mark.parametrize("family", ALL)
def test_a_prediction_does_not_depend_on_who_else_is_there(family):
    m = model(0.24, 31.0, 0.79, 2.4, family)
    rng = np.random.default_rng(3)
    x = rng.integers(0, 9, 300)
    T = rng.integers(100, 400, 300)
    t_x = np.where(x > 0, (T * rng.random(300)).astype(int), 0)
    together = expected_purchases(m, x, t_x, T, 90)
    alone = [expected_purchases(m, *row, 90)[0] for row in zip(x, t_x, T, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    back = expected_purchases(m, x[::-1], t_x[::-1], T[::-1], 90)[::-1]
    assert (back == together).all()
    assert expected_purchases(m, [], [], [], 90).shape == (0,)


def simulated(n=4000, seed=11, T=300.0):
    """Histories of MBG/NBD customers with r .8, alpha 20, a .9, b 2.5, in days."""
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(0.8, 1 / 20, n), rng.beta(0.9, 2.5, n)
    rows = np.zeros((n, 2))
    alive, now = rng.random(n) >= leave, np.zeros(n)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= now < T
        rows[alive] = np.column_stack([rows[alive, 0] + 1, now[alive]])
        alive &= rng.random(n) >= leave
    return pd.DataFrame({"frequency": rows[:, 0], "recency": rows[:, 1], "T": T})


def test_known_parameters_are_recovered():
    m = fit_purchases(simulated(20_000), "mbg_nbd")
    assert m.status == "converged"
    assert [m.r, m.alpha, m.a, m.b] == pytest.approx([0.8, 20, 0.9, 2.5], rel=0.15)


def test_row_order_does_not_matter_and_json_keeps_everything():
    rfm = simulated(500)
    m = fit_purchases(rfm, "mbg_nbd")
    assert m == fit_purchases(rfm.iloc[::-1], "mbg_nbd")
    for one in (m, model(0.6, 20.0, 0.5, 3.0, "pareto_nbd")):
        assert from_json(json.loads(json.dumps(one.to_json()))) == one
    s = fit_spend([1, 2, 3, 4], [10.0, 12.0, 9.0, 30.0])
    assert SpendModel.from_json(json.loads(json.dumps(s.to_json()))) == s


def test_nobody_bought_twice():
    once = pd.DataFrame({"frequency": [0, 0], "recency": [0, 0], "T": [10, 20]})
    with pytest.raises(DataError, match="no repeat purchases: none of 2 customers"):
        fit_purchases(once, "bg_nbd")
    with pytest.raises(DataError, match="no repeat purchases of positive value"):
        fit_spend([0, 1], [np.nan, -4.0])
    with pytest.raises(DataError, match=r"no repeat purchases: spend per purchase .* longer"):
        fit_spend([0, 0], [np.nan, np.nan])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [1, 3, 20])
def test_few_customers_give_a_flagged_model_with_finite_predictions(family, n, capfd):
    rfm = simulated(400)
    rfm = pd.concat([rfm[rfm["frequency"] > 2].head(1), rfm.head(n - 1)])
    m = fit_purchases(rfm, family)
    assert m.status in {"converged", "boundary", "fallback"}
    assert (m.status == "converged") == (m.warnings == ())
    ahead = expected_purchases(m, [0, 3, 50], [0, 100, 290], 300, 3650)
    assert np.isfinite(ahead).all()
    assert np.isfinite(log_odds_no_purchase(m, [0, 3, 50], [0, 100, 290], 300, 90)).all()
    assert capfd.readouterr().out == ""  # lifetimes prints the optimiser's report


@pytest.mark.parametrize("family", FAMILIES)
def test_where_no_fit_succeeds_the_average_rate_is_used_and_told(family, monkeypatch):
    rfm = simulated(500)
    sound = fit_purchases(rfm, family)
    monkeypatch.setattr("tenure.models.clv._attempt", lambda *_, **__: None)
    climbed = fit_purchases(rfm, family)  # without lifetimes, from simple moments to the top
    assert climbed.status == "converged"
    assert climbed.log_likelihood == pytest.approx(sound.log_likelihood, abs=1e-6)
    monkeypatch.setattr("tenure.models.clv.find", lambda *_, **__: None)
    m = fit_purchases(rfm, family)
    assert m.status == "fallback"
    assert "did not converge" in m.warnings[0]
    assert m.r / m.alpha == pytest.approx(rfm["frequency"].sum() / rfm["T"].sum())
    s = fit_spend([1, 2, 3], [10.0, 20.0, 30.0])
    assert (s.status, s.prior_mean) == ("fallback", pytest.approx(20))


def test_impossible_histories_are_left_out_and_counted():
    rfm = simulated(500)
    broken = pd.DataFrame(
        {"frequency": [1, 0, -1, 2], "recency": [9, 3, 0, np.nan], "T": [5, 9, 9, 9]}
    )
    m = fit_purchases(pd.concat([rfm, broken]), "mbg_nbd")
    assert m.n_customers == 500
    assert "4 of 504 histories are impossible" in m.warnings[0]


def spends(n=3000, p=6.0, q=4.0, v=15.0, seed=2):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 12, n)
    mean_rate = rng.gamma(q, 1 / v, n)
    return x, rng.gamma(p * x) / (x * mean_rate)


def test_gamma_gamma_recovers_and_scales_with_the_currency():
    x, m = spends(20_000)
    s = fit_spend(x, m)
    assert [s.p, s.q, s.v] == pytest.approx([6, 4, 15], rel=0.1)
    millions = fit_spend(x, m * 1e6)
    assert [millions.p, millions.q, millions.v / 1e6] == pytest.approx([s.p, s.q, s.v], rel=1e-9)
    scaled = spend_per_purchase(millions, x, m * 1e6) / 1e6
    np.testing.assert_allclose(scaled, spend_per_purchase(s, x, m), rtol=1e-9)
    assert millions.log_likelihood == pytest.approx(s.log_likelihood - len(x) * np.log(1e6))


@pytest.mark.parametrize("seed", [14, 144])
def test_the_rounding_of_a_currency_never_moves_a_fit(seed):
    """Samples where shares of the mean, kept to 12 places, once rounded to another digit."""
    rng = np.random.default_rng(seed)
    m = np.round(rng.gamma(6, 6 / rng.gamma(4, 1, 400), 400) * 10, 2)
    x = rng.integers(1, 9, 400)
    s = fit_spend(x, m)
    for c in (100, 1e6):
        there = fit_spend(x, m * c)
        assert [there.p, there.q, there.v / c] == pytest.approx([s.p, s.q, s.v], rel=1e-12)


def test_amounts_of_every_size_beside_each_other():
    """The least amount that a table holds, and a million millions: no logarithm of 0."""
    x, m = spends(50)
    s = fit_spend(np.r_[x, 3, 2], np.r_[m, 1e12, 1e-4])
    assert s.status == "boundary"
    assert np.isfinite(s.log_likelihood)
    worth = spend_per_purchase(s, [0, 3, 2], [np.nan, 1e12, 1e-4])
    assert (worth > 0).all()
    assert np.isfinite(worth).all()


def test_spend_without_history_is_the_prior_mean_and_never_negative():
    s = SpendModel(6.0, 4.0, 15.0, 0.0, 10, "converged", 30.0, 0.0)
    found = spend_per_purchase(s, [0, 3, 2, 2], [np.nan, np.nan, -50.0, 0.0])
    assert found[0] == found[1] == 30.0
    assert found[2] == found[3] > 0
    # q − 1 = 3 against p·x = 12: a fifth of the prior mean
    assert found[3] == pytest.approx(30 * 3 / 15)


def test_heavy_tails_never_give_negative_or_infinite_spend():
    x, m = spends(q=0.8)  # the mean of this world is infinite
    s = fit_spend(x, m)
    assert s.status == "fallback"
    assert "heavy-tailed" in s.warnings[-1]
    assert s.prior_mean == pytest.approx(m.mean())
    found = spend_per_purchase(s, np.r_[0, x], np.r_[np.nan, m])
    assert (found > 0).all()
    assert np.isfinite(found).all()


def test_equal_spend_is_that_spend():
    s = fit_spend([1, 2, 3], [25.0, 25.0, 25.0])
    assert s.status == "fallback"
    np.testing.assert_allclose(spend_per_purchase(s, [0, 9], [np.nan, 25.0]), 25.0)


def test_spend_that_goes_with_frequency_is_told():
    x, m = spends()
    s = fit_spend(x, m * x)
    assert s.correlation > 0.3
    assert "rank correlation +0." in s.warnings[0]
    assert fit_spend(x, m).warnings == ()
