"""Tracking meets stores that are broken, old, newer or not there, in words."""

import contextlib
import multiprocessing
import os
import sqlite3
from pathlib import Path

import mlflow
import pytest

from tenure.errors import EnvironmentFault, ModelError
from tenure.track import Tracking, champion, champion_version
from tenure.track.moves import Move, history, line, move


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return the bytes of an initialised database: making one takes seconds."""
    folder = tmp_path_factory.mktemp("db")
    with contextlib.chdir(folder):
        assert champion_version("shop") is None
    return (folder / "mlruns" / "mlflow.db").read_bytes()


@pytest.fixture
def here(tmp_path, monkeypatch, database):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("mlruns").mkdir()
    Path("mlruns/mlflow.db").write_bytes(database)
    return tmp_path


def status(here, run_id):
    return mlflow.MlflowClient(f"sqlite:///{here}/mlruns/mlflow.db").get_run(run_id).info.status


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        (None, "KILLED"),
        (ValueError, "FAILED"),
        (KeyboardInterrupt, "KILLED"),
        (SystemExit, "KILLED"),
    ],
)
def test_a_run_that_does_not_finish_says_how_it_ended(here, fault, ended):
    with contextlib.suppress(ValueError, KeyboardInterrupt, SystemExit), Tracking("shop") as run:
        if fault:
            raise fault
    assert status(here, run.run_id) == ended


def test_artifacts_lie_beside_the_database_whatever_the_folder_is_called(here, monkeypatch):
    odd = here / "a b#c%20d"
    (odd / "mlruns").mkdir(parents=True)
    (odd / "mlruns" / "mlflow.db").write_bytes((here / "mlruns" / "mlflow.db").read_bytes())
    monkeypatch.chdir(odd)
    with Tracking("shop") as run:
        client = mlflow.MlflowClient(f"sqlite:///{odd}/mlruns/mlflow.db".replace("%", "%25"))
        place = client.get_run(run.run_id).info.artifact_uri
    assert place == f"{(odd / 'mlruns' / 'artifacts').as_uri()}/{run.run_id}/artifacts"


def test_each_folder_has_its_own_store_in_one_process(here, tmp_path_factory, database):
    with Tracking("shop") as one:
        pass
    other = tmp_path_factory.mktemp("other")
    (other / "mlruns").mkdir()
    (other / "mlruns" / "mlflow.db").write_bytes(database)
    with contextlib.chdir(other), Tracking("shop") as two:
        pass
    assert status(here, one.run_id) == "KILLED"
    assert status(other, two.run_id) == "KILLED"


def test_the_environment_is_left_as_it_was(here):
    champion_version("shop")
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_given_store_is_honoured(here, monkeypatch, tmp_path_factory, database):
    other = tmp_path_factory.mktemp("given") / "runs.db"
    other.write_bytes(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    with Tracking("shop") as run:
        pass
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{other}"
    assert mlflow.MlflowClient(f"sqlite:///{other}").get_run(run.run_id)
    with pytest.raises(mlflow.exceptions.MlflowException):
        status(here, run.run_id)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("content", [b"junk" * 300, b"SQLite format 3\0" + b"\1" * 5000])
def test_a_corrupted_database_is_named(here, content):
    Path("mlruns/mlflow.db").write_bytes(content)
    with pytest.raises(ModelError, match=r"mlflow\.db: is not a readable SQLite database"):
        champion("shop")


def test_a_database_of_a_newer_mlflow_is_named(here):
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as db, db:
        db.execute("update alembic_version set version_num = 'fromthefuture'")
    with pytest.raises(ModelError, match=r"mlflow\.db"):
        champion_version("shop")


def test_a_database_without_its_tables_is_made_anew_or_named(here):
    Path("mlruns/mlflow.db").write_bytes(b"")
    assert champion_version("shop") is None


def test_a_folder_in_place_of_the_database(here):
    Path("mlruns/mlflow.db").unlink()
    Path("mlruns/mlflow.db").mkdir()
    with pytest.raises((ModelError, EnvironmentFault), match=r"mlflow\.db"):
        champion_version("shop")


def test_a_deleted_experiment_is_met_with_the_command_that_restores_it(here):
    with Tracking("shop"):
        pass
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlruns/mlflow.db")
    number = client.get_experiment_by_name("shop").experiment_id
    client.delete_experiment(number)
    with pytest.raises(ModelError, match=f"experiments restore --experiment-id {number}"):
        Tracking("shop")


def test_a_read_only_database_is_an_environment_fault(here, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # chmod does not stop root
    with pytest.raises(EnvironmentFault, match="read-only"):
        Tracking("shop")


def test_an_old_file_store_is_met_with_the_command_that_moves_it(here):
    Path("mlruns/0").mkdir()
    Path("mlruns/0/meta.yaml").write_text("experiment_id: 0")
    with pytest.raises(ModelError, match="mlflow migrate-filestore --source mlruns"):
        Tracking("shop")


def test_no_model_is_said_without_making_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ModelError, match="no model was trained here"):
        champion("shop")
    assert not Path("mlruns").exists()


def test_a_server_that_is_down_is_named(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ModelError, match="MLFLOW_TRACKING_URI"):
        Tracking("shop")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(None)


def registered(here, *versions):
    """Register versions that have no files, which moves by training do not read."""
    client = mlflow.MlflowClient(f"sqlite:///{here}/mlruns/mlflow.db")
    client.create_registered_model("shop")
    for _ in versions:
        client.create_model_version("shop", f"{here}/none", await_creation_for=None)
    return client


def aliases(client):
    return {k: str(v) for k, v in client.get_registered_model("shop").aliases.items()}


def test_a_run_promotes_only_over_the_champion_it_met(here):
    client = registered(here, 1, 2, 3)
    with Tracking("shop") as run:
        assert run.finish("1", promote=True, over=None, why="first")
    assert aliases(client) == {"champion": "1"}
    with Tracking("shop") as run:  # another one was quicker
        assert not run.finish("2", promote=True, over=None, why="first")
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    with Tracking("shop") as run:
        assert not run.finish("3", promote=False, over="1", why="")
    assert aliases(client) == {"champion": "1", "challenger": "3"}
    assert status(here, run.run_id) == "FINISHED"
    (told,) = history(client, "shop")
    assert (told.before, told.to, told.by, told.why) == (None, "1", "train", "first")


def test_moves_are_kept_in_order_and_those_by_hand_are_seen(here):
    client = registered(here, *range(12))
    for to in range(1, 12):
        move(client, "shop", str(to), "train", f'“{to}” – ü\n"')
    told = history(client, "shop")
    assert [m.to for m in told] == [str(n) for n in range(1, 12)]
    assert told[9].why == '“10” – ü\n"'
    client.set_registered_model_alias("shop", "champion", "12")
    assert line(told, "12")[-2:] == ["11", "12"]
    assert move(client, "shop", "3", "promote", "x").before == "12"
    assert line(history(client, "shop"), "3")[-3:] == ["11", "12", "3"]
    client.delete_registered_model_alias("shop", "champion")
    assert move(client, "shop", "4", "promote", "x").before is None


def moved(*steps):
    return [Move("", before, to, by, "") for before, to, by in steps]


@pytest.mark.parametrize(
    ("steps", "now", "champions"),
    [
        ([], None, []),
        ([], "1", ["1"]),  # from before moves were written down
        ([("1", "2", "train")], "2", ["1", "2"]),
        ([(None, "1", "train"), ("1", "2", "train"), ("2", "1", "rollback")], "1", ["1"]),
        ([(None, "1", "train"), ("1", "2", "train"), ("2", "1", "promote")], "1", ["1", "2", "1"]),
        (
            [(None, "1", "train"), ("1", "2", "train"), ("2", "1", "promote"),
             ("1", "2", "rollback")], "2", ["1", "2"],
        ),
        ([(None, "1", "train"), ("9", "2", "train"), ("2", "9", "rollback")], "9", ["1", "9"]),
        ([(None, "1", "train"), ("1", "2", "train"), ("2", "7", "rollback")], "7", ["7"]),
    ],
)  # fmt: skip
def test_the_line_of_champions(steps, now, champions):
    assert line(moved(*steps), now) == champions


def _one_run(folder):
    os.chdir(folder)
    with Tracking("shop") as run:
        return run.run_id


def test_four_processes_record_four_runs(here):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        ids = pool.map(_one_run, [here] * 4)
    assert {status(here, run_id) for run_id in ids} == {"KILLED"}
    assert len(set(ids)) == 4
