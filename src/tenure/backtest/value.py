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

from tenure.backtest.tracking import pictures
from tenure.config import Config
from tenure.errors import DataError
from tenure.evaluation.clv import baselines, coverage, deciles, holdout
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.models.families import AnyModel
from tenure.models.futures import HISTORY
from tenure.models.predictive import Leaving, laws
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import combine, conditional_values
from tenure.value.totals import likely_totals, said_total

__all__ = ["KEYS", "OUTCOME", "RFM", "ValueBacktest", "judge", "origins", "past", "validation_days"]

LONGEST = 365
ORIGINS = 3
TIE = 0.01  # of the RMSE
FUTURES = 400  # drawn for the totals
RFM = ["frequency", "recency", "T"]
KEYS = ["customer_id", "cutoff"]
OUTCOME = ["purchase_days", "value"]
CHANCE, TREES = "churn_probability", ["trees_purchases", "trees_value"]
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


@dataclass(frozen=True)
class _Origin:
    """What one purchase model and one spend model say at an origin."""

    rows: pd.DataFrame
    purchases: AnyModel
    spend: SpendModel
    trees: bool
    config: Config
    horizon_days: int

    @property
    def leaving(self) -> Leaving:
        churn = self.config.churn
        chance = self.rows[CHANCE].to_numpy(dtype=np.float64)
        return Leaving(chance, churn.horizon_days, churn.gap_days)

    def raw(self) -> tuple[Array, Array]:
        """Purchases and value by the purchase model alone, or by the trees."""
        if self.trees:
            return self.rows[TREES[0]].to_numpy(), self.rows[TREES[1]].to_numpy()
        return _predict(self.purchases, self.spend, self.rows, self.horizon_days)

    def combined(self) -> Array:
        """Value as scores give it: with the calibrated chance of leaving where there is one."""
        value = self.raw()[1].copy()
        known = np.isfinite(self.leaving.p)
        if self.trees or not known.any():
            return value
        V_A, V_0, _ = conditional_values(
            self.purchases, self.spend, self.rows[known], horizon_days=self.horizon_days,
            annual_discount_rate=0.0, margin=1.0,
            label_horizon_days=self.config.churn.horizon_days,
            gap_days=self.config.churn.gap_days,
        )  # fmt: skip
        value[known] = combine(self.leaving.p[known], V_A, V_0)
        return value


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
        family, timing, why, horizon_days, None, {}, {}, (), notes, rows
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
    chosen = _Origin(late, models[timing], spend, family == LIGHTGBM, config, horizon_days)
    said = {name: _predict(model, spend, late, horizon_days) for name, model in models.items()}
    if late[TREES[1]].notna().all():
        said[LIGHTGBM] = tuple(late[c].to_numpy() for c in TREES)
    rules = baselines(
        late["frequency"], late["T"], late["monetary_value"], horizon_days=horizon_days
    )
    model = (chosen.raw()[0], chosen.combined())
    if chosen.trees:  # else it is the model itself
        beside = replace(chosen, trees=False)
        said[f"{timing}{COMBINED}"] = beside.raw()[0], beside.combined()
    seed, origin = config.model.seed, late["cutoff"].iloc[0].date()
    errors = [_missed(one, family, config, horizon_days) for one in at[:-1]]
    errors.append(_log_ratio(float(late["value"].sum()), float(model[1].sum())))
    return replace(
        found,
        origin=origin,
        figures=holdout(
            late["purchase_days"], late["value"], {"model": model, **said, **rules}, seed=seed
        ),
        spread={
            "deciles": _deciles(late, model, seed),
            "coverage": _coverage(chosen, model[1], seed),
            "total": _total(chosen, model, seed),
            **pictures(
                models[timing], late.assign(purchase_days_after=late["purchase_days"]), daily,
                origin, horizon_days, seed=seed,
            ),
        },
        errors=tuple(e for e in errors if e is not None),
        notes=(*notes, *spend.warnings, *models[timing].warnings),
    )  # fmt: skip


