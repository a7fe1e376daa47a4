"""The laws of later purchases and money against closed forms, quadrature and simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from tenure.evaluation.clv import coverage
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.clv import fit_purchases, fit_spend
from tenure.models.futures import likely_purchases, totals
from tenure.models.pareto import ParetoModel
from tenure.models.predictive import Leaving, laws
from tenure.models.purchases import expected_purchases, p_no_purchase
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import clv, combine, conditional_values, interval

FAMILIES = ("bg_nbd", "mbg_nbd", "pareto_nbd")
SPEND = SpendModel(6.25, 3.74, 15.44, 0.0, 946, "converged", 35.0, 0.1)
RFM = pd.DataFrame(
    {
        "frequency": [0, 0, 1, 4, 40, 2, 4, 5000],
        "recency": [0, 0, 30, 200, 300, 10, 80, 3649],
        "T": [0, 300, 40, 250, 310, 365, 100, 3650],
        "monetary_value": [np.nan, np.nan, 20.0, 55.0, 12.0, 400.0, np.nan, 3.0],
    }
).astype(float)
X, T_X, T = (RFM[c] for c in ("frequency", "recency", "T"))
TERMS = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 0.4}


def model(family="bg_nbd", r=0.24, alpha=31.0, a=0.79, b=2.4):
    if family == "pareto_nbd":  # a and b shape leaving here too: half are gone after some b·40 days
        return ParetoModel(r, alpha, a, 40 * b, 0.0, "converged", 1)
    return PurchaseModel(family, r, alpha, a, b, 0.0, "converged", 1)


def each(rfm, days, read, m=None, leaving=None, spend=SPEND):
    """Read something off every row's law, in the order of the rows."""
    found = np.full(len(rfm), np.nan)
    for law in laws(m or model(), spend, rfm, days, leaving):
        assert np.isnan(found[law.rows]).all()
        found[law.rows] = read(law)
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("days", [1, 30, 365, 3650])
def test_a_law_has_the_mean_and_the_silence_of_the_closed_forms(family, days):
    m = model(family)
    bought = each(RFM, days, lambda law: law.expected_purchases, m)
    np.testing.assert_allclose(bought, expected_purchases(m, X, T_X, T, days), rtol=5e-6)
    none = each(RFM, days, lambda law: law.chances[:, 0], m)
    np.testing.assert_allclose(none, p_no_purchase(m, X, T_X, T, days), rtol=1e-10)
    np.testing.assert_allclose(each(RFM, days, lambda law: law.chances.sum(axis=1), m), 1)
    assert each(RFM, days, lambda law: law.chances.min(axis=1), m).min() >= 0
    money = each(RFM, days, lambda law: law.expected_money, m)
    worth = spend_per_purchase(SPEND, X, RFM["monetary_value"])
    np.testing.assert_allclose(money, bought * worth, rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("horizon", "gap"), [(90, 0), (45, 0), (90, 14), (400, 30), (30, 400)])
def test_the_models_own_chance_of_leaving_changes_nothing(family, horizon, gap):
    m = model(family)
    own = Leaving(p_no_purchase(m, X, T_X, T, horizon, gap), horizon, gap)
    for plain, given in zip(laws(m, SPEND, RFM, 365), laws(m, SPEND, RFM, 365, own), strict=True):
        np.testing.assert_allclose(given.chances, plain.chances, atol=3e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("horizon", "gap"), [(90, 0), (400, 0), (90, 14), (400, 30)])
def test_a_calibrated_chance_moves_the_mean_as_the_value_does(family, horizon, gap):
    """(1 − p)·V_A + p·V_0 by quadrature is the mean of the law, p in place of the model's own."""
    m, p = model(family), np.linspace(0.02, 0.98, len(RFM))
    plain = {"horizon_days": 365, "annual_discount_rate": 0, "margin": 1}
    found = conditional_values(m, SPEND, RFM, label_horizon_days=horizon, gap_days=gap, **plain)
    money = each(RFM, 365, lambda law: law.expected_money, m, Leaving(p, horizon, gap))
    np.testing.assert_allclose(money, combine(p, found.V_A, found.V_0), rtol=1e-5)


