"""The retention report, one HTML file: who may leave, what it costs, how sure we are.

Everything is decided here and in `words.py`; the template only places it. Jinja2 escapes every
value. The page holds no script and asks for nothing, which its content security policy enforces.
"""

from __future__ import annotations

import re
from typing import Any

import jinja2
import pandas as pd

from tenure.config import Config
from tenure.explain.reasons import FAVOURABLE, REASONS
from tenure.report import words, writing
from tenure.report.charts import charts
from tenure.report.driving import driving, moving
from tenure.report.goals import goals
from tenure.report.meaning import defined, meaning
from tenure.report.money import Scale, basis
from tenure.report.question import early, label_table, lead_table
from tenure.report.tables import metric_columns, reliability_groups
from tenure.report.totals import totals
from tenure.report.trust import judged, trust
from tenure.report.valued import longer, spoken
from tenure.report.voices import leavers, randomised

__all__ = ["TOP_CUSTOMERS", "page"]

TOP_CUSTOMERS = 25
FEW = 100  # customers below whom likely leavers get a decimal

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
    environment.globals.update(words=words, writing=writing, T=words.TERMS)
    scored = scores[scores["status"] == "scored"]
    until = metrics["data"]["observed_until"]
    as_of = None if until is None else pd.Timestamp(until).date()
    says = {
        "project": config.project,
        "as_of": None if as_of is None else writing.day(as_of),
        "meaning": meaning(as_of, config, scores["status"]),
        "glossary": words.glossary(config.churn.kind),
        "usual": writing.percent(drivers["base_rate"]),
        "usual_of": writing.count(metrics["churn"]["rows"], "past case"),
        "verdict": _verdict(scored, config, limits, drivers),
        "trust": trust(metrics, config),
        "early": early(metrics["churn"]),
        "drivers": driving(drivers, len(scored), metrics["cutoffs"], config.churn.kind),
        "goals": goals(drivers, config),
        "tests": randomised(drivers.get("experiments")),
        "leavers": leavers(drivers.get("leavers_say")),
        "customers": _customers(scored, config),
        "data": _data(metrics["data"]),
        "expert": _expert(metrics, drivers, config, limits),
        "value": _value(metrics, scored, config),
        "config_currency": config.currency,
        "spoken": spoken(config.churn.kind),
        "totals": totals(metrics["clv"], config),
        "charts": charts(metrics["clv"], config.currency),
    }
    return environment.get_template("report.html").render(**says)


def _verdict(
    scored: pd.DataFrame, config: Config, limits: tuple[float, float], drivers: Json
) -> Json:
    """Count who may leave, altogether and by band."""
    (low, high), kind = limits, config.churn.kind
    leavers = float(scored["churn_probability"].sum())
    means = {
        "high": f"{writing.chance(high)} or more",
        "medium": f"between {writing.chance(low)} and {writing.chance(high)}",
        "low": f"{writing.chance(low)} or less",
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
                "leavers": writing.number(here["churn_probability"].sum(), int(len(scored) < FEW)),
                "value": writing.money(_total(here["value_at_risk"]), config.currency),
            }
        )
    return {
        "n": len(scored),
        "leavers": writing.rough(leavers),
        "share": writing.percent(leavers / len(scored)) if len(scored) else writing.ABSENT,
        "high": next(b for b in bands if b["name"] == "high"),
        "bands": bands,
        "value": writing.rough(_total(scored["value_at_risk"]), config.currency),
        "factors": [
            f"{words.inline(words.factor(f['factor'], kind))} ({writing.points(f['churn_points'])})"
            for f in moving(drivers)[:3]
        ],
    }


def _total(amounts: pd.Series) -> float | None:
    """Sum amounts; None where there are some and none is known."""
    return None if len(amounts) and amounts.isna().all() else float(amounts.sum())


def _value(metrics: Json, scored: pd.DataFrame, config: Config) -> Json:
    """Say what value means here, and why it is missing where it is."""
    clv, days = metrics["clv"], config.clv.horizon_days
    kind = "revenue"
    if config.clv.margin != 1.0:
        kind = f"margin, at {writing.percent(config.clv.margin)} of revenue"
    if config.clv.cost_to_serve:
        kind += ", less the cost to serve"
    declined = bool(len(scored)) and scored["value_at_risk"].isna().all()
    return {
        "kind": kind,
        "period": "12 months" if days == 365 else f"{days:,} days",
        "currency": config.currency or "the data's own currency",
        "own": config.currency is None,
        "discount": writing.percent(config.clv.annual_discount_rate),
        "declined": declined,
        "why": None if judged(clv) and not declined else _why_no_value(metrics),
    }


