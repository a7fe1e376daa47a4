"""Explanations add up, speak in factors, and never contradict their sign."""

import numpy as np
import pandas as pd
import pytest

from tenure.errors import ModelError
from tenure.explain.points import by_factor, drivers, explain
from tenure.features.schema import Column
from tenure.models.calibration import fit
from tenure.models.churn import CANDIDATES


@pytest.fixture
def X(bundle, make_features):
    return bundle.inputs(make_features(bundle.schema, 120, seed=9))


@pytest.mark.parametrize("name", sorted(CANDIDATES))
def test_contributions_add_up_to_the_margin_of_every_customer(make_bundle, X, name):
    bundle = make_bundle(name)
    said = bundle.explain(X, None)
    total = said.log_odds.sum(axis=1).to_numpy() + said.base
    np.testing.assert_allclose(total, bundle.candidate.margin(X), atol=1e-6)


def test_points_add_up_to_the_distance_from_the_typical_chance(bundle, X):
    said = bundle.explain(X, None)
    total = said.points.sum(axis=1).to_numpy() / 100
    np.testing.assert_allclose(total, said.probability - said.typical, atol=1e-6)


def test_points_follow_the_formula_of_the_definitions(bundle, X):
    said = bundle.explain(X, None)
    g = bundle.calibrator.probability
    margin = bundle.candidate.margin(X)
    scale = (g(margin) - g(np.array([said.base]))) / (margin - said.base)
    np.testing.assert_allclose(said.points, 100 * said.log_odds.mul(scale, axis=0), atol=1e-6)


class Lying:
    """A model whose contributions miss its margin."""

    def contributions(self, X):
        return pd.DataFrame(0.0, index=X.index, columns=["a"]), 0.0

    def margin(self, X):
        return np.ones(len(X))


def test_an_inexact_explanation_is_none():
    calibrator = fit("none", np.zeros(2), np.array([0, 1]))
    with pytest.raises(ModelError, match="3 of 3 rows miss"):
        explain(Lying(), calibrator, pd.DataFrame({"a": [1.0, 2.0, 3.0]}))


class Flat(Lying):
    """A model that says the same of everybody."""

    def margin(self, X):
        return np.zeros(len(X))


def test_a_customer_at_the_base_gets_finite_points():
    calibrator = fit("none", np.zeros(2), np.array([0, 1]))
    said = explain(Flat(), calibrator, pd.DataFrame({"a": [1.0]}))
    assert np.isfinite(said.points).all(axis=None)
    assert said.probability == pytest.approx(0.5)


def column(name, factor="engagement", feature=None, direction=0):
    return Column(name, feature or name, None, None, "days", factor, f"The {name}", direction)


def test_factors_sum_signed_points_before_anything_absolute():
    columns = {c: column(c, f) for c, f in (("a", "value"), ("b", "value"), ("c", "loyalty"))}
    points = pd.DataFrame({"a": [3.0, -1.0], "b": [-3.0, -1.0], "c": [1.0, 1.0]})
    summed = by_factor(points, columns)
    assert summed["value"].tolist() == [0.0, -2.0]
    assert summed["loyalty"].tolist() == [1.0, 1.0]


def test_drivers_come_strongest_first(bundle, X):
    found = drivers(bundle.explain(X, None), X, bundle.columns)
    strength = [d["churn_points"] for d in found]
    assert strength == sorted(strength, reverse=True)
    points = by_factor(bundle.explain(X, None).points, bundle.columns)
    for d in found:
        assert d["churn_points"] == pytest.approx(points[d["factor"]].abs().mean())
