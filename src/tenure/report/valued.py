"""Value in words: of whom it is asked, what is counted beside money, and the simplest guess."""

from __future__ import annotations

from typing import Any, NamedTuple

from tenure.report import writing

__all__ = ["Spoken", "longer", "naive", "spoken"]

Json = dict[str, Any]


class Spoken(NamedTuple):
    """How value is spoken of, by the kind of leaving.

    Attributes
    ----------
    people, readers : str
        Whom the holdout holds, for data scientists and for readers.
    counted : str
        The key in `metrics.json` of what is counted beside money.
    unit : str
        The same, for people.
    leaving : str
        Why who leaves is still worth something; follows "the value expected if they leave, ".
    """

    people: str
    readers: str
    counted: str
    unit: str
    leaving: str


_PURCHASES = Spoken(
    "everybody ever seen",
    "everybody who had ever bought",
    "purchases",
    "purchase days",
    "since some who leave come back later",
)
_MONTHS = Spoken(
    "everybody whose subscription ran and who had not given notice",
    "everybody whose subscription ran and who had not given notice",
    "months",
    "months paid",
    "which is what they pay until their subscription ends",
)
_NAIVE = {
    "always_zero": "expecting nothing from anybody",
    "everybody_stays": "expecting everybody to stay at today's price",
}


def spoken(kind: str) -> Spoken:
    """Return the words of a kind of leaving."""
    return _MONTHS if kind == "subscription" else _PURCHASES


def naive(clv: Json) -> tuple[str, float] | None:
    """Return the guess that takes no model, in words, and its mean error for one customer."""
    for name, words in _NAIVE.items():
        error = writing.finite(clv["baselines"].get(name, {}).get("mae", {}).get("value"))
        if error is not None:
            return words, error
    return None


def longer(clv: Json) -> Json | None:
    """Lay out the longer validation horizon for data scientists, where there is one."""
    if not clv.get("longer"):
        return None
    held = clv["longer"]["holdout"]
    return {
        "days": held["horizon_days"],
        "origin": held["origin"],
        "predictors": {clv["family"]: held, **clv["longer"]["baselines"]},
    }
