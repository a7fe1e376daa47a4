"""The feature dictionary in docs/features.md, written from the features themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tenure.features import schema  # noqa: F401  (importing registers the features)
from tenure.features.spec import (
    COMBINED,
    FACTORS,
    FEATURES,
    ROLES,
    VIEWS,
    Combined,
    Feature,
    Last,
    Window,
)

__all__ = ["dictionary"]

_HEAD = """# Feature dictionary

Written by `make docs` from the features in `src/tenure/features/`; do not edit by hand.

Every feature is computed for each customer as known at a cutoff: from rows dated, and loaded,
before that local midnight. A window of 90 days is `[cutoff − 90 days, cutoff)` and its column ends
in `_90d`; `_last3` looks at the customer's last three purchase days, orders or tickets; no ending
means all time.
Windows longer than the log's history before the earliest cutoff are not built.
"""


def dictionary() -> str:
    """Return the whole page, factor by factor."""
    parts = [_HEAD]
    every: list[Feature | Combined] = [*FEATURES.values(), *COMBINED.values()]
    for factor in FACTORS:
        members = [f for f in every if f.factor == factor]
        if members:
            parts.append(f"## {factor} ({ROLES[factor]})\n")
            parts.append("| feature | what it is | windows | unit | no rows | needs | actionable |")
            parts.append("|---|---|---|---|---|---|---|")
            parts += [_row(f) for f in members]
            parts.append("")
    return "\n".join(parts)


def _row(f: Feature | Combined) -> str:
    empty = "missing" if f.empty is None else str(f.empty)
    needs = "other features"
    if isinstance(f, Feature):
        view = VIEWS[f.view]
        columns = [*view.needs, *f.needs]
        needs = f"`{view.table}`" + "".join(f", {_either(c)}" for c in columns)
        needs += "".join(
            f"; `{table}`" + "".join(f", {_either(c)}" for c in more)
            for table, more in view.beside.items()
        )
    by = f" for each `{f.by}`" if isinstance(f, Feature) and f.by else ""
    rows = VIEWS[f.view].rows if isinstance(f, Feature) else "rows"
    windows = ", ".join(_window(w, rows) for w in f.windows)
    cells = [
        f"`{f.name}`", f"{f.description}{by}", windows, f.unit, empty, needs,
        "yes" if f.actionable else "",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _either(need: str) -> str:
    return " or ".join(f"`{c}`" for c in need.split("|"))


def _window(window: Window, rows: str) -> str:
    if window is None:
        return "all time"
    return f"last {window.n} {rows}" if isinstance(window, Last) else f"{window} d"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check say whether it is current."""
    path = Path(arguments[-1])
    if "--check" not in arguments:
        path.write_text(dictionary(), encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == dictionary():
        return 0
    sys.stderr.write(f"{path} is not what the features say; run `make docs`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
