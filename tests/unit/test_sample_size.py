"""How large a test must be."""

import numpy as np
import pytest

from tenure.config import CampaignConfig, ChurnConfig, Config, CutoffsConfig
from tenure.experiments.sample_size import customers_an_arm, detectable, power, sample_size


def config(capacity=None, **churn):
    return Config.model_construct(
        churn=ChurnConfig(**churn), cutoffs=CutoffsConfig(every_days=30),
        campaign=CampaignConfig(capacity=capacity, accept_rate=0.3),
    )  # fmt: skip


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("effect", [0.01, 0.03])
def test_it_is_statsmodels_sample_size(rate, effect):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.samplesize_proportions_2indep_onetail(-effect, rate, 0.8)
    assert customers_an_arm(rate, effect) == int(np.ceil(theirs))


def test_the_arcsine_approximation_nearly_agrees():
    smp = pytest.importorskip("statsmodels.stats.power")
    h = 2 * (np.arcsin(np.sqrt(0.3)) - np.arcsin(np.sqrt(0.25)))
    theirs = smp.NormalIndPower().solve_power(h, alpha=0.05, power=0.8)
    assert customers_an_arm(0.3, 0.05) == pytest.approx(theirs, rel=0.01)


def test_a_simulated_test_of_that_size_finds_it_four_times_in_five():
    n, rng = customers_an_arm(0.3, 0.03), np.random.default_rng(0)
    a, b = rng.binomial(n, 0.3, 4000) / n, rng.binomial(n, 0.27, 4000) / n
    mean = (a + b) / 2
    z = (a - b) / np.sqrt(2 * mean * (1 - mean) / n)
    assert (z > 1.959964).mean() == pytest.approx(0.8, abs=0.02)


def test_power_and_the_least_effect_undo_the_size():
    n = customers_an_arm(0.3, 0.03)
    assert power(0.3, 0.03, n, n) == pytest.approx(0.8, abs=0.001)
    assert detectable(0.3, n, n) == pytest.approx(0.03, abs=1e-4)
    uneven = detectable(0.3, 300, 2700)
    assert power(0.3, uneven, 300, 2700) == pytest.approx(0.8, abs=1e-6)
    assert uneven > detectable(0.3, 1500, 1500)


def test_nothing_is_found_where_nobody_leaves():
    assert detectable(0.0, 100, 100) is None
    assert detectable(0.01, 20, 20) is None
    assert customers_an_arm(0.02, 0.03) is None


def test_rounds_follow_from_the_capacity():
    p = np.concatenate([np.full(400, 0.5), np.full(2000, 0.1)])
    told = sample_size(p, config(capacity=200, horizon_days=90))
    assert told["among"] == 400
    assert told["leaving_rate"] == pytest.approx(0.5)
    assumed = told["effects"][-1]
    assert assumed["assumed"]
    assert assumed["points"] == pytest.approx(15)
    assert assumed["customers_each_arm"] == customers_an_arm(0.5, 0.15)
    assert assumed["rounds"] == 1
    assert assumed["days"] == 90
    five = next(r for r in told["effects"] if r["points"] == 5)
    assert five["rounds"] == int(np.ceil(five["customers_each_arm"] / 200))
    assert five["days"] == (five["rounds"] - 1) * 30 + 90
    assert "Among the riskiest 400 of 2,400, of whom 50 % leave" in told["says"]


def test_without_a_capacity_half_of_everybody_is_held_out():
    told = sample_size(np.full(1001, 0.2), config())
    assert told["contacted_a_round"] == 500
    assert told["among"] == 1000
    assert told["says"].startswith("Among all 1,001, of whom 20 % leave")


def test_nobody_to_ask():
    assert sample_size([], config()) is None
    assert sample_size([np.nan, np.nan], config()) is None


def test_subscriptions_wait_for_the_grace_and_undated_labels_for_nothing_known():
    p = np.full(5000, 0.4)
    told = sample_size(p, config(kind="subscription", horizon_days=30, grace_days=14))
    assert told["effects"][-1]["days"] == 44
    undated = sample_size(p, config(kind="label"))
    assert undated["effects"][-1]["days"] is None
