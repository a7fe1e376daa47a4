"""Loading: kinds of files, mappings, currencies, time zones, and inputs that must be refused."""

import datetime as dt
import gzip
import os
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.config import Config
from tenure.errors import ConfigError, DataError, EnvironmentFault
from tenure.files import faults
from tenure.sources import Sources, load

HEADER = "customer_id,ts,amount\n"
ROWS = "007,2021-01-01,5\n007,2021-02-01,7.25\nb,2021-02-03,3\n"


def config(path: object = None, **changes: object) -> Config:
    """Return a config that reads `path`; `changes` go to the table if they are its keys."""
    whole = {"timezone", "currency", "rates"}
    table = {k: v for k, v in changes.items() if k not in whole}
    if path is not None:
        table["path"] = [str(p) for p in path] if isinstance(path, list) else str(path)
    top = {k: v for k, v in changes.items() if k in whole}
    raw = {"project": "t", "data": {"tables": {"transactions": table}}, **top}
    return Config.model_validate(raw)


def rows(sources: Sources, *columns: str) -> list[tuple]:
    """Return some columns of all rows, in the order of time and customer."""
    t = sources.tables["transactions"].order_by("ts", "customer_id", "amount")
    return [tuple(r[c] for c in columns) for r in sources.con.to_pyarrow(t).to_pylist()]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write(tmp_path / "t.csv", HEADER + ROWS)


EXPECTED = [
    ("007", dt.date(2021, 1, 1), Decimal("5.0000")),
    ("007", dt.date(2021, 2, 1), Decimal("7.2500")),
    ("b", dt.date(2021, 2, 3), Decimal("3.0000")),
]


