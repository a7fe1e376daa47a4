"""One grouped query for each kind of rows, group and period; then figures with likely ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from tenure.kpis import intervals
from tenure.kpis.registry import Figure, Rows
from tenure.kpis.world import World

__all__ = ["ALL", "LEAST", "OTHER", "cells"]

ALL = "all"
OTHER = "other"  # what is left of a column with many values
LEAST = 10  # customers and rows below which a group's figures are not shown
MOST = 20  # values of a column that are shown by themselves
_KEYS = ["figure", "period", "by", "group"]
_DIGITAL = r"web|app|online|e-?mail|chat|phone|call|sms|text|social|whatsapp|site|mobile|portal|bot"
_PHYSICAL = r"store|shop|branch|physical|counter|office|pos\b|showroom|kiosk|in.?person"
_NUMBER = "decimal(18, 4)"
_NOTHING = ibis.literal(0, _NUMBER)
_SECONDS = {"hours": 3600, "working hours": 3600, "days": 86400}
_WHOLE = ""  # the period of the whole log
_AT_ONCE = 500_000  # rows up to which all groupings are made in one pass


def cells(world: World, kind: Rows, figures: Sequence[Figure]) -> pd.DataFrame:
    """Compute every figure of one kind of rows, for all and by group, by month and overall.

    Returns
    -------
    DataFrame
        `period` (text, empty for the whole log), `figure`, `by`, `group`, `n`, `customers`,
        `value`, `lower`, `upper`, `unit`; nothing is suppressed yet.
    """
    t = _with_groups(world, kind)
    names = [*(c for c in (*kind.by, "channel_kind") if c in t.columns), *_attributes(t)]
    names = list(dict.fromkeys(names))
    parts = {f"part_{i}": part for i, f in enumerate(figures) for part in [_part(f, t, i)]}
    t = t.select("customer_id", *names, *parts.values(), month=_period(world, t, kind))
    name = f"kpi_{kind.name}_{uuid4().hex[:8]}"
    held = world.con.create_table(name, t)
    try:
        rows, held = _few_levels(world, held, names)
        every = [ALL, *names]
        batches = [every] if rows * len(every) <= _AT_ONCE else [[by] for by in every]
        found = [_grouped(world, held, kind, figures, by) for by in batches]
    finally:
        world.con.drop_table(name)
    return pd.concat([f for f in found if len(f)] or [pd.DataFrame()], ignore_index=True)


def _with_groups(world: World, kind: Rows) -> ir.Table:
    """Add what every kind of rows can be grouped by: attributes, and the channel's nature."""
    t = kind.build(world)
    if "channel" in t.columns:
        word = t.channel.lower()
        t = t.mutate(
            channel_kind=ibis.cases(
                (word.re_search(_DIGITAL), "digital"),
                (word.re_search(_PHYSICAL), "physical"),
                else_=ibis.null("string"),
            )
        )
    people = world.tables.get("customers")
    named = [] if people is None else _attributes(people)
    if people is not None and named:
        once = people.select("customer_id", *named).distinct(on="customer_id", keep="first")
        t = t.left_join(once, "customer_id").drop("customer_id_right")
    return t


def _attributes(t: ir.Table) -> list[str]:
    given = [c for c in t.columns if c.startswith("attribute[")]
    return [c for c in given if t[c].type().is_string()]


def _few_levels(world: World, t: ir.Table, names: Sequence[str]) -> tuple[int, ir.Table]:
    """Return how many rows there are, and them with the rarest of many values put together."""
    sizes = t.aggregate(n=t.count(), **{f"n_{i}": t[c].nunique() for i, c in enumerate(names)})
    counts = list(world.con.to_pyarrow(sizes).to_pylist()[0].values())
    for name, n in zip(names, counts[1:], strict=True):
        if n > MOST:
            ranked = t.group_by(level=t[name]).agg(n=t.count()).order_by(ibis.desc("n"), "level")
            ranked = ranked.filter(ranked.level.notnull()).limit(MOST)
            levels = world.con.to_pyarrow(ranked)["level"].to_pylist()
            kept = t[name].isin(levels).ifelse(t[name], OTHER)
            t = t.mutate(**{name: t[name].notnull().ifelse(kept, None)})
    return counts[0], t


def _period(world: World, t: ir.Table, kind: Rows) -> ir.StringValue:
    """Return the month of each row as text: none where it is not a full month of the log."""
    month = t.month.strftime("%Y-%m-%d")
    if kind.own_periods:
        return month.fill_null(_WHOLE)
    months = world.months(*sorted({n.split(".")[0] for n in kind.needs if "|" not in n}))
    return t.month.isin(months).ifelse(month, None) if months else ibis.null("string")


def _part(figure: Figure, t: ir.Table, i: int) -> ir.StructValue:
    """Return what a row adds to a figure.

    `y` above and `x` below the line; for a difference `y0` and `x0` those of the other arm, for
    promoters and detractors `y0` is y²; for durations `seconds` and whether they have `ended`.
    """
    body = figure.body(t)
    one, x, y0, x0 = ibis.literal(1, _NUMBER), None, _NOTHING, _NOTHING
    seconds, ended = ibis.null("int64"), ibis.null("boolean")
    if figure.measure == "median":
        seconds, ended = body
        y = seconds.notnull().ifelse(one, None)
    elif figure.measure == "ratio":
        y, x = (_number(part) for part in body)
        y = x.notnull().ifelse(y, None)
    elif figure.measure == "difference":
        came, arm = _number(body[0]), body[1]
        counts = came.notnull()
        y, x = counts.ifelse(arm.ifelse(came, _NOTHING), None), arm.ifelse(one, _NOTHING)
        y0, x0 = arm.ifelse(_NOTHING, came), arm.ifelse(_NOTHING, one)
    else:
        y = _number(body)
        y0 = (y * y).cast(_NUMBER) if figure.measure == "nps" else _NOTHING
    made = {"y": y, "x": one if x is None else x, "y0": y0, "x0": x0}
    return ibis.struct(
        {"figure": ibis.literal(i, "int64"), **{k: v.cast(_NUMBER) for k, v in made.items()},
         "seconds": seconds.cast("int64"), "ended": ended}
    ).name(f"part_{i}")  # fmt: skip


