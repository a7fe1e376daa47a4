"""The trees of a LightGBM model text, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tree", "UnsuitedError", "read_trees"]

Array = NDArray[np.float64]

CATEGORICAL, DEFAULT_LEFT, MISSING_NAN = 1, 2, 2  # LightGBM's `decision_type`, tree.h


class UnsuitedError(Exception):
    """The trees hold something that the tables do not speak of."""


@dataclass(frozen=True)
class Tree:
    """One tree as LightGBM writes it; a child below 0 is the leaf `-1 - child`."""

    feature: NDArray[np.intp]
    threshold: Array
    nan_left: NDArray[np.bool_]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    leaf_value: Array
    leaf_count: Array
    count: Array

    @property
    def expected(self) -> float:
        """Mean output over the rows the tree was grown on."""
        if not len(self.feature):
            return float(self.leaf_value[0])
        return float(self.leaf_value @ self.leaf_count / self.count[0])


def read_trees(text: str) -> list[Tree]:
    """Read the trees from a LightGBM model text.

    Raises
    ------
    UnsuitedError
        If the booster has categorical splits, linear leaves, zeros that count as missing, or
        averages its trees.
    """
    head, *parts = text.split("\nTree=")
    if "\naverage_output" in head:
        raise UnsuitedError("averaged trees")
    return [_tree(part.split("\nend of trees")[0]) for part in parts]


def _tree(part: str) -> Tree:
    said = dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
    if said.get("num_cat", "0") != "0" or said.get("is_linear", "0") != "0":
        raise UnsuitedError("categorical splits or linear leaves")

    def numbers(name: str) -> Array:
        return np.array(said.get(name, "").split(), dtype=np.float64)

    if int(said["num_leaves"]) == 1:
        nothing = np.empty(0)
        whole = nothing.astype(np.intp)
        none = nothing.astype(bool)
        return Tree(whole, nothing, none, whole, whole, numbers("leaf_value"), np.ones(1), nothing)
    kind = numbers("decision_type").astype(np.int64)
    missing = (kind >> 2) & 3
    if (kind & CATEGORICAL).any() or np.isin(missing, (0, MISSING_NAN), invert=True).any():
        raise UnsuitedError("categorical splits or zeros that count as missing")
    threshold, leaf_count = numbers("threshold"), numbers("leaf_count")
    # where training saw no NaN, LightGBM reads one as 0
    nan_left = np.where(missing == MISSING_NAN, (kind & DEFAULT_LEFT) > 0, threshold >= 0)
    if not (leaf_count > 0).all():
        raise UnsuitedError("leaves without rows")
    return Tree(
        numbers("split_feature").astype(np.intp),
        threshold,
        nan_left,
        numbers("left_child").astype(np.intp),
        numbers("right_child").astype(np.intp),
        numbers("leaf_value"),
        leaf_count,
        numbers("internal_count"),
    )
