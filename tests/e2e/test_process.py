"""Interrupts, kills and neighbours: nothing half-written, nothing promoted, nothing lost."""

import errno
import os
import signal
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import tenure.results
import tenure.train
from tenure.sources import Sources

SMALL = {"customers": 200, "days": 200}


def runs_of(folder, project="shop"):
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    found = client.get_experiment_by_name(project)
    return client, client.search_runs([found.experiment_id])


def champion_of(client, project="shop"):
    try:
        return client.get_model_version_by_alias(project, "champion").version
    except mlflow.exceptions.MlflowException:
        return None


@pytest.fixture
def project(ready, lay_out, make_log, config_text):
    """Return an untrained project in which an older output stands."""
    Path("out/shop").mkdir(parents=True)
    Path("out/shop/metrics.json").write_text("old")
    return lay_out(ready, make_log(**SMALL), config_text)


@pytest.mark.parametrize(
    ("where", "name", "number"),
    [
        (Sources, "write_quarantine", signal.SIGINT),  # the version is registered
        (tenure.train, "write_table", signal.SIGTERM),
    ],
)
def test_an_interrupt_moves_nothing(project, run, monkeypatch, files_below, where, name, number):
    monkeypatch.setattr(where, name, lambda *_, **__: signal.raise_signal(number))
    said = run("train", "-c", "c.yaml")
    assert said.code == 130
    assert said.out == ""
    assert said.err.count("\n") == 1
    client, (only,) = runs_of(project)
    assert only.info.status == "KILLED"
    assert champion_of(client) is None
    assert files_below("out") == {"out/shop/metrics.json": b"old"}
    assert os.listdir("out") == ["shop"]  # noqa: PTH208


def test_an_interrupt_that_the_engine_turned_into_its_own_fault(project, run, monkeypatch):
    def prepare(*_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    monkeypatch.setattr(tenure.train, "prepare", prepare)
    said = run("train", "-c", "c.yaml")
    assert said.code == 130
    assert said.err.count("\n") == 1
    _, (only,) = runs_of(project)
    assert only.info.status == "KILLED"


def test_an_interrupt_before_the_first_query(project, run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tenure.train, "load", interrupt)
    assert run("train", "-c", "c.yaml").code == 130
    assert mlflow.MlflowClient(f"sqlite:///{project}/mlruns/mlflow.db").search_runs(["0"]) == []


def test_a_fault_after_registration_promotes_nothing(project, run, monkeypatch, files_below):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sources, "write_quarantine", fail)
    said = run("train", "-c", "c.yaml")
    assert said.code == 1
    assert "No space left" in said.err
    client, (only,) = runs_of(project)
    assert only.info.status == "FAILED"
    assert champion_of(client) is None
    assert files_below("out") == {"out/shop/metrics.json": b"old"}


def test_terminated_from_outside(project, start, files_below):
    # the process says when it is in the middle of a query of the engine
    code = """
import tenure.train as t
def prepare(sources, config):
    open("here", "w").close()
    while True:
        sources.con.con.execute("SELECT sum(i % 7) FROM range(10000000) t(i)").fetchall()
t.prepare = prepare
from tenure.cli import main
main()
"""
    process = start("train", "-c", "c.yaml", cwd=project, code=code)
    for _ in range(600):
        if Path("here").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    client, (only,) = runs_of(project)
    assert only.info.status == "KILLED"
    assert champion_of(client) is None
    assert files_below("out") == {"out/shop/metrics.json": b"old"}


def test_two_first_trainings_at_once_both_succeed(empty, lay_out, make_log, config_text, start):
    for name in ("one", "two"):
        lay_out(empty, make_log(**SMALL), config_text)
        (empty / f"{name}.yaml").write_text(config_text.replace("shop", name))
    both = [start("train", "-c", f"{name}.yaml", cwd=empty) for name in ("one", "two")]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err == ""  # nobody watches: no progress, no warnings
    for name in ("one", "two"):
        client, (only,) = runs_of(empty, name)
        assert only.info.status == "FINISHED"
        assert str(champion_of(client, name)) == "1"
        assert (empty / "out" / name / "scores.parquet").exists()


def test_killed_while_writing_leaves_the_old_file_and_a_rerun_is_equal(shop, start, run, tmp_path):
    out = tmp_path / "s.csv"
    out.write_text("old")
    code = (
        "import os, signal; os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from tenure.cli import main; main()"
    )
    process = start("score", "-c", "c.yaml", "--out", out, cwd=shop.folder, code=code)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert out.read_text() == "old"
    for path in (out, tmp_path / "again.csv"):
        assert run("score", "-c", "c.yaml", "--out", path).code == 0
    assert out.read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert len(pd.read_csv(out)) == len(shop.scores)
