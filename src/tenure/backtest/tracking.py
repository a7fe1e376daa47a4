"""What a purchase model says week by week, by frequency and of being alive, beside what happened.

Every picture is made of sums over customers, of a grid, or of an invented customer: nobody is in
it who could be told from the others.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tenure.evaluation.tracking import by_frequency, by_week, week_edges
from tenure.models.btyd import Array, BuyTillYouDie, p_alive
from tenure.models.futures import RFM
from tenure.models.purchases import expected_purchases, purchases_by_step

__all__ = ["alive_history", "alive_map", "bought_since_first", "pictures", "tracking", "typical"]

MAP_ROWS, MAP_COLUMNS = 8, 9
LONGEST_PAUSE = 20  # usual gaps


def pictures(
    model: BuyTillYouDie,
    rfm: pd.DataFrame,
    daily: pd.DataFrame,
    origin: dt.date,
    horizon_days: int,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute what the charts of a value holdout show.

    Parameters
    ----------
    model : BuyTillYouDie
        Fitted to `rfm`.
    rfm : DataFrame
        Everybody at the origin: `frequency`, `recency`, `T`, and `purchase_days_after`.
    daily : DataFrame
        From `labels.daily_purchases`.
    origin : date
    horizon_days : int
        Length of the holdout.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        `tracking`, `conditional_expectation`, `alive_map` and, where anybody bought twice,
        `alive_history`; each says of how many customers and from when it is.
    """
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in RFM)
    about = {"customers": len(rfm), "origin": str(origin), "horizon_days": horizon_days}
    said = expected_purchases(model, x, t_x, T, horizon_days)
    here = daily[daily["cutoff"] == pd.Timestamp(origin)]
    found = {
        "tracking": {**about, **tracking(model, rfm, here, origin, horizon_days)},
        "conditional_expectation": {
            **about,
            "groups": by_frequency(x, said, rfm["purchase_days_after"], seed=seed),
        },
        "alive_map": {**about, **alive_map(model, _usual_frequencies(x), float(np.median(T)))},
    }
    if (x > 0).any():
        days, until = typical(model, x, t_x)
        p = alive_history(model, days, until).round(4)
        found["alive_history"] = {**about, "purchase_days": days, "p_alive": p.tolist()}
    return found


def bought_since_first(model: BuyTillYouDie, t: npt.ArrayLike) -> Array:
    """Return E[X(t)], the repeat purchases of anybody within `t` of the first purchase.

    Equation 9 of the paper for BG/NBD, Wagner & Hoppe's for MBG/NBD: what is expected of a
    customer who has just come.

    Parameters
    ----------
    model : BuyTillYouDie
    t : array_like
        Days since the first purchase.
    """
    return expected_purchases(model, 0, 0, 0, t)


def tracking(
    model: BuyTillYouDie, rfm: pd.DataFrame, daily: pd.DataFrame, origin: dt.date, days: int
) -> dict[str, Any]:
    """Lay out purchases by week: before the origin by E[X(t)], after it given each history.

    Parameters
    ----------
    model : BuyTillYouDie
    rfm : DataFrame
        `frequency`, `recency`, `T` of everybody at the origin.
    daily : DataFrame
        `day` from the origin and `purchases`, of the same customers.
    origin : date
    days : int
        Length of the holdout.

    Returns
    -------
    dict
        `before` and `after`, weeks as from `by_week`, which meet at the origin.
    """
    x, t_x, T = (rfm[c].to_numpy(dtype=np.float64) for c in RFM)
    past = -week_edges(int(T.max()) + 1)[::-1]  # a first purchase was T + 1 days ago
    ahead = week_edges(days)
    # given alive, recency says nothing more: a large log has few distinct (frequency, T)
    alive = pd.Series(p_alive(model, x, t_x, T)).groupby([x, T]).sum()
    x, T = (alive.index.get_level_values(k).to_numpy() for k in (0, 1))
    to_come = alive.to_numpy() @ purchases_by_step(model, x, T, ahead)
    return {
        "before": by_week(origin, past, _before(model, rfm["T"], past), _sums(daily, past)),
        "after": by_week(origin, ahead, to_come, _sums(daily, ahead)),
    }


