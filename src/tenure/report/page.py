"""The retention report: one HTML file that says who may leave, what it costs, and how sure we are.

Everything is decided here and in `words.py`; the template only places it. Jinja2 escapes every
value. The page holds no script and asks for nothing, which its content security policy enforces.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import jinja2
import pandas as pd

from tenure.config import Config
from tenure.evaluation.gate import CALIBRATION_TARGET
from tenure.models.churn import BASELINES
from tenure.report import words

__all__ = ["TOP_CUSTOMERS", "page"]

TOP_CUSTOMERS = 25
TOP_INPUTS = 3
LEAST_POINTS = 0.05  # a bar shorter than this reads 0.0

Json = dict[str, Any]


def page(
    metrics: Json,
    drivers: Json,
    scores: pd.DataFrame,
    config: Config,
    limits: tuple[float, float],
) -> str:
    """Write the report.

    Parameters
    ----------
    metrics, drivers : dict
        What `metrics.json` and `drivers.json` hold; missing figures are None or NaN.
    scores : DataFrame
        One row a customer, from `Bundle.score`.
    config : Config
        What leaving and value mean here.
    limits : (float, float)
        Probabilities at or below which `risk_band` is low, and at or above which it is high.

    Returns
    -------
    str
        A whole HTML page that needs no other file and no network.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tenure.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["words"] = words
    scored = scores[scores["status"] == "scored"]
    as_of = pd.Timestamp(metrics["data"]["observed_until"]).date()
    says = {
        "project": config.project,
        "as_of": words.day(as_of),
        "meaning": _meaning(as_of, config, len(scored), len(scores) - len(scored)),
        "usual": words.percent(drivers["base_rate"]),
        "usual_of": f"{words.count(metrics['churn']['rows'], 'row')} of the past",
        "verdict": _verdict(scored, config, limits, drivers),
        "trust": _trust(metrics, config),
        "drivers": _drivers(drivers, scored),
        "customers": _customers(scored, config),
        "data": _data(metrics["data"]),
        "expert": _expert(metrics, drivers, config, limits),
        "value": _value(metrics, scored, config),
    }
    return environment.get_template("report.html").render(**says)


def _meaning(as_of: dt.date, config: Config, scored: int, others: int) -> Json:
    """Say what leaving means here, with its dates, and of whom it is asked."""
    churn = config.churn
    start = as_of + dt.timedelta(days=churn.gap_days)
    window = words.span(start, churn.horizon_days)
    days = words.count(churn.horizon_days, "day")
    since = f"{days} after {words.day(as_of)}"
    if churn.gap_days:
        since = f"{days} that begin {words.count(churn.gap_days, 'day')} after {words.day(as_of)}"
    asked = "everybody who ever bought"
    if churn.active_days is not None:
        asked = f"customers who bought in the {words.count(churn.active_days, 'day')} before"
    return {"since": since, "window": window, "asked": asked, "scored": scored, "others": others}


def _verdict(
    scored: pd.DataFrame, config: Config, limits: tuple[float, float], drivers: Json
) -> Json:
    """Count who may leave, altogether and by band."""
    low, high = limits
    means = {
        "high": f"{words.chance(high)} or more",
        "medium": f"between {words.chance(low)} and {words.chance(high)}",
        "low": f"{words.chance(low)} or less",
    }
    bands = []
    for name, label in words.BANDS.items():
        here = scored[scored["risk_band"] == name]
        bands.append(
            {
                "name": name,
                "label": label,
                "means": means[name],
                "n": f"{len(here):,}",
                "share": 100 * len(here) / max(1, len(scored)),
                "leavers": words.number(here["churn_probability"].sum()),
                "value": words.money(_total(here["value_at_risk"]), config.currency),
            }
        )
    leavers = float(scored["churn_probability"].sum())
    return {
        "n": len(scored),
        "leavers": words.number(leavers),
        "share": words.percent(leavers / len(scored)) if len(scored) else words.ABSENT,
        "high": next(b for b in bands if b["name"] == "high"),
        "bands": bands,
        "value": words.money(_total(scored["value_at_risk"]), config.currency),
        "factors": [
            f"{words.inline(words.factor(f['factor']))} ({words.points(f['churn_points'])})"
            for f in _moving(drivers)[:3]
        ],
    }


