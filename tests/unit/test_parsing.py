"""Local days come out right in every zone, and agree with the standard library."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import ibis
import pyarrow as pa
import pytest

from tenure.parsing import flag, instant, local_day, money

# days on which some zone has no midnight, has two, or changes its clock otherwise
DAYS = [
    "1985-04-28", "2018-11-04", "2018-02-18", "2020-03-29", "2020-10-25", "2021-03-14",
    "2021-11-07", "2021-10-03", "2022-03-27", "2022-03-22", "2011-10-30", "2006-10-29",
    "2021-02-28", "2024-02-29", "1999-12-31", "2023-04-28", "2021-03-28", "2017-10-15",
]  # fmt: skip


@pytest.fixture(scope="module")
def con():
    engine = ibis.duckdb.connect()
    yield engine
    engine.disconnect()


@pytest.mark.parametrize("part", range(4))
def test_a_date_keeps_its_day_in_every_zone(con, part):
    zones = sorted(z for z in available_timezones() if "/" in z)[part::4]
    con.con.register(f"days_{part}", pa.table({"given": DAYS}))
    table = con.table(f"days_{part}")
    asked = {z: local_day(instant(table.given, z), z).cast("string") for z in zones}
    found = con.to_pyarrow(table.select(given=table.given, **asked))
    wrong = [z for z in zones if found[z].to_pylist() != found["given"].to_pylist()]
    assert wrong == []


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_moments_agree_with_the_standard_library(con, zone):
    local = [dt.datetime(2021, m, d, 12, 34, 56) for m in range(1, 13) for d in (1, 14, 28)]
    name = "moments_" + zone.replace("/", "_")
    con.con.register(name, pa.table({"given": [str(t) for t in local]}))
    table = con.table(name)
    found = con.to_pyarrow(table.select(at=instant(table.given, zone)))["at"].to_pylist()
    expected = [t.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC) for t in local]
    assert [t.replace(tzinfo=dt.UTC) for t in found] == expected


@pytest.mark.parametrize(
    ("given", "point", "comma"),
    [
        ("1 234,50", None, "1234.5"),
        ("1\u00a0234\u202f567", "1234567", "1234567"),
        ("1'234.50", "1234.5", None),
        ("1’234,50", None, "1234.5"),
        ("12 34", None, None),  # two numbers, or a slip
        ("1 23", None, None),
        ("12 345 6", None, None),
        ("1  234", None, None),
        ("( 12.50 )", "-12.5", None),
        ("(12,50)", None, "-12.5"),
        ("- 5", "-5", "-5"),
        ("+ 7", "7", "7"),
        ("€ 12", "12", "12"),
        ("12 €", "12", "12"),
        ("-€ 1 234", "-1234", "-1234"),
        ("€-5", "-5", "-5"),
        (" 12 ", "12", "12"),
        ("(-5)", None, None),
        ("12 pieces", None, None),
        ("", None, None),
    ],
)
def test_amounts_as_people_write_them(con, given, point, comma):
    value = ibis.literal(given)
    for decimal_comma, expected in ((False, point), (True, comma)):
        found = con.to_pyarrow(money(value, decimal_comma).name("x")).as_py()
        assert found == (None if expected is None else Decimal(expected)), decimal_comma


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Yes", True), (" y", True), ("1", True), ("1.0", True), ("TRUE", True), ("t", True),
     ("no", False), ("N", False), ("0", False), ("0.0", False), ("false", False),
     ("2", None), ("maybe", None), ("", None), ("null", None)],
)  # fmt: skip
def test_flags(con, given, expected):
    assert con.to_pyarrow(flag(ibis.literal(given)).name("x")).as_py() is expected
