"""What was dated, known or loaded at or after a cutoff cannot move one bit of the matrix."""

import datetime as dt
from typing import ClassVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

CUTOFF = dt.date(2024, 4, 1)
MIDNIGHT = dt.datetime(2024, 4, 1)
TICK = dt.timedelta(microseconds=1)
LEVELS = {"channel": ("Web", "it's", "web")}
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
both = pytest.mark.parametrize("late", [False, True], ids=["known at once", "loaded late"])


def bounded(examples):
    """Few examples without shrinking: each builds a matrix, which takes half a second."""
    phases = [Phase.explicit, Phase.generate]
    return settings(max_examples=examples, derandomize=True, deadline=None, phases=phases)


def is_known(row):
    return max(row["ts"], row.get("loaded_at", row["ts"])) < MIDNIGHT


def hide(row):
    """Forget the cells that were not known at the cutoff."""
    undone = row["cancelled_at"]
    return row | {"cancelled_at": undone if undone and undone < MIDNIGHT else None}


def truncate(rows):
    return [hide(row) for row in rows if is_known(row)]


def alter(rows):
    """Change everything about unknown rows and cells but that they were unknown."""
    return [_alter_cells(row) if is_known(row) else _alter_row(row) for row in rows]


def _alter_cells(row):
    undone = row["cancelled_at"]
    later = MIDNIGHT if undone is None else max(undone + dt.timedelta(days=3), MIDNIGHT)
    return row if undone and undone < MIDNIGHT else row | {"cancelled_at": later}


def _alter_row(row):
    waits = "loaded_at" in row and row["loaded_at"] >= MIDNIGHT
    other = {"customer_id": "b" if row["customer_id"] == "a" else "a", "channel": "Web"}
    other |= {"kind": "purchase", "amount": abs(row["amount"]) * 3 + 1}
    # a row that is loaded late may be dated any day; one from the future stays there
    moved = row["ts"] + dt.timedelta(days=-9 if waits else 2)
    return row | other | {"ts": moved, "cancelled_at": moved, "discount": 7}


@both
@given(data=st.data())
@bounded(7)
def test_nothing_unknown_at_the_cutoff_is_seen(typed, logs, image, late, data):
    rows = data.draw(logs(late), "log")
    more = data.draw(logs(late, unknown=True), "added")
    variants = {
        "as it is": rows,
        "cut off": truncate(rows),
        "altered": alter(rows),
        "added": rows + more,
        "altered and added": more + alter(rows),
        "cut off and added": truncate(rows) + more,
    }
    days = [CUTOFF - dt.timedelta(days=30), CUTOFF]
    found = typed.worlds(variants, days, data.draw(ZONES, "zone"), **LEVELS)
    truth = image(found["as it is"])
    for name, matrix in found.items():
        assert image(matrix) == truth, name


@both
@given(data=st.data())
@bounded(2)
def test_truncation_equality(typed, logs, image, late, data):
    rows = data.draw(logs(late), "log")
    zone = data.draw(ZONES, "zone")
    found = []
    for part in (rows, truncate(rows)):
        log = typed.log(part, zone, columns=rows[0].keys())
        schema = typed.schema(log, 30, **LEVELS)
        found.append(image(typed.matrix(log, [CUTOFF], schema, zone)))
    assert found[0] == found[1]


@both
def test_a_change_to_the_known_past_is_seen(typed, image, late):
    """The control: the comparisons above notice the smallest thing that was known."""
    loaded = {"loaded_at": MIDNIGHT - TICK} if late else {}
    row = {"customer_id": "a", "ts": MIDNIGHT - TICK, "amount": 5, "cancelled_at": None} | loaded
    variants = {
        "as it is": [row],
        "paid a hundredth more": [row | {"amount": "5.01"}],
        "refunded": [row, row | {"amount": -1}],
        "cancelled": [row | {"cancelled_at": MIDNIGHT - TICK}],
    }
    found = typed.worlds(variants, [CUTOFF])
    truth = image(found.pop("as it is"))
    assert all(image(matrix) != truth for matrix in found.values())


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"])
def test_the_cutoff_itself_is_out_and_the_microsecond_before_is_in(typed, zone):
    def bought(*moments):
        return [{"customer_id": "a", "ts": ts, "amount": 5} for ts in moments]

    start = MIDNIGHT - dt.timedelta(days=30)
    variants = {
        "out": bought(MIDNIGHT),
        "in": bought(MIDNIGHT - TICK),
        "both": bought(MIDNIGHT - TICK, MIDNIGHT),
        "window": bought(start - TICK, start),
    }
    found = typed.worlds(variants, [CUTOFF], zone)
    assert found["out"].empty
    for name in ("in", "both"):
        row = found[name].iloc[0]
        assert (row["orders"], row["spend_30d"], row["days_since_last_purchase"]) == (1, 5, 0)
    assert found["window"].iloc[0][["orders", "orders_30d"]].tolist() == [2, 1]


