"""Value of subscriptions: the paper's closed form, simulated ends, and what must always hold."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from tenure.errors import ConfigError
from tenure.models.ends import Ends
from tenure.models.spells import PERIOD_DAYS, ShiftedBetaGeometric, fit_spells
from tenure.value import Contracts, combine

PAPER = ShiftedBetaGeometric(0.668, 3.806)  # Fader & Hardie (2007), table 1, "high end"
MONTH = PERIOD_DAYS


def contracts(age=0.0, price=MONTH, sbg=PAPER, window=(0, 30), horizon=365, rate=0.1, **more):
    """Return subscriptions that bring one a day unless a price is given."""
    age, price = np.broadcast_arrays(np.atleast_1d(age).astype(float), price)
    more = {"margin": 1.0} | more
    return Contracts(
        Ends(sbg, age, *window), price, horizon_days=horizon, annual_discount_rate=rate, **more
    )


def stays(sbg, age, t):
    """S(age + t) / S(age) of the paper, t in periods."""
    a, b = mpmath.mpf(sbg.alpha), mpmath.mpf(sbg.beta)
    return mpmath.beta(a, b + age + t) / mpmath.beta(a, b + age)


class TestPaper:
    @pytest.mark.parametrize("renewals", [0, 1, 4, 12])
    @pytest.mark.parametrize("rate", [0.1, 0.3])
    def test_discounted_expected_residual_lifetime(self, renewals, rate):
        """Fader & Hardie (2010): DERL = (β+n)/(α+β+n) · 2F1(1, β+n+1; α+β+n+1; 1/(1+d)).

        The closed form pays at each renewal; paid evenly over the month it is more by half a
        payment and, by Euler and Maclaurin, S'(0)/12.
        """
        a, b, d = PAPER.alpha, PAPER.beta, (1 + rate) ** (MONTH / 365)
        n = renewals
        closed = (b + n) / (a + b + n) * mpmath.hyp2f1(1, b + n + 1, a + b + n + 1, 1 / d) / d
        payments = np.array([float(stays(PAPER, n, t)) for t in range(1, 200)])
        some = float(payments @ float(d) ** -np.arange(1.0, 200))
        assert some < float(closed) < some + payments[-1] * float(d) ** -199 / (1 - 1 / float(d))
        slope = mpmath.psi(0, b + n) - mpmath.psi(0, a + b + n) - mpmath.log(d)
        said = contracts(n * MONTH, horizon=3000 * MONTH, rate=rate).clv(np.nan) / MONTH
        # steps of 30 days are discounted at their middle: 4e-5 at 10 % a year
        assert said[0] == pytest.approx(float(closed + 0.5 + slope / 12), rel=3e-4)

    @pytest.mark.parametrize("age", [0, 17, 400])
    def test_months_by_quadrature(self, age):
        """Undiscounted there are no steps to speak of: the integral of S itself."""
        a = age / MONTH
        exact = mpmath.quad(lambda t: stays(PAPER, a, t), np.linspace(0, 365, 14) / MONTH)
        said = contracts(age, rate=0.0).clv(np.nan)[0] / MONTH
        assert said == pytest.approx(float(exact), rel=1e-6)

    @pytest.mark.parametrize("window", [(0, 30), (14, 90)])
    def test_given_when_it_ends_by_quadrature(self, window):
        """Values given an end after, in and before the label window, step by step, by mpmath."""
        age, (g, c), rate = 100, window, 0.2
        edges = sorted({*range(0, g, 30), *range(g, c, 30), *range(c, 365, 30), 365})
        s = lambda t: stays(PAPER, age / MONTH, t / MONTH)  # noqa: E731
        laws = {
            "V_A": lambda t: s(t) / s(c) if t > c else mpmath.mpf(1),
            "V_0": lambda t: (s(min(max(t, g), c)) - s(c)) / (s(g) - s(c)),
            "V_gap": lambda t: (s(min(t, g)) - s(g)) / (1 - s(g)) if g else mpmath.mpf(0),
        }
        given = contracts(age, window=window, rate=rate).values()
        for name, law in laws.items():
            exact = sum(
                mpmath.quad(law, [u, v]) * (1 + rate) ** (-(u + v) / 2 / 365)
                for u, v in pairwise(edges)
            )
            assert getattr(given, name)[0] == pytest.approx(float(exact), rel=1e-6), name
        assert given.p0[0] == pytest.approx(float(s(g) - s(c)), rel=1e-9)

    def test_the_information_of_the_estimates(self):
        """The covariance of log α and log β is the inverse Hessian: by finite differences."""
        rng = np.random.default_rng(4)
        lasts = rng.geometric(rng.beta(2, 18, 5000))
        days, left = np.minimum(lasts, 20) * MONTH, lasts <= 20
        sbg = fit_spells(days, left).sbg

        def loss(theta):
            a, b = map(mpmath.exp, theta)
            t, n = np.unique(np.minimum(lasts, 20) * np.where(left, 1, -1), return_counts=True)
            return -sum(
                int(k)
                * mpmath.log(
                    mpmath.beta(a + 1, b + int(v) - 1) if v > 0 else mpmath.beta(a, b - int(v))
                )
                for v, k in zip(t, n, strict=True)
            ) + 5000 * mpmath.log(mpmath.beta(a, b))

        at = [mpmath.log(sbg.alpha), mpmath.log(sbg.beta)]
        h = mpmath.mpf("1e-4")
        hessian = mpmath.matrix(2, 2)
        for i in range(2):
            for j in range(2):
                total = mpmath.mpf(0)
                for si in (1, -1):
                    for sj in (1, -1):
                        moved = list(at)
                        moved[i] += si * h
                        moved[j] += sj * h
                        total += si * sj * loss(moved)
                hessian[i, j] = total / (4 * h * h)
        exact = np.array((hessian**-1).tolist(), dtype=float)
        np.testing.assert_allclose(sbg.log_covariance, exact, rtol=1e-4)


def lifetimes(rng, sbg, age, p, window, n):
    """Draw ends: p of them in the window, the gap's own share before, the others later.

    By single customers with their own chance, in continuous time between the periods by inverting
    the paper's S; nothing of the code under test.
    """

    def s(t):
        t = np.asarray(t, dtype=float) / MONTH
        a, b = sbg.alpha, sbg.beta
        return np.exp(gammaln(b + t) - gammaln(a + b + t) - gammaln(b) + gammaln(a + b))

    grid = np.arange(0, 20_000)
    curve = s(age + grid) / s(age)
    g, c = window
    early = 1 - curve[g]
    u = rng.random(n)
    own = np.where(
        u < early,
        1 - u,
        np.where(
            u < early + p,
            curve[g] - (u - early) / p * (curve[g] - curve[c]),
            curve[c] * (1 - u) / (1 - early - p),
        ),
    )
    return np.interp(-own, -curve, grid)


class TestSimulation:
    @pytest.mark.parametrize(
        ("age", "p", "window", "horizon"),
        [(0, 0.3, (0, 30), 365), (200, 0.03, (0, 30), 365), (500, 0.5, (10, 60), 200),
         (60, 0.2, (0, 90), 60), (30, 0.7, (0, 30), 700)],
    )  # fmt: skip
    def test_mean_variance_and_bounds_of_drawn_ends(self, age, p, window, horizon):
        rng, n = np.random.default_rng(11), 200_000
        drawn = lifetimes(rng, PAPER, age, p, window, n)
        here = contracts(age, window=window, horizon=horizon)
        mean = here.clv(p)
        money = contracts(np.full(n, age), window=window, horizon=horizon).value_until(drawn)
        tolerance = 4 * money.std() / np.sqrt(n)
        assert mean[0] == pytest.approx(money.mean(), abs=tolerance)
        assert here.variance(p)[0] == pytest.approx(money.var(), rel=0.02)
        low, high = here.interval(p, mean)
        inside = ((money >= low[0] - 1e-9) & (money <= high[0] + 1e-9)).mean()
        least = np.quantile(money, [0.05, 0.95])
        assert inside >= 0.9 - 0.004  # who stays to the end shares one amount, so it may be more
        assert low[0] == pytest.approx(min(least[0], mean[0]), rel=0.03, abs=0.5)
        assert high[0] == pytest.approx(max(least[1], mean[0]), rel=0.03, abs=0.5)
        # of those who end before the horizon, who get different amounts, 5 % fall below exactly
        assert (money < low[0] - 1e-9).mean() <= 0.05 + 0.003

    def test_value_until_is_the_discounted_money_of_each_day(self):
        """Day by day; within a step of 30 days the discount is that of its middle."""
        here = contracts(np.zeros(5), horizon=300)
        ends = np.array([0, 1, 45, 299, 5000])
        exact = [np.sum(1.1 ** (-(np.arange(min(e, 300)) + 0.5) / 365)) for e in ends]
        np.testing.assert_allclose(here.value_until(ends), exact, atol=0.04)

    def test_a_population_is_worth_what_it_brings(self):
        """100 worlds of 200 customers with chances of their own: mean, and where totals fall."""
        rng, worlds, size = np.random.default_rng(2), 100, 200
        missed, inside = [], 0
        for _ in range(worlds):
            theta = rng.beta(2, 18, 4000)
            lasts = rng.geometric(theta) * MONTH
            start = rng.integers(1, 20, 4000) * MONTH
            sbg = fit_spells(np.minimum(lasts, start), lasts <= start).sbg
            alive = np.flatnonzero(lasts > start)[:size]
            here = contracts(start[alive], sbg=sbg, rate=0.0, horizon=10 * MONTH)
            expected = here.clv(np.nan)
            left = np.minimum(lasts[alive] - start[alive], 10 * MONTH)
            reach = np.sqrt(here.variance(np.nan).sum() + (here.drift(np.nan).sum(0) ** 2).sum())
            # ends fall on whole months here and anywhere between them in the model: half a month
            ends = np.minimum(lasts[alive] - start[alive], 10 * MONTH + MONTH / 2) - MONTH / 2
            total = np.minimum(ends, 10 * MONTH).sum()
            missed.append((expected.sum() - total) / left.sum())
            inside += abs(expected.sum() - total) <= 1.645 * reach
        assert abs(np.mean(missed)) < 0.01
        assert 0.825 < inside / worlds < 0.975  # ± 2.5 standard errors of 100 worlds


AGES, CHANCES = st.floats(0, 4000), st.floats(0, 1)
PARAMETER = st.floats(0.05, 60)


@settings(deadline=None, max_examples=60)
@given(PARAMETER, PARAMETER, AGES, CHANCES, st.integers(1, 900), st.integers(1, 200),
       st.integers(0, 90), st.floats(0, 2))  # fmt: skip
def test_what_must_always_hold(alpha, beta, age, p, horizon, label, gap, rate):
    sbg = ShiftedBetaGeometric(alpha, beta)
    form = {"sbg": sbg, "window": (gap, gap + label), "rate": rate}
    here = contracts(age, horizon=horizon, **form)
    V_A, V_0, p0, V_gap = (x[0] for x in here.values())
    most = here.value_until(horizon)[0]
    slack = 1e-9 * most
    assert 0 <= V_gap <= V_0 + slack <= V_A + 2 * slack <= most + 3 * slack
    assert 0 <= p0 <= 1
    value = here.clv(p)[0]
    assert V_gap - slack <= value <= V_A + slack
    if not gap:  # the likelier to leave, the less
        assert here.clv(min(1.0, p + 0.1))[0] <= value + slack
    assert value <= contracts(age, horizon=horizon + 50, **form).clv(p)[0] * (1 + 1e-3)
    low, high = here.interval(p, [value])
    assert 0 <= low[0] <= value <= high[0] <= most + slack
    if not gap:
        assert value == pytest.approx(combine(p, V_A, V_0), abs=1e-12 + slack)
    if horizon <= gap + label:
        assert pytest.approx(most) == V_A  # cut at the horizon: who survives the window paid all


def test_by_the_timings_own_chance_it_is_the_timing_alone():
    """(1 − p0)·V_A + p0·V_0 is the integral of the paper's S, whatever the window."""
    ages = np.array([0.0, 40, 900])
    alone = contracts(ages, window=(0, 1), rate=0.0).clv(np.nan)
    for window in ((0, 30), (0, 200), (20, 50)):
        here = contracts(ages, window=window, rate=0.0)
        np.testing.assert_allclose(here.clv(np.nan), alone, rtol=1e-6)
        np.testing.assert_allclose(here.clv(here.values().p0), alone, rtol=1e-6)


