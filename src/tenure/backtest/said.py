"""What value models say at one origin, and how sure, beside what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.config import Config
from tenure.evaluation.clv import coverage, deciles
from tenure.models.families import AnyModel
from tenure.models.futures import HISTORY
from tenure.models.predictive import Leaving, laws
from tenure.models.purchases import expected_purchases
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import combine, conditional_values
from tenure.value.totals import likely_totals, said_total

__all__ = [
    "CHANCE",
    "KEYS",
    "OUTCOME",
    "TREES",
    "Said",
    "predict",
    "said_coverage",
    "said_deciles",
    "total_against",
]

KEYS = ["customer_id", "cutoff"]
OUTCOME = ["purchase_days", "value"]
CHANCE, TREES = "churn_probability", ["trees_purchases", "trees_value"]
FUTURES = 400  # drawn for the totals

Array = np.ndarray
Json = dict[str, Any]


def predict(
    model: AnyModel, spend: SpendModel, rfm: pd.DataFrame, days: int
) -> tuple[Array, Array]:
    """Return purchases and value expected within `days`, undiscounted, by the models alone."""
    x, t_x, T, m = (rfm[c].to_numpy() for c in HISTORY)
    purchases = expected_purchases(model, x, t_x, T, days)
    return purchases, purchases * spend_per_purchase(spend, x, m)


@dataclass(frozen=True)
class Said:
    """What one purchase model and one spend model say at an origin."""

    rows: pd.DataFrame
    purchases: AnyModel
    spend: SpendModel
    trees: bool
    config: Config
    horizon_days: int

    @property
    def leaving(self) -> Leaving:
        """The calibrated chances of leaving."""
        churn = self.config.churn
        chance = self.rows[CHANCE].to_numpy(dtype=np.float64)
        return Leaving(chance, churn.horizon_days, churn.gap_days)

    def raw(self) -> tuple[Array, Array]:
        """Purchases and value by the purchase model alone, or by the trees."""
        if self.trees:
            return self.rows[TREES[0]].to_numpy(), self.rows[TREES[1]].to_numpy()
        return predict(self.purchases, self.spend, self.rows, self.horizon_days)

    def combined(self) -> Array:
        """Value with the calibrated chance of leaving where there is one, as scores give it.

        But for the shift between cutoffs, which is not expected here.
        """
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


def said_deciles(late: pd.DataFrame, said: tuple[Array, Array], seed: int) -> list[Json]:
    """Hold ten groups by predicted value against what came."""
    purchases, value = said
    columns = {
        "value": (value, late["value"]),
        "purchases": (purchases, late["purchase_days"]),
    }
    return deciles(value, columns, seed=seed)


def said_coverage(origin: Said, value: Array, seed: int) -> Json:
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


def total_against(origin: Said, said: tuple[Array, Array], seed: int) -> Json:
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