def _total(amounts: pd.Series) -> float | None:
    """Sum what is known; None where nothing is."""
    known = amounts.dropna()
    return float(known.sum()) if len(known) else None


def _value(metrics: Json, scored: pd.DataFrame, config: Config) -> Json:
    """Say what value means here, and why it is missing where it is."""
    clv, days = metrics["clv"], config.clv.horizon_days
    kind = "revenue"
    if config.clv.margin != 1.0:
        kind = f"margin, at {words.percent(config.clv.margin)} of revenue"
    declined = bool(len(scored)) and scored["value_at_risk"].isna().all()
    judged = words.finite(clv["holdout"].get("mae", {}).get("value")) is not None
    return {
        "kind": kind,
        "period": "12 months" if days == 365 else f"{days:,} days",
        "currency": config.currency or "in the data's own currency",
        "discount": words.percent(config.clv.annual_discount_rate),
        "declined": declined,
        "judged": judged,
        "why": None if judged and not declined else _why_no_value(metrics),
    }


def _why_no_value(metrics: Json) -> str:
    """Find the run's own reason for a missing value figure."""
    said = [w for w in metrics["warnings"] if re.search(r"(?i)\bvalue\b|clv|repeat purchase", w)]
    said = said or [metrics["clv"].get("why") or "The run gave no reason."]
    stated = [words.plain(s.removeprefix("Value is declined: ")) for s in said]
    return " ".join(dict.fromkeys(s[:1].upper() + s[1:] for s in stated))


def _trust(metrics: Json, config: Config) -> Json:
    """Say how far the figures held on past dates, the worst first."""
    churn = metrics["churn"]
    test, selected, best = churn["test"], churn["selected"], churn["best_baseline"]
    error = test["expected_calibration_error"]
    allowed = max(CALIBRATION_TARGET, words.finite(error["floor_p95"]) or 0.0)
    true = (words.finite(error["value"]) or 0.0) <= allowed
    facts = {
        "signal": bool(churn["gate"]["signal"]),
        "true": true,
        "error": _range(error, 100, 1),
        "allowed": words.number(100 * allowed, 1),
        "by_chance": words.number(100 * (words.finite(error["floor_p95"]) or 0.0), 1),
        "pairs": _range(test["auc"], 100, 0),
        "lift": _range(test["top_decile_lift"], 1, 2),
        "usual": words.percent(test["base_rate"]["value"]),
        "riskiest": words.percent(_product(test["top_decile_lift"], test["base_rate"])),
        "dates": " and ".join(
            filter(
                None,
                [", ".join(map(words.day, churn["tests"][:-1])), words.day(churn["tests"][-1])],
            )
        ),
        "n": f"{sum(row['n'] for row in churn['by_cutoff']):,}",
        "selected": words.model(selected),
        "best": words.model(best),
        "contest": _contest(churn),
        "promoted": bool(churn.get("promoted", churn["gate"]["passed"])),
        "value": _value_held(metrics["clv"], config),
    }
    return {**facts, "alerts": _alerts(facts)}


def _product(*figures: Json) -> float | None:
    known = [words.finite(f["value"]) for f in figures]
    return None if None in known else float(pd.Series(known, dtype=float).prod())


def _range(figure: Json, scale: float, digits: int) -> Json:
    """Write a figure and its likely range."""
    value, lower, upper = (
        words.number(None if (known := words.finite(figure[k])) is None else scale * known, digits)
        for k in ("value", "lower", "upper")
    )
    return {"value": value, "range": f"likely range {lower} to {upper}"}


