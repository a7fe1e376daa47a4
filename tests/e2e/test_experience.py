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