class TestKindsOfFiles:
    def read(self, *args, **kwargs):
        with load(config(*args, **kwargs)) as sources:
            return rows(sources, "customer_id", "day", "amount")

    def test_csv(self, csv):
        assert self.read(csv) == EXPECTED

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_other_delimiters_and_a_byte_order_mark(self, tmp_path, delimiter):
        text = (HEADER + ROWS).replace(",", delimiter)
        file = tmp_path / "t.txt"
        file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
        assert self.read(file) == EXPECTED

    def test_gzip(self, tmp_path):
        file = tmp_path / "t.csv.gz"
        file.write_bytes(gzip.compress((HEADER + ROWS).encode()))
        assert self.read(file) == EXPECTED

    def test_json_lines_keep_ids_and_may_lack_keys(self, tmp_path):
        file = write(
            tmp_path / "t.jsonl",
            '{"customer_id": "007", "ts": "2021-01-01", "amount": 5, "a/b": 1}\n'
            '{"customer_id": "007", "ts": "2021-02-01", "amount": "7.25"}\n'
            '{"ts": "2021-02-03", "amount": 3.0, "customer_id": "b"}\n',
        )
        assert self.read(file) == EXPECTED

    def test_parquet_with_types(self, tmp_path):
        table = pa.table(
            {
                "customer_id": ["007", "007", "b"],
                "ts": pa.array([dt.date(2021, 1, 1), dt.date(2021, 2, 1), dt.date(2021, 2, 3)]),
                "amount": [5.0, 7.25, 3.0],
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        assert self.read(tmp_path / "t.parquet") == EXPECTED

    def test_a_table_of_a_duckdb_file(self, tmp_path, csv):
        file = tmp_path / "shop.duckdb"
        with duckdb.connect(str(file)) as con:
            con.execute(f"CREATE TABLE orders AS FROM read_csv('{csv}', all_varchar=true)")
        assert self.read(file, table="orders") == EXPECTED
        with pytest.raises(ConfigError, match=r"no table 'order'\. It holds: orders"):
            load(config(file, table="order"))
        with pytest.raises(ConfigError, match="needs `table:`"):
            load(config(file))

    def test_a_view_that_reads_other_files_is_refused(self, tmp_path, csv):
        file = tmp_path / "shop.duckdb"
        with duckdb.connect(str(file)) as con:
            con.execute(f"CREATE VIEW orders AS FROM read_csv('{csv}')")
        with pytest.raises(DataError, match="cannot be read"):
            load(config(file, table="orders"))

    def test_globs_and_lists(self, tmp_path):
        write(tmp_path / "a.csv", HEADER + ROWS.splitlines(keepends=True)[0])
        write(
            tmp_path / "b.csv", "amount,ts,customer_id\n" + "7.25,2021-02-01,007\n3,2021-02-03,b\n"
        )
        assert self.read(tmp_path / "*.csv") == EXPECTED
        both = [tmp_path / "b.csv", tmp_path / "a.csv", tmp_path / "a.csv"]
        assert self.read(both) == EXPECTED

    def test_relative_paths_and_links(self, tmp_path, csv, monkeypatch):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "link.csv").symlink_to(csv)
        monkeypatch.chdir(tmp_path / "deep")
        for path in ("../t.csv", "./../t.csv", "link.csv", "../*.csv", "../deep/*.csv"):
            assert self.read(path) == EXPECTED

    def test_names_with_brackets_quotes_and_stars(self, tmp_path):
        assert self.read(write(tmp_path / "o'[r]d*\"ers.csv", HEADER + ROWS)) == EXPECTED

    def test_integers_may_be_dates_and_whole_floats_ids(self, tmp_path):
        table = pa.table({"id": [17850.0, None], "d": [20210203, 20210204], "amount": [1, 2]})
        pq.write_table(table, tmp_path / "t.parquet")
        columns = {"customer_id": "id", "ts": "d"}
        with load(config(tmp_path / "t.parquet", columns=columns)) as sources:
            assert rows(sources, "customer_id", "day") == [("17850", dt.date(2021, 2, 3))]

    def test_nanoseconds_and_offsets_of_parquet(self, tmp_path):
        at = [1612137600_000000000]  # 2021-02-01 00:00 UTC
        table = pa.table(
            {
                "customer_id": ["a"],
                "ts": pa.array(at, pa.timestamp("ns", "UTC")),
                "delivered_at": pa.array(at, pa.timestamp("ns")),
                "amount": [1],
            }
        )
        pq.write_table(table, tmp_path / "t.parquet")
        with load(config(tmp_path / "t.parquet", timezone="America/New_York")) as sources:
            (row,) = rows(sources, "ts", "day", "delivered_at")
        assert row == (
            dt.datetime(2021, 2, 1),
            dt.date(2021, 1, 31),
            dt.datetime(2021, 2, 1, 5),  # a clock's time without zone is local
        )


class TestValues:
    def one(self, tmp_path, header, line, **changes):
        with load(config(write(tmp_path / "t.csv", f"{header}\n{line}\n"), **changes)) as sources:
            (row,) = sources.con.to_pyarrow(sources.tables["transactions"]).to_pylist()
        return row

    @pytest.mark.parametrize("name", ["007", " a b", "ÅÄÖ 小林", 'x\'y""z', "1e5", "NA", "=1+1"])
    def test_ids_are_kept_exactly(self, tmp_path, name):
        row = self.one(tmp_path, "customer_id,ts,amount", f'"{name}",2021-01-01,5')
        assert row["customer_id"] == name.replace('""', '"')

    @pytest.mark.parametrize(
        ("given", "amount"),
        [
            ("12", "12"), ("-0.5", "-0.5"), (".5", "0.5"), ("1e3", "1000"), ("£12", "12"),
            ("12.30 €", "12.3"), ("-$4", "-4"), ("(4.50)", "-4.5"), ("1,234.50", "1234.5"),
            ("1,234,567", "1234567"), ("1.234,50", "1234.5"), ("12,5", "12.5"), ("1e-9", "0"),
            ("1 234.50", "1234.5"), ("1'234.50", "1234.5"), ("9999999999999.9999",) * 2,
            ("0.00005", "0.0001"), ("1e12", "1000000000000"),
        ],
    )  # fmt: skip
    def test_amounts(self, tmp_path, given, amount):
        row = self.one(tmp_path, "customer_id,ts,amount", f'a,2021-01-01,"{given}"')
        assert row["amount"] == Decimal(amount)

    def test_one_comma_is_read_as_the_other_rows_say(self, tmp_path):
        for other, expected in (("9.50", "1234"), ("9,50", "1.234")):
            file = write(
                tmp_path / "t.csv", f'{HEADER}a,2021-01-01,"1,234"\na,2021-01-02,"{other}"\n'
            )
            with load(config(file)) as sources:
                assert rows(sources, "amount")[0] == (Decimal(expected),)
        with pytest.raises(DataError, match="amount: 1 of 1 rows look like 1,234"):
            load(config(write(tmp_path / "t.csv", HEADER + 'a,2021-01-01,"1,234"\n')))

    @pytest.mark.parametrize(
        ("given", "zone", "moment", "day"),
        [
            ("2021-07-01", "Europe/Berlin", "2021-06-30T22:00", "2021-07-01"),
            ("20210701", "Europe/Berlin", "2021-06-30T22:00", "2021-07-01"),
            ("2021/07/01 00:30", "Europe/Berlin", "2021-06-30T22:30", "2021-07-01"),
            ("2021-07-01T00:30:00Z", "Europe/Berlin", "2021-07-01T00:30", "2021-07-01"),
            ("2021-07-01 00:30:00 UTC", "America/New_York", "2021-07-01T00:30", "2021-06-30"),
            ("2021-07-01T00:30:00+05:30", "UTC", "2021-06-30T19:00", "2021-06-30"),
            ("2021-07-01 00:30:00-0300", "UTC", "2021-07-01T03:30", "2021-07-01"),
            ("2021-07-01 23:59:59.9999999", "UTC", "2021-07-01T23:59:59.999999", "2021-07-01"),
            ("2024-02-29", "UTC", "2024-02-29T00:00", "2024-02-29"),
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00", "2018-11-04"),  # no midnight
        ],
    )
    def test_instants(self, tmp_path, given, zone, moment, day):
        row = self.one(tmp_path, "customer_id,ts,amount", f"a,{given},5", timezone=zone)
        assert row["ts"] == dt.datetime.fromisoformat(moment)
        assert row["day"] == dt.date.fromisoformat(day)

    @pytest.mark.parametrize(
        ("form", "given", "moment"),
        [
            ("%d/%m/%Y", "05/06/2021", "2021-06-05T00:00"),
            ("%m/%d/%Y %H:%M", "12/1/2010 8:26", "2010-12-01T08:26"),
            ("%d.%m.%Y %H:%M %z", "05.06.2021 12:00 +0200", "2021-06-05T10:00"),
            ("%d/%m/%Y", "2021-06-05", "2021-06-05T00:00"),  # ISO stays readable beside it
        ],
    )
    def test_formats(self, tmp_path, form, given, moment):
        row = self.one(tmp_path, "customer_id,ts,amount", f"a,{given},5", formats={"ts": form})
        assert row["ts"] == dt.datetime.fromisoformat(moment)

    def test_the_repeated_hour_keeps_both_rows(self, tmp_path):
        line = "a,2021-10-31 02:30,5\n"
        with load(
            config(write(tmp_path / "t.csv", HEADER + line * 2), timezone="Europe/Berlin")
        ) as sources:
            assert len(rows(sources, "ts")) == 2

    def test_day_and_month_in_unknown_order(self, tmp_path):
        file = write(tmp_path / "t.csv", HEADER + "a,05/06/2021,5\na,2021-01-01,5\n")
        with pytest.raises(DataError, match=r"ts: 1 of 2 rows(.|\n)*formats: \{ts: '%d/%m/%Y'\}"):
            load(config(file))

    def test_price_times_quantity_and_returns(self, tmp_path):
        text = (
            "CustomerID,InvoiceDate,Quantity,UnitPrice\na,2021-01-01,3,0.00035\na,2021-01-02,-2,6\n"
        )
        columns = {"customer_id": "CustomerID", "ts": "InvoiceDate", "quantity": "Quantity",
                   "unit_price": "UnitPrice"}  # fmt: skip
        with load(config(write(tmp_path / "t.csv", text), columns=columns)) as sources:
            found = rows(sources, "kind", "amount", "quantity")
            assert "unit_price" not in sources.tables["transactions"].columns
        assert found == [
            ("purchase", Decimal("0.0011"), Decimal(3)),  # 3 × 0.00035, rounded once
            ("refund", Decimal(-12), Decimal(2)),
        ]

    def test_kind_decides_the_sign(self, tmp_path):
        text = "customer_id,ts,amount,type\na,2021-01-01,9,Sale\na,2021-01-02,4,Return\n"
        kind = {"column": "type", "map": {"Sale": "purchase", "Return": "refund"}}
        with load(config(write(tmp_path / "t.csv", text), columns={"kind": kind})) as sources:
            found = rows(sources, "kind", "amount")
            assert sources.report.tables["transactions"].refunds == 1
        assert found == [("purchase", Decimal(9)), ("refund", Decimal(-4))]

    def test_a_constant_column(self, csv):
        with load(config(csv, columns={"channel": {"value": "web's"}})) as sources:
            assert {r[0] for r in rows(sources, "channel")} == {"web's"}

    def test_zero_amounts_are_counted(self, tmp_path):
        file = write(tmp_path / "t.csv", HEADER + ROWS + "c,2021-02-03,0\n")
        with load(config(file)) as sources:
            notes = sources.report.tables["transactions"].notes
        assert notes == ("1 purchases have amount 0; they make no purchase day.",)

    def test_ids_that_mean_nobody_are_noted(self, tmp_path):
        file = write(tmp_path / "t.csv", HEADER + ROWS + "nan,2021-02-03,4\n")
        with load(config(file)) as sources:
            (note,) = sources.report.tables["transactions"].notes
        assert note.startswith("1 rows name a customer like NULL, nan")


class TestCurrencies:
    TEXT = "customer_id,ts,amount,currency\na,2021-01-01,10,EUR\na,2021-01-02,10,usd\n"

    def test_mixed_without_rates(self, tmp_path):
        file = write(tmp_path / "t.csv", self.TEXT)
        with pytest.raises(DataError, match=r"mixed: EUR \(1 rows\), USD \(1 rows\).*rates"):
            load(config(file))
        with pytest.raises(DataError, match=r"rates: \{USD: …\}"):
            load(config(file, currency="EUR"))

    def test_mixed_with_rates(self, tmp_path):
        file = write(tmp_path / "t.csv", self.TEXT)
        with load(config(file, currency="EUR", rates={"USD": 0.92})) as sources:
            assert rows(sources, "amount") == [(Decimal(10),), (Decimal("9.2"),)]

    def test_one_foreign_currency_needs_no_config(self, tmp_path):
        file = write(tmp_path / "t.csv", self.TEXT.replace("usd", "EUR"))
        with load(config(file)) as sources:
            assert len(rows(sources, "amount")) == 2


class TestEndOfObservation:
    def until(self, tmp_path, last, **changes):
        file = write(tmp_path / "t.csv", f"{HEADER}a,2021-01-01,5\na,{last},5\n")
        with load(config(file, **changes)) as sources:
            return sources.observed_until

    def test_dates_without_time_have_been_seen_whole(self, tmp_path):
        assert self.until(tmp_path, "2021-03-31") == dt.date(2021, 4, 1)

    def test_a_day_with_times_has_been_seen_in_part(self, tmp_path):
        assert self.until(tmp_path, "2021-03-31 18:00") == dt.date(2021, 3, 31)

    def test_days_are_local(self, tmp_path):
        last = "2021-03-31T23:30Z"
        assert self.until(tmp_path, last, timezone="Europe/Berlin") == dt.date(2021, 4, 1)
        no_midnight = self.until(tmp_path, "2021-10-03", timezone="America/Asuncion")
        assert no_midnight == dt.date(2021, 10, 4)

    def test_the_config_decides(self, tmp_path):
        given = dt.date(2021, 6, 1)
        assert self.until(tmp_path, "2021-03-31", observed_until=given) == given
        with pytest.raises(DataError, match="observed_until 2020-01-01"):
            self.until(tmp_path, "2021-03-31", observed_until=dt.date(2020, 1, 1))

    def test_a_mistyped_year_is_noted(self, tmp_path):
        days = "".join(f"a,2021-01-{d:02},5\n" for d in range(1, 32))
        file = write(tmp_path / "t.csv", HEADER + days + "b,2121-02-01,5\n")
        with load(config(file)) as sources:
            (note,) = sources.report.tables["transactions"].notes
        assert "the last day, 2121-02-01" in note
        assert "observed_until: 2021-01-31" in note


class TestDigest:
    def digest(self, *args, **kwargs):
        with load(config(*args, **kwargs)) as sources:
            return sources.digest

    def test_neither_order_nor_partition_count_but_content_does(self, tmp_path, csv):
        first, *rest = ROWS.splitlines(keepends=True)
        turned = write(tmp_path / "turned.csv", HEADER + "".join(rest[::-1]) + first)
        parts = [
            write(tmp_path / "p1.csv", HEADER + rest[0]),
            write(tmp_path / "p2.csv", HEADER + first + rest[1]),
        ]
        whole = self.digest(csv)
        assert whole == self.digest(turned) == self.digest(parts)
        changed = write(tmp_path / "changed.csv", HEADER + ROWS.replace("7.25", "7.26"))
        doubled = write(tmp_path / "doubled.csv", HEADER + ROWS + first)
        digests = [whole, self.digest(changed), self.digest(doubled)]
        assert len(set(digests)) == 3


class TestSql:
    def sql(self, tmp_path, query, csv, **changes):
        file = write(tmp_path / "q.sql", query)
        return config(sql=str(file), files={"orders": str(csv)}, **changes)

    def test_one_select_over_named_files(self, tmp_path, csv):
        query = (
            "-- sums\nSELECT customer_id, ts, sum(amount::DECIMAL(18,4)) AS paid "
            "FROM orders GROUP BY ALL;"
        )
        with load(self.sql(tmp_path, query, csv, columns={"amount": "paid"})) as sources:
            assert len(rows(sources, "amount")) == 3

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM glob('/etc/*')",
            "COPY (SELECT 1) TO '/tmp/never'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SELECT 1; SELECT 2",
            "DROP TABLE orders",
            "SELEC 1",
            "",
            "SELECT * FROM elsewhere",
            "SELECT nothing FROM orders",
        ],
    )
    def test_anything_else_is_refused(self, tmp_path, csv, query):
        with pytest.raises(ConfigError, match=r"q\.sql"):
            load(self.sql(tmp_path, query, csv))

    def test_a_value_that_breaks_the_query_is_not_shown(self, tmp_path, csv):
        write(csv, HEADER + "Secret Person,2021-01-01,0700-123\n")
        query = "SELECT customer_id::INT AS customer_id, ts, amount FROM orders"
        with pytest.raises(DataError) as fault:
            load(self.sql(tmp_path, query, csv))
        assert "Secret" not in str(fault.value)

    def test_a_missing_sql_file(self, tmp_path, csv):
        with pytest.raises(ConfigError, match=r"none\.sql: no such file"):
            load(config(sql=str(tmp_path / "none.sql"), files={"orders": str(csv)}))


