"""SHAP values by tables are those of `pred_contrib` and of shap, whatever the trees and rows."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.models import shapley, trees
from tenure.models.booster_text import UnsuitedError, read_trees
from tenure.models.churn import fit_candidates
from tenure.models.shapley import shap, tables
from tenure.models.trees import LightGBM, Settings, fit_lightgbm

QUIET = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 3, "seed": 1, "deterministic": True}


def rows(n, seed, missing=0.2):
    """Numbers of every kind: lumpy, constant, huge, float32 twins, missing here and there."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 8))
    x[:, 1] = rng.integers(0, 4, n)
    x[:, 2] = 1.0
    x[:, 3] *= 1e300
    x[:, 4] = np.float32(x[:, 4])
    x[:, 5] *= 1e-36
    x[rng.random(x.shape) < missing] = np.nan
    x[:, 6] = rng.integers(-2, 3, n)  # never missing where it is learnt from
    known = np.nan_to_num(x)
    pull = known[:, 0] + (known[:, 1] > 1) * known[:, 6] + np.isnan(x[:, 7])
    return x, (rng.random(n) < 1 / (1 + np.exp(-pull))).astype(float)


def boosted(x, y, rounds=12, **parameters):
    given = {**QUIET, "objective": "binary", **parameters}
    return lgb.train(given, lgb.Dataset(x, y, params=given), rounds)


def assert_same(booster, x):
    made = tables([booster.model_to_string()], range(x.shape[1]))
    wanted = booster.predict(x, pred_contrib=True)
    np.testing.assert_allclose(shap(made, x), wanted[:, :-1], atol=1e-10)
    assert made.base == pytest.approx(wanted[0, -1], abs=1e-10)
    margin = booster.predict(x, raw_score=True)
    np.testing.assert_allclose(shap(made, x).sum(axis=1) + made.base, margin, atol=1e-10)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    missing=st.sampled_from([0.0, 0.2, 0.9]),
    leaves=st.sampled_from([2, 4, 15, 40]),
    depth=st.sampled_from([-1, 3]),
    bagging=st.sampled_from([1.0, 0.5]),
)
def test_equal_to_pred_contrib(seed, missing, leaves, depth, bagging):
    x, y = rows(300, seed, missing)
    booster = boosted(
        x, y, num_leaves=leaves, max_depth=depth, bagging_fraction=bagging, bagging_freq=1
    )
    assert_same(booster, rows(200, seed + 1)[0])  # missing also where training saw none


@pytest.mark.parametrize("bits", [1, 3, 12])
def test_groups_of_any_size_say_the_same(monkeypatch, bits):
    monkeypatch.setattr(shapley, "BITS", bits)
    x, y = rows(400, 5)
    assert_same(boosted(x, y, num_leaves=31), x)


def test_a_value_on_a_threshold_and_its_neighbours_go_where_lightgbm_sends_them():
    x, y = rows(400, 8)
    booster = boosted(x, y, rounds=5)
    blocks = []
    for tree in read_trees(booster.model_to_string()):
        for feature, at in zip(tree.feature, tree.threshold, strict=True):
            with np.errstate(over="ignore"):
                single = np.float64(np.float32(at))
            near = np.full((5, x.shape[1]), 0.5)
            near[:, feature] = [
                at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), single, np.nan
            ]  # fmt: skip
            blocks.append(near)
    near = np.concatenate(blocks)
    assert_same(booster, np.where(np.isinf(near), np.nan, near))


