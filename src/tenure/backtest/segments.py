"""The groups of customers whose chances are checked one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.config import Config
from tenure.features.attributes import PEOPLE
from tenure.features.profile import attribute_columns
from tenure.features.schema import Schema

__all__ = ["segments"]

UNKNOWN = "not known"
Levels = NDArray[np.object_]


def segments(
    matrix: pd.DataFrame, rows: pd.DataFrame, schema: Schema, config: Config
) -> dict[str, Levels]:
    """Return each row's level of every segmentation, as known at the row's cutoff.

    Parameters
    ----------
    matrix : DataFrame
        Features at the cutoffs, one row a customer and cutoff.
    rows : DataFrame
        `customer_id` and `cutoff`, each of them in `matrix`.
    schema : Schema
        What the matrix holds.
    config : Config
        Which kind of leaving, and its horizon.

    Returns
    -------
    dict
        By name: every declared attribute that has levels; where leaving is inactivity also
        `frequency` (purchase days so far) and `activity` (how long ago the last purchase was).
    """
    key = ["customer_id"] if config.churn.kind == "label" else ["customer_id", "cutoff"]
    here = rows[key].merge(matrix, on=key, how="left")
    found: dict[str, Levels] = {}
    for column in attribute_columns(schema.available.get(PEOPLE, ()), schema.levels):
        if column.level is None or column.name not in here:
            continue
        name = column.source.removeprefix("attribute[")[:-1]
        levels = found.setdefault(name, np.full(len(here), UNKNOWN, dtype=object))
        levels[(here[column.name] == 1).to_numpy()] = column.level
    if config.churn.kind == "inactivity":
        found["frequency"] = _frequency(here["frequency"])
        found["activity"] = _activity(here["days_since_last_purchase"], config.churn.horizon_days)
    return found


def _frequency(repeats: pd.Series) -> Levels:
    """Group by purchase days so far."""
    names = ["1 purchase day", "2 to 3 purchase days", "4 or more purchase days"]
    return np.array(names, dtype=object)[np.searchsorted([1, 3], repeats, side="right")]


def _activity(days: pd.Series, horizon: int) -> Levels:
    """Group by days since the last purchase, in thirds of the horizon."""
    edges = sorted({max(1, horizon // 3), max(1, 2 * horizon // 3), horizon})
    names = [
        f"bought within {edges[0]} day{'s' * (edges[0] > 1)}",
        *(f"bought {a + 1} to {b} days ago" for a, b in pairwise(edges)),
        f"bought more than {horizon} day{'s' * (horizon > 1)} ago",
    ]
    # 0 days since the last purchase is the day before the cutoff
    return np.array(names, dtype=object)[np.searchsorted(edges, days, side="right")]
