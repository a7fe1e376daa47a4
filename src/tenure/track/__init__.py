"""Runs, artifacts and registered models: the only module that imports mlflow."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.errors import EnvironmentFault, ModelError

# Set before the import: mlflow reads these as it loads.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

__all__ = ["ALIAS", "Champion", "Tracking", "champion", "champion_version"]

ALIAS = "champion"
ROOT = Path("mlruns")
MOST_METRICS = 1000  # of one request
_SERVED = Path(__file__).with_name("served.py")

for _name in ("mlflow", "alembic"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Champion:
    """The registered model in force."""

    folder: Path
    version: str
    run_id: str


class Tracking:
    """One MLflow run of a project, from its start to whatever end it finds.

    As a context manager it marks the run FAILED after an error and KILLED after an interrupt.
    Nothing is promoted before `finish`, the last step.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        with _registry() as client:
            self._experiment = _experiment(client, project)
            self.run_id: str = client.create_run(self._experiment).info.run_id
        self._ended = False

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: object
    ) -> None:
        if not self._ended:
            # DuckDB says "Query interrupted" in a RuntimeError
            stopped = isinstance(fault, RuntimeError) and "interrupted" in str(fault)
            failed = isinstance(fault, Exception) and not stopped
            with contextlib.suppress(ModelError, EnvironmentFault), _registry() as client:
                client.set_terminated(self.run_id, "FAILED" if failed else "KILLED")

    def log(
        self,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        outputs: Path,
        bundle: Path,
        columns: list[str],
    ) -> str:
        """Log everything and register the bundle.

        Parameters
        ----------
        params, metrics, tags
            What the run was and what it found.
        outputs, bundle : Path
            Folders of files.
        columns : list of str
            The raw feature columns the registered model takes.

        Returns
        -------
        str
            The version of the registered model.
        """
        with _registry() as client:
            client.log_batch(
                self.run_id,
                params=[Param(name, str(value)) for name, value in params.items()],
                tags=[RunTag(name, text) for name, text in tags.items()],
            )
            now = int(time.time() * 1000)
            every = [Metric(name, value, now, 0) for name, value in metrics.items()]
            for start in range(0, len(every), MOST_METRICS):
                client.log_batch(self.run_id, metrics=every[start : start + MOST_METRICS])
            client.log_artifacts(self.run_id, str(outputs))
            with mlflow.start_run(run_id=self.run_id):
                info = mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(_SERVED),
                    artifacts={"bundle": str(bundle)},
                    pip_requirements=["tenure"],
                    signature=ModelSignature(
                        Schema([ColSpec("double", c) for c in columns]),
                        Schema([ColSpec("double", "churn_probability")]),
                    ),
                )
            with contextlib.suppress(MlflowException):  # it exists already
                client.create_registered_model(self._project)
            registered = client.create_model_version(
                self._project, info.model_uri, self.run_id, await_creation_for=None
            )
        return str(registered.version)

    def finish(self, version: str, *, promote: bool) -> None:
        """End the run well and, if the gate allows, make its version the champion."""
        with _registry() as client:
            client.set_terminated(self.run_id)
            self._ended = True
            if promote:
                client.set_registered_model_alias(self._project, ALIAS, version)


def champion(project: str) -> Champion:
    """Download the champion's files; nothing among them is executed.

    Raises
    ------
    ModelError
        If the project has no champion, or its files are gone.
    """
    train = "Run `tenure train` with this config first, and read what its gate says."
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (ROOT / "mlflow.db").exists():
        raise ModelError(f"{project}: no model was trained here yet ({ROOT} is empty). {train}")
    with _registry() as client:
        try:
            found = client.get_model_version_by_alias(project, ALIAS)
        except MlflowException:
            raise ModelError(f"{project}: no model version is the {ALIAS}. {train}") from None
        try:
            folder = mlflow.artifacts.download_artifacts(
                f"models:/{project}/{found.version}/artifacts/bundle"
            )
        except (MlflowException, OSError):
            raise ModelError(
                f"{project}: the files of version {found.version} ({ALIAS}) are gone or cannot be "
                f"read. {train}"
            ) from None
    return Champion(Path(folder), str(found.version), str(found.run_id))


def champion_version(project: str) -> str | None:
    """Return the champion's version, or None before there is one."""
    with _registry() as client:
        try:
            return str(client.get_model_version_by_alias(project, ALIAS).version)
        except MlflowException as fault:
            if fault.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None


@contextlib.contextmanager
def _registry() -> Iterator[mlflow.MlflowClient]:
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
            mlflow.set_tracking_uri(given or _database_uri())
            yield mlflow.MlflowClient()
        except MlflowException as fault:
            raise ModelError(_said(fault, given)) from None


def _database_uri() -> str:
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


def _experiment(client: mlflow.MlflowClient, project: str) -> str:
    found = client.get_experiment_by_name(project)
    if found is not None and found.lifecycle_stage == "deleted":
        raise ModelError(
            f"{project}: the MLflow experiment of this name was deleted. Restore it with `mlflow "
            f"experiments restore --experiment-id {found.experiment_id}`, or give another project."
        )
    if found is not None:
        return str(found.experiment_id)
    local = client.tracking_uri == _database_uri()
    place = (ROOT / "artifacts").resolve().as_uri() if local else None
    return str(client.create_experiment(project, artifact_location=place))


def _said(fault: MlflowException, given: str | None) -> str:
    where = "the MLflow server of MLFLOW_TRACKING_URI" if given else f"{ROOT}/mlflow.db"
    first = str(fault).strip().splitlines()[0][:200]
    return f"{where}: {first}"
