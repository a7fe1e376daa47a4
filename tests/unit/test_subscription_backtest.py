"""Subscriptions held against what came: rules by hand, totals by hand, and a known world."""

import datetime as dt
import types

import numpy as np
import pandas as pd
import pytest

from tenure.backtest.stakes import at_stake
from tenure.backtest.subscription_rules import staying_days
from tenure.backtest.subscription_value import figures, run
from tenure.config import Config
from tenure.errors import DataError
from tenure.models.ends import Ends
from tenure.models.spells import PERIOD_DAYS, ShiftedBetaGeometric, SpellTiming, fit_spells
from tenure.value import Contracts, subscriber_values

FIRST, UNTIL = dt.date(2021, 1, 1), dt.date(2024, 1, 1)
CONFIG = Config.model_validate(
    {
        "project": "club",
        "data": {"tables": {"subscriptions": {"path": "x.csv"}}},
        "churn": {"kind": "subscription", "horizon_days": 30, "grace_days": 5},
    }
)


def lives(*groups):
    """Return spells of (n, days, left, plan)."""
    rows = [(d, left, plan, 2023) for n, d, left, plan in groups for _ in range(n)]
    return pd.DataFrame(rows, columns=["days", "left", "plan", "year"])


class TestRules:
    def test_by_hand(self):
        """40 of 100 end on day 10; the others are seen for 100 days."""
        seen = lives((40, 10, True, "a"), (60, 100, False, "a"))
        people = pd.DataFrame({"age": [0, 11], "plan": "a", "year": 2023})
        found = staying_days(seen, people, 20)
        assert found["everybody_stays"].tolist() == [20, 20]
        rate = 40 / (400 + 6000)
        whole = (1 - np.exp(-20 * rate)) / rate
        assert found["constant_hazard"] == pytest.approx([whole, whole], rel=1e-5)
        # day 10 ends at its middle, then .6 are left; who reached day 11 saw nobody leave
        for name in ("kaplan_meier", "cohort_by_plan", "cohort_by_year"):
            assert found[name] == pytest.approx([10.5 + 0.6 * 9.5, 20]), name

    def test_cohorts_have_their_own_curve_as_far_as_they_saw(self):
        seen = lives((40, 10, True, "a"), (60, 100, False, "a"), (100, 15, False, "b"),
                     (3, 10, True, "rare"))  # fmt: skip
        people = pd.DataFrame({"age": [0] * 4, "plan": ["a", "b", "rare", "new"], "year": 2023})
        found = staying_days(seen, people, 20)
        everybody = found["kaplan_meier"][0]
        by_plan = found["cohort_by_plan"]
        assert by_plan[0] == pytest.approx(16.2)
        assert by_plan[1] == pytest.approx(20)  # none of b ended by day 15, nor of all after it
        assert by_plan[2:].tolist() == [everybody] * 2  # three say nothing


def said(cut, days=120, **columns):
    """Return rows of two customers at an origin, with prices 10 and 20."""
    fixed = {
        "customer_id": ["a", "b"], "cutoff": pd.Timestamp(cut), "horizon_days": days,
        "price": [10.0, 20.0], "value": [30.0, 80.0], "months": [3.0, 4.0],
        "months_by_model": [2.0, 4.0], "months_by_everybody_stays": [4.0, 4.0],
        "variance": [1.0, 0.5], "drift_1": [0.1, 0.2], "drift_2": [-0.3, 0.1],
        "months_below": 0.2, "months_until": 0.4, "months_inside": True,
        "value_below": 0.96, "value_until": 0.98, "value_inside": [True, False],
    }  # fmt: skip
    return pd.DataFrame(fixed | columns)