def test_a_cancellation_counts_from_its_own_moment(typed, image):
    row = {"customer_id": "a", "ts": dt.datetime(2024, 3, 1), "amount": 5, "cancelled_at": None}
    variants = {
        "never": [row],
        "at the cutoff": [row | {"cancelled_at": MIDNIGHT}],
        "before": [row | {"cancelled_at": MIDNIGHT - TICK}],
    }
    found = typed.worlds(variants, [CUTOFF])
    assert image(found["never"]) == image(found["at the cutoff"])
    before = found["before"].iloc[0]
    assert before[["orders", "refunds", "refunded", "refund_share"]].tolist() == [1, 1, 5, 1]


class TestVersions:
    FIRST: ClassVar = {
        "customer_id": "a",
        "transaction_id": "t",
        "ts": dt.datetime(2024, 2, 1),
        "amount": 5,
        "loaded_at": dt.datetime(2024, 2, 2),
    }

    def spend(self, typed, *later, day=CUTOFF):
        rows = [self.FIRST, *(self.FIRST | version for version in later)]
        return typed.worlds({"w": rows}, [day])["w"]["spend"].tolist()

    def test_the_newest_that_was_loaded_counts_once(self, typed):
        second = {"amount": 7, "loaded_at": MIDNIGHT - TICK}
        third = {"amount": 9, "loaded_at": MIDNIGHT}
        assert self.spend(typed, third, second) == [7]

    def test_one_loaded_at_the_cutoff_changes_nothing(self, typed):
        assert self.spend(typed, {"amount": 7, "loaded_at": MIDNIGHT}) == [5]

    def test_one_dated_after_the_cutoff_leaves_the_old_one_in_force(self, typed):
        moved = {"amount": 7, "ts": MIDNIGHT, "loaded_at": MIDNIGHT - TICK}
        assert self.spend(typed, moved) == [5]
        assert self.spend(typed, moved, day=CUTOFF + dt.timedelta(days=1)) == [7]

    def test_one_replaced_before_its_date_comes_never_counts(self, typed):
        moved = {"amount": 7, "ts": MIDNIGHT, "loaded_at": dt.datetime(2024, 3, 1)}
        back = {"amount": 9, "loaded_at": dt.datetime(2024, 3, 2)}
        assert self.spend(typed, moved, back) == [9]
        assert self.spend(typed, moved, back, day=CUTOFF + dt.timedelta(days=9)) == [9]

    def test_a_correction_may_give_the_purchase_to_another(self, typed):
        matrix = typed.worlds(
            {"w": [self.FIRST, self.FIRST | {"customer_id": "b", "loaded_at": MIDNIGHT - TICK}]},
            [CUTOFF - dt.timedelta(days=1), CUTOFF],
        )["w"]
        assert matrix["customer_id"].tolist() == ["a", "b"]

    def test_rows_without_a_name_are_never_versions_of_each_other(self, typed):
        nameless = {"transaction_id": None, "loaded_at": dt.datetime(2024, 3, 1)}
        rows = [self.FIRST | nameless, self.FIRST | nameless]
        assert typed.worlds({"w": rows}, [CUTOFF])["w"]["spend"].tolist() == [10]

    def test_a_log_without_names_only_waits_for_its_rows(self, typed):
        rows = [{k: v for k, v in self.FIRST.items() if k != "transaction_id"}]
        found = typed.worlds({"w": rows * 2}, [dt.date(2024, 2, 2), dt.date(2024, 2, 3)])["w"]
        assert found["spend"].tolist() == [10]
        assert found["cutoff"].astype(str).tolist() == ["2024-02-03"]
