"""Value predictions held against what happened: family chosen early, reported late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.backtest.tracking import pictures
from tenure.config import ClvConfig, Config
from tenure.errors import DataError
from tenure.evaluation.clv import baselines, coverage, deciles, holdout
from tenure.models import pareto
from tenure.models.btyd import Family, PurchaseModel
from tenure.models.clv import fit_purchases, fit_spend
from tenure.models.futures import totals
from tenure.models.predictive import laws
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase

__all__ = ["FAMILIES", "ValueBacktest", "origins", "run", "validation_days"]

FAMILIES: tuple[Family, ...] = ("mbg_nbd", "bg_nbd")
LONGEST = 365
TIE = 0.01  # of the RMSE
FUTURES = 400  # drawn for the totals
RFM = ["frequency", "recency", "T"]
HISTORY = [*RFM, "monetary_value"]
KEYS = ["customer_id", "cutoff"]
OUTCOME = ["purchase_days", "value"]
AFTER = [f"{name}_after" for name in OUTCOME]
"""Beside the features: other columns may be called `purchase_days` there."""


@dataclass(frozen=True)
class ValueBacktest:
    """The chosen family and its figures on the validation horizon.

    Attributes
    ----------
    family : str
        `bg_nbd` or `mbg_nbd`.
    why : str
        The choice in one sentence.
    horizon_days : int
        Length of the validation horizon.
    origin : date or None
        Where the reported holdout begins; None where the log is too short for one.
    figures : dict
        name → {"value", "purchases"} → metric → estimate, with `model` and its baselines.
    spread : dict
        Of the chosen family: `deciles`, customers by predicted value, expected against actual;
        `coverage` of the 90 % intervals for one customer; `total`, all customers together; and what
        `tracking.pictures` finds.
    notes : tuple of str
        Warnings of the fits, for people.
    rows : DataFrame
        All that the figures are made of: `customer_id`, `cutoff` (the two origins), the history
        until then, `purchase_days` and `value` of the horizon after it.
    """

    family: Family
    why: str
    horizon_days: int
    origin: dt.date | None
    figures: dict[str, Any]
    spread: dict[str, Any]
    notes: tuple[str, ...]
    rows: pd.DataFrame


def validation_days(first_day: dt.date, observed_until: dt.date) -> int:
    """Return the validation horizon: a quarter of the log, at most a year."""
    return max(1, min(LONGEST, (observed_until - first_day).days // 4))


def origins(first_day: dt.date, observed_until: dt.date) -> tuple[dt.date, ...]:
    """Return the earlier origin, where the family is chosen, and the reported one."""
    step = dt.timedelta(days=validation_days(first_day, observed_until))
    return observed_until - 2 * step, observed_until - step


def run(
    matrix: pd.DataFrame,
    happened: pd.DataFrame,
    daily: pd.DataFrame,
    cuts: Sequence[dt.date],
    config: Config,
    horizon_days: int,
) -> ValueBacktest:
    """Choose the family at the earlier origin and judge it at the later one.

    Parameters
    ----------
    matrix : DataFrame
        Features of everybody ever seen at the origins (`frequency`, `recency`, `T`,
        `monetary_value`).
    happened : DataFrame
        From `labels.outcomes` over the validation horizon.
    daily : DataFrame
        From `labels.daily_purchases`, likewise.
    cuts : (date, date)
        From `origins`.
    config : Config
        `clv.family`, and the seed of the bootstrap.
    horizon_days : int
        The validation horizon.
    """
    early, late = (_at(matrix, happened, day) for day in cuts)
    rows = pd.concat([early, late], ignore_index=True)[[*KEYS, *HISTORY, *AFTER]]
    rows = rows.rename(columns={after: name for name, after in zip(OUTCOME, AFTER, strict=True)})
    family, why, notes = _choose(early, config.clv, horizon_days)
    if late.empty:
        return ValueBacktest(
            family, why, horizon_days, None, {}, {},
            ("The log is too short for a value holdout.",), rows,
        )  # fmt: skip
    names = (family, *(f for f in FAMILIES if f != family))
    predictions: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    try:
        spend = fit_spend(late["frequency"], late["monetary_value"])
        notes += spend.warnings
        for name in names:
            model = fit_purchases(late[RFM], name)
            said = _predict(model, spend, late, horizon_days)
            predictions["model" if name == family else name] = said
            if name == family:
                chosen, notes = model, notes + model.warnings
        said, more = _pareto(late, spend, horizon_days)
        predictions["pareto_nbd"], notes = said, notes + more
    except DataError as fault:
        return ValueBacktest(family, why, horizon_days, None, {}, {}, (*notes, str(fault)), rows)
    rules = baselines(
        late["frequency"], late["T"], late["monetary_value"], horizon_days=horizon_days
    )
    figures = holdout(
        late["purchase_days_after"],
        late["value_after"],
        {**predictions, **rules},
        seed=config.model.seed,
    )
    seed = config.model.seed
    spread = {
        "deciles": _deciles(late, predictions["model"], seed),
        "coverage": _coverage(chosen, spend, late, horizon_days, seed),
        "total": _total(chosen, spend, late, predictions["model"], horizon_days, seed),
        **pictures(chosen, late, daily, cuts[1], horizon_days, seed=seed),
    }
    return ValueBacktest(family, why, horizon_days, cuts[1], figures, spread, notes, rows)


def _at(matrix: pd.DataFrame, happened: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    here = matrix[matrix["cutoff"] == pd.Timestamp(day)]
    after = happened.rename(columns=dict(zip(OUTCOME, AFTER, strict=True)))
    joined = here.merge(after[[*KEYS, *AFTER]], on=KEYS, how="left")
    # nobody is missing here: who has no row after the origin bought nothing
    return joined.fillna(dict.fromkeys(AFTER, 0.0))


def _predict(
    model: PurchaseModel, spend: SpendModel, rfm: pd.DataFrame, days: int
) -> tuple[np.ndarray, np.ndarray]:
    x, t_x, T, m = (rfm[c].to_numpy() for c in (*RFM, "monetary_value"))
    purchases = expected_purchases(model, x, t_x, T, days)
    return purchases, purchases * spend_per_purchase(spend, x, m)


def _pareto(
    late: pd.DataFrame, spend: SpendModel, days: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[str, ...]]:
    """Predict by Pareto/NBD, which is shown beside the families that may be chosen."""
    model = fit_purchases(late[RFM], "pareto_nbd")
    x, t_x, T, m = (late[c].to_numpy() for c in (*RFM, "monetary_value"))
    purchases = pareto.expected_purchases(model, x, t_x, T, days)
    return (purchases, purchases * spend_per_purchase(spend, x, m)), model.warnings


def _choose(
    early: pd.DataFrame, config: ClvConfig, horizon_days: int
) -> tuple[Family, str, tuple[str, ...]]:
    if config.family != "auto":
        return config.family, "The config names the family.", ()
    default = FAMILIES[0]
    if early.empty:
        return default, f"{default}: the log is too short to compare families.", ()
    errors: dict[Family, float] = {}
    try:
        for name in FAMILIES:
            model = fit_purchases(early[RFM], name)
            x, t_x, T = (early[c].to_numpy() for c in RFM)
            said = expected_purchases(model, x, t_x, T, horizon_days)
            errors[name] = float(np.sqrt(np.mean((early["purchase_days_after"] - said) ** 2)))
    except DataError as fault:
        return default, f"{default}: the families could not be compared ({fault}).", ()
    # BG/NBD calls every one-time buyer alive: it has to be clearly better to be worth that
    ahead = min(errors, key=lambda name: errors[name])
    best = ahead if errors[ahead] < (1 - TIE) * errors[default] else default
    other = next(name for name in FAMILIES if name != best)
    day = pd.Timestamp(early["cutoff"].iloc[0]).date()
    why = (
        f"{best}: it missed the purchases of the {horizon_days} days after {day} by "
        f"{errors[best]:.3f} (RMSE), {other} by {errors[other]:.3f}"
        + ("." if best == ahead else f"; within {TIE:.0%} the default stays.")
    )
    return best, why, ()


def _deciles(
    late: pd.DataFrame, said: tuple[np.ndarray, np.ndarray], seed: int
) -> list[dict[str, Any]]:
    purchases, value = said
    columns = {
        "value": (value, late["value_after"]),
        "purchases": (purchases, late["purchase_days_after"]),
    }
    return deciles(value, columns, seed=seed)


def _coverage(
    model: PurchaseModel, spend: SpendModel, late: pd.DataFrame, days: int, seed: int
) -> dict[str, Any]:
    """Share of customers within their 90 % interval: by randomised PIT, and as it is printed."""
    bought, came = (late[c].to_numpy() for c in ("purchase_days_after", "value_after"))
    sides, inside = np.empty((4, len(late))), np.empty((2, len(late)))
    for law in laws(model, spend, late, days):
        rows = law.rows
        sides[:2, rows] = law.purchases_until(bought[rows])
        sides[2:, rows] = law.money_until(came[rows])
        for row, actual, (low, high), mean in (
            (0, bought, (law.purchases_at(0.05), law.purchases_at(0.95)), law.expected_purchases),
            (1, came, law.money_at(0.05, 0.95), law.expected_money),
        ):
            low, high = np.minimum(low, mean), np.maximum(high, mean)
            inside[row, rows] = (low <= actual[rows]) & (actual[rows] <= high)
    return {
        "level": 0.9,
        "purchases": {**coverage(*sides[:2], seed=seed), "inside": float(inside[0].mean())},
        "value": {**coverage(*sides[2:], seed=seed), "inside": float(inside[1].mean())},
    }


def _total(
    model: PurchaseModel,
    spend: SpendModel,
    late: pd.DataFrame,
    said: tuple[np.ndarray, np.ndarray],
    days: int,
    seed: int,
) -> dict[str, Any]:
    """Hold the 90 % interval of all customers together against what came."""
    drawn = totals(model, spend, late, days, draws=FUTURES, seed=seed)
    found: dict[str, Any] = {"scope": "model only"}  # fewer than 3 origins to widen it by
    for name, futures, each, column in (
        ("purchases", drawn[0], said[0], "purchase_days_after"),
        ("value", drawn[1], said[1], "value_after"),
    ):
        expected, actual = float(each.sum()), float(late[column].sum())
        bounds = [*map(float, np.quantile(futures, [0.05, 0.95])), expected]
        lower, upper = min(bounds), max(bounds)
        found[name] = {
            "expected": expected,
            "lower": lower,
            "upper": upper,
            "actual": actual,
            "inside": lower <= actual <= upper,
        }
    return found
