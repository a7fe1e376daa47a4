"""The end of a training run: what must be read first, in a width that a terminal has."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tenure.config import Config
from tenure.models.churn import ROSTERS
from tenure.report.summary import summary

HOLDS = "holds comparing like with like"
SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"


@pytest.fixture
def metrics():
    return {**json.loads(SAMPLE.read_text())["metrics"], "model_version": "1"}


@pytest.fixture
def drivers():
    return json.loads(SAMPLE.read_text())["drivers"]


def said(metrics, drivers=None):
    drivers = drivers or {"verdict": "No driver is sure.", "factors": []}
    tables = {"tables": {"transactions": {"path": "x.csv"}}}
    config = Config.model_validate({"project": "shop", "currency": "EUR", "data": tables})
    scores = pd.DataFrame(
        {"status": ["scored"], "clv_365d": [100.0], "value_at_risk": [10.0]}
    ).assign(expected_saved_value=3.0)
    return summary(metrics, drivers, scores, config, Path("c.yaml")).splitlines()


def test_the_table_fits_120_columns(metrics):
    churn = metrics["churn"]
    widest = {**next(iter(churn["candidates"].values()))}
    widest["profit"] = {"value": -154_321.0, "lower": -171_234.0, "upper": -137_123.0}
    names = dict.fromkeys(ROSTERS["inactivity"].names, widest)
    churn["candidates"], churn["baselines"] = names, {}
    lines = said(metrics)
    head = next(i for i, line in enumerate(lines) if "AUC" in line and "profit" in line)
    table = lines[head : head + 1 + len(names)]
    assert table[0].split() == [
        "AUC", "log", "loss", "calib.", "error", "lift", "top", "10", "%", "profit,", "thousands",
    ]  # fmt: skip
    assert {line.split()[-3] for line in table[1:]} == {"-154"}
    assert max(map(len, table)) <= 120


def test_figures_lose_only_the_zero_before_the_point(metrics):
    row = metrics["churn"]["candidates"]["lightgbm"]
    row["auc"] = {"value": 0.75, "lower": 0.7, "upper": 1.0}
    row["top_decile_lift"] = {"value": 10.05, "lower": 0.05, "upper": 20.05}
    line = next(line for line in said(metrics) if line.split()[:1] == ["lightgbm"])
    assert ".750 [.700, 1.000]" in line
    assert "10.05 [.05, 20.05]" in line


def test_a_baseline_as_good_is_said_first(metrics):
    assert not any("NOT BETTER" in line for line in said(metrics))
    metrics["churn"]["as_good"] = {"log_loss": [], "auc": [], "profit": ["btyd", "logistic_rfm"]}
    assert said(metrics)[0] == (
        "NOT BETTER: by profit, blend is not clearly ahead of btyd, logistic_rfm."
    )


def test_reliability_and_the_basis_of_profit_are_told(metrics):
    lines = said(metrics)
    assert "  Of 100 customers called 65 %, 64 left (likely range 62 to 66)." in lines
    assert any("at most 50 contacts: revenue saved over 365 days" in line for line in lines)
    assert any("nobody 0; everybody -500 [-550, -450]" in line for line in lines)


def test_money_that_cannot_be_had_is_a_dash_with_its_reason(metrics):
    churn = metrics["churn"]
    nothing = {"value": None, "lower": None, "upper": None, "why": "no dates"}
    for part in ("candidates", "baselines", "improvement_on_best_baseline"):
        for row in churn[part].values():
            row["profit"] = nothing
    churn["campaign"] = {**churn["campaign"], "why": "no dates", "baselines": {}}
    lines = said(metrics)
    assert "  no profit: no dates" in lines
    assert next(line for line in lines if line.split()[:1] == ["lightgbm"]).endswith(" -")


def test_drivers_begin_with_the_verdict_and_what_holds(metrics, drivers):
    lines = said(metrics, drivers)
    at = lines.index(
        "Drivers  Responsiveness drives customers away: this holds comparing like with like."
    )
    assert lines[at + 1] == (
        "  each slow first response adds 8.3 [6.6, 9.9] points of leaving, all of them 2.2 [1.8, "
        "2.6] (comparing 670 customers alike before)"
    )
    assert "late delivery adds" not in "\n".join(lines)
    rows = [line.split() for line in lines]
    assert ["3.0", "[2.5,", "3.6]", "0.7", "responsiveness", *HOLDS.split()] in [
        row[:10] for row in rows
    ]
    assert ["2.0", "[–,", "–]", "–", "value", "too", "weak", "to", "say"] in rows


def test_each_goal_is_told_in_one_line(metrics, drivers):
    lines = [line for line in said(metrics, drivers) if line.startswith("  goal:")]
    assert lines == [
        "  goal: NPS up 10: refused. A score is a signal to listen to, not a lever to pull: it "
        "moves when experiences do.",
        "  goal: First response under two hours: -1.8 [-3.2, -0.4] points of leaving, 564 [125, "
        "1,004] customers kept, 77,369 [14,610, 140,127] EUR; whether it pays cannot be told at a "
        "cost of 40,000",
        "  goal: No late delivery: -0.5 [-1.4, 0.4] points of leaving, 0 [0, 0] customers kept "
        "(too weak to plan with: it does not hold comparing like with like)",
    ]


def test_tests_are_told_by_their_first_sentence(metrics, drivers):
    lines = [line for line in said(metrics, drivers) if line.startswith("  tests:")]
    assert lines == [f"  tests: {drivers['experiments']['says'][0]}"]


def test_drivers_of_nothing_are_one_line(metrics):
    lines = said(metrics)
    at = lines.index("Drivers  No driver is sure.")
    assert lines[at + 1] == ""
