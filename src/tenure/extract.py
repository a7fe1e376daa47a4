"""Write the features of every customer as known at a cutoff."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from tenure.config import Config
from tenure.cutoffs import check_day
from tenure.errors import ConfigError
from tenure.features.matrix import build, plan_schema
from tenure.outputs import check_out, write_table
from tenure.sources import load

__all__ = ["extract"]


def extract(config: Config, cutoff: dt.date, out: Path) -> tuple[int, int]:
    """Write `customer_id`, `cutoff` and one column a feature.

    Windows longer than the history before `cutoff` are not built.

    Parameters
    ----------
    config : Config
        Names the data.
    cutoff : date
        History is everything before this local midnight.
    out : Path
        A `.parquet` or `.csv` file; an older one survives any failure.

    Returns
    -------
    (int, int)
        How many customers and how many features were written.

    Raises
    ------
    ConfigError
        If the customers carry a label and no dates.
    DataError
        If the cutoff lies outside the data.
    """
    if config.churn.kind == "label":
        raise ConfigError(
            "features: customers who carry a label are not dated, so nothing can be told as known "
            "at a cutoff."
        )
    check_out(out, config)
    with load(config) as sources:
        check_day(cutoff, sources.first_day, sources.observed_until, config.churn.table)
        schema = plan_schema(
            sources.tables,
            sources.first_day,
            cutoff,
            config.zone,
            config.features.levels,
            population=config.churn.table,
            settings=config.feature_settings,
        )
        matrix = build(sources.tables, [cutoff], config.zone, schema)
    write_table(matrix, out)
    return len(matrix), len(schema.columns())