class TestColumns:
    def test_missing_columns_come_in_one_message_with_the_nearest_name(self, tmp_path):
        file = write(tmp_path / "t.csv", "CustomerID,when,total\na,2021-01-01,5\n")
        with pytest.raises(DataError) as fault:
            load(config(file, columns={"customer_id": "CustomerId"}))
        text = str(fault.value)
        assert text.startswith("transactions: 4 problems")
        assert "customer_id: there is no column 'CustomerId'. Did you mean 'CustomerID'?" in text
        assert "ts is required" in text
        assert "amount (or quantity and unit_price) is required" in text
        assert "holds: CustomerID, when, total" in text

    def test_a_mapping_to_an_unknown_column_is_a_config_error(self, csv):
        with pytest.raises(ConfigError, match=r"columns\.custmer_id.*Did you mean 'customer_id'"):
            load(config(csv, columns={"custmer_id": "x"}))
        with pytest.raises(ConfigError, match=r"formats\.amount"):
            load(config(csv, formats={"amount": "%d"}))
        with pytest.raises(ConfigError, match=r"formats\.ts: '%Q' is no format"):
            load(config(csv, formats={"ts": "%Q"}))

    @pytest.mark.parametrize(
        "name", ['x"; DROP TABLE t;--', "a[b]", "a\nb", '{"a": 1}', "a.b", "a b", "a'b", "{x}", "ü"]
    )
    def test_hostile_names_are_quoted(self, tmp_path, name):
        quoted = name.replace('"', '""')
        file = write(tmp_path / "t.csv", f'"{quoted}",ts,amount\na,2021-01-01,5\n')
        with load(config(file, columns={"customer_id": name})) as sources:
            assert rows(sources, "customer_id") == [("a",)]

    def test_column_names_given_twice(self, tmp_path):
        file = write(tmp_path / "t.csv", "customer_id,ts,amount,amount\na,2021-01-01,5,6\n")
        with pytest.raises(DataError, match=r"stand twice: amount"):
            load(config(file))

    def test_extra_columns_are_not_read(self, tmp_path):
        file = write(tmp_path / "t.csv", "customer_id,ts,amount,email\na,2021-01-01,5,a@b.c\n")
        with load(config(file)) as sources:
            assert sources.tables["transactions"].columns == (
                "customer_id", "ts", "amount", "kind", "day",
            )  # fmt: skip

    def test_a_file_without_header_does_not_spill_its_first_row(self, tmp_path):
        file = write(tmp_path / "t.csv", "ann@example.com,2021-01-01,5\nb,2021-01-02,6\n")
        with pytest.raises(DataError, match="is the header line missing") as fault:
            load(config(file))
        assert "ann@" not in str(fault.value)

    def test_an_empty_required_column(self, tmp_path):
        file = write(tmp_path / "t.csv", HEADER + ",2021-01-01,5\n,2021-01-02,5\n")
        with pytest.raises(DataError, match="missing_customer: 2 of 2 rows"):
            load(config(file))

    def test_files_that_differ_are_named(self, tmp_path):
        write(tmp_path / "jan.csv", HEADER + ROWS)
        write(tmp_path / "feb.csv", "customer_id,ts,total,shop\na,2021-02-01,5,x\n")
        with pytest.raises(DataError) as fault:
            load(config(tmp_path / "*.csv"))
        text = str(fault.value)
        assert "jan.csv lacks shop, total" in text
        assert "jan.csv also has amount" in text
        assert "feb.csv" in text

    def test_files_whose_types_differ_are_named(self, tmp_path):
        table = pa.table({"customer_id": ["a"], "ts": [dt.date(2021, 1, 1)], "amount": [1.0]})
        pq.write_table(table, tmp_path / "a.parquet")
        retyped = table.set_column(2, "amount", pa.array(["1"]))
        pq.write_table(retyped, tmp_path / "b.parquet")
        with pytest.raises(DataError, match=r"b\.parquet has amount as VARCHAR, not DOUBLE"):
            load(config(tmp_path / "*.parquet"))


