"""How far a report's figures can be trusted, told by what past dates showed."""

from __future__ import annotations

from typing import Any

from tenure.config import Config
from tenure.evaluation.gate import CALIBRATION_TARGET
from tenure.models.churn import ROSTERS
from tenure.report import words, writing
from tenure.report.cautions import trusted
from tenure.report.valued import lasted, naive

__all__ = ["COVERED", "came_true", "judged", "trust"]

Json = dict[str, Any]

MOST_LEAKS = 5
COVERED = 0.03  # of customers: coverage from .87 to .93 is as it should be


def trust(metrics: Json, config: Config) -> Json:
    """Say how far the figures held on past dates.

    Parameters
    ----------
    metrics : dict
        As in `metrics.json`.
    config : Config
        For the currency.

    Returns
    -------
    dict
        Facts for the template, and `alerts`: (title, sentence) pairs, the worst first.
    """
    churn = metrics["churn"]
    test, selected, best = churn["test"], churn["selected"], churn["best_baseline"]
    error = test["expected_calibration_error"]
    allowed = max(CALIBRATION_TARGET, writing.finite(error["floor_p95"]) or 0.0)
    true = (writing.finite(error["value"]) or 0.0) <= allowed
    where = "On past dates" if churn["tests"] else "On customers it had not seen"
    facts = {
        "signal": bool(churn["gate"]["signal"]),
        "true": true,
        "error": _range(error, 100, 1),
        "allowed": writing.number(100 * allowed, 1),
        "by_chance": writing.number(100 * (writing.finite(error["floor_p95"]) or 0.0), 1),
        "pairs": _range(test["auc"], 100, 0),
        "lift": _range(test["top_decile_lift"], 1, 2),
        "usual": writing.percent(test["base_rate"]["value"]),
        "riskiest": _riskiest_tenth(test),
        "dates": writing.listed([writing.day(d) for d in churn["tests"]]),
        "n": f"{sum(row['n'] for row in churn['by_cutoff'] or churn['by_repeat']):,}",
        "rounds": len(churn.get("by_repeat", ())),
        "where": where,
        "selected": words.model(selected),
        "best": words.model(best),
        "contest": _contest(churn),
        "promoted": bool(churn.get("promoted", churn["gate"]["passed"])),
        "value": _value_held(metrics["clv"], config),
        "came_true": " ".join(came_true(churn)),
        "level": _level(churn),
        "level_in_money": _level_in_money(churn),
    }
    return {**facts, "alerts": [*_leaks(metrics["audit"]["findings"]), *_alerts(facts)]}


def _leaks(findings: list[Json]) -> list[tuple[str, str]]:
    """Warn of columns that may know the answer: what is said of them, one by one."""
    title = "Something may give the answer away. Act on no figure before this is settled."
    more = len(findings) - MOST_LEAKS
    said = [(title, f"{f['column']}: {f['evidence']} {f['advice']}") for f in findings[:MOST_LEAKS]]
    rest = f"{more} more are named in metrics.json, under audit."
    return [*said, (title, rest)] if more > 0 else said


def came_true(churn: Json) -> list[str]:
    """Say of the usual and of the riskiest tenth how many were called, and how many left.

    Parameters
    ----------
    churn : dict
        The `churn` part of `metrics.json`.
    """
    tenths = churn["reliability"]["overall"]
    called, _ = _in_all(churn)
    nearest = min(tenths, key=lambda tenth: abs(tenth["predicted"] - called))
    return [
        f"Of 100 customers called {100 * t['predicted']:.0f} %, {100 * t['actual']['value']:.0f} "
        f"left ({words.TERMS['interval']} {_range(t['actual'], 100, 0)['range']})."
        for t in {t["group"]: t for t in (nearest, tenths[-1])}.values()
    ]


def _in_all(churn: Json) -> tuple[float, float]:
    """Return the mean chance of the test rows, and the share who left."""
    tenths = churn["reliability"]["overall"]
    n = sum(t["n"] for t in tenths)
    called = sum(t["n"] * t["predicted"] for t in tenths) / n
    return called, sum(t["n"] * t["actual"]["value"] for t in tenths) / n


def _level(churn: Json) -> str:
    """Say how many were called in all, and how many left: whether chances are too high or low."""
    called, left = _in_all(churn)
    side = "too high" if called > left else "too low"
    return (
        f"in all {writing.percent(called, 1)} were called and {writing.percent(left, 1)} left, so "
        f"they were {side}"
    )


