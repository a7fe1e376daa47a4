"""How far a factor's points move when the model is learnt anew, and what noise alone would give."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.explain.points import by_factor, explain
from tenure.features.schema import Column
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate
from tenure.models.churn import fit_candidates
from tenure.models.trees import Settings

__all__ = ["REFITS", "Band", "Stability", "refit_bands"]

REFITS = 20
ROWS = 20_000  # a refit
PEOPLE = 3_000  # whose mean |points| is the figure: its sampling error is far below the refits'
PARTS, FEWEST = 20, 10  # within a cutoff, rows of which the other factors say the like
TRIES = 3  # draws a refit, where one class is so rare that some draws hold none of it
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
    notes : tuple of str
    """

    bands: Mapping[str, Band]
    refits: int
    rows: int
    customers: int
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
class _Draw:
    """One bootstrap draw: its rows, and which of the drawn each belongs to.

    A customer drawn twice is two of the drawn: they never lend each other their own numbers.
    """

    rows: Rows
    member: Rows
    customers: Rows


@dataclass(frozen=True)
class _Task:
    """What every refit needs."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    cutoff: Rows
    people: pd.DataFrame
    who: Rows
    others: pd.DataFrame
    others_here: pd.DataFrame
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
) -> Stability:
    """Refit a candidate on bootstrap draws of customers, beside copies that hold nothing.

    A draw takes customers with replacement, each with all their rows over the cutoffs, up to
    20,000 rows. Beside every factor's columns stands a copy whose rows are exchanged together
    within their cutoff, for each factor anew. A customer has the numbers of the same other one
    at all cutoffs where both have rows: by experience that lasts, trees learn customers by heart,
    and a copy without that would make the floor too low. The figure is always the mean absolute
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
        X, y, cutoff, people, code[known:], _others(model, X, columns),
        _others(model, people, columns), columns, model.name, kind,
        replace(settings or Settings(), seeds=1), calibrator,
    )  # fmt: skip
    draws, notes = _draws(code[:known], y, rng)
    most = max((len(d.rows) for d in draws), default=0)
    if not draws or not len(chosen):
        return Stability({}, 0, most, len(chosen), (*notes, "No model could be refitted."))
    seeds = [int(s) for s in rng.integers(1, 2**31 - 1, len(draws))]
    with ThreadPoolExecutor(2) as pool:  # LightGBM is single-threaded and lets go of the lock
        found = list(pool.map(lambda draw, s: _refit(task, draw, s), draws, seeds))
    if not found[0][0]:
        notes.append(f"{model.name} uses one factor at most: there is nothing to tell apart.")
    return Stability(_bands(found), len(draws), most, len(chosen), tuple(notes))


def _draws(
    customer: Rows, y: NDArray[np.int64], rng: np.random.Generator
) -> tuple[list[_Draw], list[str]]:
    """Draw customers, and keep the draws that hold both classes."""
    order = np.argsort(customer, kind="stable")
    unique, start = np.unique(customer[order], return_index=True)
    start = np.append(start, len(customer))
    draws: list[_Draw] = []
    tries = 0
    while len(draws) < REFITS and tries < TRIES * REFITS and len(unique):
        tries += 1
        drawn = rng.integers(0, len(unique), len(unique))
        sizes = start[drawn + 1] - start[drawn]
        last = max(1, int(np.searchsorted(np.cumsum(sizes), ROWS, side="right")))
        drawn, sizes = drawn[:last], sizes[:last]
        taken = np.concatenate([order[start[c] : start[c + 1]] for c in drawn])
        if 0 < y[taken].sum() < len(taken):
            draws.append(_Draw(taken, np.repeat(np.arange(last), sizes), unique[drawn]))
    notes = []
    if len(draws) < tries:
        notes.append(f"{tries - len(draws)} of {tries} draws held one class only and were left.")
    if len(draws) < REFITS:
        notes.append(f"Bands and floors rest on {len(draws)} refits, not {REFITS}.")
    return draws, notes


