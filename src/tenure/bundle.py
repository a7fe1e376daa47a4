"""One trained model as files: everything scoring needs, checked before anything is read."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from tenure.config import CampaignConfig, ChurnConfig, ClvConfig
from tenure.explain.missing import MISSING, information_missing
from tenure.explain.points import Explained, explain
from tenure.explain.reasons import REASONS, reasons
from tenure.features.schema import Column, Schema
from tenure.inputs import Timing, described, inputs
from tenure.labels import statuses
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate
from tenure.models.families import AnyModel
from tenure.models.recipe import Recipe
from tenure.models.shift import Shift
from tenure.models.spells import SpellTiming
from tenure.models.spend import SpendModel
from tenure.models.twopart import TwoPart
from tenure.value import (
    VALUES,
    Foreseen,
    buyer_timing,
    buyer_values,
    expected_saved_value,
    subscriber_values,
    value_at_risk,
)

__all__ = ["Bundle"]

DAY_TYPE = "datetime64[us]"


@dataclass(frozen=True)
class Bundle:
    """A trained model: churn candidate, calibrator, value models and what they were trained on.

    Attributes
    ----------
    candidate, calibrator, shift
        The selected churn model, the map from its margins to probabilities, and how far the
        leaving rate of a day is expected to lie from that of the days it learnt from.
    timing : Timing or None
        MBG/NBD behind the column `btyd_log_odds`, or how long subscriptions last; None where the
        data could not carry it.
    purchases, spend : PurchaseModel or ParetoModel, SpendModel; or None
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
    trained_until : date or None
        The day before which everything was learnt; None where nothing is dated.
    recipe : Recipe or None
        How the candidate was made; None in bundles of before it was recorded.
    trees : TwoPart or None
        The two-part model, where it sets the level of values.
    campaign : CampaignConfig
        Costs behind `expected_saved_value`; they may change without training again.
    """

    candidate: Candidate
    calibrator: Calibrator
    shift: Shift
    timing: Timing | None
    purchases: AnyModel | None
    spend: SpendModel | None
    schema: Schema
    churn: ChurnConfig
    clv: ClvConfig
    timezone: str
    currency: str | None
    usual: dict[str, float]
    base_rate: float
    trained_until: dt.date | None
    recipe: Recipe | None = None
    trees: TwoPart | None = None
    campaign: CampaignConfig = field(default_factory=CampaignConfig)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What each input is."""
        return described(self.schema, self.churn)

    def inputs(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Return what the churn model sees of a feature matrix."""
        return inputs(matrix, self.schema, self.timing, self.churn)

    def calibrator_at(self, day: dt.date | None) -> Calibrator:
        """Return the calibrator of a day."""
        return replace(self.calibrator, shift=self.shift.at(day))

    def explain(self, X: pd.DataFrame, day: dt.date | None) -> Explained:
        """Take the churn probability of each row apart, as of a day (None: nothing is dated)."""
        return explain(self.candidate, self.calibrator_at(day), X)

    def score(
        self, matrix: pd.DataFrame, known: pd.Series, explained: Explained | None = None
    ) -> pd.DataFrame:
        """Score a feature matrix, one row a customer, in order of their ids.

        Parameters
        ----------
        matrix : DataFrame
            From `features` with this bundle's schema, at one cutoff; of subscriptions with the
            status that `labels.beside` adds.
        known : Series
            The ids with any row before the cutoff, of who never bought too.
        explained : Explained, optional
            What `explain` says of the scored rows, where that is known already.

        Returns
        -------
        DataFrame
            `customer_id`; `status`: `scored`, `lapsed` (no longer eligible), `notice`, `trial`,
            `ended` (of subscriptions) or `never_bought`;
            `churn_probability`, `risk_band`, `value_at_risk`, `expected_saved_value` and
            `reason_1` to `reason_3`, null unless scored; `information_missing`, in words, null
            where nothing is; `p_alive`, `expected_purchases`
            (undiscounted, over the value horizon), `spend_per_purchase` and `clv_<days>d` with
            `_lower` and `_upper` (90 % of what one customer may bring), null for who never bought.
        """
        status = statuses(matrix, self.churn)
        at_stake = np.asarray(status == "scored")
        people = pd.DataFrame(
            {
                "customer_id": matrix["customer_id"].astype("str"),
                "status": status,
            },
            index=matrix.index,
        )
        churn = self._churn(matrix[at_stake], explained)
        value = self._value(matrix, churn["churn_probability"].to_numpy(), at_stake)
        scored = people.join([churn[["churn_probability", "risk_band"]], value, churn[REASONS]])
        scored[MISSING] = information_missing(matrix, self.columns)
        never = known[~known.isin(scored["customer_id"])]
        rest = pd.DataFrame(
            {"customer_id": never, "status": "never_bought", MISSING: "no purchase"}
        )
        every = pd.concat([scored, rest.reindex(columns=scored.columns)]) if len(rest) else scored
        # text even where nobody has any: a file's types must not depend on who is in it
        every = every.astype(dict.fromkeys(["customer_id", "risk_band", *REASONS, MISSING], "str"))
        return every.sort_values("customer_id", kind="stable", ignore_index=True)

    def _churn(self, here: pd.DataFrame, explained: Explained | None) -> pd.DataFrame:
        if here.empty:  # LightGBM refuses to predict nothing
            nothing = pd.DataFrame(
                index=here.index, columns=["risk_band", *REASONS], dtype="object"
            )
            return nothing.assign(churn_probability=np.empty(0))
        X = self.inputs(here)
        cutoff = here["cutoff"].iloc[0] if "cutoff" in here else pd.NaT  # labels carry none
        if explained is None:
            explained = self.explain(X, None if pd.isna(cutoff) else cutoff.date())
        raised = explained.points.sum(axis=1).to_numpy() > 0
        words = reasons(explained.points, X, self.usual, self.columns, raised, self.currency)
        p = explained.probability
        return words.assign(churn_probability=p, risk_band=self.bands(p))

    def stamped(
        self, scored: pd.DataFrame, as_of: dt.date | None, version: str, run_id: str
    ) -> pd.DataFrame:
        """Add to each row what it holds for and which model said it.

        Day and horizon are null where nothing is dated.
        """
        stamped = scored.assign(model_version=version, run_id=run_id)
        if as_of is None:
            stamped.insert(1, "as_of", pd.Series(pd.NaT, scored.index, DAY_TYPE))
            stamped.insert(2, "horizon_days", pd.Series(None, scored.index, "Int64"))
            return stamped
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
        clv_days = f"clv_{self.clv.horizon_days}d"
        names = [
            "p_alive", "expected_purchases", "spend_per_purchase",
            clv_days, f"{clv_days}_lower", f"{clv_days}_upper",
            "value_at_risk", "expected_saved_value",
        ]  # fmt: skip
        found = pd.DataFrame(np.nan, index=matrix.index, columns=names)
        if matrix.empty:
            return found
        chance = np.full(len(matrix), np.nan)
        chance[at_stake] = p
        if isinstance(self.timing, SpellTiming):
            worth = subscriber_values(matrix, self.timing, chance, self.churn, self.clv)
        elif self.purchases is None:
            return found
        else:
            timing = buyer_timing(matrix, self.purchases, self.clv.horizon_days)
            found[timing.columns] = timing
            if self.spend is None:
                return found
            worth = buyer_values(
                matrix, self.purchases, self.spend, chance, self.churn, self.clv,
                self._foreseen(matrix),
            )  # fmt: skip
            found["spend_per_purchase"] = worth["spend_per_purchase"]
        found[names[3:6]] = worth[VALUES[:3]].to_numpy()
        stake = chance, worth["if_stays"], worth["if_leaves"]
        found["value_at_risk"] = value_at_risk(*stake)
        found["expected_saved_value"] = expected_saved_value(*stake, self.campaign)
        return found

    def _foreseen(self, matrix: pd.DataFrame) -> Foreseen | None:
        if self.trees is None:
            return None
        return Foreseen(self.trees.expected(self.inputs(matrix))[1], self.trees.horizon_days)
