"""One broken row per rule and table: it is set aside under the rule's name, the others stay."""

import re
from collections import Counter

import pyarrow.parquet as pq
import pytest

from tenure.contract import TABLES, rules, says
from tenure.errors import DataError

FACTS = {
    "interactions": ("first_response_at", "resolved_at", "closed_at", "reopened_at",
                     "escalated_at"),
    "surveys": ("answered_at", "replied_at"),
    "subscriptions": ("ended_at", "cancel_requested_at"),
}  # fmt: skip
DATED = ("interactions", "surveys", "subscriptions", "events", "treatments")


def generic(name):
    """Return what breaks the rules that many tables share."""
    spec = TABLES[name]
    yield "missing_customer", {"customer_id": " "}
    yield "missing_loaded_at", {"loaded_at": ""}
    for c in spec.kinds("instant"):
        yield f"unreadable_{c}", {c: "soon"}
        yield f"impossible_{c}", {c: "9999-12-31"}
    for c in spec.kinds("money", "count", "whole", "number"):
        if c != "score_share":
            yield f"unreadable_{c}", {c: "much"}
            yield f"absurd_{c}", {c: "1e300"}
    for c in spec.kinds("flag"):
        yield f"unreadable_{c}", {c: "perhaps"}
    for c in FACTS.get(name, ()):
        yield f"early_{c}", {c: "2021-03-03 23:59"}


SPECIAL = [
    *((name, "missing_date", dict.fromkeys(TABLES[name].at, "NULL")) for name in DATED),
    ("interactions", "unknown_direction", {"direction": "sideways"}),
    ("interactions", "unknown_kind", {"kind": "rant"}),
    *(("interactions", f"negative_{c}", {c: "-1"})
      for c in ("wait_seconds", "replies", "handoffs", "reopens")),
    ("surveys", "missing_kind", {"kind": "n/a"}),
    ("surveys", "unknown_kind", {"kind": "poll"}),
    ("surveys", "score_off_scale", {"score": "11"}),
    ("surveys", "score_off_scale", {"kind": "nps", "score": "11"}),
    ("surveys", "score_off_scale", {"kind": "nps", "score": "-100"}),
    ("surveys", "score_off_scale", {"kind": "ces", "score": "0"}),
    ("surveys", "score_without_answer", {"answered_at": ""}),
    ("surveys", "score_in_words", {"score": "N/A"}),
    ("subscriptions", "unknown_end_reason", {"end_reason": "death"}),
    ("subscriptions", "negative_mrr", {"mrr": "-1"}),
    ("subscriptions", "negative_seats", {"seats": "-1"}),
    ("events", "missing_event", {"event": ""}),
    ("events", "unknown_group", {"group": "party"}),
    ("treatments", "missing_campaign", {"campaign": ""}),
    ("treatments", "missing_treated", {"treated": ""}),
]  # fmt: skip
NAMES = [n for n in TABLES if n != "transactions"]
BROKEN = [*((name, *one) for name in NAMES for one in generic(name)), *SPECIAL]


@pytest.mark.parametrize("name", NAMES)
def test_broken_rows_are_set_aside_under_their_rules(desk, make_rows, tmp_path, name):
    broken = [(rule, change) for table, rule, change in BROKEN if table == name]
    rows = make_rows(name, 2 * len(broken) + 1)
    first = len(broken) + 1  # sound rows before the broken ones
    for row, (_, change) in zip(rows[first:], broken, strict=True):
        row |= change
    with desk.load({name: rows}) as sources:
        report = sources.report.tables[name]
        assert report.set_aside == Counter(rule for rule, _ in broken)
        assert (report.rows_read, report.rows_kept) == (len(rows), first)
        assert len(report.sentences) == len(report.set_aside)
        for sentence in report.sentences:
            assert f" of {len(rows)} row" in sentence
            assert f" of {name} set aside (first: " in sentence
        assert sources.write_quarantine(tmp_path / "q.parquet") == len(broken)
    aside = sorted(pq.read_table(tmp_path / "q.parquet").to_pylist(), key=lambda row: row["row"])
    assert {row["table"] for row in aside} == {name}
    assert [(row["row"] - 1, row["rule"]) for row in aside] == [
        (first + i, rule) for i, (rule, _) in enumerate(broken)
    ]
    for row, (_, change) in zip(aside, broken, strict=True):
        assert {c: row[c] or "" for c in change} == change  # as given


