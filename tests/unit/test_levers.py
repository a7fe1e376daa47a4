"""Doses of experiences, worked out by hand, as known at the cutoff and in its window only."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tenure import levers
from tenure.levers import LEVERS, Dosage

UTC = ZoneInfo("UTC")
CUTOFF = dt.date(2024, 7, 1)
ORDERS = [
    # ordered, promised, delivered: days late as known on July 1st
    ("a", "2024-03-01", "2024-03-05", "2024-03-25"),  # before the window
    ("a", "2024-05-01", "2024-05-05", "2024-05-08"),  # 3
    ("a", "2024-05-11", "2024-05-15", "2024-05-14"),  # early: 0
    ("a", "2024-06-10", "2024-06-21", None),  # overdue: 10
    ("a", "2024-06-28", "2024-07-04", None),  # not due yet: no opportunity
    ("a", "2024-06-20", "2024-06-30", "2024-07-20"),  # arrives after the cutoff: 1 by now
    ("b", "2024-06-01", "2024-06-05", "2024-06-05"),  # 0
    ("c", "2024-06-30", "2024-07-05", "2024-07-01"),  # only what comes later
]
TICKETS = [
    # opened, first reply, resolved, reopened
    ("a", "2024-05-01", "2024-05-01T06:00", "2024-05-02", None),  # 6 h
    ("a", "2024-06-01", "2024-06-03", "2024-06-04", "2024-06-05"),  # 48 h, again
    ("b", "2024-06-10", "2024-06-10T01:00", None, None),  # 1 h, open for 21 days
    ("b", "2024-06-28", None, None, None),  # 72 h so far
]


def _moment(text):
    return None if text is None else dt.datetime.fromisoformat(text)


@pytest.fixture(scope="module")
def world(typed):
    orders = [
        {"customer_id": who, "ts": _moment(ts), "promised_at": _moment(due),
         "delivered_at": _moment(came), "amount": 10, "transaction_id": f"o{i}"}
        for i, (who, ts, due, came) in enumerate(ORDERS)
    ]  # fmt: skip
    tickets = [
        {"customer_id": who, "opened_at": _moment(ts), "first_response_at": _moment(first),
         "resolved_at": _moment(done), "reopened_at": _moment(again), "interaction_id": f"k{i}"}
        for i, (who, ts, first, done, again) in enumerate(TICKETS)
    ]  # fmt: skip
    tables = typed.tables({"transactions": orders, "interactions": tickets})
    return tables, typed.schema(tables)


def _had(world, name, dosage=None, window=90):
    tables, schema = world
    found = levers.exposures(LEVERS[name], dosage, tables, [CUTOFF], UTC, schema, window)
    return found.set_index("customer_id").drop(columns="cutoff")


def test_late_deliveries_by_hand(world):
    had = _had(world, "late_delivery", Dosage(2.0, (2.0, 4.0, 8.0)))
    a = had.loc["a"]
    assert a[["n", "bad", "worst"]].to_list() == [4, 3, 10]
    assert a["below"] == pytest.approx(2 + 0 + 2 + 1)
    assert a["above_1"] == pytest.approx(1 + 0 + 2 + 0)
    assert a["above_2"] == pytest.approx(4)  # of the overdue parcel: days 4 to 8, no more
    assert had.loc["b", ["n", "bad"]].to_list() == [1, 0]


def test_a_parcel_that_came_early_after_the_cutoff_was_no_opportunity_then(world):
    assert "c" not in _had(world, "late_delivery").index


def test_waits_by_hand(world):
    had = _had(world, "slow_response", Dosage(2.0, (2.0, 100.0)))
    assert had.loc["a", ["n", "bad", "worst"]].to_list() == [2, 1, 48]
    assert had.loc["a", "above_1"] == pytest.approx(4 + 46)
    assert had.loc["b", ["n", "bad", "worst"]].to_list() == [2, 1, 72]


def test_tickets_that_were_not_solved_by_hand(world):
    had = _had(world, "unsolved_ticket")
    assert had["bad"].to_dict() == {"a": 1, "b": 1}  # opened again; open for three weeks


def test_the_window_ends_where_it_begins(world):
    assert _had(world, "slow_response", window=40).loc["a", "n"] == 1  # May 1st is out


def test_doses_are_cut_at_the_middle_case_beyond_the_limit(world):
    tables, schema = world
    found = levers.knots(LEVERS["late_delivery"], 0.0, tables, [CUTOFF], UTC, schema, 90)
    assert found.edges == (0.0, 3.0, 10.0)  # of 1, 3 and 10 days late
    none = levers.knots(LEVERS["late_delivery"], 30.0, tables, [CUTOFF], UTC, schema, 90)
    assert none is None


def test_pieces_add_up_to_the_dose(world):
    whole = _had(world, "late_delivery", Dosage(0.0, (0.0, 99.0)))["above_1"]
    cut = Dosage(2.0, (2.0, 5.0, 99.0))
    parts = _had(world, "late_delivery", cut)[[name for name, _, _ in cut.spans()]]
    np.testing.assert_allclose(parts.sum(axis=1), whole)


@pytest.mark.parametrize(
    ("name", "limit", "worst"),
    [("late_delivery", 2, {"a": 2, "b": 0}), ("slow_response", 2, {"a": 2, "b": 2})],
)
def test_in_a_capped_log_nothing_goes_beyond_the_limit(world, name, limit, worst):
    tables, schema = world
    lever = LEVERS[name]
    since = dt.datetime(2024, 4, 2)
    capped = lever.cap(tables[lever.table], limit * lever.per, since)
    had = _had((tables | {lever.table: capped}, schema), name)
    assert had["worst"].to_dict() == pytest.approx(worst)
    assert had["bad"].sum() == (3 if name == "late_delivery" else 0)  # 2 days late is late


def test_a_cap_leaves_what_was_before_alone(world):
    tables, _ = world
    lever = LEVERS["late_delivery"]
    since = dt.datetime(2024, 4, 2)
    key = "transaction_id"
    before, after = (
        t.order_by(key).to_pyarrow().to_pandas().set_index(key)["delivered_at"]
        for t in (tables["transactions"], lever.cap(tables["transactions"], 0, since))
    )
    assert after["o0"] == before["o0"]  # three weeks late, in March
    assert after["o1"] == _moment("2024-05-05")
    assert after["o2"] == before["o2"]  # came early


def test_levers_need_their_columns(world):
    _, schema = world
    assert [one.name for one in levers.available(schema)] == [
        "late_delivery", "slow_response", "unsolved_ticket",
    ]  # fmt: skip


def test_each_target_names_one_lever():
    named = [name for lever in LEVERS.values() for name in lever.moves]
    assert len(named) == len(set(named))
    assert levers.named("first_response_hours_median").name == "slow_response"
    assert levers.named("nps") is None