def _refit(task: _Task, draw: _Draw, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the factors' points in one refit, and those of their copies."""
    rng = np.random.default_rng(seed)
    X, y = task.X.iloc[draw.rows].reset_index(drop=True), task.y[draw.rows]
    people = task.people.reset_index(drop=True)
    factors = sorted({task.columns[c].factor for c in X.columns})
    own = {f: [c for c in X.columns if task.columns[c].factor == f] for f in factors}
    if task.name in ("lightgbm", "blend"):
        beside, seen = [X], [people]
        for factor in factors:
            there, here = _exchange(task, draw, factor, rng)
            beside.append(_copy(X[own[factor]], there))
            seen.append(_copy(people[own[factor]], here))
        told = _figures(task, pd.concat(beside, axis=1), pd.concat(seen, axis=1), y, seed)
        return (
            {f: told[f] for f in factors},
            {f: told[f + COPY] for f in factors},
        )
    original = _figures(task, X, people, y, seed)
    copies = {}
    for factor in original if len(original) > 1 else ():
        there, here = _exchange(task, draw, factor, rng)
        names = own[factor]
        fitted = X.assign(**X[names].iloc[there].reset_index(drop=True))
        shown = people.assign(**people[names].iloc[here].reset_index(drop=True))
        copies[factor] = _figures(task, fitted, shown, y, seed)[factor]
    return (original, copies) if copies else ({}, {})


def _exchange(task: _Task, draw: _Draw, factor: str, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Give every row another's place within its cutoff, and every explained customer another's.

    The drawn stand in one random circle; each takes from the next who has a row at that cutoff
    and about whom the other factors say the like.
    """
    place = rng.random(len(draw.customers))
    first = dict(zip(draw.customers[::-1].tolist(), place[::-1].tolist(), strict=True))
    here = np.array([first.get(int(c), rng.random()) for c in task.who])
    group = _alike(task.cutoff[draw.rows], task.others[factor].to_numpy()[draw.rows])
    today = _alike(np.zeros(len(here), dtype=np.intp), task.others_here[factor].to_numpy())
    return _next(group, place[draw.member]), _next(today, here)


def _alike(group: Rows, said: Array) -> Rows:
    """Cut every group by what is said into at most 20 equal parts of at least 10 rows."""
    size = np.bincount(group)[group]
    order = np.lexsort((said, group))
    rank = np.empty(len(group), dtype=np.intp)
    rank[order] = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    parts = np.clip(size // FEWEST, 1, PARTS)
    return np.asarray(group * PARTS + rank * parts // size)


def _next(group: Rows, place: Array) -> Rows:
    """Row number of the next place in each row's group; the last takes the first."""
    order = np.lexsort((place, group))
    ordered = group[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    following = np.append(order[1:], 0)
    following[np.append(begins[1:], len(order)) - 1] = order[begins]
    found = np.empty(len(order), dtype=np.intp)
    found[order] = following
    return found


def _others(model: Candidate, X: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return what all factors but each one say of every row, in log-odds from the base."""
    found = []
    for start in range(0, len(X), ROWS):
        told = model.contributions(X.iloc[start : start + ROWS])[0]
        by = by_factor(told, columns)
        found.append(by.mul(-1.0).add(told.sum(axis=1), axis=0))
    factors = sorted({columns[c].factor for c in X.columns})
    return pd.concat(found).reindex(columns=factors, fill_value=0.0)


def _copy(values: pd.DataFrame, taken: Rows) -> pd.DataFrame:
    return pd.DataFrame(values.to_numpy()[taken], columns=[c + COPY for c in values.columns])


def _figures(
    task: _Task, X: pd.DataFrame, people: pd.DataFrame, y: NDArray[np.int64], seed: int
) -> dict[str, float]:
    """Fit, explain, and average each factor's absolute points; copies are factors of their own."""
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
    points = explain(model[task.name], task.calibrator, people).points
    return {str(f): float(v) for f, v in by_factor(points, columns).abs().mean().items()}


def _bands(found: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Band]:
    bands = {}
    for factor in found[0][1]:
        own = np.array([original.get(factor, 0.0) for original, _ in found])
        noise = np.array([copies.get(factor, 0.0) for _, copies in found])
        lower, median, upper = np.quantile(own, (LOWER, 0.5, UPPER))
        floor = float(np.quantile(noise, UPPER))
        bands[factor] = Band(float(lower), float(median), float(upper), floor)
    return bands
