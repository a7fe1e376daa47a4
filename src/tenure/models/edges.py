"""Where fits leave the range of sense: recognised, held, and told in words a manager can use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from tenure.models.btyd import Array, Status
from tenure.models.optimum import FLAT, Optimum
from tenure.models.spend import CORRELATED, SURE

__all__ = [
    "guarded_spend",
    "left_truncation",
    "purchases_at_the_edge",
    "spend_with_frequency",
    "within_sense",
    "within_sense_of_spend",
]

_SENSIBLE = (1e-3, 1e3)  # of shape parameters: outside, customers are all alike or all unlike
_NEAR = 1.001  # so near to an end counts as at it
_HIGHEST_PRIOR_MEAN = 3.0  # times the observed mean; above, q is too near 1 to be believed
_MEANS = np.array([1.0, 1.0, 1e-3])  # v, in means, may be smaller
_OPENING, _NEXT = 30, 60  # days of a log whose first purchases are compared
_PACE = 2.0
_FIRST_SEEN = 50  # customers, below whom paces say little


def within_sense(parameters: Array, shapes: tuple[int, ...]) -> Array:
    """Bring four parameters of a purchase model back to where customers can be told apart.

    Each pair (r, α), (a, b) or (s, β) keeps its ratio where it grows: there the ratio is all that
    the data say. A shape that vanishes is held alone.

    Parameters
    ----------
    parameters : ndarray
        Two pairs.
    shapes : tuple of int
        Which of them have no unit.
    """
    found = np.array(parameters, dtype=np.float64)
    for pair in ([0, 1], [2, 3]):
        largest = max(found[i] for i in pair if i in shapes)
        found[pair] /= max(largest / _SENSIBLE[1], 1.0)
    least = np.where(np.isin(range(4), shapes), _SENSIBLE[0], 1e-9)
    return np.maximum(found, least)


def purchases_at_the_edge(family: str, top: Optimum) -> list[str]:
    """Say in words where a purchase model ran to the edge of sense; nothing where it did not."""
    r, _, leaves, stays = top.at
    highest = max(leaves, stays) if family != "pareto_nbd" else leaves
    at_once = family != "pareto_nbd" and _least(stays)
    found = [
        words
        for words, is_so in (
            ("hardly anybody buys a second time, and who does buys again and again", _least(r)),
            ("all customers buy at one rate", _most(r)),
            ("hardly anybody ever leaves for good, so nearly everybody counts as active",
             _least(leaves) and not at_once),
            ("all customers leave alike", _most(highest) and not _least(leaves)),
            ("nearly everybody leaves after the first purchases", at_once and not _least(leaves)),
            ("some leave after their first purchases and the others never",
             at_once and _least(leaves)),
        )
        if is_so
    ]  # fmt: skip
    if found:
        return [f"The {family} fit ran to the edge of sense: by these data {' and '.join(found)}."]
    if top.penalty:
        return [
            f"The {family} fit has no plain optimum on these data and needed a penalty of "
            f"{top.penalty:g} to hold its parameters: read its values as rough."
        ]
    if (top.gradient or 0.0) > FLAT:
        return [f"The {family} fit stopped at the edge of sense: read its values as rough."]
    return []


def _least(shape: float) -> bool:
    return bool(shape <= _SENSIBLE[0] * _NEAR)


def _most(shape: float) -> bool:
    return bool(shape >= _SENSIBLE[1] / _NEAR)


def left_truncation(T: npt.ArrayLike, customers: npt.ArrayLike) -> list[str]:
    """Say where most customers were customers before the log begins.

    New customers come at some pace; customers of before come back to be seen for the first time,
    nearly all of them early. A log is called cut off on the left if first purchases of its first
    30 days came at more than twice the pace of the 60 days after.

    Parameters
    ----------
    T : array_like
        Days since the first purchase; the largest is taken as the log's first day.
    customers : array_like
        How many a row stands for.
    """
    age, n = np.asarray(T, dtype=np.float64), np.asarray(customers, dtype=np.float64)
    since = age.max(initial=0) - age
    if not len(age) or age.max() < 2 * (_OPENING + _NEXT):
        return []
    opening = float(n[since < _OPENING].sum())
    after = float(n[(since >= _OPENING) & (since < _OPENING + _NEXT)].sum())
    pace = (opening / _OPENING) / max(after / _NEXT, 1e-9)
    is_cohort = float(n[since >= _OPENING].sum()) < 0.01 * n.sum()  # chosen so: nobody came later
    if opening < _FIRST_SEEN or pace <= _PACE or is_cohort:
        return []
    often = f"{pace:.0f} times" if pace < 100 else "more than 100 times"
    return [
        f"{opening / n.sum():.0%} of customers were first seen in the log's first {_OPENING} days, "
        f"{often} the pace of the {_NEXT} days after: most were customers before it begins, so "
        "their age and their purchases are cut off, and purchase models read them as newcomers. "
        "Take a longer history if there is one."
    ]


def spend_with_frequency(x: Array, m: Array) -> tuple[float, float, list[str]]:
    """Return Spearman's correlation of spend with frequency, its p-value, and a warning."""
    if np.ptp(x) == 0 or np.ptp(m) == 0:
        return 0.0, 1.0, []
    rho, p_value = (float(v) for v in spearmanr(x, m))
    if abs(rho) < CORRELATED or p_value > SURE:
        return rho, p_value, []
    chance = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    note = (
        f"Spend per purchase goes with frequency (rank correlation {rho:+.2f}, {chance}), which "
        "Gamma-Gamma takes to be independent: values of frequent buyers are off."
    )
    return rho, p_value, [note]


