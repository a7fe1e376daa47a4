"""Types, days, versions, scales, attributes, customers and the end of every table."""

import datetime as dt
import json
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest

from tenure.contract import TABLES
from tenure.errors import ConfigError, DataError

TYPES = {
    "id": "string", "text": "string", "instant": "timestamp(6)", "money": "decimal(18, 4)",
    "count": "decimal(18, 4)", "number": "decimal(18, 4)", "whole": "int64", "flag": "boolean",
}  # fmt: skip
KEYED = ("interactions", "surveys", "subscriptions", "customers")
UNKNOWN = ("interactions", "surveys", "events", "treatments")


def utc(text):
    return dt.datetime.fromisoformat(text)


class TestTypes:
    def test_every_column_has_its_type_and_every_day_its_zone(self, desk, make_rows):
        tables = {name: make_rows(name) for name in TABLES}
        with desk.load(tables, timezone="America/New_York") as sources:
            for name, spec in TABLES.items():
                t = sources.tables[name]
                expected = {
                    c.name: TYPES[c.kind] for c in spec.columns if c.name in tables[name][0]
                }
                if name == "transactions":
                    expected["kind"] = "string"
                if name == "surveys":
                    expected["score_share"] = TYPES["number"]
                expected |= dict.fromkeys(
                    (day for day, at in spec.days.items() if at in expected), "date"
                )
                found = {c: str(kind).lstrip("!") for c, kind in t.schema().items()}
                assert found == expected, name
            row = sources.con.to_pyarrow(sources.tables["surveys"]).to_pylist()[0]
        assert row["answered_at"] == utc("2021-03-05 15:00")
        assert row["answered_day"] == dt.date(2021, 3, 5)
        assert (row["kind"], row["score"], row["score_share"]) == ("csat", 4, Decimal("0.75"))

    def test_naive_and_aware_moments_may_be_mixed(self, desk, make_rows):
        rows = make_rows("interactions", 3)
        for row, at in zip(
            rows, ("2021-03-04 23:30", "2021-03-04T22:30:00Z", "2021-03-05 00:30+02:00"),
            strict=True,
        ):  # fmt: skip
            row["opened_at"] = at
        only = {"interactions": {"only": ["customer_id", "opened_at", "interaction_id"]}}
        with desk.rows("interactions", {"interactions": rows}, only, timezone="Europe/Berlin") as (
            kept,
            _,
        ):
            assert {r["opened_at"] for r in kept} == {utc("2021-03-04 22:30")}
            assert {r["day"] for r in kept} == {dt.date(2021, 3, 4)}

    def test_a_fact_of_the_starting_day_comes_no_earlier_than_the_start(self, desk, make_rows):
        rows = make_rows(
            "interactions", 2, resolved_at="2021-03-04", first_response_at="2021-03-04"
        )
        with desk.rows("interactions", {"interactions": rows}, timezone="Asia/Tokyo") as (kept, _):
            for row in kept:
                assert row["resolved_at"] == row["opened_at"] == utc("2021-03-04 01:00")
                assert row["first_response_at"] == row["opened_at"]

    def test_days_that_were_promised_or_sent_last_until_their_end(self, desk, make_rows):
        end = utc("2021-03-06 22:59:59.999999")  # of the 6th, in Berlin
        orders = make_rows("transactions", 2, promised_at="2021-03-06")
        orders[1]["promised_at"] = "2021-03-06 09:00"
        answers = make_rows("surveys", 1, sent_at="2021-03-06", answered_at="2021-03-08")
        tables = {"transactions": orders, "surveys": answers}
        with desk.load(tables, timezone="Europe/Berlin") as sources:
            t = sources.tables["transactions"].order_by("transaction_id")
            promised = sources.con.to_pyarrow(t)["promised_at"].to_pylist()
            (survey,) = sources.con.to_pyarrow(sources.tables["surveys"]).to_pylist()
        assert promised == [end, utc("2021-03-06 08:00")]
        assert (survey["sent_at"], survey["sent_day"]) == (end, dt.date(2021, 3, 6))

    def test_an_event_of_no_group_is_use(self, desk, make_rows):
        rows = make_rows("events", 3)
        rows[0]["group"], rows[1]["group"] = "", "Cart"
        with desk.rows("events", {"events": rows}) as (kept, _):
            assert sorted(r["group"] for r in kept) == ["cart", "use", "visit"]


