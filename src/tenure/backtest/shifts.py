"""Whether the leaving rate moves between cutoffs beyond what candidates see, and its correction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tenure.backtest.calibrating import at_days, cross_calibrated_losses
from tenure.backtest.samples import held_out, some_customers
from tenure.config import Config
from tenure.cutoffs import complete_for
from tenure.models.churn import ROSTERS
from tenure.models.shift import LEAST_CUTOFFS, Shift, measure
from tenure.models.trees import Settings

__all__ = ["Expected", "corrected", "measured_shifts", "move"]

Expected = Mapping[dt.date, Mapping[str, float]]
"""Of each origin the shift by candidate, in log-odds, as expected there."""

MOST_ROWS = 20_000
FOLDS = 2
SHOWN = "lightgbm"
LEAST_GAIN = 1e-4
"""Mean log loss that a correction must have saved; less is not worth one moving part more."""


def measured_shifts(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    config: Config,
    settings: Settings,
    names: Iterable[str] | None = None,
) -> dict[str, Shift]:
    """Measure candidates' offsets at the cutoffs they may learn from.

    The candidates predict customers held out of a sample; the mean of the sample is what they are
    measured from, as the final candidate's margins are.

    Returns
    -------
    dict of str to Shift
        Empty where there are too few cutoffs to say anything. Baselines that are shown as they are
        have none.
    """
    if rows["cutoff"].nunique() < LEAST_CUTOFFS:
        return {}
    some = some_customers(rows, MOST_ROWS)
    asked = [n for n in names or _roster(config) if n not in ROSTERS[config.churn.kind].raw]
    said = held_out(X[some], rows[some], config, settings, FOLDS, asked)
    return {n: measure(said[n], said["churned"], said["cutoff"]) for n in asked if n in said}


def move(margins: pd.DataFrame, expected: Expected) -> pd.DataFrame:
    """Add to each margin the shift that was expected of its candidate at its origin."""
    origin = pd.to_datetime(margins["cutoff"]).dt.date
    names = {name for shifts in expected.values() for name in shifts}
    added = {
        n: margins[n] + origin.map(lambda d, n=n: expected[d].get(n, 0.0)).to_numpy() for n in names
    }
    return margins.assign(**added)


def corrected(
    margins: pd.DataFrame,
    expected: Expected,
    days: Sequence[dt.date],
    first_test: dt.date,
    config: Config,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Move the margins by the expected shifts, if that would have helped before the test.

    Parameters
    ----------
    margins : DataFrame
        Out-of-time rows with one margin a candidate.
    expected : mapping
        From `predicted`.
    days : sequence of date
        Every cutoff.
    first_test : date
        The earliest test cutoff.

    Returns
    -------
    DataFrame
        The margins, moved or as they were.
    dict
        The report: `corrected`, a `sentence`, the mean log losses of the comparison, and
        `by_cutoff` with rate, expected and found offset (of LightGBM, in log-odds).
    """
    moved = move(margins, expected)
    seen = at_days(margins, complete_for(days, first_test, config.churn.complete_days))
    report: dict[str, Any] = {"by_cutoff": _by_cutoff(margins, expected), "corrected": False}
    if any(expected[day.date()] for day in margins["cutoff"][seen].unique()):
        losses = [_mean_loss(m[seen], config) for m in (margins, moved)]
        report |= {"log_loss_before_tests": dict(zip(("as_is", "corrected"), losses, strict=True))}
        report["corrected"] = losses[1] < losses[0] - LEAST_GAIN
    report["sentence"] = _sentence(report)
    return (moved if report["corrected"] else margins), report


def _roster(config: Config) -> tuple[str, ...]:
    return ROSTERS[config.churn.kind].names


def _mean_loss(said: pd.DataFrame, config: Config) -> float:
    names = [n for n in _roster(config) if n not in ROSTERS[config.churn.kind].raw]
    losses = cross_calibrated_losses(said, said["cutoff"], config, names)
    return float(np.mean(list(losses.values())))


def _by_cutoff(margins: pd.DataFrame, expected: Expected) -> list[dict[str, Any]]:
    found = measure(margins[SHOWN], margins["churned"], margins["cutoff"])
    offsets = dict(zip(found.days, zip(found.offsets, found.errors, strict=True), strict=True))
    table = []
    for day, rows in margins.groupby("cutoff"):
        here = pd.Timestamp(str(day)).date()
        offset, error = offsets.get(here, (None, None))
        table.append(
            {
                "cutoff": str(here),
                "n": len(rows),
                "base_rate": float(rows["churned"].mean()),
                "expected_offset": expected[here].get(SHOWN),
                "found_offset": offset,
                "standard_error": error,
            }
        )
    return table


def _sentence(report: Mapping[str, Any]) -> str:
    rates = [row["base_rate"] for row in report["by_cutoff"]]
    moved = (
        f"The leaving rate of the cutoffs lay between {min(rates):.1%} and {max(rates):.1%}, "
        f"at the newest at {rates[-1]:.1%}"
    )
    if len(rates) == 1:
        return "One cutoff alone cannot show how the leaving rate moves between cutoffs."
    if "log_loss_before_tests" not in report:
        return f"{moved}; too few cutoffs lie before the test to learn how it moves."
    as_is, then = report["log_loss_before_tests"].values()
    verdict = "so it is done" if report["corrected"] else "so it is not done"
    return (
        f"{moved}. Expecting seasons and slow changes to go on would have brought the mean log "
        f"loss before the test from {as_is:.4f} to {then:.4f}, {verdict}."
    )