class TestFigures:
    def test_the_model_and_the_rules_by_hand(self):
        told = figures(said("2023-06-01"), CONFIG, 120)
        hold = told["holdout"]
        assert told["family"] == "shifted_beta_geometric"
        assert "2023-06-01" in told["why"]
        assert (hold["origin"], hold["customers"]) == ("2023-06-01", 2)
        assert hold["mae"]["value"] == pytest.approx((10 + 0) / 2)
        assert hold["bias"]["value"] == pytest.approx(100 / 110 - 1)
        assert hold["months"]["bias"]["value"] == pytest.approx(6 / 7 - 1)
        assert told["baselines"]["everybody_stays"]["mae"]["value"] == pytest.approx(5)
        assert hold["coverage"]["months"]["value"] == 1
        assert hold["coverage"]["value"] == {"value": 0, "lower": 0, "upper": 0, "inside": 0.5}
        assert "longer" not in told

    def test_a_total_is_as_sure_as_ends_and_parameters_let_it(self):
        (total,) = [figures(said("2023-06-01"), CONFIG, 120)["holdout"]["total"]]
        alone = 1.0 * 10**2 + 0.5 * 20**2
        together = (1 + 4) ** 2 + (-3 + 2) ** 2
        reach = 1.6449 * np.sqrt(alone + together)
        assert total["scope"] == "model only"
        assert total["value"]["lower"] == pytest.approx(100 - reach, abs=0.01)
        assert total["value"]["upper"] == pytest.approx(100 + reach, abs=0.01)
        assert total["value"]["actual"] == 110
        assert total["value"]["inside"]

    def test_three_earlier_origins_widen_it_and_its_own_error_does_not(self):
        cuts = ["2022-02-01", "2022-06-01", "2022-10-01"]
        early = [said(c, value=[100.0, 300.0]) for c in cuts]
        total = figures(pd.concat([*early, said("2023-06-01")]), CONFIG, 120)["holdout"]["total"]
        assert "widened" in total["scope"]
        assert [o["origin"] for o in total["origins"]] == cuts
        # four times too little each time: t(.95, 3) = 2.353 times log 4 either way
        assert total["value"]["upper"] == pytest.approx(100 * np.exp(2.3534 * np.log(4)), rel=1e-3)
        assert total["value"]["actual"] == 110
        assert total["origins"][0]["value"]["actual"] == 400

    def test_the_longer_horizon_stands_beside(self):
        both = pd.concat([said("2023-06-01"), said("2023-01-01", 300)])
        told = figures(both, CONFIG, 120)
        assert told["holdout"]["horizon_days"] == 120
        assert told["longer"]["holdout"]["horizon_days"] == 300
        assert told["longer"]["holdout"]["origin"] == "2023-01-01"


TRUTH = ShiftedBetaGeometric(1.2, 14.0)


@pytest.fixture(scope="module")
def world():
    """Draw 4,000 subscribers with chances of their own, ends evenly within their months."""
    rng = np.random.default_rng(5)
    n, span = 4000, (UNTIL - FIRST).days
    start = rng.integers(0, span, n)
    whole = rng.geometric(rng.beta(TRUTH.alpha, TRUTH.beta, n))
    lasts = np.ceil((whole - rng.random(n)) * PERIOD_DAYS).astype(int)
    end = start + np.maximum(lasts, 1)
    day = pd.Timestamp(FIRST) + pd.to_timedelta(np.arange(span + 4000), "D")
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(n)],
            "started_at": day[start],
            "ended_at": pd.Series(day[np.minimum(end, span + 3999)]).where(end < span),
            "mrr": rng.choice([10.0, 20.0, 50.0], n),
            "plan": rng.choice(["basic", "plus"], n),
        }
    )


@pytest.fixture
def judged(typed, world):
    def go(frame=world, p=None, tests=("2023-07-01",), columns=("mrr",)):
        rows = [{k: v for k, v in r.items() if not pd.isna(v)} for r in frame.to_dict("records")]
        tables = {"subscriptions": typed.table("subscriptions", rows, columns=columns)}
        days = [pd.Timestamp(t) for t in tests]
        keys = pd.DataFrame({"customer_id": frame["customer_id"].unique(), "cutoff": days[0]})
        keys["cutoff"] = keys["cutoff"].astype("datetime64[s]")
        churn = types.SimpleNamespace(
            tests=tuple(d.date() for d in days),
            test=keys,
            said=np.full(len(keys), np.nan if p is None else p),
        )
        return run(tables, churn, CONFIG, FIRST, UNTIL)

    return go


