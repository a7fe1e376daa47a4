"""Curves with their support, whom a factor touches, and what goes with what."""

import numpy as np
import pandas as pd
import pytest

from tenure.explain.curves import curve, leaving_rate
from tenure.explain.factors import correlated, factors_in_full
from tenure.explain.interplay import interplay, strong_pairs
from tenure.explain.points import Explained, by_factor, explain
from tenure.features.schema import Column
from tenure.models.calibration import Calibrator
from tenure.models.churn import Blend
from tenure.models.logistic import fit_logistic_attributes
from tenure.models.trees import Settings, fit_lightgbm

AS_IS = Calibrator("none", {})


def column(name, factor="delivery", direction=0, unit="days"):
    return Column(name, name, None, None, unit, factor, f"The {name}", direction)


def explained(points):
    points = pd.DataFrame(points)
    return Explained(points / 100, 0.0, points, np.full(len(points), 0.5), 0.5)


def drawn(values, churned=None, customers=None, here=None, points=None):
    values = pd.Series(values, dtype=float)
    n = len(values)
    rows = pd.DataFrame(
        {
            "customer_id": np.arange(n) if customers is None else customers,
            "churned": np.zeros(n) if churned is None else churned,
        }
    )
    here = values if here is None else pd.Series(here, dtype=float)
    points = pd.Series(np.zeros(len(here)) if points is None else points)
    return curve(column("wait"), values, rows, here, points)["bins"]


def test_a_rate_of_independent_rows_has_wilsons_interval():
    # Brown, Cai, DasGupta (2001), equation 4, at n = 50, x = 10, 90 %
    z, n, p = 1.6448536269514722, 50, 0.2
    wanted = (p + z**2 / (2 * n) + np.array([-1, 1]) * z * np.sqrt(
        (p * (1 - p) + z**2 / (4 * n)) / n)) / (1 + z**2 / n)  # fmt: skip
    rate, lower, upper = leaving_rate(np.r_[np.ones(10), np.zeros(40)], np.arange(50))
    assert rate == 0.2
    np.testing.assert_allclose([lower, upper], wanted, rtol=0.01)  # n / (n - 1) of the clusters


def test_rows_that_repeat_a_customer_tell_nothing_new():
    once = leaving_rate(np.r_[np.ones(10), np.zeros(40)], np.arange(50))
    thrice = leaving_rate(
        np.repeat(np.r_[np.ones(10), np.zeros(40)], 3), np.repeat(np.arange(50), 3)
    )
    np.testing.assert_allclose(thrice, once)


def test_the_interval_of_clustered_rates_covers():
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        chance = rng.beta(2, 4, 60)
        customer = np.repeat(np.arange(60), 5)
        _, lower, upper = leaving_rate((rng.random(300) < chance[customer]).astype(float), customer)
        held += lower <= 1 / 3 <= upper
    assert 0.86 <= held / 400 <= 0.94  # .90 at four standard errors of .015, less a little


def test_where_nobody_left_the_interval_is_of_customers_not_rows():
    rate, lower, upper = leaving_rate(np.zeros(100), np.repeat(np.arange(20), 5))
    assert (rate, lower) == (0.0, pytest.approx(0.0, abs=1e-12))
    assert upper == pytest.approx(2.7055 / (20 + 2.7055), rel=1e-3)  # z² / (n + z²)


def test_bins_hold_every_row_once_and_missing_last():
    values = np.r_[np.arange(400.0), np.full(30, np.nan), [np.inf, -np.inf]]
    bins = drawn(values)
    assert sum(b["rows"] for b in bins) == 432
    assert len(bins) <= 9
    assert bins[-1]["label"] == "none"
    assert bins[-1]["rows"] == 32
    assert bins[0]["label"] == "up to 49 days"
    assert bins[1]["label"] == "over 49 days to 99 days"
    assert bins[-2]["label"].startswith("more than")
    assert [b["to"] for b in bins[:-2]] == [b["from"] for b in bins[1:-1]]


def test_few_values_have_a_bin_each():
    bins = drawn(np.repeat([0.0, 1.0, 5.0], 20), churned=np.repeat([0, 1, 1], 20))
    assert [b["label"] for b in bins] == ["0 days", "1 day", "5 days"]
    assert [b["left"] for b in bins] == [0.0, 1.0, 1.0]


def test_bins_of_few_customers_join_a_neighbour_or_stay_silent():
    values = np.repeat([0.0, 1.0, 2.0], [40, 9, 40])
    assert [b["rows"] for b in drawn(values)] == [49, 40]
    same = np.r_[np.arange(40), np.full(40, 99), np.arange(200, 240)]
    bins = drawn(np.repeat([0.0, 1.0, 2.0], 40), customers=same)  # 40 rows of one customer
    assert [b["customers"] for b in bins] == [41, 40]
    missing = drawn(np.r_[np.zeros(20), np.full(5, np.nan)])[-1]
    assert (missing["label"], missing["rows"], missing["left"]) == ("none", 5, None)


