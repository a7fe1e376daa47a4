"""Totals of groups and how sure they are: by hand, draw by draw, against simulated companies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from tenure.models.btyd import PurchaseModel
from tenure.models.clv import fit_purchases, fit_spend
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import totals
from tenure.value.totals import LEAST_ORIGINS, likely_totals, missed, said_total, widened

COVARIANCE = tuple(map(tuple, (0.01 * np.eye(4)).tolist()))
TIMING = PurchaseModel("mbg_nbd", 0.8, 25.0, 0.8, 2.4, 0.0, "converged", 400, (), None, COVARIANCE)
SPEND = SpendModel(6.25, 3.74, 15.44, 0.0, 946, "converged", 35.0, 0.1)
DAYS = 120


def company(seed, n=400, days=DAYS):
    """Simulate customers by `TIMING` and `SPEND`: their histories, and what came after them."""
    rng = np.random.default_rng(seed)
    age = rng.integers(60, 400, n).astype(float)
    rate = rng.gamma(TIMING.r, 1 / TIMING.alpha, n)
    leave = rng.beta(TIMING.a, TIMING.b, n)
    own = rng.gamma(SPEND.q, 1 / SPEND.v, n)
    table = np.zeros((n, 3))  # frequency, recency, money
    after = np.zeros((2, n))
    now, alive = np.zeros(n), rng.random(n) >= leave
    while alive.any():
        now = np.where(alive, now + rng.exponential(1 / rate), np.inf)
        money = rng.gamma(SPEND.p, 1 / own)
        before, later = alive & (now <= age), alive & (now > age) & (now <= age + days)
        table[before] = np.c_[table[:, 0] + 1, now, table[:, 2] + money][before]
        after += later * np.array([np.ones(n), money])
        alive &= (now <= age + days) & (rng.random(n) >= leave)
    x, t_x, spent = table.T
    mean = np.divide(spent, x, out=np.full(n, np.nan), where=x > 0)
    rfm = pd.DataFrame({"frequency": x, "recency": t_x, "T": age, "monetary_value": mean})
    return rfm, after


def expected(rfm, timing=TIMING, spend=SPEND):
    x, t_x, T, m = (rfm[c].to_numpy() for c in rfm)
    bought = expected_purchases(timing, x, t_x, T, DAYS)
    return bought, bought * spend_per_purchase(spend, x, m)


def by_frequency(rfm):
    return np.searchsorted([1, 3], rfm["frequency"], side="right")


def drawn(rfm, said, groups, **how):
    return likely_totals(TIMING, SPEND, rfm, DAYS, said, groups, **how)


def everybody(rfm):
    return np.zeros(len(rfm), dtype=np.intp)


class TestWidened:
    def test_by_hand(self):
        errors = [0.1, -0.2, 0.3, -0.1]
        reach = np.exp(student.ppf(0.95, 4) * np.sqrt((0.01 + 0.04 + 0.09 + 0.01) / 4))
        found = widened(1000.0, 990.0, 1010.0, errors)
        assert found == pytest.approx((1000 / reach, 1000 * reach))
        # t(.95, 4) = 2.132 in any table
        assert np.log(found[1] / 1000) == pytest.approx(2.132 * np.sqrt(0.0375), rel=1e-3)

    def test_the_wider_of_both_holds_at_either_end(self):
        errors = [0.05, 0.05, 0.05]
        reach = np.exp(2.3534 * 0.05)
        found = widened(100.0, 50.0, 101.0, errors)
        assert found[0] == 50.0
        assert found[1] == pytest.approx(100 * reach, rel=1e-5)

    @pytest.mark.parametrize("errors", [[], [3.0], [3.0, -3.0]])
    def test_few_errors_say_nothing(self, errors):
        assert len(errors) < LEAST_ORIGINS
        assert widened(100.0, 95.0, 106.0, errors) == (95.0, 106.0)

    def test_no_errors_and_nothing_expected(self):
        assert widened(100.0, 95.0, 106.0, [0.0] * 3) == (95.0, 106.0)
        assert widened(0.0, 0.0, 0.0, [0.5] * 3) == (0.0, 0.0)

    def test_they_hold_the_next_error_nine_times_in_ten(self):
        """Of normal errors about 0, however large; 4,000 companies, four binomial errors."""
        rng = np.random.default_rng(0)
        for n in (3, 8):
            errors = rng.normal(0, 0.3, (4000, n + 1))
            inside = 0
            for row in errors:
                low, high = widened(1.0, 1.0, 1.0, row[:-1].tolist())
                inside += low <= np.exp(row[-1]) <= high
            assert inside / 4000 == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 4000))


def test_a_total_contains_what_is_said_of_it():
    futures = np.arange(101.0)
    assert said_total(50.0, futures) == {"expected": 50.0, "lower": 5.0, "upper": 95.0}
    assert said_total(200.0, futures) == {"expected": 200.0, "lower": 5.0, "upper": 200.0}
    wide = said_total(50.0, futures, [1.0] * 3)
    assert wide["upper"] == pytest.approx(50 * np.exp(student.ppf(0.95, 3)))


def test_the_futures_of_groups_sum_to_those_of_all_draw_by_draw():
    rfm, _ = company(1)
    groups = {"all": everybody(rfm), "by": by_frequency(rfm), "odd": np.arange(len(rfm)) % 7}
    found = drawn(rfm, expected(rfm), groups, draws=50)
    assert found["by"].shape == (2, 3, 50)
    for name in ("by", "odd"):
        np.testing.assert_allclose(found[name].sum(axis=1), found["all"][:, 0], rtol=1e-12)
    # and asking for groups changes nothing for all
    alone = drawn(rfm, expected(rfm), {"all": everybody(rfm)}, draws=50)
    np.testing.assert_allclose(alone["all"], found["all"], rtol=1e-12)


def test_the_mean_of_the_futures_is_what_is_said():
    """Also where what is said is not what the models expect: each customer in proportion."""
    rfm, _ = company(2)
    exact = PurchaseModel("mbg_nbd", 0.8, 25.0, 0.8, 2.4, 0.0, "converged", 400)
    factor = np.random.default_rng(0).uniform(0.2, 3.0, len(rfm))
    said = tuple(factor * column for column in expected(rfm))
    groups = {"by": by_frequency(rfm)}
    found = likely_totals(exact, SPEND, rfm, DAYS, said, groups, draws=800)["by"]
    for k in range(3):
        for futures, column in zip(found[:, k], said, strict=True):
            error = futures.std() / np.sqrt(800)
            assert futures.mean() == pytest.approx(column[groups["by"] == k].sum(), abs=4 * error)


def test_the_order_of_the_rows_does_not_matter():
    rfm, _ = company(3)
    rfm = pd.concat([rfm, rfm.iloc[:50]], ignore_index=True)  # equal customers in unlike groups
    said, code = expected(rfm), np.arange(len(rfm)) % 3
    order = np.random.default_rng(0).permutation(len(rfm))
    one = drawn(rfm, said, {"odd": code}, draws=20)["odd"]
    other = drawn(rfm.iloc[order], tuple(c[order] for c in said), {"odd": code[order]}, draws=20)[
        "odd"
    ]
    np.testing.assert_allclose(other, one, rtol=1e-12)
    same = drawn(rfm, said, {"odd": code}, draws=20)["odd"]
    np.testing.assert_array_equal(same, one)
    assert (drawn(rfm, said, {"odd": code}, draws=20, seed=1)["odd"] != one).any()


def test_who_is_said_to_bring_nothing_brings_nothing():
    rfm, _ = company(4, n=50)
    found = drawn(rfm, (np.zeros(50), np.zeros(50)), {"all": everybody(rfm)}, draws=10)["all"]
    assert (found == 0).all()
    nobody = rfm.iloc[:0]
    empty = drawn(nobody, (np.empty(0), np.empty(0)), {"all": everybody(nobody)}, draws=10)["all"]
    assert empty.shape == (2, 0, 10)


def test_nine_in_ten_totals_of_simulated_companies_are_inside():
    """60 companies of 300 customers, all fitted anew: everybody, and groups by frequency.

    Tolerance: not fewer than the .1 % point of a binomial at .9, which is 46 of 60 totals and 149
    of 180 totals of groups. Measured: 51 and 51 (purchases, value); 158 and 159.
    """
    worlds, inside = 60, {"all": np.zeros(2), "by": np.zeros(2)}
    for seed in range(worlds):
        rfm, after = company(100 + seed, n=300)
        timing = fit_purchases(rfm[["frequency", "recency", "T"]], "mbg_nbd")
        spend = fit_spend(rfm["frequency"], rfm["monetary_value"])
        said = expected(rfm, timing, spend)
        groups = {"all": everybody(rfm), "by": by_frequency(rfm)}
        found = likely_totals(timing, spend, rfm, DAYS, said, groups, draws=200, seed=seed)
        for name, code in groups.items():
            for what in range(2):
                for k in range(code.max() + 1):
                    here = code == k
                    total = said_total(said[what][here].sum(), found[name][what, k])
                    came = after[what][here].sum()
                    inside[name][what] += total["lower"] <= came <= total["upper"]
    for name, totals_held in (("all", worlds), ("by", 3 * worlds)):
        assert (inside[name] >= binom.ppf(0.001, totals_held, 0.9)).all(), inside
    # ranges that held everything would pass the lines above: over all of them some must miss
    assert sum(counts.sum() for counts in inside.values()) < 0.98 * 8 * worlds


class TestThinned:
    """Above a limit every so many customers live on, here above 500."""

    @pytest.fixture(autouse=True)
    def few_lives(self, monkeypatch):
        monkeypatch.setattr(totals, "_LIVES", 500)

    def test_the_mean_stays_and_the_range_is_not_narrower(self, monkeypatch):
        rfm, _ = company(6, n=1700)
        said, groups = expected(rfm), {"all": everybody(rfm), "by": by_frequency(rfm)}
        thin = drawn(rfm, said, groups, draws=300)
        monkeypatch.setattr(totals, "_LIVES", 10_000)
        full = drawn(rfm, said, groups, draws=300)
        for name in groups:
            for futures, whole in zip(thin[name], full[name], strict=True):
                error = np.hypot(futures.std(axis=1), whole.std(axis=1)) / np.sqrt(300)
                assert (abs(futures.mean(axis=1) - whole.mean(axis=1)) < 4 * error).all()
            # 300 draws know a spread to 4 %, and the ratio of two to 6
            assert (thin[name].std(axis=2) > 0.88 * full[name].std(axis=2)).all()

    @pytest.mark.parametrize("n", [500, 501, 563, 571, 999, 1000, 1157])
    def test_any_number_of_customers_can_be_thinned(self, n):
        rfm, _ = company(7, n=n)
        found = drawn(rfm, expected(rfm), {"all": everybody(rfm)}, draws=2)["all"]
        assert found.shape == (2, 1, 2)

    def test_a_group_of_few_is_not_thinned_away(self):
        """However few they are: their futures have the mean that is said, and both its sides."""
        rfm, _ = company(8, n=2000)
        rfm = rfm.sort_values("frequency", ignore_index=True)
        code = np.zeros(2000, dtype=np.intp)
        code[1995:1998], code[1999] = 1, 2
        said = expected(rfm)
        found = drawn(rfm, said, {"few": code}, draws=400)["few"]
        for k in (1, 2):
            mean = said[1][code == k].sum()
            assert found[1, k].mean() == pytest.approx(mean, rel=0.3)
            total = said_total(mean, found[1, k])
            assert total["lower"] < mean < total["upper"]


def test_what_came_to_nothing_widens_the_most():
    assert missed(0.0, 100.0) == missed(-50.0, 100.0) == pytest.approx(np.log(0.01))
    assert missed(100.0, 0.0) is None
    narrow, wide = (widened(100.0, 95.0, 105.0, [0.05, e, 0.05]) for e in (0.3, missed(0, 100)))
    assert wide[0] < narrow[0] < 95
