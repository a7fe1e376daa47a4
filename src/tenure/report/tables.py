"""What the tables for data scientists hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenure.report import words, writing

__all__ = ["metric_columns", "reliability_groups"]

Json = dict[str, Any]


def metric_columns(rows: Mapping[str, Json], kind: str) -> dict[str, tuple[str, int]]:
    """Return the columns of the one table, with their digits; those that nobody has are left out.

    Parameters
    ----------
    rows : mapping
        By candidate, its figures.
    kind : str
        Of leaving: being active is asked of those who can leave by inactivity alone.
    """
    held = {
        metric
        for row in rows.values()
        for metric, figure in row.items()
        if writing.finite(figure["value"]) is not None
    }
    if kind != "inactivity":
        held -= {"auc_active"}
    return {metric: column for metric, column in words.MODEL_METRICS.items() if metric in held}


def reliability_groups(reliability: Json) -> list[tuple[str, list[Json]]]:
    """List the groups in which predicted and actual leaving are compared, overall first."""
    named = {
        "tenth of the chances": reliability["overall"],
        "tenth of the value": reliability["by_value"] or [],
        **reliability["segments"],
    }
    return [(name, groups) for name, groups in named.items() if groups]
