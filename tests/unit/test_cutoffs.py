"""Local days as instants, the plan of cutoffs, the embargo, and days outside the log."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.config import Config
from tenure.cutoffs import check_day, complete_for, cutoff_table, instant, plan
from tenure.errors import DataError

DAY = dt.timedelta(days=1)
TICK = dt.timedelta(microseconds=1)


def config(churn=None, **cutoffs):
    data = {"tables": {"transactions": {"path": "t.csv"}}}
    churn = {"horizon_days": 90, "gap_days": 0} | (churn or {})
    return Config.model_validate({"project": "t", "data": data, "churn": churn, "cutoffs": cutoffs})


class TestInstant:
    @pytest.mark.parametrize(
        ("day", "zone", "expected"),
        [
            ("2024-04-01", "UTC", "2024-04-01 00:00"),
            ("2024-03-31", "Europe/Berlin", "2024-03-30 23:00"),  # clocks change that night
            ("2024-04-01", "Europe/Berlin", "2024-03-31 22:00"),
            ("2024-03-11", "America/New_York", "2024-03-11 04:00"),
            ("2024-02-29", "Asia/Kolkata", "2024-02-28 18:30"),
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04 03:00"),  # midnight was skipped
            ("2023-11-05", "America/Havana", "2023-11-05 04:00"),  # midnight came twice
            ("2011-12-31", "Pacific/Apia", "2011-12-30 10:00"),  # a whole day was skipped
        ],
    )
    def test_a_day_begins_when_its_clock_first_shows_it(self, day, zone, expected):
        moment = instant(dt.date.fromisoformat(day), ZoneInfo(zone))
        assert moment == dt.datetime.fromisoformat(expected)

    @given(
        day=st.dates(dt.date(1972, 1, 2), dt.date(2199, 12, 30)),
        name=st.sampled_from(
            ["Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana",
             "Asia/Beirut", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]
        ),
    )  # fmt: skip
    @settings(derandomize=True, max_examples=200)
    def test_the_moment_before_belongs_to_the_day_before(self, day, name):
        zone = ZoneInfo(name)

        def shown(moment):
            return moment.replace(tzinfo=dt.UTC).astimezone(zone).date()

        assert shown(instant(day, zone)) == day
        assert shown(instant(day, zone) - TICK) == day - DAY


class TestCutoffTable:
    def test_windows_and_labels_are_calendar_days(self):
        zone = ZoneInfo("Europe/Berlin")
        table = cutoff_table([dt.date(2024, 4, 1)], zone, windows=[30, 1, 30], label=(2, 210))
        assert table.to_pylist() == [
            {
                "cutoff_day": dt.date(2024, 4, 1),
                "cutoff": dt.datetime(2024, 3, 31, 22),
                "start_1d": dt.datetime(2024, 3, 30, 23),  # 23 hours long
                "start_30d": dt.datetime(2024, 3, 1, 23),
                "label_start": dt.datetime(2024, 4, 2, 22),
                "label_end": dt.datetime(2024, 10, 29, 23),  # back on winter time
            }
        ]

    def test_leap_days_are_days(self):
        table = cutoff_table([dt.date(2024, 3, 1)], ZoneInfo("UTC"), windows=[1])
        assert table["start_1d"].to_pylist() == [dt.datetime(2024, 2, 29)]


class TestPlan:
    FIRST = dt.date(2020, 1, 1)

    def plan(self, until, churn=None, **cutoffs):
        return plan(config(churn, **cutoffs), self.FIRST, dt.date.fromisoformat(until))

    def test_the_newest_cutoff_has_just_a_complete_label(self):
        days = self.plan("2021-01-01", {"gap_days": 5}, count=3, every_days=10)
        newest = dt.date(2020, 9, 28)  # 95 days before the end
        assert days == (newest - 20 * DAY, newest - 10 * DAY, newest)

    def test_auto_takes_at_most_18_and_leaves_90_days_of_history(self):
        assert len(self.plan("2030-01-01")) == 18
        days = self.plan("2020-12-31", every_days=30)
        assert days[0] - self.FIRST == 95 * DAY
        assert len(days) == 7
        assert self.plan("2020-12-26")[0] - self.FIRST == 90 * DAY
        assert self.plan("2020-12-25")[0] - self.FIRST == 119 * DAY

    def test_a_short_log_keeps_its_newest_cutoff(self):
        assert self.plan("2020-04-10") == (dt.date(2020, 1, 11),)

    def test_a_given_day_is_the_newest(self):
        assert self.plan("2021-01-01", last=dt.date(2020, 8, 1), count=1) == (dt.date(2020, 8, 1),)
        newest = dt.date(2020, 10, 3)
        assert self.plan("2021-01-01", last=newest, count=1) == (newest,)

    def test_a_label_past_the_end_is_refused(self):
        with pytest.raises(DataError, match=r"last: 2020-10-04 needs labels up to 2021-01-02.*"
                           r"newest cutoff with a complete label is 2020-10-03"):  # fmt: skip
            self.plan("2021-01-01", last=dt.date(2020, 10, 4))

    @pytest.mark.parametrize("last", ["2020-01-01", "2019-06-01", "1971-01-01"])
    def test_a_day_before_the_log_is_refused(self, last):
        with pytest.raises(DataError, match=f"no transactions before cutoff {last}"):
            self.plan("2021-01-01", last=dt.date.fromisoformat(last))

    def test_a_log_shorter_than_its_label_is_refused(self):
        with pytest.raises(DataError, match="no transactions before cutoff 2020-01-01"):
            self.plan("2020-03-31")


def test_the_embargo_lets_a_label_end_at_the_cutoff_and_not_later():
    cutoff = dt.date(2024, 4, 1)
    days = [cutoff - 92 * DAY, cutoff - 91 * DAY, cutoff - 90 * DAY, cutoff]
    assert complete_for(days, cutoff, 91) == tuple(days[:2])
    assert complete_for(days, cutoff, 0) == tuple(days)
    assert complete_for([], cutoff, 5) == ()


def test_days_outside_the_log_are_refused():
    first, until = dt.date(2020, 1, 1), dt.date(2021, 1, 1)
    check_day(first + DAY, first, until)
    check_day(until, first, until)
    with pytest.raises(DataError, match=r"end at 2021-01-01, before 2021-01-02"):
        check_day(until + DAY, first, until)
    with pytest.raises(DataError, match=r"before cutoff 2020-01-01; the log begins on 2020-01-01"):
        check_day(first, first, until)
