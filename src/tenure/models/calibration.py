"""From margins (log-odds) to probabilities that mean what they say.

Every map is monotone, so calibration never changes who stands above whom (isotonic steps tie).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from tenure.errors import DataError, ModelError

__all__ = ["Calibrator", "Kind", "choose", "fit"]

Array = NDArray[np.float64]
Kind = Literal["none", "sigmoid", "beta", "isotonic"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Simplest first."""

CLIP = 1e-4
SMALLEST_SLOPE = 1e-3
ISOTONIC_ROWS = 1000
FOLDS = 5
JUDGES = 3  # one cutoff alone may be an odd season


@dataclass(frozen=True)
class Calibrator:
    """A monotone map g from log-odds m to a probability; σ is the logistic function.

    - ``none``: σ(m)
    - ``sigmoid``: σ(a·m + b), `params` a and b (Platt 1999)
    - ``beta``: σ(a·ln p − b·ln(1 − p) + c) with p = σ(m), `params` a, b, c
      (Kull, Silva Filho, Flach 2017, equation 4)
    - ``isotonic``: straight lines between knots, level outside; `params` x and y of the knots, y
      within [1e-4, 1 − 1e-4]

    `shift` is added to every margin first: how far the day at hand is expected to lie from the
    days the model learnt from. It belongs to the day and is not stored.

    Examples
    --------
    >>> Calibrator("sigmoid", {"a": [2.0], "b": [0.0]}).probability([-1.0, 0.0]).round(3).tolist()
    [0.119, 0.5]
    """

    kind: Kind
    params: Mapping[str, list[float]]
    shift: float = 0.0

    def probability(self, margin: ArrayLike) -> Array:
        """Return g(m), the calibrated probability of churn."""
        m = np.asarray(margin, dtype=np.float64) + self.shift
        if self.kind == "isotonic":
            return np.asarray(np.interp(m, self.params["x"], self.params["y"]), dtype=np.float64)
        return np.asarray(expit(self._line(m)[0]), dtype=np.float64)

    def slope(self, margin: ArrayLike) -> Array:
        """Return dg/dm; for isotonic the slope of the segment that holds m, 0 outside the knots."""
        m = np.asarray(margin, dtype=np.float64) + self.shift
        if self.kind == "isotonic":
            x, y = np.asarray(self.params["x"]), np.asarray(self.params["y"])
            slopes = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
            return np.asarray(slopes[np.searchsorted(x, m, side="right")], dtype=np.float64)
        line, steepness = self._line(m)
        return np.asarray(expit(line) * expit(-line) * steepness, dtype=np.float64)

    def _line(self, m: Array) -> tuple[Array, Array]:
        """Log-odds after calibration, and their derivative with respect to m."""
        basis, turn = _basis(self.kind, m)
        if self.kind == "none":
            return m, turn[:, 0].reshape(m.shape)
        weights = np.array([self.params[k][0] for k in _NAMES[self.kind]])
        line = basis.reshape(-1, weights.size) @ weights
        return line.reshape(m.shape), (turn @ weights[:-1]).reshape(m.shape)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to score, as JSON types."""
        return {"kind": self.kind, "params": {k: list(v) for k, v in self.params.items()}}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote.

        Raises
        ------
        ModelError
            If the kind is unknown to this version.
        """
        if stored.get("kind") not in KINDS:
            raise ModelError(f"calibrator {stored.get('kind')!r} is unknown; known: {KINDS}.")
        params = {k: [float(v) for v in values] for k, values in stored["params"].items()}
        return cls(stored["kind"], params)


_NAMES: Mapping[str, tuple[str, ...]] = {"sigmoid": ("a", "b"), "beta": ("a", "b", "c")}


def _basis(kind: Kind, m: Array) -> tuple[Array, Array]:
    """Columns that the weights multiply (the last is the constant), and their derivatives."""
    flat = m.ravel()
    one = np.ones_like(flat)
    if kind == "beta":  # ln σ(m) = −ln(1 + e^−m) and −ln(1 − σ(m)) = ln(1 + e^m), never log(0)
        columns = np.column_stack([-np.logaddexp(0, -flat), np.logaddexp(0, flat), one])
        return columns, np.column_stack([expit(-flat), expit(flat)])
    return np.column_stack([flat, one]), one[:, None]


