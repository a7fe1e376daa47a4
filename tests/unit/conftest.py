"""A hand-made bundle: LightGBM on the features of a schema, and value models of the papers."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.bundle import Bundle
from tenure.config import ChurnConfig, ClvConfig
from tenure.experiments.rows import Trial
from tenure.features.schema import Schema
from tenure.inputs import inputs
from tenure.models.btyd import PurchaseModel
from tenure.models.calibration import fit
from tenure.models.churn import fit_candidates
from tenure.models.shift import Shift
from tenure.models.spend import SpendModel

DAYS = tuple(dt.date(2025, month, 1) for month in (1, 2, 3))


def features(schema, n=400, seed=0):
    """Draw a feature matrix in which recency decides and the rest is noise."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({c.name: rng.gamma(2.0, 10.0, n) for c in schema.columns()})
    X["T"] = rng.integers(30, 300, n).astype(float)
    X["frequency"] = rng.integers(0, 9, n).astype(float)
    X["recency"] = np.where(X["frequency"] > 0, (X["T"] * rng.random(n)).round(), 0.0)
    X["days_since_last_purchase"] = X["T"] - X["recency"]
    X["monetary_value"] = X["monetary_value"].where(X["frequency"] > 0)
    X.insert(0, "customer_id", [f"c{i:04d}" for i in range(n)])
    X.insert(1, "cutoff", pd.Timestamp("2025-06-01"))
    return X


def bundle_of(name="lightgbm", seed=0):
    """Train one candidate on drawn features."""
    schema = Schema(
        60, {"transactions.channel": ("web", 'we"b')}, {"transactions": ("channel", "amount", "ts")}
    )
    timing = PurchaseModel("mbg_nbd", 0.5, 20.0, 0.8, 2.4, -1.0, "converged", 400, ())
    spend = SpendModel(6.25, 3.74, 15.44, -1.0, 300, "converged", 35.0, 0.1, ())
    churn = ChurnConfig(horizon_days=30, active_within_days=120)
    matrix = features(schema, seed=seed)
    X = inputs(matrix, schema, timing, churn)
    left = np.random.default_rng(seed).random(len(X)) < X["days_since_last_purchase"] / 300
    candidate = fit_candidates(X, left.astype(int), seed=7, names=[name])[name]
    return Bundle(
        candidate=candidate,
        calibrator=fit("sigmoid", candidate.margin(X), left.astype(int)),
        shift=Shift(DAYS, (0.1, -0.1, 0.05), (0.02, 0.02, 0.02)),
        timing=timing,
        purchases=timing,
        spend=spend,
        schema=schema,
        churn=churn,
        clv=ClvConfig(),
        timezone="UTC",
        currency="EUR",
        usual={c: float(X[c].median()) for c in X.columns},
        base_rate=float(left.mean()),
        trained_until=dt.date(2025, 6, 1),
    )


@pytest.fixture(scope="session")
def make_bundle():
    return bundle_of


@pytest.fixture(scope="session")
def make_features():
    return features


@pytest.fixture(scope="session")
def bundle():
    return bundle_of()


def trial_of(
    seed, customers=3000, tests=2, effect=lambda x: 0.0, chance=lambda x: 0.5, columns=6,
    lasting=False,
):  # fmt: skip
    """Draw rows of randomised tests: `b` is the risk, `effect` is added to the leaving rate.

    Parameters
    ----------
    effect, chance : callable
        Of the features, what a contact adds to the chance of leaving, and the chance of it.
    lasting : bool
        Whether a customer has the same arm in all tests.
    """
    rng = np.random.default_rng(seed)
    test = np.repeat(np.arange(tests), customers)
    customer = np.tile(np.arange(customers), tests)
    names = ["a", "b", *(f"x{k}" for k in range(columns - 2))]
    own = rng.normal(size=(customers, columns))[customer]
    X = pd.DataFrame(own + 0.3 * rng.normal(size=own.shape), columns=names)
    lot = rng.random(customers)[customer] if lasting else rng.random(len(customer))
    treated = lot < chance(X)
    risk = 1 / (1 + np.exp(1 - 0.8 * X["b"].to_numpy()))
    left = rng.random(len(X)) < np.clip(risk + treated * effect(X), 0, 1)
    share = pd.Series(treated).groupby(test).transform("mean").to_numpy(dtype=float)
    days = pd.date_range("2024-01-01", periods=tests, freq="182D")
    return Trial(
        X, left.astype(float), treated, share, test, customer,
        pd.DataFrame({"campaign": "stay", "day": days}), np.full(len(X), np.nan),
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_trial():
    return trial_of
