"""Metrics against slow recounts and scikit-learn; ties, order, intervals, the gate."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sk_log_loss

from tenure.errors import DataError, ModelError
from tenure.evaluation.churn import by_cutoff, calibration_floor, compare, evaluate, paired
from tenure.evaluation.gate import gate
from tenure.evaluation.metrics import METRICS, Tally, capture, point

samples = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), min_size=2, max_size=40).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)


def split(rows):
    y, p = np.array(rows, dtype=float).T
    return y, p / 10


def world(n=2000, customers=700, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    who = np.concatenate([np.arange(customers), rng.integers(0, customers, n - customers)])
    z = (rng.normal(size=customers)[who] + 0.5 * rng.normal(size=n)) - 0.5
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in who],
            "cutoff": np.array(["1998-01-01", "1998-02-01"])[np.arange(n) % 2],
            "churned": (rng.random(n) < expit(z)).astype(int),
            "active": rng.random(n) < 0.6,
        }
    )
    return frame, expit(z + shift)


@given(samples)
def test_auc_is_the_count_of_pairs(rows):
    y, p = split(rows)
    pairs = list(itertools.product(p[y == 1], p[y == 0]))
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    assert point(y, p, "auc") == pytest.approx(wins / len(pairs))


@given(samples)
def test_scikit_learn_agrees(rows):
    y, p = split(rows)
    assert point(y, p, "auc") == pytest.approx(roc_auc_score(y, p))
    assert point(y, p, "average_precision") == pytest.approx(average_precision_score(y, p))
    assert point(y, p, "log_loss") == pytest.approx(sk_log_loss(y, p))
    assert point(y, p, "brier") == pytest.approx(brier_score_loss(y, p))


@given(samples, st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_rows(rows, random):
    mixed = random.sample(rows, len(rows))
    for metric in METRICS:
        assert point(*split(rows), metric) == point(*split(mixed), metric)


@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 0.99))
def test_constant_scores_lift_nothing(churners, stayers, p):
    y = np.repeat([1, 0], [churners, stayers])
    assert point(y, np.full(y.size, p), "top_decile_lift") == pytest.approx(1.0)
    assert point(y, np.full(y.size, p), "capture_top_decile") == pytest.approx(0.1)
    assert point(y, np.full(y.size, p), "auc") == 0.5


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_perfect_ranking_lifts_as_far_as_is_possible(churners, stayers):
    y = np.repeat([1, 0], [churners, stayers])
    p = np.linspace(0.9, 0.1, y.size)
    possible = min(1 / 0.1, 1 / y.mean())
    assert point(y, p, "top_decile_lift") == pytest.approx(possible)
    assert point(y, p, "auc") == 1.0
    assert point(y, 1 - p, "auc") == 0.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=5, max_size=7))
def test_capture_under_ties_is_the_mean_over_all_their_orders(rows):
    y, p = split(rows)
    if y.sum() == 0:
        return
    orders = [o for o in itertools.permutations(range(len(y))) if (np.diff(p[list(o)]) <= 0).all()]
    for taken in range(1, len(y)):
        expected = np.mean([y[list(o[:taken])].sum() for o in orders]) / y.sum()
        found = capture(Tally.of(y, p), taken / len(y))[0]
        assert found == pytest.approx(expected)


def test_the_captures_are_of_a_twentieth_a_tenth_and_a_fifth():
    y = np.repeat([1, 0], [10, 90])
    p = np.linspace(0.9, 0.1, 100)
    found = {m: point(y, p, m) for m in METRICS if m.startswith("capture")}
    assert found == pytest.approx(
        {"capture_top_5_percent": 0.5, "capture_top_decile": 1.0, "capture_top_20_percent": 1.0}
    )


def test_every_metric_is_paired_and_the_calibration_error_holds_its_value():
    frame, p = world(n=1500)
    judged = compare(frame, {"m": p, "off": np.clip(p + 0.1, 0, 1)}, draws=60, seed=2)
    assert set(judged.now["m"]) == {*METRICS, "auc_active"}
    for metric in judged.now["m"]:
        gain = judged.gain("m", "off", metric)
        if metric in METRICS:
            assert gain == paired(frame, p, np.clip(p + 0.1, 0, 1), metric, draws=60, seed=2)
        assert gain["lower"] <= gain["value"] <= gain["upper"]
    better = judged.gain("m", "off", "expected_calibration_error")
    assert better["lower"] > 0  # losses: less is an improvement


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=10, max_size=10))
def test_lift_under_ties_is_the_mean_over_their_orders(rows):
    """With ten rows the top tenth is one row: its expected label, by listing who it may be."""
    y, p = split(rows)
    if y.sum() == 0:
        return
    candidates = y[p == p.max()]
    assert point(y, p, "top_decile_lift") == pytest.approx(candidates.mean() / y.mean())


def test_calibration_error_by_hand():
    p = np.repeat(np.arange(1, 11) / 20, 10)  # ten levels of ten rows: the bins are the levels
    y = np.concatenate([np.arange(10) < k for k in (1, 1, 1, 2, 2, 3, 4, 4, 4, 9)])
    actual = np.array([1, 1, 1, 2, 2, 3, 4, 4, 4, 9]) / 10
    expected = np.abs(actual - np.arange(1, 11) / 20).mean()
    assert point(y, p, "expected_calibration_error") == pytest.approx(expected)


def test_calibration_error_against_a_loop_over_sorted_tenths():
    frame, p = world(n=3000, shift=0.4)
    y = frame["churned"].to_numpy()
    tenths = np.array_split(np.argsort(-p), 10)
    expected = sum(abs(p[i].mean() - y[i].mean()) * len(i) for i in tenths) / len(p)
    assert point(y, p, "expected_calibration_error") == pytest.approx(expected)


def test_the_bootstrap_is_the_slow_one():
    """Repeat the rows of each drawn customer and score with scikit-learn, draw by draw."""
    frame, p = world(n=300, customers=90)
    p = p.round(1).clip(0.1, 0.9)  # ties too
    ids = sorted(frame["customer_id"].unique())
    rng = np.random.default_rng([5, 0])
    slow = {"auc": [], "average_precision": [], "log_loss": []}
    for _ in range(60):
        times = pd.Series(np.bincount(rng.integers(0, 90, 90), minlength=90), index=ids)
        rows = np.repeat(np.arange(300), times[frame["customer_id"]])
        y, q = frame["churned"].to_numpy()[rows], p[rows]
        slow["auc"].append(roc_auc_score(y, q))
        slow["average_precision"].append(average_precision_score(y, q))
        slow["log_loss"].append(sk_log_loss(y, q))
    fast = evaluate(frame, {"m": p}, draws=60, seed=5)["m"]
    for metric, values in slow.items():
        expected = np.quantile(values, [0.05, 0.95])
        np.testing.assert_allclose([fast[metric]["lower"], fast[metric]["upper"]], expected)


def test_evaluate_is_complete_finite_and_repeatable_in_any_row_order():
    frame, p = world()
    given_p = {"model": p, "flat": np.full(len(p), 0.4)}
    first = evaluate(frame, given_p, draws=50, seed=3)
    assert set(first["model"]) == {*METRICS, "auc_active"}
    for metrics in first.values():
        for name, e in metrics.items():
            assert np.isfinite(list(e.values())).all(), name
            assert e["lower"] <= e["value"] <= e["upper"], name
    assert {"floor_mean", "floor_p95"} < set(first["model"]["expected_calibration_error"])
    mixed = np.random.default_rng(0).permutation(len(p))
    shuffled = {k: v[mixed] for k, v in given_p.items()}
    again = evaluate(frame.iloc[mixed].reset_index(drop=True), shuffled, draws=50, seed=3)
    for name in ("auc", "auc_active", "log_loss", "expected_calibration_error"):
        for key, value in first["model"][name].items():
            assert again["model"][name][key] == pytest.approx(value, rel=1e-12)
    y, active = frame["churned"], frame["active"].to_numpy()
    assert first["model"]["auc_active"]["value"] == pytest.approx(
        roc_auc_score(y[active], p[active])
    )


def test_chunks_of_draws_do_not_change_the_result(monkeypatch):
    frame, p = world()
    whole = evaluate(frame, {"m": p}, draws=30, seed=3)
    monkeypatch.setattr("tenure.evaluation.bootstrap.CELLS", 7 * len(p))
    chunked = evaluate(frame, {"m": p}, draws=30, seed=3)
    for metric, estimate in whole["m"].items():
        assert chunked["m"][metric] == pytest.approx(estimate, rel=1e-12)


def test_auc_active_where_all_or_only_one_class_is_active():
    frame, p = world(n=400, customers=100)
    everybody = evaluate(frame.assign(active=True), {"m": p}, draws=20, seed=1)["m"]
    assert everybody["auc_active"] == everybody["auc"]
    one_class = frame.assign(active=frame["churned"] == 1)
    assert "auc_active" not in evaluate(one_class, {"m": p}, draws=20, seed=1)["m"]


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """AUC of two normals a distance d apart is Φ(d/√2); 90 % intervals, 120 worlds."""
    from scipy.stats import norm

    d, held = 1.0, 0
    for seed in range(120):
        rng = np.random.default_rng([seed, 77])
        y = rng.random(400) < 0.4
        frame = pd.DataFrame({"customer_id": np.arange(400), "churned": y, "active": True})
        found = evaluate(frame, {"m": expit(rng.normal(d * y, 1))}, draws=200, seed=seed)["m"]
        held += found["auc"]["lower"] <= norm.cdf(d / np.sqrt(2)) <= found["auc"]["upper"]
    assert 0.82 <= held / 120 <= 0.97  # ± 3 standard errors of 90 %


def test_customers_with_many_rows_widen_the_interval():
    """The same rows as one customer each, and as 12 copies of a twelfth of the customers."""
    frame, p = world(n=300, customers=300)
    copies = pd.concat([frame] * 12, ignore_index=True)
    clustered = evaluate(copies, {"m": np.tile(p, 12)}, draws=200, seed=1)["m"]["auc"]
    apart = copies.assign(customer_id=np.arange(len(copies)))
    naive = evaluate(apart, {"m": np.tile(p, 12)}, draws=200, seed=1)["m"]["auc"]
    ratio = (clustered["upper"] - clustered["lower"]) / (naive["upper"] - naive["lower"])
    assert ratio == pytest.approx(np.sqrt(12), rel=0.3)


def test_the_floor_is_what_a_right_model_shows():
    frame, p = world(n=2400, customers=1200)
    floor = calibration_floor(frame, p, seed=1)
    rng = np.random.default_rng(9)
    who = pd.factorize(frame["customer_id"])[0]
    simulated = [
        point(rng.random(1200)[who] < p, p, "expected_calibration_error") for _ in range(300)
    ]
    assert floor["floor_mean"] == pytest.approx(np.mean(simulated), rel=0.1)
    assert floor["floor_p95"] == pytest.approx(np.quantile(simulated, 0.95), rel=0.15)


def test_calibration_error_reaches_zero_only_where_chance_explains_it():
    frame, p = world(n=4000, customers=4000)
    right = evaluate(frame, {"m": p}, draws=100, seed=1)["m"]["expected_calibration_error"]
    assert right["lower"] == 0.0
    frame, p = world(n=4000, customers=4000, shift=0.8)
    wrong = evaluate(frame, {"m": p}, draws=100, seed=1)["m"]["expected_calibration_error"]
    assert 0.1 < wrong["lower"] < wrong["value"] < wrong["upper"]


def test_paired_improvements_have_the_right_sign_and_are_tighter():
    frame, p = world(n=3000)
    worse = expit(np.log(p / (1 - p)) + np.random.default_rng(4).normal(0, 0.7, len(p)))
    alone = evaluate(frame, {"p": p, "worse": worse}, draws=100, seed=2)
    for metric in ("auc", "log_loss", "brier", "average_precision", "top_decile_lift"):
        gain = paired(frame, p, worse, metric, draws=100, seed=2)
        other = paired(frame, worse, p, metric, draws=100, seed=2)
        assert gain["value"] > 0
        assert gain["value"] == pytest.approx(-other["value"])
        assert gain["lower"] == pytest.approx(-other["upper"])
        apart = abs(alone["p"][metric]["value"] - alone["worse"][metric]["value"])
        assert gain["value"] == pytest.approx(apart)
    wide = alone["p"]["auc"]["upper"] - alone["p"]["auc"]["lower"]
    gain = paired(frame, p, worse, "auc", draws=100, seed=2)
    assert gain["upper"] - gain["lower"] < wide
    assert set(paired(frame, p, p, "auc", draws=20, seed=2).values()) == {0.0}


def judged(frame, model, baseline):
    metrics = evaluate(frame, {"model": model, "baseline": baseline}, draws=200, seed=1)
    gains = [paired(frame, model, baseline, m, draws=200, seed=1) for m in ("log_loss", "auc")]
    return gate(metrics["model"], metrics["baseline"], *gains)


def test_the_gate_passes_a_good_model():
    frame, p = world(n=4000, customers=2000)
    verdict = judged(frame, p, np.full(len(p), frame["churned"].mean()))
    assert (verdict.passed, verdict.signal, verdict.reasons) == (True, True, ())


@pytest.mark.parametrize("seed", range(6))
def test_shuffled_labels_give_no_signal(seed):
    frame, p = world(n=3000, customers=3000, seed=seed)
    frame["churned"] = np.random.default_rng(seed + 50).permutation(frame["churned"])
    verdict = judged(frame, p, np.full(len(p), frame["churned"].mean()))
    assert not verdict.passed
    # by definition one shuffle in twenty has an AUC whose 90 % interval lies above .5
    assert not verdict.signal
    assert any("no signal" in r for r in verdict.reasons)


def test_the_gate_refuses_the_uncalibrated():
    frame, p = world(n=4000, customers=2000, shift=0.5)
    refused = judged(frame, p, p)
    assert not refused.passed
    assert refused.signal
    assert len(refused.reasons) == 1
    assert "calibration: error" in refused.reasons[0]


def test_the_gate_refuses_the_clearly_worse():
    frame, p = world(n=4000, customers=2000)
    noise = np.random.default_rng(4).normal(0, 1.5, len(p))
    verdict = judged(frame, expit(np.log(p / (1 - p)) + noise), p)
    assert not verdict.passed
    assert [r.split(":")[0] for r in verdict.reasons][:2] == ["log loss", "AUC"]


def interval(lower, value=0.0):
    return {"value": value, "lower": lower, "upper": 1.0}


@pytest.mark.parametrize(
    ("log_loss", "auc", "error", "auc_lower", "passed"),
    [
        (-0.0049, -0.0049, 0.015, 0.51, True),
        (-0.0050, -0.0049, 0.015, 0.51, False),  # 1 % of .5, and "above" means above
        (-0.0049, -0.0050, 0.015, 0.51, False),
        (-0.0049, -0.0049, 0.0151, 0.51, False),
        (-0.0049, -0.0049, 0.015, 0.504, False),  # above .5, but not by half as much again
    ],
)
def test_the_gate_stands_exactly_where_defined(log_loss, auc, error, auc_lower, passed):
    ece = {"value": error, "lower": 0.0, "upper": 1.0, "floor_mean": 0.01, "floor_p95": 0.014}
    model = {"auc": interval(auc_lower, 0.515), "expected_calibration_error": ece}
    baseline = {"log_loss": interval(0.4, 0.5)}
    assert gate(model, baseline, interval(log_loss), interval(auc)).passed is passed


def test_the_floor_raises_the_calibration_target():
    ece = {"value": 0.018, "lower": 0.0, "upper": 1.0, "floor_mean": 0.013, "floor_p95": 0.019}
    model = {"auc": interval(0.65, 0.7), "expected_calibration_error": ece}
    baseline = {"log_loss": interval(0.4, 0.5)}
    assert gate(model, baseline, interval(0.0), interval(0.0)).passed


def test_by_cutoff_in_time_order_with_undefined_auc_as_none():
    frame, p = world(n=400, customers=100)
    late = frame["cutoff"] == "1998-02-01"
    frame.loc[late, "churned"] = 1
    table = by_cutoff(frame.iloc[::-1], {"m": p[::-1]})
    assert [row["cutoff"] for row in table] == ["1998-01-01", "1998-02-01"]
    early = ~late.to_numpy()
    assert table[0]["n"] == early.sum()
    assert table[0]["base_rate"] == pytest.approx(frame["churned"][early].mean())
    assert table[0]["auc"]["m"] == pytest.approx(roc_auc_score(frame["churned"][early], p[early]))
    assert table[1]["auc"]["m"] is None
    assert table[1]["log_loss"]["m"] == pytest.approx(-np.log(p[late]).mean())


def test_refusals_say_what_is_wrong():
    frame, p = world(n=400, customers=100)
    with pytest.raises(DataError, match="one class"):
        evaluate(frame.assign(churned=0), {"m": p}, seed=1)
    with pytest.raises(ModelError, match="m: 399 probabilities for 400 rows"):
        evaluate(frame, {"m": p[1:]}, seed=1)
    for bad in (np.nan, -0.1, 1.1, np.inf):
        with pytest.raises(ModelError, match="m: 1 of 400 probabilities"):
            evaluate(frame, {"m": np.where(np.arange(400) == 7, bad, p)}, seed=1)


def test_certain_and_wrong_is_bad_but_finite():
    assert np.isfinite(point([1, 0, 1], [0.0, 1.0, 1.0], "log_loss"))
