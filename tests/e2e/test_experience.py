"""A small simulated company with every table: trained, scored, proven, its figures written."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tenure.config import load_config
from tenure.simulate import simulate, write
from tenure.train import train

OWN = """\
cutoffs: {every_days: 60, count: 6}
goals:
  - {name: "NPS up 5", kpi: nps, change: 5, from: 2024-06-01, by: 2025-06-01, owner: Product}
  - {name: "No parcel more than two days late", kpi: on_time_rate, feature: days_late_worst_365d,
     target: 2, from: 2025-03-01, cost: 5000, owner: Delivery}
  - {name: "Every answer in the same second", kpi: first_response_hours_median, target: 0,
     from: 2025-03-01, owner: Support}
milestones: [{on: 2024-03-01, name: "New warehouse"}]
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """Lay a company of 700 customers and train on it, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("company"))
        folder = Path("data")
        write(simulate(world="shop", customers=700, seed=3, weeks=110), folder)
        file = folder / "config.yaml"
        file.write_text(file.read_text(encoding="utf-8") + OWN, encoding="utf-8")
        done = train(load_config(file), file)
        yield file, done


def test_every_table_feeds_the_model(company):
    _, done = company
    assert {f["factor"] for f in done.drivers["factors"]} >= {
        "engagement", "value", "delivery", "responsiveness", "resolution", "effort",
        "satisfaction", "loyalty", "contact", "pricing", "product", "lifecycle", "profile",
    }  # fmt: skip


def test_the_report_and_the_summary_name_every_table(company):
    _, done = company
    html = (done.folder / "report.html").read_text(encoding="utf-8")
    for table in ("transactions", "interactions", "surveys", "events", "customers"):
        assert table in done.metrics["data"]
        assert table in html.lower()


def test_scores_equal_those_of_training(company, run):
    file, done = company
    out = file.parent / "scores.parquet"
    assert run("score", "-c", file, "--out", out).code == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet(out), pd.read_parquet(done.folder / "scores.parquet")
    )


def test_no_feature_of_any_table_sees_the_future(company, run):
    file, _ = company
    once = file.with_name("once.yaml")  # every build takes seconds: one cutoff is enough here
    once.write_text(file.read_text("utf-8").replace("count: 6", "count: 1"), encoding="utf-8")
    done = run("check", "--leaks", "-c", once, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["leaks"] == 0
    assert found["audit"]["findings"] == []
    assert found["features"] > 200
    assert all(t["identical"] and t["rows_changed"] > 0 for t in found["tried"])


def test_the_figures_are_written(company, run):
    file, done = company
    assert run("kpis", "-c", file).code == 0
    table = pq.read_table(done.folder / "kpis.parquet")
    assert table.column_names == [
        "period", "figure", "by", "group", "n", "value", "lower", "upper", "unit"
    ]  # fmt: skip
    figures = set(table["figure"].to_pylist())
    assert len(figures) > 20


def test_scoring_without_a_table_the_model_knows_is_refused(company, run):
    file, _ = company
    text = file.read_text(encoding="utf-8")
    lean = file.with_name("lean.yaml")
    start = text.index("    interactions:")
    end = text.index("    surveys:")
    lean.write_text(text[:start] + text[end:], encoding="utf-8")
    done = run("score", "-c", lean, "--out", file.parent / "no.csv")
    assert done.code == 3
    assert "interactions" in done.err


def test_every_factor_says_how_sure_it_is_and_how_we_know(company):
    found = json.loads((company[1].folder / "drivers.json").read_text(encoding="utf-8"))
    assert found["verdict"]
    for one in found["factors"]:
        assert one["how_sure"] in found["scale"]
        assert one["how_we_know"]
        assert all(one["how_we_know"])
        assert one["lower"] <= one["upper"]
        assert one["floor"] >= 0
        assert one["actionable"] == (
            one["role"] == "cause" and one["how_sure"] in found["scale"][:2]
        )
    assert {o["owner"] for o in found["factors"] if o["role"] == "cause"} <= {
        "Delivery", "Support", "Product", "Marketing",
    }  # fmt: skip
    symptoms = [o for o in found["factors"] if o["role"] == "symptom"]
    assert symptoms
    assert all(o["how_sure"] in found["scale"][2:] for o in symptoms)


def test_levers_are_compared_with_placebos(company):
    found = company[1].drivers
    assert [one["lever"] for one in found["levers"]] == [
        "late_delivery", "slow_response", "unsolved_ticket",
    ]  # fmt: skip
    assert found["compared"]["window_days"] == 120
    late = found["levers"][0]
    assert late["each"]["lower"] < late["each"]["value"] < late["each"]["upper"]
    assert "somebody_elses" in late["placebos"]  # the log is too short to ask the past
    assert late["overlap"]["customers_with"] >= 50


def test_goals_are_simulated_or_refused_with_a_reason(company):
    nps, late, at_once = company[1].drivers["goals"]
    assert nps["status"] == "refused"
    assert "signal to listen to" in nps["why"]
    assert late["status"] == "simulated"
    customers, adjusted, money = (late[k] for k in ("customers", "adjusted", "money"))
    assert 0 < customers["affected"] <= customers["with_opportunity"] <= customers["of"]
    points, kept, worth = (adjusted[k] for k in ("points", "customers_kept", "value_kept"))
    # the same effect in points of those with a parcel, in customers and in money
    share = -100 / customers["with_opportunity"]
    assert points["value"] == pytest.approx(kept["value"] * share)
    assert points["lower"] == pytest.approx(kept["upper"] * share)
    if kept["value"] > 0:
        one = worth["value"] / kept["value"]
        assert money["break_even_customers"] == pytest.approx(5000 / one)
    assert late["model"]["points"] <= 0.5  # fewer late parcels do not drive many away
    assert late["tickets_saved"]["lower"] < late["tickets_saved"]["upper"]
    assert late["when"]["leaving_from"] == late["when"]["met_until"]
    assert at_once["status"] == "refused"
    assert "were within the target" in at_once["why"]


def test_the_command_finds_what_training_found(company, run):
    file, done = company
    said = run("drivers", "-c", file, "--json")
    assert said.code == 0, said.err
    again, there = (
        json.loads(said.out),
        json.loads((done.folder / "drivers.json").read_text("utf-8")),
    )
    assert again == there
    assert there["model_version"] == "1"
    assert [f["churn_points"] for f in there["factors"]] == pytest.approx(
        [f["churn_points"] for f in done.drivers["factors"]]
    )
    assert there["levers"] == done.drivers["levers"]
