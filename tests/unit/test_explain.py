"""Explanations add up, speak in factors, and never contradict their sign."""

import numpy as np
import pandas as pd
import pytest

from tenure.errors import ModelError
from tenure.explain.points import by_factor, drivers, explain
from tenure.explain.reasons import reasons
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


COLUMNS = {c: column(c) for c in "abcd"}
USUAL = dict.fromkeys("abcd", 5.0)


class TestReasons:
    """Three sentences a customer."""

    def words(self, points, raised):
        points = pd.DataFrame([points], columns=list("abcd"))
        X = pd.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=list("abcd"))
        return reasons(points, X, USUAL, COLUMNS, np.array([raised])).iloc[0]

    def test_above_the_typical_chance_reads_what_raises_it(self):
        said = self.words([5.0, -9.0, 1.0, 3.0], raised=True)
        assert [s.split(":")[0] for s in said] == ["The a", "The d", "The c"]
        assert all("raises" in s for s in said)

    def test_below_it_reads_what_lowers_it(self):
        said = self.words([5.0, -9.0, 1.0, -3.0], raised=False)
        assert said["reason_1"] == "The b: 2; 5 is usual (lowers the chance of leaving)."
        assert said["reason_2"].startswith("The d")
        assert pd.isna(said["reason_3"])  # nothing else points that way

    def test_windows_of_one_feature_speak_once(self):
        columns = {**COLUMNS, "a": column("a", feature="x"), "b": column("b", feature="x")}
        points = pd.DataFrame([[2.0, 3.0, 4.0, 0.0]], columns=list("abcd"))
        X = points * 0
        said = reasons(points, X, USUAL, columns, np.array([True])).iloc[0]
        assert said["reason_1"].startswith("The b")
        assert said["reason_2"].startswith("The c")
        assert pd.isna(said["reason_3"])

    def test_every_sentence_agrees_with_the_sign(self, bundle, X):
        said = bundle.explain(X, None)
        raised = said.points.sum(axis=1).to_numpy() > 0
        words = reasons(said.points, X, bundle.usual, bundle.columns, raised)
        for i, up in enumerate(raised):
            for sentence in words.iloc[i].dropna():
                assert ("raises" if up else "lowers") in sentence

    def test_nobody(self):
        empty = pd.DataFrame(columns=list("abcd"), dtype=float)
        said = reasons(empty, empty, USUAL, COLUMNS, np.array([], dtype=bool))
        assert list(said.columns) == ["reason_1", "reason_2", "reason_3"]
        assert said.empty
