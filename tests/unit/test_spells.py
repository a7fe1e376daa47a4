"""How long subscriptions last: the paper's fits, curves by hand, and what must always hold."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import beta as beta_function

from tenure.errors import DataError
from tenure.models.spells import (
    PERIOD_DAYS,
    KaplanMeier,
    ShiftedBetaGeometric,
    SpellTiming,
    fit_periods,
    fit_spells,
)

# Fader & Hardie (2007), table 1: percent of 1,000 customers who survive years 0 to 12
HIGH_END = [100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1, 46.8, 44.5, 42.7, 40.9, 39.4]
REGULAR = [100, 63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1, 22.3, 20.7, 19.4, 18.3, 17.3]


@pytest.mark.parametrize(
    ("percent", "alpha", "beta"), [(HIGH_END, 0.668, 3.806), (REGULAR, 0.704, 1.182)]
)
def test_the_fit_of_the_paper(percent, alpha, beta):
    alive = 10 * np.array(percent[:8])
    periods, left = [*range(1, 8), 7], [True] * 7 + [False]
    found = fit_periods(periods, left, [*-np.diff(alive), alive[-1]])
    assert found == pytest.approx((alpha, beta), abs=5e-4)
    forecast = 100 * ShiftedBetaGeometric(*found).survival(np.arange(8, 13))
    assert np.abs(forecast - percent[8:]).max() < 2  # the years it has not seen


def test_survival_is_the_ratio_of_betas():
    model = ShiftedBetaGeometric(0.7, 1.2)
    t = np.arange(1, 20)
    np.testing.assert_allclose(
        model.survival(t), beta_function(0.7, 1.2 + t) / beta_function(0.7, 1.2)
    )
    assert model.survival(0) == 1


def test_kaplan_meier_by_hand():
    days = np.array([1.0, 2, 2, 3, 3, 4])
    left = np.array([True, True, False, False, True, False])
    model = KaplanMeier.fit(days, left, np.ones(6))
    assert model.ages == (1, 2, 3)
    assert model.at_risk == (6, 4, 2)
    np.testing.assert_allclose(model.survival, [5 / 6, 5 / 6 * 3 / 4, 5 / 6 * 3 / 4 / 2])
    np.testing.assert_allclose(model.reached([0, 1, 2, 3, 99]), [1, 1, 5 / 6, 5 / 8, 5 / 16])


def test_the_chance_at_an_age_is_the_share_that_ends_in_its_window():
    # 100 start; 40 end on day 10, 30 on day 45, 30 run at day 90
    days = np.repeat([10.0, 45, 90], [40, 30, 30])
    model = KaplanMeier.fit(days, np.repeat([True, True, False], [40, 30, 30]), np.ones(100))
    # of the 60 that reach day 11 none ends before day 41; one more counts, with the chance at 0
    np.testing.assert_allclose(model.p_end([0, 11], 30), [40.4 / 101, 0.4 / 61])
    # nobody leaves after day 45: older ages count as day 16, the oldest whose window is known
    np.testing.assert_allclose(model.p_end([16, 30, 500], 30), [30.4 / 61] * 3)
    np.testing.assert_allclose(model.p_end([0], 20, gap=30), 30.3 / 101)
    assert np.isnan(model.p_end([np.nan], 30)).all()


def test_a_weight_stands_for_so_many_rows():
    days, left = drawn(3, 300)
    pairs, n = np.unique(np.column_stack([days, left]), axis=0, return_counts=True)
    weighed = fit_spells(pairs[:, 0], pairs[:, 1], n)
    plain = fit_spells(days, left)
    assert weighed.kaplan_meier.ages == plain.kaplan_meier.ages
    np.testing.assert_allclose(weighed.kaplan_meier.survival, plain.kaplan_meier.survival)
    assert weighed.sbg == plain.sbg


def drawn(seed, n=4000, alpha=1.5, beta=12.0, until=24):
    rng = np.random.default_rng(seed)
    periods = rng.geometric(rng.beta(alpha, beta, n))
    start = rng.integers(1, until + 1, n)
    left = periods <= start
    return np.where(left, periods, start) * PERIOD_DAYS, left


def test_both_find_what_the_data_were_drawn_from():
    days, left = drawn(1)
    timing = fit_spells(days, left)
    truth = ShiftedBetaGeometric(1.5, 12.0)
    age = np.arange(0, 15) * PERIOD_DAYS
    expected = truth.p_end(age, 3 * PERIOD_DAYS)
    np.testing.assert_allclose(timing.sbg.p_end(age, 3 * PERIOD_DAYS), expected, atol=0.02)
    # an end on the last day of a period lies in the window that holds that day
    said = timing.kaplan_meier.p_end(age + 1, 3 * PERIOD_DAYS)
    np.testing.assert_allclose(said, expected, atol=0.06)


def test_nobody_left_is_refused():
    with pytest.raises(DataError, match="none of 3 ended by the subscriber"):
        fit_spells([10, 20, 30], [False] * 3)
    with pytest.raises(DataError):
        fit_spells([], [])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 800), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 3000), st.integers(1, 400), st.integers(0, 90),
)  # fmt: skip
def test_chances_are_chances_and_grow_with_the_horizon(rows, age, horizon, gap):
    days, left = (list(c) for c in zip(*rows, strict=True))
    days, left = [*days, 30], [*left, True]
    timing = fit_spells(days, left)
    for model in (timing.kaplan_meier, timing.sbg):
        p = model.p_end([age], horizon, gap)
        assert ((p >= 0) & (p <= 1)).all()
    assert timing.sbg.p_end([age], horizon + 30, gap) >= timing.sbg.p_end([age], horizon, gap)


def test_order_of_rows_does_not_matter_and_json_keeps_all():
    days, left = drawn(2, 500)
    timing = fit_spells(days, left)
    order = np.random.default_rng(0).permutation(500)
    assert fit_spells(days[order], left[order]) == timing
    assert SpellTiming.from_json(json.loads(json.dumps(timing.to_json()))) == timing
