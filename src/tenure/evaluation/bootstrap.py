"""The bootstrap over customers, many draws and models at a time.

The rows are sorted once a model; a draw only weighs them anew, and every metric of a draw is read
off one `Tally`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.errors import DataError
from tenure.evaluation.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    Metric,
    Tally,
    equal_mass_bins,
    point,
)

__all__ = [
    "Estimate",
    "Judged",
    "Measure",
    "Metrics",
    "Rows",
    "chunks",
    "customer_codes",
    "customer_counts",
    "estimates",
    "interval",
    "judge",
    "judge_probabilities",
    "reflected",
]

Array = NDArray[np.float64]
Estimate = dict[str, Any]
"""`value`, `lower` and `upper`; calibration error also has `floor_mean` and `floor_p95`. A figure
that cannot be had is None, with `why`."""
Metrics = dict[str, Estimate]
Measure = Callable[[Array], Array]
"""How often each customer is drawn, (draws, customers), to one figure a draw."""

QUANTILES = (0.05, 0.95)
NOISE_ADDS = frozenset({"expected_calibration_error"})
CELLS = 2_000_000
"""Draws × rows held at once: 16 MB an array."""


@dataclass(frozen=True)
class Rows:
    """Rows as the bootstrap sees them: a label and the number of the customer."""

    churned: Array
    customer: NDArray[np.intp]
    n_customers: int

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Rows:
        """Take label and customer of each row; both classes must be there."""
        churned = frame["churned"].to_numpy(dtype=np.float64)
        if churned.size == 0 or churned.min() == churned.max():
            raise DataError(
                f"test rows: one class ({churned.size:,} rows, {int(churned.sum()):,} churned); "
                "a test needs both. Change churn.horizon_days or the cutoffs."
            )
        return cls(churned, *customer_codes(frame))

    def take(self, chosen: NDArray[np.bool_]) -> Rows:
        """Keep some rows and all customer numbers: a draw of customers stays the same draw."""
        return Rows(self.churned[chosen], self.customer[chosen], self.n_customers)


def customer_codes(frame: pd.DataFrame) -> tuple[NDArray[np.intp], int]:
    """Return each row's customer number, in order of ids so that row order cannot matter."""
    codes, ids = pd.factorize(frame["customer_id"], sort=True)
    return codes.astype(np.intp), len(ids)


def chunks(draws: int, n: int) -> Iterator[int]:
    """Split the draws so that `CELLS` bounds the memory."""
    most = max(1, CELLS // max(n, 1))
    yield from (min(most, draws - done) for done in range(0, draws, most))


def customer_counts(rows: Rows, draws: int, seed: int) -> Iterator[Array]:
    """Yield how often each customer is in each draw, some draws at a time."""
    rng, n = np.random.default_rng([seed, 0]), rows.n_customers
    for size in chunks(draws, rows.churned.size):
        picks = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(size)]
        yield np.array(picks, dtype=np.float64)


@dataclass(frozen=True)
class Sorted:
    """The rows in a model's order, which all draws share: a draw only weighs them anew."""

    probability: Array
    bins: NDArray[np.intp]
    start: NDArray[np.intp]
    customer: NDArray[np.intp]
    churned: Array

    @classmethod
    def by(cls, probability: Array, rows: Rows) -> Sorted:
        """Sort by falling probability."""
        order = np.argsort(-probability, kind="stable")
        minus, start = np.unique(-probability[order], return_index=True)
        bins = equal_mass_bins(np.diff(start, append=order.size).astype(np.float64))
        return cls(-minus, bins, start, rows.customer[order], rows.churned[order])

    def tally(self, counts: Array) -> Tally:
        """Weigh the rows by how often their customers were drawn."""
        weight = np.take(counts, self.customer, axis=1)
        churners = weight * self.churned
        weight -= churners
        if self.start.size < self.churned.size:
            churners = np.add.reduceat(churners, self.start, axis=1)
            weight = np.add.reduceat(weight, self.start, axis=1)
        return Tally(self.probability, churners, weight, self.bins)


