"""Spells of subscriptions: who could still leave as known at the cutoff, and who left in truth."""

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.config import ChurnConfig
from tenure.labels import departures, durations, standing

CUTOFF = dt.date(2024, 4, 1)
MIDNIGHT = dt.datetime(2024, 4, 1)
DAY = dt.timedelta(days=1)
TICK = dt.timedelta(microseconds=1)
GRACE, GAP, HORIZON = 10, 5, 30
CHURN = ChurnConfig(kind="subscription", grace_days=GRACE, gap_days=GAP, horizon_days=HORIZON)
OPENS, CLOSES = MIDNIGHT + GAP * DAY, MIDNIGHT + (GAP + HORIZON) * DAY
COLUMNS = ("ended_at", "end_reason", "cancel_requested_at", "trial_ends_at", "subscription_id")


def row(customer, start=-100, end=None, **more):
    """Return a row by days from the cutoff (or moments)."""

    def at(day):
        return MIDNIGHT + day * DAY if isinstance(day, int) else day

    more = {k: at(v) if k.endswith("_at") else v for k, v in more.items()}
    return {"customer_id": customer, "started_at": at(start), "ended_at": at(end)} | more


@pytest.fixture
def asked(typed):
    """Return {customer: (status, churned)} at the cutoff."""

    def go(rows, zone="UTC", churn=CHURN):
        tables = {"subscriptions": typed.table("subscriptions", rows, zone, COLUMNS)}
        stand = standing(tables, [CUTOFF], ZoneInfo(zone))
        left = departures(tables, stand, [CUTOFF], ZoneInfo(zone), churn)
        return dict(zip(stand["customer_id"], zip(stand["status"], left, strict=True), strict=True))

    return go


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_window_is_half_open_at_both_ends(asked, zone):
    assert asked(
        [
            row("in the gap", end=OPENS - TICK),
            row("at the start", end=OPENS),
            row("at the last moment", end=CLOSES - TICK),
            row("at the end", end=CLOSES),
            row("runs"),
        ],
        zone,
    ) == {
        "in the gap": ("scored", 0),
        "at the start": ("scored", 1),
        "at the last moment": ("scored", 1),
        "at the end": ("scored", 0),
        "runs": ("scored", 0),
    }


def test_rows_within_the_grace_are_one_spell(asked):
    assert asked(
        [
            row("upgrade", end=10, plan="basic"),
            row("upgrade", 10, plan="plus"),
            row("pause", end=10),
            row("pause", 10 + GRACE),
            row("too long a pause", end=10),
            row("too long a pause", 11 + GRACE),
            row("upgrade, then leaves", end=10),
            row("upgrade, then leaves", 12, 25),
            row("one of two", end=10),
            row("one of two", -50),
            row("both", end=10),
            row("both", -50, 20),
            row("short inside long", -60, -20),
            row("short inside long", -100, 20),
        ]
    ) == {
        "upgrade": ("scored", 0),
        "pause": ("scored", 0),
        "too long a pause": ("scored", 1),
        "upgrade, then leaves": ("scored", 1),
        "one of two": ("scored", 0),
        "both": ("scored", 1),
        "short inside long": ("scored", 1),
    }


def test_the_grace_counts_local_days_whatever_the_hour(asked):
    late, early = MIDNIGHT + 10 * DAY + dt.timedelta(hours=23), MIDNIGHT + dt.timedelta(minutes=1)
    rows = [row("back", end=MIDNIGHT + 10 * DAY), row("back", late + GRACE * DAY)]
    rows += [row("gone", end=late), row("gone", early + (11 + GRACE) * DAY)]
    assert asked(rows, "America/New_York") == {"back": ("scored", 0), "gone": ("scored", 1)}