class TestHangsOn:
    @pytest.mark.parametrize(
        ("name", "held", "expected"),
        [
            ("interactions", ("wait_seconds", "first_response_at"),
             {"wait_seconds": "first_response_at"}),
            ("interactions", ("replies", "closed_at", "resolved_at"), {"replies": "closed_at"}),
            ("interactions", ("handoffs", "resolved_at"), {"handoffs": "resolved_at"}),
            ("interactions", ("reopens",), {"reopens": None}),
            ("surveys", ("score", "score_share", "comment", "answered_at", "answered_day"),
             dict.fromkeys(("score", "score_share", "comment", "answered_day"), "answered_at")),
            ("subscriptions", ("end_reason", "ended_at", "ended_day", "day", "started_at"),
             dict.fromkeys(("end_reason", "ended_day"), "ended_at")),
            ("customers", ("attribute[a]", "attribute[a]_at", "attribute[b]"),
             {"attribute[a]": "attribute[a]_at"}),
        ],
    )  # fmt: skip
    def test_each_value_is_known_since_its_fact(self, name, held, expected):
        assert TABLES[name].hangs_on(held) == expected

    def test_counts_that_no_date_reveals_are_left_out(self, desk, make_rows):
        counts = ("replies", "handoffs", "reopens")
        rows = make_rows("interactions")
        for absent, kept in (((), counts), (("closed_at",), counts)):
            only = {"interactions": {"only": [c for c in rows[0] if c not in absent]}}
            with desk.rows("interactions", {"interactions": rows}, only) as (found, report):
                assert set(kept) <= set(found[0])
                assert report.notes == ()
        gone = ("closed_at", "resolved_at", "first_response_at")
        only = {"interactions": {"only": [c for c in rows[0] if c not in gone]}}
        with desk.rows("interactions", {"interactions": rows}, only) as (found, report):
            assert not {*counts, "wait_seconds"} & set(found[0])
            assert [n.split(" ")[0] for n in report.notes] == ["wait_seconds", *counts]
            assert all("no date that reveals it" in n for n in report.notes)

    def test_an_empty_closing_date_passes_its_counts_on(self, desk, make_rows):
        rows = make_rows("interactions", closed_at="")
        with desk.rows("interactions", {"interactions": rows}) as (found, report):
            assert "closed_at" not in found[0]
            assert found[0]["replies"] == 2
            assert report.notes == ("closed_at is empty in every row; nothing is built from it.",)


