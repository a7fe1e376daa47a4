"""Why customers leave, for readers: the verdict, and each factor with its noise and how sure it is.

Causes, signals and circumstances stand apart: a company can change the first, should listen to the
second, and can only know the third.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tenure.levers import LEVERS
from tenure.report import words, writing

__all__ = ["driving", "effects", "moving", "verdict"]

LEAST_POINTS = 0.05  # a bar shorter than this reads 0.0
TOP_INPUTS = 3
PARTS = {
    "cause": (
        "What we do",
        "Experiences that a company can change. Each has an owner; work on those that are sure.",
    ),
    "symptom": (
        "Scores: signals to listen to",
        "A score tells how a customer feels. It is no lever: it moves when experiences do.",
    ),
    "circumstance": (
        "Circumstances",
        "What customers are and do anyway. It tells whom to expect to leave, not what to change.",
    ),
}

Json = dict[str, Any]


def verdict(drivers: Json, kind: str) -> str:
    """Say the verdict of `drivers.json` in readers' names of the factors.

    Examples
    --------
    >>> said = "Delivery and responsiveness drive customers away."
    >>> verdict({"verdict": said, "factors": [{"factor": "responsiveness"}]}, "inactivity")
    'Delivery and how fast we answer drive customers away.'
    """
    said = str(drivers.get("verdict") or "")
    names = {f["factor"].lower(): words.factor(f["factor"], kind) for f in drivers["factors"]}
    if names:
        any_of = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
        said = re.sub(
            rf"\b(?:{any_of})\b",
            lambda m: words.inline(names.get(m[0].lower(), m[0])),
            said,
            flags=re.I,
        )
    return words.plain(said[:1].upper() + said[1:])


def moving(drivers: Json) -> list[Json]:
    """Return the factors that move anybody's chance by what can be read, in their order."""
    return [f for f in drivers["factors"] if _points(f["churn_points"]) >= LEAST_POINTS]


def effects(drivers: Json, *, holding: bool = True) -> list[tuple[str, str]]:
    """Say what each bad experience does, comparing like with like.

    Parameters
    ----------
    drivers : dict
        What `drivers.json` holds.
    holding : bool
        Whether to leave out those that do not hold.

    Returns
    -------
    list of (str, str)
        The factor, and a sentence.
    """
    found = []
    for one in drivers.get("levers") or []:
        lever = LEVERS.get(one["lever"])
        if lever is None or one["each"] is None or (holding and not one["holds"]):
            continue
        said = f"each {one['bad_experience']} adds {writing.ranged(one['each'], writing.points)}"
        if one["all"] is not None:
            of = f"customers with {lever.opportunities}" if lever.opportunities else "customers"
            said += f"; all of them, {writing.ranged(one['all'], writing.points)} among {of}"
        found.append((lever.factor, said))
    return found


def driving(drivers: Json, scored: int, cutoffs: Sequence[str], kind: str) -> Json:
    """Lay out the factors: as bars with their noise, by role, each with the answer to "how so?".

    Parameters
    ----------
    drivers : dict
        What `drivers.json` holds; parts that are null or empty are left out.
    scored : int
        Customers scored; where there are none, factors are explained on past cases.
    cutoffs : sequence of str
        The dates of the past cases.
    kind : str
        Of leaving.
    """
    felt = [f["factor"] for f in moving(drivers)]
    shown = [f for f in drivers["factors"] if f["factor"] in felt or _sure(f)]
    names = [f["factor"] for f in shown]
    who = "customer" if scored else "past case"
    scale = max((_furthest(f) for f in shown), default=1.0) or 1.0
    held = effects(drivers)
    items = [
        (f["role"], _factor(f, scale, [s for name, s in held if name == f["factor"]], who, kind))
        for f in sorted(shown, key=lambda f: (_weak(f), -_points(f["churn_points"])))
    ]
    return {
        "verdict": verdict(drivers, kind),
        "parts": [
            {"title": title, "about": about, "factors": here}
            for role, (title, about) in PARTS.items()
            if (here := [item for r, item in items if r == role])
        ],
        "still": [words.factor(f["factor"], kind) for f in drivers["factors"]
                  if f["factor"] not in names],
        "together": _together(drivers, kind, who),
        "entangled": _entangled(drivers, kind),
        "warnings": [words.plain(w) for w in drivers.get("warnings") or []],
        "refits": (drivers.get("refits") or {}).get("refits"),
        "n": writing.count(drivers["customers"], who),
        "as_of": writing.day(drivers["as_of"]) if drivers["as_of"] else None,
        "typical": writing.chance(drivers["typical_probability"]),
        "usual": writing.percent(drivers["base_rate"]),
        "cases": _between(cutoffs),
        "model": words.model(drivers["model"]),
        "stand_in": drivers["model"] != drivers["registered"],
    }  # fmt: skip


def _points(value: Any) -> float:
    return writing.finite(value) or 0.0


def _sure(factor: Json) -> bool:
    return str(factor["how_sure"]) in words.SURE[:2]


def _weak(factor: Json) -> bool:
    return str(factor["how_sure"]) == words.SURE[-1]


def _furthest(factor: Json) -> float:
    return max(_points(factor[k]) for k in ("churn_points", "upper", "floor"))


def _between(cutoffs: Sequence[str]) -> str | None:
    if not cutoffs:
        return None
    first, last = (writing.day(day) for day in (min(cutoffs), max(cutoffs)))
    return f"as of {first}" if first == last else f"as of dates from {first} to {last}"


