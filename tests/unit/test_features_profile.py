"""Sign-up and attributes worked out by hand, with and without cutoffs."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from tenure.features.matrix import plan_schema
from tenure.features.profile import attribute_columns, attribute_levels, attribute_values

CUTOFF = dt.date(2024, 7, 1)


def customers(regions, **more):
    return [
        {"customer_id": f"c{i:02}", "attribute[region]": region} | more
        for i, region in enumerate(regions)
    ]


def test_days_since_signup(typed):
    row = {"customer_id": "ann", "signup_at": dt.datetime(2024, 6, 1, 12)}
    bought = [{"customer_id": "ann", "ts": dt.datetime(2021, 1, 1), "amount": 1}]
    logs = typed.tables({"transactions": bought, "customers": [row]}, "Europe/Berlin")
    matrix = typed.matrix(logs, [CUTOFF], typed.schema(logs), "Europe/Berlin")
    assert matrix["days_since_signup"].tolist() == [29.5]


class TestWithoutCutoffs:
    def table(self, typed, regions, **more):
        return typed.table("customers", customers(regions, **more))

    def test_a_number_stays_and_a_text_becomes_a_sign_a_level(self, typed):
        rows = self.table(typed, ["a", "b", "x", None], **{"attribute[age]": 3.5})
        levels = attribute_levels(rows, {"region": ["a", "b"]})
        columns = attribute_columns(rows.columns, levels)
        assert [c.name for c in columns] == [
            "profile[age]", "profile[region=a]", "profile[region=b]", "profile[region=other]",
        ]  # fmt: skip
        values = rows.select("customer_id", **attribute_values(rows, columns))
        found = values.order_by("customer_id").drop("customer_id").to_pyarrow().to_pylist()
        assert [list(row.values()) for row in found] == [
            [3.5, 1, 0, 0],
            [3.5, 0, 1, 0],
            [3.5, 0, 0, 1],
            [3.5, None, None, None],  # missing is no level
        ]

    def test_levels_are_the_most_frequent_of_enough_customers(self, typed):
        rows = self.table(typed, ["a"] * 11 + ["b"] * 10 + ["c"] * 9 + ["other"] * 20 + [None] * 12)
        assert attribute_levels(rows) == {"customers.attribute[region]": ("a", "b")}
        assert attribute_levels(rows, most=1) == {"customers.attribute[region]": ("a",)}
        assert attribute_levels(rows, fewest=9)["customers.attribute[region]"] == ("a", "b", "c")

    def test_without_a_level_everything_known_is_other(self, typed):
        rows = self.table(typed, ["a", None])
        columns = attribute_columns(rows.columns, attribute_levels(rows))
        values = rows.select("customer_id", **attribute_values(rows, columns))
        found = values.order_by("customer_id").to_pyarrow().to_pydict()
        assert found["profile[region=other]"] == [1, None]


@pytest.mark.parametrize("signed", ["2024-06-30T23:59:59.999999", "2024-07-01"])
def test_an_attribute_is_known_from_the_sign_up(typed, signed):
    rows = customers(["a"] * 10, signup_at=dt.datetime.fromisoformat(signed))
    bought = [
        {"customer_id": row["customer_id"], "ts": dt.datetime(2021, 1, 1), "amount": 1}
        for row in rows
    ]
    logs = typed.tables({"transactions": bought, "customers": rows}, "Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    schema = plan_schema(logs, dt.date(2021, 1, 1), CUTOFF, zone, {"region": ["a"]})
    matrix = typed.matrix(logs, [CUTOFF], schema, "Europe/Berlin")
    column = next(c for c in schema.columns() if c.name == "profile[region=a]")
    assert (column.factor, column.unit) == ("profile", "0 or 1")
    assert matrix["profile[region=a]"].isna().all() == (signed == "2024-07-01")