class TestCustomers:
    def test_rows_of_unknown_customers_are_set_aside_and_counted(self, desk, make_rows):
        tables = {name: make_rows(name, 5) for name in UNKNOWN}
        for rows in tables.values():
            rows[3]["customer_id"] = "nobody"
        with desk.load(tables) as sources:
            for name in UNKNOWN:
                assert sources.report.tables[name].set_aside == {"unknown_customer": 1}
                assert sources.report.tables[name].rows_kept == 4

    def test_too_many_stop_the_run_with_shapes_and_no_value(self, desk, make_rows):
        tables = {name: make_rows(name, 5) for name in ("interactions", "surveys")}
        for rows in tables.values():
            rows[3]["customer_id"] = "Zoë.Secret@example.org"
            rows[4]["customer_id"] = "7"
        with pytest.raises(DataError) as fault:
            desk.load(tables)
        text = str(fault.value)
        for name in tables:
            assert f"{name}: 2 of 5 rows match no customer" in text
        assert "Their ids look like '9' or 'Aaa.Aa×5@a×7.a×3', those" in text
        assert "of the customers like '9×3'" in text
        for secret in ("Secret", "example", "007", "Zo"):
            assert secret not in text

    def test_who_only_subscribes_or_is_on_the_list_is_known(self, desk, make_rows):
        rows = make_rows("events", 5)
        rows[0]["customer_id"], rows[1]["customer_id"] = "subscriber", "009"
        tables = {
            "events": rows,
            "subscriptions": make_rows("subscriptions", 2, customer_id="subscriber"),
        }
        with desk.rows("events", tables | {"customers": None}) as (_, report):
            assert report.set_aside == {"unknown_customer": 1}
        only = make_rows("customers") + make_rows("customers", 1, customer_id="subscriber")
        with desk.rows("events", tables | {"customers": only}) as (_, report):
            assert report.set_aside == {}

    def test_buyers_must_match_the_customers_for_the_most_part(self, desk, make_rows):
        customers = make_rows("customers")
        log = make_rows("transactions", 10)
        log[0]["customer_id"] = log[1]["customer_id"] = "new"
        with desk.rows("transactions", {"transactions": log, "customers": customers}) as (kept, _):
            assert len(kept) == 10  # a purchase makes a customer
        log[2]["customer_id"] = "new"
        with pytest.raises(DataError, match=r"transactions: 3 of 10 rows match no customer"):
            desk.load({"transactions": log, "customers": customers})

    def test_a_broken_table_of_customers_does_not_make_strangers(self, desk, make_rows):
        rows = make_rows("events", 5, customer_id="subscriber")
        with pytest.raises(DataError) as fault:
            desk.load({"events": rows, "customers": make_rows("customers", customer_id="")})
        assert "no customers are left" in str(fault.value)
        assert "events" not in str(fault.value)


class TestRepeats:
    def name_of(self, name, rows):
        return TABLES[name].key[0], rows[1][TABLES[name].key[0]]

    @pytest.mark.parametrize("name", KEYED)
    def test_the_earliest_row_of_an_id_stays(self, desk, make_rows, name):
        rows = [{k: v for k, v in r.items() if k != "loaded_at"} for r in make_rows(name)]
        changed = {"interactions": {"opened_at": "2021-03-04 10:20", "topic": "other"},
                   "surveys": {"sent_at": "2021-03-04 10:20", "score": "1"},
                   "subscriptions": {"plan": "platinum"},
                   "customers": {"signup_at": "2021-03-02"}}[name]  # fmt: skip
        later = rows[1] | changed
        with desk.rows(name, {name: [later, *rows, rows[2]]}) as (kept, report):
            assert report.set_aside == {"repeated_id": 1, "repeated_row": 1}
            key, value = self.name_of(name, rows)
            (stays,) = [r for r in kept if r[key] == value]
        column = next(iter(changed))
        assert str(stays[column])[:16] != changed[column][:16]

    @pytest.mark.parametrize("name", KEYED)
    def test_with_loaded_at_every_version_stays(self, desk, make_rows, name):
        rows = make_rows(name)
        version = rows[1] | {"loaded_at": "2021-05-01"}
        with desk.rows(name, {name: [*rows, version, version]}) as (kept, report):
            assert report.set_aside == {"repeated_row": 1}
            assert len(kept) == len(rows) + 1

    def test_a_new_row_of_a_subscription_is_a_change_of_plan(self, desk, make_rows):
        rows = make_rows("subscriptions", 2, subscription_id="s", ended_at="")
        rows[1] |= {"started_at": "2021-04-04", "plan": "silver", "cancel_requested_at": "",
                    "trial_ends_at": ""}  # fmt: skip
        with desk.rows("subscriptions", {"subscriptions": rows}) as (kept, report):
            assert report.set_aside == {}
            assert {r["plan"] for r in kept} == {"gold", "silver"}

    @pytest.mark.parametrize("name", ["events", "treatments"])
    def test_rows_without_ids_are_never_repeats(self, desk, make_rows, name):
        rows = make_rows(name, 2)
        with desk.rows(name, {name: [*rows, rows[1]]}) as (kept, report):
            assert (len(kept), report.set_aside) == (3, {})

    def test_copies_of_rows_without_ids_are_told(self, desk, make_rows):
        rows = make_rows("surveys", 3)
        only = {"surveys": {"only": [c for c in rows[0] if c != "survey_id"]}}
        with desk.rows("surveys", {"surveys": rows}, only) as (_, report):
            assert report.notes[0].startswith("2 rows repeat another row exactly and are kept")

    def test_customers_with_nothing_but_ids(self, desk, make_rows):
        rows = [{"customer_id": c} for c in ("007", "b", "007")]
        with desk.rows("customers", {"customers": rows}) as (kept, report):
            assert (len(kept), report.set_aside) == (2, {"repeated_row": 1})

    def test_what_nobody_knows_when_does_not_choose_between_twins(self, desk, make_rows):
        # `replies` is final at the end only: the later resolution decides after it
        stays = []
        for replies in ("1", "9"):
            rows = make_rows("interactions", 2, interaction_id="i", closed_at="", topic="a")
            rows[0] |= {"replies": replies, "resolved_at": "2021-03-05"}
            rows[1] |= {"replies": "5", "resolved_at": "2021-03-06"}
            with desk.rows("interactions", {"interactions": rows}) as (kept, _):
                stays.append([r["resolved_at"] for r in kept])
        assert stays == [[utc("2021-03-05")]] * 2