def _number(value: ir.Value) -> ir.DecimalValue:
    return (value.cast("int64") if value.type().is_boolean() else value).cast(_NUMBER)


def _grouped(
    world: World, held: ir.Table, kind: Rows, figures: Sequence[Figure], bys: Sequence[str]
) -> pd.DataFrame:
    """Compute the figures for the groups of some columns."""
    named = [
        ibis.struct({"by": by, "group": ibis.literal(ALL) if by == ALL else held[by]}) for by in bys
    ]
    parts = [held[f"part_{i}"] for i in range(len(figures))]
    t = held.select(
        "customer_id", "month", where=ibis.array(named).unnest(), parts=ibis.array(parts)
    )
    t = t.filter(t.where["group"].notnull())
    t = t.select("customer_id", "month", "where", part=t.parts.unnest())
    t = t.filter(t.part["y"].notnull())
    if not kind.own_periods:
        both = ibis.array([ibis.literal(_WHOLE), t.month]).unnest()
        t = t.select("customer_id", "where", "part", month=both)
    fields = {c: t.part[c] for c in t.part.names} | {c: t.where[c] for c in ("by", "group")}
    t = t.select("customer_id", period=t.month, **fields).filter(lambda r: r.period.notnull())
    moments = _moments(world, t)
    lasting = any(f.measure == "median" for f in figures)
    durations = _durations(world, t) if lasting else {}
    found = []
    for i, figure in enumerate(figures):
        m = moments[moments["figure"] == i]
        given = [figure.overall if by == ALL else figure.given_by(by) for by in m["by"]]
        if any(given):
            found.append(_computed(figure, m[given], durations))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _moments(world: World, t: ir.Table) -> pd.DataFrame:
    """Sum each figure's parts by customer, then these sums and their products over customers."""
    rows = ((t.x != 0) | (t.x0 != 0)).sum()
    sums = {c: t[c].sum().cast(_NUMBER) for c in ("y", "x", "y0", "x0")}
    each = t.group_by("customer_id", *_KEYS).agg(**sums, n=rows)
    over = {c: each[c].sum() for c in ("n", "y", "x", "y0", "x0")}
    over |= {"yy": (each.y * each.y).sum(), "xy": (each.x * each.y).sum()}
    over |= {"xx": (each.x * each.x).sum(), "g": (each.n > 0).sum()}
    found = each.group_by(*_KEYS).agg(**{k: v.cast("float64") for k, v in over.items()})
    frame: pd.DataFrame = world.con.to_pyarrow(found.order_by(*_KEYS)).to_pandas()
    return frame[frame["n"] > 0]


def _durations(world: World, t: ir.Table) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Count how often each duration comes, for every figure, period and group."""
    t = t.filter(t.seconds.notnull())
    counted = t.group_by(*_KEYS, "seconds", "ended").agg(count=t.count())
    found = world.con.to_pyarrow(counted.order_by(*_KEYS, "seconds", "ended")).to_pandas()
    return dict(iter(found.groupby(_KEYS, sort=False)))


def _computed(
    figure: Figure, m: pd.DataFrame, durations: dict[tuple[Any, ...], pd.DataFrame]
) -> pd.DataFrame:
    """Turn the sums of one figure into values with their likely ranges."""
    if figure.measure == "difference":
        m = m[(m["x"] > 0) & (m["x0"] > 0)]
    if figure.measure == "median":
        keys = m[_KEYS].itertuples(index=False, name=None)
        found = [_median(durations[key]) for key in keys]
        value, lower, upper = np.array(found).T / _SECONDS[figure.unit]
    else:
        sums = {c: m[c].to_numpy(np.float64) for c in m.columns.difference(_KEYS)}
        value, lower, upper = _estimate(figure, sums)
    return pd.DataFrame(
        {"period": m["period"], "by": m["by"], "group": m["group"], "figure": figure.name,
         "n": m["n"], "customers": m["g"], "value": value, "lower": lower, "upper": upper,
         "unit": figure.unit}
    )  # fmt: skip


def _median(found: pd.DataFrame) -> tuple[float, float, float]:
    lasted = found["seconds"].to_numpy(np.float64)
    return intervals.median(lasted, found["ended"].to_numpy(bool), found["count"].to_numpy())


def _estimate(figure: Figure, m: dict[str, np.ndarray]) -> intervals.Three:
    if figure.measure == "total":
        return intervals.total(m["y"], m["yy"])
    if figure.measure == "difference":
        return intervals.newcombe(m["y"], m["x"], m["y0"], m["x0"])
    variance = intervals.cluster_variance(*(m[c] for c in ("y", "x", "yy", "xy", "xx", "g")))
    if figure.measure in ("mean", "ratio"):
        return intervals.ratio(m["y"], m["x"], variance, m["g"])
    n, squares = m["n"], m["y0"] if figure.measure == "nps" else m["y"]
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = (squares / n - (m["y"] / n) ** 2) / (n - 1)
    effect = intervals.design_effect(variance, alone)
    if figure.measure == "nps":
        return intervals.nps(m["y"], squares, n, effect)
    return intervals.wilson(m["y"] / n, n, effect)
