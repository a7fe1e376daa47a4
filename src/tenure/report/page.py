"""The report as one HTML file."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tenure.config import Config


def page(
    metrics: dict[str, Any],
    drivers: dict[str, Any],
    scores: pd.DataFrame,
    config: Config,
    limits: tuple[float, float],
) -> str:
    """Stub until the next commit."""
    return "<!doctype html><title>report</title>"
