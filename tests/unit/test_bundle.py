"""What a bundle says of each customer, and to whom it says nothing."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tenure.errors import ModelError
from tenure.inputs import inputs
from tenure.models.predictive import Leaving
from tenure.value import interval


@pytest.fixture
def matrix(bundle, make_features):
    return make_features(bundle.schema, 80, seed=2)


@pytest.fixture
def scored(bundle, matrix):
    return bundle.score(matrix, matrix["customer_id"])


def test_only_the_eligible_have_a_probability(bundle, matrix, scored):
    recent = (matrix["days_since_last_purchase"] < 120).to_numpy()
    assert recent.any()
    assert not recent.all()
    assert list(scored["status"]) == list(np.where(recent, "scored", "lapsed"))
    for column in ("churn_probability", "risk_band", "value_at_risk", "reason_1"):
        assert (scored[column].notna() <= recent).all(), column
    assert scored["clv_365d"].notna().all()


def test_value_has_bounds_by_the_calibrated_chance(bundle, matrix, scored):
    """Bounds of a customer whose chance of leaving is p are a mixture of two laws by p."""
    value, low, high = (scored[f"clv_365d{end}"] for end in ("", "_lower", "_upper"))
    assert ((low >= 0) & (low <= value) & (value <= high) & np.isfinite(high)).all()
    p = scored["churn_probability"].to_numpy()  # null for the lapsed: the timing's own chance
    own = {"horizon_days": 365, "leaving": Leaving(p, 30, 0)}
    said = interval(bundle.purchases, bundle.spend, matrix, value, **own)
    np.testing.assert_array_equal(said, [low, high])
    plain = interval(bundle.purchases, bundle.spend, matrix, value, horizon_days=365)
    lapsed = (scored["status"] == "lapsed").to_numpy()
    np.testing.assert_array_equal(np.array(said)[:, lapsed], np.array(plain)[:, lapsed])
    assert (np.array(said)[1, ~lapsed] != np.array(plain)[1, ~lapsed]).any()
    new = matrix.head(1).assign(
        frequency=0.0, recency=0.0, T=0.0, monetary_value=np.nan, days_since_last_purchase=0.0
    )
    (one,) = bundle.score(new, new["customer_id"]).to_dict("records")  # a customer of yesterday
    assert 4 * one["clv_365d_lower"] < one["clv_365d"]
    assert 2 * one["clv_365d"] < one["clv_365d_upper"] < np.inf


def test_who_never_bought_is_listed_without_numbers(bundle, matrix):
    known = pd.concat([matrix["customer_id"], pd.Series(["aaa", "zzz"])])
    scored = bundle.score(matrix, known)
    assert list(scored["customer_id"]) == sorted(known)
    never = scored[scored["status"] == "never_bought"]
    assert list(never["customer_id"]) == ["aaa", "zzz"]
    assert (never["information_missing"] == "no purchase").all()
    told = ["customer_id", "status", "information_missing"]
    assert never.drop(columns=told).isna().all(axis=None)


def test_probabilities_and_bands_agree(bundle, scored):
    low, high = bundle.band_limits()
    odds = bundle.base_rate / (1 - bundle.base_rate)
    assert high / (1 - high) == pytest.approx(2 * odds)
    assert low / (1 - low) == pytest.approx(odds / 2)
    p = scored["churn_probability"].dropna()
    assert p.between(0, 1).all()
    bands = scored.loc[p.index, "risk_band"]
    assert (p[bands == "high"] >= high).all()
    assert (p[bands == "low"] <= low).all()
    assert p[bands == "medium"].between(low, high).all()


def test_rows_do_not_depend_on_each_other(bundle, matrix, scored):
    alone = [
        bundle.score(matrix.iloc[[i]], matrix["customer_id"].iloc[[i]]) for i in range(0, 80, 8)
    ]
    together = scored.iloc[::8].reset_index(drop=True)
    assert_frame_equal(pd.concat(alone, ignore_index=True), together, rtol=1e-12, atol=0)
    mixed = matrix.sample(frac=1, random_state=4)
    assert_frame_equal(bundle.score(mixed, mixed["customer_id"]), scored, rtol=1e-12, atol=0)


def test_the_order_of_columns_does_not_matter(bundle, matrix, scored):
    turned = matrix[matrix.columns[::-1]].assign(stranger=1.0)
    assert_frame_equal(bundle.score(turned, turned["customer_id"]), scored, check_exact=True)


def test_a_missing_column_is_refused_by_name(bundle, matrix):
    with pytest.raises(ModelError, match=r"1 of the .* are missing: 'T'"):
        inputs(matrix.drop(columns="T"), bundle.schema, None, bundle.churn)


def test_nobody_is_a_table_with_the_same_columns(bundle, matrix, scored):
    empty = bundle.score(matrix.iloc[:0], matrix["customer_id"].iloc[:0])
    assert list(empty.columns) == list(scored.columns)
    assert empty.empty


def test_nobody_eligible(bundle, matrix):
    gone = matrix.assign(days_since_last_purchase=500.0)
    scored = bundle.score(gone, gone["customer_id"])
    assert set(scored["status"]) == {"lapsed"}
    assert scored["churn_probability"].isna().all()


def test_extreme_customers_get_finite_numbers(bundle, matrix):
    extreme = matrix.copy()
    extreme["frequency"] = 5000.0
    extreme["T"] = 3650.0
    extreme["recency"] = 3649.0
    extreme["monetary_value"] = 1e12
    extreme["days_since_last_purchase"] = 1.0
    scored = bundle.score(extreme, extreme["customer_id"])
    numbers = scored.select_dtypes("number")
    assert np.isfinite(numbers).all(axis=None)
    assert scored["p_alive"].between(0, 1).all()


def test_missing_features_are_no_fault(bundle, matrix):
    keep = ["frequency", "recency", "T", "days_since_last_purchase"]
    sparse = matrix.copy()
    sparse[[c for c in matrix.columns[2:] if c not in keep]] = np.nan
    scored = bundle.score(sparse, sparse["customer_id"])
    assert scored.loc[scored["status"] == "scored", "churn_probability"].notna().all()


def test_the_stamp_says_when_and_who(bundle, scored):
    stamped = bundle.stamped(scored, dt.date(2025, 6, 1), "3", "abc")
    assert list(stamped.columns[:4]) == ["customer_id", "as_of", "horizon_days", "status"]
    assert set(stamped["as_of"]) == {pd.Timestamp("2025-06-01")}
    assert set(stamped["horizon_days"]) == {30}
    assert set(stamped["model_version"]) == {"3"}
