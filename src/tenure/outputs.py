"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pandas as pd

from tenure.config import Config, is_address
from tenure.errors import ConfigError, EnvironmentFault

__all__ = [
    "ENDINGS",
    "as_given",
    "check_ending",
    "check_out",
    "check_writable",
    "neutral",
    "staged_folder",
    "write_table",
]

ENDINGS = (".csv", ".parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def check_ending(path: Path) -> None:
    """Refuse a table whose file ending says neither CSV nor Parquet, or that is no file here.

    Raises
    ------
    ConfigError
        Naming the endings that are written.
    EnvironmentFault
        If a folder stands there.
    """
    if is_address(str(path)):
        raise ConfigError(f"--out {path}: is an address; tables are written on this machine only.")
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--out {path}: give a file that ends in {' or '.join(ENDINGS)}.")
    if path.is_dir():
        raise EnvironmentFault(f"--out {path}: is a folder; give a file.")


def check_out(path: Path, config: Config, *lists: Path) -> None:
    """Refuse what `check_ending` refuses, and a table that would replace what is read.

    Raises
    ------
    ConfigError
        If the path is one of the config's inputs, or fits their pattern, or is one of `lists`.
    """
    check_ending(path)
    tables = config.data.tables.values()
    read = [p for t in tables for p in (*t.paths, *t.files.values(), *filter(None, [t.sql]))]
    there = path.resolve()
    for one in (*map(Path, read), *lists):
        if there == one.resolve() or there.match(str(one.absolute())):
            raise ConfigError(f"--out {path}: would replace an input, {one}; give another file.")


def neutral(value: object) -> object:
    """Disarm text that a spreadsheet would run as a formula; numbers stay what they are.

    Examples
    --------
    >>> neutral("=HYPERLINK(1)"), neutral("Ann"), neutral(-2.0)
    ("'=HYPERLINK(1)", 'Ann', -2.0)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def as_given(text: str) -> str:
    """Undo `neutral`: return text read from one of our CSV files as it was before.

    Examples
    --------
    >>> as_given("'=1+1"), as_given("'tis"), as_given("=1+1")
    ('=1+1', "'tis", '=1+1')
    """
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def check_writable(folder: Path) -> None:
    """Find out whether files can be put into a folder, before hours are spent on them.

    The folder itself is not made; of those above it, the nearest that exists is tried.

    Raises
    ------
    EnvironmentFault
        If a file stands in its way, or nothing may be written there.
    """
    nearest = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    trial = nearest / f".tenure-{uuid4().hex}"
    with _plain_faults(folder):
        try:
            trial.touch()
        finally:
            trial.unlink(missing_ok=True)


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write CSV or Parquet by the file's ending; an older file survives any failure.

    Raises
    ------
    ConfigError
        If the ending is unknown.
    EnvironmentFault
        If the place cannot be written.
    """
    check_ending(path)
    if path.suffix == ".csv":
        safe = frame.copy()
        for column in safe.select_dtypes(exclude=["number", "bool", "datetime"]):
            safe[column] = safe[column].map(neutral, na_action="ignore")
        safe.columns = safe.columns.map(neutral)
        _replace(path, lambda beside: safe.to_csv(beside, index=False))
    else:
        _replace(path, lambda beside: frame.to_parquet(beside, index=False))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    # absolute, since pandas would take a leading ~ for the home folder
    beside = path.absolute().with_name(f"{path.name}.tmp-{uuid4().hex}")
    with _plain_faults(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(beside)
            with beside.open("rb") as written:
                os.fsync(written.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder`; its files move over only if the block succeeds.

    Raises
    ------
    EnvironmentFault
        If they cannot be written, or a folder stands where a file belongs: then none moves.
    """
    beside = folder.with_name(f".{folder.name}.tmp-{uuid4().hex}")
    with _plain_faults(folder):
        beside.mkdir(parents=True)
    try:
        yield beside
        with _plain_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files = sorted(p for p in beside.iterdir() if p.is_file())
            for target in (folder / file.name for file in files):
                if target.is_dir():
                    raise IsADirectoryError(None, f"{target.name} is a folder there")
            for file in files:
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def _plain_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise EnvironmentFault(
            f"{path}: cannot be written ({fault.strerror or fault}). What stood there before is "
            "intact; free the disk or correct the permission, and run again."
        ) from None
