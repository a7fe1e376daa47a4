"""The store: a local database used by one process at a time, or the server that is given."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from tenure.errors import EnvironmentFault, ModelError

__all__ = ["ROOT", "database_uri", "is_absent", "no_model", "registry"]

ROOT = Path("mlruns")

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@contextlib.contextmanager
def registry() -> Iterator[mlflow.MlflowClient]:
    """Yield a client, with local tracking initialised and used by one process at a time."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # mlflow warns of absent type hints and examples; ours would hold customers' data
        warnings.simplefilter("ignore")
        if not given:
            stack.enter_context(_locked())
            # mlflow exports what is set; left there, our next call would take it for the user's
            stack.callback(mlflow.set_tracking_uri, None)
        try:
            mlflow.set_tracking_uri(given or database_uri())
            yield mlflow.MlflowClient()
        except MlflowException as fault:
            raise ModelError(_said(fault, given)) from None


def database_uri() -> str:
    """Return the local database's address: absolute, since mlflow keeps one engine an address."""
    path = str((ROOT / "mlflow.db").resolve())
    return "sqlite:///" + path.replace("%", "%25").replace("?", "%3F")


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    if any(ROOT.glob("*/meta.yaml")):
        raise ModelError(
            f"{ROOT}: holds runs of MLflow's old file store. Move them into the database with "
            f"`mlflow migrate-filestore --source {ROOT} --target sqlite:///{ROOT}/mlflow.db`, "
            "then move the old folders away."
        )
    try:
        ROOT.mkdir(exist_ok=True)
        with (ROOT / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _check_database(ROOT / "mlflow.db")
            yield
    except OSError as fault:
        raise EnvironmentFault(
            f"{fault.filename or ROOT}: cannot be written ({fault.strerror}). The model is not "
            "tracked; free the disk or correct the permission, and train again."
        ) from None


def _check_database(path: Path) -> None:
    """Meet a broken database here: mlflow would retry it for minutes and end in a stack trace."""
    if not path.exists():
        return
    if not os.access(path, os.W_OK):
        raise EnvironmentFault(f"{path}: is read-only. Correct the permission and train again.")
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("select name from sqlite_master").fetchall()
    except sqlite3.DatabaseError:
        raise ModelError(
            f"{path}: is not a readable SQLite database. Move it away (a new one is made), or "
            "restore it from a backup."
        ) from None


def no_model(project: str) -> ModelError:
    """Return the refusal of what needs a model before there is any."""
    return ModelError(
        f"{project}: no model was trained here yet. Run `tenure train` with "
        "this config first, and read what its gate says."
    )


def is_absent() -> bool:
    """Whether no server is given and nothing was ever tracked in this folder."""
    return not os.environ.get("MLFLOW_TRACKING_URI") and not (ROOT / "mlflow.db").exists()


def _said(fault: MlflowException, given: str | None) -> str:
    where = "the MLflow server of MLFLOW_TRACKING_URI" if given else f"{ROOT}/mlflow.db"
    first = str(fault).strip().splitlines()[0][:200]
    return f"{where}: {first}"