def test_a_bin_shows_the_mean_points_of_the_customers_of_today_in_it():
    bins = drawn(
        np.repeat([0.0, 1.0], 20), here=np.repeat([0.0, 1.0], [12, 5]), points=np.arange(17.0)
    )
    assert [b["points"] for b in bins] == [5.5, None]


def test_nothing_known_is_one_bin():
    assert [b["label"] for b in drawn(np.full(20, np.nan))] == ["none"]


def test_a_factor_touches_those_whom_it_raises_by_a_point():
    here = pd.DataFrame({"a": np.arange(4.0), "b": 0.0})
    columns = {"a": column("a"), "b": column("b")}
    said = explained({"a": [2.0, -3.0, 0.9, 1.5], "b": [-1.5, 0.0, 0.1, 0.0]})
    rows = pd.DataFrame({"customer_id": list("wxyz"), "churned": [0, 1, 0, 1]})
    (told,) = factors_in_full(said, here, here, rows, columns)
    assert told["touched"] == {"customers": 2, "share": 0.5}  # .5 and -3 and 1.0 and 1.5
    assert [c["feature"] for c in told["curves"]] == ["a", "b"]


def test_entangled_factors_are_named():
    rng = np.random.default_rng(3)
    late, noise = rng.random(200), rng.random(200)
    here = pd.DataFrame({"late": late, "slow": late + 0.1 * noise, "spend": noise})
    columns = {
        "late": column("late", "delivery", 1),
        "slow": column("slow", "responsiveness", 1),
        "spend": column("spend", "value"),
    }
    said = explained({"late": late, "slow": noise, "spend": -noise})
    exposed, points = correlated(said, here, columns)
    assert points["factors"] == ["responsiveness", "value"] or exposed["factors"][0] != "delivery"
    by = {tuple(f["factors"]): f for f in (exposed, points)}
    assert by["delivery", "responsiveness"]["exposure"] > 0.9
    assert abs(by["delivery", "responsiveness"]["points"]) < 0.3
    assert by["responsiveness", "value"]["points"] == pytest.approx(-1)
    assert by["responsiveness", "value"]["exposure"] is None
    assert "opposite ways" in by["responsiveness", "value"]["sentence"]
    assert (
        "fares badly by delivery mostly fares badly" in by["delivery", "responsiveness"]["sentence"]
    )


def acting_together(seed=0, n=3000):
    """Lateness drives off only those who also waited."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.random((n, 3)), columns=["late", "slow", "spend"])
    both = (X["late"] > 0.5) & (X["slow"] > 0.5)
    y = (rng.random(n) < 0.1 + 0.6 * both).astype(int)
    columns = {
        "late": column("late"), "slow": column("slow", "responsiveness"),
        "spend": column("spend", "value"),
    }  # fmt: skip
    return X, y, columns


def test_factors_that_act_together_are_found_and_worded():
    X, y, columns = acting_together()
    model = fit_lightgbm(X, y)
    said = explain(model, AS_IS, X)
    together = interplay(model, X, columns)
    floors = dict.fromkeys(together, 0.5)
    pairs = strong_pairs(said, together, by_factor(said.points, columns), floors)
    assert pairs[0]["factors"] == ["delivery", "responsiveness"]
    assert pairs[0]["extra_points"] > 1
    assert "matters more for customers whom responsiveness drives off too" in pairs[0]["sentence"]
    assert strong_pairs(said, together, by_factor(said.points, columns), {}) == []
    high = dict.fromkeys(together, 99.0)
    assert strong_pairs(said, together, by_factor(said.points, columns), high) == []


def test_a_blend_shares_its_interactions_and_a_logistic_has_none():
    X, y, columns = acting_together()
    trees = fit_lightgbm(X, y, settings=Settings({"num_iterations": 20}))
    line = fit_logistic_attributes(X, y)
    assert interplay(line, X, columns) == {}
    whole = interplay(trees, X, columns)
    blended = interplay(Blend((trees, line), (0.7, 0.3)), X, columns)
    for pair, values in whole.items():
        np.testing.assert_allclose(blended[pair], 0.7 * values)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # remove when shap > 0.51
@pytest.mark.parametrize("plot", ["beeswarm", "waterfall", "bar"])
def test_every_plot_of_shap_takes_an_explanation(plot):
    import matplotlib as mpl

    mpl.use("Agg")
    import shap
    from matplotlib import pyplot as plt

    X, y, _ = acting_together(n=300)
    X.iloc[:40, 0] = np.nan
    told = explain(fit_lightgbm(X, y), AS_IS, X).to_shap(X)
    getattr(shap.plots, plot)(told[0] if plot == "waterfall" else told, show=False)
    drawn_names = " ".join(t.get_text() for t in plt.gca().get_yticklabels())
    plt.close("all")
    assert {"late", "slow", "spend"} <= set(drawn_names.replace("=", " ").split())


def test_points_a_unit_of_log_odds_are_those_of_every_input():
    X, y, _ = acting_together()
    said = explain(fit_lightgbm(X, y), AS_IS, X)
    np.testing.assert_allclose(said.log_odds.mul(said.scale, axis=0), said.points, atol=1e-9)
    assert not Explained(X[[]], 0.0, X[[]], y, 0.5).scale.any()
