"""What must not matter to the matrix, or matter in one known way."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tenure.features import matrix
from tenure.features.matrix import plan_schema

CUTOFF = dt.date(2024, 4, 1)
LEVELS = {"channel": ("Web", "it's", "web")}
both = pytest.mark.parametrize("late", [False, True], ids=["known at once", "loaded late"])


def bounded(examples):
    """Few examples without shrinking: each builds a matrix, which takes half a second."""
    phases = [Phase.explicit, Phase.generate]
    return settings(max_examples=examples, derandomize=True, deadline=None, phases=phases)


def shifted(rows, days):
    move = dt.timedelta(days=days)
    dates = ("ts", "cancelled_at", "loaded_at")
    return [row | {k: row[k] + move for k in dates if row.get(k)} for row in rows]


@both
@given(data=st.data(), days=st.sampled_from([-4000, -365, -1, 1, 29, 366, 10000]))
@bounded(3)
def test_shifting_all_dates_with_the_cutoff_changes_nothing(typed, logs, image, late, data, days):
    rows = data.draw(logs(late))
    there = CUTOFF + dt.timedelta(days=days)
    found = typed.worlds({"a": rows, "b": shifted(rows, days)}, [CUTOFF, there], **LEVELS)
    here, moved = found["a"], found["b"]
    here = here[here["cutoff"] == str(CUTOFF)]
    moved = moved[moved["cutoff"] == str(there)].assign(cutoff=pd.Timestamp(CUTOFF))
    assert image(here) == image(moved)


@both
@given(data=st.data())
@bounded(2)
def test_order_and_partition_of_the_rows_do_not_matter(typed, logs, image, late, data):
    rows = data.draw(logs(late))
    again = data.draw(st.permutations(rows))
    at = data.draw(st.integers(0, len(rows)))
    one = typed.log(rows)
    parts = [typed.log(part, columns=rows[0].keys()) for part in (again[at:], again[:at])]
    schema = typed.schema(one, 30, **LEVELS)
    other = parts[0].union(parts[1].select(parts[0].columns))
    found = [image(typed.matrix(log, [CUTOFF], schema)) for log in (one, other)]
    assert found[0] == found[1]


@given(data=st.data())
@bounded(2)
def test_names_of_customers_do_not_matter(typed, logs, image, data):
    rows = data.draw(logs(False))
    names = {"a": 'zoë\'s "shop"|', "b": " 007"}
    log = typed.log(rows)
    schema = typed.schema(log, 30, **LEVELS)
    other = typed.log([row | {"customer_id": names[row["customer_id"]]} for row in rows])
    truth = typed.matrix(log, [CUTOFF], schema)
    truth["customer_id"] = truth["customer_id"].map(names)
    truth = truth.sort_values("customer_id", ignore_index=True)
    assert image(typed.matrix(other, [CUTOFF], schema)) == image(truth)


@both
@given(data=st.data())
@bounded(2)
def test_other_customers_do_not_matter(typed, logs, image, late, data):
    rows, others = data.draw(logs(late)), data.draw(logs(late))
    rows = [row | {"transaction_id": None} for row in rows]
    others = [row | {"customer_id": f"aa{row['customer_id']}"} for row in others]
    alone, among = typed.log(rows), typed.log(others + rows)
    schema = typed.schema(alone, 30, **LEVELS)
    days = [CUTOFF - dt.timedelta(days=30), CUTOFF]
    truth = typed.matrix(alone, days, schema)
    found = typed.matrix(among, days, schema)
    found = found[found["customer_id"].isin(["a", "b"])].reset_index(drop=True)
    assert image(found) == image(truth)


@given(data=st.data(), factor=st.sampled_from(["0.5", "4", "1024"]))
@bounded(3)
def test_currency_scales_money_and_nothing_else(typed, logs, data, factor):
    c = Decimal(factor)  # powers of two, so that floating point scales exactly
    rows = [row | {"amount": row["amount"] * 2} for row in data.draw(logs(False))]
    scaled = [
        row
        | {"amount": row["amount"] * c}
        | {"discount": row["discount"] and Decimal(row["discount"]) * c}
        for row in rows
    ]
    found = typed.worlds({"a": rows, "b": scaled}, [CUTOFF], **LEVELS)
    log = typed.log(rows)
    money = {
        "spend", "largest_basket", "average_basket", "refunded", "monetary_value",
    }  # fmt: skip
    for column in typed.schema(log, 30, **LEVELS).columns():
        one, other = (found[k][column.name].to_numpy() for k in "ab")
        assert column.unit.startswith("currency") == (column.feature in money)
        times = float(c) if column.feature in money else 1.0
        np.testing.assert_array_equal(one * times, other, err_msg=column.name)


@given(data=st.data())
@bounded(2)
def test_rows_loaded_when_they_happen_need_no_load_date(typed, logs, image, data):
    rows = [row | {"transaction_id": f"t{i}"} for i, row in enumerate(data.draw(logs(False)))]
    plain = typed.log(rows)
    loaded = typed.log([row | {"loaded_at": row["ts"]} for row in rows])
    schema = typed.schema(plain, 30, **LEVELS)
    found = [image(typed.matrix(log, [CUTOFF], schema)) for log in (plain, loaded)]
    assert found[0] == found[1]


@both
@given(data=st.data())
@bounded(2)
def test_many_cutoffs_in_one_pass_equal_one_pass_each(typed, logs, image, late, data):
    log = typed.log(data.draw(logs(late)), "Europe/Berlin")
    schema = typed.schema(log, 30, **LEVELS)
    days = [CUTOFF + dt.timedelta(days=k) for k in (-31, 0)]
    at_once = typed.matrix(log, days, schema, "Europe/Berlin")
    for day in days:
        alone = typed.matrix(log, [day], schema, "Europe/Berlin")
        part = at_once[at_once["cutoff"] == str(day)]
        assert image(part.reset_index(drop=True)) == image(alone)


class TestSchema:
    """Windows and levels are fixed by what was known at the earliest cutoff."""

    @pytest.fixture(autouse=True)
    def _a_level_needs_one_customer(self, monkeypatch):
        monkeypatch.setattr(matrix, "FEWEST", 1)  # the privacy rule has a test of its own

    def plan(self, typed, rows, levels=None, days=60):
        first = CUTOFF - dt.timedelta(days=days)
        tables = {"transactions": typed.log(rows)}
        return plan_schema(tables, first, CUTOFF, ZoneInfo("UTC"), levels or {})

    def rows(self, channels, day=CUTOFF - dt.timedelta(days=9)):
        return [
            {"customer_id": str(i), "ts": day, "amount": 5, "channel": channel}
            for i, channel in enumerate(channels)
        ]

    def test_the_eight_most_frequent_levels_are_kept_ties_by_name(self, typed):
        schema = self.plan(typed, self.rows("AABBCCDDEEFFGGkjih"))
        assert schema.levels["transactions.channel"] == tuple("ABCDEFGh")

    def test_other_is_never_a_level_of_its_own(self, typed):
        rows = self.rows(["other", "other", "web"])
        assert self.plan(typed, rows).levels["transactions.channel"] == ("web",)
        given = {"channel": ["shop", "other"]}
        assert self.plan(typed, rows, given).levels["transactions.channel"] == ("shop",)

    def test_levels_seen_from_the_cutoff_on_do_not_count(self, typed):
        rows = self.rows(["web"]) + self.rows(["app"] * 5, CUTOFF)
        assert self.plan(typed, rows).levels["transactions.channel"] == ("web",)

    def test_a_level_of_fewer_than_ten_customers_may_be_free_text(self, typed, monkeypatch):
        monkeypatch.undo()
        rows = self.rows(["web"] * 10 + ["jane@example.org"] * 9)
        assert self.plan(typed, rows).levels["transactions.channel"] == ("web",)
        assert self.plan(typed, self.rows(["web"] * 9)).levels["transactions.channel"] == ()

    def test_refunds_and_zero_amounts_bring_no_level(self, typed):
        rows = self.rows(["web", "desk", "gift"])
        rows[1]["amount"], rows[2]["amount"] = -5, 0
        assert self.plan(typed, rows).levels["transactions.channel"] == ("web",)

    @pytest.mark.parametrize(
        ("days", "windows"), [(29, set()), (30, {30}), (180, {30, 60, 90, 180})]
    )
    def test_windows_longer_than_the_history_are_left_out(self, typed, days, windows):
        assert self.plan(typed, self.rows("A"), days=days).windows() == windows

    def test_json_and_back(self, typed):
        schema = self.plan(typed, self.rows(["web", 'we"b']))
        assert type(schema).from_json(schema.to_json()) == schema

    def test_a_level_named_like_a_window_keeps_its_own_column(self, typed):
        rows = self.rows(["web", "web_90d"])
        schema = self.plan(typed, rows, days=90)
        matrix = typed.matrix(typed.log(rows), [CUTOFF], schema)
        names = [column.name for column in schema.columns()]
        assert len(names) == len(set(names))
        # 2 levels and `other`, within 90 days and of all time
        assert sum(name.startswith("channel_share") for name in matrix.columns) == 6