def test_money_of_very_many_purchases_is_tabled_in_bins_and_right():
    many = pd.DataFrame([(400.0, 700.0, 702.0, 3.0)], columns=RFM.columns)
    (law,) = laws(model(), SPEND, many, 3650)
    assert law.chances.shape[1] > 2000
    for level in (0.3, 0.5, 0.95):
        (amount,) = law.money_at(level)
        assert law.money_until(amount)[1][0] == pytest.approx(level, abs=4e-3)


def lived(m, row, *, days, discount=0.0, gap=0, horizon=0, draws=150_000, seed=4):
    """Let one customer live on, purchase by purchase: counts, money, and who bought when asked."""
    x, t_x, age, mean = row
    rng = np.random.default_rng(seed)
    rate = rng.gamma(m.r + x, 1 / (m.alpha + age), draws)
    end, leave = np.inf, 0.0
    if m.family == "pareto_nbd":
        end = rng.exponential(1 / rng.gamma(m.s, 1 / (m.beta + age), draws))
    else:
        leave = rng.beta(m.a, m.b + x + (m.family == "mbg_nbd"), draws)
    nu = rng.gamma(SPEND.q + SPEND.p * x, 1 / (SPEND.v + x * mean), draws)
    alive = rng.random(draws) < p_alive(m, x, t_x, age)[0]
    now, count, money = np.zeros(draws), np.zeros(draws), np.zeros(draws)
    bought = np.zeros(draws, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= now < np.minimum(end, max(days, gap + horizon))
        counts = alive & (now < days)
        count += counts
        money += counts * rng.gamma(SPEND.p, 1 / nu) * (1 + discount) ** (-now / 365)
        bought |= alive & (now >= gap) & (now < gap + horizon)
        alive &= rng.random(draws) >= leave
    return count, money, bought


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_laws_agree_with_simulation(family):
    m, row = model(family, 0.8, 20.0, 0.9, 2.0), (4.0, 80.0, 100.0, 20.0)
    count, money, _ = lived(m, row, days=180)
    (law,) = laws(m, SPEND, pd.DataFrame([row], columns=RFM.columns), 180)
    seen = np.bincount(count.astype(int), minlength=law.chances.shape[1])[:40] / len(count)
    np.testing.assert_allclose(seen, law.chances[0, :40], atol=4 * 0.5 / np.sqrt(len(count)))
    for amount in (0.0, 10.0, 40.0, 150.0):
        below, until = law.money_until(np.array([amount]))
        assert (money < amount).mean() == pytest.approx(below[0], abs=0.004)
        assert (money <= amount).mean() == pytest.approx(until[0], abs=0.004)
    for level in (0.5, 0.75, 0.95):
        (amount,) = law.money_at(level)
        assert law.money_until(amount)[1][0] == pytest.approx(level, abs=2e-4)
        assert law.purchases_at(level)[0] == np.quantile(count, level, method="inverted_cdf")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("gap", "horizon"), [(0, 60), (45, 60)])
def test_laws_given_a_purchase_or_none_agree_with_simulation(family, gap, horizon):
    m, row = model(family, 0.8, 20.0, 0.9, 2.0), (4.0, 80.0, 100.0, 20.0)
    count, _, bought = lived(m, row, days=180, gap=gap, horizon=horizon)
    one = pd.DataFrame([row], columns=RFM.columns)
    for p, group in ((0.0, count[bought]), (1.0, count[~bought])):
        (law,) = laws(m, SPEND, one, 180, Leaving(np.array([p]), horizon, gap))
        seen = np.bincount(group.astype(int), minlength=law.chances.shape[1])[:40] / len(group)
        np.testing.assert_allclose(seen, law.chances[0, :40], atol=4 * 0.5 / np.sqrt(len(group)))


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_of_discounted_value_agree_with_simulation(family):
    m, row, p = model(family, 0.8, 20.0, 0.9, 2.0), (4.0, 80.0, 100.0, 20.0), 0.3
    _, money, bought = lived(m, row, days=365, discount=0.1, horizon=90)
    one = pd.DataFrame([row], columns=RFM.columns)
    terms = {**TERMS, "margin": 1.0}
    given = conditional_values(m, SPEND, one, label_horizon_days=90, **terms)
    mean = combine([p], given.V_A, given.V_0)
    low, high = interval(m, SPEND, one, mean, horizon_days=365, leaving=Leaving(np.array([p]), 90))
    weight = np.where(bought, (1 - p) / bought.sum(), p / (~bought).sum())
    order = np.argsort(money)
    until = np.cumsum(weight[order])
    assert low[0] == money[order][np.searchsorted(until, 0.05)] == 0
    # discounting a customer's purchases alike widens the bound by less than 1 % at 10 % a year
    assert high[0] == pytest.approx(money[order][np.searchsorted(until, 0.95)], rel=0.015)


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_contain_the_mean_and_are_finite_for_everybody(family):
    m = model(family)
    mean = clv(m, SPEND, RFM, **TERMS)
    low, high = interval(m, SPEND, RFM, mean, horizon_days=365)
    assert np.isfinite(high).all()
    assert ((low >= 0) & (low <= mean) & (mean <= high)).all()
    assert high[0] > 3 * mean[0]  # a customer of yesterday: wide
    assert 0.5 < low[-1] / mean[-1] < high[-1] / mean[-1] < 2  # 5,000 purchases: narrow
    seldom = model(family, r=0.001, alpha=5000.0)
    mean = clv(seldom, SPEND, RFM.head(2), **TERMS)
    low, high = interval(seldom, SPEND, RFM.head(2), mean, horizon_days=365)
    np.testing.assert_array_equal(high, mean)  # 99 in 100 bring nothing: widened to the mean


