"""How often what came lies within the 90 % intervals, in worlds whose truth is known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from benchmarks import worlds
from tenure.evaluation.clv import coverage
from tenure.models.clv import fit_purchases, fit_spend
from tenure.models.futures import totals
from tenure.models.predictive import laws

CUSTOMERS, DAYS, FUTURES = 400, 180, 400
PAIRS = (  # who lived, who says
    ("bg_nbd", "bg_nbd"),
    ("mbg_nbd", "mbg_nbd"),
    ("pareto_nbd", "pareto_nbd"),
    ("bg_nbd", "mbg_nbd"),
    ("pareto_nbd", "mbg_nbd"),
)


def study(count: int) -> None:
    """Print the shares of customers and of totals within their intervals."""
    started = time.perf_counter()
    print(f"\n{count} worlds a line of {CUSTOMERS} customers, {DAYS} days ahead, parameters fitted")
    print(f"{'truth':12s}{'fitted':12s}{'customers: purchases':>24s}{'money':>18s}"
          f"{'totals: purchases':>20s}{'money':>8s}")  # fmt: skip
    with ProcessPoolExecutor(initializer=_alone) as pool:
        for pair in PAIRS:
            tasks = [(*pair, seed) for seed in range(count)]
            found = np.array(list(pool.map(_world, tasks, chunksize=5)))
            within = (f"{share.mean():.3f} ({_middle(share)})" for share in found.T[:2])
            inside = (f"{share.mean():.3f}" for share in found.T[2:])
            cells = zip((24, 18, 20, 8), (*within, *inside), strict=True)
            print(f"{pair[0]:12s}{pair[1]:12s}" + "".join(f"{c:>{w}s}" for w, c in cells))
    error = np.sqrt(0.09 / count)
    print(f"in brackets nine worlds in ten; a share of totals has a standard error of {error:.3f}; "
          f"{time.perf_counter() - started:.0f} s")  # fmt: skip


def _alone() -> None:
    os.nice(5)


def _middle(shares: np.ndarray) -> str:
    return "{:.2f}-{:.2f}".format(*np.quantile(shares, [0.05, 0.95]))


def _world(task: tuple[str, str, int]) -> list[float]:
    """Share of customers within their interval, by randomised PIT; whether the totals were."""
    truth, family, seed = task
    rfm, later, comes = worlds.live(truth, CUSTOMERS, DAYS, 1000 + seed)
    model = fit_purchases(rfm, family)
    spend = fit_spend(rfm["frequency"], rfm["monetary_value"])
    sides = np.empty((4, len(rfm)))
    for law in laws(model, spend, rfm, DAYS):
        sides[:2, law.rows] = law.purchases_until(later[law.rows])
        sides[2:, law.rows] = law.money_until(comes[law.rows])
    drawn = totals(model, spend, rfm, DAYS, draws=FUTURES, seed=seed)
    return [*_customers(sides), *_totals(drawn, (later.sum(), comes.sum()))]


def _customers(sides: np.ndarray) -> Iterator[float]:
    for below, until in (sides[:2], sides[2:]):
        yield coverage(below, until, draws=0)["value"]


def _totals(drawn: tuple[np.ndarray, ...], actual: tuple[float, float]) -> Iterator[bool]:
    for futures, came in zip(drawn, actual, strict=True):
        low, high = np.quantile(futures, [0.05, 0.95])
        yield low <= came <= high