def test_equal_to_the_definition_of_shapley_values():
    """One tree, every coalition: the mean of the tree with what is absent integrated by cover."""
    x, y = rows(300, 2)
    text = boosted(x, y, rounds=1, num_leaves=6).model_to_string()
    (tree,) = read_trees(text)

    def expected(at, row, present):
        if at < 0:
            return tree.leaf_value[-1 - at]
        feature, sides = tree.feature[at], (tree.left[at], tree.right[at])
        if feature in present:
            value = row[feature]
            left = tree.nan_left[at] if np.isnan(value) else value <= tree.threshold[at]
            return expected(sides[0] if left else sides[1], row, present)
        count = [tree.leaf_count[-1 - s] if s < 0 else tree.count[s] for s in sides]
        both = [expected(s, row, present) for s in sides]
        return np.dot(count, both) / sum(count)

    from itertools import permutations

    used = sorted(set(tree.feature.tolist()))
    got = shap(tables([text], range(8)), x[:5])
    for row, told in zip(x[:5], got, strict=True):
        orders = list(permutations(used))
        wanted = np.zeros(8)
        for order in orders:
            for k, j in enumerate(order):
                gain = expected(0, row, order[: k + 1]) - expected(0, row, order[:k])
                wanted[j] += gain / len(orders)
        np.testing.assert_allclose(told, wanted, atol=1e-12)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # remove when shap > 0.51
def test_interactions_are_those_of_shap_summed_over_kinds():
    x, y = rows(300, 3)
    booster = boosted(x, y, num_leaves=8)
    import shap as peer  # its colours use what matplotlib will take away

    whole = peer.TreeExplainer(booster).shap_interaction_values(x[:40])
    into = [0, 0, 1, 1, 2, 2, 2, 0]
    got = shap(tables([booster.model_to_string()], into, pairs=True), x[:40])
    kinds = np.array(into)
    for a in range(3):
        for b in range(3):
            pair = whole[:, kinds == a][:, :, kinds == b].sum(axis=(1, 2))
            wanted = 2 * pair if a < b else np.zeros(40)
            np.testing.assert_allclose(got[:, 3 * a + b], wanted, atol=1e-9)


def test_kinds_sum_their_inputs():
    x, y = rows(300, 4)
    text = boosted(x, y).model_to_string()
    apart, into = shap(tables([text], range(8)), x), [1, 0, 0, 1, 2, 2, 1, 0]
    for kind in range(3):
        together = shap(tables([text], into), x)[:, kind]
        np.testing.assert_allclose(together, apart[:, np.equal(into, kind)].sum(axis=1), atol=1e-12)


