"""LightGBM, its blend with the logistic model, and the list of all churn candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.errors import ModelError
from tenure.models.baseline import (
    AsIs,
    BaseRate,
    RecencyRule,
    fit_base_rate,
    fit_btyd,
    fit_kaplan_meier,
    fit_recency_rule,
    fit_sbg,
)
from tenure.models.candidate import Candidate, checked_target, select_inputs
from tenure.models.logistic import (
    Logistic,
    fit_btyd_recalibrated,
    fit_logistic_attributes,
    fit_logistic_rfm,
    fit_logistic_rfm_btyd,
    fit_logistic_subscription,
)

__all__ = [
    "BASELINES",
    "CANDIDATES",
    "ROSTERS",
    "Blend",
    "LightGBM",
    "Roster",
    "fit_blend",
    "fit_candidates",
    "fit_lightgbm",
    "load_candidate",
]

Array = NDArray[np.float64]
Fit = Callable[..., Candidate]

THREADS = 1
"""On a busy machine two threads spin at their barriers and take ten times as long as one. Fixed,
since it stands in the model text: a checksum should not depend on the machine."""

PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,  # the same trees as row-wise, a third faster on hundreds of columns
    "num_threads": THREADS,
    "verbosity": -1,
}
ROUNDS = 250


@dataclass(frozen=True)
class LightGBM:
    """Boosted trees on every column; columns go by name, NaN is missing.

    Parameters
    ----------
    columns : tuple of str
        The input columns in the order of training. Inside the booster they are f0001, f0002, …:
        LightGBM refuses brackets, quotes and JSON characters, and scores by position.
    model : str
        The booster's text. LightGBM aborts the process on a truncated one: verify a checksum
        before building this object from a file.
    """

    columns: tuple[str, ...]
    model: str
    name: str = "lightgbm"
    kind: ClassVar[str] = "lightgbm"

    @cached_property
    def booster(self) -> Any:
        """The booster, built once from its text."""
        return lgb.Booster(model_str=self.model)

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn."""
        values = select_inputs(X, self.columns, self.name)
        if not len(values):  # LightGBM raises on no rows
            return np.empty(0)
        return np.asarray(self._predict(values, raw_score=True), dtype=np.float64)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Exact SHAP values by LightGBM's own `pred_contrib`; about 1 ms a row."""
        values = select_inputs(X, self.columns, self.name)
        # the base is a property of the trees, so one empty row tells it even when X is empty
        given = values if len(values) else np.full((1, len(self.columns)), np.nan)
        shap = np.asarray(self._predict(given, pred_contrib=True), dtype=np.float64)
        parts = pd.DataFrame(shap[: len(values), :-1], index=X.index, columns=list(self.columns))
        return parts, float(shap[0, -1])

    def _predict(self, values: Array, **how: bool) -> Any:
        return self.booster.predict(values, num_threads=THREADS, **how)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        columns = list(self.columns)
        return {"kind": self.kind, "name": self.name, "columns": columns, "model": self.model}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(tuple(stored["columns"]), str(stored["model"]), str(stored["name"]))


