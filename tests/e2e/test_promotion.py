"""A model comes into use by the gate or by hand, goes back, and every move can be read later."""

import contextlib
import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

from tenure.config import load_config
from tenure.results import churn_figures_again
from tenure.train import train
from tenure.valuation import value_figures_again


def with_calibration(config, kind):
    return config.replace("tuning_trials: 2", f"tuning_trials: 2, calibration: {kind}")


def by_chance(customers=150):
    """Return a log in which everybody buys at one rate: nothing can be known."""
    rng = np.random.default_rng(4)
    days = pd.date_range("2025-01-01", "2025-07-01")
    rows = [
        (f"c{c}", str(day.date()), 10)
        for c in range(customers)
        for day in days[rng.random(len(days)) < 0.025]
    ]
    return pd.DataFrame(rows, columns=["customer_id", "ts", "amount"])


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_log, lay_out, config_text):
    """Five trainings: twice the same, a worse recipe, pure chance, and two months later."""
    folder = tmp_path_factory.mktemp("moves")
    longer = make_log(seed=8, days=300)
    log = longer[longer["ts"] < "2025-08-29"]
    plain, worse = (with_calibration(config_text, kind) for kind in ("none", "isotonic"))
    more = plain.replace("count: 4", "count: 5")
    runs = (log, plain), (log, plain), (log, worse), (by_chance(), plain), (longer, more)
    done = []
    with contextlib.chdir(folder):
        for part, config in runs:
            lay_out(folder, part, config)
            done.append(train(load_config("c.yaml"), Path("c.yaml")))
        lay_out(folder, log, plain)
    return SimpleNamespace(folder=folder, done=done, gates=[gate(d) for d in done])


def gate(done):
    return done.metrics["churn"]["gate"]


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world.folder)
    return world


def aliases(folder):
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    return {k: str(v) for k, v in client.get_registered_model("shop").aliases.items()}


def refused(said, code, *words):
    assert said.code == code, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def test_the_first_version_with_signal_is_the_champion_and_met_nobody(here):
    first = here.done[0].metrics["churn"]
    assert first["promoted"]
    assert first["gate"]["champion"] == {
        "version": None, "met": "none", "why": "There was none.", "reasons": [],
    }  # fmt: skip


def test_the_same_again_meets_the_champions_recipe_and_is_as_good(here):
    met = here.gates[1]["champion"]
    assert (met["version"], met["met"], met["reasons"]) == ("1", "recipe rerun", [])
    assert met["rows"] == sum(r["n"] for r in here.done[1].metrics["churn"]["by_cutoff"])
    assert {v for gain in met["improvement"].values() for v in gain.values()} == {0.0}
    assert here.done[1].metrics["churn"]["promoted"]
    assert "against the champion (version 1)" in here.done[1].summary
    assert "met by recipe rerun: No test cutoff lies after" in here.done[1].summary


def test_a_worse_recipe_is_the_challenger_and_says_by_what(here):
    met = here.gates[2]["champion"]
    assert (met["version"], met["met"]) == ("2", "recipe rerun")
    assert [r.split(" ")[0] for r in met["reasons"]] == ["log", "AUC"]
    assert here.gates[2]["signal"]
    assert not here.done[2].metrics["churn"]["promoted"]
    for reason in here.gates[2]["reasons"]:
        assert reason in here.done[2].summary
    assert "version 3 (challenger; what was in use stays)" in here.done[2].summary


def test_pure_chance_has_no_signal(here):
    assert not here.gates[3]["signal"]
    assert not here.done[3].metrics["churn"]["promoted"]
    assert "NO SIGNAL" in here.done[3].summary


def test_later_the_champion_speaks_itself_where_its_labels_had_ended(here):
    met, churn = here.gates[4]["champion"], here.done[4].metrics["churn"]
    assert (met["version"], met["met"]) == ("2", "fresh cutoffs")
    ended = dt.date(2025, 8, 28)
    assert here.done[1].metrics["data"]["observed_until"] == str(ended)
    fresh = [r for r in churn["by_cutoff"] if dt.date.fromisoformat(r["cutoff"]) >= ended]
    assert 0 < len(fresh) < len(churn["by_cutoff"])
    assert met["rows"] == sum(r["n"] for r in fresh)
    for row in fresh:
        assert row["cutoff"] in met["why"]
    said = pd.read_parquet("out/shop/backtest.parquet")
    spoke = said["probability_champion"].notna()
    assert set(said.loc[spoke, "cutoff"].astype(str)) == {r["cutoff"] for r in fresh}