def test_who_stays_leaves_ever_more_slowly():
    """Never a constant hazard: of those who survive the window, older ones are worth more."""
    V_A = contracts([0, 100, 1000]).values().V_A
    assert (np.diff(V_A) > 0).all()


def test_scale_of_currency_and_rows_alone():
    ages, prices = np.array([3.0, 77, 800]), np.array([9.0, 49, 199])
    p = np.array([0.02, 0.4, np.nan])
    here, dear = contracts(ages, prices), contracts(ages, prices * 2.0**20)
    np.testing.assert_array_equal(here.clv(p) * 2.0**20, dear.clv(p))
    million = contracts(ages, prices * 1e6)
    np.testing.assert_allclose(here.clv(p) * 1e6, million.clv(p), rtol=1e-14)
    bounds = [np.array(c.interval(p, c.clv(p))) for c in (here, million)]
    np.testing.assert_allclose(bounds[0] * 1e6, bounds[1], rtol=1e-14)
    for i in range(3):
        one = contracts(ages[i], prices[i])
        assert one.clv(p[i : i + 1])[0] == here.clv(p)[i]


def test_margin_cost_and_trial():
    full = contracts(50, 30.0).clv(0.1)
    assert contracts(50, 30.0, margin=0.4).clv(0.1) == pytest.approx(0.4 * full)
    assert contracts(50, 30.0, margin=0.4, cost_to_serve=3).clv(0.1) == pytest.approx(0.3 * full)
    assert contracts(50, 30.0, cost_to_serve=31).clv(0.1) == 0  # no month is worth less than 0
    free = contracts(0, 30.0, rate=0.0, unpaid_days=14.0)
    paid = contracts(0, 30.0, rate=0.0)
    assert free.value_until([14.0, 20.0]).tolist() == pytest.approx([0, 6 * 30 / MONTH])
    lost = paid.clv(np.nan) - free.clv(np.nan)
    assert 0 < lost[0] < 14 * 30 / MONTH
    assert lost[0] == pytest.approx(contracts(0, 30.0, rate=0.0, horizon=14).clv(np.nan)[0])
    low, high = free.interval(np.nan, free.clv(np.nan))
    assert 0 <= low[0] < free.clv(np.nan)[0] < high[0]


def test_a_customer_of_yesterday_and_one_whose_age_is_not_known():
    here = contracts([1, np.nan, 0], 20.0)
    value = here.clv([np.nan, np.nan, np.nan])
    assert np.isfinite(value).all()
    assert value[1] == value[2]  # the prior's: an age of 0
    low, high = here.interval(np.nan, value)
    assert (low < 0.2 * value).all()
    assert (high > 1.3 * value).all()
    assert np.isnan(contracts(10, np.nan).clv(0.1)).all()


def test_terms_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="margin"):
        contracts(margin=0)
    with pytest.raises(ConfigError, match="horizon_days"):
        contracts(horizon=0)
