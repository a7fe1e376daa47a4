"""MPC and EMPC against the paper's formula, a search over all thresholds, and package empulse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from tenure.evaluation.metrics import Tally
from tenure.evaluation.profit import CONCENTRATION, Prices, empc, mpc

PAPER = Prices(value=200, incentive=10, contact_cost=1, accept_rate=0.3)
samples = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), min_size=2, max_size=30).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)
prices = st.builds(
    Prices,
    value=st.sampled_from([5.0, 40.0, 200.0, 3000.0]),
    incentive=st.sampled_from([0.0, 5.0, 10.0]),
    contact_cost=st.sampled_from([0.0, 1.0, 5.0]),
    accept_rate=st.sampled_from([0.05, 0.3, 0.8, 1.0]),
    stayers_take_rate=st.sampled_from([0.0, 0.4, 1.0]),
)


def split(rows):
    y, p = np.array(rows, dtype=float).T
    return y, p / 10


def at_every_threshold(y, p, prices, accept):
    """Profit a row of contacting nobody, or all down to each probability, at each accept rate."""
    profits = [np.zeros_like(accept)]
    for limit in np.unique(p):
        churners, stayers = (y[p >= limit] == 1).sum(), (y[p >= limit] == 0).sum()
        kept = churners * accept * (prices.value - prices.incentive)
        given_away = stayers * prices.stayers_take_rate * prices.incentive
        profits.append((kept - given_away - (churners + stayers) * prices.contact_cost) / len(y))
    return np.max(profits, axis=0)


@given(samples, prices)
def test_mpc_is_the_best_of_all_thresholds(rows, prices):
    y, p = split(rows)
    best = at_every_threshold(y, p, prices, np.array([prices.accept_rate]))[0]
    assert mpc(Tally.of(y, p), prices)[0] == pytest.approx(best, abs=1e-9)


@given(samples, prices)
def test_empc_is_the_mean_of_the_best_over_accept_rates(rows, prices):
    y, p = split(rows)
    chances = (np.arange(4000) + 0.5) / 4000
    alpha = CONCENTRATION * prices.accept_rate
    rates = np.array([1.0])
    if prices.accept_rate < 1:
        rates = beta.ppf(chances, alpha, CONCENTRATION - alpha)
    expected = at_every_threshold(y, p, prices, rates).mean()
    assert empc(Tally.of(y, p), prices)[0] == pytest.approx(expected, rel=2e-3, abs=2e-3)


@given(samples, prices)
def test_uncertainty_never_costs(rows, prices):
    """Who may choose the threshold after seeing the accept rate earns no less."""
    tally = Tally.of(*split(rows))
    assert empc(tally, prices)[0] >= mpc(tally, prices)[0] - 1e-9


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_rows_cannot_matter(rows, random):
    mixed = random.sample(rows, len(rows))
    for measure in (mpc, empc):
        assert measure(Tally.of(*split(rows)), PAPER) == measure(Tally.of(*split(mixed)), PAPER)


def test_by_hand():
    """Two of four leave. The first two rows: 2 · (.3 · 190 − 1) = 112; all: 112 − 2 · 11 = 90."""
    perfect = Tally.of([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    assert mpc(perfect, PAPER)[0] == pytest.approx(112 / 4)
    constant = Tally.of([1, 1, 0, 0], [0.5] * 4)
    assert mpc(constant, PAPER)[0] == pytest.approx(90 / 4)
    inverted = Tally.of([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1])
    assert mpc(inverted, PAPER)[0] == pytest.approx(90 / 4)
    dear = Prices(value=200, incentive=10, contact_cost=60, accept_rate=0.3)
    assert mpc(perfect, dear)[0] == 0.0
    assert empc(perfect, dear)[0] > 0.0  # worth it if more accept than usual


def test_an_offer_dearer_than_the_customer_is_never_made():
    tally = Tally.of([1, 0], [0.9, 0.1])
    for value in (10.0, 5.0, 0.0):
        poor = Prices(value=value, incentive=10, contact_cost=1, accept_rate=0.9)
        assert mpc(tally, poor)[0] == empc(tally, poor)[0] == 0.0


def test_stayers_who_refuse_the_offer_cost_the_contact_alone():
    tally = Tally.of([1, 0], [0.5, 0.5])
    nobody = Prices(200, 10, 1, 0.3, stayers_take_rate=0.0)
    assert mpc(tally, nobody)[0] == pytest.approx((0.3 * 190 - 1 - 1) / 2)


@pytest.mark.parametrize("measure", [mpc, empc])
def test_draws_are_weighed_row_by_row(measure):
    """A draw with weights is the sample with its rows repeated, those of weight 0 left out."""
    rng = np.random.default_rng(3)
    y, p = (rng.random(60) < 0.4).astype(float), rng.integers(1, 12, 60) / 12
    times = rng.poisson(1, (4, 60))
    level = np.unique(-p, return_inverse=True)[1].ravel()
    count = np.eye(level.max() + 1)[level]
    whole = Tally.of(y, p)
    draws = Tally(whole.probability, (times * y) @ count, (times * (1 - y)) @ count, whole.bins)
    alone = [measure(Tally.of(np.repeat(y, t), np.repeat(p, t)), PAPER)[0] for t in times]
    np.testing.assert_allclose(measure(draws, PAPER), alone)


def test_what_package_empulse_says():
    """Version 0.13.1, its own example: mpc_score(y, p) and empc_score(y, p) at their defaults."""
    y, p = [0, 1, 0, 1, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]
    assert mpc(Tally.of(y, p), PAPER)[0] == pytest.approx(23.875, abs=1e-12)
    assert empc(Tally.of(y, p), PAPER)[0] == pytest.approx(23.875593418348124, abs=1e-9)