def _contest(churn: Json) -> str:
    """Compare the chosen model with the best simple one: simple, worse, level or better."""
    gain = churn["improvement_on_best_baseline"][churn["selected"]]
    if churn["selected"] in BASELINES:
        return "simple"
    lines = {reason.split(":")[0] for reason in churn["gate"]["reasons"]}
    if lines & {"log loss", "AUC"}:
        return "worse"
    better = any((words.finite(gain[m]["lower"]) or 0.0) > 0 for m in ("log_loss", "auc"))
    return "better" if better else "level"


def _alerts(trust: Json) -> list[tuple[str, str]]:
    """List what a reader must know before acting on any figure."""
    if not trust["signal"]:
        return [
            (
                "No signal.",
                "On past dates the model told leavers from stayers no better than a coin. Do not "
                "act on the chances below; the model was not put into use.",
            )
        ]
    alerts = []
    if not trust["true"]:
        alerts.append(
            (
                "Read the percentages as a ranking.",
                f"On past dates they were {trust['error']['value']} points off on average, where "
                f"at most {trust['allowed']} are allowed.",
            )
        )
    if trust["contest"] == "worse":
        alerts.append(
            ("A simple method may do better.", f"On past dates {trust['best']} was ahead.")
        )
    if trust["contest"] == "simple":
        alerts.append(("A simple model wins.", f"The chances come from {trust['selected']}."))
    if not trust["promoted"]:
        alerts.append(("Not put into use.", "The model that was in use before this run stays."))
    return alerts


def _value_held(clv: Json, config: Config) -> Json | None:
    """Compare expected with real value after the origin; None where that was not judged."""
    hold = clv["holdout"]
    if words.finite(hold.get("mae", {}).get("value")) is None:
        return None
    bias = {k: words.finite(hold["bias"][k]) for k in ("value", "lower", "upper")}
    zero = clv["baselines"].get("always_zero", {}).get("mae", {}).get("value")
    return {
        "days": words.count(hold["horizon_days"], "day"),
        "origin": words.day(hold["origin"]),
        "off": _more_or_less(bias["value"]),
        "range": f"{_more_or_less(bias['lower'])} to {_more_or_less(bias['upper'])}",
        "customer": words.money(hold["mae"]["value"], config.currency, exact=True),
        "zero": words.money(zero, config.currency, exact=True),
        "rough": (words.finite(zero) or float("inf")) <= hold["mae"]["value"],
    }


def _more_or_less(share: float | None) -> str:
    if share is None:
        return words.ABSENT
    return f"{words.percent(abs(share), 1)} {'more' if share > 0 else 'less'}"


def _moving(drivers: Json) -> list[Json]:
    return [
        f for f in drivers["factors"] if (words.finite(f["churn_points"]) or 0.0) >= LEAST_POINTS
    ]


def _drivers(drivers: Json, scored: pd.DataFrame) -> Json:
    """Lay out the factors as bars, each with its strongest inputs in words."""
    moving = _moving(drivers)
    longest = max((f["churn_points"] for f in moving), default=1.0)
    names = [f["factor"] for f in moving]
    who = "customer" if len(scored) else "past row"  # nobody scored: explained on training rows
    return {
        "factors": [
            {
                "name": words.factor(f["factor"]),
                "points": words.points(f["churn_points"]),
                "width": f"{100 * f['churn_points'] / longest:.1f}",
                "spread": _spread(f["direction"]),
                "inputs": _inputs(f["features"]),
            }
            for f in moving
        ],
        "still": [
            words.factor(f["factor"]) for f in drivers["factors"] if f["factor"] not in names
        ],
        "n": words.count(drivers["customers"], who),
        "as_of": words.day(drivers["as_of"]),
        "typical": words.chance(drivers["typical_probability"]),
        "model": words.model(drivers["model"]),
        "stand_in": drivers["model"] != drivers["registered"],
    }