class TestKnownWorld:
    def test_what_came_is_what_was_expected(self, judged):
        """The truth is in the family: no bias, right bounds, and no rule is better."""
        done = judged()
        hold, rules = done.figures["holdout"], done.figures["baselines"]
        assert hold["horizon_days"] == 184
        assert hold["customers"] > 800
        assert abs(hold["bias"]["value"]) < 0.03
        assert abs(hold["months"]["bias"]["value"]) < 0.03
        for name in ("months", "value"):  # no price changes here
            assert hold["coverage"][name]["value"] == pytest.approx(0.9, abs=0.03)
            assert hold["total"][name]["inside"]
        for name in ("everybody_stays", "constant_hazard"):
            assert hold["rmse"]["value"] <= rules[name]["rmse"]["value"], name
        best = min(rules[n]["rmse"]["value"] for n in rules)
        assert hold["rmse"]["value"] < 1.01 * best
        long = done.figures["longer"]["holdout"]
        assert long["horizon_days"] == 273
        assert abs(long["bias"]["value"]) < 0.04
        again = figures(done.rows, CONFIG, 184)
        assert again == done.figures

    def test_the_stated_chance_is_what_moves_it(self, judged):
        own, all_leave = judged(), judged(p=1.0)
        gone = all_leave.figures["holdout"]
        assert gone["total"]["months"]["expected"] < gone["customers"]  # within the first 30 days
        assert gone["bias"]["value"] < -0.7
        by_age = all_leave.figures["baselines"]["sbg_by_age"]
        assert by_age["rmse"] == own.figures["holdout"]["rmse"]

    def test_prices_that_change_are_counted_as_they_came(self, judged, world):
        doubled = world.assign(subscription_id=world["customer_id"])
        later = doubled.assign(started_at=pd.Timestamp("2023-07-01"), mrr=2 * doubled["mrr"])
        runs = doubled["started_at"] < "2023-06-30"
        runs &= ~(doubled["ended_at"] < "2023-07-02")
        first = doubled.assign(ended_at=doubled["ended_at"].mask(runs))
        both = pd.concat([first, later[runs]], ignore_index=True)
        plain, dearer = judged(), judged(both)
        a, b = (d.figures["holdout"]["total"] for d in (plain, dearer))
        assert b["months"]["actual"] == pytest.approx(a["months"]["actual"], rel=1e-6)
        # only who began on the last day before the origin keeps the old price
        assert b["value"]["actual"] == pytest.approx(2 * a["value"]["actual"], rel=0.01)
        assert b["value"]["expected"] == pytest.approx(a["value"]["expected"], rel=1e-6)

    def test_who_pays_nothing_and_brought_nothing_was_foreseen(self, judged, world):
        """A free plan is worth 0 for certain: its customers count as inside, and move nothing."""
        rng = np.random.default_rng(1)
        free = judged(world.assign(mrr=np.where(rng.random(len(world)) < 0.5, 0.0, world["mrr"])))
        covered = free.figures["holdout"]["coverage"]["value"]
        assert covered["value"] == pytest.approx(0.9, abs=0.03)
        assert covered["inside"] > 0.9
        nobody_pays = judged(world.assign(mrr=0.0)).figures["holdout"]
        assert nobody_pays["coverage"]["value"]["inside"] == 1.0
        assert nobody_pays["bias"]["value"] is None

    def test_without_a_price_it_is_declined(self, judged, world):
        done = judged(world.drop(columns="mrr"), columns=())
        assert "map `mrr`" in done.figures["why"]
        assert done.figures["family"] is None
        assert done.rows.empty
        assert done.notes

    def test_nobody_with_a_price_is_declined(self, judged, world):
        done = judged(world.assign(mrr=np.nan))
        assert "nobody with a known price" in done.figures["why"]


