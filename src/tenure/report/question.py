"""The question itself, in words: how figures move with it, and how early the flags come."""

from __future__ import annotations

from typing import Any

from tenure.report import writing

__all__ = ["early", "in_brief", "label_table", "lead_table"]

Json = dict[str, Any]

SHOWN_RATE = 0.1
SETTINGS = {"horizon_days": "horizon", "gap_days": "gap", "active_within_days": "bought within"}
LEAD = ("median", "lower_quartile", "upper_quartile")


def in_brief(churn: Json) -> list[str]:
    """Say in the summary, in a line each, how figures move and how early flags come."""
    report = churn.get("label_report")
    lines = []
    if report and report["labels"]:
        said = {setting: _moved(report, setting) for setting in SETTINGS}
        rest = " | ".join(filter(None, (said["gap_days"], said["active_within_days"])))
        lines = [
            f"Label    usual rate and AUC if asked otherwise ({report['model']} on "
            f"{writing.count(len(report['tests']), 'test cutoff')}; * as asked; ranges: report)",
            *(f"         {text}" for text in (said["horizon_days"], rest) if text),
        ]
    shown = _shown(churn)
    if shown:
        median, low, high = (shown[k] for k in LEAD)
        lines.append(
            f"Lead     of the riskiest {shown['flag_rate']:.0%}, who left was flagged "
            f"{median['value']:.0f} days [{median['lower']:.0f}, {median['upper']:.0f}] before "
            f"{churn['lead_time']['until']} (half of them {low['value']:.0f} to "
            f"{high['value']:.0f}); false flags {_share(shown['false_flags'])}"
            + (f", {everybody:.0%} if all are flagged" if (everybody := _all_false(churn)) else "")
        )
    return lines


def early(churn: Json) -> str | None:
    """Say in a sentence or two for readers how early flags come, and how many were false."""
    shown = _shown(churn)
    if not shown:
        return None
    median, low, high = (shown[k] for k in LEAD)
    is_subscription = churn["definition"]["kind"] == "subscription"
    rule = f"a plain rule ({churn['lead_time']['until']}) would have noticed"
    before = "their subscription ended" if is_subscription else rule
    false = shown["false_flags"]
    said = (
        f"Customers in the riskiest tenth who then left were flagged "
        f"{writing.count(round(median['value']), 'day')} before {before} (half of them between "
        f"{low['value']:.0f} and {high['value']:.0f} days; likely range of the middle "
        f"{median['lower']:.0f} to {median['upper']:.0f}). "
        f"{100 * false['value']:.0f} of 100 flags were false: those customers stayed (likely "
        f"range {100 * false['lower']:.0f} to {100 * false['upper']:.0f})."
    )
    everybody = _all_false(churn)
    if everybody is not None:
        said += f" Had everybody been flagged, {100 * everybody:.0f} of 100 would have been false."
    return said


def label_table(churn: Json) -> Json | None:
    """Lay out the label report for data scientists; None where an older run has none."""
    report = churn.get("label_report")
    if not report:
        return None
    has_activity = any("active_within_days" in row for row in report["labels"])
    return {
        **report,
        "settings": [s for s in SETTINGS if has_activity or s != "active_within_days"],
        "has_activity": has_activity,
        "skipped": [{**row, "what": _what(row)} for row in report["skipped"]],
    }


def lead_table(churn: Json) -> Json | None:
    """Lay out the lead times for data scientists; None where there are none."""
    lead = churn.get("lead_time")
    return lead if lead and lead["rates"] else None


def _what(row: Json) -> str:
    setting = row["changed"]
    if setting is None:
        return "the config's own question"
    return f"{setting} {row[setting]}"


def _around(report: Json, setting: str) -> list[Json]:
    """Return the config's question among those that change one setting, in order of it."""
    rows = [row for row in report["labels"] if row["changed"] in (None, setting)]
    return sorted((r for r in rows if setting in r), key=lambda r: _order(r[setting]))


def _order(days: int | str) -> float:
    return float("inf") if days == "all" else float(days)


def _moved(report: Json, setting: str) -> str:
    """Say how the figures move with one setting; nothing where it does not change."""
    rows = _around(report, setting)
    said = "; ".join(_short(row, setting) for row in rows)
    return f"{SETTINGS[setting]} {said}" if len(rows) > 1 else ""


def _short(row: Json, setting: str) -> str:
    days = row[setting] if row[setting] == "all" else f"{row[setting]} d"
    mark = "*" if row["changed"] is None else ""
    return f"{days}{mark} {row['base_rate']['value']:.1%}, {row['auc']['value']:.3f}"


def _shown(churn: Json) -> Json | None:
    """Return the lead time at the rate that the report speaks of."""
    rates = (churn.get("lead_time") or {}).get("rates", [])
    found = [row for row in rates if row["flag_rate"] == SHOWN_RATE and row["median"]]
    return found[0] if found else None


def _all_false(churn: Json) -> float | None:
    everybody = [row for row in churn["lead_time"]["rates"] if row["flag_rate"] == 1.0]
    found = everybody[0]["false_flags"] if everybody else None
    return found["value"] if found else None


def _share(figure: Json) -> str:
    return f"{figure['value']:.0%} [{figure['lower']:.0%}, {figure['upper']:.0%}]"
