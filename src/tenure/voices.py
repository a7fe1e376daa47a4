"""What leavers say, beside what the data say: their surveys, reasons, tickets, and their silence.

Nothing here is a model. Those who then left are held against those who stayed at the same cutoffs,
by what was known at the cutoff; a difference goes together with leaving and is no proof of cause.
Comments are never shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from tenure import labels
from tenure.config import Config
from tenure.cutoffs import cutoff_table
from tenure.features.interactions import from_customers
from tenure.kpis.contrast import contrast, mean_of, share_of
from tenure.kpis.grid import LEAST
from tenure.population import Population
from tenure.snapshot import known

__all__ = ["BEFORE", "leavers_say"]

BEFORE, YEAR = 90, 365  # days before the cutoff that are looked at; for scores
OTHER, UNSAID = "other", "not said"
KEY = ["customer_id", "cutoff"]
Json = dict[str, Any]
Tables = Mapping[str, ir.Table]


def leavers_say(tables: Tables, ready: Population, config: Config) -> Json:
    """Gather what those who left had said and asked, against those who stayed.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs (`sources.tables`).
    ready : Population
        Its `rows`, `days` and `as_of`: who could leave at each cutoff, and who did.
    config : Config
        Days until a survey counts as silent, the time zone, and what leaving is.

    Returns
    -------
    dict
        `leavers`, `stayers`: rows of customer and cutoff, and customers behind them.
        `tickets`: opened per customer in the 90 days before the cutoff, of `all`, by `kind` and
        by `topic`. `last_scores`: of the year before, by kind of survey and touchpoint.
        `silence`: the share without a ticket and without an answer in the 90 days.
        `exit_surveys` and `end_reasons`: of the whole log. Each comparison has `leavers`,
        `stayers`, `difference` with its 90 % range by customer, and `customers` behind it; groups
        of fewer than 10 customers stand together as `other`, or are left out. What cannot be said
        is null, with the reason under `why`.
    """
    why: dict[str, str] = {}
    if ready.as_of is None:
        reason = "Nothing is dated, so nothing can be told to have come before leaving."
        return {"days_before": BEFORE, "why": {"all": reason}}
    rows = ready.rows[[*KEY, "churned"]].reset_index(drop=True)
    cuts = ibis.memtable(cutoff_table(ready.days, config.zone, windows=(BEFORE, YEAR)))
    tickets = _tickets(tables, cuts, why)
    answers = _answers(tables, cuts, why)
    left = rows["churned"] == 1
    return {
        "days_before": BEFORE,
        "cutoffs": [str(day) for day in ready.days],
        "leavers": {"rows": int(left.sum()), "customers": _people(rows[left])},
        "stayers": {"rows": int((~left).sum()), "customers": _people(rows[~left])},
        "exit_surveys": _exit_surveys(tables, ready.as_of, config, why),
        "end_reasons": _end_reasons(tables, ready.as_of, config, why),
        "tickets": None if tickets is None else _by_tickets(rows, tickets),
        "last_scores": None if answers is None else _by_scores(rows, answers),
        "silence": _silence(rows, tickets, answers, why),
        "why": why,
    }


def _people(rows: pd.DataFrame) -> int:
    return int(rows["customer_id"].nunique())


def _collected(rows: ir.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pyarrow().to_pandas()
    return frame.assign(cutoff=frame["cutoff"].astype("datetime64[s]"))


def _tickets(tables: Tables, cuts: ir.Table, why: dict[str, str]) -> pd.DataFrame | None:
    """Count each customer's tickets before each cutoff, by kind and topic."""
    if "interactions" not in tables:
        why["tickets"] = "There is no table of interactions."
        return None
    seen = from_customers(known("interactions", tables["interactions"], cuts))
    seen = seen.filter(seen.opened_at >= seen[f"start_{BEFORE}d"])
    by = [c for c in ("kind", "topic") if c in seen.columns]
    told = {c: seen[c].fill_null(UNSAID) for c in by}
    counted = seen.group_by("customer_id", cutoff=seen.cutoff_day, **told).agg(n=seen.count())
    return _collected(counted.order_by("customer_id", "cutoff", *by))


def _by_tickets(rows: pd.DataFrame, tickets: pd.DataFrame) -> Json:
    """Compare how many tickets leavers and stayers had opened."""
    asked = tickets.merge(rows[KEY], on=KEY)
    found: Json = {"all": _compared(rows, asked)}
    for by in ("kind", "topic"):
        if by not in asked:
            found[by] = []
            continue
        levels = _levels(asked, by)
        parts = [{"level": x, **_compared(rows, asked[levels == x])} for x in _ordered(levels)]
        found[by] = [part for part in parts if part["customers"] >= LEAST]
    return found


def _levels(asked: pd.DataFrame, by: str) -> pd.Series:
    """Put levels behind which fewer than 10 customers stand together."""
    people = asked.groupby(by)["customer_id"].nunique()
    return asked[by].where(asked[by].isin(people.index[people >= LEAST]), OTHER)


def _ordered(levels: pd.Series) -> list[str]:
    return sorted(levels.unique(), key=lambda x: (x in (OTHER, UNSAID), x))


def _compared(rows: pd.DataFrame, asked: pd.DataFrame) -> Json:
    """Compare counts per row; who is not in `asked` has none."""
    n = asked.groupby(KEY, as_index=False)["n"].sum()
    each = rows.merge(n, on=KEY, how="left")["n"].fillna(0.0)
    return {**contrast(each, rows["churned"], rows["customer_id"]), "customers": _people(asked)}