def _spread(direction: Any) -> str | None:
    known = words.finite(direction)
    return None if known is None or abs(known) < LEAST_POINTS else words.points(known)


def _inputs(features: list[Json]) -> list[Json]:
    """Return the strongest inputs, the windows of one thing spoken of once."""
    seen: dict[str, Json] = {}
    for f in features:
        if (words.finite(f["churn_points"]) or 0.0) >= LEAST_POINTS:
            seen.setdefault(f["description"], f)
    return [
        {
            "name": words.input_name(f["feature"], f["description"]),
            "means": {
                "more leaving": "the higher, the more leave",
                "less leaving": "the higher, the fewer leave",
            }.get(f["more_means"] or "", "no clear direction"),
            "points": words.points(f["churn_points"]),
        }
        for f in list(seen.values())[:TOP_INPUTS]
    ]


def _customers(scored: pd.DataFrame, config: Config) -> Json:
    """List the customers with most value at risk; the riskiest where value is missing."""
    by = "value_at_risk" if scored["value_at_risk"].notna().any() else "churn_probability"
    top = scored.sort_values([by, "customer_id"], ascending=[False, True]).head(TOP_CUSTOMERS)
    reasons = [f"reason_{i}" for i in (1, 2, 3)]
    rows = [
        {
            "id": row["customer_id"],
            "chance": words.chance(row["churn_probability"]),
            "band": row["risk_band"],
            "label": words.BANDS.get(row["risk_band"], row["risk_band"]),
            "at_risk": words.money(row["value_at_risk"], config.currency, exact=True),
            "worth": words.money(
                row[f"clv_{config.clv.horizon_days}d"], config.currency, exact=True
            ),
            "reasons": [row[r] for r in reasons if isinstance(row[r], str)],
        }
        for row in top.to_dict("records")
    ]
    held = words.finite(
        top["value_at_risk"].sum() / (scored["value_at_risk"].sum() or float("nan"))
    )
    return {
        "rows": rows,
        "by_value": by == "value_at_risk",
        "share": None if held is None else words.percent(held),
    }


def _data(data: Json) -> Json:
    """Say what was read, kept and set aside, table by table."""
    tables = [
        {
            "name": name,
            "read": f"{t['rows_read']:,}",
            "kept": f"{t['rows_kept']:,}",
            "aside": f"{t['rows_read'] - t['rows_kept']:,}",
            "customers": f"{t['customers']:,}",
            "dates": f"{words.day(t['first_day'])} to {words.day(t['last_day'])}",
            "sentences": t["sentences"],
            "notes": t["notes"],
        }
        for name, t in data.items()
        if isinstance(t, dict) and "rows_read" in t
    ]
    return {"tables": tables, "first_day": words.day(data["first_day"])}


def _expert(metrics: Json, drivers: Json, config: Config, limits: tuple[float, float]) -> Json:
    """Lay out the figures for data scientists, in their own words."""
    churn, clv = metrics["churn"], metrics["clv"]
    every = {**churn["candidates"], **churn["baselines"]}
    judged = words.finite(clv["holdout"].get("mae", {}).get("value")) is not None
    predictors = {clv["family"]: clv["holdout"], **clv["baselines"]} if judged else {}
    return {
        "churn": churn,
        "clv": clv,
        "models": every,
        "predictors": predictors,
        "definition": config.churn,
        "clv_config": config.clv,
        "cutoffs": metrics["cutoffs"],
        "n": sum(row["n"] for row in churn["by_cutoff"]),
        "days": [{**row, "cutoff": str(row["cutoff"])[:10]} for row in churn["by_cutoff"]],
        "run_id": metrics.get("run_id"),
        "digest": metrics["data"].get("digest"),
        "warnings": metrics["warnings"],
        "limits": [words.number(p, 3) for p in limits],
        "factors": drivers["factors"],
        "explained": drivers,
    }
