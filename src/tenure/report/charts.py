"""The charts of the value models, each with the sentence that says what it shows."""

from __future__ import annotations

import datetime as dt
from typing import Any

from markupsafe import Markup

from tenure import plots
from tenure.plots.paper import ACTUAL, EXPECTED, INK, LINE, MUTED
from tenure.report import words, writing
from tenure.report.trust import judged

__all__ = ["charts"]

Json = dict[str, Any]

_COLOURS = {
    EXPECTED: "var(--expected)",
    ACTUAL: "var(--actual)",
    INK: "var(--text)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
}


def charts(clv: Json, currency: str | None) -> dict[str, list[Json]]:
    """Draw what the value holdout found; nothing where there was none.

    Parameters
    ----------
    clv : dict
        The `clv` part of `metrics.json`.
    currency : str or None
        Of the amounts.

    Returns
    -------
    dict
        Charts for `everybody` and for `experts`, each with `svg` and a sentence, `says`.
    """
    hold, unit = clv["holdout"], currency or "Money"
    if not judged(clv):
        return {"everybody": [], "experts": []}
    everybody, experts = [], []
    if hold.get("deciles"):
        about = {"origin": hold["origin"], "horizon_days": hold["horizon_days"]}
        ax = plots.decile_calibration(hold["deciles"], unit=unit, **about)
        everybody.append(_chart(ax, "chart-tenths", _tenths(hold["deciles"], currency)))
    if tracked := hold.get("tracking"):
        # the curve is the purchase model's; another family's range does not belong to it
        is_its_own = clv.get("timing_family", clv["family"]) == clv["family"]
        total = hold.get("total", {}).get("purchases") if is_its_own else None
        ax = plots.tracking(tracked, cumulative=True, total=total)
        everybody.append(_chart(ax, "chart-total", _so_far(tracked, total)))
        everybody.append(_chart(plots.tracking(tracked), "chart-weeks", _weeks(tracked)))
    if found := hold.get("conditional_expectation"):
        ax = plots.conditional_expectation(found)
        experts.append(_chart(ax, "chart-frequency", _by_frequency(found)))
    timing = str(clv.get("timing_family", clv["family"]))
    if found := hold.get("alive_map"):
        experts.append(_chart(plots.alive_map(found), "chart-map", _map(found, timing)))
    if found := hold.get("alive_history"):
        ax = plots.alive_history(found)
        experts.append(_chart(ax, "chart-history", _history(found, timing)))
    return {"everybody": everybody, "experts": experts}


def _chart(ax: Any, name: str, says: str) -> Json:
    # the writer of the SVG escapes all text in it
    svg = plots.inline_svg(ax, name, ax.get_title(loc="left").replace("\n", "; "), _COLOURS)
    return {"svg": Markup(svg), "says": says}


def _tenths(deciles: list[Json], currency: str | None) -> str:
    first = deciles[0]["value"]
    came = {k: writing.money(v, currency) for k, v in first["actual_mean"].items()}
    inside = sum(
        _holds(row["value"]["actual_mean"], row["value"]["expected_mean"]) for row in deciles
    )
    return (
        f"Of the {writing.count(deciles[0]['customers'], 'customer')} of whom most was expected we "
        f"expected {writing.money(first['expected_mean'], currency)} each; {came['value']} came "
        f"({words.TERMS['interval']} {came['lower']} to {came['upper']}). In {inside} of "
        f"{len(deciles)} groups what we expected lies within the {words.TERMS['interval']} of what "
        "came."
    )


def _holds(figure: Json, expected: float) -> bool:
    lower, upper = (writing.finite(figure[k]) for k in ("lower", "upper"))
    return lower is not None and upper is not None and lower <= expected <= upper


def _so_far(tracked: Json, total: Json | None) -> str:
    last = tracked["after"][-1]
    expected, came = last["expected_total"], last["actual_total"]
    origin = dt.date.fromisoformat(tracked["origin"])
    said = f"From {writing.span(origin, tracked['horizon_days'])} we expected "
    said += f"{writing.number(expected)} purchase days of those who were customers before"
    if total is not None:
        low, high = (writing.number(total[k]) for k in ("lower", "upper"))
        said += f" ({words.TERMS['interval']} of the forecast {low} to {high})"
    said += f"; {writing.number(came)} came{_off(expected, came)}"
    if total is not None:
        where = "inside" if total["inside"] else "outside"
        said += f", {where} that range"
    return said + ". Several purchases of a customer on one day count once."


def _off(expected: float, came: float) -> str:
    if not expected or writing.percent(came / expected - 1, 1) == writing.percent(0, 1):
        return ""
    off = came / expected - 1
    return f", {writing.percent(abs(off), 1)} {'more' if off > 0 else 'fewer'}"


def _weeks(tracked: Json) -> str:
    whole = [week for week in tracked["after"] if week["days"] == 7]
    more = sum(week["actual"] > week["expected"] for week in whole)
    origin = writing.day(tracked["origin"])
    said = f"In {more} of the {writing.count(len(whole), 'whole week')} from {origin} on, more "
    said += "purchase days came than were expected. Who first bought later is not counted. "
    if not tracked["before"]:
        return said
    last = tracked["before"][-1]
    return (
        f"{said}Until then the model had seen what came: {writing.number(last['actual_total'])} "
        f"repeat purchase days, where it puts {writing.number(last['expected_total'])}."
    )


def _by_frequency(found: Json) -> str:
    groups = found["groups"]
    inside = sum(_holds(g["actual"], g["expected"]) for g in groups)
    return (
        f"Conditional expectation (Fader, Hardie & Lee 2005): in {inside} of {len(groups)} "
        "groups the mean expected lies within the 90 % bootstrap interval of the mean that came."
    )


def _map(found: Json, family: str) -> str:
    said = f"P(alive) by {family}, {found['age_days']:,} days after the first purchase. "
    if any(p is None for row in found["p_alive"] for p in row):
        said += "Empty cells cannot be: so many purchase days do not fit in. "
    return f"{said}Who bought only once, all those days ago: {writing.chance(found['once'])}."


def _history(found: Json, family: str) -> str:
    bought, p = found["purchase_days"], found["p_alive"]
    days = writing.listed([f"{day:,}" for day in bought])
    return (
        f"P(alive) by {family} of an invented customer who buys at the usual gap of repeat buyers "
        f"({writing.count(bought[1] - bought[0], 'day')}, the median), then once after a silence "
        f"of {writing.count(bought[-1] - bought[-2], 'day')}, and then no more: purchases on days "
        f"{days}. After {writing.count(len(p) - 1, 'day')} the chance is {writing.chance(p[-1])}."
    )
