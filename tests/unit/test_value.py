"""Value: discounting, horizons, and what a silence leaves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.errors import ConfigError
from tenure.evaluation.clv import METRICS, baselines, coverage, deciles, measure
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.pareto import ParetoModel
from tenure.models.purchases import expected_purchases, p_no_purchase
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import clv, combine, conditional_values, value_at_risk

FAMILIES = ("bg_nbd", "mbg_nbd", "pareto_nbd")
SPEND = SpendModel(6.25, 3.74, 15.44, 0.0, 946, "converged", 35.0, 0.1)
RFM = pd.DataFrame(
    {
        "frequency": [0, 0, 1, 4, 40, 2],
        "recency": [0, 0, 30, 200, 300, 10],
        "T": [0, 300, 40, 250, 310, 365],
        "monetary_value": [np.nan, np.nan, 20.0, 55.0, 12.0, 400.0],
    }
).astype(float)
YEAR = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 1.0}


def model(family="bg_nbd", r=0.24, alpha=31.0, a=0.79, b=2.4):
    if family == "pareto_nbd":
        return ParetoModel(r, alpha, a, 40 * b, 0.0, "converged", 1)
    return PurchaseModel(family, r, alpha, a, b, 0.0, "converged", 1)


def columns(rfm=RFM):
    return rfm["frequency"], rfm["recency"], rfm["T"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("horizon", [1, 15, 30, 45, 365, 3650])
def test_undiscounted_value_is_purchases_times_spend(family, horizon):
    value = clv(model(family), SPEND, RFM, horizon_days=horizon, annual_discount_rate=0, margin=0.4)
    money = spend_per_purchase(SPEND, RFM["frequency"], RFM["monetary_value"])
    ahead = expected_purchases(model(family), *columns(), horizon)
    np.testing.assert_allclose(value, 0.4 * ahead * money, rtol=1e-10)


def test_discount_by_hand():
    """45 days: steps 0-30 and 30-45, discounted to days 15 and 37.5."""
    m = model()
    until = [expected_purchases(m, *columns(), t) for t in (30, 45)]
    money = spend_per_purchase(SPEND, RFM["frequency"], RFM["monetary_value"])
    by_hand = until[0] * 11 ** (-15 / 365) + (until[1] - until[0]) * 11 ** (-37.5 / 365)
    value = clv(m, SPEND, RFM, horizon_days=45, annual_discount_rate=10, margin=1)
    np.testing.assert_allclose(value, by_hand * money, rtol=1e-10)


def test_steps_come_close_to_continuous_discounting():
    m = model()
    edges = np.linspace(0, 365, 731)
    every = RFM.loc[np.tile(RFM.index, len(edges))]  # each customer at each edge
    until = expected_purchases(m, *columns(every), np.repeat(edges, len(RFM)))
    until = until.reshape(len(edges), len(RFM))
    weights = 1.1 ** (-(edges[1:] + edges[:-1]) / 2 / 365)
    money = spend_per_purchase(SPEND, RFM["frequency"], RFM["monetary_value"])
    exact = (np.diff(until, axis=0) * weights[:, None]).sum(axis=0) * money
    np.testing.assert_allclose(clv(m, SPEND, RFM, **YEAR), exact, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("horizon", "gap"), [(90, 0), (45, 0), (90, 14), (30, 60)])
def test_conditional_values_mix_to_the_value(family, horizon, gap):
    m = model(family)
    found = conditional_values(m, SPEND, RFM, label_horizon_days=horizon, gap_days=gap, **YEAR)
    mixed = combine(found.p0, found.V_A, found.V_0)
    # the label window's edges refine the discounting grid: a part in ten thousand
    np.testing.assert_allclose(mixed, clv(m, SPEND, RFM, **YEAR), rtol=2e-4)
    plain = {**YEAR, "annual_discount_rate": 0}
    found = conditional_values(m, SPEND, RFM, label_horizon_days=horizon, gap_days=gap, **plain)
    mixed = combine(found.p0, found.V_A, found.V_0)
    np.testing.assert_allclose(mixed, clv(m, SPEND, RFM, **plain), rtol=1e-9)
    assert (found.V_0 >= 0).all()
    assert (value_at_risk(0.3, found.V_A, found.V_0) >= 0).all()
    assert (found.V_A >= found.V_0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_value_after_a_silence_as_defined(family):
    """V_0 = purchases over (h, H] seen from (x, t_x, T + h), times spend; 0 where H <= h."""
    m, plain = model(family), {"annual_discount_rate": 0, "margin": 1}
    found = conditional_values(m, SPEND, RFM, horizon_days=365, label_horizon_days=90, **plain)
    x, t_x, T = columns()
    money = spend_per_purchase(SPEND, x, RFM["monetary_value"])
    np.testing.assert_allclose(
        found.V_0, expected_purchases(m, x, t_x, T + 90, 275) * money, rtol=1e-9
    )
    np.testing.assert_allclose(found.p0, p_no_purchase(m, x, t_x, T, 90), rtol=1e-12)
    short = conditional_values(m, SPEND, RFM, horizon_days=60, label_horizon_days=90, **plain)
    assert (short.V_0 == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_values_with_a_gap_agree_with_simulation(family):
    m = model(family, r=0.8, alpha=20.0, a=0.9, b=2.0)
    row = pd.DataFrame(
        {"frequency": [4.0], "recency": [80.0], "T": [100.0], "monetary_value": [20.0]}
    )
    gap, horizon, until, draws = 45, 60, 180, 400_000
    rng = np.random.default_rng(9)
    rate = rng.gamma(m.r + 4, 1 / (m.alpha + 100), draws)
    end, leave = np.inf, 0.0
    if family == "pareto_nbd":
        end = rng.exponential(1 / rng.gamma(m.s, 1 / (m.beta + 100), draws))
    else:
        leave = rng.beta(m.a, m.b + 4 + (family == "mbg_nbd"), draws)
    alive = rng.random(draws) < p_alive(m, 4, 80, 100)[0]
    now, count, bought = np.zeros(draws), np.zeros(draws), np.zeros(draws, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / rate)
        alive &= now < np.minimum(end, until)
        count += alive
        bought |= alive & (now >= gap) & (now < gap + horizon)
        alive &= rng.random(draws) >= leave
    found = conditional_values(
        m, SPEND, row, horizon_days=until, annual_discount_rate=0, margin=1,
        label_horizon_days=horizon, gap_days=gap,
    )  # fmt: skip
    money = spend_per_purchase(SPEND, 4, 20.0)[0]
    for value, group in ((found.V_A[0], count[bought]), (found.V_0[0], count[~bought])):
        error = 4 * group.std() / np.sqrt(len(group))
        assert value / money == pytest.approx(group.mean(), abs=error)


def test_the_unit_of_time_and_of_money_cannot_matter():
    m = model()
    weekly = PurchaseModel("bg_nbd", m.r, m.alpha / 7, m.a, m.b, 0.0, "converged", 1)
    in_weeks = RFM.assign(recency=RFM["recency"] / 7, T=RFM["T"] / 7)
    np.testing.assert_allclose(
        expected_purchases(weekly, *columns(in_weeks), 90 / 7),
        expected_purchases(m, *columns(), 90),
        rtol=1e-12,
    )
    rich = SpendModel(6.25, 3.74, 15.44e6, 0.0, 946, "converged", 35e6, 0.1)
    dear = RFM.assign(monetary_value=RFM["monetary_value"] * 1e6)
    np.testing.assert_allclose(
        clv(m, rich, dear, **YEAR), clv(m, SPEND, RFM, **YEAR) * 1e6, rtol=1e-12
    )


def test_value_grows_with_the_horizon_and_shrinks_with_the_discount():
    m = model()
    grown = [clv(m, SPEND, RFM, **{**YEAR, "horizon_days": h}) for h in (15, 30, 45, 365, 3650)]
    assert (np.diff(grown, axis=0) > 0).all()
    shrunk = [clv(m, SPEND, RFM, **{**YEAR, "annual_discount_rate": d}) for d in (0, 0.1, 10)]
    assert (np.diff(shrunk, axis=0) < 0).all()


def test_senseless_settings_are_refused_together():
    with pytest.raises(ConfigError, match="3 problems") as fault:
        clv(model(), SPEND, RFM, horizon_days=0, annual_discount_rate=-1, margin=0)
    assert fault.value.exit_code == 2
    for word in ("horizon_days", "annual_discount_rate", "margin"):
        assert word in str(fault.value)


def test_measures_by_hand():
    found = {k: v["value"] for k, v in measure([0, 0, 10, 30], [1, 2, 5, 4], draws=0).items()}
    assert found["mae"] == pytest.approx((1 + 2 + 5 + 26) / 4)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 4 + 25 + 676) / 4))
    assert found["bias"] == pytest.approx(12 / 40 - 1)
    assert found["bias_total"] == -28
    # mid-ranks 1.5 1.5 3 4 against 1 2 4 3
    assert found["spearman"] == pytest.approx(np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 4, 3])[0, 1])
    # cumulative shares 0 0 30 40 (by prediction) and 0 0 10 40 (best), trapezoids to the diagonal
    assert found["gini"] == pytest.approx((80 - 50) / (80 - 30))


def test_measures_know_no_row_order_and_share_ties():
    rng = np.random.default_rng(0)
    actual, predicted = rng.poisson(1.0, 500) * 10.0, rng.integers(0, 4, 500)
    order = rng.permutation(500)
    one, other = (
        measure(actual, predicted, draws=0),
        measure(actual[order], predicted[order], draws=0),
    )
    assert [one[k]["value"] for k in METRICS] == pytest.approx([other[k]["value"] for k in METRICS])
    flat = measure(actual, np.full(500, 3.0), draws=20)
    assert flat["gini"]["value"] == flat["spearman"]["value"] == 0
    perfect = measure(actual, actual, draws=20)
    assert perfect["gini"] == {"value": 1.0, "lower": 1.0, "upper": 1.0}
    assert perfect["spearman"]["lower"] == pytest.approx(1)


def test_intervals_cover_the_sampling_error_of_a_mean():
    rng = np.random.default_rng(1)
    actual = rng.exponential(20, 2000)
    mae = measure(actual, np.zeros(2000), draws=400)["mae"]
    width = 2 * 1.645 * actual.std() / np.sqrt(2000)
    assert mae["upper"] - mae["lower"] == pytest.approx(width, rel=0.15)


def test_nobody_bought_and_broken_columns():
    nothing = measure(np.zeros(5), np.ones(5), draws=10)
    assert nothing["bias"]["value"] is None
    assert nothing["gini"]["value"] is None
    assert nothing["mae"]["value"] == 1
    with pytest.raises(ValueError, match="1 of 2 rows are missing"):
        measure([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(ValueError, match="equal, non-empty"):
        measure([], [])


def test_baselines_of_a_new_customer_are_zero():
    rules = baselines([0, 2], [0, 100], [np.nan, 30.0], horizon_days=50)
    np.testing.assert_allclose(rules["past_rate"], [[0, 1], [0, 30]])
    np.testing.assert_allclose(rules["always_zero"], 0)


def test_deciles_by_hand():
    """Ten customers, two of them tied: the pair stands together in the tenth of its middle."""
    predicted = np.array([1.0, 2, 3, 4, 5, 6, 7, 9, 9, 10])
    actual = np.array([0.0, 0, 5, 0, 5, 5, 10, 10, 0, 30])
    table = deciles(predicted, {"value": (predicted, actual)}, draws=50)
    assert [(row["decile"], row["customers"]) for row in table] == [
        (1, 1), (3, 2), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1), (10, 1),
    ]  # fmt: skip
    second = table[1]["value"]
    assert second["expected_total"] == 18
    assert second["expected_mean"] == 9
    assert second["actual_total"]["value"] == 10
    # of two customers with 10 and 0, a quarter of the draws holds each twice
    assert second["actual_total"] == {"value": 10, "lower": 0, "upper": 20}
    assert second["actual_mean"] == {"value": 5, "lower": 0, "upper": 10}
    assert sum(row["value"]["actual_total"]["value"] for row in table) == actual.sum()


def test_deciles_know_no_row_order_and_keep_the_undecided_together():
    rng = np.random.default_rng(2)
    predicted, actual = rng.integers(0, 30, 1000) * 1.0, rng.poisson(1.0, 1000) * 1.0
    order = rng.permutation(1000)
    columns = {"value": (predicted, actual), "purchases": (predicted / 2, actual)}
    shuffled = {k: (u[order], v[order]) for k, (u, v) in columns.items()}
    one, other = deciles(predicted, columns), deciles(predicted[order], shuffled)
    assert one == other
    assert len(one) == 10
    (flat,) = deciles(np.ones(50), {"value": (np.ones(50), np.arange(50.0))}, draws=10)
    assert flat["customers"] == 50


def test_coverage_by_hand():
    # 0 purchases with P = .6: of (0, .6) the part above .05; a sure thing: .9 of it; a point at .97
    assert coverage([0.0], [0.6], draws=0)["value"] == pytest.approx(0.55 / 0.6)
    assert coverage([0.0], [1.0], draws=0)["value"] == pytest.approx(0.9)
    assert coverage([0.97, 0.5], [0.97, 0.5], draws=0)["value"] == 0.5
    assert coverage([0.96], [1.0], draws=0)["value"] == 0
    rng = np.random.default_rng(3)
    u = rng.random(2000)
    found = coverage(u, u)
    assert found["lower"] < 0.9 < found["upper"]
    assert found["upper"] - found["lower"] == pytest.approx(2 * 1.645 * 0.3 / 2000**0.5, rel=0.2)
    assert coverage(u[::-1], u[::-1]) == found
