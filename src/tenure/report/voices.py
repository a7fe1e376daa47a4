"""What randomised tests say, and what leavers say, beside what the data say."""

from __future__ import annotations

from typing import Any

from tenure.report import words, writing

__all__ = ["leavers", "randomised"]

Json = dict[str, Any]


def randomised(experiments: Json | None) -> Json | None:
    """Lay out what randomised tests of contacts found, or how large one must be.

    Parameters
    ----------
    experiments : dict or None
        `experiments` of `drivers.json`.
    """
    if not experiments:
        return None
    size = experiments.get("sample_size")
    said = [words.plain(s) for s in experiments["says"]]
    if size and words.plain(size["says"]) not in said:
        said.append(words.plain(size["says"]))
    return {
        "says": said,
        "question": experiments.get("question"),
        "rows": [_test(one) for one in experiments["tests"]],
        "sizes": [_size(row) for row in (size or {}).get("effects") or []],
        "size": size and {
            "among": f"{size['among']:,}",
            "rate": writing.percent(size["leaving_rate"]),
            "power": writing.percent(size["power"]),
        },
        "notes": [words.plain(s) for s in experiments.get("notes") or []],
    }  # fmt: skip


def _test(one: Json) -> Json:
    found = one["effect"] or {}
    return {
        "name": one["campaign"],
        "day": writing.day(one["day"]),
        "contacted": f"{one['contacted']:,}",
        "held_out": f"{one['held_out']:,}",
        "left": writing.percent(one["leaving_rate_contacted"], 1),
        "left_held_out": writing.percent(one["leaving_rate_held_out"], 1),
        "effect": writing.ranged(found, writing.signed) if found else writing.ABSENT,
        "detectable": writing.number(one.get("detectable_points"), 1),
    }


def _size(row: Json) -> Json:
    return {
        "points": writing.number(row["points"], 1),
        "assumed": row["assumed"],
        "customers": writing.number(row["customers_each_arm"]),
        "rounds": writing.number(row["rounds"]),
        "days": writing.number(row["days"]),
    }


def leavers(said: Json | None) -> Json | None:
    """Lay out what those who left had said and asked before, beside those who stayed.

    Parameters
    ----------
    said : dict or None
        `leavers_say` of `drivers.json`.
    """
    if not said:
        return None
    told = ("tickets", "last_scores", "silence", "exit_surveys", "end_reasons")
    return {
        "days": said["days_before"],
        "heard": any(said.get(part) for part in told),
        "rows": [
            f"{writing.count(said[side]['rows'], 'past case')} "
            f"({writing.count(said[side]['customers'], 'customer')})"
            for side in ("leavers", "stayers")
            if side in said
        ],
        "tickets": _tickets(said.get("tickets")),
        "scores": [_score(one) for one in said.get("last_scores") or []],
        "silence": _silence(said.get("silence"), said["days_before"]),
        "surveys": _exits(said.get("exit_surveys")),
        "reasons": [_reason(one) for one in said.get("end_reasons") or []],
        "unsaid": [words.plain(s) for s in dict.fromkeys((said.get("why") or {}).values())],
    }


def _beside(name: str, one: Json, digits: int, times: float = 1.0) -> Json:
    """Return one row: leavers, stayers, and how they differ."""

    def write(value: Any) -> str:
        known = writing.finite(value)
        return writing.number(None if known is None else times * known, digits)

    def signed(value: Any) -> str:
        known = writing.finite(value)
        return writing.signed(None if known is None else times * known, digits)

    gap = {k: one[k] for k in ("lower", "upper")} | {"value": one["difference"]}
    return {
        "name": name,
        "leavers": write(one["leavers"]),
        "stayers": write(one["stayers"]),
        "difference": writing.ranged(gap, signed),
        "customers": writing.number(one["customers"]),
    }


def _tickets(tickets: Json | None) -> list[Json]:
    """Return tickets per 100 customers: all, by kind and by topic."""
    if not tickets:
        return []
    rows = [_beside("All tickets", tickets["all"], 1, 100.0)]
    for by in ("kind", "topic"):
        rows += [
            _beside(f"{by.capitalize()}: {one['level']}", one, 1, 100.0)
            for one in tickets.get(by) or []
        ]
    return rows


def _score(one: Json) -> Json:
    name = words.SURVEYS.get(one["kind"]) or str(one["kind"])
    return _beside(f"{name}, {one['touchpoint']}" if one["touchpoint"] else name, one, 2)


def _silence(silence: Json | None, days: int) -> str | None:
    if not silence or silence["leavers"] is None:
        return None
    gap = {k: silence[k] for k in ("lower", "upper")} | {"value": silence["difference"]}
    points = writing.ranged(gap, lambda v: writing.signed(None if v is None else 100 * v))
    left, stayed = (writing.percent(silence[side]) for side in ("leavers", "stayers"))
    return (
        f"{left} of leavers had said nothing in the {days} days before, neither a ticket nor an "
        f"answer; of stayers {stayed}. "
        f"The difference in points: {points}."
    )


def _exits(surveys: Json | None) -> str | None:
    """Say how many exit surveys were answered, and how."""
    if not surveys:
        return None
    said = f"{writing.count(surveys['answered'], 'exit survey')} answered"
    if surveys["sent"] is not None:
        said = f"{surveys['answered']:,} of {surveys['sent']:,} exit surveys answered"
    share = surveys["answer_share"]
    if share and share["share"] is not None:
        figure = {"value": share["share"], "lower": share["lower"], "upper": share["upper"]}
        said += f", of those decided {writing.ranged(figure, writing.percent)}"
    score = surveys["score"]
    if score:
        figure = {"value": score["mean"], "lower": score["lower"], "upper": score["upper"]}
        said += f"; mean score {writing.ranged(figure, lambda v: writing.number(v, 1))}"
        said += f" of {writing.count(score['n'], 'answer')}"
    return f"{said}."


def _reason(one: Json) -> Json:
    figure = {"value": one["share"], "lower": one["lower"], "upper": one["upper"]}
    return {
        "name": one["reason"].replace("_", " "),
        "ends": f"{one['ends']:,}",
        "share": writing.ranged(figure, writing.percent),
    }
