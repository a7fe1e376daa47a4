"""Value predictions held against what happened: family chosen early, reported late.

Three origins stand a validation horizon apart. At the middle one the family is chosen; at the last
the figures are taken; all of them say by how much totals miss.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.backtest.said import (
    CHANCE,
    KEYS,
    OUTCOME,
    TREES,
    Said,
    predict,
    said_coverage,
    said_deciles,
    total_against,
)
from tenure.backtest.tracking import pictures
from tenure.config import Config
from tenure.errors import DataError
from tenure.evaluation.clv import baselines, holdout
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.models.futures import HISTORY, RFM
from tenure.value.totals import missed

__all__ = ["ValueBacktest", "judge", "origins", "past", "validation_days"]

LONGEST = 365
ORIGINS = 3
TIE = 0.01  # of the RMSE
BESIDE = [CHANCE, *TREES]
LIGHTGBM = "lightgbm"
COMBINED = "_and_churn"
"""A family's value combined with the calibrated chance of leaving."""

Array = np.ndarray
Json = dict[str, Any]


@dataclass(frozen=True)
class ValueBacktest:
    """The chosen family and its figures on the validation horizon.

    Attributes
    ----------
    family : str
        One of `FAMILIES`, or `lightgbm`: the two-part model.
    name : str
        The reported value in the table: the family, and whether the calibrated chance of leaving
        is combined with it.
    timing_family : str
        Of the purchase model behind the values, whose law their intervals follow.
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
        `coverage` of the 90 % intervals for one customer; `total`, all customers together; and
        what the charts show.
    errors : tuple of float
        Log of actual over expected total value at each origin, oldest first.
    notes : tuple of str
        Warnings of the fits, for people.
    rows : DataFrame
        All that the figures are made of, from `past`.
    """

    family: str
    name: str
    timing_family: str
    why: str
    horizon_days: int
    origin: dt.date | None
    figures: Json
    spread: Json
    errors: tuple[float, ...]
    notes: tuple[str, ...]
    rows: pd.DataFrame


