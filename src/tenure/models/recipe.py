"""How a candidate was made, so that a later run can make it again from other rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tenure.models.trees import Settings

__all__ = ["Recipe", "recipe"]


@dataclass(frozen=True)
class Recipe:
    """What decides a candidate beside the rows it learns from.

    Attributes
    ----------
    name : str
        Of the candidate.
    settings : Settings
        Of LightGBM and its blend; the defaults for models without it, and where not recorded.
    columns : tuple of str or None
        The inputs it was offered; None where not recorded: whatever there is.
    calibration : str
        The kind that was asked for.
    """

    name: str
    settings: Settings = field(default_factory=Settings)
    columns: tuple[str, ...] | None = None
    calibration: str = "auto"

    def to_json(self) -> dict[str, Any]:
        """Everything needed to make it again, as JSON types."""
        return {
            "name": self.name,
            "settings": self.settings.to_json(),
            "columns": None if self.columns is None else list(self.columns),
            "calibration": self.calibration,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        columns = stored["columns"]
        return cls(
            str(stored["name"]),
            Settings.from_json(stored["settings"]),
            None if columns is None else tuple(columns),
            str(stored["calibration"]),
        )


def recipe(name: str, settings: Settings, columns: Iterable[str], calibration: str) -> Recipe:
    """Write down how a candidate of this run is made.

    Parameters
    ----------
    name : str
        Of the candidate.
    settings : Settings
        Of LightGBM in this run.
    columns : iterable of str
        The inputs of the run.
    calibration : str
        `model.calibration` of the config.
    """
    has_trees = name in ("lightgbm", "blend")
    used = settings if has_trees else Settings()
    return Recipe(name, used, tuple(map(str, columns)), calibration)
