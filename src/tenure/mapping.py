"""Which column of the inputs each column of the contract comes from."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from tenure.config import ColumnMap, TableConfig
from tenure.contract import TABLES, Table
from tenure.errors import ConfigError, DataError, listing
from tenure.files import Scan, column_names

__all__ = ["ROW", "choose"]

ROW = "$row"  # stands for a column of ids where rows have none
ATTRIBUTE = "attribute[{}]"


def choose(name: str, table: TableConfig, scans: Sequence[Scan]) -> dict[str, str | ColumnMap]:
    """Return where each canonical column comes from: as mapped, else the column of that name.

    Parameters
    ----------
    name : str
        The table.
    table : TableConfig
        Its mapping.
    scans : sequence of Scan
        Its inputs, whose columns are alike.

    Raises
    ------
    ConfigError
        If the mapping names columns that the contract does not know.
    DataError
        Naming each column that is mapped and missing, or required and absent.
    """
    spec = TABLES[name]
    _known_columns(name, table, spec)
    held = list(dict.fromkeys(c for one in scans for c in one.columns))
    chosen: dict[str, str | ColumnMap] = {}
    problems = []
    asked = {
        c.name: table.columns.get(c.name, c.name if c.name in held else None)
        for c in spec.columns
        if not c.derived
    }
    for target, source in (asked | _attributes(table, held)).items():
        wanted = source.column if isinstance(source, ColumnMap) else source
        if wanted == ROW and len(scans) > 1:
            problems.append(f"{target}: {ROW} numbers the rows of one file; here are {len(scans)}.")
        elif wanted is not None and wanted not in (*held, ROW):
            near = difflib.get_close_matches(wanted, held, n=1, cutoff=0.75)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            problems.append(f"{target}: there is no column {wanted!r}.{hint}")
        elif source is not None:
            chosen[target] = source
    if "amount" in chosen:
        chosen.pop("unit_price", None)
    wrong = {p.split(":")[0] for p in problems}
    priced = {"quantity", "unit_price"} <= chosen.keys() | wrong
    for column in spec.columns:
        if column.required and column.name not in chosen.keys() | wrong:
            if column.name == "amount" and priced:
                continue
            also = " (or quantity and unit_price)" if column.name == "amount" else ""
            problems.append(f"{column.name}{also} is required: map it under `columns:`.")
    if name == "surveys" and not {*spec.at} & (chosen.keys() | wrong):
        problems.append("answered_at or sent_at is required: map one under `columns:`.")
    problems += _undated(table, chosen)
    if problems:
        problems.append(f"{scans[0].name} holds: {column_names(held)}.")
        raise DataError(listing(name, problems))
    return chosen


def _attributes(table: TableConfig, held: Sequence[str]) -> dict[str, str | ColumnMap | None]:
    """Return where the declared attributes come from, and the dates from which they are known."""
    declared = table.attributes
    if declared == "all":
        used = {s.column if isinstance(s, ColumnMap) else s for s in table.columns.values()}
        taken = {*used, *(c.name for c in TABLES["customers"].columns)}
        return {ATTRIBUTE.format(c): c for c in held if c not in taken}
    found: dict[str, str | ColumnMap | None] = {ATTRIBUTE.format(c): c for c in declared}
    dates = {c: a.known_from for c, a in declared.items() if a.known_from != "signup_at"}
    return found | {f"{ATTRIBUTE.format(c)}_at": column for c, column in dates.items()}


def _undated(table: TableConfig, chosen: Mapping[str, str | ColumnMap]) -> list[str]:
    """Find attributes that are said to be known from a signup that the table lacks."""
    if table.attributes == "all" or "signup_at" in chosen:
        return []
    return [
        f"attributes.{name}: known_from is signup_at, and there is none: map it under `columns:`."
        for name, attribute in table.attributes.items()
        if attribute.known_from == "signup_at"
    ]


def _known_columns(name: str, table: TableConfig, spec: Table) -> None:
    known = [c.name for c in spec.columns if not c.derived]
    declared = {} if table.attributes == "all" else table.attributes
    dates = [a.known_from for a in declared.values() if a.known_from]
    problems = []
    for section, keys, allowed in (
        ("columns", table.columns, known),
        ("formats", table.formats, [*spec.kinds("instant"), *dates]),
    ):
        for key in keys:
            if key not in allowed:
                near = difflib.get_close_matches(key, allowed, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(allowed)}."
                problems.append(f"{section}.{key}: is no column of {name}. {hint}")
    if problems:
        raise ConfigError(listing(f"data.tables.{name}", problems))