def within_sense_of_spend(parameters: Array) -> Array:
    """Bring p, q and v back to where customers can be told apart; v keeps the mean where it can."""
    p, q, v = parameters
    steady = max(p / _SENSIBLE[1], 1.0)  # p → ∞, v → 0: each always spends the same
    alike = max(q / _SENSIBLE[1], 1.0)  # q → ∞, v → ∞: all have one mean
    found: Array = np.maximum([p / steady, q / alike, v * steady / alike], _SENSIBLE[0] * _MEANS)
    return found


def guarded_spend(top: Optimum | None, m: Array) -> tuple[Array, Status, list[str]]:
    """Keep the prior mean positive, finite and near what was observed; money in means."""
    if np.ptp(m) <= 1e-9:
        note = "Everybody spends the same per purchase; that amount is used for all."
        return np.array([1.0, 2.0, 1.0]), "fallback", [note]
    if top is None:
        note = "The Gamma-Gamma fit did not converge; spend is drawn towards the overall mean."
        return np.array([1.0, 2.0, 1.0]), "fallback", [note]
    p, q, v = top.at
    if q > 1 and p * v / (q - 1) <= _HIGHEST_PRIOR_MEAN:
        found = [
            words
            for words, is_so in (
                ("each customer always spends the same", _most(p)),
                ("all customers spend alike", _most(q)),
                ("a customer's purchases have nothing in common", _least(p)),
                (f"it needed a penalty of {top.penalty:g}", bool(top.penalty)),
            )
            if is_so
        ]
        if not found and (top.gradient or 0.0) > FLAT:
            found = ["amounts differ by so much that their scale cannot be told"]
        if not found:
            return top.at, "converged", []
        return top.at, "boundary", [f"The Gamma-Gamma fit ran to the edge: {', '.join(found)}."]
    note = (
        f"Spend is so heavy-tailed that Gamma-Gamma finds no usable mean (q = {q:.2f}); "
        "q was set so that the mean of a new customer is the observed one. A few large purchases "
        "decide every total: check them, and plan with ranges."
    )
    return np.array([p, 1 + p * v, v]), "fallback", [note]
