"""Rows of randomised tests: who took part, what was known before, who left after."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from tenure.config import ChurnConfig
from tenure.experiments.rows import MOST_DAYS, contacts, features, trial
from tenure.features.matrix import plan_schema

UTC = ZoneInfo("UTC")
FIRST, DAY, UNTIL = dt.date(2024, 1, 1), dt.date(2024, 4, 1), dt.date(2024, 8, 1)
NOON = dt.datetime(2024, 4, 1, 12)
ONE = dt.timedelta(days=1)
CHURN = ChurnConfig(horizon_days=30, active_within_days=60)


def sent(customer, ts=NOON, treated=True, randomised=True, campaign="stay", **more):
    return {
        "customer_id": customer, "ts": ts, "campaign": campaign, "treated": treated,
        "randomised": randomised, **more,
    }  # fmt: skip


def arms(n=24, ts=NOON, **more):
    """Draw a test whose even customers are contacted."""
    return [sent(f"c{k:02d}", ts, k % 2 == 0, **more) for k in range(n)]


def found(typed, rows, churn=CHURN, zone=UTC, until=UNTIL):
    tables = {"treatments": typed.table("treatments", rows, zone.key)}
    return contacts(tables, FIRST, until, zone, churn)


def test_without_a_lot_nothing_is_random(typed):
    rows = [{k: v for k, v in row.items() if k != "randomised"} for row in arms()]
    told = found(typed, rows)
    assert told.frame.empty
    assert "no column `randomised`" in told.notes[0]
    assert "no table of treatments" in contacts({}, FIRST, UNTIL, UTC, CHURN).notes[0]
    assert "No row" in found(typed, arms(randomised=False)).notes[0]


def test_an_undated_label_is_refused(typed):
    told = found(typed, arms(), ChurnConfig(kind="label"))
    assert told.frame.empty
    assert "no date" in told.notes[0]


def test_only_rows_marked_as_random_count(typed):
    rows = [*arms(), sent("chosen", randomised=False), sent("unknown", randomised=None)]
    assert len(found(typed, rows).frame) == 24


def test_a_campaign_without_a_control_group_is_no_test(typed):
    rows = arms() + [sent(f"x{k}", campaign="all") for k in range(30)]
    told = found(typed, rows)
    assert set(told.frame["campaign"]) == {"stay"}
    assert "all 2024-04-01" in told.notes[0]


def test_who_was_in_both_arms_on_one_day_is_left_out(typed):
    told = found(typed, [*arms(), sent("c01", NOON + ONE / 24)])
    assert "c01" not in set(told.frame["customer_id"])
    assert "1 customers were in both arms" in told.notes[0]


def test_the_first_arm_is_the_one_that_was_drawn(typed):
    """Whom the campaign reaches after all stays with those held out."""
    told = found(typed, [*arms(), sent("c01", NOON + ONE), sent("c00", NOON + ONE, treated=False)])
    arm = told.frame.set_index("customer_id")["treated"]
    assert len(arm) == 24
    assert not arm["c01"]
    assert arm["c00"]


def test_days_within_a_week_are_one_test_known_from_its_first(typed):
    rows = arms(12) + [sent(f"d{k}", NOON + 6 * ONE, k % 2 == 0) for k in range(12)]
    rows += [sent(f"e{k:02d}", NOON + 7 * ONE, k % 2 == 0) for k in range(20)]
    told = found(typed, rows)
    assert told.days == (DAY, DAY + 7 * ONE)
    assert (told.frame["test"] == "stay 2024-04-01").sum() == 24


def test_the_day_is_local(typed):
    late = dt.datetime(2024, 4, 1, 0, 30)  # still March in UTC
    assert found(typed, arms(ts=late), zone=ZoneInfo("Europe/Berlin")).days == (DAY,)


def test_a_label_must_be_complete(typed):
    told = found(typed, arms(), until=DAY + 30 * ONE)
    assert told.days == (DAY,)
    told = found(typed, arms(), until=DAY + 29 * ONE)
    assert told.frame.empty
    assert "too young" in told.notes[0]
    waits = ChurnConfig(kind="subscription", horizon_days=30, grace_days=10)
    assert found(typed, arms(), waits, until=DAY + 39 * ONE).frame.empty


def test_contacts_after_the_end_of_observation_are_not_known(typed):
    assert found(typed, arms(), until=DAY).frame.empty


def test_the_newest_days_count(typed):
    rows = [r for k in range(MOST_DAYS + 2) for r in arms(ts=NOON + 8 * k * ONE)]
    told = found(typed, rows, until=dt.date(2025, 1, 1))
    assert len(told.days) == MOST_DAYS
    assert told.days[0] == DAY + 16 * ONE
    assert "2 older tests" in told.notes[0]


def test_of_many_contacts_some_customers_are_read_in_all_their_tests(typed, monkeypatch):
    monkeypatch.setattr("tenure.experiments.rows.MOST_ROWS", 200)
    rows = arms(200) + arms(200, ts=NOON + 20 * ONE)
    told = found(typed, rows)
    assert 100 < len(told.frame) < 300
    assert told.frame.groupby("customer_id").size().eq(2).all()
    assert "Of 400 contacts and controls" in told.notes[0]


def test_costs_are_those_recorded(typed):
    rows = [sent(r["customer_id"], treated=r["treated"], cost=2.5 if r["treated"] else None)
            for r in arms()]  # fmt: skip
    frame = found(typed, rows).frame
    assert frame.loc[frame["treated"], "cost"].eq(2.5).all()
    assert frame.loc[~frame["treated"], "cost"].isna().all()


def bought(customer, day, amount=10):
    return {"customer_id": customer, "ts": dt.datetime(2024, *day, 10), "amount": amount}


@pytest.fixture
def read(typed):
    """Return the trial of some purchases and treatments, and its features."""

    def run(purchases, rows):
        log = typed.log([bought("old", (1, 1)), bought("old", (7, 31)), *purchases])
        tables = {"transactions": log, "treatments": typed.table("treatments", rows)}
        part = contacts(tables, FIRST, UNTIL, UTC, CHURN)
        schema = plan_schema(tables, FIRST, DAY, UTC, {})
        matrix = features(tables, part, schema, UTC, CHURN)
        names = [c.name for c in schema.columns()]
        return trial(tables, part, matrix, names, UTC, CHURN)

    return run


def before(n=24):
    return [bought(f"c{k:02d}", (3, 1 + k % 9)) for k in range(n)]


def test_who_buys_in_the_window_stayed_in_either_arm(read):
    stays = [bought(f"c{k:02d}", (4, 20)) for k in range(6)] + [bought("c06", (5, 1))]
    told = read(before() + stays, arms())
    assert told.left.tolist() == [0.0] * 6 + [1.0] * 18
    assert told.treated.tolist() == [True, False] * 12
    assert set(told.share) == {0.5}
    assert told.tests["campaign"].tolist() == ["stay"]


def test_who_is_lapsed_or_not_yet_a_customer_is_not_asked_about(read):
    rows = [*arms(), sent("lapsed"), sent("lapsed2", treated=False), sent("later")]
    told = read([*before(), bought("lapsed", (1, 10)), bought("lapsed2", (1, 9)),
                 bought("later", (4, 2))], rows)  # fmt: skip
    assert len(told) == 24
    assert "3 of 27" in told.notes[0]


def test_nothing_of_the_day_itself_is_a_feature(read):
    """Neither the contact, nor what was bought on its day before it, nor anything later."""
    earlier = [sent("c00", dt.datetime(2024, 2, 1), treated=True, randomised=False)]
    plain = read(before(), arms() + earlier)
    more = [bought("c00", (4, 1), 500), bought("c00", (4, 9), 500)]
    again = [sent("c00", NOON + 20 * ONE, campaign="other", randomised=False)]
    changed = read(before() + more, arms() + earlier + again)
    pd.testing.assert_frame_equal(plain.X, changed.X, check_exact=True)
    assert plain.X.loc[0, "campaign_contacts_90d"] == 1
    assert (plain.X.loc[1:, "campaign_contacts_90d"] == 0).all()
    assert changed.left[0] == 0


def test_features_do_not_depend_on_who_else_is_a_customer(read):
    plain = read(before(), arms())
    crowd = read(before() + [bought(f"z{k}", (3, 3)) for k in range(40)], arms())
    pd.testing.assert_frame_equal(plain.X, crowd.X, check_exact=True)


def test_a_customer_of_two_tests_has_one_number(read):
    rows = arms() + arms(ts=NOON + 20 * ONE)
    told = read(before(), rows)
    assert len(told) == 48
    assert len(np.unique(told.customer)) == 24
    assert (told.customer[told.test == 0] == told.customer[told.test == 1]).all()
