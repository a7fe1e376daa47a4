"""docs/kpis.md, written from the figures themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tenure.kpis import run  # noqa: F401  (importing registers the figures)
from tenure.kpis.registry import FIGURES, MEASURES, ROWS, Figure

__all__ = ["page"]

_HEAD = """# Figures of the customer experience

Written by `make docs` from `src/tenure/kpis/`; do not edit by hand. `make kpis` computes them.

`out/<project>/kpis.parquet` has one row a `period` (first day of a local month; empty for the whole
log), `figure`, `by` and `group`, with `n`, `value`, `lower`, `upper` and `unit`.

- They are reports, not features: past months use everything known at the end of observation, and
  nothing dated, known or loaded later. Only full months are given, where the log speaks for them.
- `n` is what a figure rests on. `lower` and `upper` are a 90 % likely range in which each customer
  is one draw: ten answers of one customer say less than one answer of ten. Empty where the data
  cannot tell, such as the upper end of a wait of which most are not over.
- A group with fewer than 10 customers or rows is named but not shown; where only one group of a
  column is hidden, it can still be worked out from the others. Of a column with many values the 20
  most frequent are shown, the rest as `other`.
- `by` is `all`, a column (`channel`, `channel_kind` for digital or physical, `category`,
  `partner`, `touchpoint`, `topic`, `request` …), or a declared attribute, `attribute[region]`.
- A bad experience is what `experience.bad_experience` lists: `late_delivery` (not delivered by the
  promised moment), `slow_response` (no first response within 24 hours), `low_score` (NPS 0-6, CSAT
  and reviews 1-2, CES 1-3); each counts from the moment it is one. Churn by their number
  looks at the 365 days before the month.
- `delivery` says of an answer whether its survey was sent before the parcel came, and how late that
  was; `score_band` what the last score before the month was; `months_since` the month of a cohort,
  whose first quarter (or month) is then the `period`.
- Churn by number of bad experiences or by the last score shows what goes together: who buys more
  also meets more of both. Only figures of campaigns drawn by lot say what caused what.

| figure | formula | unit | likely range | also by | needs |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return _HEAD + "\n".join(_row(f) for f in FIGURES.values()) + "\n"


def _row(f: Figure) -> str:
    kind = ROWS[f.of]
    by = [b for b in dict.fromkeys(kind.by) if f.given_by(b)]
    by += ["attributes"] if f.given_by("attribute[x]") else []
    needs = ", ".join(f"`{n.replace('|', '` or `')}`" for n in f.requires)
    said = ", ".join(b if b == "attributes" else f"`{b}`" for b in by)
    return f"| `{f.name}` | {f.formula} | {f.unit} | {MEASURES[f.measure]} | {said} | {needs} |"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check say whether it is current."""
    path = Path(arguments[-1])
    if "--check" not in arguments:
        path.write_text(page(), encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == page():
        return 0
    sys.stderr.write(f"{path} is not what the figures say; run `make docs`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