class TestRetyped:
    @pytest.mark.parametrize("column", ["customer_id", "ts", "amount", "transaction_id", "channel"])
    @pytest.mark.parametrize("kind", ["BOOLEAN", "DATE", "INTEGER[]", "DOUBLE"])
    def test_any_type_is_read_or_refused(self, tmp_path, column, kind):
        values = {
            "BOOLEAN": "true", "DATE": "DATE '2021-01-01'",
            "INTEGER[]": "[1]", "DOUBLE": "2.5::DOUBLE",
        }  # fmt: skip
        cells = {
            "customer_id": "'a'", "ts": "DATE '2021-01-01'", "amount": "1",
            "transaction_id": "i::VARCHAR", "channel": "'web'",
        }  # fmt: skip
        cells[column] = values[kind]
        chosen = ", ".join(f"{sql} AS {name}" for name, sql in cells.items())
        file = tmp_path / "t.parquet"
        with duckdb.connect() as con:
            con.execute(f"COPY (SELECT {chosen} FROM range(3) t(i)) TO '{file}'")
        try:
            with load(config(file)) as sources:
                assert sources.report.tables["transactions"].rows_read == 3
        except DataError as fault:
            assert column in str(fault) or "repeated_id" in str(fault)  # noqa: PT017 (either way)


