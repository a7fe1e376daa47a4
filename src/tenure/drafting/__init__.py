"""A first config, drafted from the headers of the files it will read."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.config import is_address, load_config
from tenure.drafting.guessing import Guess, guess
from tenure.drafting.profiles import File, profile
from tenure.drafting.sufficiency import words
from tenure.drafting.writing import config_text, kind_of_leaving, mapped, select_text
from tenure.errors import ConfigError, DataError, EnvironmentFault
from tenure.files import find
from tenure.ingest import lock, open_engine
from tenure.labels.horizon import choose, purchases
from tenure.sources import load

__all__ = ["Draft", "draft"]

_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".pq")
_USUAL = (90, "90 days, the default.")
_DEFAULT = (90, "90 days, the default: the data could not be read yet, so no usual gap is known.")


@dataclass(frozen=True)
class Draft:
    """What was written, and what it says about the data."""

    out: Path
    selects: tuple[Path, ...]
    text: str
    values: dict[str, Any]


def draft(paths: Sequence[str], out: Path) -> Draft:
    """Draft a config from the headers of files, and say whether the data suffice.

    Parameters
    ----------
    paths : sequence of str
        CSV, JSON lines or Parquet files, or patterns of them.
    out : Path
        The YAML file to write; joins go beside it as SQL files.

    Returns
    -------
    Draft

    Raises
    ------
    ConfigError
        If a path is wrong, or a file stands where one would be written.
    DataError
        If a file is broken, or none looks like a table.
    """
    for path in (*paths, str(out)):
        if is_address(path):
            raise ConfigError(f"{path!r} is an address; only files on this machine are read.")
    guesses, unused = _look(find(paths, "init", endings=_ENDINGS))
    names = {g.table: f"{out.stem}.{g.table}.sql" for g in guesses if g.needs_select}
    selects = {table: out.with_name(name) for table, name in names.items()}
    taken = [p for p in (out, *selects.values()) if p.exists()]
    if taken:
        raise ConfigError(f"{taken[0]}: stands there already; give another --out, or move it.")
    project = _project(out, guesses)
    found, lines, values = _try(project, guesses, unused, names)
    text = config_text(project, guesses, unused, found, selects)
    _write(out, text, {selects[g.table]: select_text(g) for g in guesses if g.needs_select})
    said = [_table_line(g) for g in guesses]
    said += [f"{f.name}: looks like no table; not used." for f in unused]
    said += lines
    said.append(f"Written: {', '.join(map(str, (out, *selects.values())))}. Read it, then run: "
                f"tenure check -c {out}")  # fmt: skip
    values |= {"out": str(out), "tables": {g.table: g.file.name for g in guesses}}
    return Draft(out, tuple(selects.values()), "\n".join(said), values)


def _look(files: Sequence[Path]) -> tuple[list[Guess], list[File]]:
    temporary = Path(tempfile.mkdtemp(prefix="tenure-"))
    con = None
    try:
        con = open_engine("4GB", temporary)
        lock(con.con, [{"files": list(files)}])
        profiles = profile(con, files)
    finally:
        if con is not None:
            con.disconnect()
        shutil.rmtree(temporary, ignore_errors=True)
    guesses, unused = guess(profiles)
    tables = {g.table for g in guesses}
    labelled = any(g.table == "customers" and "label" in g.columns for g in guesses)
    if not tables & {"transactions", "subscriptions"} and not labelled:
        held = ", ".join(sorted(tables)) or "no table we know"
        raise DataError(
            f"init: found {held}. Needed are purchases (a customer, a date, an amount), "
            "subscriptions (a customer, a start), or customers with a column that says who left."
        )
    return guesses, unused


def _try(
    project: str, guesses: list[Guess], unused: list[File], names: dict[str, str]
) -> tuple[tuple[int, str], list[str], dict[str, Any]]:
    """Read the data as the draft would have it, and choose the horizon by them."""
    with tempfile.TemporaryDirectory(prefix="tenure-") as folder:
        selects = {table: Path(folder) / name for table, name in names.items()}
        for g in guesses:
            if g.needs_select:
                selects[g.table].write_text(select_text(g), encoding="utf-8")
        file = Path(folder) / "draft.yaml"

        def read(found: tuple[int, str]) -> Any:
            text = config_text(project, guesses, unused, found, selects)
            file.write_text(text, encoding="utf-8")
            return load_config(file)

        try:
            with load(read(_DEFAULT)) as sources:
                bought = purchases(sources)
                by_purchases = kind_of_leaving(guesses) == "inactivity" and bought is not None
                found = _USUAL
                if by_purchases and bought is not None:
                    found = choose(bought, read(_DEFAULT))
                lines, values = words(sources, read(found), bought)
        except DataError as fault:
            advice = f"NOT READABLE YET: {fault}\nMend the config or the data, then run check."
            return _DEFAULT, [advice], {"enough": False}
    reason = [] if kind_of_leaving(guesses) == "label" else [f"churn.horizon_days {found[1]}"]
    return found, [*reason, *lines], values


def _project(out: Path, guesses: list[Guess]) -> str:
    folder = guesses[0].file.paths[0].absolute().parent.name
    stem = folder if out.stem in ("config", "tenure", "c") else out.stem
    name = re.sub(r"[^a-z0-9_-]+", "_", stem.lower()).strip("_-")[:62]
    return name or "project"


def _table_line(one: Guess) -> str:
    joined = [s.file.name for s in one.steps]
    beside = f", joined with {', '.join(dict.fromkeys(joined))}" if joined else ""
    columns = ", ".join((*mapped(one), *one.constants))
    line = f"{one.table}: {one.file.name}{beside}; {one.file.rows:,} rows; mapped: {columns}."
    if one.missing:
        line += f" MISSING: {', '.join(one.missing)}; fill them in."
    return line


def _write(out: Path, text: str, selects: dict[Path, str]) -> None:
    """Write the files, none over another."""
    written = []
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, content in (*selects.items(), (out, text)):
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(content)
    except OSError as fault:
        for path in written:
            path.unlink(missing_ok=True)
        raise EnvironmentFault(f"{out}: cannot be written ({fault.strerror}).") from None
