"""Sign-up and attributes recomputed by plain SQL, one cutoff at a time, from the typed log."""

import datetime as dt
import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tenure.features.matrix import plan_schema

CUTOFFS = [dt.date(2023, 11, 6), dt.date(2024, 4, 1), dt.date(2024, 11, 4)]
# `segment` is dated by a column of its own, the other attributes by the sign-up
SQL = """
WITH now AS (SELECT TIMESTAMP '{day} 00:00:00' AS cutoff
), c AS (SELECT * FROM {customers}, now WHERE {loaded}
), s AS (SELECT * FROM c WHERE signup_at < cutoff {newest}
), g AS (SELECT * FROM (SELECT * FROM c {newest}) WHERE "attribute[segment]_at" < cutoff
), people AS (SELECT DISTINCT customer_id FROM {buyers})
SELECT p.customer_id, {columns}
FROM people p
LEFT JOIN s ON s.customer_id = p.customer_id
LEFT JOIN g ON g.customer_id = p.customer_id
"""
NEWEST = "QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY loaded_at DESC) = 1"
REGIONS = ["north", "North", "o'rk", "", "other", None, "<b>"]


def text(value):
    return "'" + value.replace("'", "''") + "'"


def sql(column, levels):
    if column.name == "days_since_signup":
        return "(epoch_us(s.cutoff) // 1000000 - epoch_us(s.signup_at) // 1000000) / 86400"
    name = column.name.removeprefix("profile[").removesuffix("]")
    if name == "age":
        return 's."attribute[age]"'
    attribute, _, level = name.partition("=")
    cell = f'{"g" if attribute == "segment" else "s"}."attribute[{attribute}]"'
    named = ", ".join(map(text, levels[f"customers.attribute[{attribute}]"]))
    told = f"{cell} NOT IN ({named})" if level == "other" else f"{cell} = {text(level)}"
    return f"CAST({told} AS INT)"


def recompute(con, logs, day, columns, levels):
    late = "loaded_at" in logs["customers"].columns
    made = [f"CAST({sql(c, levels)} AS DOUBLE)" for c in columns]
    query = SQL.format(
        day=day, customers=logs["customers"].get_name(), buyers=logs["transactions"].get_name(),
        loaded="loaded_at < cutoff" if late else "true", newest=NEWEST if late else "",
        columns=", ".join(made),
    )  # fmt: skip
    return {row[0]: row[1:] for row in con.con.execute(query).fetchall()}


def customer(rng, name):
    signed = dt.datetime(2023, 1, 1) + dt.timedelta(
        days=rng.randrange(700), hours=rng.choice([0, 9])
    )
    return {
        "customer_id": name,
        "signup_at": signed,
        "contactable": True,
        "attribute[age]": rng.choice([None, 0.0, 31.5, 1e12]),
        "attribute[region]": rng.choice(REGIONS),
        "attribute[segment]": rng.choice(["gold", "tin", None]),
        "attribute[segment]_at": signed + dt.timedelta(days=rng.choice([0, 50, 400])),
    }


def world(seed, late):
    rng = random.Random(seed)
    rows = [customer(rng, f"c{n}") for n in range(120)]
    for row, day in zip(rows, CUTOFFS, strict=False):
        row["signup_at"] = dt.datetime.combine(day, dt.time())
    if late:
        for row in list(rows):
            row["loaded_at"] = row["signup_at"] + dt.timedelta(days=rng.choice([-1, 0, 3, 40]))
            if rng.random() < 0.4:
                later = row["loaded_at"] + dt.timedelta(days=rng.choice([20, 100]))
                again = customer(rng, row["customer_id"]) | {"loaded_at": later}
                # a version is in force from its sign-up on, so that it stays where it was
                rows.append(again | {"signup_at": row["signup_at"]})
    bought = dt.datetime(2022, 12, 1)
    orders = [{"customer_id": f"c{n}", "ts": bought, "amount": 1} for n in range(125)]
    return {"transactions": orders, "customers": rows}


@pytest.mark.parametrize("late", [False, True])
def test_every_column_agrees_with_plain_sql(typed, late):
    logs = typed.tables(world(f"{late}", late))
    given = {"region": ["", "North", "o'rk", "other"], "customers.segment": ["gold"]}
    schema = plan_schema(logs, dt.date(2022, 12, 1), CUTOFFS[-1], ZoneInfo("UTC"), given)
    assert schema.levels["customers.attribute[region]"] == ("", "North", "o'rk")
    columns = [c for c in schema.columns() if c.factor == "profile" or "signup" in c.name]
    assert len(columns) == 2 + 4 + 2
    matrix = typed.matrix(logs, CUTOFFS, schema)
    for day in CUTOFFS:
        part = matrix[matrix["cutoff"] == str(day)]
        expected = recompute(typed.con, logs, day, columns, schema.levels)
        want = np.array([expected[c] for c in part["customer_id"]], np.float64)
        got = part[[c.name for c in columns]].to_numpy(np.float64)
        np.testing.assert_allclose(got, want, rtol=1e-12)
        assert np.isnan(want).any(axis=0).all()
    assert (matrix[[c.name for c in columns]].nunique() > 1).all()


def test_levels_come_from_what_was_known_at_the_earliest_cutoff(typed):
    rows = world("levels", late=False)["customers"]
    old, new = dt.datetime(2023, 1, 1), dt.datetime(2024, 4, 1)
    for n, row in enumerate(rows):
        known = n % 2 == 0
        row |= {"signup_at": old if known else new, "attribute[region]": "a" if known else "b"}
    logs = typed.tables({"customers": rows})
    schema = plan_schema(logs, dt.date(2022, 12, 1), CUTOFFS[1], ZoneInfo("UTC"), {})
    assert schema.levels["customers.attribute[region]"] == ("a",)
    later = plan_schema(logs, dt.date(2022, 12, 1), CUTOFFS[2], ZoneInfo("UTC"), {})
    assert later.levels["customers.attribute[region]"] == ("a", "b")


def test_an_attribute_with_a_date_of_its_own_needs_no_sign_up(typed):
    dated = {"attribute[tier]": "x", "attribute[tier]_at": dt.datetime(2024, 3, 31)}
    rows = [{"customer_id": f"c{n}"} | dated for n in range(10)]
    bought = dt.datetime(2023, 1, 1)
    orders = [{"customer_id": f"c{n}", "ts": bought, "amount": 1} for n in range(10)]
    logs = typed.tables({"customers": rows, "transactions": orders})
    schema = plan_schema(logs, dt.date(2023, 1, 1), CUTOFFS[1], ZoneInfo("UTC"), {})
    days = [dt.date(2024, 3, 31), CUTOFFS[1]]
    matrix = typed.matrix(logs, days, schema)
    assert matrix["profile[tier=x]"].isna().tolist() == [True, False] * 10
    assert matrix["profile[tier=other]"].dropna().unique().tolist() == [0.0]


def test_contactable_label_and_undated_attributes_are_no_features(typed):
    rows = [{"customer_id": "c0", "contactable": True, "label": False, "attribute[age]": 3.0}]
    orders = [{"customer_id": "c0", "ts": dt.datetime(2023, 1, 1), "amount": 1}]
    logs = typed.tables({"customers": rows, "transactions": orders})
    schema = plan_schema(logs, dt.date(2023, 1, 1), CUTOFFS[1], ZoneInfo("UTC"), {})
    assert "customers" not in schema.tables()
    assert not [c.name for c in schema.columns() if c.factor == "profile"]
