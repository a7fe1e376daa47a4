"""Which version is the champion: every move of the alias, by whom and why, and the way back.

The log of moves is kept in tags of the registered model, so that it lives where the model does. A
move sets the alias first: the log never tells of one that did not happen, and a champion that the
log does not know of (moved by hand, or between the two steps) is taken as moved by hand.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from tenure import storage
from tenure.errors import ModelError
from tenure.track.store import is_absent, no_model, registry

__all__ = ["ALIAS", "CHALLENGER", "Move", "Moved", "promote", "rollback"]

ALIAS = "champion"
CHALLENGER = "challenger"
PREFIX = "tenure.move."


@dataclass(frozen=True)
class Move:
    """One move of the champion's alias."""

    when: str
    before: str | None
    to: str
    by: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "when": self.when,
            "from": self.before,
            "to": self.to,
            "by": self.by,
            "why": self.why,
        }


@dataclass(frozen=True)
class Moved:
    """A move that was made, the lines of the gate its version had missed, and all moves so far."""

    move: Move
    missed: tuple[str, ...]
    moves: tuple[Move, ...]


def promote(project: str, version: str | None, why: str) -> Moved:
    """Make a version the champion: the challenger where none is named.

    Raises
    ------
    ModelError
        If there is no such version, it is the champion already, its run found no signal, or its
        files are not whole.
    """
    with _known(project) as client:
        to = version or version_of(client, project, CHALLENGER)
        if to is None:
            raise ModelError(
                f"{project}: no version is the {CHALLENGER}; {_listed(client, project)} Name one "
                "with --version."
            )
        _check_exists(client, project, to)
        if to == version_of(client, project, ALIAS):
            raise ModelError(f"{project}: version {to} is the {ALIAS} already; nothing was moved.")
        gate = _gate(client, project, to)
        if not gate["signal"]:
            raise ModelError(
                f"{project}: version {to} has no signal ({'; '.join(gate['reasons'])}), so it "
                "cannot tell leavers from stayers. Nothing was moved; promote another version, or "
                "train again with more data."
            )
        storage.load(files(project, to))
        made = move(client, project, to, "promote", why)
        return Moved(made, tuple(gate["reasons"]), history(client, project))


def rollback(project: str, why: str) -> Moved:
    """Make the version the champion that was it before this one.

    A version that was rolled back does not come back this way, and deleted ones are passed over.

    Raises
    ------
    ModelError
        If there was none, or its files are not whole.
    """
    with _known(project) as client:
        now = version_of(client, project, ALIAS)
        held = _versions(client, project)
        earlier = [v for v in line(history(client, project), now) if v in held and v != now]
        if not earlier:
            raise ModelError(
                f"{project}: no version was the {ALIAS} before "
                f"{'this one' if now is None else f'version {now}'}; {_listed(client, project)} "
                "`tenure promote --version N` makes any of them the champion."
            )
        storage.load(files(project, earlier[-1]))
        made = move(client, project, earlier[-1], "rollback", why)
        return Moved(made, (), history(client, project))


def line(moves: Sequence[Move], now: str | None) -> list[str]:
    """Return the champions in order, without those that were rolled back; the last is in force.

    Examples
    --------
    >>> def moved(before, to, by="train"):
    ...     return Move("", before, to, by, "")
    >>> moves = [moved(None, "1"), moved("1", "2"), moved("2", "1", "rollback"), moved("1", "3")]
    >>> line(moves, "3"), line(moves, "7")
    (['1', '3'], ['1', '3', '7'])
    """
    champions: list[str] = []

    def is_now(version: str | None) -> None:
        if version is not None and champions[-1:] != [version]:
            champions.append(version)

    for one in moves:
        is_now(one.before)
        while one.by == "rollback" and champions and champions[-1] != one.to:
            champions.pop()
        is_now(one.to)
    is_now(now)
    return champions


def move(client: mlflow.MlflowClient, project: str, to: str, by: str, why: str) -> Move:
    """Point the champion's alias at a version, and write down that it was done."""
    now = dt.datetime.now(dt.UTC)
    number = len(history(client, project)) + 1
    before = version_of(client, project, ALIAS)
    client.set_registered_model_alias(project, ALIAS, to)
    made = Move(f"{now:%Y-%m-%d %H:%M:%S} UTC", before, to, by, why)
    text = json.dumps(made.to_json(), ensure_ascii=False)
    # the moment makes the key unique on a server that two machines use at once
    key = f"{PREFIX}{number:06d}.{now:%Y%m%dT%H%M%S.%fZ}"
    client.set_registered_model_tag(project, key, text)
    if version_of(client, project, CHALLENGER) == to:
        client.delete_registered_model_alias(project, CHALLENGER)
    return made


def history(client: mlflow.MlflowClient, project: str) -> tuple[Move, ...]:
    """Return every move, oldest first."""
    tags = client.get_registered_model(project).tags
    told = (json.loads(tags[key]) for key in sorted(tags) if key.startswith(PREFIX))
    return tuple(Move(t["when"], t["from"], t["to"], t["by"], t["why"]) for t in told)


def version_of(client: mlflow.MlflowClient, project: str, alias: str) -> str | None:
    """Return the version of an alias, or None where there is none."""
    try:
        return str(client.get_model_version_by_alias(project, alias).version)
    except MlflowException as fault:
        if fault.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def files(project: str, version: str) -> Path:
    """Download a version's bundle.

    Raises
    ------
    ModelError
        If it is gone.
    """
    try:
        folder = mlflow.artifacts.download_artifacts(
            f"models:/{project}/{version}/artifacts/bundle"
        )
    except (MlflowException, OSError):
        raise ModelError(
            f"{project}: the files of version {version} are gone or cannot be read. Run `tenure "
            "train` with this config, or promote another version."
        ) from None
    return Path(folder)


@contextlib.contextmanager
def _known(project: str) -> Iterator[mlflow.MlflowClient]:
    """Yield a client where the project has a registered model."""
    if is_absent():
        raise no_model(project)
    with registry() as client:
        try:
            client.get_registered_model(project)
        except MlflowException as fault:
            if fault.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise no_model(project) from None
        yield client


def _versions(client: mlflow.MlflowClient, project: str) -> list[str]:
    found = client.search_model_versions(f"name = '{project}'")
    return sorted((str(v.version) for v in found), key=int)


def _listed(client: mlflow.MlflowClient, project: str) -> str:
    return f"registered are: {', '.join(_versions(client, project)) or 'none'}."


def _check_exists(client: mlflow.MlflowClient, project: str, version: str) -> None:
    if version not in _versions(client, project):
        raise ModelError(f"{project}: has no version {version}; {_listed(client, project)}")


def _gate(client: mlflow.MlflowClient, project: str, version: str) -> dict[str, Any]:
    """Read what the gate said of a version, from its run."""
    run = client.get_model_version(project, version).run_id
    try:
        metrics = mlflow.artifacts.load_dict(f"runs:/{run}/metrics.json")
        gate: dict[str, Any] = metrics["churn"]["gate"]
    except (MlflowException, OSError, KeyError, TypeError):
        raise ModelError(
            f"{project}: metrics.json of version {version} (run {run}) is gone or not ours, so "
            "nobody can tell whether it has signal. Nothing was moved; train again."
        ) from None
    return gate
