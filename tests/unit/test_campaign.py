"""Campaigns at past cutoffs by hand and by slow loops; ties, order, the capacity's edge."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.evaluation.bootstrap import Rows
from tenure.evaluation.campaign import EVERYBODY, RANDOM, captures, profits


def rows_of(churned, customers=None):
    who = customers if customers is not None else np.arange(len(churned))
    return Rows.of(pd.DataFrame({"customer_id": who, "churned": churned}))


def earned(score, gain, capacity, cutoff=None, churned=None):
    churned = np.arange(len(score)) % 2 if churned is None else churned
    cutoff = np.zeros(len(score)) if cutoff is None else np.asarray(cutoff)
    given_ = {"m": np.asarray(score, dtype=float)}
    found = profits(
        rows_of(churned), cutoff, given_, np.asarray(gain, dtype=float), capacity, draws=3, seed=1
    )
    return {name: (now["profit"], now["contacted"]) for name, now in found.now.items()}


def test_two_cutoffs_by_hand():
    """Contacted: 9 and 7 of the first cutoff, 3 of the second; what is not above 0 is left."""
    score, gain = [9, 7, 5, 3, 0, -2], [20, -11, 20, 20, 20, 20]
    found = earned(score, gain, 2, cutoff=[1, 1, 1, 2, 2, 2])
    assert found["m"] == ((20 - 11 + 20) / 2, 3 / 2)
    assert found[EVERYBODY] == (89 / 2, 6 / 2)
    assert found[RANDOM] == pytest.approx(((29 / 3 + 60 / 3) * 2 / 2, 2))


def test_without_a_limit_all_who_pay_are_contacted():
    found = earned([9, 7, 5, -1], [20, -11, 20, 50], None)
    assert found["m"] == (29, 3)
    assert found[RANDOM] == found[EVERYBODY] == (79, 4)


def test_nobody_worth_an_offer_earns_nothing():
    assert earned([-1, -2, 0], [5, 5, 5], 2)["m"] == (0, 0)


@pytest.mark.parametrize(
    ("capacity", "profit"), [(1, 8), (2, 8 + 4 / 3), (3, 8 + 8 / 3), (4, 12), (5, 10), (9, 10)]
)
def test_ties_at_the_edge_are_taken_in_proportion(capacity, profit):
    """The three of score 5 bring 4 together, one of them on average 4 / 3."""
    found = earned([9, 5, 5, 5, 1], [8, 0, 6, -2, -2], capacity)
    assert found["m"] == pytest.approx((profit, min(capacity, 5)))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-9, 9)), min_size=2, max_size=6),
    st.integers(1, 7),
)
def test_the_edge_is_the_mean_over_all_orders_of_ties(rows, capacity):
    score, gain = np.array(rows, dtype=float).T
    orders = [
        order
        for order in itertools.permutations(range(len(rows)))
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order))
    ]
    expected = np.mean([gain[list(order[:capacity])].sum() for order in orders])
    assert earned(score, gain, capacity)["m"][0] == pytest.approx(expected)


def world(n=240, customers=80, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in np.tile(np.arange(customers), n // customers)],
            "cutoff": np.repeat(np.arange(n // customers), customers),
            "churned": (rng.random(n) < 0.4).astype(int),
        }
    )
    frame["p"] = (0.3 * frame["churned"] + 0.7 * rng.random(n)).round(1)
    frame["gain"] = np.where(frame["churned"] == 1, rng.gamma(2, 20, n), -11)
    return frame


def judged(frame, capacity=25, draws=40, seed=5):
    rows, cutoff = Rows.of(frame), frame["cutoff"].to_numpy()
    p, gain = frame["p"].to_numpy(), frame["gain"].to_numpy()
    how = {"draws": draws, "seed": seed}
    given_ = {"m": p - 0.25, "flat": np.full(len(p), 0.4)}
    found = profits(rows, cutoff, given_, gain, capacity, **how)
    return found | captures(rows, cutoff, {"m": p, "flat": given_["flat"]}, capacity, **how)


def test_the_bootstrap_is_the_slow_one():
    """Repeat the rows of each drawn customer and walk down the list of every cutoff."""
    frame = world()
    found, ids = judged(frame), sorted(frame["customer_id"].unique())
    rng, profit, capture = np.random.default_rng([5, 0]), [], []
    for _ in range(40):
        times = pd.Series(np.bincount(rng.integers(0, 80, 80), minlength=80), index=ids)
        drawn = frame.loc[np.repeat(frame.index, times[frame["customer_id"]])]
        earned_, caught = 0.0, 0.0
        for _, here in drawn.groupby("cutoff"):
            for column, worth in (("gain", here[here["p"] > 0.25]), ("churned", here)):
                left, total = 25, 0.0
                for _, level in sorted(worth.groupby("p"), reverse=True):
                    taken = min(left, len(level))
                    total += taken * level[column].mean()
                    left -= taken
                earned_, caught = (
                    (earned_ + total, caught) if column == "gain" else (earned_, caught + total)
                )
        profit.append(earned_ / 3)
        capture.append(caught / drawn["churned"].sum())
    np.testing.assert_allclose(found.drawn["m"]["profit"], profit)
    np.testing.assert_allclose(found.drawn["m"]["capture_at_capacity"], capture)


def test_rows_in_any_order_give_the_same_to_the_last_bit():
    frame = world()
    first = judged(frame)
    mixed = frame.iloc[np.random.default_rng(1).permutation(len(frame))].reset_index(drop=True)
    again = judged(mixed)
    assert again.now == first.now
    for name, by in first.drawn.items():
        for metric, values in by.items():
            np.testing.assert_array_equal(again.drawn[name][metric], values)


def test_differences_are_paired():
    found = judged(world(), draws=100)
    gain = found.gain("m", RANDOM, "profit")
    assert gain["value"] == pytest.approx(found.now["m"]["profit"] - found.now[RANDOM]["profit"])
    assert set(found.gain("m", "m", "profit").values()) == {0.0}
    spread = found.drawn["m"]["profit"] - found.drawn[RANDOM]["profit"]
    assert (gain["lower"], gain["upper"]) == pytest.approx(tuple(np.quantile(spread, [0.05, 0.95])))


def test_capture_of_a_perfect_and_of_a_constant_ranking():
    frame = world()
    churners = frame["churned"].groupby(frame["cutoff"]).sum()
    found = judged(frame.assign(p=frame["churned"] * 0.5 + 0.2))
    perfect = np.minimum(churners, 25).sum() / churners.sum()
    assert found.now["m"]["capture_at_capacity"] == pytest.approx(perfect)
    assert found.now["flat"]["capture_at_capacity"] == pytest.approx(25 / 80)
    assert found.now["flat"]["profit"] == pytest.approx(found.now[RANDOM]["profit"])


def test_a_capacity_above_the_customers_reaches_them_all():
    found = judged(world(), capacity=1000)
    assert found.now["m"]["capture_at_capacity"] == pytest.approx(1.0)
    assert found.now["flat"]["contacted"] == 80