SCALES = {"csat": {"low": 1, "high": 10}, "ces": {"low": 1, "high": 7, "better": "low"}}


class TestScales:
    def scores(self, desk, make_rows, answers, **how):
        rows = make_rows("surveys", len(answers))
        for row, (kind, score) in zip(rows, answers, strict=True):
            row |= {"kind": kind, "score": score}
        with desk.rows("surveys", {"surveys": rows}, {"surveys": how}) as (kept, report):
            found = {r["survey_id"]: (r["score"], r["score_share"]) for r in kept}
            return [found.get(row["survey_id"]) for row in rows], report.set_aside

    def test_the_usual_scales(self, desk, make_rows):
        found, aside = self.scores(
            desk, make_rows, [("nps", "0"), ("nps", "10"), ("csat", "1"), ("ces", "7"),
                              ("review", "3"), ("exit", "9"), ("csat", "10")],
        )  # fmt: skip
        assert found == [(0, 0), (10, 1), (1, 0), (7, 1), (3, Decimal("0.5")), (9, None), None]
        assert aside == {"score_off_scale": 1}

    def test_scales_and_their_better_end_can_be_set(self, desk, make_rows):
        answers = [("csat", "10"), ("csat", "1"), ("ces", "1"), ("ces", "7"), ("ces", "2"),
                   ("ces", "8"), ("nps", "10")]  # fmt: skip
        found, aside = self.scores(desk, make_rows, answers, scales=SCALES)
        assert found[:2] == [(10, 1), (1, 0)]
        assert found[2:4] == [(7, 1), (1, 0)]  # turned: less effort is better
        assert found[4] == (6, Decimal("0.8333"))
        assert found[5:] == [None, (10, 1)]
        assert aside == {"score_off_scale": 1}

    def test_mixed_scales_are_set_aside_or_stop_the_run(self, desk, make_rows):
        answers = [("nps", str(s)) for s in (9, 10, 0, 7, -100, 50)]
        assert self.scores(desk, make_rows, answers)[1] == {"score_off_scale": 2}
        with pytest.raises(DataError, match="more than half of the rows break a rule"):
            self.scores(desk, make_rows, [("nps", str(s)) for s in (9, -100, 100, 50)])

    @pytest.mark.parametrize(
        "scales", [{"csat": {"low": 5, "high": 1}}, {"cast": {"low": 1, "high": 5}}]
    )
    def test_scales_that_make_no_sense_are_refused(self, desk, make_rows, scales):
        with pytest.raises(ValueError, match=r"`low` must be below|did you mean 'csat'"):
            desk.config({"surveys": make_rows("surveys")}, {"surveys": {"scales": scales}})


