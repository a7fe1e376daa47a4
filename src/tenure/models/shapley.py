"""Exact SHAP values of boosted trees, by tables instead of walks.

What a leaf contributes depends only on which splits on its way a row passes. Leaves that share
splits form a group of few splits; every pattern of passes is worked out once, and a row then costs
a few comparisons and look-ups a group. The values are those of path-dependent TreeSHAP (Lundberg
et al. 2020, algorithm 2) and of LightGBM's own `pred_contrib`, in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.models.booster_text import Tree, UnsuitedError, read_trees

__all__ = ["ROWS", "Tables", "shap", "tables"]

Array = NDArray[np.float64]

BITS = 9  # splits a group holds: its table has 512 rows and stays in the cache
MOST_BITS = 10  # inputs on one leaf's way, beyond which only the patterns that occur are told
WIDEST = 62  # inputs whose passes one number holds
NO_MORE_THAN_ZERO = float(np.float32(1e-35))  # LightGBM reads what is no larger as 0, meta.h
ROWS = 16_384
"""Rows that are looked up at a time; only the result grows with their number."""


@dataclass(frozen=True)
class _Step:
    """One split on the way to a leaf: its node, whether the way goes left, the share that goes."""

    node: int
    left: bool
    share: float


_Ways = dict[int, list[_Step]]
_Tell = Callable[[_Ways, Array], Mapping[int, Array]]
"""From the inputs on a leaf's way, and who passes in each pattern, to what each target gets."""


@dataclass(frozen=True)
class _Leaf:
    value: float
    way: tuple[_Step, ...]

    def by_feature(self, tree: Tree) -> _Ways:
        """Return the steps of each input on the way."""
        found: _Ways = {}
        for step in self.way:
            found.setdefault(int(tree.feature[step.node]), []).append(step)
        return found


@dataclass(frozen=True)
class _Group:
    """Leaves whose contributions are read from one table.

    Attributes
    ----------
    bits : tuple of tuples (feature, threshold, above, wanted)
        A bit is set where every one of its comparisons holds: `value > threshold` if above,
        else `value <= threshold`, equal to `wanted`. NaN holds neither.
    targets : tuple of int
        The columns of the result that the table's rows are added to.
    table : ndarray, shape (targets, 2^bits)
        Empty where `tell` works out the patterns that occur, from who passes, shape (bits, n).
    """

    bits: tuple[tuple[tuple[int, float, bool, bool], ...], ...]
    targets: tuple[int, ...]
    table: Array
    tell: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Tables:
    """Tables of every tree of one or several boosters, and the trees' mean output."""

    groups: tuple[_Group, ...]
    base: float
    width: int


def tables(texts: Sequence[str], into: Sequence[int], *, pairs: bool = False) -> Tables:
    """Work out the tables of the mean of several boosters.

    Parameters
    ----------
    texts : sequence of str
        The boosters' model texts.
    into : sequence of int
        The kind of each input, from 0 on: contributions of one kind are summed. `range(inputs)`
        keeps every input apart.
    pairs : bool
        Tell SHAP interaction values between two kinds instead, both orders together, in column
        `a * kinds + b` for a < b; what inputs of one kind do to each other is left out.

    Raises
    ------
    UnsuitedError
        If some tree cannot be told by tables.
    """
    kinds = max(into, default=-1) + 1

    def tell(ways: _Ways, passes: Array) -> Mapping[int, Array]:
        found: dict[int, Array] = {}
        split = _pairs(ways, passes, into, kinds) if pairs else _singles(ways, passes, into)
        for target, told in split:
            share = told / len(texts)
            found[target] = found[target] + share if target in found else share
        return found

    trees = [tree for text in texts for tree in read_trees(text)]
    groups = [group for tree in trees for group in _groups(tree, tell)]
    base = sum(tree.expected for tree in trees) / len(texts)
    return Tables(tuple(groups), base, kinds * kinds if pairs else kinds)


