"""The top of a likelihood: found from far, held at the edge of sense, with the right curvature."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln, polygamma

from tenure.models import edges, optimum
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend

SHAPES = (0, 2, 3)


def gamma_sample(n=500):
    return np.random.default_rng(3).gamma(2.5, 1 / 0.4, n)


def gamma_likelihood(x):
    def value(parameters):
        k, rate = parameters
        likelihood = k * np.log(rate) - gammaln(k) + (k - 1) * np.log(x) - rate * x
        return float(likelihood.sum())

    return value


def free(parameters):
    return parameters


@pytest.mark.parametrize("start", [(0.01, 50.0), (2.0, 0.5), (300.0, 0.001)])
def test_the_top_is_reached_from_anywhere_and_is_flat(start):
    x = gamma_sample()
    top = optimum.climb(gamma_likelihood(x), np.array(start), len(x), free)
    k, rate = top.at
    assert k / rate == pytest.approx(x.mean(), rel=1e-6)  # the likelihood equations of the gamma
    slope = len(x) * (np.log(rate) - polygamma(0, k)) + np.log(x).sum()
    assert abs(slope) / len(x) < 1e-6
    assert top.gradient < optimum.FLAT / 10


def test_covariance_is_the_inverse_of_the_fisher_information_off_the_diagonal_too():
    x = gamma_sample()
    top = optimum.climb(gamma_likelihood(x), np.array([1.0, 1.0]), len(x), free)
    k, rate = top.at
    plain = len(x) * np.array([[polygamma(1, k), -1 / rate], [-1 / rate, k / rate**2]])
    logs = np.diag([k, rate]) @ plain @ np.diag([k, rate])  # at the top slopes vanish
    np.testing.assert_allclose(top.covariance, np.linalg.inv(logs), rtol=1e-5)
    drawn = np.log(optimum.drawn(top.at, top.covariance, 40_000, seed=1))
    np.testing.assert_allclose(np.cov(drawn.T), top.covariance, rtol=0.05)


def test_a_direction_without_information_has_no_spread():
    found = optimum.covariance(np.array([[100.0, 0.0], [0.0, 1e-4]]))
    np.testing.assert_allclose(found, [[0.01, 0], [0, 0]])


def test_a_likelihood_that_rises_for_ever_ends_at_the_edge():
    def value(parameters):
        return -float(np.log(parameters[0] / 3) ** 2 + 1 / parameters[1])

    def within(parameters):
        return np.minimum(parameters, [np.inf, 1e3])

    top = optimum.climb(value, np.array([1.0, 1.0]), 10, within)
    assert top.at == pytest.approx([3, 1e3], rel=1e-4)
    found = optimum.find(lambda *_: None, value, [], np.ones(2), 10, within)
    np.testing.assert_allclose(vars(found)["at"], top.at)


def test_back_within_sense_a_pair_keeps_its_ratio_and_what_vanishes_is_held():
    found = edges.within_sense(np.array([4e3, 8e5, 1e-7, 2.0]), SHAPES)
    assert found == pytest.approx([1e3, 2e5, 1e-3, 2.0])
    assert edges.within_sense(found, SHAPES) == pytest.approx(found)
    mean = 5e4 * 1e-4 / (9e3 - 1)
    p, q, v = edges.within_sense_of_spend(np.array([5e4, 9e3, 1e-4]))
    assert (p, q) == (1e3, 1e3)
    assert p * v / (q - 1) == pytest.approx(mean, rel=1e-2)


def first_seen(*days):
    """Ages on day 400 of customers first seen on these days of the log."""
    return 400.0 - np.concatenate(days)


@pytest.mark.parametrize(
    ("age", "is_cut"),
    [
        (first_seen(np.arange(400)), False),  # one new customer a day
        (first_seen(np.arange(90)), False),  # a cohort, as in CDNOW
        (first_seen(np.zeros(500), np.arange(2)), False),  # all on two days: chosen so
        (first_seen(np.arange(400), np.repeat(np.arange(20), 20)), True),
        (first_seen(np.repeat(np.arange(3), 10), np.arange(0, 400, 40)), False),  # too few to say
    ],
)
def test_a_log_that_begins_after_its_customers_is_recognised(age, is_cut):
    told = edges.left_truncation(age, np.ones(len(age)))
    assert bool(told) == is_cut
    assert not told or "54% of customers were first seen in the log's first 30 days" in told[0]


def few_customers(seed):
    """A random log of few customers, from loyal to gone, from daily to yearly."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    T = rng.integers(0, 700, n).astype(float)
    x = np.minimum(rng.poisson(rng.gamma(0.3, 10, n)), T)
    t_x = np.where(x > 0, np.maximum(x, np.round(T * rng.random(n))), 0)
    return pd.DataFrame({"frequency": x, "recency": t_x, "T": T})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_log_ends_in_a_known_state_that_its_slope_and_words_bear_out(family):
    seen = set()
    for seed in range(25):
        rfm = few_customers(seed)
        if not (rfm["frequency"] > 0).any():
            continue
        model = fit_purchases(rfm, family)
        seen.add(model.status)
        assert model.status in {"converged", "boundary", "fallback"}
        assert np.isfinite(model.log_likelihood)
        if model.status == "converged":
            assert model.gradient <= optimum.FLAT
            assert not model.warnings
        else:
            assert model.warnings
    assert {"converged", "boundary"} <= seen


