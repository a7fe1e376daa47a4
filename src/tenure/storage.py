"""A bundle as files: JSON, the booster's text and checksums; reading them executes nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tenure.bundle import Bundle
from tenure.config import CampaignConfig, ChurnConfig, ClvConfig
from tenure.errors import ModelError, listing
from tenure.features.schema import Schema
from tenure.models import families
from tenure.models.calibration import Calibrator
from tenure.models.churn import load_candidate
from tenure.models.recipe import Recipe
from tenure.models.shift import Shift
from tenure.models.spells import SpellTiming
from tenure.models.spend import SpendModel
from tenure.models.twopart import TwoPart

__all__ = ["library_warnings", "load", "save"]

MANIFEST = "manifest.json"
BOOSTER = "model.lgb"
LIBRARIES = ("lightgbm", "scikit-learn", "numpy")


def save(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's files, their checksums last."""
    folder.mkdir(parents=True, exist_ok=True)
    trees = None if bundle.trees is None else bundle.trees.to_json()
    (churn, trees), boosters = _take_boosters([bundle.candidate.to_json(), trees])
    for name, text in boosters.items():
        (folder / name).write_text(text, encoding="utf-8")
    _write(folder / "churn.json", churn)
    _write(folder / "calibrator.json", bundle.calibrator.to_json())
    _write(folder / "shift.json", bundle.shift.to_json())
    _write(
        folder / "clv.json",
        {
            name: None if part is None else part.to_json()
            for name, part in (
                ("timing", bundle.timing),
                ("purchases", bundle.purchases),
                ("spend", bundle.spend),
            )
        }
        | {"trees": trees},
    )
    _write(
        folder / "schema.json",
        {
            "schema": bundle.schema.to_json(),
            "churn": bundle.churn.model_dump(mode="json"),
            "clv": bundle.clv.model_dump(mode="json"),
            "campaign": bundle.campaign.model_dump(mode="json"),
            "timezone": bundle.timezone,
            "currency": bundle.currency,
            "usual": {k: None if np.isnan(v) else v for k, v in bundle.usual.items()},
            "base_rate": bundle.base_rate,
            "trained_until": None if bundle.trained_until is None else str(bundle.trained_until),
            "recipe": None if bundle.recipe is None else bundle.recipe.to_json(),
            "libraries": {name: version(name) for name in LIBRARIES},
        },
    )
    sums = {p.name: _sha256(p) for p in sorted(folder.iterdir()) if p.name != MANIFEST}
    _write(folder / MANIFEST, {"sha256": sums})


def load(folder: Path) -> Bundle:
    """Verify the checksums, then read; nothing in the folder is executed.

    Raises
    ------
    ModelError
        If a file is missing, was altered, or does not say what it should.
    """
    _verify(folder)
    churn = _give_boosters(_read(folder / "churn.json"), folder)
    values = _read(folder / "clv.json")
    about = _read(folder / "schema.json")
    try:
        return Bundle(
            candidate=load_candidate(churn),
            calibrator=Calibrator.from_json(_read(folder / "calibrator.json")),
            shift=Shift.from_json(_read(folder / "shift.json")),
            timing=_timing(values["timing"]),
            purchases=_maybe(families, values["purchases"]),
            spend=_maybe(SpendModel, values["spend"]),
            schema=Schema.from_json(about["schema"]),
            churn=ChurnConfig.model_validate(about["churn"]),
            clv=ClvConfig.model_validate(about["clv"]),
            campaign=CampaignConfig.model_validate(about.get("campaign", {})),
            timezone=about["timezone"],
            currency=about["currency"],
            usual={k: np.nan if v is None else v for k, v in about["usual"].items()},
            base_rate=about["base_rate"],
            trained_until=_day(about["trained_until"]),
            recipe=_maybe(Recipe, about.get("recipe")),
            trees=_maybe(TwoPart, _give_boosters(values.get("trees"), folder)),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise ModelError(
            f"model bundle: was written by another version of tenure ({fault}). Train again."
        ) from None


def library_warnings(folder: Path) -> list[str]:
    """Say which libraries differ from those the bundle was trained with."""
    trained = _read(folder / "schema.json")["libraries"]
    return [
        f"the model was trained with {name} {trained[name]}, this is {version(name)}"
        for name in LIBRARIES
        if trained.get(name) != version(name)
    ]


def _maybe(kind: Any, stored: Mapping[str, Any] | None) -> Any:
    return None if stored is None else kind.from_json(stored)


def _timing(stored: Mapping[str, Any] | None) -> Any:
    return _maybe(SpellTiming if stored and "sbg" in stored else families, stored)


def _day(stored: str | None) -> dt.date | None:
    return None if stored is None else dt.date.fromisoformat(stored)


def _take_boosters(stored: list[Any]) -> tuple[list[Any], dict[str, str]]:
    """Move the boosters' texts out of the JSON, each into a file of its own."""
    files: dict[str, str] = {}

    def given(text: str) -> dict[str, str]:
        name = BOOSTER if not files else BOOSTER.replace(".", f"-{len(files) + 1}.")
        files[name] = text
        return {"file": name}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "boosters" in value:
                return {**value, "boosters": [given(text) for text in value["boosters"]]}
            return {k: walk(v) for k, v in value.items()}
        return [walk(v) for v in value] if isinstance(value, list | tuple) else value

    return walk(stored), files


def _give_boosters(stored: Any, folder: Path) -> Any:
    if isinstance(stored, dict):
        if set(stored) == {"file"}:  # the manifest has vouched for what stands in the folder
            return (folder / Path(stored["file"]).name).read_text(encoding="utf-8")
        return {k: _give_boosters(v, folder) for k, v in stored.items()}
    return [_give_boosters(v, folder) for v in stored] if isinstance(stored, list) else stored


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError(
            f"model bundle: {path.name} is missing or not JSON. Train again."
        ) from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _verify(folder: Path) -> None:
    try:
        sums = _read(folder / MANIFEST)["sha256"]
        problems = [
            f"{name}: {'is missing' if not (folder / name).is_file() else 'was altered'}."
            for name, sha in sums.items()
            if not (folder / name).is_file() or _sha256(folder / name) != sha
        ]
        strangers = {p.name for p in folder.iterdir()} - {*sums, MANIFEST}
    except (AttributeError, KeyError, TypeError):
        raise ModelError("model bundle: its manifest is not one of ours. Train again.") from None
    problems += [f"{name}: is not in the manifest." for name in sorted(strangers)]
    if problems:
        raise ModelError(
            listing("model bundle", problems) + "\n  Nothing was scored. Train again, or roll back."
        )