TIMING = fit_spells([20, 50, 400, 90], [True, True, False, True])


def standing(**columns):
    """Return five subscribers, one for each way to stand, and one without a price."""
    fixed = {
        "customer_id": list("abcdef"), "cutoff": pd.Timestamp("2023-07-01"),
        "status": ["scored", "trial", "notice", "notice", "ended", "scored"],
        "subscription_age_days": [100.0, 3.0, 300.0, 300.0, np.nan, 100.0],
        "price": [10.0, 10.0, 10.0, 10.0, np.nan, np.nan],
        "unpaid_days": [0.0, 11.0, 0.0, 0.0, np.nan, 0.0],
        "paid_days": [np.nan, np.nan, 61.0, np.nan, np.nan, np.nan],
    }  # fmt: skip
    return pd.DataFrame(fixed | columns)


class TestToday:
    def test_each_by_where_they_stand(self):
        p = np.array([0.2, np.nan, np.nan, np.nan, np.nan, 0.2])
        found = subscriber_values(standing(), TIMING, p, CONFIG.churn, CONFIG.clv)
        value = found["clv"]
        assert value.notna().tolist() == [True, True, True, False, False, False]
        for stake in ("if_stays", "if_leaves"):
            assert found[stake].notna().tolist() == [True, *[False] * 5], stake
        ends = Ends(TIMING.sbg, np.array([100.0]), 0, 30)
        one = Contracts(ends, [10.0], 365, 0.1, 1.0)
        assert value[0] == one.clv(0.2)[0]
        given = one.values()
        assert (found["if_stays"][0], found["if_leaves"][0]) == (given.V_A[0], given.V_0[0])
        dear = CONFIG.clv.model_copy(update={"cost_to_serve": 4.0})
        costly = subscriber_values(standing(), TIMING, p, CONFIG.churn, dear)["clv"]
        assert costly[0] == pytest.approx(0.6 * value[0])  # 4 of the 10 a month
        # 61 days are paid in whole, as discounted as they lie
        until = sum(d * 1.1 ** (-m / 365) for d, m in ((30, 15), (30, 45), (1, 75)))
        assert value[2] == pytest.approx(10 * until / PERIOD_DAYS, rel=1e-12)
        assert found["lower"][2] == found["upper"][2] == value[2]

    def test_at_past_cutoffs_with_the_timing_known_then(self):
        matrix = standing(price=[10.0, 10.0, 10.0, 10.0, np.nan, np.nan])
        rows = matrix.loc[[5, 0], ["customer_id", "cutoff"]]
        day = dt.date(2023, 7, 1)
        stays, leaves, p0 = at_stake(matrix, rows, CONFIG, {day: TIMING})
        assert (stays[0], leaves[0]) == (0, 0)  # a price that is not known: nothing to save
        assert stays[1] > leaves[1] > 0
        assert 0 < p0[1] < 1
        with pytest.raises(DataError, match="2023-07-01: how long subscriptions last"):
            at_stake(matrix, rows, CONFIG, {})
        with pytest.raises(DataError, match="map `mrr`"):
            at_stake(matrix.assign(price=np.nan), rows, CONFIG, {day: TIMING})


def test_bundles_from_before_keep_their_timing():
    stored = TIMING.to_json()
    del stored["sbg"]["log_covariance"]
    old = SpellTiming.from_json(stored)
    assert old.sbg.alpha == TIMING.sbg.alpha
    assert old.sbg.log_covariance is None
    one = Contracts(Ends(old.sbg, [5.0], 0, 30), [10.0], 365, 0.1, 1.0)
    assert (one.drift(0.1) == 0).all()
