"""Reasons: the customer's own number and the usual one, levers first, the sign never denied."""

import re

import numpy as np
import pandas as pd
import pytest

from tenure.explain.reasons import FAVOURABLE, LEVER, SAME, reasons
from tenure.explain.words import number, sentence
from tenure.features.schema import Column, Schema
from tenure.features.spec import COMBINED, FACTORS, FEATURES, ROLES

NAN = float("nan")
EVERY = {**FEATURES, **COMBINED}
LEVELS = {"kind": "nps", "topic": "delivery", "channel": "web", "plan": "basic"}


def made(name, window="first", level=None):
    """Return the column that a feature makes."""
    f = EVERY[name]
    window = f.windows[0] if window == "first" else window
    return Column(
        name, f.name, window, level, f.unit, f.factor, f.description, f.direction,
        f.says, f.none, f.actionable,
    )  # fmt: skip


def plain(name, factor="engagement", feature=None, direction=0, actionable=False):
    return Column(
        name, feature or name, None, None, "count", factor, name, direction,
        f"The {name} is {{value}}", f"No {name}", actionable,
    )  # fmt: skip


class TestSentences:
    """What a retention manager reads."""

    @pytest.mark.parametrize(
        ("name", "value", "usual", "said"),
        [
            ("first_response_hours_last", 31, 4,
             "The newest ticket waited 31 h for a first response; 4 h is usual."),
            ("first_response_hours_median", 31, 4,
             "First response took 31 h in the last 90 days; 4 h is usual."),
            ("first_response_hours_median", 0.5, 75,
             "First response took 30 min in the last 90 days; 3.1 days is usual."),
            ("late_deliveries", 2, 0, "2 parcels came late in the last 90 days; none is usual."),
            ("late_deliveries", 1, 0, "1 parcel came late in the last 90 days; none is usual."),
            ("late_deliveries", 0, 2, "No parcel came late in the last 90 days; 2 is usual."),
            ("days_since_last_purchase", 74, 21, "Last purchase 74 days ago; 21 days is usual."),
            ("days_since_last_purchase", 1, 21, "Last purchase 1 day ago; 21 days is usual."),
            ("days_late_mean", 0, 2.5,
             "Parcels came on time in the last 90 days; 2.5 days is usual."),
            ("days_late_mean", 2.5, 0,
             "Parcels came 2.5 days late on average in the last 90 days; none is usual."),
            ("spend", 1234.4, 0, "Spent EUR 1,234 in the last 30 days; nothing is usual."),
            ("on_time_share", 0.25, 1,
             "25 % of the parcels came on time in the last 90 days; 100 % is usual."),
            ("overdue_ratio", 3.2, 0.8,
             "Silent for 3.2 times their own time between purchases; 80 % is usual."),
            ("repeat_contacts", 1, 0, "Had to ask again once in the last 90 days; none is usual."),
            ("repeat_contacts", 0, 2,
             "Never had to ask again in the last 90 days; twice is usual."),
            ("nps_detractor", 1, 0, "Gave a 6 or less when last asked to recommend us."),
            ("nps_detractor", 0, 1, "Gave a 7 or more when last asked to recommend us."),
            ("mrr_change_last", 5, 0, "The monthly price last changed by +EUR 5; 0 is usual."),
            ("days_since_incident", 3, 200, "Last incident 3 days ago."),
        ],
    )  # fmt: skip
    def test_number_unit_and_form(self, name, value, usual, said):
        assert sentence(made(name), value, usual, "EUR") == said

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("first_response_hours_median", "No ticket in the last 90 days."),
            ("days_since_answer", "No survey answered."),
            ("gap_last", "Fewer than two purchases."),
            ("resolution_hours_median", "No ticket in the last 90 days."),
            ("nps_promoter", "Never said whether they would recommend us."),
        ],
    )
    def test_what_is_missing_is_told_in_words(self, name, said):
        assert sentence(made(name), NAN, 4.0) == said
        assert sentence(made(name), NAN, NAN) == said

    def test_spans_and_levels_are_named(self):
        last = next(w for w in FEATURES["gap_mean"].windows if w not in (365, None))
        assert sentence(made("gap_mean", last), 9, 21) == (
            "Bought every 9 days over the last 3 purchase days; 21 days is usual."
        )
        assert sentence(made("gap_mean", last), NAN, 21) == "Fewer than two purchases."
        assert sentence(made("orders", None), 3, 1) == "3 orders so far; 1 is usual."
        assert sentence(made("score_last", level="nps"), 3, 9) == (
            "The last NPS score was 3; 9 is usual."
        )
        assert sentence(made("tickets_of_kind", level="complaint"), 2, 0) == (
            "2 complaints in the last 90 days; none is usual."
        )

    def test_without_a_usual_number_the_own_one_stands_alone(self):
        assert sentence(made("days_since_last_purchase"), 74, NAN) == "Last purchase 74 days ago."

    @pytest.mark.parametrize("name", sorted(EVERY))
    def test_every_feature_has_words_for_every_number(self, name):
        f = EVERY[name]
        assert f.says, "says"
        assert f.none or f.empty == 0, "none"
        by = getattr(f, "by", None)
        level = LEVELS.get(by, "somewhere") if by else None
        for window in f.windows:
            column = made(name, window, level)
            for value in (0, 1, 2, 0.5, 37.2, 12345.678, -3, *([] if f.empty == 0 else [NAN])):
                for usual in (0, 1, 7.5, NAN):
                    said = sentence(column, value, usual, "EUR")
                    assert said.endswith(".")
                    assert not said.endswith("..")
                    assert said[0] == said[0].upper()
                    assert not re.search(r"[{}|\[\]]|//|  |\b(nan|None|inf)\b", said), said

    def test_words_of_the_user_cannot_break_the_language(self):
        customers = ("customer_id", "attribute[a {b} // c]", "attribute[tier|x]")
        levels = {"customers.attribute[tier|x]": ("{gold}", "[1|2]")}
        schema = Schema(30, levels, {"customers": (*customers, "signup_at")}, "customers")
        columns = {c.name: c for c in schema.columns()}
        number_, gold = columns["profile[a {b} // c]"], columns["profile[tier|x={gold}]"]
        assert sentence(number_, 3.0, 5.0) == "A (b) / c is 3; 5 is usual."
        assert sentence(gold, 1.0, 0.0) == "Tier/x is (gold)."
        assert sentence(gold, 0.0, 1.0) == "Tier/x is not (gold)."
        assert sentence(gold, NAN, 1.0) == "Tier/x is not known."

    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (0.0, "hours", "0 min"), (0.99, "hours", "59 min"), (1.0, "hours", "1 h"),
            (48.0, "hours", "48 h"), (49.0, "hours", "2 days"), (90.0, "seconds", "90 s"),
            (600.0, "seconds", "10 min"), (0.5, "days", "12 h"), (2.0, "days", "2 days"),
            (9.04, "days", "9 days"), (9.5, "days", "9.5 days"), (0.002, "share", "under 1 %"),
            (0.0, "log-odds", "50 %"), (-800.0, "log-odds", "under 1 %"),
            (1e6, "count", "1,000,000"),
        ],
    )  # fmt: skip
    def test_numbers_as_people_write_them(self, value, unit, text):
        assert number(value, unit) == text


