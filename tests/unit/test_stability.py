"""Bands rest on draws of customers; floors on copies that cannot know anything."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tenure.explain import exchange as exchanging
from tenure.explain import stability
from tenure.explain.exchange import Draw, draw_customers, exchange
from tenure.explain.stability import Band, Stability, refit_bands
from tenure.features.schema import Column
from tenure.models.calibration import Calibrator
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings

AS_IS = Calibrator("none", {})
QUICK = Settings({"num_iterations": 15, "min_data_in_leaf": 20})
COLUMNS = {
    n: Column(n, n, None, None, "days", f, f"The {n}", 0)
    for n, f in (("late", "delivery"), ("overdue", "delivery"), ("slow", "responsiveness"),
                 ("mood", "satisfaction"))
}  # fmt: skip


def world(customers=200, cutoffs=4, seed=0, effect=2.0):
    """Lateness drives off; what else is felt lasts with the customer and drives off nobody."""
    rng = np.random.default_rng(seed)
    lasting = rng.standard_normal((customers, 4))
    X = np.concatenate([lasting + rng.standard_normal((customers, 4)) for _ in range(cutoffs)])
    rows = pd.DataFrame(
        {
            "customer_id": np.tile([f"c{i}" for i in range(customers)], cutoffs),
            "cutoff": np.repeat(pd.date_range("2025-01-01", periods=cutoffs), customers),
        }
    )
    X = pd.DataFrame(X, columns=list(COLUMNS))
    chance = 1 / (1 + np.exp(1 - effect * X["late"]))
    rows["churned"] = (rng.random(len(X)) < chance).astype(int)
    return X, rows


def bands(X, rows, name="lightgbm", kind="inactivity", seed=0, calibrator=AS_IS):
    model = fit_candidates(X, rows["churned"], kind=kind, names=[name], settings=QUICK)[name]
    people = X.iloc[-200:]
    who = rows["customer_id"].iloc[-200:]
    return refit_bands(
        X, rows, people, who, COLUMNS, model, calibrator, kind=kind, settings=QUICK, seed=seed
    )


@pytest.fixture(scope="module")
def said():
    return bands(*world())


def test_a_cause_stands_above_its_noise_and_nothing_else_does(said):
    assert said.refits == 20
    assert said.rows <= 800
    assert said.above_noise("delivery")
    assert not said.above_noise("responsiveness")
    assert not said.above_noise("satisfaction")
    assert not said.above_noise("no such factor")


def test_lower_median_and_upper_are_in_order(said):
    for band in said.bands.values():
        assert 0 <= band.lower <= band.median <= band.upper
        assert band.floor > 0


def test_the_same_seed_says_the_same(said):
    assert bands(*world()) == said


def test_where_nothing_drives_anybody_off_no_factor_stands_above_its_noise():
    for seed in range(2):
        nothing = bands(*world(seed=10 + seed, effect=0.0))
        assert [f for f in nothing.bands if nothing.above_noise(f)] == []


def test_pairs_have_floors_under_their_sorted_names(said):
    assert ("delivery", "responsiveness") in said.pair_floors
    assert all(a < b and "copy" not in a + b for a, b in said.pair_floors)


def test_plain_values_for_json(said):
    told = said.to_json()
    assert told["factors"]["delivery"]["above_noise"] is True
    assert told["refits"] == 20


def test_a_logistic_model_is_held_against_exchanged_columns_in_place():
    X, rows = world()
    told = bands(X, rows.drop(columns="cutoff"), "logistic_attributes", kind="label")
    assert told.above_noise("delivery")
    assert not told.above_noise("satisfaction")
    assert told.pair_floors == {}


def test_a_blend_is_refitted_as_a_blend():
    X, rows = world()
    told = bands(X, rows, "blend", kind="label")
    assert told.above_noise("delivery")


@pytest.mark.parametrize("name", ["base_rate"])
def test_a_model_of_no_input_has_nothing_to_tell_apart(name):
    X, rows = world(60, 2)
    told = bands(X, rows, name, kind="label")
    assert told.bands == {}
    assert "nothing to tell apart" in told.notes[-1]


def test_draws_of_one_class_are_left_and_counted():
    _, rows = world(40, 1)
    rows["churned"] = 0
    rows.loc[0, "churned"] = 1
    draws, notes = draw_customers(
        pd.factorize(rows["customer_id"])[0], rows["churned"].to_numpy(), np.random.default_rng(0)
    )
    assert len(draws) == 20
    assert "held one class only" in notes[0]
    rows["churned"] = 0
    nothing, notes = draw_customers(
        pd.factorize(rows["customer_id"])[0], rows["churned"].to_numpy(), np.random.default_rng(0)
    )
    assert nothing == []
    assert "rest on 0 refits" in notes[-1]


def test_without_customers_to_explain_nothing_is_said():
    X, rows = world(60, 2)
    model = fit_candidates(X, rows["churned"], names=["lightgbm"], settings=QUICK)["lightgbm"]
    told = refit_bands(X, rows, X[:0], rows["customer_id"][:0], COLUMNS, model, AS_IS)
    assert told.bands == {}
    assert told.notes[-1] == "No model could be refitted."


def test_a_draw_holds_all_rows_of_whom_it_draws_and_no_more_than_its_limit(monkeypatch):
    monkeypatch.setattr(exchanging, "ROWS", 90)
    customer = np.tile(np.arange(50), 4)
    y = np.random.default_rng(1).integers(0, 2, 200)
    draws, _ = draw_customers(customer, y, np.random.default_rng(0))
    for draw in draws:
        assert 80 < len(draw.rows) <= 90
        assert (customer[draw.rows] == draw.customers[draw.member]).all()
        counts = np.bincount(draw.member)
        assert (counts == 4).all()


def test_an_exchange_stays_within_its_cutoff_and_with_the_same_other_customer():
    customer, cutoff = np.tile(np.arange(30), 3), np.repeat([0, 1, 2], 30)
    draw = Draw(np.arange(90), customer, np.arange(30))
    there, here = exchange(draw, cutoff, np.arange(30), np.random.default_rng(0))
    assert sorted(there) == list(range(90))
    assert (cutoff[there] == cutoff).all()
    assert (customer[there] != customer).all()
    partner = customer[there].reshape(3, 30)
    assert (partner == partner[0]).all()
    assert (here == partner[0]).all()  # and on the day that is explained


def test_a_customer_drawn_twice_is_not_exchanged_for_themselves_only():
    draw = Draw(np.zeros(20, dtype=int), np.arange(20), np.repeat([0, 1], 10))
    there, _ = exchange(draw, np.zeros(20, dtype=int), np.arange(5), np.random.default_rng(0))
    assert sorted(there) == list(range(20))
    assert (there != np.arange(20)).all()


def test_a_copy_is_held_to_the_direction_of_its_original(monkeypatch):
    X, rows = world(60, 2)
    asked = []

    def spy(X, y, **how):
        asked.append(how["settings"].directions)
        return fit_candidates(X, y, **how)

    monkeypatch.setattr(stability, "fit_candidates", spy)
    model = fit_candidates(X, rows["churned"], names=["lightgbm"], settings=QUICK)["lightgbm"]
    how = replace(QUICK, directions={"late": 1})
    refit_bands(X, rows, X[:40], rows["customer_id"][:40], COLUMNS, model, AS_IS, settings=how)
    assert asked[0] == {"late": 1, "late (copy)": 1}


def test_a_band_on_its_floor_is_not_above_it():
    assert not Band(1.0, 2.0, 3.0, 1.0).above_noise
    assert Stability({"a": Band(1.1, 2.0, 3.0, 1.0)}, 20, 10, 5).above_noise("a")
