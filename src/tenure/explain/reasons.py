"""Three short sentences for each customer, with their own number and the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.explain.words import is_yes_or_no, phrase, sentence, shown
from tenure.features.schema import Column
from tenure.features.spec import ROLES, declared

__all__ = ["FAVOURABLE", "REASONS", "phrase", "reasons"]

REASONS = ["reason_1", "reason_2", "reason_3"]
FAVOURABLE = " (a good sign)."
"""How a reason ends that lowers the chance of leaving; one that raises it ends with the number."""

LEVER = 1.0  # points from which a reason the company can act on comes before all others
LEAST = 0.05  # points below which nothing is a reason
ALIKE = 0.1  # a number this near to the usual one, as a share of it, explains nothing to a reader
NEAR = 0.05  # nor does a share this near to it
SPARE = 6  # reasons looked at for three that do not say the same
TIER = 1e6  # more points than anything has
ROWS = 20_000  # customers at a time

SAME = {
    "orders": "purchases", "purchase_days": "purchases", "frequency": "purchases",
    "btyd_log_odds": "silence", "btyd_p_alive": "silence", "btyd_expected_purchases": "silence",
    "days_since_last_purchase": "silence", "overdue_ratio": "silence",
    "visits": "visits", "days_since_visit": "visits",
    "use_days": "use", "days_since_use": "use", "use_trend": "use", "use_breadth": "use",
    "active_users": "use",
    "gap_mean": "gaps", "gap_last": "gaps", "gap_variation": "gaps",
    "kaplan_meier_log_odds": "age", "sbg_log_odds": "age", "subscription_age_days": "age",
    "days_since_first_subscription": "age", "days_since_signup": "age", "T": "age",
    "average_basket": "basket", "largest_basket": "basket", "monetary_value": "basket",
}  # fmt: skip
"""Features of a circumstance that tell one thing in two ways."""

NEWS = {
    "value": -1, "mrr": 0, "recency": -1, "categories": -1, "channels": -1,
    "gap_mean": 1, "gap_last": 1, "gap_variation": 1, "tickets_of_kind": 1, "price_changes": 1,
    "mrr_change": 1, "mrr_change_last": 1,
}  # fmt: skip
"""What a reader takes more of a feature, or of a factor's features, for where none declares a
direction: 1 for bad news, -1 for good. "Spent EUR 500; EUR 100 is usual" is no reason to leave."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Inputs:
    """What is fixed for all customers: each input's topic, and how its numbers are to be read."""

    columns: list[Column]
    topic: NDArray[np.intp]
    news: Array
    actionable: NDArray[np.bool_]
    derived: NDArray[np.bool_]
    usual: Array
    is_share: NDArray[np.bool_]
    is_part: NDArray[np.bool_]
    one_hot: list[NDArray[np.intp]]

    @classmethod
    def of(
        cls, names: list[str], columns: Mapping[str, Column], usual: Mapping[str, float]
    ) -> _Inputs:
        held = [columns[name] for name in names]
        topics = pd.factorize(np.array([_topic(c) for c in held], dtype=object))[0]
        levels = pd.Series([c.feature if _is_level(c) else None for c in held], dtype="object")
        return cls(
            held,
            topics.astype(np.intp),
            np.array([c.direction or _news(c) for c in held], dtype=np.float64),
            np.array([c.actionable for c in held]),
            np.array([_is_derived(c) for c in held]),
            np.array([usual[name] for name in names], dtype=np.float64),
            np.array([c.unit in ("share", "0 to 1") for c in held]),
            np.array([c.unit == "share" and c.level is not None for c in held]),
            [
                np.asarray(members, dtype=np.intp)
                for members in levels.groupby(levels).groups.values()
            ],
        )


def _topic(column: Column) -> str:
    """Name what a column speaks of: a reader hears of each topic once."""
    if ROLES[column.factor] != "circumstance":
        return column.factor
    return SAME.get(column.feature, column.feature)


def _is_derived(column: Column) -> bool:
    """Tell whether a column is another model's chance, which no customer would recognise."""
    return declared(column.feature) is None and not column.feature.startswith("attribute[")


def _news(column: Column) -> int:
    return NEWS.get(column.feature, NEWS.get(column.factor, 0))


