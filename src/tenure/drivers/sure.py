"""How sure: the one scale that readers see, and the answer to "how do you know?"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenure.effects.assess import Assessed
from tenure.explain.stability import Band

__all__ = ["HOLDS", "PROVEN", "SCALE", "TESTED", "TOGETHER", "WEAK", "how_sure", "verdict"]

PROVEN = "proven by a test"
HOLDS = "holds comparing like with like"
TOGETHER = "goes together"
WEAK = "too weak to say"
SCALE = (PROVEN, HOLDS, TOGETHER, WEAK)

TESTED = "contact"  # the factor that treatments are about: what we do, not what drives away
LEAST = 0.05  # points that read as 0.0 are no driver, however far above noise
SIGNAL = "A score is a signal to listen to, not a lever to pull."
Json = dict[str, Any]


def how_sure(
    role: str, points: float, band: Band | None, tried: Sequence[Assessed], test: Json | None
) -> tuple[str, list[str]]:
    """Say how sure a factor is, and how we know.

    Parameters
    ----------
    role : {"cause", "symptom", "circumstance"}
        What the factor is to the company.
    points : float
        Its `churn_points`.
    band : Band or None
        Its refit band and noise floor; None where nothing could be refitted.
    tried : sequence of Assessed
        Its levers.
    test : dict or None
        What randomised tests say, of the factor they are about.

    Returns
    -------
    str, list of str
        A word of `SCALE`, and sentences.
    """
    said = [_held(one) if one.holds else _not_held(one) for one in tried]
    said.append(_against_noise(points, band))
    if test is not None and test.get("how_sure") == PROVEN:
        return PROVEN, [*test["says"][:1], *said]
    if any(one.holds for one in tried):
        return HOLDS, said
    if role == "symptom":
        said.append(SIGNAL)
    told = band is not None and band.above_noise and points >= LEAST
    return (TOGETHER if told else WEAK), said


def _held(one: Assessed) -> str:
    each, whole, lever = one.each, one.all_of_them, one.lever
    if each is None or whole is None:
        return ""
    of = f"customers with {lever.opportunities}" if lever.opportunities else "customers"
    said = (
        f"Each {lever.one} adds {_points(each.value, *each.ends())} to the chance of leaving, "
        f"comparing {one.customers:,} customers who were alike before; all of them add "
        f"{_points(whole.value, *whole.ends())} among {of}. Checks passed: likes for "
        f"{100 * one.overlap.share:.0f} % of those who had one, and no effect of other people's "
        "experiences"
    )
    said += " or on the past." if "the_past" in one.placebos else "."
    if one.robustness is not None:
        said += (
            f" A trait we do not see would have to explain {100 * one.robustness:.0f} % of what is "
            "left open, both of the experience and of leaving, to make this nothing."
        )
    return said


def _not_held(one: Assessed) -> str:
    return f"{one.lever.many.capitalize()}, comparing like with like: {' '.join(one.why_not)}"


def _against_noise(points: float, band: Band | None) -> str:
    if band is None:
        return "The model could not be learnt anew, so noise cannot be told from signal."
    refits = f"{band.lower:.1f} to {band.upper:.1f} when the model is learnt anew"
    noise = f"columns that hold nothing reach {band.floor:.1f}"
    if band.above_noise:
        return f"Moves a customer by {points:.1f} points on average ({refits}); {noise}."
    return f"Its {points:.1f} points ({refits}) are not told from noise: {noise}."


def _points(value: float, low: float, high: float) -> str:
    return f"{value:.1f} points [{low:.1f}, {high:.1f}]"


def verdict(factors: Sequence[Json]) -> str:
    """Say in one sentence what drives customers away, or that nothing is told from noise."""
    lived = [f for f in factors if f["role"] != "circumstance" and f["factor"] != TESTED]
    sure = [f["factor"] for f in lived if f["actionable"]]
    if sure:
        verb = "drives" if len(sure) == 1 else "drive"
        return f"{_list(sure)} {verb} customers away: this {HOLDS}."
    loose = [f["factor"] for f in lived if f["how_sure"] == TOGETHER]
    if loose:
        return (
            f"{_list(loose)} only {'goes' if len(loose) == 1 else 'go'} together with leaving: "
            "no cause could be told apart, and no driver is sure."
        )
    if not lived:
        return "The data hold no experience: neither deliveries nor tickets nor scores."
    return "What customers experienced is not told from noise here: no driver is sure."


def _list(names: Sequence[str]) -> str:
    whole = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return whole[0].upper() + whole[1:]
