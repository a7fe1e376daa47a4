"""One trained model as files: everything scoring needs, checked before anything is read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tenure.config import ChurnConfig, ClvConfig
from tenure.errors import ModelError
from tenure.explain.points import Explained, explain
from tenure.explain.reasons import REASONS, reasons
from tenure.features.schema import Column, Schema
from tenure.labels import eligible
from tenure.models.btyd import PurchaseModel, p_alive
from tenure.models.calibration import Calibrator
from tenure.models.candidate import BTYD, LARGEST_LOG_ODDS, Candidate
from tenure.models.purchases import expected_purchases, log_odds_no_purchase
from tenure.models.spend import SpendModel, spend_per_purchase
from tenure.value import clv, combine, conditional_values, value_at_risk

__all__ = ["BTYD_COLUMN", "Bundle", "inputs"]

BTYD_COLUMN = Column(
    BTYD, BTYD, None, None, "log-odds", "engagement",
    "Chance of staying away, by the rhythm of past purchases", 1,
)  # fmt: skip


def inputs(
    matrix: pd.DataFrame, schema: Schema, timing: PurchaseModel | None, churn: ChurnConfig
) -> pd.DataFrame:
    """Return what churn models see: the features and the log-odds of no purchase by timing alone.

    Raises
    ------
    ModelError
        If the matrix lacks features of the schema.
    """
    names = [c.name for c in schema.columns()]
    absent = [n for n in names if n not in matrix.columns]
    if absent:
        raise ModelError(
            f"features: {len(absent)} of the {len(names)} columns the model was trained with are "
            f"missing: {', '.join(map(repr, absent[:5]))}. Score data with the columns it was "
            "trained on, or train again."
        )
    odds = np.zeros(len(matrix))
    if timing is not None and len(matrix):
        x, t_x, T = (matrix[c].to_numpy() for c in ("frequency", "recency", "T"))
        odds = log_odds_no_purchase(timing, x, t_x, T, churn.horizon_days, churn.gap_days)
    return matrix[names].assign(**{BTYD: np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)})


@dataclass(frozen=True)
class Bundle:
    """A trained model: churn candidate, calibrator, value models and what they were trained on.

    Attributes
    ----------
    candidate, calibrator
        The selected churn model and the map from its margins to probabilities.
    timing : PurchaseModel or None
        MBG/NBD behind the column `btyd_log_odds`; None without repeat purchases.
    purchases, spend : PurchaseModel, SpendModel or None
        The value models; None where the data could not carry them.
    schema : Schema
        The columns of the feature matrix.
    churn, clv : ChurnConfig, ClvConfig
        What leaving and value mean here.
    timezone, currency : str
        Zone in which days begin, and what money is counted in (None: the config does not say).
    usual : dict
        Median of each input among the eligible customers of the newest training cutoff.
    base_rate : float
        Share of the training rows who left.
    trained_until : date
        The day before which everything was learnt.
    """

    candidate: Candidate
    calibrator: Calibrator
    timing: PurchaseModel | None
    purchases: PurchaseModel | None
    spend: SpendModel | None
    schema: Schema
    churn: ChurnConfig
    clv: ClvConfig
    timezone: str
    currency: str | None
    usual: dict[str, float]
    base_rate: float
    trained_until: dt.date

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What each input is."""
        return {c.name: c for c in (*self.schema.columns(), BTYD_COLUMN)}

    def inputs(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Return what the churn model sees of a feature matrix."""
        return inputs(matrix, self.schema, self.timing, self.churn)

    def explain(self, X: pd.DataFrame) -> Explained:
        """Take the churn probability of each row apart."""
        return explain(self.candidate, self.calibrator, X)

    def score(self, matrix: pd.DataFrame, known: pd.Series) -> pd.DataFrame:
        """Score a feature matrix, one row a customer, in order of their ids.

        Parameters
        ----------
        matrix : DataFrame
            From `features.matrix.build` with this bundle's schema, at one cutoff.
        known : Series
            The ids with any row before the cutoff, of who never bought too.

        Returns
        -------
        DataFrame
            `customer_id`; `status`: `scored`, `lapsed` (no longer eligible) or `never_bought`;
            `churn_probability`, `risk_band`, `value_at_risk` and `reason_1` to `reason_3`, null
            unless scored; `p_alive`, `expected_purchases` (undiscounted, over the value horizon),
            `spend_per_purchase` and `clv_<days>d`, null for who never bought.
        """
        at_stake = eligible(matrix, self.churn)
        people = pd.DataFrame(
            {
                "customer_id": matrix["customer_id"].astype("str"),
                "status": np.where(at_stake, "scored", "lapsed"),
            },
            index=matrix.index,
        )
        churn = self._churn(matrix[at_stake])
        value = self._value(matrix, churn["churn_probability"].to_numpy(), at_stake)
        scored = people.join([churn[["churn_probability", "risk_band"]], value, churn[REASONS]])
        never = known[~known.isin(scored["customer_id"])]
        rest = pd.DataFrame({"customer_id": never, "status": "never_bought"})
        every = pd.concat([scored, rest.reindex(columns=scored.columns)]) if len(rest) else scored
        # text even where nobody has any: a file's types must not depend on who is in it
        every = every.astype(dict.fromkeys(["customer_id", "risk_band", *REASONS], "str"))
        return every.sort_values("customer_id", kind="stable", ignore_index=True)

    def _churn(self, here: pd.DataFrame) -> pd.DataFrame:
        if here.empty:  # LightGBM refuses to predict nothing
            nothing = pd.DataFrame(
                index=here.index, columns=["risk_band", *REASONS], dtype="object"
            )
            return nothing.assign(churn_probability=np.empty(0))
        X = self.inputs(here)
        explained = self.explain(X)
        raised = explained.points.sum(axis=1).to_numpy() > 0
        words = reasons(explained.points, X, self.usual, self.columns, raised)
        p = explained.probability
        return words.assign(churn_probability=p, risk_band=self.bands(p))

    def stamped(
        self, scored: pd.DataFrame, as_of: dt.date, version: str, run_id: str
    ) -> pd.DataFrame:
        """Add to each row what it holds for and which model said it."""
        stamped = scored.assign(model_version=version, run_id=run_id)
        stamped.insert(1, "as_of", pd.Timestamp(as_of))
        stamped.insert(2, "horizon_days", self.churn.horizon_days)
        return stamped

    def bands(self, p: np.ndarray) -> np.ndarray:
        """Name each probability's band: high is at least twice the usual odds, low at most half."""
        low, high = self.band_limits()
        return np.where(p >= high, "high", np.where(p <= low, "low", "medium")).astype(object)

    def band_limits(self) -> tuple[float, float]:
        """Probabilities at half and at twice the usual odds."""
        odds = self.base_rate / (1 - self.base_rate)
        return odds / 2 / (1 + odds / 2), odds * 2 / (1 + odds * 2)

    def _value(self, matrix: pd.DataFrame, p: np.ndarray, at_stake: np.ndarray) -> pd.DataFrame:
        days, model, spend = self.clv.horizon_days, self.purchases, self.spend
        clv_days = f"clv_{days}d"
        names = ["p_alive", "expected_purchases", "spend_per_purchase", clv_days, "value_at_risk"]
        found = pd.DataFrame(np.nan, index=matrix.index, columns=names)
        if model is None or matrix.empty:
            return found
        x, t_x, T, m = (
            matrix[c].to_numpy() for c in ("frequency", "recency", "T", "monetary_value")
        )
        found["p_alive"] = p_alive(model, x, t_x, T)
        found["expected_purchases"] = expected_purchases(model, x, t_x, T, days)
        if spend is None:
            return found
        terms = {
            "horizon_days": days,
            "annual_discount_rate": self.clv.annual_discount_rate,
            "margin": self.clv.margin,
        }
        found["spend_per_purchase"] = spend_per_purchase(spend, x, m)
        found[clv_days] = clv(model, spend, matrix, **terms)
        if at_stake.any():
            V_A, V_0, _ = conditional_values(
                model, spend, matrix[at_stake], **terms,
                label_horizon_days=self.churn.horizon_days, gap_days=self.churn.gap_days,
            )  # fmt: skip
            found.loc[at_stake, clv_days] = combine(p, V_A, V_0)
            found.loc[at_stake, "value_at_risk"] = value_at_risk(p, V_A, V_0)
        return found