def test_moves_by_hand_and_back(here, run):
    """One story, since every step moves what the next one meets."""
    assert aliases(here.folder) == {"champion": "2", "challenger": "5"}
    said = run("promote", "-c", "c.yaml", "--version", 4, "--why", "hope")
    refused(said, 4, "version 4 has no signal", "AUC")
    assert aliases(here.folder) == {"champion": "2", "challenger": "5"}

    said = run("promote", "-c", "c.yaml", "--why", " a\n trial  ")
    assert said.code == 0, said.err
    assert "version 5 is the champion now; before, it was version 2." in said.out
    for reason in here.gates[4]["reasons"]:
        assert reason in said.out
    moves = [line.split(" UTC  ")[1] for line in said.out.splitlines() if " UTC  " in line]
    assert moves == [
        "none -> 1  train: the first version with signal",
        "1 -> 2  train: passed the gate, also against version 1 (recipe rerun)",
        "2 -> 5  promote: a trial",
    ]
    assert aliases(here.folder) == {"champion": "5"}
    refused(run("promote", "-c", "c.yaml", "--why", "x"), 4, "no version is the challenger")
    said = run("promote", "-c", "c.yaml", "--version", 5, "--why", "twice")
    refused(said, 4, "version 5 is the champion already")

    said = run("rollback", "-c", "c.yaml", "--why", "it was", "--json")
    assert said.err == ""
    assert said.json["version"] == "2"
    assert len(said.json["moves"]) == 4
    assert said.json["move"] == said.json["moves"][-1]
    when = dt.datetime.strptime(said.json["move"]["when"], "%Y-%m-%d %H:%M:%S UTC")
    assert {k: v for k, v in said.json["move"].items() if k != "when"} == {
        "from": "5", "to": "2", "by": "rollback", "why": "it was",
    }  # fmt: skip
    assert abs(when - dt.datetime.now(dt.UTC).replace(tzinfo=None)) < dt.timedelta(minutes=10)

    assert run("rollback", "-c", "c.yaml", "--why", "further").code == 0
    refused(
        run("rollback", "-c", "c.yaml", "--why", "too far"), 4,
        "no version was the champion before version 1", "1, 2, 3, 4, 5", "--version N",
    )  # fmt: skip
    assert aliases(here.folder) == {"champion": "1"}
    scored = run("score", "-c", "c.yaml", "--out", "s.csv", "--json")
    assert scored.json["model_version"] == "1"


def test_what_cannot_be_moved_is_named(here, run):
    state = aliases(here.folder)
    refused(
        run("promote", "-c", "c.yaml", "--version", 9, "--why", "x"),
        4,
        "no version 9",
        "1, 2, 3, 4",
    )
    for verb in ("promote", "rollback"):
        refused(run(verb, "-c", "c.yaml", "--why", " \n "), 2, "--why")
        refused(run(verb, "-c", "c.yaml", "--why", "x" * 1001), 2, "1,001 characters")
        refused(run(verb, "-c", "c.yaml"), 2, "--why")
    assert aliases(here.folder) == state


def test_a_version_whose_files_were_altered_is_not_promoted(here, run):
    client = mlflow.MlflowClient(f"sqlite:///{here.folder}/mlruns/mlflow.db")
    state = aliases(here.folder)
    to = "3" if state["champion"] != "3" else "2"
    source = client.get_model_version("shop", to).source.removeprefix("models:/")
    file = here.folder / f"mlruns/artifacts/models/{source}/artifacts/artifacts/bundle/churn.json"
    whole = file.read_bytes()
    file.write_bytes(whole + b" ")
    said = run("promote", "-c", "c.yaml", "--version", to, "--why", "x")
    file.write_bytes(whole)
    refused(said, 4, "churn.json: was altered")
    assert aliases(here.folder) == state


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_without_a_model_nothing_is_moved_and_nothing_is_made(empty, run, config_text, verb):
    Path("c.yaml").write_text(config_text)
    refused(run(verb, "-c", "c.yaml", "--why", "x"), 4, "no model was trained", "tenure train")
    assert [p.name for p in Path().iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_another_project_has_no_model(here, run, tmp_path, config_text, verb):
    (tmp_path / "o.yaml").write_text(config_text.replace("project: shop", "project: other"))
    said = run(verb, "-c", tmp_path / "o.yaml", "--why", "x")
    refused(said, 4, "other: no model was trained")


@pytest.mark.parametrize("number", range(5))
def test_every_churn_figure_comes_again_from_the_run_alone(here, tmp_path, monkeypatch, number):
    run_id = here.done[number].metrics["run_id"]
    client = mlflow.MlflowClient(f"sqlite:///{here.folder}/mlruns/mlflow.db")
    client.download_artifacts(run_id, "", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # neither the data nor the models are here
    told = json.loads(Path("metrics.json").read_text())["churn"]
    again = json.loads(json.dumps(churn_figures_again(Path()), default=str))
    # what took other labels, other fits, or the data themselves
    assert told.keys() - again.keys() == {
        "rows", "treated_rows", "promoted", "tuning", "base_rate_shift", "label_report",
        "horizon_why",
    }  # fmt: skip
    assert again == {k: told[k] for k in again}
    value = json.loads(Path("metrics.json").read_text())["clv"]
    once_more = json.loads(json.dumps(value_figures_again(Path()), default=str))
    assert value.keys() - once_more.keys() == {"fits", "totals"}  # of the customers of today
    assert once_more == {k: value[k] for k in once_more}
    other = pd.read_parquet("backtest.parquet")
    other.loc[other["is_test"], "churned"] = 1 - other["churned"]
    other.to_parquet("backtest.parquet")
    assert churn_figures_again(Path())["test"] != told["test"]


def test_the_backtest_in_the_run_names_nobody(here):
    frame = pd.read_parquet("out/shop/backtest.parquet")
    assert pd.api.types.is_integer_dtype(frame["customer"])
    named = [c for c in frame if pd.api.types.is_string_dtype(frame[c])]
    assert named == ["segment_frequency", "segment_activity"]
    counts = {"1 purchase day", "2 to 3 purchase days", "4 or more purchase days"}
    assert set(frame["segment_frequency"].dropna()) <= counts
    assert "customer_id" not in frame
