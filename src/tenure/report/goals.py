"""What reaching a goal would change: comparing like with like, beside the model's own figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tenure.config import Config
from tenure.report import words, writing

__all__ = ["goals"]

Json = dict[str, Any]

PAYS = {
    "yes": "Yes: all of the likely range of the value kept lies above the cost.",
    "no": "No: all of the likely range of the value kept lies below the cost.",
    "cannot be told": "It cannot be told: the cost lies within the likely range of the value kept.",
}


def goals(drivers: Json, config: Config) -> list[Json]:
    """Lay out every goal of the config, or the reason why it was not simulated.

    Parameters
    ----------
    drivers : dict
        What `drivers.json` holds.
    config : Config
        Its currency.
    """
    sure = {f["factor"]: f["how_sure"] for f in drivers["factors"]}
    tried = {one["lever"]: one for one in drivers.get("levers") or []}
    return [_goal(goal, sure, tried, config) for goal in drivers.get("goals") or []]


def _goal(goal: Json, sure: Json, tried: Json, config: Config) -> Json:
    about = {
        "name": goal["name"],
        "owner": goal["owner"],
        "reading": goal.get("reading"),
        "refused": None,
        "sure": None,
    }
    if goal["status"] == "refused":
        return about | {"refused": words.plain(goal["why"] or "The run gave no reason.")}
    lever = tried.get(goal["lever"]) or {}
    return about | {
        "sure": sure.get(goal["factor"]),
        "doubt": " ".join(words.plain(why) for why in lever.get("why_not") or []) or None,
        "rows": _rows(goal, config),
        "facts": [(name, said) for name, said in _facts(goal, config) if said],
    }


def _rows(goal: Json, config: Config) -> list[Json]:
    """Return the rows of the table: what changes, by the comparison and by the model."""
    whom, adjusted, model = goal["customers"], goal["adjusted"], goal["model"] or {}

    def money(value: Any) -> str:
        return writing.rough(value, config.currency)

    could = f"{whom['with_opportunity']:,} customers it could reach"
    return [
        _row(f"Points of leaving, of the {could}", adjusted["points"], model.get("points"),
             writing.signed),
        _row(f"Points of leaving, of the {whom['affected']:,} whose experience it changes",
             adjusted["points_of_affected"], None, writing.signed),
        _row("Customers kept", adjusted["customers_kept"], model.get("customers_kept"),
             writing.rough),
        _row("Value kept", adjusted["value_kept"], model.get("value_kept"), money),
    ]  # fmt: skip


def _row(name: str, figure: Json | None, model: Any, write: Callable[[Any], str]) -> Json:
    range_ = writing.ABSENT
    if figure is not None and figure["lower"] is not None:
        range_ = f"{write(figure['lower'])} to {write(figure['upper'])}"
    return {
        "name": name,
        "value": writing.ABSENT if figure is None else write(figure["value"]),
        "range": range_,
        "model": write(model),
    }


def _facts(goal: Json, config: Config) -> list[tuple[str, str]]:
    """Say whom it concerns, what it costs, whether it pays, when it shows, and how we know."""
    whom, money, support = goal["customers"], goal["money"] or {}, goal["support"] or {}
    adjusted, model = goal["adjusted"], goal["model"] or {}
    known = f"{adjusted['customers']:,} customers were compared with others who were alike before"
    if support:
        known += (
            f": {support['customers_within']:,} were within the goal, "
            f"{support['customers_beyond']:,} beyond it"
        )
    return [
        ("Whom it concerns", f"{whom['affected']:,} of {whom['of']:,} scored customers lately had "
         "an experience beyond it."),
        ("Tickets saved", _tickets(goal["tickets_saved"])),
        ("Does it pay?", _pays(goal, money, config)),
        ("Replacing them instead", _replacing(money, config)),
        ("When it shows", _dated((goal["when"] or {}).get("note") or "")),
        ("How do you know?", f"{known}. {model.get('why') or ''}".rstrip()),
    ]  # fmt: skip


def _tickets(saved: Json | None) -> str:
    if not saved:
        return ""
    if saved["value"] is None:
        return str(saved["why"] or "")
    said = f"{writing.ranged(saved, writing.number)}, {saved.get('unit') or 'tickets'}"
    lower, upper = saved.get("lower"), saved.get("upper")
    maybe = lower is not None and upper is not None and lower < 0 < upper
    return f"{said}: whether it saves any cannot be told." if maybe else f"{said}."


def _pays(goal: Json, money: Json, config: Config) -> str:
    """Hold the cost against the value kept."""
    cost = money.get("cost")
    if cost is None:
        return "No cost is stated in the config."
    said = f"It costs {writing.money(cost, config.currency)}."
    if goal["adjusted"]["value_kept"] is None:
        return f"{said} Value is declined, so it cannot be held against it."
    if money.get("break_even_customers") is not None:
        said += f" Break-even: {writing.rough(money['break_even_customers'])} customers kept"
        each = writing.money(money.get("value_of_one"), config.currency)
        said += f", each worth {each}."
    return f"{PAYS.get(money.get('pays') or '', 'By this estimate nobody is kept.')} {said}"


def _replacing(money: Json, config: Config) -> str:
    figure = money.get("replacing_them_would_cost")
    if figure is None:
        return ""
    cost = writing.ranged(figure, lambda v: writing.rough(v, config.currency))
    return f"Winning as many new customers would cost {cost}."


def _dated(note: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d", lambda found: writing.day(found[0]), note)
