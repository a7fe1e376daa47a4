"""Runs, artifacts and registered models: the only module that imports mlflow."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

from tenure.errors import EnvironmentFault, ModelError
from tenure.track.moves import ALIAS, CHALLENGER, files, move, version_of
from tenure.track.store import ROOT, database_uri, is_absent, no_model, registry

__all__ = ["ALIAS", "Champion", "Tracking", "champion", "champion_version"]

MOST_METRICS = 1000  # of one request
_SERVED = Path(__file__).with_name("served.py")


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
        with registry() as client:
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
            with contextlib.suppress(ModelError, EnvironmentFault), registry() as client:
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
        with registry() as client:
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

    def finish(
        self, version: str, *, promote: bool, over: str | None, why: str, signal: bool = True
    ) -> bool:
        """End the run well and make its version the champion, or else the challenger.

        Parameters
        ----------
        version : str
            Of the registered model.
        promote : bool
            Whether the gate allows it.
        over : str or None
            The champion that the gate met. Where another one is in force by now, nothing is
            promoted: that one was not met.
        why : str
            Kept with the move.
        signal : bool
            Without it the version is not even the challenger.

        Returns
        -------
        bool
            Whether the version is the champion.
        """
        with registry() as client:
            client.set_terminated(self.run_id)
            self._ended = True
            promote = promote and version_of(client, self._project, ALIAS) == over
            if promote:
                move(client, self._project, version, "train", why)
            elif signal:
                client.set_registered_model_alias(self._project, CHALLENGER, version)
        return promote


def champion(project: str) -> Champion:
    """Download the champion's files; nothing among them is executed.

    Raises
    ------
    ModelError
        If the project has no champion, or its files are gone.
    """
    if is_absent():
        raise no_model(project)
    with registry() as client:
        try:
            found = client.get_model_version_by_alias(project, ALIAS)
        except MlflowException:
            raise ModelError(
                f"{project}: no model version is the {ALIAS}. Run `tenure train` with this config "
                "first, and read what its gate says."
            ) from None
        return Champion(files(project, found.version), str(found.version), str(found.run_id))


def champion_version(project: str) -> str | None:
    """Return the champion's version, or None before there is one."""
    with registry() as client:
        return version_of(client, project, ALIAS)


def _experiment(client: mlflow.MlflowClient, project: str) -> str:
    found = client.get_experiment_by_name(project)
    if found is not None and found.lifecycle_stage == "deleted":
        raise ModelError(
            f"{project}: the MLflow experiment of this name was deleted. Restore it with `mlflow "
            f"experiments restore --experiment-id {found.experiment_id}`, or give another project."
        )
    if found is not None:
        return str(found.experiment_id)
    local = client.tracking_uri == database_uri()
    place = (ROOT / "artifacts").resolve().as_uri() if local else None
    return str(client.create_experiment(project, artifact_location=place))