def _predict(
    model: AnyModel, spend: SpendModel, rfm: pd.DataFrame, days: int
) -> tuple[Array, Array]:
    x, t_x, T, m = (rfm[c].to_numpy() for c in HISTORY)
    purchases = expected_purchases(model, x, t_x, T, days)
    return purchases, purchases * spend_per_purchase(spend, x, m)


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
        return asked, "The config names the family.", ()
    if early.empty:
        return default, f"{default}: the log is too short to compare families.", ()
    actual, errors = early["value"].to_numpy(), {}
    try:
        spend = fit_spend(early["frequency"], early["monetary_value"])
        for name in FAMILIES:
            said = _predict(fit_purchases(early[RFM], name), spend, early, days)[1]
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
    """Log of actual over expected total value at an origin; None where nothing could be said."""
    timing = family if family in FAMILIES else FAMILIES[0]
    trees = family == LIGHTGBM and bool(rows[TREES[1]].notna().all())
    try:
        spend = fit_spend(rows["frequency"], rows["monetary_value"])
        model = fit_purchases(rows[RFM], timing)
    except DataError:
        return None
    said = _Origin(rows, model, spend, trees, config, days).combined()
    return _log_ratio(float(rows["value"].sum()), float(said.sum()))


def _log_ratio(actual: float, expected: float) -> float | None:
    return float(np.log(actual / expected)) if min(actual, expected) > 0 else None


def _deciles(late: pd.DataFrame, said: tuple[Array, Array], seed: int) -> list[Json]:
    purchases, value = said
    columns = {
        "value": (value, late["value"]),
        "purchases": (purchases, late["purchase_days"]),
    }
    return deciles(value, columns, seed=seed)


def _coverage(origin: _Origin, value: Array, seed: int) -> Json:
    """Share of customers within their 90 % interval: by randomised PIT, and as it is printed."""
    late = origin.rows
    bought, came = (late[c].to_numpy() for c in OUTCOME)
    sides, inside = np.empty((4, len(late))), np.empty((2, len(late)))
    for law in laws(origin.purchases, origin.spend, late, origin.horizon_days, origin.leaving):
        rows, money = law.rows, law.expected_money
        # the trees' values follow this law in the customer's own proportion, as scores do
        kept = np.divide(value[rows], money, out=np.ones_like(money), where=money > 0)
        sides[:2, rows] = law.purchases_until(bought[rows])
        sides[2:, rows] = law.money_until(came[rows] / np.where(kept > 0, kept, 1.0))
        amounts = tuple(kept * bound for bound in law.money_at(0.05, 0.95))
        counts = law.purchases_at(0.05), law.purchases_at(0.95)
        for row, actual, (low, high), mean in (
            (0, bought, counts, law.expected_purchases),
            (1, came, amounts, value[rows]),
        ):
            low, high = np.minimum(low, mean), np.maximum(high, mean)
            inside[row, rows] = (low <= actual[rows]) & (actual[rows] <= high)
    return {
        "level": 0.9,
        "purchases": {**coverage(*sides[:2], seed=seed), "inside": float(inside[0].mean())},
        "value": {**coverage(*sides[2:], seed=seed), "inside": float(inside[1].mean())},
    }


def _total(origin: _Origin, said: tuple[Array, Array], seed: int) -> Json:
    """Hold the 90 % interval of all customers together against what came."""
    late = origin.rows
    everybody = {"all": np.zeros(len(late), dtype=np.intp)}
    drawn = likely_totals(
        origin.purchases, origin.spend, late, origin.horizon_days, said, everybody,
        draws=FUTURES, seed=seed,
    )["all"]  # fmt: skip
    found: Json = {"scope": "model only"}  # fewer than 3 earlier origins to widen it by
    for name, futures, each, column in zip(
        ("purchases", "value"), drawn[:, 0], said, OUTCOME, strict=True
    ):
        actual = float(late[column].sum())
        total = said_total(float(each.sum()), futures)
        found[name] = {
            **total,
            "actual": actual,
            "inside": total["lower"] <= actual <= total["upper"],
        }
    return found
