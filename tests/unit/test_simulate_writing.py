"""`tenure simulate` writes what `tenure` reads, and the truth beside it."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from tenure import datasets, simulate
from tenure.audit import contract_report
from tenure.cli import app
from tenure.config import load_config
from tenure.simulate import company, summary, words, write


@pytest.fixture(scope="module", params=["shop", "subscriptions"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "out"
    made = simulate.simulate(request.param, 1_000, 5, with_truth=True)
    write(made, folder)
    return made, folder


def test_the_written_config_reads_the_tables_and_sets_aside_the_counted_dirt(written):
    made, folder = written
    found = contract_report(load_config(folder / "config.yaml")).values
    for name, counts in made.truth.facts["dirt"].items():
        some = {rule: n for rule, n in counts.items() if n}
        assert found[name]["set_aside"] == some
    clean = set(made.tables) - set(made.truth.facts["dirt"])
    assert all(found[name]["set_aside"] == {} for name in clean)
    assert len(found["cutoffs"]) > 10


def test_the_truth_lies_beside_and_not_among_the_tables(written):
    made, folder = written
    assert {p.stem for p in folder.glob("*.parquet")} == set(made.tables)
    truth = folder / "truth"
    assert json.loads((truth / "world.json").read_text()) == json.loads(
        json.dumps(made.truth.facts)
    )
    assert json.loads((truth / "world.json").read_text())["causes"]["slow_response"]["factor"]
    for name in ("customers", "panel", "ceiling"):
        found = pd.read_parquet(truth / f"{name}.parquet")
        assert len(found) == len(getattr(made.truth, name))


def test_the_same_company_is_written_in_the_same_bytes(written, tmp_path):
    made, folder = written
    again = simulate.simulate(made.truth.facts["world"], 1_000, 5)
    write(again, tmp_path / "out")
    for file in (p for p in folder.rglob("*") if p.is_file() and p.name != "config.yaml"):
        assert (tmp_path / "out" / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_the_summary_names_rows_leavers_and_the_ceiling(written, tmp_path):
    made, _ = written
    found = summary(made)
    assert found["rows"]["events"] == made.tables["events"].num_rows
    assert 0.6 < found["ceiling_auc"] < 0.95
    text = words(found, tmp_path)
    assert f"{found['ceiling_auc']:.3f}" in text
    assert "tenure train -c" in text


def test_the_command_prints_one_json_object(tmp_path):
    asked = ["simulate", "--out", str(tmp_path / "o"), "--customers", "120", "--seed", "2"]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["customers"] == 120
    assert found["rows"]["customers"] == 120
    assert (tmp_path / "o" / "config.yaml").is_file()


def test_the_packages_companies_are_made_once_and_have_the_said_size(monkeypatch):
    sizes = []

    def small(world, customers, seed, with_truth):
        sizes.append((world, customers, seed))
        return simulate.simulate(world, 50, seed, with_truth=with_truth)

    monkeypatch.setattr(company, "simulate", small)
    company._demo.cache_clear()
    for name in datasets.SIMULATED:
        table = datasets.read(name)
        assert table.num_rows > 0
        assert "customer_id" in table.column_names
    company._demo.cache_clear()
    assert sizes == [("shop", 20_000, 7), ("subscriptions", 5_000, 7)]
