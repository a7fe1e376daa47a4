"""A seeded company of any size: transactions, tickets and surveys as typed tables in Parquet."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

FIRST = dt.date(2023, 1, 1)
DAYS = 1096  # length of the logs
BLOCK = 50_000  # customers drawn at once: memory does not grow with the company
CHANNELS = ("web", "app", "store", "phone")
CATEGORIES = tuple(f"category {i:02d}" for i in range(12))
PARTNERS = ("north", "south", "post")
TOPICS = ("delivery", "billing", "product", "account", "returns", "other things")
SECOND = 1_000_000
DAY = 86_400 * SECOND

TRANSACTIONS = """
    SELECT 'c' || lpad(customer::VARCHAR, 8, '0') AS customer_id, ts,
        (CASE WHEN refund THEN -cents ELSE cents END / 100)::DECIMAL(18, 4) AS amount,
        't' || number AS transaction_id,
        CASE WHEN refund THEN 'refund' ELSE 'purchase' END AS kind,
        channel, category, partner, items::DECIMAL(18, 4) AS quantity,
        CASE WHEN off > 0 THEN (cents * off // 100 / 100)::DECIMAL(18, 4) END AS discount,
        ts + to_days(4) AS promised_at, ts + to_microseconds(took) AS delivered_at,
        ts::DATE AS day
    FROM part"""
INTERACTIONS = """
    SELECT 'c' || lpad(customer::VARCHAR, 8, '0') AS customer_id, ts AS opened_at,
        'i' || number AS interaction_id,
        ts + to_microseconds(took // 20) AS first_response_at,
        CASE WHEN off < 27 THEN ts + to_microseconds(took) END AS resolved_at,
        CASE WHEN off = 3 THEN ts + to_microseconds(2 * took) END AS reopened_at,
        CASE WHEN refund THEN ts + to_microseconds(took // 2) END AS escalated_at,
        CASE WHEN off = 5 THEN 'out' ELSE 'in' END AS direction,
        ['question', 'complaint', 'request', 'return'][1 + items % 4] AS kind,
        channel, topic, (cents % 1200)::BIGINT AS wait_seconds, items::BIGINT AS replies,
        (items // 3)::BIGINT AS handoffs, (off = 3)::BIGINT AS reopens, ts::DATE AS day
    FROM part"""
SURVEYS = """
    SELECT *, ((score - low) / (high - low))::DECIMAL(18, 4) AS score_share,
        sent_at::DATE AS sent_day, answered_at::DATE AS answered_day
    FROM (
        SELECT 'c' || lpad(customer::VARCHAR, 8, '0') AS customer_id, ts AS sent_at,
            CASE WHEN off < 14 THEN ts + to_microseconds(took // 3) END AS answered_at,
            ['nps', 'csat', 'ces'][1 + items % 3] AS kind,
            CASE WHEN off < 14 THEN (low + cents % (high - low + 1))::DECIMAL(18, 4) END AS score,
            'q' || number AS survey_id,
            ['checkout', 'delivery', 'support'][1 + cents % 3] AS touchpoint, low, high
        FROM (
            SELECT *, [0, 1, 1][1 + items % 3] AS low, [10, 5, 7][1 + items % 3] AS high FROM part
        )
    )"""
SHAPES = {"transactions": TRANSACTIONS, "interactions": INTERACTIONS, "surveys": SURVEYS}


def make(folder: Path, customers: int, rows: dict[str, int]) -> dict[str, Path]:
    """Write each table, in order of time, unless it is there; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}_{n}_{customers}.parquet" for name, n in rows.items()}
    for seed, (name, path) in enumerate(paths.items()):
        if not path.exists():
            _write(path, SHAPES[name], seed, customers, rows[name])
    return paths


def _write(path: Path, shape: str, seed: int, customers: int, rows: int) -> None:
    beside = path.with_suffix(".writing")
    with duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(path.parent)}) as con:
        con.execute("SET enable_progress_bar = false")
        starts = range(0, customers, BLOCK)
        for start in starts:
            many = min(BLOCK, customers - start)
            share = rows * (start + many) // customers - rows * start // customers
            con.register("part", _draw(np.random.default_rng([seed, start]), start, many, share))
            verb = "INSERT INTO every" if start else "CREATE TABLE every AS"
            con.execute(f"{verb} {shape.replace('number', f'({start} * 1000 + number)')}")
        # the second column is the moment that opens a row
        con.execute(f"COPY (FROM every ORDER BY 2, 1) TO '{beside}' (FORMAT parquet)")
    beside.rename(path)


def _draw(rng: np.random.Generator, start: int, many: int, rows: int) -> pa.Table:
    """Draw rows of some customers: few of them make most of the rows, and most come and go."""
    weight = rng.lognormal(0, 1.4, many)
    counts = rng.multinomial(rows, weight / weight.sum())
    begins = rng.integers(0, int(DAYS * 0.85) * DAY, many)
    lasts = np.minimum(rng.exponential(400 * DAY, many).astype(np.int64) + DAY, DAYS * DAY - begins)
    who = np.repeat(np.arange(many), counts)
    epoch = (FIRST - dt.date(1970, 1, 1)).days * DAY
    moments = epoch + begins[who] + (rng.random(rows) * lasts[who]).astype(np.int64)
    return pa.table(
        {
            "customer": who + start,
            "number": np.arange(rows),
            "ts": pa.array(moments, pa.timestamp("us")),
            "cents": np.exp(rng.normal(8.3, 0.9, rows)).astype(np.int64) + 1,
            "refund": rng.random(rows) < 0.03,
            "off": rng.integers(0, 30, rows),
            "items": rng.geometric(0.5, rows),
            "took": (rng.lognormal(12.2, 0.8, rows) * SECOND).astype(np.int64),
            **{
                name: _pick(rng, rows, names)
                for name, names in (
                    ("channel", CHANNELS), ("category", CATEGORIES),
                    ("partner", PARTNERS), ("topic", TOPICS),
                )
            },
        }
    )  # fmt: skip


def _pick(rng: np.random.Generator, rows: int, names: tuple[str, ...]) -> pa.Array:
    """Pick names, the first ones more often; two in a hundred are not known."""
    codes = (len(names) * rng.random(rows) ** 1.5).astype(np.int32)
    codes = pa.array(codes, mask=rng.random(rows) < 0.02)
    return pa.DictionaryArray.from_arrays(codes, list(names)).cast(pa.string())