def _factor(factor: Json, scale: float, held: list[str], who: str, kind: str) -> Json:
    """Lay out one factor; of one that is too weak, only its size and why."""
    weak, curves = _weak(factor), factor.get("curves") or []
    known = [words.plain(s) for s in factor.get("how_we_know") or [] if s]
    return {
        "name": words.factor(factor["factor"], kind),
        "points": writing.points(factor["churn_points"]),
        "sure": factor["how_sure"],
        "weak": weak,
        "certain": _sure(factor),
        **_gauge(factor, scale),
        "held": [f"{s[:1].upper()}{s[1:]}." for s in held],
        "tested": known[0] if factor["how_sure"] == words.SURE[0] and known else None,
        "owner": factor.get("owner"),
        "action": factor.get("action") if not weak and factor["role"] != "circumstance" else None,
        "touched": None if weak else _touched(factor.get("touched"), who),
        "inputs": [] if weak else _inputs(factor["features"]),
        "spread": None if weak else _spread(factor["direction"]),
        "known": known,
        "curve": None if weak or not curves else _curve(curves[0]),
    }


def _gauge(factor: Json, scale: float) -> Json:
    """Place bar, refit band and noise floor on one scale, in percent of its length."""
    lower, upper, floor = (writing.finite(factor[k]) for k in ("lower", "upper", "floor"))
    at: Json = {"width": f"{100 * _points(factor['churn_points']) / scale:.1f}", "band": None}
    if lower is not None and upper is not None:
        at["band"] = (f"{100 * lower / scale:.1f}", f"{100 * (upper - lower) / scale:.1f}")
        at["learnt_anew"] = f"{writing.number(lower, 1)} to {writing.number(upper, 1)}"
    at["floor"] = None if floor is None else f"{100 * floor / scale:.1f}"
    return at | {"noise": None if floor is None else writing.number(floor, 1)}


def _touched(touched: Json | None, who: str) -> str | None:
    if not touched or not touched["customers"]:
        return None
    share = writing.percent(touched["share"])
    return f"{writing.count(touched['customers'], who)} ({share})"


def _spread(direction: Any) -> str | None:
    known = writing.finite(direction)
    # where the worst-placed leave less, the exposure is no account of what the factor does
    return None if known is None or known < LEAST_POINTS else writing.points(known)


def _inputs(features: list[Json]) -> list[Json]:
    """Return the strongest inputs, the windows of one thing spoken of once."""
    seen: dict[str, Json] = {}
    for f in features:
        if _points(f["churn_points"]) >= LEAST_POINTS:
            seen.setdefault(f["family"], f)
    return [
        {
            "name": f["description"],
            "means": {
                "more leaving": "the higher, the more leave",
                "less leaving": "the higher, the fewer leave",
            }.get(f["more_means"] or "", "no clear direction"),
            "points": writing.points(f["churn_points"]),
        }
        for f in list(seen.values())[:TOP_INPUTS]
    ]


def _curve(curve: Json) -> Json | None:
    """Lay out how often customers left, by the value of one input."""
    bins = curve["bins"]
    if len(bins) < 2:
        return None
    longest = max((_points(b["upper"] or b["left"]) for b in bins), default=0.0) or 1.0
    return {
        "by": words.inline(curve["description"]),
        "n": writing.count(sum(b["rows"] for b in bins), "past case"),
        "bins": [
            {
                "label": b["label"],
                "left": writing.percent(b["left"], 1),
                "range": None if b["lower"] is None else
                f"{writing.number(100 * b['lower'], 1)} to {writing.number(100 * b['upper'], 1)}",
                "width": f"{100 * _points(b['left']) / longest:.1f}",
                "rows": f"{b['rows']:,}",
                "customers": f"{b['customers']:,}",
            }
            for b in bins
        ],
    }  # fmt: skip


def _pair(names: Sequence[str], kind: str) -> str:
    return " and ".join(f"“{words.factor(name, kind)}”" for name in names)


def _together(drivers: Json, kind: str, who: str) -> list[str]:
    """Say which factors act together, and on whom."""
    said = []
    for one in drivers.get("interactions") or []:
        pair, extra = _pair(one["factors"], kind), writing.finite(one["extra_points"])
        if extra is None or abs(extra) < LEAST_POINTS:
            said.append(f"{pair}: what one means depends on the other, in both ways.")
            continue
        more = "more" if extra > 0 else "less"
        said.append(
            f"{pair}: for {writing.count(one['customers'], who)} whom both drive off, they add "
            f"{writing.points(abs(extra))} {more} together than each alone."
        )
    return said


def _entangled(drivers: Json, kind: str) -> list[str]:
    """Say which factors the model cannot well tell apart."""
    said = []
    for one in drivers.get("correlated") or []:
        pair = _pair(one["factors"], kind)
        badly = writing.finite(one["exposure"])
        if badly is not None and abs(badly) >= 0.5:
            also = "badly in the other" if badly > 0 else "well in the other"
            said.append(
                f"{pair}: who fares badly in one mostly fares {also} (rank correlation "
                f"{writing.number(badly, 2)}), so how the points are shared is uncertain."
            )
        else:
            way = "the same way" if _points(one["points"]) > 0 else "opposite ways"
            said.append(
                f"{pair} mostly push a customer {way} (rank correlation "
                f"{writing.number(one['points'], 2)}): read them together."
            )
    return said