def _leaves(tree: Tree) -> Iterator[_Leaf]:
    """Every leaf with its way from the root, neighbours next to each other."""
    waiting: list[tuple[int, tuple[_Step, ...]]] = [(0, ())]
    while waiting:
        at, way = waiting.pop()
        if at < 0:
            yield _Leaf(float(tree.leaf_value[-1 - at]), way)
            continue
        for child, left in ((int(tree.right[at]), False), (int(tree.left[at]), True)):
            rows = tree.leaf_count[-1 - child] if child < 0 else tree.count[child]
            share = float(rows / tree.count[at])
            waiting.append((child, (*way, _Step(at, left, share))))


def _groups(tree: Tree, tell: _Tell) -> Iterator[_Group]:
    """Cut a tree into groups of neighbouring leaves that hang on few splits."""
    if not len(tree.feature):
        return
    together: list[_Leaf] = []
    nodes: set[int] = set()
    for leaf in _leaves(tree):
        own = {step.node for step in leaf.way}
        if len(own) > BITS:
            yield _alone(tree, leaf, tell)
            continue
        if len(nodes | own) > BITS:
            yield _shared(tree, together, sorted(nodes), tell)
            together, nodes = [], set()
        together.append(leaf)
        nodes |= own
    if together:
        yield _shared(tree, together, sorted(nodes), tell)


def _shared(tree: Tree, leaves: list[_Leaf], nodes: list[int], tell: _Tell) -> _Group:
    """Tell several leaves by one bit a split."""
    above = [bool(tree.nan_left[n]) for n in nodes]  # NaN passes no comparison: it must go left
    patterns = np.arange(1 << len(nodes))
    # a comparison that holds means right where it is "above", left where it is not
    goes_left = {n: ((patterns >> k) & 1).astype(bool) != above[k] for k, n in enumerate(nodes)}
    summed: dict[int, Array] = {}
    for leaf in leaves:
        ways = leaf.by_feature(tree)
        code = np.zeros(len(patterns), dtype=np.intp)
        for j, steps in enumerate(ways.values()):
            passes = np.ones(len(patterns), dtype=bool)
            for step in steps:
                passes &= goes_left[step.node] == step.left
            code |= passes.astype(np.intp) << j
        for target, told in tell(ways, _passes(len(ways))).items():
            if target not in summed:
                summed[target] = np.zeros(len(patterns))
            summed[target] += (leaf.value * told)[code]
    bits = tuple(
        ((int(tree.feature[n]), float(tree.threshold[n]), up, True),)
        for n, up in zip(nodes, above, strict=True)
    )
    return _Group(bits, tuple(summed), _stacked(summed, len(patterns)))


def _alone(tree: Tree, leaf: _Leaf, tell: _Tell) -> _Group:
    """Tell a leaf far down by one bit an input: whether all its splits on the way are passed."""
    ways = leaf.by_feature(tree)
    if len(ways) > WIDEST:
        raise UnsuitedError(f"a leaf behind {len(ways)} inputs")
    few = len(ways) <= MOST_BITS
    told = tell(ways, _passes(len(ways)) if few else np.ones((len(ways), 1)))
    bits = tuple(
        tuple(_asked(tree, feature, step) for step in steps) for feature, steps in ways.items()
    )
    if few:
        return _Group(bits, tuple(told), leaf.value * _stacked(told, 1 << len(ways)))

    def occurring(passes: Array) -> Array:
        return leaf.value * _stacked(tell(ways, passes), passes.shape[1])

    return _Group(bits, tuple(told), np.empty((len(told), 0)), occurring)


def _asked(tree: Tree, feature: int, step: _Step) -> tuple[int, float, bool, bool]:
    above = bool(tree.nan_left[step.node])
    return feature, float(tree.threshold[step.node]), above, above != step.left


def _stacked(told: Mapping[int, Array], patterns: int) -> Array:
    return np.array(list(told.values())).reshape(len(told), patterns)