def test_spend_of_few_customers_ends_in_a_known_state_too():
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 40))
        spend = fit_spend(rng.integers(1, 9, n), rng.lognormal(3, rng.choice([0.01, 1, 3]), n))
        assert spend.status in {"converged", "boundary", "fallback"}
        assert 0 < spend.prior_mean < np.inf
        assert spend.q > 1
        assert spend.status != "converged" or spend.gradient <= optimum.FLAT


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_is_said_to_leave_alike_where_hardly_anybody_leaves(family):
    """The edge where nobody leaves has a small shape beside a large one: one sentence is true."""
    top = optimum.Optimum(np.array([0.4, 40.0, 1e-3, 1e3]), -1.0, 0.0, np.zeros((4, 4)))
    (told,) = edges.purchases_at_the_edge(family, top)
    assert "hardly anybody ever leaves" in told
    assert "alike" not in told


@pytest.mark.parametrize("family", ["bg_nbd", "mbg_nbd"])
def test_leaving_at_once_or_never_is_one_sentence(family):
    top = optimum.Optimum(np.array([0.4, 40.0, 1e-3, 1e-3]), -1.0, 0.0, np.zeros((4, 4)))
    (told,) = edges.purchases_at_the_edge(family, top)
    assert told.endswith("some leave after their first purchases and the others never.")


def test_an_end_that_is_not_flat_is_never_called_converged():
    """A parameter that sets a scale may end at its edge too, where no shape did."""
    top = optimum.Optimum(np.array([0.4, 1e-9, 0.5, 2.0]), -1.0, 0.3, np.zeros((4, 4)))
    assert "read its values as rough" in edges.purchases_at_the_edge("mbg_nbd", top)[0]
    spend = optimum.Optimum(np.array([0.07, 1.06, 1e-6]), -1.0, 0.9, np.zeros((3, 3)))
    _, status, told = edges.guarded_spend(spend, np.array([1e-9, 1e3]))
    assert status == "boundary"
    assert "cannot be told" in told[0]


def test_a_likelihood_that_is_no_number_is_never_taken():
    def value(parameters):
        return float("nan") if parameters[0] > 2 else float(np.log(parameters[0]))

    top = optimum.climb(value, np.array([1.0]), 10, free)
    assert 1 <= vars(top)["at"][0] <= 2
    ends = iter([np.array([5.0]), np.array([1.5])])
    found = optimum.find(lambda *_: next(ends, None), value, [np.ones(1)] * 2, np.ones(1), 10, free)
    assert found is None or np.isfinite(found.value)
