"""Shuffled labels through the whole backtest and the gate: chance is not taken for knowledge."""

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import churn as churn_backtest
from tenure.config import Config
from tenure.results import churn_figures

SEEDS = 4
TABLES = {"tables": {"transactions": {"path": "d.csv"}}}
CONFIG = Config(project="p", data=TABLES, churn={"horizon_days": 30}, model={"tuning_trials": 0})


def panel(seed, *, shuffled, n=120, cutoffs=4):
    """Return inputs, and labels that follow silence or, shuffled, nothing."""
    rng = np.random.default_rng(seed)
    size = n * cutoffs
    names = ["frequency", "recency", "T", "monetary_value", "days_since_last_purchase"]
    X = pd.DataFrame({name: rng.gamma(2, 10, size) for name in names})
    silence = X["days_since_last_purchase"]
    X["btyd_log_odds"] = silence / 10 - 1.5 + rng.normal(0, 0.5, size)
    churned = (rng.random(size) < 1 / (1 + np.exp(-(silence - 20) / 5))).astype(int)
    days = pd.date_range("2025-01-01", periods=cutoffs, freq="30D")
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for _ in days for i in range(n)],
            "cutoff": np.repeat(days, n),
            "churned": rng.permutation(churned) if shuffled else churned,
            "active": True,
        }
    )
    return X, rows


def judged(seed, *, shuffled):
    return churn_figures(churn_backtest.run(*panel(seed, shuffled=shuffled), CONFIG), CONFIG)


@pytest.fixture(scope="module")
def chance():
    return [judged(seed, shuffled=True) for seed in range(SEEDS)]


def test_shuffled_labels_have_an_auc_of_one_half(chance):
    for figures in chance:
        auc = figures["test"]["auc"]
        error = (auc["upper"] - auc["lower"]) / (2 * 1.645)
        assert abs(auc["value"] - 0.5) < 3 * error


def test_shuffled_labels_never_pass(chance):
    for figures in chance:
        assert not figures["gate"]["signal"]
        assert not figures["gate"]["passed"]
        assert "no signal" in figures["gate"]["reasons"][0]


def test_the_same_world_unshuffled_has_signal():
    assert judged(0, shuffled=False)["gate"]["signal"]