@pytest.mark.parametrize(
    "odd",
    [{"zero_as_missing": True}, {"categorical_feature": [1], "cat_smooth": 1},
     {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}],
    ids=lambda p: next(iter(p)),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:categorical_feature:UserWarning")
def test_what_tables_cannot_tell_is_told_by_pred_contrib(odd):
    x, y = rows(300, 6)
    x[:, 1] = np.nan_to_num(x[:, 1])
    y = np.where(np.isin(x[:, 1], (0, 3)), y, 1 - y)  # no order of its values tells this
    booster = boosted(x, y, **odd)
    text = booster.model_to_string()
    with pytest.raises(UnsuitedError):
        tables([text], range(8))
    X = pd.DataFrame(x, columns=list("abcdefgh"))
    found, base = LightGBM(tuple(X.columns), (text,)).contributions(X)
    wanted = lgb.Booster(model_str=text).predict(x, pred_contrib=True)
    np.testing.assert_array_equal(found, wanted[:, :-1])
    assert base == wanted[0, -1]


@pytest.mark.parametrize(("bits", "most"), [(3, 3), (2, 1), (1, 20)])
def test_leaves_far_down_are_told_by_the_patterns_that_occur(monkeypatch, bits, most):
    monkeypatch.setattr(shapley, "MOST_BITS", most)
    monkeypatch.setattr(shapley, "BITS", bits)
    x, y = rows(400, 5)
    booster = boosted(x, y, num_leaves=31)
    assert_same(booster, x)
    into, text = [0, 0, 1, 1, 2, 2, 2, 0], booster.model_to_string()
    low = shap(tables([text], into, pairs=True), x)
    monkeypatch.undo()
    np.testing.assert_allclose(low, shap(tables([text], into, pairs=True), x), atol=1e-12)


def test_a_chain_of_very_many_inputs():
    rng = np.random.default_rng(0)
    x = rng.random((3000, 30))
    y = (x > 0.05).all(axis=1).astype(float)  # each input may end it
    booster = boosted(x, y, rounds=2, num_leaves=31, learning_rate=0.5)
    deep = max(
        len(leaf.by_feature(tree))
        for tree in read_trees(booster.model_to_string())
        for leaf in shapley._leaves(tree)
    )
    assert deep > 16
    assert_same(booster, x)


def test_more_inputs_than_a_number_holds_are_told_by_pred_contrib(monkeypatch):
    monkeypatch.setattr(shapley, "WIDEST", 3)
    monkeypatch.setattr(shapley, "BITS", 3)
    x, y = rows(400, 5)
    with pytest.raises(UnsuitedError, match="behind"):
        tables([boosted(x, y, num_leaves=31).model_to_string()], range(8))


def test_tables_that_miss_a_margin_are_not_believed(monkeypatch):
    x, y = rows(300, 7)
    X = pd.DataFrame(x, columns=list("abcdefgh"))
    model = fit_lightgbm(X, y, settings=Settings({"num_iterations": 5}))
    wanted, base = model.contributions(X)
    monkeypatch.setattr(trees, "shap", lambda made, values: np.zeros(values.shape))
    found, same = model.contributions(X)
    np.testing.assert_allclose(found, wanted, atol=1e-10)
    assert same == pytest.approx(base)
    assert np.abs(wanted.to_numpy()).max() > 0.01


def test_bags_offsets_infinities_and_no_rows():
    x, y = rows(400, 9)
    X = pd.DataFrame(x, columns=list("abcdefgh"))
    how = Settings({"num_iterations": 8}, seeds=3, class_weight="balanced")
    model = fit_lightgbm(X, y, settings=how)
    assert model.offset != 0
    odd = X.copy()
    odd.iloc[:20, 0] = np.inf
    odd.iloc[10:30, 4] = -np.inf
    found, base = model.contributions(odd)
    np.testing.assert_allclose(found.sum(axis=1) + base, model.margin(odd), atol=1e-10)
    np.testing.assert_array_equal(
        found, model.contributions(odd.replace([np.inf, -np.inf], np.nan))[0]
    )
    nothing, still = model.contributions(X[:0])
    assert nothing.shape == (0, 8)
    assert still == base


def test_a_blend_adds_up_too(make_bundle):
    bundle = make_bundle("blend")
    columns = bundle.candidate.parts[0].columns
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_normal((50, len(columns)))) * 10
    X = pd.DataFrame(values, columns=list(columns))
    found, base = bundle.candidate.contributions(X)
    np.testing.assert_allclose(found.sum(axis=1) + base, bundle.candidate.margin(X), atol=1e-8)


def test_rows_do_not_depend_on_who_stands_beside(monkeypatch):
    x, y = rows(300, 10)
    X = pd.DataFrame(x, columns=list("abcdefgh"))
    model = fit_lightgbm(X, y, settings=Settings({"num_iterations": 20}))
    whole = model.contributions(X)[0]
    monkeypatch.setattr(shapley, "ROWS", 7)
    pd.testing.assert_frame_equal(model.contributions(X)[0], whole)
    pd.testing.assert_frame_equal(model.contributions(X[5:6])[0], whole[5:6])


def test_a_tree_of_one_leaf_only_moves_the_base():
    x, y = rows(300, 11)
    booster = boosted(x, y, min_gain_to_split=1e9, rounds=2)
    made = tables([booster.model_to_string()], range(8))
    assert not shap(made, x).any()
    assert made.base == pytest.approx(booster.predict(x[:1], raw_score=True)[0])


def test_every_kind_of_candidate_is_still_a_candidate():
    x, y = rows(300, 12)
    X = pd.DataFrame(
        np.abs(np.nan_to_num(x[:, :3], nan=1.0)), columns=["frequency", "recency", "T"]
    )
    X["T"] += X["recency"]
    X["btyd_log_odds"] = x[:, 6]
    made = fit_candidates(X, y, names=["lightgbm"])["lightgbm"]
    found, base = made.contributions(X)
    np.testing.assert_allclose(found.sum(axis=1) + base, made.margin(X), atol=1e-10)
