"""LightGBM on every input: how it is set, fitted, averaged over seeds and stored."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tenure.models.booster_text import UnsuitedError
from tenure.models.candidate import checked_target, select_inputs
from tenure.models.shapley import ROWS, Tables, shap, tables

__all__ = ["PARAMETERS", "ROUNDS", "LightGBM", "Settings", "fit_lightgbm"]

Array = NDArray[np.float64]

THREADS = 1
"""On a busy machine two threads spin at their barriers and take ten times as long as one. Fixed,
since it stands in the model text: a checksum should not depend on the machine."""

PARAMETERS: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "feature_pre_filter": False,  # no column is dropped before the trees have seen it
    "deterministic": True,
    "force_col_wise": True,  # the same trees as row-wise, a third faster on hundreds of columns
    "num_threads": THREADS,
    "verbosity": -1,
}
ROUNDS = 150
MONOTONE_METHOD = "intermediate"
ADDITIVE = 1e-6  # log-odds by which SHAP values of tables may miss a margin


@dataclass(frozen=True)
class Settings:
    """What is decided once about LightGBM and its blend, before any test cutoff.

    Attributes
    ----------
    parameters : mapping
        LightGBM parameters, and `num_iterations`, that replace the defaults.
    seeds : int
        Boosters that are averaged in log-odds.
    share : float
        LightGBM's share of the blend, in log-odds.
    directions : mapping
        Columns of which more may only raise (1) or only lower (-1) the chance of leaving.
    class_weight : float or "balanced" or None
        How much more a leaver weighs than a stayer while learning; margins are corrected back.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    share: float = 0.5
    directions: Mapping[str, int] = field(default_factory=dict)
    class_weight: float | Literal["balanced"] | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "parameters": dict(self.parameters),
            "seeds": self.seeds,
            "share": self.share,
            "directions": dict(self.directions),
            "class_weight": self.class_weight,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(
            dict(stored["parameters"]),
            int(stored["seeds"]),
            float(stored["share"]),
            dict(stored["directions"]),
            stored["class_weight"],
        )


@dataclass(frozen=True)
class LightGBM:
    """Boosted trees on every column; columns go by name, NaN is missing.

    Parameters
    ----------
    columns : tuple of str
        The input columns in the order of training. Inside the booster they are f0001, f0002, …:
        LightGBM refuses brackets, quotes and JSON characters, and scores by position.
    boosters : tuple of str
        The boosters' texts, one a seed; their log-odds are averaged. LightGBM aborts the process on
        a truncated one: verify a checksum before building this object from a file.
    offset : float
        Added to the log-odds: what class weights put in is taken out again.
    """

    columns: tuple[str, ...]
    boosters: tuple[str, ...]
    offset: float = 0.0
    name: str = "lightgbm"
    kind: ClassVar[str] = "lightgbm"

    @cached_property
    def _built(self) -> list[Any]:
        """The boosters, built once from their texts."""
        return [lgb.Booster(model_str=text) for text in self.boosters]

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn."""
        values = select_inputs(X, self.columns, self.name)
        if not len(values):  # LightGBM raises on no rows
            return np.empty(0)
        return self._mean(values, raw_score=True) + self.offset

    @cached_property
    def _tables(self) -> Tables | None:
        """What `shapley` reads SHAP values from; None for trees it does not speak of."""
        with contextlib.suppress(UnsuitedError):
            return tables(self.boosters, range(len(self.columns)))
        return None

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Exact SHAP values: by tables, some 10 µs a row, else by LightGBM's `pred_contrib`.

        Tables whose values miss the margin of some row are not believed for any.
        """
        names = list(self.columns)
        if (parts := self._by_tables(X)) is not None and self._tables is not None:
            return pd.DataFrame(parts, X.index, names), self._tables.base + self.offset
        values = select_inputs(X, self.columns, self.name)
        # the base is a property of the trees, so one empty row tells it even when X is empty
        given = values if len(values) else np.full((1, len(self.columns)), np.nan)
        slow = self._mean(given, pred_contrib=True)
        parts = slow[: len(values), :-1]
        return pd.DataFrame(parts, X.index, names), float(slow[0, -1]) + self.offset

    def _by_tables(self, X: pd.DataFrame) -> Array | None:
        """Read every row's values from the tables, block by block; None if some row refuses."""
        if self._tables is None:
            return None
        found = np.empty((len(X), len(self.columns)))
        for start in range(0, max(len(X), 1), ROWS):  # no rows: their columns are checked still
            values = select_inputs(X.iloc[start : start + ROWS], self.columns, self.name)
            parts = shap(self._tables, values)
            margin = self._mean(values, raw_score=True) if len(values) else np.empty(0)
            if (np.abs(parts.sum(axis=1) + self._tables.base - margin) > ADDITIVE).any():
                return None
            found[start : start + ROWS] = parts
        return found

    def _mean(self, values: Array, **how: bool) -> Array:
        said = (b.predict(values, num_threads=THREADS, **how) for b in self._built)
        whole: Array = sum(said) / len(self.boosters)
        return np.asarray(whole, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {
            "kind": self.kind,
            "name": self.name,
            "columns": list(self.columns),
            "boosters": list(self.boosters),
            "offset": self.offset,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        return cls(
            tuple(stored["columns"]),
            tuple(map(str, stored["boosters"])),
            float(stored["offset"]),
            str(stored["name"]),
        )


def fit_lightgbm(
    X: pd.DataFrame,
    y: ArrayLike,
    *,
    seed: int = 0,
    settings: Settings | None = None,
    name: str = "lightgbm",
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
    settings : Settings, optional
        What tuning decided; the defaults otherwise.
    name : str
        Name in the tables of results.

    Raises
    ------
    DataError
        If the label holds one class.
    """
    settings = settings or Settings()
    label = checked_target(X, y)
    columns = tuple(map(str, X.columns))
    weight = _weight(settings, label)
    given = _parameters(settings, columns)
    rounds = given.pop("num_iterations")
    rows = _dataset(select_inputs(X, columns, name), label, np.where(label == 1, weight, 1.0))
    # each booster its own seed: neighbouring seeds of a project do not share boosters
    seeds = [seed if k == 0 else seed + 7919 * k for k in range(settings.seeds)]
    boosters = tuple(
        lgb.train({**given, "seed": s}, rows, num_boost_round=rounds).model_to_string()
        for s in seeds
    )
    return LightGBM(columns, boosters, -float(np.log(weight)), name)


def _dataset(values: Array, label: Array, weight: Array | None = None) -> Any:
    """Bin the rows, once for all boosters of a bag."""
    names = [f"f{j:04d}" for j in range(1, values.shape[1] + 1)]
    if weight is not None and (weight == 1).all():
        weight = None
    return lgb.Dataset(
        values, label, weight=weight, feature_name=names, params=dict(PARAMETERS),
        free_raw_data=False,
    )  # fmt: skip


def _parameters(settings: Settings, columns: tuple[str, ...]) -> dict[str, Any]:
    given = {**PARAMETERS, "num_iterations": ROUNDS, **settings.parameters}
    if settings.directions:
        given["monotone_constraints"] = [settings.directions.get(c, 0) for c in columns]
        given["monotone_constraints_method"] = MONOTONE_METHOD
    return given


def _weight(settings: Settings, label: Array) -> float:
    """Return the weight of a leaver; a stayer weighs 1."""
    if settings.class_weight == "balanced":
        return float((len(label) - label.sum()) / label.sum())
    return float(settings.class_weight or 1.0)
