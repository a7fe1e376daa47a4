"""What customers together are expected to bring, by group, as a table people can add up."""

from __future__ import annotations

from typing import Any

from tenure.config import Config
from tenure.report import writing

__all__ = ["summed_up", "totals"]

Json = dict[str, Any]

_NAMES = {
    "cohort": "By the {unit} of their first purchase",
    "status": "By whether we say anything of their leaving",
    "frequency": "By purchase days so far",
    "activity": "By their last purchase",
}
_STARTS = {"subscription": "By the {unit} their subscription began"}
_UNITS = {4: "year", 6: "quarter", 7: "month"}  # by the length of a name: 2024, 2024Q1, 2024-01
_STATUS = {
    "scored": "may leave: each has a chance",
    "lapsed": "long gone (lapsed)",
    "trial": "on trial",
    "notice": "gave notice",
}


def summed_up(clv: Json) -> Json | None:
    """Return the total of everybody, as it stands in `metrics.json`; None where there is none."""
    found = clv.get("totals")
    return None if not found else found["groups"]["all"][0]


def totals(clv: Json, config: Config) -> Json | None:
    """Lay out expected totals with their likely ranges; None where value is declined."""
    everybody = summed_up(clv)
    if everybody is None:
        return None
    found, kind = clv["totals"], config.churn.kind
    groups = [
        {"name": _named(name, rows, kind), "rows": [_row(row, name, config) for row in rows]}
        for name, rows in found["groups"].items()
        if name != "all" and len(rows) > 1
    ]
    return {
        "all": _row(everybody, "all", config),
        "groups": groups,
        "at_risk": _rough(found["value_at_risk"], config),
        "widened": found["scope"] != "model only",
        "origins": len(found["errors"]),
    }


def _rough(amount: Json | None, config: Config) -> Json | None:
    if amount is None:
        return None
    return {end: writing.rough(amount[end], config.currency) for end in ("lower", "upper")}


def _named(name: str, rows: list[Json], kind: str) -> str:
    words = _STARTS.get(kind, _NAMES["cohort"]) if name == "cohort" else _NAMES.get(name)
    unit = _UNITS.get(len(rows[0]["name"]), "period")
    return words.format(unit=unit) if words else f"By {name}"


def _row(row: Json, group: str, config: Config) -> Json:
    money = {k: writing.money(row[k], config.currency) for k in ("expected", "lower", "upper")}
    name = _STATUS.get(row["name"], row["name"]) if group == "status" else row["name"]
    return {"name": name, "n": f"{row['customers']:,}", **money}
