"""What the audit looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from tenure.audit.ranks import Array, Codes, Flags, Power, filled, power

__all__ = ["FEWEST", "Alarm", "Evidence", "drawn", "worst"]

FEWEST = 30
"""Customers of either kind below whom nothing is judged."""
MOST_ROWS = 40_000
"""Rows looked at; of a larger log some customers are drawn."""
ERROR = 0.01
"""How often a run whose columns are all honest may raise an alarm by chance."""
TESTS = 20
"""Questions asked of one column at most."""


@dataclass(frozen=True)
class Alarm:
    """One column that looks as if it knew who left.

    Attributes
    ----------
    kind : str
        The test: `alone marks later log order fades`.
    column : str
        The column, as the model calls it.
    evidence, advice : str
        In plain words, with numbers and dates; what to do.
    figures : dict
        The same as values.
    """

    kind: str
    column: str
    evidence: str
    advice: str
    figures: Mapping[str, Any]

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.column}: {self.evidence} {self.advice}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "figures": dict(self.figures)}


@dataclass(frozen=True)
class Evidence:
    """Rows with a known outcome, each with what the model sees.

    Attributes
    ----------
    rows : DataFrame
        `customer_id`, `cutoff` (missing where nothing is dated).
    X : DataFrame
        The inputs.
    left : array of bool
        Who left.
    families : mapping of str to str
        What each column is made of; levels of one attribute share it.
    """

    rows: pd.DataFrame
    X: pd.DataFrame
    left: Flags
    families: Mapping[str, str]

    @cached_property
    def customer(self) -> Codes:
        """Return the number of each row's customer."""
        return pd.factorize(self.rows["customer_id"], sort=True)[0].astype(np.intp)

    @property
    def customers(self) -> int:
        """Return how many customers there are."""
        return int(self.customer.max()) + 1

    @property
    def usual(self) -> float:
        """Return the share of rows that left."""
        return float(self.left.mean())

    @property
    def z(self) -> float:
        """Return the standard errors by which a figure must clear its limit: Bonferroni's."""
        return float(norm.isf(ERROR / (TESTS * max(1, self.X.shape[1]))))

    def column(self, name: str) -> Array:
        """Return the values of a column, NaN where missing."""
        return self.X[name].to_numpy(dtype=np.float64)

    def power(self, name: str) -> Power:
        """Return what a column alone tells, in the direction in which it tells it."""
        return power(
            filled(self.column(name), self.left), self.left, self.customer, self.customers
        ).strong

    def span(self) -> str:
        """Return the cutoffs in words."""
        days = self.rows["cutoff"].dropna()
        if days.empty:
            return ""
        return f" at the cutoffs {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"


def drawn(ids: pd.Series) -> Flags:
    """Draw customers until their rows are at most `MOST_ROWS`: always the same ones.

    Whom it takes depends on the id alone, not on the order of rows nor of ids.
    """
    if len(ids) <= MOST_ROWS:
        return np.ones(len(ids), dtype=bool)
    lot = pd.util.hash_array(ids.to_numpy(dtype=object)) / 2.0**64
    return np.asarray(lot < MOST_ROWS / len(ids))


def worst(alarms: Sequence[tuple[str, float, Alarm]]) -> list[Alarm]:
    """Keep of each family of columns the alarm whose figure is largest."""
    best: dict[str, tuple[float, Alarm]] = {}
    for family, size, alarm in alarms:
        if family not in best or size > best[family][0]:
            best[family] = size, alarm
    return [alarm for _, alarm in best.values()]
