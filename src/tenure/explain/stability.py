"""How far a factor's points move when the model is learnt anew, and what noise alone would give."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.explain.exchange import Draw, draw_customers, exchange
from tenure.explain.interplay import Pair, interplay
from tenure.explain.points import by_factor, explain
from tenure.features.schema import Column
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings

__all__ = ["Band", "Stability", "refit_bands"]

PEOPLE = 3_000  # whose mean |points| is the figure: its sampling error is far below the refits'
COPY = " (copy)"
LOWER, UPPER = 0.05, 0.95

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Band:
    """What refits say of one factor, all in points of churn probability.

    Attributes
    ----------
    lower, median, upper : float
        5th, 50th and 95th percentile of `churn_points` over the refits.
    floor : float
        95th percentile of the same figure for a copy of the factor's columns that holds nothing.
    """

    lower: float
    median: float
    upper: float
    floor: float

    @property
    def above_noise(self) -> bool:
        """Whether the whole band lies above what noise gives: below, a factor is no driver."""
        return self.lower > self.floor


@dataclass(frozen=True)
class Stability:
    """Bands by factor, and what they rest on.

    Attributes
    ----------
    bands : mapping of str to Band
        Empty where nothing could be refitted; `notes` then say why.
    refits, rows, customers : int
        Models refitted, rows of each at most, and customers whose points were averaged.
    pair_floors : mapping of pair to float
        For `interplay.strong_pairs`: 95th percentile of what either factor does together with the
        other's copy.
    notes : tuple of str
    """

    bands: Mapping[str, Band]
    refits: int
    rows: int
    customers: int
    pair_floors: Mapping[Pair, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def above_noise(self, factor: str) -> bool:
        """Whether a factor may be called a driver at all."""
        return factor in self.bands and self.bands[factor].above_noise

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        bands = {
            name: {**asdict(band), "above_noise": band.above_noise}
            for name, band in self.bands.items()
        }
        return {
            "factors": bands,
            "refits": self.refits,
            "rows": self.rows,
            "customers": self.customers,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Told:
    """Mean absolute points in one refit: of factors, of their copies, of pairs with one copy."""

    own: Mapping[str, float] = field(default_factory=dict)
    copies: Mapping[str, float] = field(default_factory=dict)
    pairs: Mapping[Pair, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Task:
    """What every refit needs."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    cutoff: Rows
    people: pd.DataFrame
    who: Rows
    columns: Mapping[str, Column]
    name: str
    kind: str
    settings: Settings
    calibrator: Calibrator


def refit_bands(
    X: pd.DataFrame,
    rows: pd.DataFrame,
    people: pd.DataFrame,
    who: pd.Series,
    columns: Mapping[str, Column],
    model: Candidate,
    calibrator: Calibrator,
    *,
    kind: str = "inactivity",
    settings: Settings | None = None,
    seed: int = 0,
    stop: Event | None = None,
) -> Stability:
    """Refit a candidate on bootstrap draws of customers, beside copies that hold nothing.

    A draw takes customers with replacement, each with all their rows over the cutoffs, up to
    20,000 rows. Beside every factor's columns stands a copy whose rows are exchanged together
    within their cutoff (`exchange`), for each factor anew. The figure is always the mean absolute
    points of the same customers. Where a candidate takes no columns but its own (a logistic
    model), each factor's columns are exchanged in place instead, one factor a refit.

    Parameters
    ----------
    X : DataFrame
        Inputs of the labelled rows.
    rows : DataFrame
        Their `customer_id`, `churned` and, unless nothing is dated, `cutoff`.
    people : DataFrame
        Inputs of the customers that are explained, all of one day.
    who : Series
        Their customer ids.
    columns : mapping of str to Column
        What each input is.
    model, calibrator : Candidate, Calibrator
        What is explained, as of that day. Refits are of its kind, and read by its calibrator.
    kind : str
        Kind of leaving, whose roster holds the candidate.
    settings : Settings, optional
        What tuning decided; one booster a refit, whatever the bag.
    seed : int
        Same seed and rows: the same bands.
    stop : Event, optional
        Once it is set nobody waits for the bands: no further refit begins.
    """
    rng = np.random.default_rng([seed, 0xBA5D])
    y = rows["churned"].to_numpy(dtype=np.int64)
    dated = "cutoff" in rows and rows["cutoff"].notna().any()
    cutoff = pd.factorize(rows["cutoff"])[0] if dated else np.zeros(len(rows), dtype=np.intp)
    chosen = np.sort(rng.permutation(len(people))[:PEOPLE])
    known = len(rows)
    code = pd.factorize(pd.concat([rows["customer_id"], who.iloc[chosen]], ignore_index=True))[0]
    people = people.iloc[chosen]
    task = _Task(
        X, y, cutoff, people, code[known:], columns, model.name, kind,
        replace(settings or Settings(), seeds=1), calibrator,
    )  # fmt: skip
    draws, notes = draw_customers(code[:known], y, rng)
    most = max((len(d.rows) for d in draws), default=0)
    if not draws or not len(chosen):
        notes.append("No model could be refitted.")
        return Stability({}, 0, most, len(chosen), notes=tuple(notes))
    seeds = [int(s) for s in rng.integers(1, 2**31 - 1, len(draws))]

    def one(draw: Draw, seed: int) -> _Told:
        if stop is not None and stop.is_set():
            raise CancelledError
        return _refit(task, draw, seed)

    with ThreadPoolExecutor(2) as pool:  # LightGBM is single-threaded and lets go of the lock
        found = list(pool.map(one, draws, seeds))
    if not found[0].own:
        notes.append(f"{model.name} uses one factor at most: there is nothing to tell apart.")
    return Stability(
        _bands(found), len(draws), most, len(chosen), _pair_floors(found), tuple(notes)
    )