def test_every_rule_of_every_table_has_a_broken_row_here():
    of_table = {name: {rule.name for rule in rules(TABLES[name])} for name in NAMES}
    derived = {"unreadable_score_share", "absurd_score_share"}
    of_table["surveys"] -= derived  # made from the score, so that nothing can be given
    tested = {name: {r for n, r, _ in BROKEN if n == name} for name in NAMES}
    assert tested == of_table


@pytest.mark.parametrize("name", TABLES)
def test_every_rule_says_what_to_do(name):
    spec = TABLES[name]
    every = says(spec, rules(spec))
    assert {"broken_line", "unknown_customer", "repeated_row", "repeated_id"} <= every.keys()
    for rule, sentence in every.items():
        assert sentence[0].islower(), rule
        assert sentence.endswith("."), rule
        assert "{{" not in sentence, rule
        first_word = sentence.split(" ")[0]
        assert first_word in {c.name for c in spec.columns} | {
            "the", "no", "an", "there", "kind", "sent_at",
        }, rule  # fmt: skip


UNUSUAL = {
    "surveys": [
        {"score": "", "answered_at": ""},  # asked, and silent
        {"score": "N/A", "answered_at": ""},  # the same in words
        {"score": "", "kind": "exit"},  # answered in words only
        {"score": "77", "kind": "exit"},  # has no scale of its own
        {"sent_at": ""},  # unasked feedback
        {"score": "4.5"},
    ],
    "interactions": [
        {"kind": "", "direction": "", "resolved_at": "", "replies": "-"},
        {"resolved_at": "2021-03-04"},  # the day of the question
    ],
    "subscriptions": [
        {"ended_at": "", "end_reason": "", "mrr": "0"},
        {"trial_ends_at": "2020-01-01"},  # a plan may be anything
    ],
    "events": [{"group": "", "value": "", "user_id": ""}, {"group": "LOYALTY"}],
    "treatments": [{"randomised": "", "cost": "", "treated": "FALSE"}],
    "customers": [{"signup_at": "", "contactable": "", "label": "1.0"}],
}


def test_what_is_only_missing_or_unusual_stays(desk, make_rows):
    tables = {}
    for name, changes in UNUSUAL.items():
        tables[name] = make_rows(name, 2 + len(changes))
        for row, change in zip(tables[name][2:], changes, strict=True):
            row |= change
    with desk.load(tables) as sources:
        aside = {n: r.set_aside for n, r in sources.report.tables.items()}
    assert aside == {n: {} for n in ("transactions", *tables)}


def test_every_required_column_of_every_table_is_named_in_one_message(desk, make_rows):
    required = {n: [c.name for c in TABLES[n].columns if c.required] for n in TABLES}
    tables = {
        name: [{k: v for k, v in row.items() if k not in required[name]} for row in make_rows(name)]
        for name in TABLES
    }
    with pytest.raises(DataError) as fault:
        desk.load(tables)
    parts = {part.split(":")[0]: part for part in re.split(r"\n(?=\w)", str(fault.value))}
    assert parts.keys() == TABLES.keys()
    for name, columns in required.items():
        for column in columns:
            also = " (or quantity and unit_price)" if column == "amount" else ""
            assert f"\n  {column}{also} is required" in parts[name]


def test_surveys_need_one_of_two_dates(desk, make_rows):
    rows = make_rows("surveys")
    for one, other in (("sent_at", "answered_at"), ("answered_at", "sent_at")):
        only = [k for k in rows[0] if k != other]
        with desk.load({"surveys": rows}, {"surveys": {"only": only}}) as sources:
            assert one in sources.tables["surveys"].columns
    neither = [k for k in rows[0] if k not in ("sent_at", "answered_at")]
    with pytest.raises(DataError, match="answered_at or sent_at is required"):
        desk.load({"surveys": rows}, {"surveys": {"only": neither}})


def test_a_date_that_cannot_be_read_is_not_replaced_by_another(desk, make_rows):
    rows = make_rows("surveys")
    rows[1]["sent_at"] = "last week"
    with desk.load({"surveys": rows}) as sources:
        assert sources.report.tables["surveys"].set_aside == {"unreadable_sent_at": 1}


def test_what_is_derived_cannot_be_given(desk, make_rows):
    rows = [row | {"score_share": "soon"} for row in make_rows("surveys")]
    with desk.load({"surveys": rows}) as sources:
        assert sources.report.tables["surveys"].set_aside == {}
