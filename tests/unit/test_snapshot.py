"""Which rows and cells a cutoff sees."""

import datetime as dt
from zoneinfo import ZoneInfo

import ibis
import pytest

from tenure.contract import TABLES
from tenure.cutoffs import cutoff_table
from tenure.snapshot import during, final, seen, versions

CUTOFF = dt.datetime(2024, 4, 1)
TICK = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def cuts():
    return ibis.memtable(cutoff_table([CUTOFF.date()], ZoneInfo("UTC"), label=(2, 5)))


def rows(table, *columns):
    return [tuple(r[c] for c in columns) for r in table.to_pyarrow().to_pylist()]


def bought(ts, **more):
    return {"customer_id": "a", "ts": ts, "amount": 5} | more


class TestSeen:
    def test_history_ends_before_the_cutoff(self, typed, cuts):
        log = typed.log([bought(CUTOFF - TICK), bought(CUTOFF), bought(CUTOFF + DAY)])
        assert rows(seen(log, cuts, "ts"), "ts") == [(CUTOFF - TICK,)]

    def test_rows_loaded_from_the_cutoff_on_are_hidden(self, typed, cuts):
        before = CUTOFF - 9 * DAY
        log = typed.log([bought(before, loaded_at=at) for at in (CUTOFF - TICK, CUTOFF)])
        assert rows(seen(log, cuts, "ts"), "loaded_at") == [(CUTOFF - TICK,)]

    def test_a_past_fact_is_null_until_its_own_instant(self, typed, cuts):
        before = CUTOFF - 9 * DAY
        log = typed.log([bought(before, delivered_at=at) for at in (CUTOFF - TICK, CUTOFF, None)])
        found = rows(seen(log, cuts, "ts"), "delivered_at")
        assert sorted(found, key=str) == [(None,), (None,), (CUTOFF - TICK,)]

    def test_a_planned_date_may_lie_in_the_future(self, typed, cuts):
        promised = CUTOFF + 3 * DAY
        log = typed.log([bought(CUTOFF - DAY, promised_at=promised)])
        assert rows(seen(log, cuts, "ts", planned=frozenset({"promised_at"})), "promised_at") == [
            (promised,)
        ]
        assert rows(seen(log, cuts, "ts"), "promised_at") == [(None,)]

    def test_what_hangs_on_a_fact_is_hidden_with_it(self, typed, cuts):
        log = typed.log(
            [
                bought(CUTOFF - DAY, delivered_at=at, channel=name)
                for name, at in (("early", CUTOFF - TICK), ("late", CUTOFF), ("never", None))
            ]
        )
        hangs = {"channel": "delivered_at", "kind": None}
        found = rows(seen(log, cuts, "ts", hangs_on=hangs), "channel", "kind")
        assert sorted(found, key=str) == [("early", None), (None, None), (None, None)]

    def test_a_row_meets_every_cutoff_that_knows_it(self, typed):
        days = [CUTOFF.date() + k * DAY for k in (-1, 0, 1)]
        cuts = ibis.memtable(cutoff_table(days, ZoneInfo("UTC")))
        log = typed.log([bought(CUTOFF - TICK, delivered_at=CUTOFF)])
        found = sorted(rows(seen(log, cuts, "ts"), "cutoff_day", "delivered_at"))
        assert found == [(days[1], None), (days[2], CUTOFF)]


class TestVersions:
    def log(self, typed, *versions_):
        return typed.log(
            [
                bought(ts, loaded_at=loaded, transaction_id=name, amount=i + 1)
                for i, (name, ts, loaded) in enumerate(versions_)
            ]
        )

    def superseded(self, table):
        found = rows(versions(table, TABLES["transactions"]), "amount", "superseded_at")
        return [at for _, at in sorted(found)]

    def test_a_row_is_replaced_once_a_later_version_is_both_dated_and_loaded(self, typed):
        t = [CUTOFF + k * DAY for k in range(12)]
        log = self.log(
            typed,
            ("x", t[0], t[1]),
            ("x", t[10], t[2]),  # moved to the tenth, known on the second
            ("x", t[5], t[3]),  # moved back to the fifth
            ("y", t[0], t[1]),
            (None, t[0], t[1]),
            (None, t[0], t[2]),
        )
        assert self.superseded(log) == [t[5], t[5], None, None, None, None]
        kept = rows(final(versions(log, TABLES["transactions"])), "amount")
        assert sorted(int(a) for (a,) in kept) == [3, 4, 5, 6]

    def test_superseded_at_the_cutoff_is_still_in_force(self, typed, cuts):
        log = self.log(typed, ("x", CUTOFF - DAY, CUTOFF - DAY), ("x", CUTOFF - DAY, CUTOFF))
        found = seen(versions(log, TABLES["transactions"]), cuts, "ts")
        assert "superseded_at" not in found.columns
        assert [int(a) for (a,) in rows(found, "amount")] == [1]

    def test_tables_without_load_dates_or_names_have_one_version(self, typed):
        plain = typed.log([bought(CUTOFF, transaction_id="x")])
        nameless = typed.log([bought(CUTOFF, loaded_at=CUTOFF)])
        for table in (plain, nameless):
            assert versions(table, TABLES["transactions"]) is table
            assert final(table) is table


def test_a_label_window_is_half_open(typed, cuts):
    start, end = CUTOFF + 2 * DAY, CUTOFF + 7 * DAY
    log = typed.log([bought(ts) for ts in (start - TICK, start, end - TICK, end)])
    assert sorted(rows(during(log, cuts, "ts"), "ts")) == [(start,), (end - TICK,)]
