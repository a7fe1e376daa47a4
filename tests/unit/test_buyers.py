"""What the customers of a day are worth: by hand, with a level set from outside, and costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.config import ChurnConfig, ClvConfig
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.pareto import ParetoModel
from tenure.models.purchases import expected_purchases, p_no_purchase
from tenure.models.spend import SpendModel
from tenure.value import Foreseen, buyer_timing, buyer_values, clv

FAMILIES = ("bg_nbd", "mbg_nbd", "pareto_nbd")
SPEND = SpendModel(6.25, 3.74, 15.44, 0.0, 946, "converged", 35.0, 0.1)
MATRIX = pd.DataFrame(
    {
        "frequency": [0, 0, 1, 4, 40, 2, 3],
        "recency": [0, 0, 30, 200, 300, 10, 90],
        "T": [0, 300, 40, 250, 310, 365, 100],
        "monetary_value": [np.nan, np.nan, 20.0, 55.0, 12.0, 400.0, -5.0],
    },
    index=[11, 3, 5, 7, 2, 13, 1],  # of a matrix filtered to one day
).astype(float)
P = np.array([0.4, np.nan, 0.05, 0.6, 0.01, np.nan, 0.99])
SCORED = np.isfinite(P)
CHURN = ChurnConfig(horizon_days=90)
PLAIN = ClvConfig(horizon_days=365, annual_discount_rate=0.0)


def model(family="mbg_nbd", r=0.24, alpha=31.0, a=0.79, b=2.4):
    if family == "pareto_nbd":
        return ParetoModel(r, alpha, a, 40 * b, 0.0, "converged", 1)
    return PurchaseModel(family, r, alpha, a, b, 0.0, "converged", 1)


def values(terms=PLAIN, family="mbg_nbd", *, p=P, foreseen=None):
    return buyer_values(MATRIX, model(family), SPEND, p, CHURN, terms, foreseen)


def worth():
    """Fader & Hardie (2013), equation 5, written out: (p·v + p·x·m) / (p·x + q − 1)."""
    x, m = MATRIX["frequency"].to_numpy(), MATRIX["monetary_value"].clip(lower=0).fillna(0)
    return (SPEND.p * (SPEND.v + x * m.to_numpy())) / (SPEND.p * x + SPEND.q - 1)


def by_hand(family, days, p=P, window=90):
    """Definitions, "Value", without discount: V_A = (V_BTYD − p0·V_0) / (1 − p0)."""
    m, (x, t_x, T) = model(family), (MATRIX[c].to_numpy() for c in ("frequency", "recency", "T"))
    alone = expected_purchases(m, x, t_x, T, days)
    after = max(days - window, 0)
    V_0 = expected_purchases(m, x, t_x, T + window, after) if after else np.zeros(len(x))
    p0 = p_no_purchase(m, x, t_x, T, window)
    V_A = (alone - p0 * V_0) / (1 - p0)
    return np.where(SCORED, (1 - p) * V_A + p * V_0, alone), V_A, V_0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("days", [30, 90, 91, 365])
def test_values_are_those_of_the_definitions(family, days):
    found = values(PLAIN.model_copy(update={"horizon_days": days}), family)
    purchases, V_A, V_0 = by_hand(family, days)
    np.testing.assert_allclose(found["spend_per_purchase"], worth(), rtol=1e-12)
    np.testing.assert_allclose(found["clv"], purchases * worth(), rtol=1e-7)
    np.testing.assert_allclose(found["if_stays"][SCORED], (V_A * worth())[SCORED], rtol=1e-7)
    np.testing.assert_allclose(
        found["if_leaves"][SCORED], (V_0 * worth())[SCORED], rtol=1e-7, atol=1e-12
    )
    assert found.loc[~SCORED, ["if_stays", "if_leaves"]].isna().all(axis=None)
    assert found.index.equals(MATRIX.index)


def test_nobody_scored_is_valued_by_the_purchase_model_alone():
    found = values(ClvConfig(), p=np.full(len(MATRIX), np.nan))
    terms = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 1.0}
    np.testing.assert_array_equal(found["clv"], clv(model(), SPEND, MATRIX, **terms))
    assert found[["clv", "lower", "upper"]].notna().all(axis=None)
    assert found[["if_stays", "if_leaves"]].isna().all(axis=None)


def test_p_missing_for_one_changes_nobody_else():
    fewer = P.copy()
    fewer[0] = np.nan
    found, whole = values(p=fewer), values()
    pd.testing.assert_frame_equal(found.iloc[1:], whole.iloc[1:])
    assert found["clv"].iloc[0] != whole["clv"].iloc[0]


def test_timing_is_that_of_the_models():
    found = buyer_timing(MATRIX, model(), 365)
    columns = [MATRIX[c].to_numpy() for c in ("frequency", "recency", "T")]
    np.testing.assert_array_equal(found["p_alive"], p_alive(model(), *columns))
    np.testing.assert_array_equal(
        found["expected_purchases"], expected_purchases(model(), *columns, 365)
    )
    assert found.index.equals(MATRIX.index)


SAID = np.array([12.0, 0.3, 0.0, 250.0, 90.0, 4.0, 0.01])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("days", [60, 91, 200])
def test_over_the_foreseen_horizon_the_value_is_what_was_foreseen(family, days):
    terms = PLAIN.model_copy(update={"horizon_days": days})
    found = values(terms, family, foreseen=Foreseen(SAID, days))
    np.testing.assert_allclose(found["clv"], SAID, rtol=1e-12)
    stays, leaves = found.loc[SCORED, "if_stays"], found.loc[SCORED, "if_leaves"]
    assert (stays >= leaves).all()
    assert (leaves >= 0).all()
    np.testing.assert_allclose(
        (1 - P[SCORED]) * stays + P[SCORED] * leaves, SAID[SCORED], rtol=1e-12
    )
    assert (found["lower"] <= found["clv"]).all()
    assert (found["clv"] <= found["upper"]).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("days", [60, 91, 200])
def test_beyond_the_foreseen_horizon_the_value_grows_by_the_purchase_model(family, days):
    found = values(family=family, foreseen=Foreseen(SAID, days))
    x, t_x, T = (MATRIX[c].to_numpy() for c in ("frequency", "recency", "T"))
    short, long = (expected_purchases(model(family), x, t_x, T, t) for t in (days, 365))
    np.testing.assert_allclose(found["clv"], SAID * long / short, rtol=1e-9)
    plain = values(family=family)
    for name in ("if_stays", "if_leaves", "lower", "upper"):  # all by the same factor
        factor = found["clv"] / plain["clv"]
        np.testing.assert_allclose(found[name], factor * plain[name], rtol=1e-9)


def test_whoever_is_about_to_leave_is_not_worth_a_multiple_for_it():
    """Over 60 days nearly nothing is left of who leaves within 90 at .9999; growth stays bound."""
    for p in (0.5, 0.99, 0.9999):
        found = values(p=np.full(len(P), p), foreseen=Foreseen(np.full(len(P), 5.0), 60))
        alone = values(p=np.full(len(P), np.nan), foreseen=Foreseen(np.full(len(P), 5.0), 60))
        np.testing.assert_allclose(found["clv"], alone["clv"], rtol=1e-9)
        assert (found["clv"] < 10 * 5).all()


def test_a_level_from_outside_keeps_the_terms_and_the_law():
    """Margin and discount act as without it, and bounds keep their proportion to the value."""
    terms = ClvConfig(horizon_days=365, annual_discount_rate=0.2, margin=0.3)
    nobody = np.full(len(P), np.nan)
    plain, found = values(terms, p=nobody), values(terms, p=nobody, foreseen=Foreseen(SAID, 91))
    short = values(PLAIN.model_copy(update={"horizon_days": 91}), p=nobody)
    factor = SAID / short["clv"]
    for name in ("clv", "lower", "upper"):
        np.testing.assert_allclose(found[name], factor * plain[name], rtol=1e-9)
    pd.testing.assert_series_equal(found["spend_per_purchase"], plain["spend_per_purchase"])


def test_nothing_foreseen_is_no_value():
    found = values(foreseen=Foreseen(np.zeros(len(P)), 91))
    assert (found[["clv", "lower", "upper"]] == 0).all(axis=None)
    assert (found.loc[SCORED, ["if_stays", "if_leaves"]] == 0).all(axis=None)


def test_what_serving_a_purchase_costs_by_hand():
    found = values(PLAIN.model_copy(update={"margin": 0.5, "cost_to_serve": 8.0}))
    kept = np.maximum(0.5 * worth() - 8.0, 0.0)
    assert (kept == 0).any()
    assert (kept > 0).any()
    purchases, V_A, V_0 = by_hand("mbg_nbd", 365)
    np.testing.assert_allclose(found["clv"], purchases * kept, rtol=1e-7)
    np.testing.assert_allclose(found["if_stays"][SCORED], (V_A * kept)[SCORED], rtol=1e-7)
    np.testing.assert_allclose(found["if_leaves"][SCORED], (V_0 * kept)[SCORED], rtol=1e-7)
    np.testing.assert_allclose(found["spend_per_purchase"], worth(), rtol=1e-12)  # before costs


def test_a_purchase_that_costs_more_than_it_brings_counts_as_nothing():
    found = values(PLAIN.model_copy(update={"cost_to_serve": 1e6}))
    assert (found[["clv", "lower", "upper"]] == 0).all(axis=None)
    assert (found.loc[SCORED, ["if_stays", "if_leaves"]] == 0).all(axis=None)
    grown = [
        values(PLAIN.model_copy(update={"cost_to_serve": c})).drop(columns="spend_per_purchase")
        for c in (0.0, 5.0, 20.0, 50.0)
    ]
    for dear, cheap in zip(grown[1:], grown, strict=False):
        assert (dear.fillna(0) <= cheap.fillna(0) + 1e-12).all(axis=None)
        assert (dear.fillna(0) >= 0).all(axis=None)
        assert (dear["lower"] <= dear["clv"]).all()
        assert (dear["clv"] <= dear["upper"]).all()


def test_costs_come_off_after_the_level_was_set_from_outside():
    """The foreseen money is before any margin or cost: over its horizon the cost share is kept."""
    terms = PLAIN.model_copy(update={"horizon_days": 91, "margin": 0.5, "cost_to_serve": 8.0})
    found = values(terms, foreseen=Foreseen(SAID, 91))
    np.testing.assert_allclose(
        found["clv"], SAID * np.maximum(0.5 * worth() - 8.0, 0.0) / worth(), rtol=1e-9
    )