def _answers(tables: Tables, cuts: ir.Table, why: dict[str, str]) -> pd.DataFrame | None:
    """Return each customer's newest answer of the year before each cutoff, by kind and touchpoint.

    `recent` tells whether it came within the 90 days before.
    """
    if "surveys" not in tables or "answered_at" not in tables["surveys"].columns:
        why["last_scores"] = "There is no table of surveys with a date of the answer."
        return None
    seen = known("surveys", tables["surveys"], cuts, at="answered_at")
    seen = seen.filter(seen.answered_at >= seen[f"start_{YEAR}d"])
    optional = {"score": "decimal(18, 4)", "touchpoint": "string", "survey_id": "string"}
    made = {c: seen[c] if c in seen.columns else ibis.null(t) for c, t in optional.items()}
    seen = seen.mutate(**made).mutate(touchpoint=made["touchpoint"].fill_null(UNSAID))
    newest = seen.group_by("customer_id", "kind", "touchpoint", cutoff=seen.cutoff_day).agg(
        score=seen.score.argmax(
            ibis.struct({"at": seen.answered_at, "id": seen.survey_id, "score": seen.score}),
            where=seen.score.notnull(),
        ).cast("float64"),
        at=seen.answered_at.max(where=seen.score.notnull()),
        recent=(seen.answered_at >= seen[f"start_{BEFORE}d"]).any(),
    )
    return _collected(newest.order_by("customer_id", "cutoff", "kind", "touchpoint"))


def _by_scores(rows: pd.DataFrame, answers: pd.DataFrame) -> list[Json]:
    """Compare the last scores of leavers and stayers who gave any."""
    scored = answers[answers["score"].notna() & (answers["kind"] != "exit")]
    scored = scored.merge(rows, on=KEY).sort_values([*KEY, "at"], kind="stable")
    found = []
    for kind in sorted(scored["kind"].unique()):
        mine = scored[scored["kind"] == kind]
        touched = mine.assign(touchpoint=_levels(mine, "touchpoint"))
        parts = _ordered(touched["touchpoint"])
        groups = [(x, touched[touched["touchpoint"] == x]) for x in parts if len(parts) > 1]
        for touchpoint, part in [(None, mine), *groups]:
            last = part.drop_duplicates(KEY, keep="last")
            people = last.groupby("churned")["customer_id"].nunique()
            if len(people) == 2 and people.min() >= LEAST:
                told = contrast(last["score"], last["churned"], last["customer_id"])
                whom = {"kind": kind, "touchpoint": touchpoint, "customers": _people(last)}
                found.append(whom | told)
    return found


def _silence(
    rows: pd.DataFrame,
    tickets: pd.DataFrame | None,
    answers: pd.DataFrame | None,
    why: dict[str, str],
) -> Json | None:
    """Compare how many had neither opened a ticket nor answered a survey in the 90 days before."""
    spoke = [part[KEY] for part in (tickets,) if part is not None]
    spoke += [part.loc[part["recent"], KEY] for part in (answers,) if part is not None]
    if not spoke:
        why["silence"] = "There are no tickets and no answers to be silent beside."
        return None
    heard = pd.concat(spoke).drop_duplicates().assign(heard=True)
    silent = rows.merge(heard, on=KEY, how="left")["heard"].isna().astype(float)
    return {
        **contrast(silent, rows["churned"], rows["customer_id"]),
        "customers": _people(rows[silent == 1]),
    }


def _exit_surveys(
    tables: Tables, until: dt.date, config: Config, why: dict[str, str]
) -> Json | None:
    """Say how many exit surveys were answered, and how; never what was written."""
    surveys = tables.get("surveys")
    if surveys is None or "answered_at" not in surveys.columns:
        why["exit_surveys"] = "There is no table of surveys with a date of the answer."
        return None
    asked = known("surveys", surveys, ibis.memtable(cutoff_table([until], config.zone)))
    asked = asked.filter(asked.kind == "exit")
    score = asked.score if "score" in asked.columns else ibis.null("decimal(18, 4)")
    sent = asked.sent_at if "sent_at" in asked.columns else asked.answered_at
    days = int(config.feature_settings["response_days"])
    told = asked.select(
        "customer_id",
        answered=asked.answered_at.notnull(),
        silent=asked.answered_at.isnull() & (sent <= asked.cutoff - ibis.interval(days=days)),
        score=score.cast("float64"),
    )
    frame = told.order_by("customer_id", "answered", "score").to_pyarrow().to_pandas()
    if frame.empty:
        why["exit_surveys"] = "There are no exit surveys."
        return None
    decided = frame[frame["answered"] | frame["silent"]]
    given = frame[frame["score"].notna()]
    rated = share_of(decided["answered"], decided["customer_id"])
    return {
        "sent": len(frame) if "sent_at" in surveys.columns else None,
        "answered": int(frame["answered"].sum()),
        "answer_share": rated if "sent_at" in surveys.columns else None,
        "score": mean_of(given["score"], given["customer_id"], LEAST),
    }


def _end_reasons(
    tables: Tables, until: dt.date, config: Config, why: dict[str, str]
) -> list[Json] | None:
    """Count the reasons of subscriptions that ended for good."""
    held = tables.get("subscriptions")
    if held is None or not {"ended_at", "end_reason"} <= set(held.columns):
        why["end_reasons"] = "There is no table of subscriptions with `ended_at` and `end_reason`."
        return None
    ends = labels.ends(tables, until, config.zone, config.churn.grace_days)
    ends = ends.fillna({"reason": UNSAID})
    return [
        {"reason": x, "ends": int((ends["reason"] == x).sum()),
         **share_of(ends["reason"] == x, ends["customer_id"])}
        for x in _ordered(ends["reason"])
    ]  # fmt: skip
