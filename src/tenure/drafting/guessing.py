"""Which table a file is, and which of its columns each column of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tenure.contract import TABLES
from tenure.drafting.names import BETTER_CUSTOMER, FILE_WORDS, SYNONYMS, TELLTALES
from tenure.drafting.profiles import Column, File

__all__ = ["Guess", "Step", "guess"]

_WANTED = {
    "instant": ("date",), "money": ("number",), "count": ("number",), "whole": ("number",),
    "number": ("number",), "id": ("text", "number"), "text": ("text", "number"),
    "flag": ("text", "number"),
}  # fmt: skip
_KINDS = {
    "nps": ("nps",), "csat": ("csat",), "ces": ("ces",), "review": ("review", "rating", "stars"),
}  # fmt: skip
_KEYS = ("id", "no", "number", "key")


@dataclass(frozen=True)
class Step:
    """A join of one more file: on `key` of the file joined before, with what is taken from it.

    `total` is an SQL sum over the rows of each key, where a file has several.
    """

    file: File
    base: str
    key: str
    own_key: str
    total: str | None = None
    takes: str | None = None


@dataclass
class Guess:
    """A table as a file seems to hold it.

    Parameters
    ----------
    table : str
        Its name.
    file : File
        The file whose rows it has.
    columns : dict of str to str
        The file's column for each column of the contract; `$row` numbers the rows.
    constants : dict of str to str
        Columns that are the same in every row.
    steps : list of Step
        Joins that bring what the file lacks.
    missing : list of str
        Required columns that nothing here looks like.
    lines : bool
        Whether its rows are item lines, which must be summed to transactions.
    points : int
        How much speaks for the table.
    """

    table: str
    file: File
    columns: dict[str, str]
    constants: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    lines: bool = False
    points: int = 0

    @property
    def needs_select(self) -> bool:
        """Whether its rows must be made by SQL."""
        return bool(self.steps) or self.lines


def guess(files: Sequence[File]) -> tuple[list[Guess], list[File]]:
    """Take each file for the table it looks most like, each table once.

    Parameters
    ----------
    files : sequence of File

    Returns
    -------
    list of Guess
        In the order of the contract; joins bring what a file lacks and another has.
    list of File
        Those that are no table and that no join needs.
    """
    every = [g for f in files for t in TABLES if (g := _as_table(t, f)) is not None]
    taken: dict[str, Guess] = {}
    for one in sorted(every, key=lambda g: -g.points):
        used = any(g.file is one.file for g in taken.values())
        if one.table not in taken and not used:
            taken[one.table] = one
    for one in taken.values():
        _complete(one, files)
    listed = taken.get("customers")
    shared = {c.name for c in listed.file.columns if c.shared} if listed else set()
    if listed and listed.columns["customer_id"] in shared:
        del taken["customers"]  # it says who stands behind an order and lists nobody once
    found = [taken[t] for t in TABLES if t in taken]
    needed = {id(f) for g in found for f in (g.file, *(s.file for s in g.steps))}
    return found, [f for f in files if id(f) not in needed]


def _as_table(table: str, file: File) -> Guess | None:
    """Return a file as if it were a table, or None where nothing speaks for it."""
    spec = TABLES[table]
    columns: dict[str, str] = {}
    kinds = {c.name: c.kind for c in spec.columns}
    for target, synonyms in SYNONYMS[table].items():
        free = [c for c in file.columns if c.name not in columns.values()]
        fitting = [c for c in free if c.kind in _WANTED[kinds[target]]]
        by_name = {c.plain: c for c in reversed(fitting)}
        name = next((s for s in synonyms.split() if s in by_name), None)
        if name is not None:
            columns[target] = by_name[name].name
    names = {c.name for c in file.columns}
    for c in spec.columns:  # these are read by their name, whoever maps what
        taken = c.name in columns or c.name in columns.values() or c.derived
        if c.name in names and not taken and not (c.name == "unit_price" and "amount" in columns):
            columns[c.name] = c.name
    if table == "events" and "customer_id" not in columns and "user_id" in columns:
        columns["customer_id"] = columns.pop("user_id")
    dates = [c for c in file.columns if c.kind == "date"]
    start = spec.start(tuple(columns))
    if spec.at and table != "customers" and start is None:
        if len(dates) != 1 or "customer_id" not in columns:
            return None
        start = spec.at[-1]
        columns = {k: v for k, v in columns.items() if v != dates[0].name} | {start: dates[0].name}
    if "label" in columns and len(_of(file, columns["label"]).values) != 2:
        del columns["label"]
    telling = [c for c in TELLTALES[table] if c in columns]
    named = any(w in file.alias for w in FILE_WORDS[table].split())
    if not telling and not named:
        return None
    one = Guess(table, file, columns)
    if table == "customers":
        _who(one, dated=bool(dates))
        if "customer_id" not in one.columns:
            return None
    if table == "surveys":
        _kind(one)
    one.missing = _missing(one)
    one.points = 3 * len(telling) + len(columns) + 4 * named - 2 * len(one.missing)
    return one


def _who(one: Guess, dated: bool) -> None:
    """Let a file of customers have an id of its own in each row, or number its rows."""
    given = one.columns.get("customer_id")
    if given is not None and _of(one.file, given).unique:
        return
    if "label" in one.columns and not dated:
        one.columns["customer_id"] = "$row"
    elif given is not None and "signup_at" not in one.columns and not _keyed(one.file):
        del one.columns["customer_id"]


def _keyed(file: File) -> bool:
    return any(c.unique for c in file.columns)


def _kind(one: Guess) -> None:
    """Say what kind of survey it is, where the name of the score or of the file does."""
    score = one.columns.get("score", "").lower()
    names = {c.plain: c.name for c in one.file.columns}
    for plain in ("surveytype", "surveykind", "kind"):
        if plain in names:
            one.columns["kind"] = names[plain]
            return
    for source in (score, one.file.alias):
        for kind, words in _KINDS.items():
            if any(w in source for w in words):
                one.constants["kind"] = kind
                return


def _missing(one: Guess) -> list[str]:
    held = one.columns.keys() | one.constants.keys()
    missing = [c.name for c in TABLES[one.table].columns if c.required and c.name not in held]
    if "amount" in missing and {"quantity", "unit_price"} <= held:
        missing.remove("amount")
    return missing


def _of(file: File, name: str) -> Column:
    return next(c for c in file.columns if c.name == name)


def _complete(one: Guess, files: Sequence[File]) -> None:
    """Fetch the customer, and of transactions the amount, from other files by shared keys."""
    others = [f for f in files if f is not one.file]
    if one.columns.get("customer_id") != "$row":
        _fetch_customer(one, others)
    if "amount" in one.missing:
        _fetch_amount(one, others)
    if one.table == "customers" and "customer_id" in one.columns:
        better = [c for c in one.file.columns if c.plain in BETTER_CUSTOMER]
        if better:
            one.columns["customer_id"] = better[0].name
    one.missing = _missing(one)
    bill = one.columns.get("transaction_id")
    if one.table == "transactions" and bill and not one.steps and not one.missing:
        one.lines = _of(one.file, bill).shared


def _fetch_customer(one: Guess, others: Sequence[File]) -> None:
    """Walk from key to key until a file names the customer, and on to who stands behind."""
    frontier: list[tuple[File, str, list[Step]]] = [(one.file, "base", [])]
    seen = {id(one.file)}
    best: tuple[list[Step], str] | None = None
    while frontier:
        file, alias, steps = frontier.pop(0)
        for c in file.columns:
            if c.plain in BETTER_CUSTOMER:
                return _take_customer(one, steps, c.name)
            named = c.plain in SYNONYMS[one.table]["customer_id"].split()
            if named and c.kind != "date" and best is None and steps:
                best = (steps, c.name)
        for other in others:
            key = _shared(file, other)
            if id(other) not in seen and key is not None:
                seen.add(id(other))
                step = Step(other, alias, *key)
                frontier.append((other, other.alias, [*steps, step]))
    if best is not None and "customer_id" not in one.columns:
        _take_customer(one, *best)
    return None


def _take_customer(one: Guess, steps: list[Step], column: str) -> None:
    if not steps:
        one.columns["customer_id"] = column
        return
    last = steps[-1]
    one.steps += [*steps[:-1], Step(last.file, last.base, last.key, last.own_key, takes=column)]
    one.columns["customer_id"] = f"{last.file.alias}_{column}"


def _shared(file: File, other: File) -> tuple[str, str] | None:
    """Return a key of `file` that names one row of `other`, by both their names for it."""
    theirs = {c.plain: c.name for c in other.columns if c.unique and c.plain.endswith(_KEYS)}
    ours = {c.plain: c.name for c in file.columns}
    for plain, name in theirs.items():
        if plain in ours:
            return ours[plain], name
    return None


def _fetch_amount(one: Guess, others: Sequence[File]) -> None:
    """Sum what other files say was paid for each transaction."""
    wanted = SYNONYMS["transactions"]
    for target in ("amount", "unit_price"):
        for name in wanted[target].split():
            for other in others:
                if any(s.file is other for s in one.steps):
                    continue
                paid = [c.name for c in other.columns if c.plain == name and c.kind == "number"]
                key = _shared(other, one.file)
                if paid and key is not None:
                    one.steps.append(Step(other, "base", key[1], key[0], total=paid[0]))
                    one.columns["amount"] = f"{other.alias}_{paid[0]}"
                    return