def _singles(ways: _Ways, passes: Array, into: Sequence[int]) -> Iterator[tuple[int, Array]]:
    """Yield Shapley values of a leaf of value 1 under each pattern of inputs that pass.

    With o whether input j passes and z the share of rows that would, the Shapley value is
    (o_j − z_j) ∫₀¹ Π_{i≠j} (t·o_i + (1 − t)·z_i) dt, for Shapley's weights are the integrals
    ∫ t^s (1 − t)^(d−1−s) dt. Gauss-Legendre is exact for such a polynomial.
    """
    weight, passed, terms = _parts(ways, passes)
    others = weight @ (terms.prod(axis=1, keepdims=True) / terms).reshape(len(weight), -1)
    told = passed * others.reshape(passed.shape)
    for feature, row in zip(ways, told, strict=True):
        yield into[feature], row


def _pairs(
    ways: _Ways, passes: Array, into: Sequence[int], kinds: int
) -> Iterator[tuple[int, Array]]:
    """SHAP interaction values (Lundberg et al. 2020, equation 8), both orders of a pair together.

    For a leaf of value 1: (o_i − z_i)(o_j − z_j) ∫₀¹ Π_{k≠i,j} (t·o_k + (1 − t)·z_k) dt.
    """
    weight, passed, terms = _parts(ways, passes)
    product = terms.prod(axis=1)
    features = list(ways)
    for i, one in enumerate(features):
        for j in range(i):
            a, b = sorted((into[one], into[features[j]]))
            if a != b:
                others = weight @ (product / (terms[:, i] * terms[:, j]))
                yield a * kinds + b, passed[i] * passed[j] * others


def _parts(ways: _Ways, passes: Array) -> tuple[Array, Array, Array]:
    """Return the quadrature's weights, o − z (d, patterns), and t·o + (1 − t)·z at its nodes."""
    z = np.array([[np.prod([step.share for step in steps])] for steps in ways.values()])
    t, weight = _nodes((len(z) + 1) // 2)  # exact up to degree d
    return weight, passes - z, t[:, None, None] * passes + (1 - t)[:, None, None] * z


@cache
def _nodes(n: int) -> tuple[Array, Array]:
    x, weight = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, weight / 2


@cache
def _passes(d: int) -> Array:
    """Every pattern of d passes, shape (d, 2^d)."""
    return ((np.arange(1 << d) >> np.arange(d)[:, None]) & 1).astype(np.float64)


def shap(made: Tables, values: Array) -> Array:
    """Return SHAP values in log-odds; those of inputs add up, with `made.base`, to the margin.

    Parameters
    ----------
    values : ndarray, shape (n, inputs)
        NaN = missing; nothing infinite.

    Returns
    -------
    ndarray, shape (n, made.width)
    """
    found = np.empty((len(values), made.width))
    for start in range(0, len(values), ROWS):
        part = values[start : start + ROWS].T.copy()
        part[np.abs(part) <= NO_MORE_THAN_ZERO] = 0.0
        summed = np.zeros((made.width, part.shape[1]))
        taken = np.empty(part.shape[1])
        for group in made.groups:
            code, table = _looked_up(group, part)
            for row, target in zip(table, group.targets, strict=True):
                np.take(row, code, out=taken, mode="clip")
                summed[target] += taken
        found[start : start + ROWS] = summed.T
    return found


def _looked_up(group: _Group, part: Array) -> tuple[NDArray[np.intp], Array]:
    """Return the column of each row in the group's table, and the table."""
    kind = np.uint16 if len(group.bits) <= 16 else np.int64
    code: NDArray[Any] = np.zeros(part.shape[1], dtype=kind)
    for k, asked in enumerate(group.bits):
        holds = None
        for feature, threshold, above, wanted in asked:
            one = part[feature] > threshold if above else part[feature] <= threshold
            one = one if wanted else ~one
            holds = one if holds is None else holds & one
        assert holds is not None
        code |= holds.astype(kind) << kind(k)
    if group.tell is None:
        return code.astype(np.intp), group.table
    occur, place = np.unique(code, return_inverse=True)
    passes = (occur >> np.arange(len(group.bits), dtype=kind)[:, None]) & kind(1)
    return place, group.tell(passes.astype(np.float64))