def three(points, values, usual, columns, raised=True, currency=None):
    """Return the reasons of one customer as a list."""
    names = list(columns)
    said = reasons(
        pd.DataFrame([points], columns=names, dtype=float),
        pd.DataFrame([values], columns=names, dtype=float),
        dict(zip(names, usual, strict=True)), columns, np.array([raised]), currency,
    ).iloc[0]  # fmt: skip
    return [s for s in said if isinstance(s, str)]


class TestChoice:
    """Which three, and in which order."""

    ABC = {c: plain(c) for c in "abcd"}  # noqa: RUF012

    def test_above_the_typical_chance_reads_what_raises_it(self):
        said = three([5, -9, 1, 3], [1, 2, 3, 4], [5] * 4, self.ABC)
        assert said == [
            "The a is 1; 5 is usual.", "The d is 4; 5 is usual.", "The c is 3; 5 is usual.",
        ]  # fmt: skip

    def test_below_it_reads_what_lowers_it_and_that_this_is_good(self):
        said = three([5, -9, 1, -3], [1, 2, 3, 4], [5] * 4, self.ABC, raised=False)
        assert said == [
            "The b is 2; 5 is usual (a good sign).", "The d is 4; 5 is usual (a good sign).",
        ]  # fmt: skip

    def test_levers_of_a_point_come_before_stronger_circumstances(self):
        columns = {
            "a": plain("a"),
            "b": plain("b", "delivery", actionable=True),
            "c": plain("c", "effort", actionable=True),
            "d": plain("d", "satisfaction"),
        }
        said = three([9, LEVER, LEVER - 0.1, 4], [9] * 4, [1] * 4, columns)
        assert [s[4] for s in said] == ["b", "a", "d"]

    def test_a_lever_speaks_for_its_factor(self):
        columns = {
            "a": plain("a", "effort"), "b": plain("b", "effort", actionable=True), "c": plain("c"),
        }  # fmt: skip
        assert three([5, 1.5, 6], [9] * 3, [1] * 3, columns)[0].startswith("The b")
        assert three([5, 0.5, 4], [9] * 3, [1] * 3, columns)[0].startswith("The a")

    def test_a_factor_speaks_once_and_only_if_it_points_that_way_on_the_whole(self):
        columns = {c: plain(c, "delivery") for c in "ab"} | {"c": plain("c")}
        assert three([2, 3, 4], [9] * 3, [1] * 3, columns) == [
            "The b is 9; 1 is usual.", "The c is 9; 1 is usual.",
        ]  # fmt: skip
        assert three([2, -3, 4], [9] * 3, [1] * 3, columns) == ["The c is 9; 1 is usual."]

    def test_a_models_chance_is_told_by_what_it_is_made_of(self):
        chance = Column(
            "btyd_log_odds", "btyd_log_odds", None, None, "log-odds", "engagement", "Chance", 1,
            "The chance is {value}",
        )  # fmt: skip
        columns = {"p": chance, "d": made("days_since_last_purchase")}
        last = "Last purchase 74 days ago; 21 days is usual."
        assert three([5, -1], [1, 74], [0, 21], columns) == [last]
        assert three([5, -6], [1, 74], [0, 21], columns) == []
        # nothing observed can be read that way: the chance itself
        assert three([5, 0], [1, 20], [0, 21], columns) == ["The chance is 73 %; 50 % is usual."]

    def test_a_number_on_the_good_side_is_no_reason_for_leaving(self):
        late = {"a": made("late_deliveries"), "b": made("late_deliveries", 365)}
        # fewer late parcels than usual, said to raise: another window speaks if it agrees
        assert three([5, 1], [0, 3], [2, 1], late) == [
            "3 parcels came late in the last 365 days; 1 is usual.",
        ]  # fmt: skip
        assert three([5, 1], [0, 0], [2, 1], late) == []
        assert three([-5, 1], [0, 3], [2, 1], late, raised=False) == [
            "No parcel came late in the last 90 days; 2 is usual (a good sign).",
        ]  # fmt: skip

    def test_money_is_good_news_though_no_direction_is_declared(self):
        spent = {"a": made("spend")}
        assert FEATURES["spend"].direction == 0
        assert three([5], [500], [100], spent, currency="EUR") == []
        assert three([5], [50], [100], spent, currency="EUR") == [
            "Spent EUR 50 in the last 30 days; EUR 100 is usual.",
        ]  # fmt: skip

    def test_the_usual_number_explains_nothing(self):
        assert three([5], [21.9], [21], {"a": plain("a")}) == []
        assert three([5], [4.26], [4.3], {"a": made("gap_last")}) == []
        assert three([5], [NAN], [NAN], {"a": plain("a")}) == []

    def test_a_share_of_nothing_is_not_told(self):
        share = {"a": made("category_share", level="books")}
        assert three([5], [0.0], [0.4], share) == []
        assert len(three([5], [0.9], [0.4], share)) == 1

    def test_what_is_not_known_comes_last_and_once(self):
        columns = {
            "a": made("first_response_hours_median", 90),
            "b": made("resolution_hours_median", 365),
            "c": made("days_since_last_purchase"),
        }
        assert three([5, 4, 1], [NAN, NAN, 74], [4, 30, 21], columns) == [
            "Last purchase 74 days ago; 21 days is usual.", "No ticket in the last 90 days.",
        ]  # fmt: skip

    def test_of_an_attribute_the_level_that_holds_is_told(self):
        levels = {"customers.attribute[region]": ("north", "south")}
        available = {"customers": ("customer_id", "attribute[region]", "signup_at")}
        schema = Schema(30, levels, available, "customers")
        columns = {c.name: c for c in schema.columns() if c.name.startswith("profile[")}
        assert list(columns) == [f"profile[region={x}]" for x in ("north", "south", "other")]
        # the trees split on north alone; the reader hears of the south
        assert three([3, 0, 0], [0, 1, 0], [1, 0, 0], columns) == ["Region is south."]
        assert three([3, 0, 0], [1, 0, 0], [1, 0, 0], columns) == []
        assert three([3, 0, 0], [NAN] * 3, [1, 0, 0], columns) == ["Region is not known."]

    def test_nobody(self):
        empty = pd.DataFrame(columns=list("abcd"), dtype=float)
        said = reasons(empty, empty, dict.fromkeys("abcd", 5.0), self.ABC, np.array([], dtype=bool))
        assert list(said.columns) == ["reason_1", "reason_2", "reason_3"]
        assert said.empty


