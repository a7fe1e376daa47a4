"""One broken row per rule: it is set aside under the rule's name, and the others stay."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tenure.config import Config
from tenure.contract import TABLES, rules, says
from tenure.errors import DataError
from tenure.sources import load

SOUND = {
    "customer_id": "007",
    "ts": "2021-03-04 10:00:00",
    "amount": "12.50",
    "transaction_id": "t{}",
    "kind": "purchase",
    "channel": "web",
    "currency": "EUR",
    "quantity": "2",
    "unit_price": "6.25",
    "discount": "0.5",
    "promised_at": "2021-03-06",
    "cancelled_at": "",
    "delivered_at": "2021-03-05 09:00",
    "loaded_at": "2021-03-04 11:00:00",
}
BROKEN = [
    ("missing_customer", {"customer_id": ""}),
    ("missing_customer", {"customer_id": "  "}),
    ("missing_date", {"ts": ""}),
    ("missing_date", {"ts": "NULL"}),
    ("missing_amount", {"amount": ""}),
    ("missing_amount", {"amount": "NaN"}),
    ("missing_quantity", {"quantity": ""}),
    ("missing_unit_price", {"unit_price": "n/a"}),
    ("missing_loaded_at", {"loaded_at": ""}),
    *((f"unreadable_{c}", {c: "soon"}) for c in TABLES["transactions"].kinds("instant")),
    *((f"impossible_{c}", {c: "9999-12-31"}) for c in TABLES["transactions"].kinds("instant")),
    ("unreadable_ts", {"ts": "2021-02-29"}),
    ("unreadable_ts", {"ts": "2021-03-04 10:00:00 Mars/Phobos"}),
    ("impossible_ts", {"ts": "0001-01-01"}),
    ("impossible_ts", {"ts": "1970-01-01 00:00:00"}),
    *((f"unreadable_{c}", {c: "much"}) for c in TABLES["transactions"].kinds("money", "count")),
    ("unreadable_amount", {"amount": "1,2,3"}),
    ("unreadable_amount", {"amount": "12,5"}),  # beside 12.50 a decimal comma is a slip
    *((f"absurd_{c}", {c: "1e300"}) for c in TABLES["transactions"].kinds("money", "count")),
    ("absurd_amount", {"amount": "inf"}),
    ("absurd_amount", {"amount": "10000000000000"}),
    ("unknown_currency", {"currency": ""}),
    ("unknown_currency", {"currency": "euros"}),
    ("unknown_kind", {"kind": "exchange"}),
    ("negative_purchase", {"amount": "-3"}),
]
RULES = rules(TABLES["transactions"])
SAYS = says(TABLES["transactions"], RULES)
_NEEDS_PRICE = ("unit_price", "missing_quantity")


def columns_for(rule: str) -> list[str]:
    """Return the columns of a table in which the rule can act."""
    names = [c for c in SOUND if c != "loaded_at" or "loaded_at" in rule]
    priced = any(word in rule for word in _NEEDS_PRICE)
    return [n for n in names if n != ("amount" if priced else "unit_price")]


def write(path: Path, rows: list[dict[str, str]], columns: list[str]) -> Config:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return Config.model_validate(
        {
            "project": "t",
            "currency": "EUR",
            "data": {"tables": {"transactions": {"path": str(path)}}},
        }
    )


def sound_rows(n: int) -> list[dict[str, str]]:
    return [{k: v.format(i) for k, v in SOUND.items()} for i in range(n)]


@pytest.mark.parametrize(("rule", "change"), BROKEN)
def test_a_broken_row_is_set_aside_under_its_rule(tmp_path, rule, change):
    rows = sound_rows(5)
    rows[2] |= change
    with load(write(tmp_path / "t.csv", rows, columns_for(rule))) as sources:
        report = sources.report.tables["transactions"]
        assert report.set_aside == {rule: 1}
        assert (report.rows_read, report.rows_kept) == (5, 4)
        (sentence,) = report.sentences
        assert sentence.startswith(f"{rule}: 1 of 5 row of transactions set aside (first: 3):")
        assert SAYS[rule] in sentence
        assert sources.write_quarantine(tmp_path / "q.parquet") == 1
    kept_as_given = pq.read_table(tmp_path / "q.parquet").to_pylist()[0]
    assert (kept_as_given["rule"], kept_as_given["row"]) == (rule, 3)
    for column, value in change.items():
        assert (kept_as_given[column] or "") == value


def test_every_rule_has_a_broken_row_here():
    assert {rule.name for rule in RULES} == {rule for rule, _ in BROKEN}


def test_a_line_with_too_few_fields_is_counted_and_kept_as_text(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("customer_id,ts,amount\na,2021-01-01,5\nb,2021\nc,2021-01-03,7\n")
    config = write(tmp_path / "other.csv", [], [])
    config = config.model_copy(
        update={
            "data": Config.model_validate(
                {"project": "t", "data": {"tables": {"transactions": {"path": str(file)}}}}
            ).data
        }
    )
    with load(config) as sources:
        assert sources.report.tables["transactions"].set_aside == {"broken_line": 1}
        sources.write_quarantine(tmp_path / "q.parquet")
    (row,) = pq.read_table(tmp_path / "q.parquet").to_pylist()
    assert (row["rule"], row["row"], row["line"]) == ("broken_line", 2, "b,2021")


class TestRepeats:
    def test_equal_rows_of_one_id_are_one(self, tmp_path):
        rows = sound_rows(5)
        with load(write(tmp_path / "t.csv", [*rows, rows[1]], columns_for(""))) as sources:
            assert sources.report.tables["transactions"].set_aside == {"repeated_row": 1}

    def test_the_earliest_row_of_an_id_stays(self, tmp_path):
        rows = sound_rows(5)
        later = rows[1] | {"ts": "2021-03-09 10:00:00", "amount": "99.00"}
        with load(write(tmp_path / "t.csv", [later, *rows], columns_for(""))) as sources:
            assert sources.report.tables["transactions"].set_aside == {"repeated_id": 1}
            kept = sources.con.to_pyarrow(sources.tables["transactions"]).to_pylist()
        assert {float(r["amount"]) for r in kept} == {12.5}

    def test_a_tie_does_not_depend_on_the_order_of_rows(self, tmp_path):
        rows = sound_rows(4)
        twin = rows[1] | {"amount": "99.00"}
        stays = []
        for order in ([*rows, twin], [twin, *rows]):
            with load(write(tmp_path / "t.csv", order, columns_for(""))) as sources:
                t = sources.tables["transactions"]
                kept = sources.con.to_pyarrow(t.filter(t.transaction_id == "t1")).to_pylist()
            stays.append(kept)
        assert stays[0] == stays[1]
        assert len(stays[0]) == 1

    def test_what_happens_later_does_not_choose_between_twins(self, tmp_path):
        # delivered on the 6th in one, on the 7th in the other; a cancellation on the 20th that
        # only the second knows, or no longer knows, must not change what stood on the 10th
        rows = sound_rows(4)
        first = rows[1] | {"delivered_at": "2021-03-06"}
        stays = []
        for cancelled in ("2021-03-20", ""):
            second = rows[1] | {"delivered_at": "2021-03-07", "cancelled_at": cancelled}
            table = [rows[0], first, second, *rows[2:]]
            with load(write(tmp_path / "t.csv", table, columns_for(""))) as sources:
                t = sources.tables["transactions"]
                kept = sources.con.to_pyarrow(t.filter(t.transaction_id == "t1")).to_pylist()
            stays.append([str(r["delivered_at"]) for r in kept])
        assert stays == [["2021-03-06 00:00:00"]] * 2

    def test_with_loaded_at_all_versions_stay(self, tmp_path):
        rows = sound_rows(3)
        version = rows[1] | {"amount": "99.00", "loaded_at": "2021-04-01"}
        columns = columns_for("loaded_at")
        with load(write(tmp_path / "t.csv", [*rows, version, version], columns)) as sources:
            report = sources.report.tables["transactions"]
        assert report.set_aside == {"repeated_row": 1}
        assert report.rows_kept == 4

    def test_without_an_id_copies_stay_and_are_counted(self, tmp_path):
        rows = sound_rows(3)
        columns = [c for c in columns_for("") if c != "transaction_id"]
        with load(write(tmp_path / "t.csv", rows, columns)) as sources:
            report = sources.report.tables["transactions"]
        assert report.rows_kept == 3
        assert any(note.startswith("2 rows repeat another row exactly") for note in report.notes)

    def test_item_lines_are_refused_with_the_remedy(self, tmp_path):
        rows = [
            r | {"transaction_id": "one", "amount": str(i)} for i, r in enumerate(sound_rows(5))
        ]
        with pytest.raises(DataError, match=r"repeated_id: 4 of 5 rows(.|\n)*GROUP BY"):
            load(write(tmp_path / "t.csv", rows, columns_for("")))


class TestMajorities:
    def test_a_rule_that_takes_more_than_half_stops_the_run(self, tmp_path):
        rows = [r | {"ts": "soon"} for r in sound_rows(3)] + sound_rows(2)
        with pytest.raises(DataError, match=r"unreadable_ts: 3 of 5 rows"):
            load(write(tmp_path / "t.csv", rows, columns_for("")))

    def test_unless_it_is_a_missing_customer(self, tmp_path):
        rows = [r | {"customer_id": ""} for r in sound_rows(3)]
        named = [r | {"transaction_id": f"n{i}"} for i, r in enumerate(sound_rows(2))]
        with load(write(tmp_path / "t.csv", rows + named, columns_for(""))) as sources:
            assert sources.report.tables["transactions"].set_aside == {"missing_customer": 3}

    def test_nothing_left_is_an_error(self, tmp_path):
        rows = [r | {"customer_id": ""} for r in sound_rows(3)]
        with pytest.raises(DataError, match="no transactions are left"):
            load(write(tmp_path / "t.csv", rows, columns_for("")))


def test_item_lines_without_ids_are_told(tmp_path):
    lines = ["customer_id,ts,amount"]
    lines += [f"c{i},2024-01-{1 + i:02} 10:00,{k}" for i in range(9) for k in (1, 2, 3)]
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    raw = {"project": "x", "data": {"tables": {"transactions": {"path": str(path)}}}}
    with load(Config.model_validate(raw)) as sources:
        notes = sources.report.tables["transactions"].notes
    assert any("18 of 27 rows share customer and moment" in note for note in notes)


def test_rules_that_together_take_more_than_half_stop_the_run(tmp_path):
    lines = ["customer_id,ts,amount"]
    lines += [f"c{i},2024-01-02,5" for i in range(10)]
    lines += [f"c{i},not a day,5" for i in range(7)] + [f"c{i},2024-01-02,x" for i in range(7)]
    path = tmp_path / "half.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    raw = {"project": "x", "data": {"tables": {"transactions": {"path": str(path)}}}}
    with (
        pytest.raises(DataError, match="more than half of the rows break a rule"),
        load(Config.model_validate(raw)),
    ):
        pass