@dataclass(frozen=True)
class Blend:
    """The mean log-odds of several candidates; their contributions average the same way."""

    parts: tuple[Candidate, ...]
    name: str = "blend"
    kind: ClassVar[str] = "blend"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn."""
        return np.asarray(np.mean([p.margin(X) for p in self.parts], axis=0), dtype=np.float64)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Mean contribution by column; a part that does not use a column gives it 0."""
        split = [p.contributions(X) for p in self.parts]
        columns = list(dict.fromkeys(c for frame, _ in split for c in frame.columns))
        whole = sum(f.reindex(columns=columns, fill_value=0.0).to_numpy() for f, _ in split)
        base = float(np.mean([base for _, base in split]))
        return pd.DataFrame(whole / len(split), index=X.index, columns=columns), base

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {"kind": self.kind, "name": self.name, "parts": [p.to_json() for p in self.parts]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(tuple(load_candidate(p) for p in stored["parts"]), str(stored["name"]))


def fit_lightgbm(
    X: pd.DataFrame, y: ArrayLike, *, seed: int = 0, parameters: Mapping[str, Any] | None = None
) -> LightGBM:
    """Fit boosted trees on every column of X.

    Parameters
    ----------
    X : DataFrame
        Numeric features, NaN = missing.
    y : array-like of 0 and 1
        1 = churned.
    seed : int
        Same seed, rows and library version: the same model text.
    parameters : mapping, optional
        LightGBM parameters (and `num_iterations`) that replace the defaults.

    Raises
    ------
    DataError
        If the label holds one class.
    """
    label = checked_target(X, y)
    columns = tuple(map(str, X.columns))
    values = select_inputs(X, columns, "lightgbm")
    settings = {**PARAMETERS, "seed": seed, "num_iterations": ROUNDS, **(parameters or {})}
    rounds = settings.pop("num_iterations")
    names = [f"f{j:04d}" for j in range(1, len(columns) + 1)]
    rows = lgb.Dataset(values, label, feature_name=names, params=settings)
    booster = lgb.train(settings, rows, num_boost_round=rounds)
    return LightGBM(columns, booster.model_to_string())


def fit_blend(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Blend:
    """Fit LightGBM and the logistic model on log RFM and BTYD, and blend them."""
    return Blend((fit_lightgbm(X, y, seed=seed), fit_logistic_rfm_btyd(X, y, seed=seed)))


BASELINES: Mapping[str, Fit] = {
    "base_rate": fit_base_rate,
    "recency_rule": fit_recency_rule,
    "btyd": fit_btyd,
    "btyd_recalibrated": fit_btyd_recalibrated,
    "logistic_rfm": fit_logistic_rfm,
    "logistic_rfm_btyd": fit_logistic_rfm_btyd,
}
"""The baselines of inactivity, from the simplest on (definitions.md)."""

CANDIDATES: Mapping[str, Fit] = {**BASELINES, "lightgbm": fit_lightgbm, "blend": fit_blend}
"""Every candidate for inactivity, simpler ones first, each as `fit(X, y, seed=…)`."""


@dataclass(frozen=True)
class Roster:
    """The models that are tried for one kind of leaving.

    Attributes
    ----------
    baselines : mapping of str to callable
        The simple models, the simplest first.
    partner : str
        The baseline that LightGBM is blended with.
    raw : tuple of str
        Baselines shown as they are, never calibrated.
    """

    baselines: Mapping[str, Fit]
    partner: str
    raw: tuple[str, ...] = ("base_rate",)

    @property
    def names(self) -> tuple[str, ...]:
        """Every candidate, simpler ones first."""
        return (*self.baselines, "lightgbm", "blend")


ROSTERS: Mapping[str, Roster] = {
    # `btyd_recalibrated` is the calibrated one
    "inactivity": Roster(BASELINES, "logistic_rfm_btyd", ("base_rate", "btyd")),
    "subscription": Roster(
        {
            "base_rate": fit_base_rate,
            "kaplan_meier": fit_kaplan_meier,
            "sbg": fit_sbg,
            "logistic_subscription": fit_logistic_subscription,
        },
        "logistic_subscription",
    ),
    "label": Roster(
        {"base_rate": fit_base_rate, "logistic_attributes": fit_logistic_attributes},
        "logistic_attributes",
    ),
}
"""The roster of each kind of leaving."""

_KINDS: Mapping[str, Any] = {
    c.kind: c for c in (BaseRate, RecencyRule, AsIs, Logistic, LightGBM, Blend)
}


def fit_candidates(
    X: pd.DataFrame,
    y: ArrayLike,
    *,
    seed: int = 0,
    kind: str = "inactivity",
    names: Iterable[str] | None = None,
) -> dict[str, Candidate]:
    """Fit the candidates of a kind of leaving by name, sharing what they have in common.

    The same models as fitting them one by one; the blend takes its parts from the others instead
    of fitting LightGBM a second time.
    """
    roster = ROSTERS[kind]
    fitted: dict[str, Candidate] = {}

    def get(name: str) -> Candidate:
        if name not in fitted:
            if name == "blend":
                fitted[name] = Blend((get("lightgbm"), get(roster.partner)))
            elif name == "lightgbm":
                fitted[name] = fit_lightgbm(X, y, seed=seed)
            else:
                fitted[name] = roster.baselines[name](X, y, seed=seed)
        return fitted[name]

    return {name: get(name) for name in (roster.names if names is None else names)}


def load_candidate(stored: Mapping[str, Any]) -> Candidate:
    """Rebuild a candidate from its `to_json`.

    Raises
    ------
    ModelError
        If the kind is unknown to this version.
    """
    kind = str(stored.get("kind"))
    if kind not in _KINDS:
        raise ModelError(f"model kind {kind!r} is unknown; known: {', '.join(_KINDS)}.")
    candidate: Candidate = _KINDS[kind].from_json(stored)
    return candidate
