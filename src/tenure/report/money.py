"""Profit at past cutoffs, in words: at what costs, in what unit, and beside what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Scale", "as_good", "basis"]

Json = dict[str, Any]

_NAMES = {"log_loss": "log loss", "auc": "AUC", "profit": "profit"}


@dataclass(frozen=True)
class Scale:
    """How the money of one table is written: all figures in ones, thousands or millions."""

    size: float
    digits: int

    @classmethod
    def of(cls, amounts: Iterable[float | None]) -> Scale:
        """Choose by the largest amount, so that it has three digits or four.

        Examples
        --------
        >>> Scale.of([12_345.0, None]), Scale.of([])
        (Scale(size=1000.0, digits=1), Scale(size=1.0, digits=1))
        """
        largest = max((abs(a) for a in amounts if a is not None), default=0.0)
        size = next((s for s in (1e6, 1e3) if largest >= 2 * s), 1.0)
        return cls(size, 1 if largest < 100 * size else 0)

    @property
    def unit(self) -> str:
        """What stands behind the name of a figure."""
        return {1.0: "", 1e3: ", thousands", 1e6: ", millions"}[self.size]

    def write(self, figure: Json) -> str:
        """Write an estimate and its interval; a dash where there is none."""
        if figure["value"] is None:
            return "-"
        value, lower, upper = (
            f"{figure[k] / self.size:,.{self.digits}f}" for k in ("value", "lower", "upper")
        )
        return f"{value} [{lower}, {upper}]"


def basis(campaign: Json, scale: Scale) -> list[str]:
    """Say what profit is counted in and what it assumes, or why it is not counted.

    Then what contacting nobody, everybody, or a random choice would have earned.
    """
    if campaign["why"]:
        return [f"no profit: {campaign['why']}"]
    given, free = campaign["costs"], campaign["costs"]["capacity"] is None
    most = "no limit" if free else f"at most {given['capacity']:,} contacts"
    found = campaign["baselines"]
    return [
        f"profit: {campaign['currency'] or 'money'} a cutoff, {most}: {campaign['value']} saved "
        f"over {campaign['value_horizon_days']} days, less all costs"
        + ("" if campaign["stated"] else " (defaults; set `campaign`)"),
        f"  a contact costs {given['contact_cost']:g}, an offer {given['incentive']:g}; "
        f"{100 * given['accept_rate']:g} % of leavers accept it, "
        f"{100 * given['stayers_take_rate']:g} % of stayers take it too",
        f"  without a model: nobody 0; everybody {scale.write(found['everybody'])}"
        + ("" if free else f"; at random within the limit {scale.write(found['random'])}")
        + scale.unit,
    ]


def as_good(churn: Json) -> list[str]:
    """Say by which figures a baseline is as good as the registered model, or ahead."""
    return [
        f"by {_NAMES[metric]}, {churn['selected']} is not clearly ahead of {', '.join(names)}."
        for metric, names in churn["as_good"].items()
        if names
    ]
