"""Surveys: whom the company asks, who answers, and with which score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from tenure.simulate.draws import Draws, Flags, Floats, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, HOUR, WEEK

__all__ = ["KINDS", "SCALES", "Asked", "ask", "likelihood", "relational", "respond"]

KINDS = ("nps", "csat", "ces", "review")
NPS, CSAT, CES, REVIEW = range(4)
SCALES = ((0, 10), (1, 5), (1, 7), (1, 5))
_MIDDLE = np.array([8.3, 4.2, 5.6, 4.4])
_SLOPE = np.array([1.5, 0.6, 0.9, 0.6])
_SPREAD = np.array([1.7, 0.9, 1.2, 0.8])
_UNTIMELY = np.array([-1.0, 0.0, 0.0, -1.3])  # asked before the parcel came
_OFTEN = np.array([-0.7, -0.4, -0.5, -0.9])  # log-odds of an answer at satisfaction 0
_LOW, _HIGH = (np.array(ends, dtype=float) for ends in zip(*SCALES, strict=True))


@dataclass(frozen=True)
class Asked:
    """The surveys of a week.

    Attributes
    ----------
    who, kind, code : array of int
        Customer, number in `KINDS`, and what tells surveys of a week apart.
    sent : array of int
        Seconds since the start.
    order, ticket : array of int
        Code of the order or ticket they concern, or -1.
    untimely : array of bool
        Sent while the parcel was still under way.
    """

    who: Ints
    kind: Ints
    code: Ints
    sent: Ints
    order: Ints
    ticket: Ints
    untimely: Flags


def relational(draws: Draws, week: int, here: Flags) -> tuple[Ints, Ints]:
    """Choose the customers asked for NPS: each has one week in 13, and is asked every other time.

    Parameters
    ----------
    here : array of bool
        Who is on the list, by what the company can see.

    Returns
    -------
    tuple of array
        Customers, and their kind of survey.
    """
    turn = np.floor(13 * draws.uniform(-1, "nps turn")) == week % 13
    who = np.flatnonzero(turn & here & (draws.uniform(week, "nps") < 0.5))
    return who, np.full(len(who), NPS)


def ask(
    draws: Draws, week: int, who: Ints, kind: Ints, order: Ints, ticket: Ints, arrives: Ints
) -> Asked:
    """Send the surveys of a week, early in it, so that answers come within it.

    Parameters
    ----------
    arrives : array of int
        When the parcel in question comes, `NEVER` where there is none.
    """
    code = np.where(ticket >= 0, 2 * ticket + 1, np.where(order >= 0, 2 * order, 0))
    day = np.floor(3 * draws.uniform(week, "survey day", who, code))
    hour = 9 + 8 * draws.uniform(week, "survey hour", who, code)
    sent = (week * WEEK + day * DAY + hour * HOUR).astype(np.int64)
    return Asked(who, kind, code, sent, order, ticket, (arrives > sent) & (arrives != NEVER))


def response(asked: Asked, satisfaction: Floats, slope: float) -> Floats:
    """Return the chance of an answer, while a customer; `satisfaction` may have nodes as columns.

    Returns
    -------
    array, shape of `satisfaction`
    """
    often = _OFTEN[asked.kind].reshape(-1, *(1,) * (satisfaction.ndim - 1))
    return np.asarray(expit(often + slope * satisfaction))


def _means(asked: Asked, satisfaction: Floats) -> Floats:
    shape = (-1, *(1,) * (satisfaction.ndim - 1))
    middle = _MIDDLE[asked.kind] + _UNTIMELY[asked.kind] * asked.untimely
    return np.asarray(middle.reshape(shape) + _SLOPE[asked.kind].reshape(shape) * satisfaction)


def respond(
    draws: Draws, week: int, asked: Asked, satisfaction: Floats, slope: float, share: Floats
) -> dict[str, Ints]:
    """Draw answers and scores.

    Parameters
    ----------
    satisfaction : array, shape (surveys,)
        At the time of asking.
    slope : float
        How response depends on it.
    share : array, shape (surveys,)
        Multiplies the chance: less than 1 for those who have left.

    Returns
    -------
    dict
        `answered_at` and `replied_at` in seconds since the start or `NEVER`, and `score` (0 where
        nobody answered).
    """
    who, code = asked.who, asked.code
    chance = share * response(asked, satisfaction, slope)
    answers = draws.uniform(week, "answers", who, code) < chance
    noise = _SPREAD[asked.kind] * draws.normal(week, "score", who, code)
    score = np.round(_means(asked, satisfaction) + noise)
    score = np.clip(score, _LOW[asked.kind], _HIGH[asked.kind])
    answered = asked.sent + (0.5 + 90 * draws.uniform(week, "answer hour", who, code) ** 2) * HOUR
    low = answers & (score <= (_LOW + _HIGH)[asked.kind] / 2)
    replies = low & (draws.uniform(week, "replies to answer", who, code) < 0.5)
    replied = answered + (0.2 + 6 * draws.uniform(week, "reply day", who, code)) * DAY
    return {
        "answered_at": np.where(answers, answered, NEVER).astype(np.int64),
        "replied_at": np.where(replies, replied, NEVER).astype(np.int64),
        "score": np.where(answers, score, 0).astype(np.int64),
    }


def likelihood(
    asked: Asked, answers: dict[str, Ints], satisfaction: Floats, slope: float, share: float
) -> Floats:
    """Return the chance of what came back, given each level of satisfaction.

    Parameters
    ----------
    satisfaction : array, shape (surveys, nodes)
    slope, share : float
        As in `respond`.

    Returns
    -------
    array, shape (surveys, nodes)
    """
    chance = share * response(asked, satisfaction, slope)
    spread = _SPREAD[asked.kind][:, None]
    score = answers["score"][:, None]
    means = _means(asked, satisfaction)
    upper = np.where(score == _HIGH[asked.kind][:, None], np.inf, score + 0.5 - means)
    lower = np.where(score == _LOW[asked.kind][:, None], -np.inf, score - 0.5 - means)
    scored = ndtr(upper / spread) - ndtr(lower / spread)
    answered = (answers["answered_at"] != NEVER)[:, None]
    return np.asarray(np.where(answered, chance * np.maximum(scored, 1e-12), 1 - chance))