def validation_days(first_day: dt.date, observed_until: dt.date) -> int:
    """Return the validation horizon: a quarter of the log, at most a year."""
    return max(1, min(LONGEST, (observed_until - first_day).days // 4))


def origins(first_day: dt.date, observed_until: dt.date) -> tuple[dt.date, ...]:
    """Return the origins, a validation horizon apart, the reported one last."""
    step = dt.timedelta(days=validation_days(first_day, observed_until))
    days = tuple(observed_until - k * step for k in range(ORIGINS, 0, -1))
    return tuple(day for day in days if day > first_day)


def past(matrix: pd.DataFrame, happened: pd.DataFrame, cuts: Sequence[dt.date]) -> pd.DataFrame:
    """Put beside the histories at the origins what came after.

    Parameters
    ----------
    matrix : DataFrame
        Features of everybody ever seen at the origins.
    happened : DataFrame
        From `labels.outcomes` over the validation horizon.
    cuts : sequence of date
        From `origins`.

    Returns
    -------
    DataFrame
        `customer_id`, `cutoff`, the history until then, `purchase_days` and `value` of the horizon
        after it; and, where features were asked too (`foresight`), the calibrated chance of
        leaving of who was at stake and what the two-part model expects; NaN before that.
    """
    here = matrix.loc[matrix["cutoff"].isin(pd.to_datetime(list(cuts))), [*KEYS, *HISTORY]]
    rows = here.merge(happened[[*KEYS, *OUTCOME]], on=KEYS, how="left")
    # nobody is missing here: who has no row after the origin bought nothing
    rows = rows.fillna(dict.fromkeys(OUTCOME, 0.0))
    return rows.sort_values(["cutoff"], kind="stable", ignore_index=True).assign(
        **dict.fromkeys(BESIDE, np.nan)
    )


def judge(
    rows: pd.DataFrame, daily: pd.DataFrame, config: Config, horizon_days: int
) -> ValueBacktest:
    """Choose the family at the earlier origin and judge it at the later one.

    Parameters
    ----------
    rows : DataFrame
        From `past`, with what features say beside it where they were asked.
    daily : DataFrame
        From `labels.daily_purchases` over the validation horizon.
    config : Config
        `clv.family`, the question, and the seed of the bootstrap.
    horizon_days : int
        The validation horizon.
    """
    at = [rows[rows["cutoff"] == day].reset_index(drop=True) for day in rows["cutoff"].unique()]
    empty = rows.iloc[:0]
    early = at[-2] if len(at) > 1 else empty
    family, why, notes = _choose(early, config, horizon_days)
    timing = family if family in FAMILIES else FAMILIES[0]
    found = ValueBacktest(
        family, family, timing, why, horizon_days, None, {}, {}, (), notes, rows
    )  # fmt: skip
    if not at:
        return replace(found, notes=("The log is too short for a value holdout.", *notes))
    late, models = at[-1], {}
    try:
        spend = fit_spend(late["frequency"], late["monetary_value"])
        for name in FAMILIES:
            models[name] = fit_purchases(late[RFM], name)
    except DataError as fault:
        return replace(found, notes=(*notes, str(fault)))
    chosen = Said(late, models[timing], spend, family == LIGHTGBM, config, horizon_days)
    said = {name: predict(model, spend, late, horizon_days) for name, model in models.items()}
    if late[TREES[1]].notna().all():
        said[LIGHTGBM] = tuple(late[c].to_numpy() for c in TREES)
    rules = baselines(
        late["frequency"], late["T"], late["monetary_value"], horizon_days=horizon_days
    )
    model, name = (chosen.raw()[0], chosen.combined()), family
    beside = replace(chosen, trees=False)
    if not np.isfinite(beside.leaving.p).any() or chosen.trees:
        said.pop(family, None)  # it is the model itself
    if np.isfinite(beside.leaving.p).any():
        if chosen.trees:
            said[f"{timing}{COMBINED}"] = beside.raw()[0], beside.combined()
        else:
            name = f"{family}{COMBINED}"
    seed, origin = config.model.seed, late["cutoff"].iloc[0].date()
    errors = [_missed(one, family, config, horizon_days) for one in at[:-1]]
    errors.append(missed(float(late["value"].sum()), float(model[1].sum())))
    return replace(
        found,
        name=name,
        origin=origin,
        figures=holdout(
            late["purchase_days"], late["value"], {"model": model, **said, **rules}, seed=seed
        ),
        spread={
            "deciles": said_deciles(late, model, seed),
            "coverage": said_coverage(chosen, model[1], seed),
            "total": total_against(chosen, model, seed),
            **pictures(
                models[timing], late.assign(purchase_days_after=late["purchase_days"]), daily,
                origin, horizon_days, seed=seed,
            ),
        },
        errors=tuple(e for e in errors if e is not None),
        notes=(*notes, *spend.warnings, *models[timing].warnings),
    )  # fmt: skip


def _choose(early: pd.DataFrame, config: Config, days: int) -> tuple[str, str, tuple[str, ...]]:
    """Choose by the error of value at the earlier origin; the default stays unless clearly worse.

    Where spend goes with frequency, or has no mean that Gamma-Gamma could find, the two-part model
    is the way out: it only has to be better, not clearly so.
    """
    default, asked = FAMILIES[0], config.clv.family
    has_trees = len(early) > 0 and bool(early[TREES[1]].notna().all())
    if asked == LIGHTGBM and not has_trees:
        why = f"{default}: the config names lightgbm, but the log is too short to train it."
        return default, why, ()
    if asked != "auto":
        return asked, f"{asked}: the config names the family.", ()
    if early.empty:
        return default, f"{default}: the log is too short to compare families.", ()
    actual, errors = early["value"].to_numpy(), {}
    try:
        spend = fit_spend(early["frequency"], early["monetary_value"])
        for name in FAMILIES:
            said = predict(fit_purchases(early[RFM], name), spend, early, days)[1]
            errors[name] = float(np.sqrt(np.mean((actual - said) ** 2)))
    except DataError as fault:
        return default, f"{default}: the families could not be compared ({fault}).", ()
    if has_trees:
        errors[LIGHTGBM] = float(np.sqrt(np.mean((actual - early[TREES[1]]) ** 2)))
    needed = dict.fromkeys(errors, (1 - TIE) * errors[default])
    if spend.is_doubtful:
        needed[LIGHTGBM] = errors[default]
    ahead = [name for name in errors if errors[name] < needed[name]]
    best = min(ahead, key=lambda name: errors[name], default=default)
    told = ", ".join(f"{name} {error:,.2f}" for name, error in errors.items())
    day = early["cutoff"].iloc[0].date()
    why = f"{best}: error of value (RMSE) over the {days} days after {day}: {told}"
    if best == default and min(errors.values()) < errors[default]:
        why += f"; within {TIE:.0%} the default stays"
    if spend.is_doubtful:
        why += "; Gamma-Gamma is doubtful there, so the two-part model had only to be better"
    return best, why + ".", ()


def _missed(rows: pd.DataFrame, family: str, config: Config, days: int) -> float | None:
    """Log of actual over expected total value at an origin; None where nothing could be said.

    Where the two-part model was chosen but could not be trained yet, the default family speaks.
    """
    timing = family if family in FAMILIES else FAMILIES[0]
    trees = family == LIGHTGBM and bool(rows[TREES[1]].notna().all())
    try:
        spend = fit_spend(rows["frequency"], rows["monetary_value"])
        model = fit_purchases(rows[RFM], timing)
    except DataError:
        return None
    said = Said(rows, model, spend, trees, config, days).combined()
    return missed(float(rows["value"].sum()), float(said.sum()))