PEOPLE = [
    {"customer_id": c, "created": "2021-02-01", "region": r, "score": s, "moved": m}
    for c, r, s, m in (("007", "North", "1", "05/02/2021"), ("b", "", "2.5", "17/02/2021"))
]


class TestAttributes:
    def columns(self, desk, rows=None, **how):
        how = {"columns": {"signup_at": "created"}} | how
        with desk.load({"customers": rows or PEOPLE}, {"customers": how}) as sources:
            t = sources.tables["customers"]
            kept = sources.con.to_pyarrow(t.order_by("customer_id")).to_pylist()
            return kept, sources.report.tables["customers"].notes

    def test_undated_attributes_are_left_out_and_the_run_says_so(self, desk):
        kept, notes = self.columns(desk, attributes={"region": {}, "score": {}})
        assert set(kept[0]) == {"customer_id", "signup_at"}
        assert [n.split(" ")[0] for n in notes] == ["attribute[region]", "attribute[score]"]
        assert all("known_from" in n for n in notes)

    def test_attributes_known_from_the_signup(self, desk):
        known = {"known_from": "signup_at"}
        kept, notes = self.columns(desk, attributes={"region": known, "score": known})
        assert [r["attribute[region]"] for r in kept] == ["North", None]
        assert [r["attribute[score]"] for r in kept] == [1.0, 2.5]  # all numbers: a number
        assert notes == ()

    def test_attributes_known_from_another_date(self, desk):
        how = {"attributes": {"region": {"known_from": "moved"}}}
        with pytest.raises(DataError, match=r"moved: 2 of 2 rows(.|\n)*formats: \{moved:"):
            self.columns(desk, **how)
        kept, notes = self.columns(desk, formats={"moved": "%d/%m/%Y"}, **how)
        assert kept[0]["attribute[region]_at"] == utc("2021-02-05")
        assert notes == ()
        bad = [*PEOPLE, PEOPLE[0] | {"customer_id": "c", "moved": "once"}]
        with desk.load(
            {"customers": bad},
            {"customers": how | {"formats": {"moved": "%d/%m/%Y"}}},
        ) as sources:
            aside = sources.report.tables["customers"].set_aside
        assert aside == {"unreadable_attribute[region]_at": 1}

    def test_a_signup_that_is_not_there(self, desk):
        with pytest.raises(DataError, match="region: known_from is signup_at, and there is none"):
            self.columns(desk, columns={}, attributes={"region": {"known_from": "signup_at"}})

    def test_an_attribute_that_is_not_there_gets_the_nearest(self, desk):
        with pytest.raises(DataError, match=r"'regoin'. Did you mean 'region'"):
            self.columns(desk, attributes={"regoin": {"known_from": "signup_at"}})

    @pytest.mark.parametrize("name", ['x"; DROP TABLE customers;--', "a]_at", "<b>", "a b", "ü'"])
    def test_hostile_names(self, desk, name):
        rows = [row | {name: "x"} for row in PEOPLE]
        kept, _ = self.columns(desk, rows, attributes={name: {"known_from": "signup_at"}})
        assert [r[f"attribute[{name}]"] for r in kept] == ["x", "x"]


WIDE = [{"Churn": c, "Plan": p, "Use": u} for c, p, u in
        (("Left", "a", "1"), ("Stayed", "b", ""), ("Stayed", "a", "3"))]  # fmt: skip
LABEL = {"column": "Churn", "map": {"Left": 1, "Stayed": False}}


