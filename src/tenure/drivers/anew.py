"""The drivers of today by the model in force, without training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from tenure.config import Config
from tenure.drivers.found import Subject, find_drivers
from tenure.models.trees import Settings
from tenure.outputs import check_writable, staged_folder
from tenure.population import prepare
from tenure.results import write_json
from tenure.serving import check_columns, in_force
from tenure.sources import load

__all__ = ["FILE", "Anew", "anew"]

FILE = "drivers.json"


@dataclass(frozen=True)
class Anew:
    """What was found, and where it stands."""

    found: dict[str, Any]
    out: Path
    model_version: str

    @property
    def text(self) -> str:
        """Verdict and factors, a line each."""
        lines = [self.found["verdict"], ""]
        for one in self.found["factors"]:
            band = "" if one["lower"] is None else f" [{one['lower']:.1f}, {one['upper']:.1f}]"
            size = f"{one['churn_points']:5.1f}{band}"
            lines.append(f"  {one['factor']:16s}{size:20s}{one['how_sure']}")
        lines += ["", f"Points of churn probability, with refit bands. Written to {self.out}"]
        return "\n".join(lines)


def anew(config: Config, *, progress: Callable[..., None] = lambda *_: None) -> Anew:
    """Find the drivers of today's customers by the champion, and write `drivers.json`.

    Parameters
    ----------
    config : Config
        The config the champion was trained with.
    progress : callable
        Told what is being done.

    Raises
    ------
    ModelError
        If there is no champion, or the config asks another question.
    DataError
        If the data lack what the model was trained with, or cannot carry the question.
    """
    check_writable(config.out)
    champion, bundle, config = in_force(config)
    progress("reading the data")
    with threadpool_limits(1, user_api="blas"), load(config) as sources:
        check_columns(sources, bundle)
        progress("building features")
        ready = prepare(sources, config, bundle.schema)
        settings = bundle.recipe.settings if bundle.recipe else Settings()
        subject, explained = Subject.of(bundle, ready, settings)
        scores = bundle.score(ready.today, ready.known, explained)
        found = find_drivers(subject, ready, sources, scores, config, progress)
    told = {**found, "model_version": champion.version, "run_id": champion.run_id}
    with staged_folder(config.out) as folder:
        write_json(folder / FILE, told)
    return Anew(told, config.out / FILE, champion.version)
