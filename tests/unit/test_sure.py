"""The one scale readers see: which evidence makes which word."""

import pytest

from tenure.drivers.sure import HOLDS, PROVEN, TOGETHER, WEAK, how_sure, verdict
from tenure.effects.adjusted import Estimate
from tenure.effects.assess import Assessed
from tenure.effects.checks import Overlap
from tenure.explain.stability import Band
from tenure.levers import LEVERS

ABOVE, BELOW = Band(2.0, 3.0, 4.0, 1.0), Band(0.5, 1.0, 2.0, 1.0)
TEST = {"how_sure": PROVEN, "says": ["Contacting keeps customers."]}


def tried(*doubts):
    one = Estimate(5.0, 1.0)
    return Assessed(
        LEVERS["late_delivery"], 900, 700, 0.3, one, one, Overlap(300, 400, 0.98),
        {"somebody_elses": Estimate(0.0, 1.0)}, 0.12, doubts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("role", "band", "levers", "test", "word"),
    [
        ("cause", ABOVE, [], None, TOGETHER),
        ("cause", BELOW, [], None, WEAK),
        ("cause", None, [], None, WEAK),
        ("cause", ABOVE, [tried("Too few.")], None, TOGETHER),
        ("cause", BELOW, [tried("Too few.")], None, WEAK),
        ("cause", ABOVE, [tried()], None, HOLDS),
        ("cause", BELOW, [tried()], None, HOLDS),  # a cause the model hardly needs is still one
        ("cause", ABOVE, [tried(), tried("Too few.")], None, HOLDS),
        ("cause", BELOW, [], TEST, PROVEN),
        ("cause", ABOVE, [], {"how_sure": WEAK, "says": ["Not proven."]}, TOGETHER),
        ("symptom", ABOVE, [], None, TOGETHER),
        ("circumstance", ABOVE, [], None, TOGETHER),
    ],
)
def test_the_word(role, band, levers, test, word):
    assert how_sure(role, 3.0, band, levers, test)[0] == word


def test_what_reads_as_nothing_is_too_weak():
    assert how_sure("cause", 0.04, Band(0.03, 0.04, 0.05, 0.01), [], None)[0] == WEAK


def test_how_we_know_gives_numbers_and_checks():
    _, said = how_sure("cause", 3.0, ABOVE, [tried()], None)
    assert "Each late delivery adds 5.0 points [3.4, 6.6]" in said[0]
    assert "likes for 98 %" in said[0]
    assert "12 %" in said[0]
    assert "on the past" not in said[0]  # it was not asked
    assert "columns that hold nothing reach 1.0" in said[1]


def test_a_score_is_a_signal():
    assert "signal to listen to" in how_sure("symptom", 3.0, ABOVE, [], None)[1][-1]


def factor(name, word, role="cause"):
    return {
        "factor": name, "how_sure": word, "role": role,
        "actionable": role == "cause" and word in (PROVEN, HOLDS),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("factors", "starts"),
    [
        ([], "The data hold no experience"),
        ([factor("engagement", TOGETHER, "circumstance")], "The data hold no experience"),
        ([factor("delivery", WEAK)], "What customers experienced is not told from noise"),
        ([factor("delivery", TOGETHER)], "Delivery only goes together"),
        (
            [factor("delivery", TOGETHER), factor("loyalty", TOGETHER, "symptom")],
            "Delivery and loyalty only go together",
        ),
        ([factor("delivery", HOLDS), factor("effort", TOGETHER)], "Delivery drives customers"),
        (
            [factor(n, HOLDS) for n in ("delivery", "effort", "billing")],
            "Delivery, effort and billing drive customers away",
        ),
        ([factor("contact", PROVEN), factor("delivery", WEAK)], "What customers experienced"),
    ],
)
def test_the_verdict(factors, starts):
    assert verdict(factors).startswith(starts)
