"""The value of subscriptions held against what came, beside the simplest rules.

The reported origin is the earliest test cutoff of the churn backtest, so that the chances are those
it stated there, by models that knew nothing later; the horizon is as long as the log allows from
it. The longer validation horizon begins before there was anything to test, so there the chance is
the timing's own: it judges how long subscriptions last beyond the label window.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from tenure import labels
from tenure.backtest.churn import Backtest
from tenure.backtest.stakes import NO_PRICE, value_unit
from tenure.backtest.subscription_rows import BY_AGE, KEYS, MODEL, SAID, expected_and_came
from tenure.backtest.value import validation_days
from tenure.config import Config
from tenure.cutoffs import LEAST_HISTORY
from tenure.errors import DataError
from tenure.evaluation.clv import coverage, deciles, measure
from tenure.value.totals import LEAST_ORIGINS, widened

__all__ = ["FAMILY", "ContractBacktest", "figures", "run"]

Json = dict[str, Any]

FAMILY = "shifted_beta_geometric"
OUTCOMES = ("value", "months")
Z = 1.6448536269514722  # 95 % of the standard normal


@dataclass(frozen=True)
class ContractBacktest:
    """What was expected of subscriptions at past origins, and what came.

    Attributes
    ----------
    figures : dict
        The `clv` part of `metrics.json`.
    notes : tuple of str
        For people.
    rows : DataFrame
        All that the figures are made of; empty without an origin.
    """

    figures: Json
    notes: tuple[str, ...]
    rows: pd.DataFrame


def run(
    tables: Mapping[str, ir.Table],
    churn: Backtest,
    config: Config,
    first_day: dt.date,
    observed_until: dt.date,
) -> ContractBacktest:
    """Value everybody who subscribed at the origins, and take what they brought.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    churn : Backtest
        Its earliest test cutoff is the reported origin, and what it said there the chance.
    config : Config
    first_day, observed_until : date
        Both ends of the log.
    """
    stated = churn.test[KEYS].assign(p=churn.said)
    origin, longest = churn.tests[0], validation_days(first_day, observed_until)
    days = min(longest, (observed_until - origin).days)
    found = []
    try:
        if not labels.has_price(tables):
            raise DataError(NO_PRICE)
        cuts = _origins(origin, days, first_day)
        found.append(expected_and_came(tables, stated, config, cuts, days))
    except DataError as fault:
        why = f"Value is declined: {fault}"
        return ContractBacktest(_declined(why, config), (why,), pd.DataFrame())
    notes: tuple[str, ...] = ()
    if longest > days:
        cuts = _origins(observed_until - dt.timedelta(days=longest), longest, first_day)
        try:
            found.append(expected_and_came(tables, stated.iloc[:0], config, cuts, longest))
        except DataError as fault:
            notes = (f"Value over {longest} days was not judged: {fault}",)
    rows = pd.concat(found, ignore_index=True)
    return ContractBacktest(figures(rows, config, days), notes, rows)


def _origins(last: dt.date, days: int, first_day: dt.date) -> tuple[dt.date, ...]:
    """Return the origins the log affords, oldest first: their horizons do not overlap."""
    cuts = [last]
    while (cuts[-1] - first_day).days - days >= LEAST_HISTORY:
        cuts.append(cuts[-1] - dt.timedelta(days=days))
    return tuple(reversed(cuts))


def figures(rows: pd.DataFrame, config: Config, horizon_days: int) -> Json:
    """Judge the model and the rules at the newest origins.

    Parameters
    ----------
    rows : DataFrame
        From `run`; figures need nothing else.
    config : Config
        Its seed, and what value means.
    horizon_days : int
        Of the reported origin.

    Returns
    -------
    dict
        The `clv` part of `metrics.json`; beside the value of customers, their `months` paid.
    """
    here = rows["horizon_days"] == horizon_days
    holdout, baselines = _judged(rows[here], config, horizon_days)
    told = {
        "family": FAMILY,
        "why": _why(holdout["origin"], horizon_days, config),
        "unit": value_unit(config.clv),
        "holdout": holdout,
        "baselines": baselines,
    }
    if not here.all():
        longest = int(rows["horizon_days"].max())
        longer, beside = _judged(rows[~here], config, longest)
        beside.pop(BY_AGE, None)  # there it is the model itself
        told["longer"] = {"holdout": longer, "baselines": beside}
    return told


def _judged(rows: pd.DataFrame, config: Config, days: int) -> tuple[Json, Json]:
    """Return the figures of the model, and those of the rules by name."""
    seed, newest = config.model.seed, rows["cutoff"].max()
    late = rows[rows["cutoff"] == newest]
    price, came = late["price"].to_numpy(), late["value"].to_numpy()
    names = [c.removeprefix(SAID) for c in late if c.startswith(SAID)]
    said = {n: late[f"{SAID}{n}"].to_numpy() for n in names}
    judged = {n: measure(came, price * months, seed=seed) for n, months in said.items()}
    months = late["months"].to_numpy()
    columns = {"value": (price * said[MODEL], came), "months": (said[MODEL], months)}
    inside = {n: float(late[f"{n}_inside"].mean()) for n in OUTCOMES}
    covered = {
        n: coverage(late[f"{n}_below"], late[f"{n}_until"], seed=seed) | {"inside": inside[n]}
        for n in OUTCOMES
    }
    holdout = {
        "horizon_days": days,
        "origin": str(newest.date()),
        "unit": "revenue",  # what came is held against what was said, before any margin
        "customers": len(late),
        **judged.pop(MODEL),
        "months": measure(months, said[MODEL], seed=seed),
        "deciles": deciles(price * said[MODEL], columns, seed=seed),
        "coverage": {"level": 0.9, **covered},
        "total": _totals(rows, newest),
    }
    return holdout, judged


def _totals(rows: pd.DataFrame, newest: pd.Timestamp) -> Json:
    """Hold the totals of the newest origin against what came, as sure as earlier ones were."""
    by_origin = {
        pd.Timestamp(str(cut)): {name: _total(here, name) for name in OUTCOMES}
        for cut, here in rows.groupby("cutoff")
    }
    late = by_origin.pop(newest)
    enough = len(by_origin) >= LEAST_ORIGINS
    found: Json = {"scope": "widened by earlier origins" if enough else "model only"}
    for name, total in late.items():
        pairs = [(one[name]["actual"], one[name]["expected"]) for one in by_origin.values()]
        errors = [float(np.log(came / said)) for came, said in pairs if came > 0 and said > 0]
        lower, upper = widened(total["expected"], total["lower"], total["upper"], errors)
        found[name] = _against(total["expected"], lower, upper, total["actual"])
    found["origins"] = [{"origin": str(cut.date()), **one} for cut, one in by_origin.items()]
    return found


def _total(rows: pd.DataFrame, outcome: str) -> Json:
    """Sum what was expected, with 90 % by independent ends and the timing's own two parameters."""
    price = rows["price"] if outcome == "value" else 1.0
    expected = float((rows[f"{SAID}{MODEL}"] * price).sum())
    alone = float((rows["variance"] * price**2).sum())
    together = sum(float((rows[c] * price).sum()) ** 2 for c in ("drift_1", "drift_2"))
    reach = Z * float(np.sqrt(alone + together))
    actual = float(rows[outcome].sum())
    return _against(expected, max(expected - reach, 0.0), expected + reach, actual)


def _against(expected: float, lower: float, upper: float, actual: float) -> Json:
    return {
        "expected": expected,
        "lower": lower,
        "upper": upper,
        "actual": actual,
        "inside": lower <= actual <= upper,
    }


def _why(origin: str, days: int, config: Config) -> str:
    return (
        "The end of a subscription follows the shifted beta-geometric from its age; the chance of "
        f"leaving within {config.churn.label_days} days is the one that the churn backtest stated "
        f"on {origin}, its earliest test cutoff. So models that knew nothing later are judged, "
        f"over the {days} days that the log holds after it."
    )


def _declined(why: str, config: Config) -> Json:
    return {
        "family": None,
        "why": why,
        "unit": value_unit(config.clv),
        "holdout": {"horizon_days": None, "origin": None},
        "baselines": {},
    }
