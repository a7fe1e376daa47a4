"""Why customers leave, in a few lines of text: what is sure, what goals would change, tests."""

from __future__ import annotations

from typing import Any

from tenure.config import Config
from tenure.report import writing
from tenure.report.text import estimate, table

__all__ = ["driver_lines"]

Json = dict[str, Any]

FACTORS = 5
PAYS = {"yes": "pays", "no": "does not pay", "cannot be told": "whether it pays cannot be told"}


def driver_lines(drivers: Json, config: Config) -> list[str]:
    """Write the verdict, the effects that hold, the factors, every goal, and what tests say.

    Parameters
    ----------
    drivers : dict
        What `drivers.json` holds.
    config : Config
        Its currency.
    """
    tests = (drivers.get("experiments") or {}).get("says") or []
    doubted = {one["lever"] for one in drivers.get("levers") or [] if not one["holds"]}
    lines = [
        f"Drivers  {drivers['verdict']}",
        *(f"  {said}" for said in drivers.get("warnings") or []),
        *_held(drivers.get("levers") or []),
        *_factors(drivers),
        *(_goal(goal, doubted, config) for goal in drivers.get("goals") or []),
    ]
    return [*lines, *(f"  tests: {said}" for said in tests[:1])]


def _held(levers: list[Json]) -> list[str]:
    """Say what each bad experience does that holds, comparing like with like."""
    return [
        f"  each {one['bad_experience']} adds {estimate(one['each'], 1)} points of leaving, all of "
        f"them {estimate(one['all'], 1)} (comparing {one['customers']:,} customers alike before)"
        for one in levers
        if one["holds"] and one["each"] and one["all"]
    ]


def _factors(drivers: Json) -> list[str]:
    """List the factors that move customers most, each with its refit band and noise floor."""
    if not drivers["factors"]:
        return []
    day = f" at {drivers['as_of']}" if drivers["as_of"] else ""
    rows = []
    for factor in drivers["factors"][:FACTORS]:
        points, low, high, floor = (
            writing.number(factor[k], 1) for k in ("churn_points", "lower", "upper", "floor")
        )
        most = factor["features"][0]["feature"] if factor["features"] else ""
        rows.append([points, f"[{low}, {high}]", floor, factor["factor"], factor["how_sure"], most])
    return [
        f"  mean points of churn probability among {drivers['customers']:,} customers{day} "
        f"({drivers['model']}; association, not proof)",
        *table(["points", "learnt anew", "noise", "factor", "how sure", "most by"], rows),
    ]


def _goal(goal: Json, doubted: set[str], config: Config) -> str:
    """Tell in one line what a goal would change, or why it was refused."""
    name = f"  goal: {goal['name']}: "
    if goal["status"] == "refused":
        return f"{name}refused. {(goal['why'] or '').split('. ')[0].rstrip('.')}."
    found, money = goal["adjusted"], goal["money"] or {}
    said = (
        f"{estimate(found['points'], 1)} points of leaving, "
        f"{_amount(found['customers_kept'])} customers kept"
    )
    if found["value_kept"] is not None:
        said += f", {_amount(found['value_kept'])} {config.currency or 'of value'}"
    pays = PAYS.get(money.get("pays") or "")
    said += f"; {pays} at a cost of {money['cost']:,.0f}" if pays else ""
    doubt = " (too weak to plan with: it does not hold comparing like with like)"
    return f"{name}{said}{doubt if goal['lever'] in doubted else ''}"


def _amount(figure: Json) -> str:
    value, low, high = (writing.number(figure[k]) for k in ("value", "lower", "upper"))
    return f"{value} [{low}, {high}]"
