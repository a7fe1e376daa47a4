"""Whether a comparison sees effects where there are none, and whether likes can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.effects.adjusted import Estimate, adjusted, folds_of
from tenure.effects.rows import KEYS, PAST

__all__ = ["FEWEST", "Overlap", "overlap", "past_placebo", "shuffled_placebo"]

FEWEST = 50  # customers with, and without, a bad experience
EDGE = 0.02  # a chance of one outside [.02, .98] has no likes on the other side
MOST_ALIKE = 6  # opportunities beyond which customers are shuffled together
LEAST = 500  # rows to run a placebo on


@dataclass(frozen=True)
class Overlap:
    """Whether customers with a bad experience have likes without one.

    Attributes
    ----------
    with_one, without : int
        Customers.
    share : float
        Of the rows with a bad experience, those for whom the chance of one, given what was known
        before, lies in [.02, .98].
    """

    with_one: int
    without: int
    share: float

    @property
    def is_enough(self) -> bool:
        """At least 50 customers on both sides, and likes for nine in ten."""
        return min(self.with_one, self.without) >= FEWEST and self.share >= 0.9

    def to_json(self) -> dict[str, Any]:
        """Return the figures and the verdict."""
        return {
            "customers_with": self.with_one,
            "customers_without": self.without,
            "share_with_likes": self.share,
            "enough": self.is_enough,
        }


def overlap(rows: pd.DataFrame, confounders: Sequence[str], seed: int) -> Overlap:
    """Ask how well a bad experience could be foretold from what was known before."""
    from lightgbm import LGBMClassifier

    bad = (rows["bad"] > 0).to_numpy()
    ids = rows["customer_id"]
    counts = int(ids[bad].nunique()), int(ids[~bad].nunique())
    if min(counts) < FEWEST:
        return Overlap(*counts, 0.0)
    x = rows[list(confounders)].to_numpy(dtype=np.float64)
    customers = np.asarray(pd.factorize(ids, sort=True)[0], dtype=np.int64)
    chance = np.empty(len(rows))
    model = LGBMClassifier(
        n_estimators=80, num_leaves=8, learning_rate=0.1, min_child_samples=40, n_jobs=1,
        colsample_bytree=0.5, verbosity=-1, random_state=seed, deterministic=True,
        force_col_wise=True,
    )  # fmt: skip
    for train, rest in folds_of(customers, seed):
        if bad[train].all() or not bad[train].any():
            return Overlap(*counts, 0.0)
        chance[rest] = model.fit(x[train], bad[train]).predict_proba(x[rest])[:, 1]
    inside = (chance >= EDGE) & (chance <= 1 - EDGE)
    return Overlap(*counts, float(inside[bad].mean()))


def past_placebo(
    rows: pd.DataFrame, past: pd.DataFrame | None, confounders: Sequence[str], seed: int
) -> Estimate | None:
    """Estimate the effect on what came before the experiences; there can be none.

    Parameters
    ----------
    rows : DataFrame
        With `bad` and `n`.
    past : DataFrame or None
        From `rows.past`.
    confounders : sequence of str
        As known at c − 2w; `n` is added.
    """
    if past is None:
        return None
    both = rows[[*KEYS, "bad", "n"]].merge(past, on=KEYS, validate="1:1").dropna(subset=[PAST])
    if len(both) < LEAST or both["bad"].sum() < FEWEST:
        return None
    found = adjusted(both, "bad", [*confounders, "n"], seed=seed, outcome=PAST)
    return found.combined([1.0])


def shuffled_placebo(rows: pd.DataFrame, confounders: Sequence[str], seed: int) -> Estimate:
    """Estimate the effect of somebody else's experiences: of the same cutoff and number."""
    rng = np.random.default_rng(seed)
    order = rng.random(len(rows))
    strata = [rows["cutoff"].to_numpy(), np.minimum(rows["n"].to_numpy(), MOST_ALIKE)]
    place = np.lexsort([order, *strata[::-1]])
    home = np.lexsort([np.arange(len(rows)), *strata[::-1]])
    given = np.empty(len(rows))
    given[home] = rows["bad"].to_numpy()[place]
    found = adjusted(rows.assign(bad=given), "bad", confounders, seed=seed)
    return found.combined([1.0])
