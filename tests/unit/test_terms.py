"""What subscriptions cost and brought: rows by hand, windows half-open, the future unseen."""

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tenure.config import ChurnConfig
from tenure.labels import cohorts, durations, revenue, terms, unpriced

CUTOFF = dt.date(2024, 4, 1)
MIDNIGHT = dt.datetime(2024, 4, 1)
DAY = dt.timedelta(days=1)
MONTH = 365.25 / 12
UTC = ZoneInfo("UTC")
COLUMNS = ("ended_at", "end_reason", "cancel_requested_at", "trial_ends_at", "renews_at", "plan",
           "mrr", "subscription_id")  # fmt: skip


def row(customer, start=-100, end=None, mrr=10, **more):
    """Return a row by days from the cutoff."""

    def at(day):
        return None if day is None else MIDNIGHT + day * DAY

    more = {k: at(v) if k.endswith("_at") else v for k, v in more.items()}
    told = {"customer_id": customer, "started_at": at(start), "ended_at": at(end)} | more
    return told if mrr is None else told | {"mrr": mrr}


@pytest.fixture
def known(typed):
    def go(rows, columns=COLUMNS):
        tables = {"subscriptions": typed.table("subscriptions", rows, columns=columns)}
        return terms(tables, [CUTOFF], UTC).set_index("customer_id")

    return go


@pytest.fixture
def came(typed):
    def go(rows, zone="UTC", days=30, columns=COLUMNS):
        tables = {"subscriptions": typed.table("subscriptions", rows, zone, columns)}
        told = revenue(tables, [CUTOFF], ZoneInfo(zone), days).set_index("customer_id")
        return told["value"] * MONTH, told["months"] * MONTH  # money × days, days

    return go


class TestTerms:
    def test_the_price_is_that_of_all_that_runs(self, known):
        told = known(
            [
                row("one", mrr=12.5),
                row("two", mrr=10),
                row("two", -50, mrr=5),
                row("one over", mrr=10),
                row("one over", -50, -1, mrr=5),
                row("ended", end=-1),
                row("dearer", -80, mrr=10, subscription_id="d"),
                row("dearer", -10, mrr=11, subscription_id="d"),
                row("to come", 5),
                row("ends later", end=10),
                row("half known", mrr=None),
                row("half known", -50, mrr=5),
            ]
        )
        price = told["price"].dropna().to_dict()
        assert price == {"one": 12.5, "two": 15, "one over": 10, "dearer": 11, "ends later": 10}
        assert set(told.index) == {*price, "half known"}

    def test_a_trial_is_free_until_it_ends(self, known):
        told = known(
            [
                row("trial", -4, trial_ends_at=10),
                row("over", -40, trial_ends_at=-26),
                row("beside one", -4, trial_ends_at=10),
                row("beside one", -50),
                row("gave notice", -4, trial_ends_at=10, cancel_requested_at=-1),
            ]
        )["unpaid_days"]
        assert told.to_dict() == {"trial": 10, "over": 0, "beside one": 0, "gave notice": 0}

    def test_paid_until_the_last_planned_renewal(self, known):
        told = known(
            [
                row("year", renews_at=200),
                row("two", renews_at=200),
                row("two", -50, renews_at=20),
                row("overdue", renews_at=-3),
                row("one not known", renews_at=20),
                row("one not known", -50),
            ]
        )["paid_days"]
        assert told.dropna().to_dict() == {"year": 200, "two": 200}

    def test_without_the_columns_nothing_is_known(self, known):
        told = known([row("a", mrr=None), row("b", mrr=None)], columns=())
        assert told["price"].isna().all()
        assert (told["unpaid_days"] == 0).all()
        assert told["paid_days"].isna().all()

    def test_missing_prices_are_counted(self):
        frame = pd.DataFrame(
            {"status": ["scored", "trial", "ended", "notice"], "price": [None, 5.0, None, None]}
        )
        assert unpriced(frame) == [
            "2 of 3 running subscribers have no known price (mrr): their value is null."
        ]
        assert unpriced(frame.assign(price=1.0)) == unpriced(frame[["status"]]) == []


class TestRevenue:
    def test_days_really_subscribed_at_the_price_of_each(self, came):
        value, days = came(
            [
                row("stays"),
                row("leaves", end=12),
                row("dearer", end=10, mrr=10),
                row("dearer", 10, mrr=20),
                row("pause", end=10),
                row("pause", 25),
                row("new", 20),
                row("two", mrr=10),
                row("two", -50, 15, mrr=4),
                row("trial", -4, trial_ends_at=10),
                row("ends in trial", -4, 8, trial_ends_at=10),
                row("over", end=0),
                row("later", 30),
                row("unpriced", mrr=None),
                row("replaced", -50, mrr=10, subscription_id="r"),
                row("replaced", 6, mrr=30, subscription_id="r"),
            ]
        )
        assert value.to_dict() == pytest.approx(
            {
                "stays": 300, "leaves": 120, "dearer": 500, "pause": 150, "new": 100,
                "two": 360, "trial": 200, "unpriced": 0, "replaced": 60 + 720,
            }
        )  # fmt: skip
        assert days.to_dict() == pytest.approx(
            {
                "stays": 30, "leaves": 12, "dearer": 30, "pause": 15, "new": 10, "two": 30,
                "trial": 20, "unpriced": 30, "replaced": 30,
            }
        )  # fmt: skip

    def test_a_day_begins_at_local_midnight(self, came):
        value, _ = came([row("a", end=10)], zone="America/New_York")
        assert value["a"] == pytest.approx(100)


def test_cohorts_are_the_durations_with_year_and_plan(typed):
    churn = ChurnConfig(kind="subscription", grace_days=10)
    rows = [
        row("a", -400, -60, plan="basic"),
        row("b", -80, plan="plus"),
        row("upgraded", -95, -50, plan="basic"),
        row("upgraded", -48, plan="plus"),
        row("young", -3, plan="plus"),
    ]
    tables = {"subscriptions": typed.table("subscriptions", rows, columns=COLUMNS)}
    found = cohorts(tables, [CUTOFF], UTC, churn).set_index("customer_id")
    told = found[["days", "left", "runs", "age", "year", "plan"]].T.to_dict("list")
    assert told == {
        "a": [340, True, False, 400, 2023, "basic"],
        "b": [70, False, True, 80, 2024, "plus"],
        "upgraded": [85, False, True, 95, 2023, "basic"],
        "young": [-7, False, True, 3, 2024, "plus"],
    }
    sure = found[found["days"] >= 0].groupby(["days", "left"]).size()
    same = durations(tables, [CUTOFF], UTC, churn)[CUTOFF].set_index(["days", "left"])["n"]
    assert sure.to_dict() == same.to_dict()