def _refit(task: _Task, draw: Draw, seed: int) -> _Told:
    """Fit one draw, and say what its factors and their copies move."""
    rng = np.random.default_rng(seed)
    X, y = task.X.iloc[draw.rows].reset_index(drop=True), task.y[draw.rows]
    cutoff = task.cutoff[draw.rows]
    people = task.people.reset_index(drop=True)
    factors = sorted({task.columns[c].factor for c in X.columns})
    own = {f: [c for c in X.columns if task.columns[c].factor == f] for f in factors}

    def swapped(factor: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        there, here = exchange(draw, cutoff, task.who, rng)
        return _rows(X[own[factor]], there), _rows(people[own[factor]], here)

    if task.name in ("lightgbm", "blend"):
        pairs = [swapped(factor) for factor in factors]
        beside = pd.concat([X, *(x.add_suffix(COPY) for x, _ in pairs)], axis=1)
        shown = pd.concat([people, *(x.add_suffix(COPY) for _, x in pairs)], axis=1)
        return _split(_figures(task, beside, shown, y, seed))
    original = _figures(task, X, people, y, seed).own
    copies = {}
    for factor in original if len(original) > 1 else ():
        there, here = swapped(factor)
        told = _figures(task, X.assign(**there), people.assign(**here), y, seed)
        copies[factor] = told.own[factor]
    return _Told(original, copies) if copies else _Told()


def _rows(values: pd.DataFrame, taken: Rows) -> pd.DataFrame:
    return values.iloc[taken].reset_index(drop=True)


def _split(told: _Told) -> _Told:
    """Tell copies from originals, and keep the pairs of an original with another's copy."""
    own = {f: v for f, v in told.own.items() if not f.endswith(COPY)}
    copies = {f: told.own.get(f + COPY, 0.0) for f in own}
    pairs: dict[Pair, float] = {}
    for (a, b), value in told.pairs.items():
        if a.endswith(COPY) != b.endswith(COPY):
            first, second = sorted((a.removesuffix(COPY), b.removesuffix(COPY)))
            if first != second:  # a factor with its own copy says nothing of two factors
                pairs[first, second] = max(value, pairs.get((first, second), 0.0))
    return _Told(own, copies, pairs)


def _figures(
    task: _Task, X: pd.DataFrame, people: pd.DataFrame, y: NDArray[np.int64], seed: int
) -> _Told:
    """Fit, explain, and average absolute points; copies are factors of their own."""
    columns = dict(task.columns)
    directions = dict(task.settings.directions)
    for name in X.columns:
        if name.endswith(COPY):
            of = task.columns[name.removesuffix(COPY)]
            columns[name] = replace(of, name=name, factor=of.factor + COPY)
            if of.name in directions:  # a copy is held to the same direction
                directions[name] = directions[of.name]
    settings = replace(task.settings, directions=directions)
    model = fit_candidates(X, y, seed=seed, kind=task.kind, names=[task.name], settings=settings)
    fitted = model[task.name]
    explained = explain(fitted, task.calibrator, people)
    own = by_factor(explained.points, columns).abs().mean()
    together, scale = interplay(fitted, people, columns), np.abs(explained.scale)
    pairs = {k: float(np.abs(v) @ scale) / len(scale) for k, v in together.items()}
    return _Told({str(f): float(v) for f, v in own.items()}, pairs=pairs)


def _bands(found: list[_Told]) -> dict[str, Band]:
    bands = {}
    for factor in found[0].copies:
        own = np.array([told.own.get(factor, 0.0) for told in found])
        noise = np.array([told.copies.get(factor, 0.0) for told in found])
        lower, median, upper = np.quantile(own, (LOWER, 0.5, UPPER))
        floor = float(np.quantile(noise, UPPER))
        bands[factor] = Band(float(lower), float(median), float(upper), floor)
    return bands


def _pair_floors(found: list[_Told]) -> dict[Pair, float]:
    met = sorted({pair for told in found for pair in told.pairs})
    return {
        pair: float(np.quantile([told.pairs.get(pair, 0.0) for told in found], UPPER))
        for pair in met
    }
