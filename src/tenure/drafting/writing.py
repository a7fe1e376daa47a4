"""Guesses written as a config: YAML with comments, and a SELECT where files must be joined."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tenure.contract import TABLES
from tenure.drafting.guessing import Guess
from tenure.drafting.profiles import ASK, File
from tenure.files import column_names, quoted

__all__ = ["config_text", "kind_of_leaving", "mapped", "select_text"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ .-]*[A-Za-z0-9_]|[A-Za-z_]")
_PATH = re.compile(r"[\w.-]*(/[\w.-]+)+", re.ASCII)
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_LEFT, _STAYED = r"churn|attrit|left|exit|cancel|lost|gone", r"exist|stay|active|retain|current"
_PAID = "paid"
_YES_NO = {"yes", "no", "true", "false", "1", "0", "1.0", "0.0", "y", "n", "t", "f"}


def kind_of_leaving(guesses: Sequence[Guess]) -> str:
    """Return the `churn.kind` that the tables afford."""
    tables = {g.table: g for g in guesses}
    subscriptions = tables.get("subscriptions")
    if subscriptions and ("ended_at" in subscriptions.columns or "transactions" not in tables):
        return "subscription"
    only = "transactions" not in tables and "customers" in tables
    return "label" if only and "label" in tables["customers"].columns else "inactivity"


def config_text(
    project: str,
    guesses: Sequence[Guess],
    unused: Sequence[File],
    horizon: tuple[int, str],
    selects: dict[str, Path],
) -> str:
    """Return the drafted config.

    Parameters
    ----------
    project : str
        Its name.
    guesses : sequence of Guess
        The tables.
    unused : sequence of File
        Files that are none.
    horizon : (int, str)
        Days, and the sentence that says why.
    selects : dict of str to Path
        The SQL file of each table that needs one.
    """
    kind = kind_of_leaving(guesses)
    days, why = horizon
    lines = [
        "# Drafted by `tenure init` from the headers and a sample. Read every line before you use",
        "# it: what a column means, only you know. docs/config.md has all that can be said here.",
        f"project: {_scalar(project)}",
        "timezone: UTC                 # where your days begin, for example Europe/Berlin",
        "# currency: EUR               # what amounts are in",
        "data:",
        "  tables:",
    ]
    for one in guesses:
        lines += _table(one, selects.get(one.table), label=kind == "label")
    lines += [f"  # {_comment(f.name)}: looks like no table and is not used" for f in unused]
    lines.append("churn:")
    lines.append(f"  kind: {kind}")
    if kind != "label":
        lines += [f"  # {part}" for part in _wrapped(why)]
        lines.append(f"  horizon_days: {days}")
    return "\n".join(lines) + "\n"


def _table(one: Guess, select: Path | None, label: bool) -> list[str]:
    lines = [f"    {one.table}:"]
    if select is not None:
        files = {f.alias: f for f in (one.file, *(s.file for s in one.steps))}
        lines += [f"      sql: {_scalar(str(select))}", "      files:"]
        for alias, file in files.items():
            lines.append(f"        {_scalar(alias)}: {_scalar(str(file.paths[0]))}")
    elif len(one.file.paths) == 1:
        lines.append(f"      path: {_scalar(str(one.file.paths[0]))}")
    else:
        paths = ", ".join(_scalar(str(p), flow=True) for p in one.file.paths)
        lines.append(f"      path: [{paths}]")
    lines.append("      columns:")
    for target, source in mapped(one).items():
        lines += [f"        {part}" for part in _column(one, target, source)]
    lines += [f"        {k}: {{value: {_scalar(v)}}}" for k, v in one.constants.items()]
    lines += [
        f"        # {c}:   REQUIRED: write the column's name here and remove the #"
        for c in one.missing
    ]
    lines += _formats(one)
    if one.table == "customers":
        lines += ["      attributes: all"] if label else _attributes(one)
    rest = [c.name for c in one.file.columns if c.name not in one.columns.values()]
    if rest and not label:
        known = ", ".join(c.name for c in TABLES[one.table].columns if _open(one, c.name))
        lines += [f"      # {part}" for part in _wrapped(f"not used: {column_names(rest)}")]
        lines += [f"      # {part}" for part in _wrapped(f"could still be mapped: {known}")]
    return lines


def mapped(one: Guess) -> dict[str, str]:
    """Return the mapping; of item lines only what remains of them when they are summed."""
    if not one.lines:
        return one.columns
    kept = {t: s for t, s in one.columns.items() if t not in ("amount", "unit_price")}
    return kept | {"amount": _PAID}


def _open(one: Guess, column: str) -> bool:
    spec = {c.name: c for c in TABLES[one.table].columns}
    held = mapped(one).keys() | one.constants.keys()
    return column not in held and not spec[column].derived


def _column(one: Guess, target: str, source: str) -> list[str]:
    """Return the line of one column; a label whose words we know is translated."""
    values = next((c.values for c in one.file.columns if c.name == source), ())
    if target != "label" or {v.lower() for v in values} <= _YES_NO:
        return [f"{target}: {_scalar(source)}"]
    left = [v for v in values if re.search(_LEFT, v, re.IGNORECASE)]
    stayed = [v for v in values if v not in left and re.search(_STAYED, v, re.IGNORECASE)]
    if len(left) == len(stayed) == 1:
        both = f"{json.dumps(left[0])}: 1, {json.dumps(stayed[0])}: 0"
        return [f"{target}: {{column: {_scalar(source, flow=True)}, map: {{{both}}}}}"]
    return [
        f"# its two values are not yes and no: {{column: {_comment(source)}, "
        "map: {LEFT: 1, STAYED: 0}}",
        f"{target}: {_scalar(source)}",
    ]


def _formats(one: Guess) -> list[str]:
    forms = {c.name: c.format for c in one.file.columns if c.format}
    instants = {t: forms[s] for t, s in one.columns.items() if s in forms}
    known = {t: f for t, f in instants.items() if f != ASK}
    lines = []
    if known:
        inside = ", ".join(f"{t}: {json.dumps(f)}" for t, f in known.items())
        lines.append(f"      formats: {{{inside}}}")
    lines += [
        f'      # formats: {{{t}: "%d/%m/%Y"}}   REQUIRED: this or %m/%d/%Y, with %H:%M '
        "if there is a time"
        for t, form in instants.items()
        if form == ASK
    ]
    return lines


def _attributes(one: Guess) -> list[str]:
    """Offer the further columns of customers as attributes; nobody knows since when they hold."""
    used = one.columns.values()
    rest = [c.name for c in one.file.columns if c.name not in used and c.kind != "date"]
    plain = [n for n in rest if _PLAIN.fullmatch(n)][:3]
    if not plain or "signup_at" not in one.columns:
        return []
    offer = ", ".join(f"{n}: {{known_from: signup_at}}" for n in plain)
    text = f"attributes: {{{offer}}} for what never changes after the signup"
    return [f"      # {part}" for part in _wrapped(text)]


def _scalar(text: str, flow: bool = False) -> str:
    """Return text as YAML reads it back, quoted where it must be."""
    pattern = _PLAIN if flow else _PATH
    if (_PLAIN.fullmatch(text) or pattern.fullmatch(text)) and text.lower() not in _WORDS:
        return text
    printable = text.replace("\n", "").replace("\t", "").isprintable()
    return json.dumps(text, ensure_ascii=not printable)


def _comment(text: str) -> str:
    return re.sub(r"\s+", " ", text) if text.isprintable() else "(a name with strange signs)"


def _wrapped(text: str, width: int = 88) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def select_text(one: Guess) -> str:
    """Return the SELECT that joins what a table lacks to its rows."""
    if one.lines:
        return _sums_text(one)
    chosen, joins = ["base.*"], []
    for step in one.steps:
        alias, base = (
            quoted(step.file.alias),
            step.base if step.base == "base" else quoted(step.base),
        )
        on = f"{base}.{quoted(step.key)} = {alias}.{quoted(step.own_key)}"
        if step.total is None:
            joins.append(f"LEFT JOIN {alias} ON {on}")
            if step.takes is not None:
                name = quoted(f"{step.file.alias}_{step.takes}")
                chosen.append(f"{alias}.{quoted(step.takes)} AS {name}")
            continue
        name = quoted(f"{step.file.alias}_{step.total}")
        total = f"sum(TRY_CAST({quoted(step.total)} AS DECIMAL(18, 4)))"
        key = quoted(step.own_key)
        joins.append(
            f"LEFT JOIN (\n    SELECT {key}, {total} AS {name}\n"
            f"    FROM {alias}\n    GROUP BY {key}\n) AS {alias} ON {on}"
        )
        chosen.append(f"{alias}.{name}")
    picked = ",\n    ".join(chosen)
    body = "\n".join([f"FROM {quoted(one.file.alias)} AS base", *joins])
    head = f"-- {one.table}, drafted by `tenure init`: check the joins."
    return f"{head}\nSELECT\n    {picked}\n{body}\n"


def _sums_text(one: Guess) -> str:
    """Return the SELECT that sums item lines to transactions."""

    def number(column: str) -> str:
        return f"TRY_CAST({quoted(column)} AS DECIMAL(18, 4))"

    c = one.columns
    keys = [quoted(c[t]) for t in ("transaction_id", "customer_id")]
    paid = number(c["amount"]) if "amount" in c else ""
    if not paid:
        paid = f"{number(c['quantity'])} * {number(c['unit_price'])}"
    chosen = [*keys, f"sum({paid}) AS {quoted(_PAID)}"]
    for target, source in c.items():
        name = quoted(source)
        if target in ("quantity", "discount"):
            chosen.append(f"sum({number(source)}) AS {name}")
        elif target not in ("transaction_id", "customer_id", "amount", "unit_price"):
            chosen.append(f"min({name}) AS {name}")
    picked = ",\n    ".join(chosen)
    head = "-- transactions, drafted by `tenure init`: item lines summed to invoices."
    group = ", ".join(keys)
    return f"{head}\nSELECT\n    {picked}\nFROM {quoted(one.file.alias)}\nGROUP BY {group}\n"