def test_an_involuntary_end_first_competes_and_is_never_dropped(asked):
    assert asked(
        [
            row("unpaid", end=10, end_reason="involuntary"),
            row("no reason given", end=10),
            row("back, then leaves", end=10, end_reason="involuntary"),
            row("back, then leaves", 22, 33, end_reason="voluntary"),
            row("last end decides", end=10, end_reason="voluntary"),
            row("last end decides", -50, 20, end_reason="involuntary"),
            row("last end was theirs", end=10, end_reason="involuntary"),
            row("last end was theirs", -50, 20, end_reason="voluntary"),
        ]
    ) == {
        "unpaid": ("scored", 0),
        "no reason given": ("scored", 1),
        "back, then leaves": ("scored", 0),
        "last end decides": ("scored", 0),
        "last end was theirs": ("scored", 1),
    }


def test_status_is_what_was_known_at_the_cutoff(asked):
    told = asked(
        [
            row("notice", end=20, cancel_requested_at=-1),
            row("notice later", end=20, cancel_requested_at=MIDNIGHT),
            row("notice for one", cancel_requested_at=-1),
            row("notice for one", -50),
            row("trial", -5, trial_ends_at=MIDNIGHT + TICK),
            row("trial over", -14, trial_ends_at=0),
            row("paid and trial", -50),
            row("paid and trial", -5, trial_ends_at=9),
            row("trial and notice", -50, cancel_requested_at=-2),
            row("trial and notice", -5, trial_ends_at=9),
            row("trial with notice", -5, trial_ends_at=9, cancel_requested_at=-2),
            row("ended", end=MIDNIGHT - TICK),
            row("ends right now", end=MIDNIGHT),
            row("comes back", end=-5),
            row("comes back", 2),
        ]
    )
    assert {k: status for k, (status, _) in told.items()} == {
        "notice": "notice",
        "notice later": "scored",
        "notice for one": "scored",
        "trial": "trial",
        "trial over": "scored",
        "paid and trial": "scored",
        "trial and notice": "trial",
        "trial with notice": "notice",
        "ended": "ended",
        "ends right now": "scored",
        "comes back": "ended",
    }


def test_a_later_row_of_the_same_subscription_replaces_the_one_before(asked):
    rows = [
        row("a", subscription_id="s1"),
        row("a", -50, 20, subscription_id="s1"),
        row("b"),
        row("b", -50, 20),
        row("c", subscription_id="s2"),
        row("c", 12, 20, subscription_id="s2"),
    ]
    # without a name rows cannot replace one another: the first of b runs on
    assert asked(rows) == {"a": ("scored", 1), "b": ("scored", 0), "c": ("scored", 1)}


def test_only_the_last_version_of_a_row_is_the_truth_and_the_first_was_known(asked):
    known, later = MIDNIGHT - 60 * DAY, MIDNIGHT + 60 * DAY
    rows = [
        row("a", subscription_id="x", loaded_at=known),
        row("a", end=20, subscription_id="x", loaded_at=later),
        row("b", end=20, subscription_id="y", loaded_at=known),
        row("b", subscription_id="y", loaded_at=later),
        row("hidden", subscription_id="z", loaded_at=later),
    ]
    assert asked(rows) == {"a": ("scored", 1), "b": ("scored", 0)}


def test_subscriptions_without_any_end_or_notice_column(typed):
    table = typed.table("subscriptions", [{"customer_id": "a", "started_at": MIDNIGHT - DAY}])
    tables = {"subscriptions": table}
    stand = standing(tables, [CUTOFF], ZoneInfo("UTC"))
    assert stand["status"].tolist() == ["scored"]
    assert departures(tables, stand, [CUTOFF], ZoneInfo("UTC"), CHURN).tolist() == [0]


def test_every_cutoff_asks_about_its_own_window_in_the_order_given(typed):
    tables = {"subscriptions": typed.table("subscriptions", [row("a", end=40), row("b", end=12)])}
    days = [CUTOFF, CUTOFF + 30 * DAY]
    keys = standing(tables, days, ZoneInfo("UTC")).iloc[::-1]
    left = departures(tables, keys, days, ZoneInfo("UTC"), CHURN)
    told = list(zip(keys["customer_id"], keys["cutoff"].dt.date, keys["status"], left, strict=True))
    assert told == [
        ("b", days[1], "ended", 0),
        ("b", days[0], "scored", 1),
        ("a", days[1], "scored", 1),
        ("a", days[0], "scored", 0),
    ]