class TestBrokenFiles:
    def broken(self, path, content):
        path.write_bytes(content)
        with pytest.raises(DataError) as fault:
            load(config(path))
        assert path.name in str(fault.value)
        return str(fault.value)

    def test_zero_bytes(self, tmp_path):
        assert "empty" in self.broken(tmp_path / "t.csv", b"")
        self.broken(tmp_path / "t.parquet", b"")

    def test_header_only(self, tmp_path):
        text = self.broken(tmp_path / "t.csv", HEADER.encode())
        assert "no transactions" in text

    def test_truncated_gzip(self, tmp_path):
        whole = gzip.compress(
            (HEADER + "".join(f"{i},2021-01-01,{i}\n" for i in range(9999))).encode()
        )
        self.broken(tmp_path / "t.csv.gz", whole[: len(whole) // 2])
        self.broken(tmp_path / "u.csv.gz", b"not gzip at all")

    def test_truncated_parquet(self, tmp_path):
        pq.write_table(pa.table({"customer_id": ["a"]}), tmp_path / "whole.parquet")
        whole = (tmp_path / "whole.parquet").read_bytes()
        self.broken(tmp_path / "t.parquet", whole[:-20])

    def test_not_utf8(self, tmp_path):
        body = HEADER.encode() + "José,2021-01-01,5\n".encode("latin-1")
        assert "iconv" in self.broken(tmp_path / "t.csv", body)
        assert "iconv" in self.broken(tmp_path / "u.csv", "kund_é,ts\n".encode("latin-1"))
        assert "UTF-8" in self.broken(tmp_path / "v.csv", (HEADER + ROWS).encode("utf-16"))

    def test_broken_json_does_not_spill(self, tmp_path):
        text = self.broken(tmp_path / "t.json", b'[{"customer_id": "Secret", "ts": ')
        assert "Secret" not in text

    def test_broken_json_lines_are_counted(self, tmp_path):
        line = b'{"customer_id": "a", "ts": "2021-01-01", "amount": 1}\n'
        text = self.broken(tmp_path / "t.jsonl", line + b'{"customer_id": "Secret\n[1]\n' + line)
        assert "2 of 4 entries are no JSON objects" in text

    def test_every_broken_file_is_named_at_once(self, tmp_path):
        for name in "ab":
            (tmp_path / f"{name}.csv").write_bytes(b"")
        with pytest.raises(DataError, match=r"a\.csv(.|\n)*b\.csv"):
            load(config(tmp_path / "*.csv"))

    def test_paths_that_cannot_be_read(self, tmp_path, csv):
        for path, why in [
            (tmp_path / "none.csv", "no such file"),
            (tmp_path / "*.parquet", "no such file"),
            (tmp_path, "is a folder"),
            (write(tmp_path / "t.xlsx", "x"), "unknown kind"),
        ]:
            with pytest.raises(ConfigError, match=why):
                load(config(path))

    def test_a_file_without_permission(self, csv, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(EnvironmentFault, match="permissions"):
            load(config(csv))

    @pytest.mark.parametrize(
        "address", ["https://x.org/a.csv", "s3://b/a.parquet", "file:///a.csv"]
    )
    def test_addresses_are_refused(self, address):
        with pytest.raises(ValueError, match="only files on this machine"):
            config(address)


class TestEngine:
    def test_nothing_else_can_be_read_afterwards(self, csv):
        with load(config(csv)) as sources:
            con = sources.con.con
            for query in (
                "FROM read_csv('/etc/passwd')",
                "SET enable_external_access = true",
                "SET allowed_directories = ['/']",
                "COPY (SELECT 1) TO '/tmp/never.csv'",
            ):
                with pytest.raises(duckdb.Error):
                    con.execute(query)

    def test_temporary_files_are_removed(self, csv):
        with load(config(csv)) as sources:
            assert sources.temporary.exists()
        assert not sources.temporary.exists()

    def test_temporary_files_are_removed_after_a_fault(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        (tmp_path / "tmp").mkdir()
        with pytest.raises(DataError):
            load(config(write(tmp_path / "t.csv", HEADER)))
        assert not list((tmp_path / "tmp").iterdir())

    @pytest.mark.parametrize(
        ("raised", "becomes"),
        [
            (duckdb.OutOfMemoryException("x"), EnvironmentFault),
            (duckdb.IOException("IO Error: No space left on device"), EnvironmentFault),
            (duckdb.ConversionException("Could not convert string 'Ann' to INT32"), DataError),
            (duckdb.OutOfRangeException("Out of Range Error: Ann * 2"), DataError),
        ],
    )
    def test_engine_faults_become_ours_without_values(self, raised, becomes):
        with pytest.raises(becomes) as fault, faults("orders.csv"):
            raise raised
        assert "orders.csv" in str(fault.value)
        assert "Ann" not in str(fault.value)

    def test_loading_spills_within_a_small_memory_limit(self, tmp_path):
        file = tmp_path / "t.csv"
        with duckdb.connect() as con:
            con.execute(
                f"COPY (SELECT i % 9999 AS customer_id, DATE '2021-01-01' + (i % 700)::INT AS ts, "
                f"i AS amount, 'note ' || i AS channel, i AS transaction_id "
                f"FROM range(300000) t(i)) TO '{file}'"
            )
        small = config(file)
        data = small.data.model_copy(update={"memory_limit": "100MB"})
        with load(small.model_copy(update={"data": data})) as sources:
            assert sources.report.tables["transactions"].rows_kept == 300_000


def test_quarantine_replaces_the_old_file_or_leaves_it(tmp_path, monkeypatch):
    file = write(tmp_path / "t.csv", HEADER + ROWS + ",2021-01-01,5\n")
    target = tmp_path / "set_aside.parquet"
    target.write_bytes(b"old")
    with load(config(file)) as sources:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", full)
            with pytest.raises(OSError, match="No space"):
                sources.write_quarantine(target)
        assert target.read_bytes() == b"old"
        assert sources.write_quarantine(target) == 1
    assert [p.name for p in tmp_path.iterdir() if "tmp" in p.name] == []
    assert pq.read_table(target)["rule"].to_pylist() == ["missing_customer"]