class TestLabels:
    """Wide files of a label kind: every column is an attribute, rows may lack ids."""

    def load(self, desk, rows, columns, **how):
        tables = {"transactions": None, "customers": rows}
        how = {"customers": {"columns": columns, "attributes": "all"} | how}
        return desk.rows("customers", tables, how, churn={"kind": "label"})

    def test_rows_are_numbered_and_labels_translated(self, desk):
        with self.load(desk, WIDE, {"customer_id": "$row", "label": LABEL}) as (kept, _):
            found = [tuple(r.values()) for r in sorted(kept, key=lambda r: r["customer_id"])]
        assert found == [("1", True, "a", 1.0), ("2", False, "b", None), ("3", False, "a", 3.0)]

    def test_a_label_in_other_words_asks_for_a_map(self, desk):
        with (
            pytest.raises(DataError, match=r"unreadable_label: 3 of 3 rows(.|\n)*map: \{…\}"),
            self.load(desk, WIDE, {"customer_id": "$row", "label": "Churn"}),
        ):
            pass

    def test_the_label_is_required(self, desk):
        with (
            pytest.raises(DataError, match="label is required"),
            self.load(desk, WIDE, {"customer_id": "$row"}),
        ):
            pass

    def test_row_numbers_need_one_file(self, desk, tmp_path, write_rows):
        for name in ("a", "b"):
            write_rows(tmp_path / f"{name}.csv", WIDE)
        with (
            pytest.raises(DataError, match="numbers the rows of one file; here are 2"),
            self.load(
                desk,
                {"path": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]},
                {"customer_id": "$row", "label": LABEL},
            ),
        ):
            pass


class TestEnds:
    """A table that stopped early is silent, which is not the same as nothing happening."""

    def log(self, make_rows, days=100):
        start = dt.date(2021, 1, 1)
        rows = make_rows("transactions", days)
        for i, row in enumerate(rows):
            row["ts"] = str(start + dt.timedelta(days=i))
        return rows  # until 2021-04-11

    def tickets(self, make_rows, *days):
        rows = [r | {"opened_at": d} for r, d in zip(make_rows("interactions", 9), days)]  # noqa: B905
        return {"interactions": rows}, {
            "interactions": {"only": ["customer_id", "opened_at", "interaction_id"]}
        }

    def test_a_usual_pause_is_no_end(self, desk, make_rows):
        tickets, only = self.tickets(make_rows, "2021-01-05", "2021-02-05", "2021-02-06")
        with desk.load({"transactions": self.log(make_rows), **tickets}, only) as sources:
            assert sources.observed_until == dt.date(2021, 4, 11)
            assert sources.ends == {}
            sources.require(dt.date(2021, 4, 11))

    def test_a_closing_silence_of_thrice_the_longest_gap_is(self, desk, make_rows):
        tickets, only = self.tickets(make_rows, "2021-01-05", "2021-01-25", "2021-02-05")
        with desk.load({"transactions": self.log(make_rows), **tickets}, only) as sources:
            assert sources.ends == {"interactions": dt.date(2021, 2, 6)}
            sources.require(dt.date(2021, 2, 6))
            with pytest.raises(
                DataError, match="interactions ends at 2021-02-06, before 2021-02-07"
            ):
                sources.require(dt.date(2021, 2, 7))

    def test_the_config_decides(self, desk, make_rows):
        tickets, only = self.tickets(make_rows, "2021-01-05", "2021-01-25", "2021-02-05")
        for until, ends in (("2021-04-11", {}), ("2021-03-01", {"interactions": "2021-03-01"})):
            how = {
                "interactions": only["interactions"]
                | {"observed_until": dt.date.fromisoformat(until)}
            }
            only = {"interactions": {"only": ["customer_id", "opened_at", "interaction_id"]}}
            with desk.load({"transactions": self.log(make_rows), **tickets}, how) as sources:
                assert {n: str(d) for n, d in sources.ends.items()} == ends
                (note,) = sources.report.tables["interactions"].notes
            assert f"observed_until {until} lies" in note
            assert "counts as nothing happening" in note

    def test_an_end_far_beyond_the_last_row_is_told(self, desk, make_rows):
        for until, days in (("2021-04-17", None), ("2021-04-18", 8), ("2022-04-10", 365)):
            how = {"transactions": {"observed_until": dt.date.fromisoformat(until)}}
            with desk.load({"transactions": self.log(make_rows)}, how) as sources:
                assert str(sources.observed_until) == until
                notes = sources.report.tables["transactions"].notes
            if days is None:
                assert notes == ()
            else:
                assert f"lies {days} days beyond the last row, of 2021-04-10" in notes[0]
                assert "count as lost" in notes[0]

    def test_customers_and_treatments_never_end(self, desk, make_rows):
        tables = {"transactions": self.log(make_rows, 800), "customers": make_rows("customers"),
                  "treatments": make_rows("treatments")}  # fmt: skip
        with desk.load(tables) as sources:
            assert sources.ends == {}

    def test_an_end_of_a_subscription_is_an_event(self, desk, make_rows):
        rows = make_rows("subscriptions", 4)
        rows[2]["ended_at"] = "2021-05-07 12:00"
        tables = {"transactions": None, "subscriptions": rows}
        with desk.load(tables, churn={"kind": "subscription"}) as sources:
            assert sources.observed_until == dt.date(2021, 5, 7)

    def test_planned_ends_are_told(self, desk, make_rows):
        rows = make_rows("subscriptions", 4, ended_at="2023-01-01")
        tables = {"transactions": None, "subscriptions": rows}
        with desk.load(tables, churn={"kind": "subscription"}) as sources:
            (note,) = sources.report.tables["subscriptions"].notes
        assert "ended_at goes on for 668 days after the last started_at" in note
        assert "renews_at" in note


