"""What must be said where values mislead, and only there."""

import copy
import json
from pathlib import Path

import pandas as pd
import pytest

from tenure.config import Config
from tenure.evaluation.clv import measure
from tenure.report.cautions import cautions, said_once, trusted, use

SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"


@pytest.fixture
def clv():
    return copy.deepcopy(json.loads(SAMPLE.read_text())["metrics"]["clv"])


def told(clv, values=(100.0, 50.0), kind="inactivity", **terms):
    tables = {"transactions": {"path": "x.csv"}, "subscriptions": {"path": "y.csv"}}
    config = Config.model_validate(
        {"project": "shop", "currency": "EUR", "data": {"tables": tables}, "clv": terms,
         "churn": {"kind": kind}}
    )  # fmt: skip
    column = f"clv_{config.clv.horizon_days}d"
    return cautions(clv, pd.DataFrame({column: [*values, None]}), config)


def test_values_that_held_get_no_caution(clv):
    assert told(clv) == []
    assert use(clv["holdout"]) == "Use the totals and the ranking."
    assert trusted(clv["holdout"]).startswith("trust it for groups and for ranking")


def test_more_given_back_than_paid_forbids_the_totals(clv):
    clv["holdout"]["total"]["value"].update(actual=-5324.0, expected=6058.0, inside=False)
    (one,) = told(clv)
    assert "given back more than they paid: -5,324 EUR in all, where 6,058 EUR was" in one
    assert "do not plan with them" in one
    assert use(clv["holdout"]).startswith("Use neither the totals nor the ranking")
    assert trusted(clv["holdout"]) == "neither plan with it nor rank by it"


def test_nothing_came(clv):
    clv["holdout"]["total"]["value"].update(actual=0.0, expected=6058.0)
    (one,) = told(clv)
    assert "nothing came of any customer" in one


def test_a_ranking_by_chance_is_not_recommended(clv):
    clv["holdout"]["gini"] = {"value": -0.396, "lower": -0.456, "upper": 0.039}
    (one,) = told(clv)
    assert "(Gini -0.40 [-0.46, 0.04]): do not choose customers by them" in one
    assert use(clv["holdout"]).startswith("Use the totals; the ranking cannot")
    assert "not for ranking" in trusted(clv["holdout"])


def test_a_total_outside_its_range_is_no_reason_to_use_totals(clv):
    clv["holdout"]["total"]["value"]["inside"] = False
    assert use(clv["holdout"]).startswith("Use the ranking, and totals with care")


def test_further_than_the_log_goes_back(clv):
    held = clv["holdout"]["horizon_days"]
    assert told(clv, horizon_days=4 * held + 3) == []  # within a log of four such horizons
    (one,) = told(clv, horizon_days=4 * held + 4)
    assert f"{4 * held + 4:,} days ahead" in one
    assert f"against what came in {held:,} days only" in one


def test_costs_that_eat_everything_are_named(clv):
    assert told(clv, values=(0.0, 5.0)) == []  # nothing to come of one: no fault of the config
    (one,) = told(clv, values=(0.0, 5.0), cost_to_serve=1000)
    assert one.startswith("1 of 2 customers are worth 0: serving them costs as much as they bring")
    assert "(clv.cost_to_serve 1,000 a purchase day, clv.margin 1)" in one
    (one,) = told(clv, values=(0.0, 0.0), kind="subscription")
    assert "2 of 2 customers are worth 0: their price is 0" in one


def test_doubts_of_gamma_gamma_say_who_sets_the_values(clv):
    clv["fits"] = {"spend": {"status": "fallback", "warnings": ["Spend is so heavy-tailed"]}}
    assert told(clv) == []  # chosen by itself, with the two-part model among the candidates
    assert "`auto` would also try" in told(clv, family="bg_nbd")[0]
    clv["family"] = "lightgbm"
    assert "set by the two-part model" in told(clv)[0]


def test_one_thing_is_said_once_with_the_newest_figures():
    old, new = (
        f"goes with frequency (rank correlation {rho}, p < 0.001)" for rho in ("+0.89", "+0.96")
    )
    other = "goes with frequency (rank correlation -0.89, p < 0.001)"
    assert said_once([old, "plain", other, new]) == ["plain", other, new]
    declined = ["clv: nobody paid.", "Value is declined: clv: nobody paid."]
    assert said_once(declined) == declined[1:]


def test_no_relative_bias_where_less_than_nothing_came():
    found = measure([10.0, -30.0, 5.0], [5.0, 5.0, 5.0], draws=50)
    assert found["bias"]["value"] is None
    assert found["bias_total"]["value"] == 30.0