@dataclass(frozen=True)
class Judged:
    """Figures of several models on the same rows, as they are and in the same draws.

    Attributes
    ----------
    now : dict
        By model and metric, the figure of the rows themselves.
    drawn : dict
        By model and metric, the figure in each draw of customers.
    """

    now: dict[str, dict[str, float]]
    drawn: dict[str, dict[str, Array]]

    def __or__(self, other: Judged) -> Judged:
        """Add what the same draws said of other metrics, or of other models."""
        names = dict.fromkeys((*self.now, *other.now))
        return Judged(
            {n: self.now.get(n, {}) | other.now.get(n, {}) for n in names},
            {n: self.drawn.get(n, {}) | other.drawn.get(n, {}) for n in names},
        )

    def estimates(self, name: str) -> Metrics:
        """Value and interval of each metric of a model."""
        return {m: interval(value, self.drawn[name][m]) for m, value in self.now[name].items()}

    def gain(self, name: str, rival: str, metric: str) -> Estimate:
        """Improvement of a model on another, draw by draw; positive is good."""
        sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
        value = sign * (self.now[name][metric] - self.now[rival][metric])
        drawn = sign * (self.drawn[name][metric] - self.drawn[rival][metric])
        plain = interval(value, drawn)
        return reflected(plain) if metric in NOISE_ADDS else plain


def judge(
    rows: Rows, measures: Mapping[str, Mapping[str, Measure]], draws: int, seed: int
) -> Judged:
    """Take every measure of every model, of the rows themselves and in every draw of customers."""
    once = np.ones((1, rows.n_customers))
    now = {n: {m: float(f(once)[0]) for m, f in by.items()} for n, by in measures.items()}
    found: dict[str, dict[str, list[Array]]] = {n: {m: [] for m in by} for n, by in now.items()}
    for counts in customer_counts(rows, draws, seed):
        for name, by in measures.items():
            for metric, measure in by.items():
                found[name][metric].append(measure(counts))
    return Judged(
        now, {n: {m: np.concatenate(v) for m, v in by.items()} for n, by in found.items()}
    )


def judge_probabilities(
    rows: Rows, given: Mapping[str, Array], metrics: Mapping[str, Metric], draws: int, seed: int
) -> Judged:
    """Take metrics of probabilities; a draw is tallied once a model and then forgotten."""
    now = {n: {m: point(rows.churned, p, f) for m, f in metrics.items()} for n, p in given.items()}
    layouts = {name: Sorted.by(p, rows) for name, p in given.items()}
    found: dict[str, dict[str, list[Array]]] = {n: {m: [] for m in metrics} for n in given}
    for counts in customer_counts(rows, draws, seed):
        for name, layout in layouts.items():
            tally = layout.tally(counts)
            for metric, values in found[name].items():
                values.append(metrics[metric](tally))
    return Judged(
        now, {n: {m: np.concatenate(v) for m, v in by.items()} for n, by in found.items()}
    )


def estimates(
    rows: Rows, given: Mapping[str, Array], metrics: Iterable[str], draws: int, seed: int
) -> dict[str, Metrics]:
    """Value and interval of some of `METRICS`, of every model."""
    judged = judge_probabilities(rows, given, {m: METRICS[m] for m in metrics}, draws, seed)
    return {name: judged.estimates(name) for name in given}


def interval(value: float, drawn: Array) -> Estimate:
    """Percentile interval; a draw that holds one class says nothing and is left out."""
    known = drawn[np.isfinite(drawn)]
    lower, upper = np.quantile(known, QUANTILES) if known.size else (value, value)
    return {"value": value, "lower": float(lower), "upper": float(upper)}


def reflected(plain: Estimate) -> Estimate:
    """Mirror a percentile interval at the value and widen it to hold it.

    For figures that noise makes larger, so that draws lie on one side of what they describe:
    docs/decisions/0001.
    """
    value = plain["value"]
    lower, upper = 2 * value - plain["upper"], 2 * value - plain["lower"]
    return {"value": value, "lower": min(lower, value), "upper": max(upper, value)}