def _why_no_value(metrics: Json) -> str:
    """Find the run's own reason for a missing value figure."""
    said = [w for w in metrics["warnings"] if re.search(r"(?i)\bvalue\b|clv|repeat purchase", w)]
    said = said or [metrics["clv"].get("why") or "The run gave no reason."]
    stated = [words.plain(s.removeprefix("Value is declined: ")) for s in said]
    return " ".join(dict.fromkeys(s[:1].upper() + s[1:] for s in stated))


def _customers(scored: pd.DataFrame, config: Config) -> Json:
    """List the customers with most value at risk; the riskiest where value is missing."""
    pays = scored[scored["expected_saved_value"] > 0]
    by = "value_at_risk" if scored["value_at_risk"].notna().any() else "churn_probability"
    if len(pays):
        by, most = "expected_saved_value", config.campaign.capacity or len(pays)
    listed = pays if len(pays) else scored
    top = listed.sort_values([by, "customer_id"], ascending=[False, True]).head(TOP_CUSTOMERS)
    rows = [
        {
            "id": row["customer_id"],
            "chance": writing.chance(row["churn_probability"]),
            "band": row["risk_band"],
            "label": words.BANDS.get(row["risk_band"], row["risk_band"]),
            "saved": writing.money(row["expected_saved_value"], config.currency),
            "at_risk": writing.money(row["value_at_risk"], config.currency),
            "worth": writing.money(row[f"clv_{config.clv.horizon_days}d"], config.currency),
            **_reasons([row[r] for r in REASONS if isinstance(row[r], str)]),
        }
        for row in top.to_dict("records")
    ]
    held = writing.finite(
        top["value_at_risk"].sum() / (scored["value_at_risk"].sum() or float("nan"))
    )
    return {
        "rows": rows,
        "by": by,
        "pays": writing.count(len(pays), "customer"),
        "within": f"{min(most, len(pays)):,}" if len(pays) and most < len(pays) else None,
        "campaign": config.campaign,
        "assumed": not config.campaign.model_fields_set - {"capacity"},
        "share": None if held is None else writing.percent(held),
    }


def _reasons(said: list[str]) -> Json:
    """Say once what all reasons of a customer have in common: whether they raise or lower."""
    if said and all(s.endswith(FAVOURABLE) for s in said):
        return {"lead": "Lowered by:", "reasons": [s.removesuffix(FAVOURABLE) for s in said]}
    return {"lead": "Raised by:" if said else "", "reasons": [s.removesuffix(".") for s in said]}


def _data(data: Json) -> Json:
    """Say what was read, kept and set aside, table by table."""
    tables = [
        {
            "name": name,
            "read": f"{t['rows_read']:,}",
            "kept": f"{t['rows_kept']:,}",
            "aside": f"{t['rows_read'] - t['rows_kept']:,}",
            "customers": f"{t['customers']:,}",
            "dates": _dates(t),
            "sentences": t["sentences"],
            "notes": t["notes"],
        }
        for name, t in data.items()
        if isinstance(t, dict) and "rows_read" in t
    ]
    first = data["first_day"]
    return {"tables": tables, "first_day": writing.day(first) if first else None}


def _dates(table: Json) -> str:
    if not table.get("first_day"):
        return writing.ABSENT
    return f"{writing.day(table['first_day'])} to {writing.day(table['last_day'])}"


def _expert(metrics: Json, drivers: Json, config: Config, limits: tuple[float, float]) -> Json:
    """Lay out the figures for data scientists, in their own words."""
    churn, clv = metrics["churn"], metrics["clv"]
    every = {**churn["candidates"], **churn["baselines"]}
    predictors = (
        {clv.get("name", clv["family"]): clv["holdout"], **clv["baselines"]} if judged(clv) else {}
    )
    return {
        "churn": churn,
        "labels": label_table(churn),
        "lead": lead_table(churn),
        "clv": clv,
        "models": every,
        "predictors": predictors,
        "longer": longer(clv),
        "label": defined(config.churn),
        "cutoffs": metrics["cutoffs"],
        "n": sum(row["n"] for row in churn["by_cutoff"] or churn["by_repeat"]),
        "days": [
            {"name": row["cutoff"] if "cutoff" in row else f"round {row['repeat']}", **row}
            for row in churn["by_cutoff"] or churn["by_repeat"]
        ],
        "columns": metric_columns(every, config.churn.kind),
        "money": basis(churn["campaign"], Scale(1.0, 0)),
        "groups": reliability_groups(churn["reliability"]),
        "run_id": metrics.get("run_id"),
        "digest": metrics["data"].get("digest"),
        "warnings": metrics["warnings"],
        "limits": [writing.number(p, 3) for p in limits],
        "explained": drivers,
    }
