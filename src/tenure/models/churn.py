"""The blend of LightGBM with a simple model, and the list of all churn candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

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
from tenure.models.candidate import Candidate
from tenure.models.logistic import (
    Logistic,
    fit_btyd_recalibrated,
    fit_logistic_attributes,
    fit_logistic_rfm,
    fit_logistic_rfm_btyd,
    fit_logistic_subscription,
)
from tenure.models.trees import LightGBM, Settings, fit_lightgbm

__all__ = [
    "BASELINES",
    "CANDIDATES",
    "ROSTERS",
    "UNCONSTRAINED",
    "Blend",
    "Roster",
    "fit_blend",
    "fit_candidates",
    "load_candidate",
]

Array = NDArray[np.float64]
Fit = Callable[..., Candidate]


UNCONSTRAINED = "lightgbm_unconstrained"
"""Where directions are asked for: LightGBM without them, to show what they cost."""


@dataclass(frozen=True)
class Blend:
    """The weighted mean of several candidates' log-odds; contributions average the same way."""

    parts: tuple[Candidate, ...]
    shares: tuple[float, ...]
    name: str = "blend"
    kind: ClassVar[str] = "blend"

    def margin(self, X: pd.DataFrame) -> Array:
        """Log-odds of churn."""
        return np.asarray(self._mean([p.margin(X) for p in self.parts]), dtype=np.float64)

    def contributions(self, X: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """Mean contribution by column; a part that does not use a column gives it 0."""
        split = [p.contributions(X) for p in self.parts]
        columns = list(dict.fromkeys(c for frame, _ in split for c in frame.columns))
        parts = [f.reindex(columns=columns, fill_value=0.0).to_numpy() for f, _ in split]
        whole = pd.DataFrame(self._mean(parts), index=X.index, columns=columns)
        return whole, float(self._mean([base for _, base in split]))

    def _mean(self, said: list[Any]) -> Any:
        return sum(w * s for w, s in zip(self.shares, said, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {
            "kind": self.kind,
            "name": self.name,
            "parts": [p.to_json() for p in self.parts],
            "shares": list(self.shares),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        parts = tuple(load_candidate(p) for p in stored["parts"])
        return cls(parts, tuple(map(float, stored["shares"])), str(stored["name"]))


def fit_blend(X: pd.DataFrame, y: ArrayLike, *, seed: int = 0) -> Candidate:
    """Fit LightGBM and the logistic model on log RFM and BTYD, and blend them."""
    return fit_candidates(X, y, seed=seed, names=["blend"])["blend"]


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
    settings: Settings | None = None,
) -> dict[str, Candidate]:
    """Fit the candidates of a kind of leaving by name, sharing what they have in common.

    The same models as fitting them one by one; the blend takes its parts from the others instead
    of fitting LightGBM a second time.
    """
    roster, settings = ROSTERS[kind], settings or Settings()
    fitted: dict[str, Candidate] = {}

    def get(name: str) -> Candidate:
        if name not in fitted:
            if name == "blend":
                parts = get("lightgbm"), get(roster.partner)
                fitted[name] = Blend(parts, (settings.share, 1 - settings.share))
            elif name in ("lightgbm", UNCONSTRAINED):
                how = settings if name == "lightgbm" else replace(settings, directions={})
                fitted[name] = fit_lightgbm(X, y, seed=seed, settings=how, name=name)
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