def _before(model: BuyTillYouDie, T: pd.Series, edges: npt.NDArray[np.int64]) -> Array:
    """Expect repeat purchases between past edges, customers by their first purchase day."""
    age, customers = np.unique(T.to_numpy(dtype=np.int64), return_counts=True)
    curve = bought_since_first(model, np.arange(age.max() + 1))
    # at the end of the day before edge e, whose age at the origin is T is e + T days old
    by_edge = curve[np.maximum(edges[:, None] + age, 0)] @ customers
    return np.diff(by_edge)


def _sums(daily: pd.DataFrame, edges: npt.NDArray[np.int64]) -> Array:
    """Add up purchases between the edges."""
    purchases = daily["purchases"].to_numpy(dtype=np.float64)
    sums: Array = np.histogram(daily["day"], edges - 0.5, weights=purchases)[0]
    return sums


def _usual_frequencies(frequency: Array) -> list[int]:
    """Choose rows from one repeat purchase up to what one in twenty repeat buyers exceeds."""
    again = frequency[frequency > 0]
    most = float(np.quantile(again, 0.95)) if len(again) else 0.0
    if most <= MAP_ROWS:
        return list(range(1, MAP_ROWS + 1))
    rows: list[int] = np.unique(np.geomspace(1, most, MAP_ROWS).round().astype(int)).tolist()
    return rows


def alive_map(model: BuyTillYouDie, frequencies: Sequence[int], age_days: float) -> dict[str, Any]:
    """Compute P(alive) by repeat purchases and days since the last one, at one age.

    Parameters
    ----------
    model : BuyTillYouDie
    frequencies : sequence of int
        Repeat purchases, at least 1: a row each.
    age_days : float
        Days since the first purchase.

    Returns
    -------
    dict
        `age_days`, `frequency`, `days_since` and `p_alive`, a row a frequency and a column a number
        of days; None where so many purchases do not fit into so few days. `once` is P(alive) of who
        bought only once, all those days ago.
    """
    age = max(int(age_days), 1)
    since = np.unique(np.linspace(0, age, MAP_COLUMNS + 1).astype(int)[:-1])
    x, days = (g.ravel() for g in np.meshgrid(frequencies, since, indexing="ij"))
    fits = age - days >= x
    p = p_alive(model, x, np.where(fits, age - days, age), age)
    cells = [float(v) if ok else None for v, ok in zip(p, fits, strict=True)]
    width = len(since)
    return {
        "age_days": age,
        "frequency": list(frequencies),
        "days_since": since.tolist(),
        "p_alive": [cells[k : k + width] for k in range(0, len(cells), width)],
        "once": float(p_alive(model, 0, 0, age)[0]),
    }


def alive_history(model: BuyTillYouDie, purchase_days: Sequence[int], until: int) -> Array:
    """Follow one customer's P(alive) day by day.

    Parameters
    ----------
    model : BuyTillYouDie
    purchase_days : sequence of int
        Days with a purchase, the first of them counted as any other.
    until : int
        The last day to tell of.

    Returns
    -------
    ndarray
        P(alive) at the end of each day from the first purchase to `until`, inclusive.

    Raises
    ------
    ValueError
        If there is no purchase, or one after `until`.
    """
    bought = np.unique(np.asarray(purchase_days, dtype=np.int64))
    if not len(bought) or bought[-1] > until:
        raise ValueError(
            f"alive_history: needs purchases up to day {until}, got {bought.tolist() or 'none'}"
        )
    day = np.arange(bought[0], until + 1)
    x = np.searchsorted(bought, day, side="right") - 1
    return p_alive(model, x, bought[x] - bought[0], day - bought[0])


def typical(model: BuyTillYouDie, frequency: Array, recency: Array) -> tuple[list[int], int]:
    """Invent a customer: the usual gap three times, a silence that makes one doubt, one more.

    Parameters
    ----------
    model : BuyTillYouDie
    frequency, recency : ndarray
        Of everybody; the usual gap is the median of recency / frequency of who bought again.

    Returns
    -------
    (list of int, int)
        Purchase days, and the last day to tell of. Before the last purchase the customer is silent
        until being alive is as likely as not, for 3 to 20 gaps; after it, twice as long.
    """
    again = frequency > 0
    gap = max(1, round(float(np.median(recency[again] / frequency[again]))))
    silence = np.arange(3 * gap, LONGEST_PAUSE * gap + 1)
    doubted = p_alive(model, 3, 3 * gap, 3 * gap + silence) <= 0.5
    pause = int(silence[np.argmax(doubted)] if doubted.any() else silence[-1])
    last = 3 * gap + pause
    return [0, gap, 2 * gap, 3 * gap, last], last + 2 * pause