def _is_level(column: Column) -> bool:
    """Tell whether a column says that an attribute is, or is not, of one level."""
    return column.feature.startswith("attribute[") and is_yes_or_no(column)


def reasons(
    points: pd.DataFrame,
    X: pd.DataFrame,
    usual: Mapping[str, float],
    columns: Mapping[str, Column],
    raised: np.ndarray,
    currency: str | None = None,
) -> pd.DataFrame:
    """Write each customer's three strongest reasons.

    A customer above the typical chance reads what raises it, one below what lowers it, marked "(a
    good sign)". The inputs of one factor speak together, and in circumstances those of one thing
    (`SAME`): their signed points are summed, and a topic is a reason if the sum points the
    customer's way by at least .05 points. Its voice is the input with most points of those whose
    number can be read that way: a number on the good side of the usual one is no reason for
    leaving, and none within 10 % of it is told. Another model's chance, such as that of staying
    away by the rhythm of purchases, lends its points to the observed numbers of its topic. Inputs
    the company can change speak first within their factor if they carry a point or more, and so do
    their factors before all others; what is not known comes last. Otherwise the order is by points.

    Parameters
    ----------
    points : DataFrame, shape (n, inputs)
        Signed points by input.
    X : DataFrame, shape (n, ≥ inputs)
        The inputs' values.
    usual : mapping
        The usual value of each input.
    columns : mapping
        What each input is.
    raised : ndarray of bool, shape (n,)
        Whether the customer's chance of leaving is above the typical one.
    currency : str, optional
        What money is counted in.

    Returns
    -------
    DataFrame
        `reason_1` to `reason_3`; null where fewer than three topics point that way.
    """
    names = list(points.columns)
    if not len(points) or not names:
        return pd.DataFrame(None, index=points.index, columns=REASONS, dtype="object")
    held = _Inputs.of(names, columns, usual)
    signed, values = points.to_numpy(np.float64), X[names].to_numpy(np.float64)
    raised = np.asarray(raised, dtype=bool)
    parts = [
        _voices(signed[rows], values[rows], raised[rows], held)
        for rows in (slice(at, at + ROWS) for at in range(0, len(points), ROWS))
    ]
    voice = np.concatenate(parts)
    told = np.take_along_axis(values, np.maximum(voice, 0), axis=1)
    three = _first_three(*_written(voice, told, raised, held, currency))
    return pd.DataFrame(three, index=points.index, columns=REASONS, dtype="object")


def _voices(points: Array, values: Array, raised: np.ndarray, held: _Inputs) -> NDArray[np.intp]:
    """Return the inputs that speak for each customer, strongest first; -1 where none does."""
    sign = np.where(raised, 1.0, -1.0)[:, None]
    signed = points * sign
    _tell_levels(signed, values, held)
    readable = _readable(values, sign, held)
    topics = int(held.topic.max()) + 1
    net, tier = np.empty((len(points), topics)), np.empty((len(points), topics))
    voice = np.empty((len(points), topics), dtype=np.intp)
    unknown = np.isnan(values)
    for k in range(topics):
        members = np.flatnonzero(held.topic == k)
        mine, derived = signed[:, members], held.derived[members]
        # what a chance by the rhythm of purchases says is told by the days since the last one
        lent = np.maximum(mine[:, derived].sum(axis=1, keepdims=True), 0.0)
        force = np.where(derived, mine, mine + lent)
        able = readable[:, members] & (force > 0)
        lever = held.actionable[members] & (mine >= LEVER)
        level = np.where(lever, TIER, np.where(derived, -TIER, 0.0))
        level = np.where(unknown[:, members], -2 * TIER, level)
        best = np.where(able, force + level, -np.inf).argmax(axis=1)[:, None]
        net[:, k] = np.where(able.any(axis=1), mine.sum(axis=1), -np.inf)
        voice[:, k] = members[best[:, 0]]
        tier[:, k] = np.take_along_axis(level, best, axis=1)[:, 0]
    tier[tier == -TIER] = 0.0  # a chance comes last within its topic only
    tier[(net < LEVER) & (tier > 0)] = 0.0
    rank = np.where(net >= LEAST, net, -np.inf) + tier
    order = np.argsort(-rank, axis=1, kind="stable")[:, :SPARE]
    speaks = np.isfinite(np.take_along_axis(rank, order, axis=1))
    return np.where(speaks, np.take_along_axis(voice, order, axis=1), -1)


