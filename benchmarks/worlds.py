"""Customers who live by known parameters: their history until a cutoff, and what came after."""

from __future__ import annotations

import numpy as np
import pandas as pd

TIMING = {
    "bg_nbd": {"r": 0.25, "alpha": 31.0, "a": 0.8, "b": 2.5},
    "mbg_nbd": {"r": 0.5, "alpha": 44.0, "a": 1.0, "b": 2.4},
    "pareto_nbd": {"r": 0.5, "alpha": 70.0, "s": 0.7, "beta": 190.0},
}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}  # of CDNOW


def live(family: str, n: int, days: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Draw n customers who came 30 to 730 days before the cutoff, uniformly.

    Returns their history (`frequency`, `recency`, `T`, `monetary_value`, in days on which they
    bought), and the purchase days and the money of the `days` after the cutoff.
    """
    rng, given = np.random.default_rng(seed), TIMING[family]
    age = rng.integers(30, 731, n).astype(float)
    rate = rng.gamma(given["r"], 1 / given["alpha"], n)
    end, leave = np.full(n, np.inf), np.zeros(n)
    if family == "pareto_nbd":
        end = rng.exponential(1 / rng.gamma(given["s"], 1 / given["beta"], n))
    else:
        leave = rng.beta(given["a"], given["b"], n)
    nu = rng.gamma(SPEND["q"], 1 / SPEND["v"], n)
    now, day, last, x, later, spent, comes = np.zeros((7, n))
    here = np.arange(n)
    if family == "mbg_nbd":
        here = here[rng.random(n) >= leave]
    while len(here):
        now[here] += rng.exponential(1 / rate[here])
        here = here[now[here] < np.minimum(end, age + days)[here]]
        today = np.ceil(now[here])
        new = here[today > day[here]]  # a second purchase of one day is the same purchase day
        day[here] = today
        amount, past = rng.gamma(SPEND["p"], 1 / nu[new]), day[new] <= age[new]
        x[new] += past
        last[new] = np.where(past, day[new], last[new])
        spent[new] += past * amount
        later[new] += ~past
        comes[new] += ~past * amount
        here = here[rng.random(len(here)) >= leave[here]]
    mean = np.divide(spent, x, out=np.full(n, np.nan), where=x > 0)
    rfm = pd.DataFrame({"frequency": x, "recency": last, "T": age, "monetary_value": mean})
    return rfm, later, comes
