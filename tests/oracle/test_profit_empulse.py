"""MPC and EMPC are those of package empulse, whose authors wrote the papers."""

import numpy as np
import pytest
from empulse.metrics import empc_score, mpc_score

from tenure.evaluation.metrics import Tally
from tenure.evaluation.profit import CONCENTRATION, Prices, empc, mpc


def sample(seed, n=120):
    rng = np.random.default_rng([seed, 13])
    y = (rng.random(n) < rng.uniform(0.1, 0.6)).astype(int)
    p = 1 / (1 + np.exp(-rng.normal(size=n) - y))
    return y, p.round(1) if seed % 2 else p  # ties in every other one


@pytest.mark.parametrize("accept_rate", [0.1, 0.3, 0.75])
@pytest.mark.parametrize("clv", [8, 40, 200, 2000])
@pytest.mark.parametrize("seed", range(4))
def test_both_agree_with_the_package(seed, clv, accept_rate):
    y, p = sample(seed)
    for incentive, contact in ((10, 1), (0, 0.5), (25, 5)):
        prices = Prices(clv, incentive, contact, accept_rate)
        money = {"clv": clv, "incentive_cost": incentive, "contact_cost": contact}
        alpha = CONCENTRATION * accept_rate
        most = mpc_score(y, p, accept_rate=accept_rate, **money)
        expected = empc_score(y, p, alpha=alpha, beta=CONCENTRATION - alpha, **money)
        assert mpc(Tally.of(y, p), prices)[0] == pytest.approx(most, abs=1e-9)
        assert empc(Tally.of(y, p), prices)[0] == pytest.approx(expected, abs=1e-7)
