"""The verbs that move the champion by hand: promote and rollback, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenure.config import Config
from tenure.errors import ConfigError
from tenure.track import moves

__all__ = ["Told", "promote", "rollback"]

LONGEST_WHY = 1000  # characters; with the rest of a move it must fit into a tag of any store


@dataclass(frozen=True)
class Told:
    """What was done, in words and as values."""

    text: str
    values: dict[str, Any]


def promote(config: Config, why: str, version: int | None = None) -> Told:
    """Make a version the champion: the challenger where none is named.

    Parameters
    ----------
    config : Config
        Its project names the registered model.
    why : str
        Kept with the model for good.
    version : int, optional
        Of the registered model.

    Raises
    ------
    ConfigError
        If the reason is empty or too long.
    ModelError
        If there is no model or no such version, or it is the champion already or without signal.
    """
    named = None if version is None else str(version)
    return _told(config.project, moves.promote(config.project, named, _reason(why)))


def rollback(config: Config, why: str) -> Told:
    """Make the version the champion that was it before this one.

    Raises
    ------
    ConfigError
        If the reason is empty or too long.
    ModelError
        If there is no model, or there was no champion before this one.
    """
    return _told(config.project, moves.rollback(config.project, _reason(why)))


def _reason(why: str) -> str:
    """Put the reason on one line."""
    line = " ".join(why.split())
    if not line:
        raise ConfigError("--why: say in a few words why; it is kept with the model.")
    if line.encode(errors="replace").decode() != line:
        raise ConfigError("--why: holds bytes that are no text in UTF-8; nothing was moved.")
    if len(line) > LONGEST_WHY:
        raise ConfigError(f"--why: {len(line):,} characters; use at most {LONGEST_WHY:,}.")
    return line


def _told(project: str, done: moves.Moved) -> Told:
    made = done.move
    before = "there was none" if made.before is None else f"it was version {made.before}"
    lines = [f"{project}: version {made.to} is the champion now; before, {before}."]
    if done.missed:
        lines.append("It had missed these lines of the gate:")
        lines += [f"  {reason}" for reason in done.missed]
    lines.append("All moves of the champion:")
    lines += [
        f"  {one.when}  {one.before or 'none'} -> {one.to}  {one.by}: {one.why}"
        for one in done.moves
    ]
    values = {
        "project": project,
        "version": made.to,
        "move": made.to_json(),
        "missed": list(done.missed),
        "moves": [one.to_json() for one in done.moves],
    }
    return Told("\n".join(lines), values)
