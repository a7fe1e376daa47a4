"""What a run says of value: totals of every group, and how the fits ended."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from tenure.config import Config
from tenure.population import Population
from tenure.valuation import fitted, no_value, totals

AS_OF = dt.date(2025, 6, 1)  # the cutoff of the fixture's features
SPREAD = ((0.04, 0.01, 0.0, 0.0), (0.01, 0.09, 0.0, 0.0), (0.0,) * 4, (0.0, 0.0, 0.0, 0.25))


def config(**sections):
    return Config.model_validate(
        {
            "project": "shop",
            "currency": "EUR",
            "data": {"tables": {"transactions": {"path": "x.csv"}}},
            "churn": {"horizon_days": 30, "active_within_days": 120},
            **sections,
        }
    )


def population(matrix, schema, **changed):
    """Everything a population needs; totals read its day, its log's first day and its features."""
    nothing = pd.DataFrame()
    whole = Population(
        schema=schema, matrix=matrix, days=(), first_day=dt.date(2024, 1, 1), as_of=AS_OF,
        rows=nothing, X=nothing, timing=None, after=nothing, daily=nothing, value_days=90,
        origins=(), known=matrix["customer_id"], treated=0, notes=(),
    )  # fmt: skip
    return dataclasses.replace(whole, **changed)


@pytest.fixture(scope="module")
def sold(bundle, make_features):
    """Scores of 400 customers, beside 3 who never bought."""
    matrix = make_features(bundle.schema)
    known = pd.concat([matrix["customer_id"], pd.Series(["x1", "x2", "x3"])], ignore_index=True)
    scores = bundle.score(matrix, known)
    assert scores["clv_365d"].isna().sum() == 3
    return scores, population(matrix, bundle.schema)


@pytest.fixture(scope="module")
def told(sold, bundle):
    scores, ready = sold
    return totals(scores, bundle, ready, (), config())


def test_the_groups_of_every_segmentation_add_up_to_the_column(sold, told):
    scores, _ = sold
    assert set(told["groups"]) == {"all", "cohort", "status", "frequency", "activity"}
    for groups in told["groups"].values():
        assert sum(g["expected"] for g in groups) == pytest.approx(scores["clv_365d"].sum())
        assert sum(g["customers"] for g in groups) == 400
        assert len({g["name"] for g in groups}) == len(groups)
        for g in groups:
            assert 0 <= g["lower"] <= g["expected"] <= g["upper"]
            assert g["customers"] > 0
    (everybody,) = told["groups"]["all"]
    assert everybody["name"] == "everybody"
    assert everybody["lower"] < everybody["expected"] < everybody["upper"]


def test_each_status_is_the_sum_of_its_scores(sold, told):
    scores, _ = sold
    by_status = scores.groupby("status")["clv_365d"].agg(["sum", "count"])
    found = {g["name"]: (g["expected"], g["customers"]) for g in told["groups"]["status"]}
    assert set(found) == {"scored", "lapsed"}  # who never bought has no value and is no group
    for name, (worth, customers) in found.items():
        assert worth == pytest.approx(by_status.loc[name, "sum"])
        assert customers == by_status.loc[name, "count"]


def test_what_stands_around_the_totals(told):
    assert (told["horizon_days"], told["currency"], told["as_of"]) == (365, "EUR", "2025-06-01")
    assert (told["scope"], told["errors"]) == ("model only", [])


@pytest.mark.parametrize(
    ("first_day", "age", "name"),
    [
        (dt.date(2025, 1, 1), 0, "2025-05"),  # T 0: bought the day before the cutoff
        (dt.date(2025, 1, 1), 30, "2025-05"),  # on May 1
        (dt.date(2025, 1, 1), 31, "2025-04"),
        (dt.date(2024, 6, 1), 61, "2025-03"),  # a year is not more than a year
        (dt.date(2024, 1, 1), 60, "2025Q2"),  # on April 1
        (dt.date(2024, 1, 1), 61, "2025Q1"),
        (dt.date(2021, 1, 1), 150, "2025"),  # on January 1
        (dt.date(2021, 1, 1), 151, "2024"),
    ],
)
def test_cohorts_are_named_by_the_first_purchase_and_the_logs_length(
    bundle, make_features, first_day, age, name
):
    matrix = make_features(bundle.schema, n=5).assign(T=float(age), frequency=0.0, recency=0.0)
    matrix["days_since_last_purchase"] = matrix["T"]
    scores = bundle.score(matrix, matrix["customer_id"])
    ready = population(matrix, bundle.schema, first_day=first_day)
    (cohort,) = totals(scores, bundle, ready, (), config())["groups"]["cohort"]
    assert (cohort["name"], cohort["customers"]) == (name, 5)