class TestDurations:
    def told(self, typed, rows):
        tables = {"subscriptions": typed.table("subscriptions", rows, columns=COLUMNS)}
        found = durations(tables, [CUTOFF], ZoneInfo("UTC"), CHURN)[CUTOFF]
        found = found.loc[found.index.repeat(found["n"])]
        return list(zip(found["days"].tolist(), found["left"].tolist(), strict=True))

    def test_spells_are_followed_until_the_grace_before_the_cutoff(self, typed):
        rows = [
            row("left", -100, -60),
            row("unpaid", -100, -50, end_reason="involuntary"),
            row("runs", -80),
            row("just ended", -70, -GRACE),
            row("last sure end", -70, -GRACE - 1),
            row("just came", -GRACE + 1),
            row("upgraded", -95, -90),
            row("upgraded", -88, -30),
        ]
        assert self.told(typed, rows) == sorted(
            [(40, True), (50, False), (70, False), (60, False), (59, True), (65, True)]
        )

    def test_nobody_there(self, typed):
        assert self.told(typed, [row("later", 5)]) == []

    def test_what_is_not_known_yet_moves_nothing(self, typed):
        past = [row("a", -60, 12), row("b", -40, -12), row("c", -30, -3)]
        other = [row("a", -60, 25), row("b", -40, -12), row("c", -30, -3), row("c", 2), row("d", 3)]
        assert self.told(typed, past) == self.told(typed, other)


def by_hand(rows, churn, cutoff=MIDNIGHT):
    """Say who left, in plain Python: walk each customer's rows in order."""
    left = {}
    for customer in {r["customer_id"] for r in rows}:
        mine = sorted(
            (r for r in rows if r["customer_id"] == customer), key=lambda r: r["started_at"]
        )
        spells = []
        for r in mine:
            fits = spells and (
                any(e is None for e, _ in spells[-1][1])
                or (r["started_at"].date() - max(e for e, _ in spells[-1][1]).date()).days
                <= churn.grace_days
            )
            if not fits:
                spells.append((r["started_at"], []))
            spells[-1][1].append((r["ended_at"], r["end_reason"] != "involuntary"))
        left[customer] = 0
        for start, ends in spells:
            if any(e is None for e, _ in ends):
                continue
            last = max(ends)
            opens = cutoff + churn.gap_days * DAY
            if start < cutoff and opens <= last[0] < opens + churn.horizon_days * DAY:
                left[customer] = int(last[1])
    return left


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(-80, 60),
        st.one_of(st.none(), st.integers(1, 90)),
        st.sampled_from(["voluntary", "involuntary", None]),
    ),
    min_size=1,
    max_size=9,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ROWS, st.integers(0, 12), st.sampled_from([0, 7]))
def test_labels_are_those_of_a_walk_through_the_rows(typed, drawn, grace, gap):
    churn = ChurnConfig(kind="subscription", grace_days=grace, gap_days=gap, horizon_days=30)
    rows = [
        row(c, start, None if lasts is None else start + lasts, end_reason=reason)
        for c, start, lasts, reason in drawn
    ]
    tables = {"subscriptions": typed.table("subscriptions", rows, columns=COLUMNS)}
    names = sorted({r["customer_id"] for r in rows})
    keys = pd.DataFrame({"customer_id": names, "cutoff": pd.Timestamp(CUTOFF)})
    keys["cutoff"] = keys["cutoff"].astype("datetime64[s]")
    left = departures(tables, keys, [CUTOFF], ZoneInfo("UTC"), churn)
    assert dict(zip(names, left.tolist(), strict=True)) == by_hand(rows, churn)
