"""Who left, month by month, by the config's definition, and what had happened to them before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from tenure import labels
from tenure.contract import SCALES
from tenure.features.interactions import from_customers
from tenure.kpis.bad import bad_moments
from tenure.kpis.registry import figure, rows
from tenure.kpis.surveys import low_limit, response_days, scale
from tenure.kpis.world import World

__all__ = ["leavers", "meaning"]

YEAR = 365


def meaning(world: World) -> str:
    """Say what leaving means under this config."""
    churn = world.config.churn
    gap = f", from {churn.gap_days} days on" if churn.gap_days else ""
    if churn.kind == "label":
        return "Leaving is what the column `label` of the customers says."
    if churn.kind == "subscription":
        return (
            f"Leaving means that every subscription ends within {churn.horizon_days} days of the "
            f"first of the month{gap}, as the subscriber wanted, and none follows within "
            f"{churn.grace_days} days. Asked of subscribers out of trial who had not given notice."
        )
    active = "ever" if churn.active_days is None else f"in the {churn.active_days} days before"
    return (
        f"Leaving means no purchase within {churn.horizon_days} days of the first of the month"
        f"{gap}. Asked of customers who bought {active}."
    )


def _months(world: World) -> list[dt.date]:
    """Return the months on whose first day the outcome is known."""
    known = dt.timedelta(days=world.config.churn.complete_days)
    if world.config.churn.table not in world.spans:  # nothing before the end of observation
        return []
    first, until = world.spans[world.config.churn.table]
    inside = [m for m in world.months() if m + known <= until]
    return [m for m in inside if m > first]


def _inactive(world: World, cuts: ir.Table) -> ir.Table:
    """Return everybody active on each first of the month, and whether they bought again."""
    t = world.purchases()
    days = t.select("customer_id", "day").distinct()
    if world.config.churn.active_days is None:
        first = days.group_by("customer_id").agg(day=days.day.min())
        asked = first.join(cuts, [first.day < cuts.starts_day])
    else:
        asked = days.join(cuts, [days.day < cuts.starts_day, days.day >= cuts.since_day])
    asked = asked.select("customer_id", "month").distinct()
    again = days.join(cuts, [days.day >= cuts.opens_day, days.day < cuts.closes_day])
    again = again.select("customer_id", "month", stayed=ibis.literal(True)).distinct()
    joined = asked.left_join(again, ["customer_id", "month"])
    return joined.select("customer_id", "month", churned=joined.stayed.isnull())


def _ended(world: World, months: list[dt.date]) -> ir.Table:
    """Return who could end a subscription on each first of the month, and whether they did."""
    churn, zone = world.config.churn, world.config.zone
    standing = labels.standing(world.tables, months, zone)
    keys = standing.loc[standing["status"] == "scored", ["customer_id", "cutoff"]]
    keys = keys.reset_index(drop=True)
    gone = labels.departures(world.tables, keys, months, zone, churn)
    return ibis.memtable(
        pa.table(
            {
                "customer_id": pa.array(keys["customer_id"].astype(str), pa.string()),
                "month": pa.array(keys["cutoff"].dt.date, pa.date32()),
                "churned": pa.array(gone.astype(bool)),
            }
        )
    )


def calendar(world: World) -> ir.Table:
    """Return each month with the moments its outcome depends on."""
    churn = world.config.churn
    return world.calendar(
        _months(world), since=-(churn.active_days or 0), year=-YEAR, opens=churn.gap_days,
        closes=churn.label_days,
    )  # fmt: skip


def leavers(world: World) -> ir.Table:
    """Return `customer_id`, `month` and `churned` of everybody who could leave that month."""
    if world.config.churn.kind == "label":
        t = world.tables["customers"].filter(lambda c: c.label.notnull())
        return t.select("customer_id", month=ibis.null("date"), churned=t.label)
    cuts, months = calendar(world), _months(world)
    if world.config.churn.kind == "subscription":
        found = _ended(world, months)
    else:
        found = _inactive(world, cuts)
    if world.config.churn.exclude_treated and "treatments" in world.tables:
        t = world.tables["treatments"]
        t = t.filter(t.treated)
        reached = t.join(cuts, [t.ts >= cuts.opens, t.ts < cuts.closes])
        found = found.anti_join(reached.select("customer_id", "month"), ["customer_id", "month"])
    return found


@rows("transactions|subscriptions|customers.label", by=("bad_experiences", "score_band"))
def customer_months(world: World) -> ir.Table:
    """Customers who could leave on the first of each month, and whether they did."""
    t = leavers(world)
    if world.config.churn.kind == "label":
        return t
    cuts, key = calendar(world), ["customer_id", "month"]
    moments = bad_moments(world)
    if moments is not None:
        near = moments.join(cuts, [moments["at"] < cuts.starts, moments["at"] >= cuts.year])
        bad = near.group_by(key).agg(bad=near.count())
        t = _left(t, bad, key)
        many = ibis.least(t.bad.fill_null(0), 3).cast("string")
        t = t.mutate(bad_experiences=(many == "3").ifelse("3+", many)).drop("bad")
    if world.has("surveys"):
        t = _with_band(world, t, cuts)
    t = _with_silence(world, t, cuts)
    if world.has("transactions"):
        money = world.ledger()
        spent = money.join(cuts, [money.ts >= cuts.opens, money.ts < cuts.closes])
        spent = spent.group_by(key).agg(spend=spent.amount.sum().cast("decimal(18, 4)"))
        t = _left(t, spent, key)
        t = t.mutate(spend=t.spend.fill_null(ibis.literal(0, "decimal(18, 4)")))
    return t


def _left(t: ir.Table, other: ir.Table, key: list[str]) -> ir.Table:
    joined = t.left_join(other, key)
    return joined.drop(*(c for c in joined.columns if c.endswith("_right")))


def _with_band(world: World, t: ir.Table, cuts: ir.Table) -> ir.Table:
    """Add what each customer's last score before the month says, or that there is none."""
    surveys, key = world.tables["surveys"], ["customer_id", "month"]
    kinds = world.con.to_pyarrow(surveys.select("kind").distinct())["kind"].to_pylist()
    kind = next((k for k in SCALES if k in kinds), None)
    if kind is None:
        return t
    sent = surveys.sent_at if "sent_at" in surveys.columns else surveys.answered_at
    name = world.column(surveys, "survey_id", "string")
    s = surveys.filter(surveys.kind == kind)
    s = s.select("customer_id", sent=sent, said_at=world.column(s, "answered_at", "timestamp(6)"),
                 name=name, score=world.column(s, "score", "decimal(18, 4)"))  # fmt: skip
    said = s.filter(s.said_at.notnull(), s.score.notnull())
    said = said.join(cuts, [said.said_at < cuts.starts])
    last = said.group_by(key).agg(
        score=said.score.argmax(ibis.struct({"t": said.said_at, "n": said.name, "s": said.score}))
    )
    waited = s.group_by("customer_id").agg(
        silent_at=s.sent.min() + ibis.interval(days=response_days(world))
    )
    t = _left(_left(t, last, key), waited, ["customer_id"])
    t = _left(t, cuts.select("month", "starts"), ["month"])
    low, top = low_limit(world, kind), scale(world, kind)[1] - 1
    words = ("promoter", "passive", "detractor") if kind == "nps" else ("high", "middle", "low")
    band = ibis.cases(
        (t.score >= top, words[0]),
        (t.score > low, words[1]),
        (t.score.notnull(), words[2]),
        ((t.silent_at <= t.starts).fill_null(False), "silent"),
        else_="never asked",
    )
    return t.mutate(score_band=band).drop("score", "silent_at", "starts")


