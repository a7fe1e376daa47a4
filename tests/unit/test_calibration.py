"""Calibrators: recover known maps, are monotone, have the right slope, and are chosen fairly."""

import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from tenure.errors import DataError, ModelError
from tenure.models.calibration import Calibrator, choose, fit

KINDS = ["none", "sigmoid", "beta", "isotonic"]


def world(n, truth, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    m = rng.normal(0, spread, n)
    return m, (rng.random(n) < truth(m)).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_rise_with_the_margin_and_stay_inside(kind):
    g = fit(kind, *world(3000, lambda m: expit(0.5 * m - 1)))
    p = g.probability(np.linspace(-30, 30, 4001))
    assert (np.diff(p) >= 0).all()
    assert ((p > 0) & (p < 1)).all()
    if kind == "isotonic":
        assert p.min() >= 1e-4
        assert p.max() <= 1 - 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_slope_is_the_derivative(kind):
    g = fit(kind, *world(3000, lambda m: expit(0.5 * m - 1)))
    m = np.linspace(-3, 3, 501) + 1e-4  # off the knots
    h = 1e-7
    numeric = (g.probability(m + h) - g.probability(m - h)) / (2 * h)
    knots = np.asarray(g.params.get("x", []))
    clear = np.array([np.abs(knots - v).min(initial=1.0) > 2 * h for v in m])
    np.testing.assert_allclose(g.slope(m)[clear], numeric[clear], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip_and_shapes(kind):
    g = fit(kind, *world(1500, expit))
    again = Calibrator.from_json(json.loads(json.dumps(g.to_json(), allow_nan=False)))
    m = np.linspace(-4, 4, 50)
    np.testing.assert_array_equal(again.probability(m), g.probability(m))
    assert g.probability(0.3).shape == g.slope(0.3).shape == ()
    assert g.probability([]).shape == g.slope([]).shape == (0,)


def test_sigmoid_recovers_known_parameters():
    g = fit("sigmoid", *world(100_000, lambda m: expit(0.6 * m - 0.8)))
    assert g.params["a"][0] == pytest.approx(0.6, abs=0.02)
    assert g.params["b"][0] == pytest.approx(-0.8, abs=0.02)


def test_beta_recovers_known_parameters():
    def truth(m):
        p = expit(m)
        return expit(1.4 * np.log(p) - 0.5 * np.log1p(-p) + 0.3)

    g = fit("beta", *world(200_000, truth))
    found = [g.params[k][0] for k in "abc"]
    np.testing.assert_allclose(found, [1.4, 0.5, 0.3], atol=0.05)


def test_beta_with_equal_weights_is_sigmoid_and_with_ones_the_identity():
    m = np.linspace(-5, 5, 11)
    same = Calibrator("beta", {"a": [0.7], "b": [0.7], "c": [0.2]}).probability(m)
    np.testing.assert_allclose(same, expit(0.7 * m + 0.2))
    identity = Calibrator("beta", {"a": [1.0], "b": [1.0], "c": [0.0]}).probability(m)
    np.testing.assert_allclose(identity, expit(m))


def test_isotonic_is_scikit_learns():
    m, y = world(2000, expit)
    theirs = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip").fit(m, y)
    asked = np.linspace(-6, 6, 300)
    np.testing.assert_allclose(fit("isotonic", m, y).probability(asked), theirs.predict(asked))


def test_isotonic_slope_of_its_segments_by_hand():
    g = Calibrator("isotonic", {"x": [0.0, 1.0, 3.0], "y": [0.2, 0.4, 0.4]})
    assert g.slope([-1.0, 0.5, 2.0, 9.0]).tolist() == [0.0, 0.2, 0.0, 0.0]


def test_weights_are_repeated_rows():
    m, y = world(400, lambda m: expit(m - 1))
    w = np.random.default_rng(2).integers(1, 4, m.size)
    for kind in ("beta", "sigmoid"):
        weighted = fit(kind, m, y, w)
        repeated = fit(kind, np.repeat(m, w), np.repeat(y, w))
        for key, value in weighted.params.items():
            assert value == pytest.approx(repeated.params[key], abs=1e-4)


def test_a_backward_or_separable_score_stays_monotone_and_finite():
    m, y = world(500, lambda m: expit(-2 * m))
    for kind in ("sigmoid", "beta"):
        assert (np.diff(fit(kind, m, y).probability(np.linspace(-3, 3, 99))) > 0).all()
        split = fit(kind, m, (m > 0).astype(int))
        assert np.isfinite(split.probability(m)).all()
    one_class = fit("sigmoid", m, np.zeros(500))
    assert 0 < one_class.probability(0.0) < 0.1


def test_calibrated_scores_are_mostly_left_alone():
    """Another map must win by more than a standard error: chance does that now and then."""
    customers, cutoffs = np.arange(3000) % 1000, np.arange(3000) // 1000
    worlds = [world(3000, expit, seed=seed) for seed in range(10)]
    left_alone = [choose(m, y, customers, cutoffs).kind == "none" for m, y in worlds]
    assert sum(left_alone) >= 7


def test_one_cutoff_is_judged_by_folds_of_customers():
    m, y = world(3000, lambda m: expit(0.4 * m - 1))
    customers = np.arange(3000) % 1000
    by_fold = choose(m, y, customers)
    assert by_fold.kind == "sigmoid"
    assert choose(m, y, customers, np.zeros(3000)) == by_fold


def test_a_distortion_is_corrected_by_the_kind_that_can():
    m, y = world(9000, lambda m: expit(0.4 * m - 1))
    customers, cutoffs = np.arange(9000) % 3000, np.arange(9000) // 3000
    assert choose(m, y, customers, cutoffs).kind == "sigmoid"
    m, y = world(30_000, lambda m: np.where(m > 0, 0.6, 0.1), spread=3)
    assert choose(m, y, np.arange(30_000) % 3000, np.arange(30_000) // 10_000).kind == "isotonic"


def test_the_latest_cutoff_is_the_judge():
    """Before, the score was right; at the last cutoff it is not: what was learnt early decides."""
    m, y = world(12_000, expit)
    early, late = world(6000, lambda m: expit(0.3 * m), seed=1), world(6000, expit, seed=2)
    margin, label = np.concatenate([early[0], late[0]]), np.concatenate([early[1], late[1]])
    cutoffs = np.repeat(["1998-01-01", "1998-02-01"], 6000)
    # a map learnt on the early cutoff hurts at the late one, so none is taken although it would fit
    assert choose(margin, label, np.arange(12_000), cutoffs).kind == "none"
    assert choose(margin, label, np.arange(12_000)).kind != "none"
    assert choose(m, y, np.arange(12_000)).kind == "none"


def test_the_order_of_rows_does_not_change_the_choice():
    m, y = world(4000, lambda m: expit(0.5 * m))
    customers, cutoffs = np.arange(4000) % 1000, np.arange(4000) // 1000
    mixed = np.random.default_rng(0).permutation(4000)
    straight = choose(m, y, customers, cutoffs)
    shuffled = choose(m[mixed], y[mixed], customers[mixed], cutoffs[mixed])
    assert straight.kind == shuffled.kind
    grid = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(straight.probability(grid), shuffled.probability(grid), atol=1e-6)


def test_few_rows_never_choose_isotonic():
    for seed in range(5):
        m, y = world(300, lambda m: np.where(m > 0, 0.8, 0.1), seed=seed)
        assert choose(m, y, np.arange(300)).kind != "isotonic"
    assert choose([0.1, 0.2], [0, 1], ["a", "a"]).kind in ("none", "sigmoid", "beta")


def test_refusals_say_what_is_wrong():
    with pytest.raises(DataError, match="3 margins and 2 labels"):
        fit("sigmoid", [1.0, 2.0, 3.0], [0, 1])
    with pytest.raises(DataError, match="not finite"):
        fit("sigmoid", [1.0, np.nan], [0, 1])
    with pytest.raises(ModelError, match="'spline' is unknown"):
        Calibrator.from_json({"kind": "spline", "params": {}})