def _level_in_money(churn: Json) -> str | None:
    """Name the simple method that earns most, where it earns about as much as the chosen model."""
    level = churn["as_good"].get("profit", ())
    earned = {name: churn["baselines"][name]["profit"]["value"] for name in level}
    return words.model(max(earned, key=lambda name: earned[name])) if earned else None


def _riskiest_tenth(test: Json) -> str:
    """Return the share of the riskiest tenth who left."""
    lift, usual = (writing.finite(test[k]["value"]) for k in ("top_decile_lift", "base_rate"))
    return writing.ABSENT if lift is None or usual is None else writing.percent(lift * usual)


def _range(figure: Json, scale: float, digits: int) -> Json:
    """Write a figure and its likely range."""
    known = {k: writing.finite(figure[k]) for k in ("value", "lower", "upper")}
    said = {k: writing.number(None if v is None else scale * v, digits) for k, v in known.items()}
    return {"value": said["value"], "range": f"{said['lower']} to {said['upper']}"}


def _contest(churn: Json) -> str:
    """Compare the chosen model with the best simple one: simple, worse, level or better."""
    gain = churn["improvement_on_best_baseline"][churn["selected"]]
    if churn["selected"] in ROSTERS[churn["definition"]["kind"]].baselines:
        return "simple"
    lines = {reason.split(":")[0] for reason in churn["gate"]["reasons"]}
    if lines & {"log loss", "AUC"}:
        return "worse"
    better = all((writing.finite(gain[m]["lower"]) or 0.0) > 0 for m in ("log_loss", "auc"))
    return "better" if better else "level"


def _alerts(trust: Json) -> list[tuple[str, str]]:
    """List what a reader must know before acting on any figure."""
    where = trust["where"]
    if not trust["signal"]:
        return [
            (
                "No signal.",
                f"{where} the model told leavers from stayers no better than a coin. Do not "
                "act on the chances below; the model was not put into use.",
            )
        ]
    alerts = []
    if not trust["true"]:
        alerts.append(
            (
                "Read the percentages as a ranking.",
                f"{where} they were {trust['error']['value']} points off on average, where "
                f"at most {trust['allowed']} are allowed: {trust['level']}.",
            )
        )
    if trust["contest"] == "worse":
        alerts.append(("A simple method may do better.", f"{where} {trust['best']} was ahead."))
    if trust["contest"] == "simple":
        alerts.append(("A simple model says this.", f"The chances come from {trust['selected']}."))
    if not trust["promoted"]:
        alerts.append(
            ("This run was not put into use.", "The model that was in use before it stays.")
        )
    return alerts


def judged(clv: Json) -> bool:
    """Whether the value model met a holdout."""
    return writing.finite(clv["holdout"].get("mae", {}).get("value")) is not None


def _value_held(clv: Json, config: Config) -> Json | None:
    """Compare expected with real value after the origin; None where that was not judged."""
    hold = clv["holdout"]
    if not judged(clv):
        return None
    bias = {k: writing.finite(hold["bias"][k]) for k in ("value", "lower", "upper")}
    guess, zero = naive(clv) or ("", None)
    total = hold.get("total", {}).get("value", {})
    return {
        "days": writing.count(hold["horizon_days"], "day"),
        "origin": writing.day(hold["origin"]),
        "off": None if bias["value"] is None else _more_or_less(bias["value"]),
        "totals": [writing.money(total.get(k), config.currency) for k in ("expected", "actual")],
        "range": f"{_more_or_less(bias['lower'])} to {_more_or_less(bias['upper'])}",
        "customer": writing.money(hold["mae"]["value"], config.currency, exact=True),
        "naive": guess,
        "zero": writing.money(zero, config.currency, exact=True),
        "rough": zero is not None and zero <= hold["mae"]["value"],
        "use": trusted(hold),
        "inside": _nine_in_ten(hold.get("coverage")),
        "lasted": lasted(hold.get("coverage")),
    }


def _nine_in_ten(coverage: Json | None) -> Json | None:
    """Say how many customers fell into the range that should hold at least nine in ten."""
    share = writing.finite(coverage["value"]["value"]) if coverage else None
    if coverage is None or share is None:
        return None
    kept = "kept" if abs(share - 0.9) <= COVERED else "too narrow" if share < 0.9 else "too wide"
    # what a reader would count; whether that is right is judged where lumps count fairly
    return {"share": writing.number(100 * coverage["value"]["inside"], 0), "kept": kept}


def _more_or_less(share: float | None) -> str:
    if share is None:
        return writing.ABSENT
    return f"{writing.percent(abs(share), 1)} {'more' if share > 0 else 'less'}"
