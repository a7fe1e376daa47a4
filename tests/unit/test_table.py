"""The one table: every candidate by every figure, in the unit and with the rival that it says."""

import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from tenure import table as module
from tenure.backtest.churn import Backtest
from tenure.config import Config
from tenure.errors import DataError
from tenure.evaluation.metrics import METRICS
from tenure.features.schema import Schema
from tenure.models.churn import ROSTERS
from tenure.report.money import Scale, as_good, basis
from tenure.report.tables import metric_columns
from tenure.report.trust import came_true
from tenure.table import annotate, judge_table
from tenure.value import ConditionalValues, expected_saved_value

COSTS = {"contact_cost": 1, "incentive": 10, "accept_rate": 0.3, "capacity": 60}


def config(**sections):
    tables = {t: {"path": "x.csv"} for t in ("transactions", "customers", "subscriptions")}
    return Config.model_validate({"project": "shop", "data": {"tables": tables}, **sections})


def world(n=900, customers=300, seed=0):
    """Return test rows, true chances, and what is at stake."""
    rng = np.random.default_rng(seed)
    days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"]).astype("datetime64[s]")
    z = rng.normal(size=n) * 1.5 - 0.4
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in np.tile(np.arange(customers), 3)],
            "cutoff": np.repeat(days, customers),
            "churned": (rng.random(n) < expit(z)).astype(np.int8),
            "active": True,
        }
    )
    V_0 = rng.gamma(1, 20, n)
    return frame, z, ConditionalValues(V_0 + rng.gamma(1, 80, n), V_0, np.full(n, 0.4))


@pytest.fixture
def judge(monkeypatch):
    """Judge rows where the full model knows the true chance and the simple ones know less."""

    monkeypatch.setattr(module, "DRAWS", 60)

    def run(costs=COSTS, kind="inactivity", values=None, same=(), chosen=False):
        frame, z, found = world()
        noise = np.random.default_rng(1)
        said = {n: expit(z / 3 + noise.normal(size=len(z))) for n in ROSTERS[kind].names}
        said["lightgbm"] = expit(z)
        said |= dict.fromkeys(same, said["lightgbm"])
        best = list(ROSTERS[kind].baselines)[-1]
        if kind == "label":
            frame = frame.assign(repeat=np.repeat([1, 2, 3], 300), cutoff=pd.NaT)
        matrix = frame[["customer_id", "cutoff"]].assign(frequency=2, days_since_last_purchase=40)
        ready = types.SimpleNamespace(
            matrix=matrix.drop_duplicates("customer_id") if kind == "label" else matrix,
            schema=Schema(365, {}, {}),
            timings={},
        )
        if kind == "inactivity":
            monkeypatch.setattr(module, "at_stake", values or (lambda *_: found))
        tests = () if kind == "label" else tuple(d.date() for d in frame["cutoff"].unique())
        churn = Backtest(
            tests, frame, frame, said, "lightgbm", best, {}, (), frame,
            said["lightgbm"] if chosen else None,
        )  # fmt: skip
        sections = {"churn": {"kind": kind}, "model": {"seed": 3}}
        if costs is not None:
            sections["campaign"] = costs
        shop = config(currency="EUR" if costs else None, **sections)
        churn = annotate(churn, ready, shop)
        return judge_table(churn, shop), churn, found, shop

    return run


def test_every_candidate_has_every_figure_with_its_interval(judge):
    done, churn, _, _ = judge()
    every = {*METRICS, "auc_active", "mpc", "empc", "profit", "contacted", "capture_at_capacity"}
    assert set(done.table) == set(churn.probabilities)
    for row in done.table.values():
        assert set(row) == every
        for figure in row.values():
            assert figure["lower"] <= figure["upper"]
    assert set(done.improvement) == {"lightgbm", "blend"}
    for gains in done.improvement.values():
        assert set(gains) == every - {"base_rate", "contacted"}
    assert done.improvement["lightgbm"]["profit"]["lower"] > 0


