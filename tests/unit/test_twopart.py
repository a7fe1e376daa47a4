"""The two-part model: right on average for who it never saw, and finite whatever it is given."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tenure.errors import DataError, ModelError
from tenure.models.twopart import LEAST_BUYERS, TwoPart, fit_two_part

ROWS = 3000


def drawn(seed, n=ROWS):
    """Draw customers of whom two features tell who buys, how often and for how much."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=["rhythm", "basket", 'odd "name"', "noise"])
    X.loc[rng.random(n) < 0.1, "noise"] = np.nan
    buys = rng.random(n) < 1 / (1 + np.exp(1.0 - 1.5 * X["rhythm"]))
    purchases = np.where(buys, 1 + rng.poisson(np.exp(0.4 * X["rhythm"])), 0)
    value = purchases * rng.gamma(3.0, 10 * np.exp(0.6 * X["basket"]))
    return X, purchases.astype(float), value


def fitted(unit=1.0, seed=0):
    X, purchases, value = drawn(seed=0)
    return fit_two_part(X, purchases, unit * value, horizon_days=90, seed=seed)


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def later():
    return drawn(seed=1)


def test_totals_of_customers_never_seen_are_met(model, later):
    """Both samples have ROWS rows, so that a total misses by the root of 2 of its own error."""
    X, *came = later
    for said, actual in zip(model.expected(X), came, strict=True):
        error = np.sqrt(2 * ROWS) * (actual - said).std()
        assert said.sum() == pytest.approx(actual.sum(), abs=3 * error)
        assert error < 0.06 * actual.sum()  # so that the line above says something


def test_each_third_by_what_is_said_is_met_too(model, later):
    X, *came = later
    for said, actual in zip(model.expected(X), came, strict=True):
        third = np.argsort(np.argsort(said)) * 3 // ROWS
        for k in range(3):
            missed = (actual - said)[third == k]
            assert abs(missed.sum()) < 3 * np.sqrt(2 * len(missed)) * missed.std()


def test_it_errs_less_than_a_constant_and_puts_customers_in_order(model, later):
    X, *came = later
    for said, actual in zip(model.expected(X), came, strict=True):
        assert np.mean((actual - said) ** 2) < 0.85 * actual.var()
        # half of what the best tenth of all orders brings
        best = actual[np.argsort(-said)][: ROWS // 10].sum()
        assert best > 2 * actual.sum() / 10


def test_whatever_the_features_hold_nothing_is_negative_or_missing(model):
    X, *_ = drawn(seed=2, n=6)
    X.iloc[0] = np.nan
    X.iloc[1], X.iloc[2], X.iloc[3] = np.inf, -np.inf, 1e308
    for said in model.expected(X):
        assert np.isfinite(said).all()
        assert (said >= 0).all()
    missing = X.iloc[[0]]
    endless = X.iloc[[1]]  # infinite counts as missing
    np.testing.assert_array_equal(model.expected(missing), model.expected(endless))
    for said in model.expected(X.iloc[:0]):
        assert said.shape == (0,)


def test_columns_go_by_name_and_none_may_lack(model, later):
    X, *_ = later
    shuffled = X[X.columns[::-1]].assign(more=1.0)
    np.testing.assert_array_equal(model.expected(shuffled), model.expected(X))
    with pytest.raises(ModelError, match="'basket'"):
        model.expected(X.drop(columns="basket"))


def test_buyers_whose_refunds_ate_their_purchases_do_no_harm():
    X, purchases, value = drawn(seed=3)
    value = np.where((purchases > 0) & (X["noise"] > 1), -500.0, value)
    said = fit_two_part(X, purchases, value, horizon_days=90).expected(X)[1]
    assert np.isfinite(said).all()
    assert (said >= 0).all()


@pytest.mark.parametrize(
    ("buyers", "others", "told"),
    [
        (LEAST_BUYERS - 1, 500, "99 of 599 past cases bought within 90 days"),
        (500, 0, "500 of 500 past cases"),
        (0, 0, "0 of 0"),
    ],
)
def test_too_little_to_learn_from_is_refused_with_the_counts(buyers, others, told):
    purchases = np.repeat([1.0, 0.0], [buyers, others])
    X = pd.DataFrame({"x": np.arange(len(purchases), dtype=float)})
    with pytest.raises(DataError, match=told) as fault:
        fit_two_part(X, purchases, 10 * purchases, horizon_days=90)
    assert fault.value.exit_code == 3


def test_the_least_that_is_asked_for_suffices():
    purchases = np.repeat([1.0, 0.0], [LEAST_BUYERS, 1])
    X = pd.DataFrame({"x": np.arange(len(purchases), dtype=float)})
    often, much = fit_two_part(X, purchases, 10 * purchases, horizon_days=90).expected(X)
    assert often.sum() == pytest.approx(LEAST_BUYERS, rel=0.05)
    assert much.sum() == pytest.approx(10 * LEAST_BUYERS, rel=0.05)


def test_it_comes_back_from_json_to_the_last_digit(model, later):
    X, *_ = later
    again = TwoPart.from_json(json.loads(json.dumps(model.to_json())))
    assert again == model
    np.testing.assert_array_equal(again.expected(X), model.expected(X))


@pytest.mark.parametrize("unit", [1e6, 0.37])
def test_the_currency_scales_out(model, later, unit):
    X, *_ = later
    (often, much), (as_often, dear) = model.expected(X), fitted(unit=unit).expected(X)
    np.testing.assert_array_equal(as_often, often)
    np.testing.assert_allclose(dear, unit * much, rtol=1e-12)


def test_a_seed_decides_the_text_of_the_trees(model):
    assert fitted().boosters == model.boosters
    other = fitted(seed=8)
    assert all(a != b for a, b in zip(other.boosters, model.boosters, strict=True))