def fit(kind: Kind, margin: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Calibrator:
    """Fit one kind of map.

    Sigmoid and beta maximise the likelihood under slopes of at least 0.001, with one unit of ridge
    towards "no change": nothing beside thousands of rows, and what keeps a perfectly separated
    handful finite. scikit-learn offers neither the bound nor beta, hence SciPy here.

    Parameters
    ----------
    kind : {'none', 'sigmoid', 'beta', 'isotonic'}
    margin : array-like of float
        Log-odds of rows the model was not fitted on.
    y : array-like of 0 and 1
        1 = churned.
    weight : array-like, optional
        Rows a row stands for.

    Raises
    ------
    DataError
        If margins are not finite or the label does not fit them.
    """
    m, label = _checked(margin, y)
    w = np.ones_like(m) if weight is None else np.asarray(weight, dtype=np.float64)
    if kind == "none":
        return Calibrator("none", {})
    if kind == "isotonic":
        steps = IsotonicRegression(y_min=CLIP, y_max=1 - CLIP, out_of_bounds="clip")
        steps.fit(m, label, sample_weight=w)
        knots = {"x": steps.X_thresholds_.tolist(), "y": steps.y_thresholds_.tolist()}
        return Calibrator("isotonic", knots)
    basis, _ = _basis(kind, m)
    found = _newton(basis, label, w)
    if (found[:-1] < SMALLEST_SLOPE).any():
        found = _bounded(basis, label, w)
    return Calibrator(kind, {k: [float(v)] for k, v in zip(_NAMES[kind], found, strict=True)})


def _unchanged(basis: Array) -> Array:
    return np.array([1.0] * (basis.shape[1] - 1) + [0.0])


def _newton(basis: Array, label: Array, w: Array) -> Array:
    """Maximise the likelihood without its bounds; a handful of steps from "no change"."""
    unchanged = _unchanged(basis)
    theta = unchanged.copy()

    def loss(at: Array) -> float:
        line, pull = basis @ at, at - unchanged
        return float(w @ (np.logaddexp(0, line) - label * line) + 0.5 * (pull @ pull))

    now = loss(theta)
    for _ in range(100):
        p = expit(basis @ theta)
        slope = basis.T @ (w * (p - label)) + theta - unchanged
        curve = (basis * (w * p * (1 - p))[:, None]).T @ basis + np.eye(theta.size)
        step = np.linalg.solve(curve, slope)
        while (then := loss(theta - step)) > now + 1e-12 * abs(now):  # too far: half the way
            step /= 2
        theta, now = theta - step, then
        if np.abs(step).max() < 1e-10:
            break
    return theta


def _bounded(basis: Array, label: Array, w: Array) -> Array:
    """Maximise the likelihood where the best slope lies beyond its bound."""
    unchanged, n = _unchanged(basis), label.size

    def loss(theta: Array) -> tuple[float, Array]:
        line, pull = basis @ theta, theta - unchanged
        total = w @ (np.logaddexp(0, line) - label * line) + 0.5 * (pull @ pull)
        return float(total) / n, (basis.T @ (w * (expit(line) - label)) + pull) / n

    bounds = [(SMALLEST_SLOPE, None)] * (basis.shape[1] - 1) + [(None, None)]
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, unchanged, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64)


def _checked(margin: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    m, label = np.asarray(margin, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if m.shape != label.shape or m.ndim != 1 or m.size == 0:
        raise DataError(f"calibration: {m.size:,} margins and {label.size:,} labels; give pairs.")
    bad = int((~np.isfinite(m)).sum() + (~np.isin(label, (0.0, 1.0))).sum())
    if bad:
        raise DataError(f"calibration: {bad:,} margins are not finite or labels not 0 or 1.")
    return m, label


def choose(
    margin: ArrayLike, y: ArrayLike, groups: ArrayLike, cutoffs: ArrayLike | None = None
) -> Calibrator:
    """Pick the kind with the best log loss out of time, and fit it on all rows.

    Each kind is judged on each of the newest three cutoffs, fitted on those before it; where there
    is only one cutoff, on five folds of customers. A simpler kind within one standard error of the
    best (paired, customers as clusters) is a tie, and the simplest of the tied is taken. Isotonic
    needs 1,000 rows to fit on (it overfits below, scikit-learn user guide 1.16.3).

    Parameters
    ----------
    margin, y : array-like
        As in `fit`.
    groups : array-like
        Customer of each row.
    cutoffs : array-like, optional
        Cutoff of each row.
    """
    m, label = _checked(margin, y)
    customers = np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    train_test = _splits(customers, cutoffs)
    smallest = min(int(train.sum()) for train, _ in train_test)
    kinds = [k for k in KINDS if k != "isotonic" or smallest >= ISOTONIC_ROWS]
    judged = np.concatenate([np.flatnonzero(test) for _, test in train_test])
    losses = {
        kind: np.concatenate(
            [
                _log_loss(fit(kind, m[train], label[train]).probability(m[test]), label[test])
                for train, test in train_test
            ]
        )
        for kind in kinds
    }
    best = min(kinds, key=lambda kind: losses[kind].mean())
    tied = (
        kind for kind in kinds if _within_one_error(losses[kind] - losses[best], customers[judged])
    )
    return fit(next(tied), m, label)


def _splits(customers: NDArray[np.intp], cutoffs: ArrayLike | None) -> list[tuple[Any, Any]]:
    """Pairs of masks: rows to fit on, rows to judge on."""
    if cutoffs is not None:
        order = np.unique(np.asarray(cutoffs), return_inverse=True)[1].ravel()
        if order.max() > 0:
            newest = range(max(1, order.max() + 1 - JUDGES), order.max() + 1)
            return [(order < k, order == k) for k in newest]
    fold = customers % FOLDS
    return [(fold != k, fold == k) for k in np.unique(fold) if (fold != k).any()] or [
        (np.ones_like(fold, dtype=bool), np.ones_like(fold, dtype=bool))
    ]


def _log_loss(p: Array, label: Array) -> Array:
    safe = np.clip(p, 1e-15, 1 - 1e-15)
    return -np.log(np.where(label == 1, safe, 1 - safe))


def _within_one_error(deficit: Array, customers: NDArray[np.intp]) -> bool:
    """Whether the mean deficit is at most its standard error over customers."""
    by_customer = np.bincount(customers, weights=deficit - deficit.mean())
    return bool(deficit.sum() <= np.sqrt((by_customer**2).sum()))
