"""Everything `drivers.json` holds, from the model and the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import pandas as pd

from tenure import labels
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.config.playbook import play_of
from tenure.drivers.sure import PROVEN, SCALE, TESTED, how_sure, verdict
from tenure.effects.adjusted import quietly
from tenure.effects.assess import Assessed, assess
from tenure.effects.goals import simulate_goals
from tenure.effects.rows import Cohort, cohort
from tenure.experiments import experiments
from tenure.explain.factors import correlated, factors_in_full
from tenure.explain.interplay import interplay, strong_pairs
from tenure.explain.points import Explained, by_factor, explain
from tenure.explain.stability import Stability, refit_bands
from tenure.features.spec import ROLES
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate
from tenure.models.trees import Settings
from tenure.population import Population
from tenure.sources import Sources
from tenure.voices import leavers_say

__all__ = ["Subject", "find_drivers"]

TOGETHER_ROWS = 2_000  # customers for whom interactions are taken
CONTACT = "Contact customers at risk: the test shows that it keeps them"
NOTE = "Points say what goes together with leaving in this model; `how_sure` says what is more."
Json = dict[str, Any]
Progress = Callable[..., None]


@dataclass(frozen=True)
class Subject:
    """The model that is explained, and on whom.

    Attributes
    ----------
    bundle : Bundle
        The registered model.
    model, calibrator : Candidate, Calibrator
        What is explained, as of today: the registered one, or LightGBM where that has one input.
    settings : Settings
        With which it was learnt.
    X : DataFrame
        Inputs of the customers at stake today; of the training rows where there is nobody.
    who : Series
        Their ids.
    explained : Explained
        By `model`.
    """

    bundle: Bundle
    model: Candidate
    calibrator: Calibrator
    settings: Settings
    X: pd.DataFrame
    who: pd.Series
    explained: Explained

    @classmethod
    def of(
        cls, bundle: Bundle, ready: Population, settings: Settings,
        instead: tuple[Candidate, Calibrator] | None = None,
    ) -> tuple[Subject, Explained | None]:  # fmt: skip
        """Explain the customers of today by the registered model, or `instead` if it has one input.

        Returned beside it: what the registered model says of them, if there are any.
        """
        here = ready.today[labels.statuses(ready.today, bundle.churn) == "scored"]
        nobody = here.empty
        X = ready.X if nobody else bundle.inputs(here)
        who = (ready.rows if nobody else here)["customer_id"].reset_index(drop=True)
        explained = bundle.explain(X, ready.as_of)
        model, calibrator = bundle.candidate, bundle.calibrator_at(ready.as_of)
        today = None if nobody else explained
        if explained.log_odds.shape[1] < 2 and instead is not None:
            model, calibrator = instead
            explained = explain(model, calibrator, X)
        return cls(bundle, model, calibrator, settings, X, who, explained), today


def find_drivers(
    subject: Subject, ready: Population, sources: Sources, scores: pd.DataFrame, config: Config,
    progress: Progress = lambda *_: None,
) -> Json:  # fmt: skip
    """Find what drives customers away, how sure that is, and what goals would change.

    Parameters
    ----------
    subject : Subject
    ready, sources, config
        The population, its logs and the config.
    scores : DataFrame
        What the bundle says of everybody today.
    progress : callable
        Told what is being done.

    Returns
    -------
    dict
        As `drivers.json` holds it (design, section 6).
    """
    explained, columns = subject.explained, subject.bundle.columns
    with _bands(subject, ready, config) as bands, quietly():
        progress("comparing like with like")
        of = cohort(ready, sources, config)
        tried = [] if of is None else assess(of, ready, sources, config)
        goals = simulate_goals(of, ready, sources, subject.bundle, scores, config, progress)
        progress("reading randomised tests")
        tests = _tests(ready, sources, scores, config)
        progress("learning the model anew, for bands and floors")
        stable = bands.result()
    factors = _factors(subject, ready, stable, tried, tests, config)
    return {
        "as_of": None if ready.as_of is None else str(ready.as_of),
        "customers": len(subject.X),
        "unit": "points of churn probability (1 point = 0.01)",
        "verdict": verdict(factors),
        "typical_probability": explained.typical,
        "base_rate": subject.bundle.base_rate,
        "model": subject.model.name,
        "registered": subject.bundle.candidate.name,
        "note": NOTE,
        "scale": list(SCALE),
        "factors": factors,
        "correlated": correlated(explained, subject.X, columns),
        "interactions": _interactions(subject, stable),
        "refits": {k: v for k, v in stable.to_json().items() if k not in ("factors", "notes")},
        "compared": _compared(of),
        "levers": [one.to_json() for one in tried],
        "goals": goals,
        "experiments": tests,
        "leavers_say": leavers_say(sources.tables, ready, config),
        "warnings": [*stable.notes, *_warnings(of, config)],
    }


@contextmanager
def _bands(subject: Subject, ready: Population, config: Config) -> Iterator[Future[Stability]]:
    """Learn the model anew beside what else there is to do; it takes longest."""
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(
                refit_bands, ready.X, ready.rows, subject.X, subject.who, subject.bundle.columns,
                subject.model, subject.calibrator, kind=config.churn.kind,
                settings=subject.settings, seed=config.model.seed, stop=stop,
            )  # fmt: skip
        except BaseException:
            stop.set()
            raise


def _factors(
    subject: Subject, ready: Population, stable: Stability, tried: Sequence[Assessed],
    tests: Json, config: Config,
) -> list[Json]:  # fmt: skip
    """List the factors in full, each with its band, its floor, how sure it is and its owner."""
    told = factors_in_full(
        subject.explained, subject.X, ready.X, ready.rows, subject.bundle.columns
    )
    found = []
    for one in told:
        factor = one["factor"]
        role, band = ROLES[factor], stable.bands.get(factor)
        mine = [a for a in tried if a.lever.factor == factor]
        word, evidence = how_sure(
            role, one["churn_points"], band, mine, tests if factor == TESTED else None
        )
        play = play_of(factor, config.playbook)
        if factor == TESTED and word == PROVEN and factor not in config.playbook:
            play = play.model_copy(update={"action": _tested_action(tests)})
        ends = (None, None, None) if band is None else (band.lower, band.upper, band.floor)
        found.append(
            {
                "factor": factor,
                "churn_points": one.pop("churn_points"),
                **dict(zip(("lower", "upper", "floor"), ends, strict=True)),
                "direction": one.pop("direction"),
                "how_sure": word,
                "role": role,
                "actionable": role == "cause" and word in SCALE[:2],
                "owner": play.owner,
                "action": play.action,
                "how_we_know": evidence,
                **one,
            }
        )
    return found


def _tested_action(tests: Json) -> str:
    """Do what the test showed, not what is usual."""
    effect = tests["effect"]["adjusted"] or tests["effect"]
    return CONTACT if effect["value"] < 0 else "Pause campaigns: the test shows they drive away"


def _interactions(subject: Subject, stable: Stability) -> list[Json]:
    """List the factors that act together, on a part of the customers."""
    some = slice(0, TOGETHER_ROWS)
    explained = subject.explained.rows(some)
    columns = subject.bundle.columns
    together = interplay(subject.model, subject.X.iloc[some], columns)
    return strong_pairs(
        explained, together, by_factor(explained.points, columns), stable.pair_floors
    )


def _tests(ready: Population, sources: Sources, scores: pd.DataFrame, config: Config) -> Json:
    """Read randomised tests, or say how large one must be."""
    scored = scores[scores["status"] == "scored"]
    p = scored["churn_probability"].to_numpy(dtype=np.float64)
    stake = (scored["value_at_risk"] / scored["churn_probability"]).mean()
    return experiments(
        sources.tables, ready.schema, ready.first_day, ready.as_of, config, p,
        None if pd.isna(stake) else float(stake),
    )  # fmt: skip


def _compared(of: Cohort | None) -> Json | None:
    if of is None:
        return None
    return {
        "window_days": of.window,
        "cutoffs": [str(day) for day in of.days],
        "rows": len(of.rows),
        "customers": int(of.rows["customer_id"].nunique()),
        "confounders": len(of.confounders),
    }


def _warnings(of: Cohort | None, config: Config) -> list[str]:
    if of is not None or config.churn.kind == "label":
        return []
    return [
        "Like is not compared with like: the log affords no two cutoffs about 90 days apart, so "
        "nothing is surer than `goes together`."
    ]
