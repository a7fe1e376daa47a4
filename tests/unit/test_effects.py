"""Adjusted effects find planted ones, and only those; checks refuse what cannot be compared."""

import numpy as np
import pandas as pd
import pytest

from tenure.effects.adjusted import Estimate, adjusted, quietly
from tenure.effects.assess import assess_rows
from tenure.effects.checks import overlap, past_placebo, shuffled_placebo
from tenure.effects.reached import pieces_of
from tenure.levers import LEVERS, Dosage

X = ["age", "region"]
LEVER = LEVERS["late_delivery"]


@pytest.fixture(autouse=True)
def _quiet():
    with quietly():
        yield


def people(n=3_000, effect=0.10, *, seed=0, confounded=0.6, hidden=0.0, each=2):
    """Draw customers whose region brings late parcels, and leaving anyway."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n // each), each)
    region = rng.integers(0, 2, n // each)[who].astype(float)
    unseen = rng.integers(0, 2, n // each)[who]
    age = rng.gamma(2.0, 100.0, n)
    parcels = 1 + rng.poisson(1.0, n)
    late = rng.binomial(parcels, 0.12 + 0.2 * confounded * region + hidden * unseen)
    p = 0.15 + 0.15 * confounded * region + 0.4 * hidden * unseen + effect * late
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:05d}" for i in who], "cutoff": pd.Timestamp("2025-01-01"),
            "churned": (rng.random(n) < np.clip(p, 0, 1)).astype(int),
            "age": age, "region": region, "n": parcels.astype(float), "bad": late.astype(float),
            "past": rng.normal(30 + 5 * unseen * (hidden > 0), 5),
        }
    )  # fmt: skip


def test_the_effect_is_found_where_the_plain_difference_is_fooled():
    rows = people(6_000, effect=0.0)
    plain = rows.groupby(rows["bad"] > 0)["churned"].mean()
    assert plain[True] - plain[False] > 0.02
    low, high = adjusted(rows, "bad", [*X, "n"], seed=1).combined([1.0]).ends(0.99)
    assert low < 0 < high


def test_nine_ranges_in_ten_hold_the_truth():
    inside = 0
    for seed in range(40):
        low, high = (
            adjusted(people(1_500, seed=seed), "bad", [*X, "n"], seed=1).combined([1.0]).ends()
        )
        inside += low <= 0.10 <= high
    assert 31 <= inside <= 40  # of 40 at 90 %: fewer than 31 has a chance below 1 %


def test_a_customer_with_many_rows_is_one_customer():
    rows = people(1_000, each=1)
    again = pd.concat([rows] * 4, ignore_index=True)
    one, four = (adjusted(r, "bad", [*X, "n"], seed=1).combined([1.0]).error for r in (rows, again))
    assert four > 0.8 * one  # as if independent it would be half


def test_two_pieces_are_told_apart():
    rng = np.random.default_rng(4)
    rows = people(6_000, effect=0.0, seed=4)
    rows["below"], rows["above_1"] = rng.poisson(1.0, len(rows)), rng.poisson(0.3, len(rows))
    rows["above_1"] += rows["below"] * 0.5
    p = 0.1 + 0.02 * rows["below"] + 0.1 * rows["above_1"]
    rows["churned"] = (rng.random(len(rows)) < p.clip(0, 1)).astype(int)
    found = pieces_of(rows, Dosage(1.0, (1.0, 9.0)), X, 1).effect(rows["churned"])
    for weights, truth in (([1, 0], 0.02), ([0, 1], 0.1), ([-2, 1], 0.06)):
        low, high = found.combined(weights).ends(0.99)
        assert low < truth < high


def test_one_piece_is_what_doubleml_finds():
    rows = people(2_000).assign(above_1=lambda r: r["bad"])
    mine = pieces_of(rows, Dosage(0.0, (0.0, 9.0)), X, 1).effect(rows["churned"])
    theirs = adjusted(rows, "bad", [*X, "n"], seed=1)
    np.testing.assert_allclose(mine.coefficients, theirs.coefficients, rtol=1e-9)
    np.testing.assert_allclose(mine.influence, theirs.influence, atol=1e-9)


def test_the_same_seed_gives_the_same_numbers():
    rows = people(1_000)
    a, b = (adjusted(rows, "bad", X, seed=3) for _ in range(2))
    np.testing.assert_array_equal(a.coefficients, b.coefficients)
    np.testing.assert_array_equal(a.influence, b.influence)


def test_a_range_is_turned_with_its_sign():
    said = Estimate(2.0, 1.0).to_json(-1.0)
    assert said["lower"] < said["value"] == -2.0 < said["upper"]


def test_a_planted_driver_holds_and_none_does_not():
    found = assess_rows(LEVER, people(6_000), None, (*X,), 1)
    assert found.holds, found.why_not
    low, high = found.each.ends(0.99)
    assert low < 10 < high
    assert found.all_of_them.value == pytest.approx(found.each.value * people(6_000)["bad"].mean())
    none = assess_rows(LEVER, people(6_000, effect=0.0), None, (*X,), 1)
    assert not none.holds
    assert "cannot be told from none" in none.why_not[0]


@pytest.mark.parametrize(("usual", "is_small"), [(0.3, True), (0.02, False)])
def test_a_small_effect_counts_where_few_leave(usual, is_small):
    rng = np.random.default_rng(6)
    rows = people(40_000, effect=0.0, seed=6)
    p = usual + 0.012 * rows["bad"]  # some .4 points in all
    rows["churned"] = (rng.random(len(rows)) < p).astype(int)
    doubts = assess_rows(LEVER, rows, None, (*X,), 1).why_not
    assert any("is small" in doubt for doubt in doubts) == is_small, doubts


def test_who_leaves_less_after_a_bad_experience_is_no_driver():
    found = assess_rows(LEVER, people(6_000, effect=-0.05), None, (*X,), 1)
    assert not found.holds
    assert "leave less" in found.why_not[0]


def test_too_few_on_one_side_are_not_compared():
    rows = people(2_000)
    rows["bad"] = 0.0
    rows.loc[:30, "bad"] = 1.0
    found = assess_rows(LEVER, rows, None, (*X,), 1)
    assert found.each is None
    assert "50 on both sides" in found.why_not[0]


def test_where_the_experience_is_foretold_there_are_no_likes():
    rows = people(3_000)
    rows["bad"] = (rows["age"] > rows["age"].median()).astype(float)
    both = overlap(rows, X, 1)
    assert both.share < 0.5
    assert not both.is_enough
    assert overlap(people(3_000), X, 1).is_enough


def test_experiences_of_others_do_nothing():
    rows = people(4_000)
    assert abs(shuffled_placebo(rows, [*X, "n"], 2).z) < 3


def test_an_unseen_trait_shows_in_the_past():
    quiet, told = people(6_000, effect=0.0), people(6_000, effect=0.0, hidden=0.3)
    names = ("customer_id", "cutoff", "past", *X)
    for rows, is_fooled in ((quiet, False), (told, True)):
        rows["cutoff"] = pd.Timestamp("2025-01-01") + pd.to_timedelta(np.arange(len(rows)), "D")
        past = rows[list(names)]
        assert (abs(past_placebo(rows, past, X, 1).z) > 3) == is_fooled
        doubts = assess_rows(LEVER, rows, past, (*X,), 1).why_not
        assert any("on the past" in doubt for doubt in doubts) == is_fooled


def test_a_limit_takes_away_only_what_lies_above_it():
    rng = np.random.default_rng(1)
    rows = people(8_000, effect=0.0, seed=1)
    days = rng.exponential(4.0, len(rows)) * (rng.random(len(rows)) < 0.4)
    rows["below"], rows["above_1"] = np.minimum(days, 2), np.clip(days - 2, 0, 3)
    rows["above_2"], rows["worst"] = np.clip(days - 5, 0, 5), days
    rows["churned"] = (rng.random(len(rows)) < 0.1 + 0.04 * np.minimum(days, 10)).astype(int)
    found = pieces_of(rows, Dosage(2.0, (2.0, 5.0, 10.0)), X, 1)
    effect = found.effect(rows["churned"])
    low, high = found.change(effect, rows).ends(0.99)
    truth = -0.04 * (np.minimum(days, 10) - np.minimum(days, 2)).sum()
    assert low < truth < high < 0
    # in money: each customer's own stake
    stake = np.where(rows["region"] == 1, 100.0, 0.0)
    in_money, south = found.change(effect, rows, stake), rows[rows["region"] == 1]
    assert in_money.value == pytest.approx(100.0 * found.change(effect, south).value)


def test_the_estimate_tells_how_strong_an_unseen_trait_must_be():
    weak, strong = (adjusted(people(4_000, e), "bad", X, seed=1).robustness for e in (0.02, 0.2))
    assert 0 <= weak < strong < 1


def test_figures_are_plain_values():
    told = assess_rows(LEVER, people(2_000), None, (*X,), 1).to_json()
    assert set(told["each"]) == {"value", "lower", "upper"}
    assert told["overlap"]["enough"] is True
