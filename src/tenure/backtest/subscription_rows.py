"""What was expected of each subscriber at past origins, and what came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure import labels
from tenure.backtest.subscription_rules import staying_days
from tenure.config import Config
from tenure.errors import DataError
from tenure.labels.terms import MONTH_DAYS
from tenure.models.ends import Ends
from tenure.models.spells import fit_spells
from tenure.value import Contracts

__all__ = ["BY_AGE", "KEYS", "MODEL", "SAID", "expected_and_came"]

Array = npt.NDArray[np.float64]

MODEL, BY_AGE = "model", "sbg_by_age"
SAID = "months_by_"
KEYS = ["customer_id", "cutoff"]
_STAYED = 0.01  # of a day: so much may be missing at the end of the horizon


def expected_and_came(
    tables: Mapping[str, ir.Table],
    stated: pd.DataFrame,
    config: Config,
    cuts: Sequence[dt.date],
    days: int,
) -> pd.DataFrame:
    """Put beside what was expected of the next days what came in them.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    stated : DataFrame
        `customer_id`, `cutoff`, `p`: chances of leaving stated then; elsewhere the timing's own.
    config : Config
        The question.
    cuts : sequence of date
        The origins, oldest first; earlier ones from which nothing can be learnt are left out.
    days : int

    Returns
    -------
    DataFrame
        A row for everybody with a running subscription, a known price and no notice given:
        `customer_id`, `cutoff`, `horizon_days`, `price` then; `value` and `months` that came;
        `months_by_<name>` of the model and the rules; of the model, `variance` and `drift_1`,
        `drift_2` of its months, and for both outcomes `_below`, `_until` (how probable less, and
        at most so much) and `_inside` (the bounds).

    Raises
    ------
    DataError
        If the newest origin has nobody, or nothing can be learnt at it.
    """
    zone, newest = config.zone, pd.Timestamp(cuts[-1])
    lives = labels.cohorts(tables, cuts, zone, config.churn)
    people = labels.standing(tables, cuts, zone)
    people = people[people["status"].isin(["scored", "trial"])]
    running = lives[lives["runs"]].groupby(KEYS, as_index=False).last()
    for facts in (labels.terms(tables, cuts, zone), running[[*KEYS, "age", "plan", "year"]]):
        people = people.merge(facts, on=KEYS)
    for facts in (stated[[*KEYS, "p"]], labels.revenue(tables, cuts, zone, days)):
        people = people.merge(facts, on=KEYS, how="left")
    people = people[people["price"].notna()].fillna({"value": 0.0, "months": 0.0})
    parts = []
    for cut in map(pd.Timestamp, cuts):
        here, known = people[people["cutoff"] == cut], lives[lives["cutoff"] == cut]
        try:
            parts.append(_said(here, known[known["days"] >= 0], config, days))
        except DataError:
            if cut == newest:
                raise
    if parts[-1].empty:
        raise DataError(f"at {newest.date()}: nobody with a known price subscribed.")
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _said(people: pd.DataFrame, lives: pd.DataFrame, config: Config, days: int) -> pd.DataFrame:
    """Add the months that the model and the rules expected, and how sure the model was."""
    timing = fit_spells(lives["days"], lives["left"])
    age, wait, p = (people[c].to_numpy(dtype=np.float64) for c in ("age", "unpaid_days", "p"))
    months = Contracts(  # of one unit of money each
        Ends(timing.sbg, age, config.churn.gap_days, config.churn.label_days),
        price=np.ones(len(people)),
        horizon_days=days,
        annual_discount_rate=0.0,
        margin=1.0,
        unpaid_days=wait,
    )
    expected = {MODEL: months.clv(p), BY_AGE: months.clv(np.nan)}
    for name, stays in staying_days(lives, people, days).items():
        expected[name] = np.maximum(stays - np.minimum(wait, days), 0.0) / MONTH_DAYS
    drift = months.drift(p)
    return people[[*KEYS, "price", "value", "months"]].assign(
        horizon_days=days,
        **{f"{SAID}{name}": column for name, column in expected.items()},
        variance=months.variance(p),
        drift_1=drift[:, 0],
        drift_2=drift[:, 1],
        **_held(months, p, expected[MODEL], people),
    )


def _held(months: Contracts, p: Array, mean: Array, people: pd.DataFrame) -> dict[str, Array]:
    """Say where what came lies within the model's law, as months and as money."""
    low, high = months.interval(p, mean)
    slack = _STAYED / MONTH_DAYS
    price, value = (people[c].to_numpy(dtype=np.float64) for c in ("price", "value"))
    free = (price <= 0) & (value <= 0)  # nothing was said, and nothing came
    for_free = np.where(value > 0, np.inf, 0.0)
    outcomes = {
        "months": people["months"].to_numpy(dtype=np.float64),
        "value": np.divide(value, price, out=for_free, where=price > 0),
    }
    found: dict[str, Array] = {}
    for name, came in outcomes.items():
        found[f"{name}_below"], found[f"{name}_until"] = _reached(months, p, came)
        found[f"{name}_inside"] = (low - slack <= came) & (came <= high + slack)
    found["value_below"] = np.where(free, 0.0, found["value_below"])
    found["value_until"] = np.where(free, 1.0, found["value_until"])
    found["value_inside"] = np.where(free, True, found["value_inside"])
    return found


def _reached(contracts: Contracts, p: Array, months: Array) -> tuple[Array, Array]:
    """P(fewer months than came) and P(at most so many); to stay to the end has its own chance."""
    days = contracts.horizon_days
    wait = np.minimum(np.asarray(contracts.unpaid_days, dtype=np.float64), days)
    paid, most = months * MONTH_DAYS, days - wait
    gone = 1 - contracts.ends.survival(np.minimum(paid, most) + wait, p)
    all_gone = 1 - contracts.ends.survival(np.full(len(p), days), p)
    to_the_end, more = np.abs(paid - most) <= _STAYED, paid > most + _STAYED
    below = np.select([paid <= 0, more, to_the_end], [np.zeros(len(p)), 1.0, all_gone], gone)
    return below, np.where(to_the_end | more, 1.0, gone)