def test_past_errors_widen_every_group(sold, told, bundle):
    scores, ready = sold
    errors = (0.2, -0.2, 0.2)
    wide = totals(scores, bundle, ready, errors, config())
    assert wide["scope"] == "widened by the errors of 3 past totals"
    assert wide["errors"] == [0.2, -0.2, 0.2]
    reach = np.exp(student.ppf(0.95, 3) * 0.2)
    for name, groups in wide["groups"].items():
        for g, before in zip(groups, told["groups"][name], strict=True):
            assert g["expected"] == before["expected"]
            assert g["lower"] == pytest.approx(min(before["lower"], g["expected"] / reach))
            assert g["upper"] == pytest.approx(max(before["upper"], g["expected"] * reach))
    few = totals(scores, bundle, ready, errors[:2], config())
    assert (few["scope"], few["groups"]) == ("model only", told["groups"])


def test_the_order_of_scores_and_features_does_not_matter(sold, told, bundle):
    scores, ready = sold
    mixed = dataclasses.replace(ready, matrix=ready.matrix.sample(frac=1, random_state=0))
    again = totals(scores.sample(frac=1, random_state=1), bundle, mixed, (), config())
    for name, groups in again["groups"].items():
        for g, before in zip(groups, told["groups"][name], strict=True):
            assert g.pop("name") == before["name"]
            assert g == pytest.approx({k: before[k] for k in g}, rel=1e-9)


def test_days_before_today_are_not_summed(sold, told, bundle):
    """The matrix also holds the cutoffs and the origins."""
    scores, ready = sold
    past = ready.matrix.assign(cutoff=pd.Timestamp("2025-01-01"), T=1.0)
    longer = dataclasses.replace(ready, matrix=pd.concat([past, ready.matrix]))
    assert totals(scores, bundle, longer, (), config()) == told


def test_nobody_of_value_is_no_total(sold, bundle):
    scores, ready = sold
    assert totals(scores.assign(clv_365d=np.nan), bundle, ready, (), config()) is None
    assert totals(scores.iloc[:0], bundle, ready, (), config()) is None
    undated = dataclasses.replace(ready, as_of=None)
    assert totals(scores, bundle, undated, (), config()) is None


def test_fits_are_told_with_the_errors_of_their_parameters(bundle):
    spend_spread = tuple(tuple(row[:3]) for row in SPREAD[:3])
    whole = dataclasses.replace(
        bundle,
        purchases=dataclasses.replace(
            bundle.purchases, covariance=SPREAD, status="boundary", warnings=("Odd.",), gradient=0.1
        ),
        spend=dataclasses.replace(bundle.spend, covariance=spend_spread),
    )
    found = fitted(whole, ["Something else."])
    bought = found["purchases"]
    assert (bought["status"], bought["customers"], bought["gradient"]) == ("boundary", 400, 0.1)
    assert bought["warnings"] == ["Odd."]
    assert list(bought["parameters"]) == ["r", "alpha", "a", "b"]
    assert bought["parameters"]["alpha"] == pytest.approx({"value": 20.0, "log_error": 0.3})
    assert bought["parameters"]["a"]["log_error"] is None  # not determined
    assert found["spend"]["status"] == "converged"
    assert found["spend"]["parameters"]["p"] == pytest.approx({"value": 6.25, "log_error": 0.2})


def test_a_refused_fit_says_why(bundle):
    why = "Value is declined: nobody bought twice."
    bare = dataclasses.replace(bundle, purchases=None, spend=None)
    refused = {"status": "refused", "why": why}
    assert fitted(bare, ["Something else.", why]) == {"purchases": refused, "spend": refused}
    assert fitted(bare, [])["spend"] == {"status": "refused", "why": None}


def test_where_value_is_not_modelled_the_reason_stands():
    asked = config(data={"tables": {"customers": {"path": "x.csv"}}}, churn={"kind": "label"})
    found = no_value(asked)
    assert found["family"] is None
    assert found["why"]
    assert found["holdout"]["origin"] is None