class TestManyCustomers:
    """Of a real model, row by row."""

    @pytest.fixture
    def told(self, bundle, make_features):
        matrix = make_features(bundle.schema, 300, seed=9)
        shares = [c.name for c in bundle.schema.columns() if c.unit in ("share", "ratio")]
        X = bundle.inputs(matrix.assign(**(matrix[shares] % 1)))
        said = bundle.explain(X, None)
        raised = said.points.sum(axis=1).to_numpy() > 0
        words = reasons(said.points, X, bundle.usual, bundle.columns, raised, "EUR")
        return X, said.points, raised, words

    def test_no_sentence_denies_the_sign(self, bundle, told):
        X, points, raised, words = told
        assert words["reason_1"].notna().mean() > 0.9
        topic = {
            c: col.factor
            if ROLES[col.factor] != "circumstance"
            else SAME.get(col.feature, col.feature)
            for c, col in bundle.columns.items()
        }
        about = {c: [d for d in topic if topic[d] == topic[c]] for c in topic}
        for i in range(len(X)):
            for text in words.iloc[i].dropna():
                assert text.endswith(FAVOURABLE) == (not raised[i])
                sign = 1 if raised[i] else -1
                # what these words are about points that way, and the number lies on its side
                assert any(
                    points.iloc[i][about[c]].sum() * sign > 0
                    and col.direction * (X.iloc[i][c] - bundle.usual[c]) * sign >= 0
                    for c, col in bundle.columns.items()
                    if sentence(col, X.iloc[i][c], bundle.usual[c], "EUR")[:-1]
                    == text.removesuffix(FAVOURABLE).removesuffix(".")
                ), text

    def test_a_customers_reasons_do_not_depend_on_who_else_is_there(self, bundle, told):
        X, points, raised, words = told
        for part in (slice(0, 1), slice(17, 40), slice(299, 300)):
            alone = reasons(
                points[part], X[part], bundle.usual, bundle.columns, raised[part], "EUR"
            )
            pd.testing.assert_frame_equal(alone, words[part])


def test_every_factor_has_a_role_and_levers_lie_within_causes():
    assert set(ROLES) == set(FACTORS)
    assert {k for k, v in ROLES.items() if v == "symptom"} == {"satisfaction", "loyalty"}
    assert {f.factor for f in EVERY.values() if f.actionable} <= {
        k for k, v in ROLES.items() if v == "cause"
    }
    for name in ("late_deliveries", "first_response_hours_median", "failed_payments", "emails"):
        assert EVERY[name].actionable, name
    for name in ("score_last", "days_since_last_purchase", "frequency", "spend", "ticket_score"):
        assert not EVERY[name].actionable, name
