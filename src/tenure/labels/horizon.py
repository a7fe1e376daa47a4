"""How long a silence must last to mean something: `horizon_days: auto`, and `init`'s proposal."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenure.config import Config
from tenure.contract import TABLES
from tenure.cutoffs import MOST_TESTS, plan
from tenure.errors import DataError
from tenure.snapshot import bought, final, versions
from tenure.sources import Sources

__all__ = ["Purchases", "choose", "purchases", "settled", "usual_gap"]

USUAL = 90  # days, where nobody bought twice
FEW = 50  # gaps that are few to tell by
_WEEK = 7
_SHARE = 0.9
_EPOCH = dt.date(1970, 1, 1).toordinal()

Days = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Purchases:
    """Purchase days, one row a customer and day, in the order of both.

    Parameters
    ----------
    who, day : ndarray of int, shape (n,)
        Number of the customer, and days since 1970.
    first, until : int
        Day of the first purchase, and the day whose midnight ends observation.
    """

    who: Days
    day: Days
    first: int
    until: int

    @property
    def per_customer(self) -> Days:
        """Purchase days of each customer."""
        counts: Days = np.unique(self.who, return_counts=True)[1]
        return counts

    def before(self, until: int) -> Purchases:
        """Return what had been seen by an earlier midnight."""
        seen = self.day < until
        return Purchases(self.who[seen], self.day[seen], self.first, until)


def purchases(sources: Sources) -> Purchases | None:
    """Return the purchase days of `transactions`, or None where there are none."""
    if "transactions" not in sources.tables:
        return None
    t = final(versions(sources.tables["transactions"], TABLES["transactions"]))
    rows = t.filter(bought(t)).select("customer_id", "day").distinct()
    found = sources.con.to_pyarrow(rows.order_by("customer_id", "day"))
    if not found.num_rows:
        return None
    who = np.unique(
        found["customer_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True
    )[1]
    day = found["day"].to_numpy().astype("datetime64[D]").astype(np.int64)
    until = int(day.max()) + 1
    if sources.observed_until > dt.date.min:
        until = sources.observed_until.toordinal() - _EPOCH
    return Purchases(who.astype(np.int64), day, int(day.min()), until)


def usual_gap(p: Purchases) -> tuple[int | None, int]:
    """Return the pause within which nine in ten of those come back who ever do.

    The smallest t with F(t) >= .9 F(last gap); F = 1 - S, S the Kaplan-Meier curve (Kaplan and
    Meier 1958, eq. 2b) of the days between a customer's purchase days. The open last gap is
    censored: it is at risk at every t up to the last day that was seen whole.

    Returns
    -------
    (int or None, int)
        Days, None where nobody bought twice; and how many gaps ended.
    """
    same = p.who[1:] == p.who[:-1]
    gaps = np.diff(p.day)[same]
    if not len(gaps):
        return None, 0
    still_open = np.maximum(p.until - 1 - p.day[np.append(~same, True)], 0)
    longest = int(gaps.max())
    ended = np.bincount(gaps, minlength=longest + 1)
    waiting = np.bincount(np.minimum(still_open, longest), minlength=longest + 1)
    at_risk = np.cumsum((ended + waiting)[::-1])[::-1]
    returned = 1 - np.cumprod(1 - ended / np.maximum(at_risk, 1))
    return int(np.argmax(returned >= _SHARE * returned[-1] - 1e-12)), len(gaps)


def choose(p: Purchases, config: Config) -> tuple[int, str]:
    """Choose how long a silence means that a customer has left.

    The usual gap, rounded up to 7 days, on the purchases before the earliest test cutoff; at most
    a third of the log, since cutoffs need room. That cutoff depends on the horizon in turn: the
    longer, the earlier. So horizons are tried from the longest down, in weeks, and the first that
    its own data confirm is taken. Where the answers jump over the horizon tried (few customers),
    the last one before the jump stays. Either way all that was looked at lies before the earliest
    test cutoff of the horizon taken.

    Parameters
    ----------
    p : Purchases
        Of the whole log.
    config : Config
        Its `cutoffs` and the rest of its `churn`.

    Returns
    -------
    (int, str)
        Days, and a sentence that says why.
    """
    longest = _longest(p, config)
    last = longest, ""
    for tried in range(longest, 0, -_WEEK):
        answer = _answer(p.before(_earliest_test(p, config, tried)), longest)
        if answer[0] >= tried:
            return answer if answer[0] == tried else last
        last = answer
    return last


def settled(config: Config, sources: Sources) -> tuple[Config, tuple[str, ...]]:
    """Put the days that the data choose in the place of `horizon_days: auto`.

    Returns
    -------
    (Config, tuple of str)
        The config to go on with; and why, in one sentence, where the data chose.
    """
    if not config.churn.is_auto:
        return config, ()
    bought_on = purchases(sources)
    days, why = (USUAL, _nobody(USUAL)) if bought_on is None else choose(bought_on, config)
    return config.asking(horizon_days=days), (f"churn.horizon_days: auto is {why}",)


def _longest(p: Purchases, config: Config) -> int:
    """Return the longest horizon that leaves room for cutoffs, in whole weeks."""
    most = (p.until - p.first) // 3
    if config.cutoffs.last != "latest":
        room = p.until - (config.cutoffs.last.toordinal() - _EPOCH) - config.churn.gap_days
        most = min(most, room)
    return max(most // _WEEK * _WEEK, _WEEK)


def _earliest_test(p: Purchases, config: Config, horizon_days: int) -> int:
    first, until = (dt.date.fromordinal(day + _EPOCH) for day in (p.first, p.until))
    try:
        days = plan(config.asking(horizon_days=horizon_days), first, until)
    except DataError:  # no cutoff fits, so there is no test to keep apart; planning says so
        return p.until
    return days[-MOST_TESTS:][0].toordinal() - _EPOCH


def _answer(p: Purchases, longest: int) -> tuple[int, str]:
    usual, n = usual_gap(p)
    if usual is None:
        days = min(USUAL, longest)
        return days, _nobody(days)
    days = -(-usual // _WEEK) * _WEEK
    few = f" ({n:,} returns are few to tell by)" if n < FEW else ""
    why = f"{_SHARE:.0%} of those who come back do so within {usual:,} days of their last purchase"
    why += few
    if days > longest:
        return longest, f"{longest} days: {why}, but the log leaves room for no more."
    return days, f"{days} days: {why}, so a longer silence is no usual pause."


def _nobody(days: int) -> str:
    return f"{days} days, the default: nobody here bought twice, so no usual gap is known."