def _tell_levels(signed: Array, values: Array, held: _Inputs) -> None:
    """Let the level that holds speak for all levels of its attribute."""
    for members in held.one_hot:
        here, whole = values[:, members], signed[:, members].sum(axis=1, keepdims=True)
        holds = here > 0.5
        holds[np.isnan(here).all(axis=1), 0] = True
        signed[:, members] = np.where(holds, whole, 0.0)


def _readable(values: Array, sign: Array, held: _Inputs) -> NDArray[np.bool_]:
    """Tell which numbers a reader can take for what they are said to do."""
    away = values - held.usual
    near = np.abs(away) <= np.maximum(ALIKE * np.abs(held.usual), NEAR * held.is_share)
    unknown = np.isnan(values)
    contradicts = held.news * away * sign < 0
    absent = held.is_part & (values == 0)  # "0 % of the orders were in garden" is about garden
    return np.asarray(~near & ~contradicts & ~absent & ~(unknown & np.isnan(held.usual)))


def _written(
    voice: NDArray[np.intp], told: Array, raised: np.ndarray, held: _Inputs, currency: str | None
) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Write every different sentence once: which of them each voice says, and all of them."""
    spoken = voice >= 0
    ups = np.broadcast_to(raised[:, None], voice.shape)[spoken]
    # a sentence is made of the rounded number, so that it does not depend on who else is there
    place, numbers = pd.factorize(_as_read(told[spoken]))
    codes, keys = pd.factorize((voice[spoken] * max(len(numbers), 1) + place) * 2 + ups)
    which, place = np.divmod(keys // 2, max(len(numbers), 1))
    sentences = [
        _sentence(held.columns[c], float(numbers[k]), float(held.usual[c]), bool(key % 2), currency)
        for c, k, key in zip(which, place, keys, strict=True)
    ]
    said = np.full(voice.shape, -1, dtype=np.intp)
    said[spoken] = codes
    return said, np.array([*sentences, None], dtype=object)


def _as_read(value: Array) -> Array:
    """Put numbers that read the same into one; missing becomes infinite, which equals itself.

    Each becomes the middle of a bin; what is shown changes at edges of bins only. Whole numbers
    stay.
    """
    size = np.abs(value)
    fine = np.select([size < 1, size < 10], [36000.0, 200.0], 2.0)
    middle = (np.floor(value * fine) + 0.5) / fine
    return np.where(np.isnan(value), np.inf, np.where(value == np.round(value), value, middle))


def _sentence(
    column: Column, value: float, usual: float, raises: bool, currency: str | None
) -> str | None:
    value = float("nan") if value == np.inf else value
    known = not (np.isnan(value) or np.isnan(usual) or is_yes_or_no(column))
    if known and shown(value, column.unit) == shown(usual, column.unit):
        return None
    text = sentence(column, value, usual, currency)
    return text if raises else text.removesuffix(".") + FAVOURABLE


def _first_three(said: NDArray[np.intp], sentences: NDArray[np.object_]) -> NDArray[np.object_]:
    """Keep the first three that say something, and not the same as one before."""
    gist = pd.factorize(np.array([s and _gist(s) for s in sentences], dtype=object))[0][said]
    fresh = gist >= 0
    for later in range(1, said.shape[1]):
        fresh[:, later] &= ~(gist[:, :later] == gist[:, [later]]).any(axis=1)
    order = np.argsort(~fresh, axis=1, kind="stable")
    kept = np.full((len(said), len(REASONS)), -1, dtype=np.intp)
    found = np.take_along_axis(np.where(fresh, said, -1), order, axis=1)[:, : len(REASONS)]
    kept[:, : found.shape[1]] = found
    return np.asarray(sentences[kept])


def _gist(text: str) -> str:
    """Cut a sentence to what it says: "No ticket in the last 90 days" is "No ticket"."""
    for end in (";", " in the last", " over the last", " so far", FAVOURABLE, "."):
        text = text.partition(end)[0]
    return text
