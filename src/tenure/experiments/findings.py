"""All that randomised tests say, as plain values for `drivers.json`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import pandas as pd
from numpy.typing import ArrayLike

from tenure.config import Config
from tenure.experiments.balance import balance
from tenure.experiments.effect import counts, difference, effect, enough
from tenure.experiments.learning import cross_fitted
from tenure.experiments.rows import Array, Trial, contacts, features, trial
from tenure.experiments.sample_size import LEVEL, detectable, sample_size
from tenure.experiments.uplift import enough_leavers, uplift
from tenure.features.attributes import columns_of
from tenure.features.schema import Schema

__all__ = ["PROVEN", "experiments", "found"]

PROVEN = "proven by a test"
ASSOCIATED = "goes together"
WEAK = "too weak to say"
UNIT = "points of the leaving rate (1 point = 0.01); below 0, contacting makes fewer leave"


def experiments(
    tables: Mapping[str, ir.Table],
    schema: Schema,
    first: dt.date | None,
    until: dt.date | None,
    config: Config,
    probabilities: ArrayLike,
    worth: float | None = None,
) -> dict[str, Any]:
    """Read the randomised tests of `treatments`, or say how large one must be.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    schema : Schema
        The features.
    first, until : date or None
        Where the label's log begins, and the end of observation.
    config : Config
        The question, the campaign's costs and the rhythm.
    probabilities : array-like
        Chance of leaving of the customers scored today: whom a new test would ask.
    worth : float, optional
        Money that a customer kept is worth: the mean V_A − V_0 of those who may be contacted.

    Returns
    -------
    dict
        `how_sure` of the factor `contact` (None without a test), `effect`, `tests`, `balance`,
        `uplift`, `sample_size`, `says` (sentences) and `notes` (what was left out).
    """
    zone, churn = config.zone, config.churn
    part = contacts(tables, first, until, zone, churn)
    names = [c.name for c in columns_of(schema)]
    matrix = pd.DataFrame() if part.frame.empty else features(tables, part, schema, zone, churn)
    rows = trial(tables, part, matrix, names, zone, churn)
    told: dict[str, Any] = {"unit": UNIT, "question": _question(config)}
    told |= found(rows, config, worth)
    told["sample_size"] = sample_size(probabilities, config)
    if told["sample_size"] is not None and told["how_sure"] != PROVEN:
        told["says"].append(told["sample_size"]["says"])
    return told


def found(rows: Trial, config: Config, worth: float | None = None) -> dict[str, Any]:
    """Say of the rows of all tests what a contact did, how sure that is, and to whom."""
    told: dict[str, Any] = {
        "how_sure": None, "effect": None, "tests": [], "balance": None, "uplift": None,
        "says": [], "notes": list(rows.notes),
    }  # fmt: skip
    if not len(rows):
        return told | {"says": ["Nothing was tested: no customers were drawn to be held out."]}
    learnt = cross_fitted(rows) if enough_leavers(rows) else None
    expected = None if learnt is None else learnt.expected
    told["effect"] = effect(rows, expected)
    told["balance"] = balance(rows, expected)
    told["tests"] = [_one(rows, expected, number) for number in range(len(rows.tests))]
    told["how_sure"] = _how_sure(rows, told)
    told["says"] = [_says(told)]
    if learnt is not None and told["balance"]["holds"]:
        told["uplift"] = uplift(rows, learnt, config, worth)
        told["says"].append(told["uplift"]["says"])
    elif learnt is None:
        told["notes"].append("Too few left in an arm to learn who is persuadable.")
    return told


def _question(config: Config) -> str:
    days = config.churn.horizon_days if config.churn.kind != "label" else None
    return "leaving" if days is None else f"leaving within {days} days of the test's day"


def _one(rows: Trial, expected: Array | None, number: int) -> dict[str, Any]:
    """Return one test: its campaign and day, its arms, what it found and could have found."""
    some = rows.test == number
    here = rows.take(some)
    fair = balance(here, None if expected is None else expected[some])
    named = rows.tests.iloc[number]
    size = counts(here)
    least = detectable(size["leaving_rate_held_out"], size["contacted"], size["held_out"])
    return {
        "campaign": str(named["campaign"]), "day": str(pd.Timestamp(named["day"]).date()), **size,
        "effect": difference(here.left, here.treated, here.test, here.customer),
        "detectable_points": None if least is None else 100 * least,
        "balance_p_value": fair["p_value"],
    }  # fmt: skip


def _how_sure(rows: Trial, told: dict[str, Any]) -> str:
    """Return proven only where the lot was fair and a chance finding is rarer than 1 in 20.

    Decided by the adjusted effect where there is one: fixed before looking, since it is the
    narrower of two estimates of the same number.
    """
    p = _decisive(told["effect"])["p_value"]
    if p is None or p >= LEVEL or not enough(rows):
        return WEAK
    return PROVEN if told["balance"]["holds"] else ASSOCIATED


def _decisive(effect: dict[str, Any]) -> dict[str, Any]:
    return effect["adjusted"] or effect


def _says(told: dict[str, Any]) -> str:
    """Say what contacting did, and how sure that is."""
    effect, n = told["effect"], len(told["tests"])
    decisive = _decisive(effect)
    tests = "1 randomised test" if n == 1 else f"{n} randomised tests"
    size = f"{effect['contacted']:,} contacted, {effect['held_out']:,} held out"
    points = f"{decisive['value']:+.1f} points [{decisive['lower']:+.1f}, {decisive['upper']:+.1f}]"
    if not told["balance"]["holds"]:
        worst = told["balance"]["largest"][0]
        return (
            f"The arms of the {tests} do not look drawn by lot (p = "
            f"{told['balance']['p_value']:.1g}; {worst['feature']} differs by "
            f"{abs(worst['difference']):.2f} standard deviations): {points} is no proof."
        )
    if told["how_sure"] == PROVEN:
        verb = "keeps customers" if decisive["value"] < 0 else "drives customers away"
        said = f"Contacting {verb}: {points} of leaving in {tests} ({size})."
        least = decisive["detectable_points"]
        if abs(decisive["value"]) < least:
            near = min(decisive["lower"], decisive["upper"], key=abs)
            said += (
                f" Tests of this size find {least:.1f} points 4 times in 5; a smaller effect that "
                f"is found looks larger than it is (Gelman and Carlin 2014): plan with {near:+.1f}."
            )
        return said
    return f"Whether contacting keeps customers is not proven: {points} in {tests} ({size})."