def test_profit_is_that_of_each_candidate_walking_down_its_own_list(judge):
    done, churn, values, shop = judge()
    saved, y = values.V_A - values.V_0, churn.test["churned"].to_numpy()
    for name, p in churn.probabilities.items():
        total = 0.0
        for cutoff in churn.test["cutoff"].unique():
            here = np.flatnonzero(churn.test["cutoff"] == cutoff)
            hopes = p * 0.3 * (saved - 10) - (1 - p) * 10 - 1
            for i in sorted(here, key=lambda i: -hopes[i])[:60]:
                if hopes[i] > 0:
                    total += 0.3 * (saved[i] - 10) - 1 if y[i] else -11
        assert done.table[name]["profit"]["value"] == pytest.approx(total / 3), name
    realised = expected_saved_value(y, values.V_A, values.V_0, shop.campaign)
    rules = done.campaign["baselines"]
    assert rules["nobody"]["value"] == 0
    assert rules["everybody"]["value"] == pytest.approx(realised.sum() / 3)
    assert rules["random"]["value"] == pytest.approx(realised.sum() / 3 * 60 / 300)
    assert done.campaign["mean_value_saved"] == pytest.approx(saved.mean())
    assert done.campaign["improvement_on_random"]["lightgbm"]["lower"] > 0


def test_numbered_customers_without_names_give_the_same_figures(judge):
    """What is logged holds no ids: figures computed from it are those of the run."""
    done, churn, _, shop = judge()
    numbers = pd.factorize(churn.test["customer_id"], sort=True)[0]
    again = judge_table(replace(churn, test=churn.test.assign(customer_id=numbers)), shop)
    assert again == done


def test_a_baseline_that_says_the_same_is_as_good(judge):
    done, _, _, _ = judge()
    assert done.as_good == {"log_loss": [], "auc": [], "profit": []}
    level, _, _, _ = judge(same=["btyd"])
    assert level.as_good == {m: ["btyd"] for m in ("log_loss", "auc", "profit")}
    told = as_good({"as_good": level.as_good, "selected": "lightgbm"})
    assert told[2] == "by profit, lightgbm is not clearly ahead of btyd."


@pytest.mark.parametrize("kind", ["subscription", "label"])
def test_without_value_money_is_null_with_the_reason(judge, kind):
    done, _, _, _ = judge(kind=kind, chosen=kind == "label")
    assert done.tested == ("chosen" if kind == "label" else "lightgbm")
    for figures in (done.table["lightgbm"], done.improvement[done.tested]):
        for metric in ("mpc", "empc", "profit"):
            assert figures[metric]["value"] is None
            assert "alue" in figures[metric]["why"]
        assert figures["capture_at_capacity"]["value"] is not None
    assert done.campaign["baselines"] == {}
    assert done.reliability["by_value"] is None
    assert basis(done.campaign, Scale(1, 0)) == [f"no profit: {done.campaign['why']}"]
    assert not {"mpc", "profit", "contacted"} & set(metric_columns(done.table, kind))


def test_value_that_the_data_refuse_is_null_with_their_reason(judge):
    def refuse(*_):
        raise DataError("at 2024-01-01: clv: no repeat purchases")

    done, churn, _, _ = judge(values=refuse)
    assert "the notes of the run say why" in done.table["lightgbm"]["profit"]["why"]
    assert churn.notes == ("No profit is counted: at 2024-01-01: clv: no repeat purchases",)


def test_what_nobody_stated_is_said(judge):
    done, _, _, _ = judge(costs=None)
    assert done.campaign["stated"] is False
    assert done.table["lightgbm"]["capture_at_capacity"]["why"] == "campaign.capacity is not set."
    lines = basis(done.campaign, Scale(1, 0))
    assert lines[0].startswith("profit: money a cutoff, no limit: revenue saved over 365 days")
    assert lines[0].endswith("(defaults; set `campaign`)")
    stated, _, _, _ = judge()
    lines = basis(stated.campaign, Scale(1, 0))
    assert lines[0] == (
        "profit: EUR a cutoff, at most 60 contacts: revenue saved over 365 days, less all costs"
    )
    assert "30 % of leavers accept it" in lines[1]


def test_the_sentence_for_readers_is_counted(judge):
    done, churn, _, _ = judge()
    top = churn.test["churned"].to_numpy()[np.argsort(-churn.said)[:90]].mean()
    said = np.sort(churn.said)[-90:].mean()
    sentence = came_true({"reliability": done.reliability})[-1]
    assert sentence.startswith(
        f"Of 100 customers called {100 * said:.0f} %, {100 * top:.0f} left (likely range "
    )


def test_scales_of_money():
    assert Scale.of([1999.0, -50.0, None]).unit == ""
    assert Scale.of([-2_000.0]).write({"value": -2000.0, "lower": -2500.0, "upper": 1.0}) == (
        "-2.0 [-2.5, 0.0]"
    )
    assert Scale.of([250_000.0]).write({"value": 2.5e5, "lower": 2e5, "upper": 3e5}) == (
        "250 [200, 300]"
    )
    assert Scale.of([3e6]).unit == ", millions"
    assert Scale.of([None]).write({"value": None}) == "-"