def _with_silence(world: World, t: ir.Table, cuts: ir.Table) -> ir.Table:
    """Add whether a customer had complained or answered by the end of the outcome's window."""
    spoke = []
    if world.has("interactions"):
        c = from_customers(world.tables["interactions"])
        c = c.filter(c.kind == "complaint") if "kind" in c.columns else c
        spoke.append(c.select("customer_id", at="opened_at"))
    if world.has("surveys.answered_at"):
        s = world.tables["surveys"].filter(lambda s: s.answered_at.notnull())
        spoke.append(s.select("customer_id", at="answered_at"))
    if not spoke:
        return t
    both = spoke[0].union(spoke[1]) if len(spoke) > 1 else spoke[0]
    t = _left(t, both.group_by("customer_id").agg(spoke_at=both["at"].min()), ["customer_id"])
    t = _left(t, cuts.select("month", "closes"), ["month"])
    silent = t.spoke_at.isnull() | (t.spoke_at >= t.closes)
    return t.mutate(is_silent=silent).drop("spoke_at", "closes")


@figure(customer_months, "share", unit="share", better=-1)
def churn_rate(t: ir.Table) -> Any:
    """Of the customers who could leave on the first of the period, the share who left, as
    `churn` in the config defines it; of the whole log, over all such months."""
    return t.churned


@figure(customer_months, "share", unit="share", better=1)
def retention_rate(t: ir.Table) -> Any:
    """One minus the churn rate."""
    return ~t.churned


@figure(customer_months, "share", unit="share", better=-1, by=("*",),
        needs=("interactions|surveys.answered_at",))  # fmt: skip
def left_in_silence_rate(t: ir.Table) -> Any:
    """Of the customers who left, the share who had never complained nor answered a survey by
    the end of the window in which they left (without kinds of contacts, any contact counts as a
    complaint)."""
    return t.churned.ifelse(t.is_silent, ibis.null("boolean"))


@figure(customer_months, "mean", unit="currency", better=1, needs=("transactions",))
def spend_after(t: ir.Table) -> Any:
    """Money spent, less refunds, per customer who could leave on the first of the period,
    within the window in which leaving is looked for."""
    return t.spend
