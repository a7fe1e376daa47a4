"""The model in force, held against the config and the data it is to speak of."""

from __future__ import annotations

from dataclasses import replace

from tenure import storage
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.errors import DataError, ModelError, listing
from tenure.sources import Sources
from tenure.track import Champion, champion

__all__ = ["check_columns", "in_force"]


def in_force(config: Config) -> tuple[Champion, Bundle, Config]:
    """Load the champion.

    Returns
    -------
    Champion, Bundle, Config
        What it is, its model with the config's costs of a campaign, and the config with the
        horizon that was settled in training.

    Raises
    ------
    ModelError
        If there is no champion, its files were altered, or the config asks for another question.
    """
    found = champion(config.project)
    bundle = replace(storage.load(found.folder), campaign=config.campaign)
    if config.churn.is_auto:  # the champion's own answer: newer data may give another one
        config = config.asking(horizon_days=bundle.churn.horizon_days)
    _same_question(bundle, config)
    return found, bundle, config


def _same_question(bundle: Bundle, config: Config) -> None:
    trained, asked = (
        {f"churn.{k}": v for k, v in one.churn.model_dump().items()}
        | {f"clv.{k}": v for k, v in one.clv.model_dump(exclude={"replacement_cost"}).items()}
        | {"timezone": one.timezone, "currency": one.currency}
        for one in (bundle, config)
    )
    problems = [
        f"{key}: the model was trained with {value!r}, the config says {asked[key]!r}."
        for key, value in trained.items()
        if value != asked[key]
    ]
    if problems:
        raise ModelError(
            listing("config", problems) + "\n  Score with the model's config, or train again."
        )


def check_columns(sources: Sources, bundle: Bundle) -> None:
    """Refuse data that lack columns the model was trained with."""
    for table, columns in bundle.schema.available.items():
        held = sources.tables[table].columns if table in sources.tables else ()
        absent = sorted(set(columns) - set(held))
        if absent:
            problems = [
                f"{column}: the model was trained with it; here it is missing or empty."
                for column in absent
            ]
            raise DataError(
                listing(table, problems) + "\n  Map these columns in the config, or train again."
            )
