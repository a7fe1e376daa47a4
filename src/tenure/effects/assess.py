"""One verdict a lever: what a bad experience does, and whether the comparison holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tenure import levers
from tenure.config import Config
from tenure.effects.adjusted import Adjusted, Estimate, adjusted
from tenure.effects.checks import (
    FEWEST,
    Overlap,
    overlap,
    past_placebo,
    shuffled_placebo,
)
from tenure.effects.rows import Cohort, exposed, past
from tenure.levers import Lever
from tenure.population import Population
from tenure.sources import Sources

__all__ = ["LEAST_POINTS", "Assessed", "assess", "assess_rows"]

SURE = 0.95  # two-sided level at which an effect is told from none
PLACEBO_Z = 3.0  # standard errors beyond which a placebo has an effect
LEAST_POINTS = 1.0  # an effect below it is not worth a programme …
LEAST_SHARE = 0.1  # … unless it is a tenth of all leaving, where few leave


@dataclass(frozen=True)
class Assessed:
    """What is known of one lever.

    Attributes
    ----------
    lever : Lever
    rows, customers : int
        Compared.
    share_exposed : float
        Of the rows, those with a bad experience.
    each, all_of_them : Estimate or None
        In points: of one bad experience, and of all of them over the customers with an
        opportunity. None where there is too little to compare.
    overlap : Overlap
    placebos : dict of str to Estimate
        Effects that cannot be there.
    robustness : float or None
        See `Adjusted`.
    why_not : tuple of str
        What keeps the effect from holding; empty where it holds.
    """

    lever: Lever
    rows: int
    customers: int
    share_exposed: float
    each: Estimate | None
    all_of_them: Estimate | None
    overlap: Overlap
    placebos: dict[str, Estimate]
    robustness: float | None
    why_not: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether a bad experience drives customers away, comparing like with like."""
        return not self.why_not

    def to_json(self) -> dict[str, Any]:
        """Return the figures, in points of churn probability."""
        return {
            "lever": self.lever.name,
            "bad_experience": self.lever.one,
            "rows": self.rows,
            "customers": self.customers,
            "share_with_a_bad_one": self.share_exposed,
            "unit": "points of churn probability",
            "each": self.each.to_json() if self.each else None,
            "all": self.all_of_them.to_json() if self.all_of_them else None,
            "overlap": self.overlap.to_json(),
            "placebos": {
                name: {**e.to_json(), "z": e.z, "passed": abs(e.z) <= PLACEBO_Z}
                for name, e in self.placebos.items()
            },
            "robustness": self.robustness,
            "holds": self.holds,
            "why_not": list(self.why_not),
        }


def assess(of: Cohort, ready: Population, sources: Sources, config: Config) -> list[Assessed]:
    """Compare, for every lever there is, customers with and without a bad experience.

    Parameters
    ----------
    of : Cohort
        The customers, from `effects.rows.cohort`.
    ready, sources, config
        The population, its logs and the config.
    """
    there = levers.available(ready.schema)
    rows = [exposed(one, None, of, sources, ready.schema, config) for one in there]
    before = past(of, ready, config)
    with ThreadPoolExecutor(2) as pool:  # the trees are single-threaded and let go of the lock
        asked = (
            pool.submit(assess_rows, one, r, before, of.confounders, config.model.seed)
            for one, r in zip(there, rows, strict=True)
        )
        return [one.result() for one in list(asked)]


def assess_rows(
    lever: Lever, rows: pd.DataFrame, before: pd.DataFrame | None, confounders: tuple[str, ...],
    seed: int,
) -> Assessed:  # fmt: skip
    """Compare the rows of `effects.rows.exposed`."""
    given = [*confounders, "n"]
    both = overlap(rows, given, seed)
    base = lever, len(rows), int(rows["customer_id"].nunique())
    share = float((rows["bad"] > 0).mean()) if len(rows) else 0.0
    if min(both.with_one, both.without) < FEWEST or rows["churned"].nunique() < 2:
        few = (
            f"{both.with_one:,} customers had a {lever.one} and {both.without:,} had none; "
            f"{FEWEST} on both sides are needed."
        )
        return Assessed(*base, share, None, None, both, {}, None, (few,))
    found: Adjusted = adjusted(rows, "bad", given, seed=seed)
    placebos = {"somebody_elses": shuffled_placebo(rows, given, seed)}
    earlier = past_placebo(rows, before, confounders, seed)
    if earlier is not None:
        placebos["the_past"] = earlier
    each = found.combined([100.0])
    whole = found.combined([100.0 * float(rows["bad"].mean())])
    return Assessed(
        *base, share, each, whole, both, placebos, found.robustness,
        tuple(_doubts(whole, both, placebos, float(rows["churned"].mean()))),
    )  # fmt: skip


def _doubts(
    whole: Estimate, both: Overlap, placebos: dict[str, Estimate], usual: float
) -> list[str]:
    """Say what keeps an effect from holding, where `usual` is the share who leave."""
    doubts, least = [], min(LEAST_POINTS, 100.0 * LEAST_SHARE * usual)
    low, high = whole.ends(SURE)
    if high < 0:
        doubts.append(f"Customers with a bad experience leave less: {whole.value:.1f} points.")
    elif low <= 0:
        doubts.append(
            f"The effect cannot be told from none: {whole.value:.1f} points, likely between "
            f"{low:.1f} and {high:.1f}."
        )
    elif whole.value < least:
        doubts.append(f"The effect is small: {whole.value:.1f} points in all.")
    if not both.is_enough:
        doubts.append(
            f"Only {100 * both.share:.0f} % of those with a bad experience have likes without one."
        )
    for name, one in placebos.items():
        if abs(one.z) > PLACEBO_Z:
            what = "on the past" if name == "the_past" else "of experiences of others"
            doubts.append(f"The comparison also sees an effect {what}, where there is none.")
    return doubts