class TestSeveral:
    """Several tables, good and bad, in one run."""

    @pytest.mark.parametrize("name", [n for n in TABLES if n != "transactions"])
    def test_an_optional_table_that_is_empty_names_its_file(self, desk, make_rows, tmp_path, name):
        file = tmp_path / "given.csv"
        table = {name: {"path": str(file)}}
        with pytest.raises(ConfigError, match=r"given\.csv: no such file"):
            desk.load(table)
        file.write_bytes(b"")
        with pytest.raises(DataError, match=r"given\.csv: is empty \(0 bytes\)"):
            desk.load(table)
        file.write_text(",".join(make_rows(name)[0]) + "\n")
        with pytest.raises(DataError, match=rf"no {name}: .*given\.csv has no rows"):
            desk.load(table)

    def test_an_empty_input_of_a_query_is_named(self, desk, tmp_path):
        (tmp_path / "q.sql").write_text("SELECT * FROM tickets")
        (tmp_path / "given.csv").write_text("customer_id,opened_at\n")
        query = {"sql": str(tmp_path / "q.sql"), "files": {"tickets": str(tmp_path / "given.csv")}}
        with pytest.raises(DataError, match=r"interactions: no rows in .*given\.csv"):
            desk.load({"interactions": query})

    def test_one_empty_file_of_several_is_noted(self, desk, make_rows, tmp_path, write_rows):
        write_rows(tmp_path / "e1.csv", make_rows("events"))
        write_rows(tmp_path / "e2.csv", [], list(make_rows("events")[0]))
        with desk.rows("events", {"events": {"path": str(tmp_path / "e?.csv")}}) as (_, report):
            (note,) = report.notes
        assert note.endswith("e2.csv has no rows.")

    def test_every_problem_of_every_table_comes_in_one_message(self, desk, make_rows, tmp_path):
        (tmp_path / "q.sql").write_text("SELECT x::INT AS customer_id FROM f")
        (tmp_path / "f.csv").write_text("x\nSecret\n")
        query = {"sql": str(tmp_path / "q.sql"), "files": {"f": str(tmp_path / "f.csv")}}
        strangers = make_rows("surveys", customer_id="x")
        tables = {
            "subscriptions": query,
            "treatments": query,
            "interactions": make_rows("interactions", opened_at="05/06/2021"),
            "events": make_rows("events", ts="soon", event=""),
        }
        with pytest.raises(DataError) as fault:
            desk.load(tables)
        text = str(fault.value)
        assert text.count("a value does not fit the type") == 2
        assert "interactions: 1 problem\n  opened_at: 5 of 5 rows have dates" in text
        assert "events: more than half of the rows break a rule: 1 problem" in text
        assert "Secret" not in text
        with pytest.raises(DataError) as fault:
            desk.load({"surveys": strangers, "events": make_rows("events", customer_id="x")})
        assert "surveys: 5 of 5 rows match no" in str(fault.value)
        assert "events: 5 of 5 rows match no" in str(fault.value)

    def test_one_parquet_holds_what_all_tables_set_aside(self, desk, make_rows, tmp_path):
        tables = {name: make_rows(name) for name in ("transactions", "surveys", "events")}
        for rows in tables.values():
            rows[1]["customer_id"] = ""
        with (tmp_path / "x").open("w"), desk.load(tables) as sources:
            (tmp_path / "q.parquet").write_bytes(b"old")
            assert sources.write_quarantine(tmp_path / "q.parquet") == 3
        rows = pq.read_table(tmp_path / "q.parquet").to_pylist()
        assert [(r["table"], r["rule"], r["row"]) for r in rows] == [
            (name, "missing_customer", 2) for name in tables
        ]
        assert rows[1]["comment"] == "well"
        assert rows[0]["comment"] is None

    def test_one_file_may_feed_two_tables(self, desk, make_rows, tmp_path, write_rows):
        both = [r | {"stars": "5", "at": "2021-03-09"} for r in make_rows("transactions")]
        file = write_rows(tmp_path / "both.csv", both)
        with file.open("a") as more:
            more.write("broken line\r\n")
        (tmp_path / "q.sql").write_text(
            'SELECT customer_id, "at" AS answered_at, stars AS score FROM f'
        )
        query = {"sql": str(tmp_path / "q.sql"), "files": {"f": str(file)},
                 "columns": {"kind": {"value": "review"}}}  # fmt: skip
        with desk.load({"transactions": {"path": str(file)}, "surveys": query}) as sources:
            for name in ("transactions", "surveys"):
                report = sources.report.tables[name]
                assert (report.rows_kept, report.set_aside) == (5, {"broken_line": 1})

    def test_nested_json_lines_through_sql(self, desk, tmp_path):
        lines = [
            {"id": i, "user": {"key": "007"}, "log": {"opened": f"2021-03-0{i}T10:00:00Z"},
             "tags": ["late", "parcel"]}
            for i in (4, 5)
        ]  # fmt: skip
        (tmp_path / "t.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        (tmp_path / "q.sql").write_text(
            "SELECT id AS interaction_id, \"user\"->>'$.key' AS customer_id, "
            "log->>'$.opened' AS opened_at, tags->>'$[0]' AS topic FROM zendesk"
        )
        query = {"sql": str(tmp_path / "q.sql"), "files": {"zendesk": str(tmp_path / "t.jsonl")}}
        with desk.rows("interactions", {"interactions": query}) as (kept, report):
            assert report.set_aside == {}
            assert {r["topic"] for r in kept} == {"late"}
            assert max(r["opened_at"] for r in kept) == utc("2021-03-05 10:00")

    def test_databases_of_one_name_in_two_folders_are_two(self, desk, make_rows, tmp_path):
        for folder, topic in (("a", "ours"), ("b", "theirs")):
            (tmp_path / folder).mkdir()
            with duckdb.connect(str(tmp_path / folder / "shop.duckdb")) as con:
                con.execute(f"CREATE TABLE t AS SELECT '007' AS customer_id, DATE '2021-03-04' AS "
                            f"opened_at, DATE '2021-03-05' AS ts, 5 AS amount, '{topic}' AS topic, "
                            f"'{topic}' AS channel")  # fmt: skip
        tables = {
            "transactions": {"path": str(tmp_path / "a" / "shop.duckdb"), "table": "t"},
            "interactions": {"path": str(tmp_path / "b" / "shop.duckdb"), "table": "t"},
        }
        with desk.load(tables) as sources:
            found = [
                sources.con.to_pyarrow(sources.tables[n])["channel"].to_pylist() for n in tables
            ]
        assert found == [["ours"], ["theirs"]]

    def test_constants_may_be_true(self, desk, make_rows):
        rows = make_rows("treatments", 3)
        how = {"treatments": {"columns": {"treated": {"value": True}}}}
        with desk.rows("treatments", {"treatments": rows}, how) as (kept, _):
            assert {r["treated"] for r in kept} == {True}