def test_a_customer_s_bounds_depend_on_nobody_else():
    m, rng = model("mbg_nbd"), np.random.default_rng(0)
    mean = clv(m, SPEND, RFM, **TERMS)
    p = np.where(np.arange(len(RFM)) % 3 == 0, np.nan, 0.4)
    every = interval(m, SPEND, RFM, mean, horizon_days=365, leaving=Leaving(p, 90))
    for chosen in (rng.permutation(len(RFM)), np.array([3]), np.array([7, 0])):
        some = interval(
            m, SPEND, RFM.iloc[chosen], mean[chosen], horizon_days=365,
            leaving=Leaving(p[chosen], 90),
        )  # fmt: skip
        np.testing.assert_array_equal(some, np.array(every)[:, chosen])


def test_the_currency_scales_bounds_and_time_units_do_not_matter():
    m = model()
    mean = clv(m, SPEND, RFM, **TERMS)
    bounds = interval(m, SPEND, RFM, mean, horizon_days=365)
    rich = dataclasses.replace(SPEND, v=SPEND.v * 1e6)
    dear = RFM.assign(monetary_value=RFM["monetary_value"] * 1e6)
    scaled = interval(m, rich, dear, mean * 1e6, horizon_days=365)
    np.testing.assert_allclose(scaled, np.array(bounds) * 1e6, rtol=1e-12)
    weekly = dataclasses.replace(m, alpha=m.alpha / 7)
    weeks = RFM.assign(recency=T_X / 7, T=T / 7)
    same = interval(weekly, SPEND, weeks, mean, horizon_days=365 / 7)
    np.testing.assert_allclose(same, bounds, rtol=1e-9)


@pytest.mark.parametrize("constant", [True, False])
def test_almost_constant_spend_and_heavy_tails_stay_finite(constant):
    shapes = {"p": 900.0, "q": 950.0, "v": 30.0} if constant else {"p": 0.4, "q": 1.01, "v": 5.0}
    spend = dataclasses.replace(SPEND, **shapes)
    mean = clv(model(), spend, RFM, **TERMS)
    low, high = interval(model(), spend, RFM, mean, horizon_days=365)
    assert np.isfinite(high).all()
    assert ((low >= 0) & (low <= mean) & (mean <= high)).all()


def world(m, n, days, seed):
    """Let n customers live through a calibration period and `days` more, by known parameters."""
    rng = np.random.default_rng(seed)
    age = rng.integers(30, 300, n).astype(float)
    rate, end, leave = rng.gamma(m.r, 1 / m.alpha, n), np.inf, np.zeros(n)
    if m.family == "pareto_nbd":
        end = rng.exponential(1 / rng.gamma(m.s, 1 / m.beta, n))
    else:
        leave = rng.beta(m.a, m.b, n)
    nu = rng.gamma(SPEND.q, 1 / SPEND.v, n)
    alive = rng.random(n) >= leave if m.family == "mbg_nbd" else np.full(n, True)
    now, last, x, later = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    spent, comes = np.zeros(n), np.zeros(n)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= now < end
        amount = rng.gamma(SPEND.p, 1 / nu)
        past, ahead = alive & (now < age), alive & (now >= age) & (now < age + days)
        x, last, spent = x + past, np.where(past, now, last), spent + past * amount
        later, comes = later + ahead, comes + ahead * amount
        alive &= (now < age + days) & (rng.random(n) >= leave)
    mean = np.divide(spent, x, out=np.full(n, np.nan), where=x > 0)
    rfm = pd.DataFrame({"frequency": x, "recency": last, "T": age, "monetary_value": mean})
    return rfm, later, comes


