"""Why customers leave, goals, tests and what leavers say: told with how sure, and apart."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tenure.config import Config
from tenure.drivers.sure import SCALE
from tenure.report import page as page_module
from tenure.report import words
from tenure.report.driving import driving, effects, verdict
from tenure.report.goals import goals
from tenure.report.page import page
from tenure.report.voices import leavers, randomised

SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"
EMPTY = {
    "factors": [], "correlated": [], "interactions": [], "levers": [], "goals": [], "warnings": [],
    "refits": {}, "compared": None, "experiments": None, "leavers_say": None,
}  # fmt: skip


@pytest.fixture
def sample():
    return json.loads(SAMPLE.read_text())


@pytest.fixture
def drivers(sample):
    return sample["drivers"]


@pytest.fixture
def config():
    tables = {"tables": {"transactions": {"path": "x.csv"}}}
    return Config.model_validate({"project": "shop", "currency": "EUR", "data": tables})


@pytest.fixture
def written(sample, config, monkeypatch):
    """Return a function that writes the page of the sample without charts, and its plain text."""
    monkeypatch.setattr(page_module, "charts", lambda *_: {"everybody": [], "experts": []})
    scores = pd.DataFrame(
        {
            "customer_id": ["a", "b"], "status": "scored", "churn_probability": [0.3, 0.6],
            "risk_band": ["medium", "high"], "clv_365d": 100.0, "value_at_risk": 10.0,
            "expected_saved_value": 2.0, "reason_1": None, "reason_2": None, "reason_3": None,
        }
    )  # fmt: skip

    def write(drivers):
        return page(sample["metrics"], drivers, scores, config, (0.2, 0.5))

    return write


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).replace("&#39;", "'")


def section(html, name):
    start = html.index(f'<section id="{name}"')
    return text(html[start : html.index("</section>", start)])


def laid_out(drivers, scored=40):
    return driving(drivers, scored, ["1997-10-01", "1998-04-02"], "inactivity")


def test_the_section_opens_with_the_verdict_in_readers_words(written, drivers):
    said = section(written(drivers), "drivers")
    first = (
        "Why customers leave, and how sure we are How fast we answer drives customers away: this "
        "holds comparing like with like."
    )
    assert said.strip().startswith(first)


def test_causes_signals_and_circumstances_stand_apart(drivers):
    parts = {part["title"]: part["factors"] for part in laid_out(drivers)["parts"]}
    assert list(parts) == ["What we do", "Scores: signals to listen to", "Circumstances"]
    names = [[f["name"] for f in here] for here in parts.values()]
    # the sure ones by their points, then what is too weak
    assert names[0] == ["How fast we answer", "When and how we contact them", "Delivery"]
    assert names[1] == ["What they say of us"]
    assert names[2] == ["How often and how lately they buy", "How much they spend"]
    assert laid_out(drivers)["still"] == ["What they buy and send back"]


def test_a_factor_tells_size_noise_sureness_owner_and_whom(written, drivers):
    said = section(written(drivers), "drivers")
    assert (
        "How fast we answer 3.0 points holds comparing like with like 2.5 to 3.6 when learnt anew; "
        "noise reaches 0.7. Raises the chance of 12 customers (30 %) by a point or more. Owner: "
        "Support. To do: answer what is open today." in said
    )
    assert (
        "Comparing like with like: Each slow first response adds 8.3 points (likely range 6.6 to "
        "9.9); all of them, 2.2 points (likely range 1.8 to 2.6) among customers with tickets."
    ) in said
    assert "By a test: Contacting keeps customers: -2.6 points [-4.1, -1.1]" in said
    assert "late delivery adds" not in said  # it did not hold
    assert "To do: call about the late order" not in said


def test_bars_bands_and_floors_share_one_scale(drivers):
    longest = 9.0  # the upper end of engagement's band
    for part in laid_out(drivers)["parts"]:
        for f in part["factors"]:
            if f["name"] == "How fast we answer":
                assert f["width"] == f"{100 * 3.0 / longest:.1f}"
                assert f["band"] == (f"{100 * 2.5 / longest:.1f}", f"{100 * 1.1 / longest:.1f}")
                assert f["floor"] == f"{100 * 0.7 / longest:.1f}"
            if f["name"] == "How much they spend":
                assert f["band"] is None
                assert f["floor"] is None


def test_how_do_you_know_holds_the_sentences_and_the_curve(written, drivers):
    html = written(drivers)
    said = section(html, "drivers")
    assert html.count("<summary>How do you know?</summary>") == 6
    assert (
        "Leaving rate by longest wait for a first reply in the last 90 days: 1,010 past cases, as "
        "of dates from" in said
    )
    assert "more than 8 h 51.0 % 45.0 to 57.0 200 22" in said
    assert "none – 110 9" in said
    assert "comparing 670 customers who were alike before." in said


def test_pairs_are_named_for_readers(drivers):
    told = laid_out(drivers)
    assert told["together"] == [
        "“How fast we answer” and “How often and how lately they buy”: for 12 customers whom both "
        "drive off, they add 0.9 points more together than each alone.",
        "“How often and how lately they buy” and “What they say of us”: what one means depends on "
        "the other, in both ways.",
    ]
    assert told["entangled"] == [
        "“Delivery” and “What they say of us”: who fares badly in one mostly fares badly in the "
        "other (rank correlation 0.62), so how the points are shared is uncertain.",
        "“How often and how lately they buy” and “How much they spend” mostly push a customer "
        "opposite ways (rank correlation -0.70): read them together.",
    ]


def test_where_nothing_is_told_from_noise_no_driver_is_sure(written, drivers):
    drivers["verdict"] = (
        "What customers experienced is not told from noise here: no driver is sure."
    )
    for factor in drivers["factors"]:
        factor["how_sure"], factor["actionable"] = "too weak to say", False
    for one in drivers["levers"]:
        one["holds"] = False
    html = written(drivers)
    said = section(html, "drivers")
    assert drivers["verdict"] in said
    assert drivers["verdict"] in section(html, "verdict")
    assert 'class="sure certain"' not in html
    assert "Comparing like with like:" not in said
    assert "To do:" not in said


def test_a_goal_stands_beside_the_model_with_range_cost_and_date(written, drivers):
    said = section(written(drivers), "goals")
    assert "NPS up 10 Owner: Product. Not simulated. A score is a signal to listen to" in said
    assert "Points of leaving, of the 31 customers it could reach -1.8 -3.2 to -0.4 -1.6" in said
    assert "Customers kept 564 125 to 1,000 494" in said
    assert "Value kept 77,400 EUR 14,600 EUR to 140,000 EUR 66,600 EUR" in said
    assert "59 (likely range -10 to 128), tickets in 90 days: whether it saves any cannot" in said
    assert "It cannot be told: the cost lies within the likely range" in said
    assert "It costs 40,000 EUR. Break-even: 292 customers kept, each worth 137 EUR." in said
    assert "would cost 16,900 EUR (likely range 3,740 EUR to 30,100 EUR)" in said
    assert "leaving from 4 October 1998 to 2 January 1999, if the goal is met from 6 July" in said


def test_a_goal_whose_lever_does_not_hold_is_not_to_be_planned_with(drivers, config):
    refused, held, doubted = goals(drivers, config)
    assert refused["refused"].startswith("A score is a signal")
    assert held["doubt"] is None
    assert held["sure"] == "holds comparing like with like"
    assert doubted["doubt"] == "It seems to change the past as well."
    assert [row["model"] for row in doubted["rows"]] == ["–"] * 4
    assert doubted["rows"][-1]["value"] == "–"
    facts = dict(doubted["facts"])
    assert facts["Tickets saved"] == "There is no table of tickets."
    assert facts["Does it pay?"] == "No cost is stated in the config."
    assert "Replacing them instead" not in facts


@pytest.mark.parametrize(
    ("pays", "says"), [("yes", "Yes:"), ("no", "No:"), (None, "By this estimate nobody is kept.")]
)
def test_whether_a_goal_pays(pays, says, drivers, config):
    drivers["goals"][1]["money"]["pays"] = pays
    assert dict(goals(drivers, config)[1]["facts"])["Does it pay?"].startswith(says)


def test_value_declined_is_said_where_a_cost_asks_for_it(drivers, config):
    drivers["goals"][1]["adjusted"]["value_kept"] = None
    said = dict(goals(drivers, config)[1]["facts"])["Does it pay?"]
    assert said == "It costs 40,000\xa0EUR. Value is declined, so it cannot be held against it."


def test_tests_are_told_with_their_size(written, drivers):
    said = section(written(drivers), "tests")
    assert "Contacting keeps customers: -2.6 points [-4.1, -1.1]" in said
    assert "Who is persuadable cannot be told from these tests (skill at telling" in said
    assert "Qini" not in said
    assert (
        "care_call, 5 January 1998 400 28.0 % 410 31.0 % -2.6 (likely range -4.1 to -1.1)" in said
    )
    assert "15.0 (assumed in the config) 170 9 810" in said
    assert "60.0 – – –" in said
    assert said.count("Among all 40, of whom 50 % leave") == 1


def test_without_a_test_the_size_of_one_is_told(drivers):
    experiments = drivers["experiments"]
    nothing = "Nothing was tested: no customers were drawn to be held out."
    experiments |= {"tests": [], "uplift": None, "effect": None, "how_sure": None, "notes": []}
    experiments["says"] = [nothing, experiments["sample_size"]["says"]]
    told = randomised(experiments)
    assert told["says"] == [nothing, experiments["sample_size"]["says"]]
    assert told["rows"] == []
    experiments |= {"sample_size": None, "says": [nothing]}
    assert randomised(experiments)["says"] == [nothing]
    assert randomised(None) is None


def test_leavers_stand_beside_stayers_and_the_data(written, drivers):
    said = section(written(drivers), "leavers")
    assert "The data say: How fast we answer drives customers away" in said
    assert "330 past cases (120 customers) then left, 680 past cases (210 customers) stayed" in said
    assert "All tickets 47.0 41.0 +6.0 (likely range +2.0 to +10.0) 230" in said
    assert "Kind: complaint 20.0 12.0 +8.0 (likely range +5.0 to +11.0) 80" in said
    assert "Topic: billing 10.0 10.0 0.0 40" in said
    assert "Satisfaction (CSAT) 3.60 3.80 -0.20 (likely range -0.30 to -0.10) 90" in said
    assert "Recommendation, 0 to 10 (NPS), checkout 7.00 7.40 -0.40" in said
    assert "48 % of leavers had said nothing in the 90 days before" in said
    assert (
        "20 of 50 exit surveys answered, of those decided 44 % (likely range 33 % to 56 %); mean "
        "score 2.5 (likely range 2.1 to 2.9) of 18 answers." in said
    )
    assert "What cannot be said: There is no table of subscriptions with" in said


def test_reasons_of_ends_are_told(drivers):
    drivers["leavers_say"] |= {
        "end_reasons": [
            {"reason": "too_expensive", "ends": 30, "share": 0.6, "lower": 0.5, "upper": 0.7}
        ],
        "exit_surveys": {"sent": None, "answered": 1, "answer_share": None, "score": None},
    }
    told = leavers(drivers["leavers_say"])
    share = "60\xa0% (likely range 50\xa0% to 70\xa0%)"
    assert told["reasons"] == [{"name": "too expensive", "ends": "30", "share": share}]
    assert told["surveys"] == "1 exit survey answered."


def test_undated_data_say_why_nothing_was_heard(written, drivers):
    why = "Nothing is dated, so nothing can be told to have come before leaving."
    drivers |= {"leavers_say": {"days_before": 90, "why": {"all": why}}, "as_of": None}
    said = section(written(drivers), "leavers")
    assert f"Nothing was heard from customers themselves. What cannot be said: {why}" in said


def test_empty_parts_are_left_out(written, drivers):
    html = written({**drivers, **EMPTY})
    assert "Nothing we looked at moves anybody" in section(html, "drivers")
    for name in ("goals", "tests", "leavers", "lever-table", "uplift-table"):
        assert f'id="{name}"' not in html
        assert f"#{name}" not in html
    assert "None" not in text(html).replace("None.", "")


def test_each_part_may_be_missing_alone(written, drivers):
    for name, value in EMPTY.items():
        assert written({**drivers, name: value}).rstrip().endswith("</html>"), name


def test_nulls_inside_parts_are_dashes(written, drivers):
    def emptied(value):
        if isinstance(value, dict):
            return {k: emptied(v) for k, v in value.items()}
        if isinstance(value, list):
            return [emptied(v) for v in value]
        return None if isinstance(value, float) else value

    for name in ("goals", "experiments", "leavers_say", "levers", "interactions", "correlated"):
        said = text(written({**drivers, name: emptied(drivers[name])}))
        assert "nan" not in said.lower(), name
        assert "None" not in said.replace("None.", ""), name


def test_expert_words_stay_with_the_experts(written, drivers):
    html = written(drivers)
    outside = text(html[: html.index('<section id="data-scientists"')]).lower()
    for term in words.EXPERT_TERMS:
        assert term.lower() not in outside, term
    assert "log-odds" not in outside
    expert = text(html[html.index('<section id="data-scientists"') :])
    assert "slow_response 1,040 670 24 % 8.3 [6.6, 9.9] 2.2 [1.8, 2.6] 98 %" in expert
    assert "It seems to change the past as well." in expert
    assert "out of fold 810 -0.010 [-0.020, 0.010]" in expert


def test_effects_may_be_had_without_asking_whether_they_hold(drivers):
    assert [name for name, _ in effects(drivers)] == ["responsiveness"]
    assert [name for name, _ in effects(drivers, holding=False)] == ["responsiveness", "delivery"]


def test_the_verdict_names_what_the_kind_of_leaving_calls_it(drivers):
    drivers["factors"].append({**drivers["factors"][0], "factor": "lifecycle"})
    drivers["verdict"] = "Lifecycle only goes together with leaving."
    said = verdict(drivers, "subscription")
    assert said.startswith("How long they have subscribed, and when they renew only goes together")


def test_the_scale_is_the_one_of_the_drivers():
    assert words.SURE == SCALE
