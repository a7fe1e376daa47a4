"""Adding up spans of time gives the bytes that grouping by cutoff gives, in blocks of any size."""

import datetime as dt
import random
from decimal import Decimal

import ibis.expr.datatypes as ibis_types
import numpy as np
import pyarrow as pa
import pytest

from tenure.features import grouping, matrix
from tenure.features.whole import from_whole, is_whole, to_whole

DAYS = [dt.date(2024, 4, 1), dt.date(2024, 5, 1), dt.date(2024, 9, 3)]
LEVELS = {"channel": ("web",), "category": ("tea", "ink")}
LARGE = "19999999999999.9999"  # some hundred of these do not fit 64 bits
LARGEST = "99999999999999.9999"


def log(amounts, seed=1):
    rng = random.Random(seed)
    edges = [
        dt.datetime.combine(d - dt.timedelta(days=w), dt.time()) for d in DAYS for w in (0, 30)
    ]
    rows = []
    for number in range(240):
        moment = dt.datetime(2023, 12, 1) + dt.timedelta(minutes=rng.randrange(400_000))
        if number % 6 == 0:
            moment = rng.choice(edges) + dt.timedelta(microseconds=rng.choice([-1, 0]))
        row = {
            "customer_id": f"c{rng.randrange(12)}",
            "ts": moment,
            "discount": rng.choice([None, 1]),
        }
        amount = Decimal(rng.choice(amounts)) * rng.choice([1, 1, 1, -1])
        levels = {
            "channel": rng.choice(["web", "shop", None]),
            "category": rng.choice(["tea", "ink", "pen"]),
        }
        rows.append(row | {"amount": amount} | levels)
    return rows


@pytest.fixture
def built(typed, image):
    def of(rows):
        table = typed.log(rows)
        return image(typed.matrix(table, DAYS, typed.schema(table, **LEVELS)))

    return of


@pytest.mark.parametrize("amounts", [["5", "0", "12.3456"], [LARGE, "0.0001"]])
def test_spans_add_up_to_what_grouping_by_cutoff_gives(built, monkeypatch, amounts):
    rows = log(amounts)
    added = built(rows)
    monkeypatch.setattr(grouping, "_spans", lambda *_: None)
    assert built(rows) == added


def test_blocks_of_customers_make_the_same_matrix(built, monkeypatch):
    rows = log(["5", "12.34"])
    whole = built(rows)
    monkeypatch.setattr(matrix, "BLOCK", 5)
    assert built(rows) == whole


def test_only_what_the_cutoff_decides_is_grouped_by_cutoff(typed, monkeypatch):
    """The last three purchase days change with the cutoff; everything else adds up."""
    seen = []
    group = matrix.group

    def spy(*args):
        seen.append(group(*args))
        return seen[-1]

    monkeypatch.setattr(matrix, "group", spy)
    table = typed.log(log(["5"]))
    schema = typed.schema(table, **LEVELS)
    typed.matrix(table, DAYS, schema)
    names = [column.name for column in schema.columns()]
    moving = [c for view in seen if view.by_cutoff is not None for c in view.by_cutoff.columns[2:]]
    assert {names[int(c[1:])] for c in moving} == {"spend_last3", "gap_mean_last3"}


def test_nothing_is_left_in_the_engine(typed):
    table = typed.log(log(["5"]))
    query = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'features_scratch%'"
    typed.matrix(table, DAYS, typed.schema(table, **LEVELS))
    assert typed.con.con.execute(query).fetchone() == (0,)


@pytest.mark.parametrize(
    ("values", "kind", "dtype"),
    [
        ([1, None, -3, 2**61], pa.int64(), "int64"),
        ([Decimal("-0.0001"), None, Decimal("12.3400")], pa.decimal128(38, 4), "decimal(38, 4)"),
        (
            [Decimal(LARGEST) * 10**6, None, -Decimal(LARGEST)],
            pa.decimal128(38, 4),
            "decimal(38, 4)",
        ),
        ([dt.date(1969, 12, 31), None, dt.date(2024, 2, 29)], pa.date32(), "date"),
        ([dt.datetime(1960, 1, 1, 0, 0, 0, 1), None], pa.timestamp("us"), "timestamp(6)"),
    ],
)
def test_whole_numbers_lose_nothing(values, kind, dtype):
    column = pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)])
    numbers, held = to_whole(column)
    assert held.tolist() == [v is not None for v in values]
    assert from_whole(numbers, held, ibis_types.dtype(dtype)).to_pylist() == values


def test_what_is_not_whole_is_not_added_up():
    assert not any(is_whole(ibis_types.dtype(t)) for t in ("float64", "string", "boolean"))
    assert is_whole(ibis_types.dtype("decimal(18, 4)"))
    sums, _ = to_whole(pa.chunked_array([pa.array([2**62, 2**62], pa.int64())]))
    assert np.cumsum(sums).tolist() == [2**62, 2**63]