@pytest.mark.parametrize("family", FAMILIES)
def test_nine_in_ten_customers_of_simulated_worlds_fall_into_their_interval(family):
    """60 worlds of 400 customers: each is covered within its noise, all together closely."""
    m, shares = model(family, 0.6, 40.0, 0.8, 2.4), []
    for seed in range(60):
        rfm, later, comes = world(m, 400, 120, seed)
        sides = np.empty((4, len(rfm)))
        for law in laws(m, SPEND, rfm, 120):
            sides[:2, law.rows] = law.purchases_until(later[law.rows])
            sides[2:, law.rows] = law.money_until(comes[law.rows])
        shares.append([coverage(*pair, draws=0)["value"] for pair in (sides[:2], sides[2:])])
    np.testing.assert_allclose(np.mean(shares, axis=0), 0.9, atol=0.006)
    assert (np.mean((np.array(shares) > 0.87) & (np.array(shares) < 0.93)) > 0.9).all()
    # a planted fault is seen: the laws of a quarter of the horizon
    sides = np.empty((2, len(rfm)))
    for law in laws(m, SPEND, rfm, 30):
        sides[:, law.rows] = law.money_until(comes[law.rows])
    assert coverage(*sides, draws=0)["value"] < 0.87


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_totals_have_the_mean_of_the_laws_and_know_no_row_order(family):
    m, rng = model(family, 0.6, 40.0, 0.8, 2.4), np.random.default_rng(1)
    m = dataclasses.replace(m, n_customers=10**7)  # parameters as good as known
    rfm, _, _ = world(m, 3000, 120, 5)
    bought, money = totals(m, SPEND, rfm, 120, draws=200, seed=3)
    for drawn, expected in (
        (bought, expected_purchases(m, *(rfm[c] for c in ("frequency", "recency", "T")), 120)),
        (money, each(rfm, 120, lambda law: law.expected_money, m)),
    ):
        assert drawn.mean() == pytest.approx(expected.sum(), abs=4 * drawn.std() / np.sqrt(200))
    shuffled = totals(m, SPEND, rfm.iloc[rng.permutation(len(rfm))], 120, draws=200, seed=3)
    np.testing.assert_array_equal(shuffled, (bought, money))


def test_parameters_scatter_as_their_maximum_does():
    """The drawn spread of log r and log α against refits to 40 worlds of the same truth."""
    m = model("bg_nbd", 0.6, 40.0, 0.8, 2.4)
    found = []
    for seed in range(40):
        rfm, _, _ = world(m, 1000, 1, seed)
        rfm[["recency", "T"]] = rfm[["recency", "T"]].round()
        rfm["recency"] = np.where(rfm["frequency"] > 0, rfm["recency"].clip(lower=1), 0)
        found.append(fit_purchases(rfm, "bg_nbd"))
    likely = likely_purchases(found[0], draws=400, seed=1)
    for name in ("r", "alpha"):
        seen, said = (np.std(np.log([getattr(f, name) for f in fs])) for fs in (found, likely))
        assert said == pytest.approx(seen, rel=0.4), name


def test_nine_in_ten_totals_of_simulated_worlds_fall_into_their_interval():
    """60 worlds, each fitted anew: 54 are expected, and 2.6 standard errors are 6."""
    m, inside = model("mbg_nbd", 0.6, 40.0, 0.8, 2.4), np.zeros((60, 2), dtype=bool)
    for seed, found in enumerate(inside):
        rfm, later, comes = world(m, 300, 120, seed)
        fitted = fit_purchases(rfm, "mbg_nbd")
        spend = fit_spend(rfm["frequency"], rfm["monetary_value"])
        drawn = totals(fitted, spend, rfm, 120, draws=200, seed=seed)
        for k, (futures, actual) in enumerate(zip(drawn, (later.sum(), comes.sum()), strict=True)):
            low, high = np.quantile(futures, [0.05, 0.95])
            found[k] = low <= actual <= high
    assert (np.abs(inside.sum(axis=0) - 54) <= 6).all(), inside.sum(axis=0)
