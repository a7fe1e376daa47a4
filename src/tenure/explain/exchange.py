"""Bootstrap draws of customers, and whose numbers stand for whose in a copy that tells nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["REFITS", "ROWS", "Draw", "draw_customers", "exchange"]

REFITS = 20
ROWS = 20_000  # a refit: with fewer, the floor rises over causes that are real (decision 0014)
TRIES = 3  # draws a refit, where one class is so rare that some draws hold none of it

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Draw:
    """One bootstrap draw: its rows, and which of the drawn each belongs to.

    A customer drawn twice is two of the drawn: they never lend each other their own numbers.
    """

    rows: Rows
    member: Rows
    customers: Rows


def draw_customers(
    customer: Rows, y: NDArray[np.int64], rng: np.random.Generator
) -> tuple[list[Draw], list[str]]:
    """Draw customers, and keep the draws that hold both classes."""
    order = np.argsort(customer, kind="stable")
    unique, start = np.unique(customer[order], return_index=True)
    start = np.append(start, len(customer))
    draws: list[Draw] = []
    tries = 0
    while len(draws) < REFITS and tries < TRIES * REFITS and len(unique):
        tries += 1
        drawn = rng.integers(0, len(unique), len(unique))
        sizes = start[drawn + 1] - start[drawn]
        last = max(1, int(np.searchsorted(np.cumsum(sizes), ROWS, side="right")))
        drawn, sizes = drawn[:last], sizes[:last]
        taken = np.concatenate([order[start[c] : start[c + 1]] for c in drawn])
        if 0 < y[taken].sum() < len(taken):
            draws.append(Draw(taken, np.repeat(np.arange(last), sizes), unique[drawn]))
    notes = []
    if len(draws) < tries:
        notes.append(f"{tries - len(draws)} of {tries} draws held one class only and were left.")
    if len(draws) < REFITS:
        notes.append(f"Bands and floors rest on {len(draws)} refits, not {REFITS}.")
    return draws, notes


def exchange(draw: Draw, cutoff: Rows, who: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Give every drawn row another's place within its cutoff, and each customer of today another's.

    The drawn stand in one random circle, and each takes from the next who has a row at that cutoff:
    mostly the same other one throughout. By experience that lasts, trees learn customers by heart;
    a copy shuffled anew at every cutoff cannot be learnt so, and its floor is too low
    (docs/decisions/0014).

    Parameters
    ----------
    draw : Draw
    cutoff : ndarray
        Of every drawn row.
    who : ndarray
        The explained customers, as in `draw.customers`.

    Returns
    -------
    ndarray, ndarray
        For each drawn row, and each explained customer, the number of the one it takes from.
    """
    place = rng.random(len(draw.customers))
    first = dict(zip(draw.customers[::-1].tolist(), place[::-1].tolist(), strict=True))
    here = np.array([first.get(int(c), rng.random()) for c in who])
    return _next(cutoff, place[draw.member]), _next(np.zeros(len(here), dtype=np.intp), here)


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
