"""One measurement: reads the tables, computes a matrix, writes it as Parquet, prints JSON."""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

CUTOFFS = [dt.date(2025, 10, 1) - dt.timedelta(days=30 * k) for k in range(12)][::-1]
UTC = ZoneInfo("UTC")
LEVELS = {
    "channel": ("app", "phone", "store", "web"),
    "category": tuple(f"category {i:02d}" for i in range(8)),
}


def ours(task: dict[str, Any]) -> dict[str, Any]:
    import ibis
    import pyarrow.parquet as pq

    from benchmarks import data, peer
    from tenure.features.matrix import blocks, plan_schema

    spill = Path(task["folder"]) / "spill"
    con = ibis.duckdb.connect(
        temp_directory=str(spill), memory_limit=task["memory"], threads=task["threads"]
    )
    is_family = task["what"] == "family"
    tables = {}
    for name, path in task["paths"].items():
        if name == "transactions" or not is_family:
            columns = ", ".join(peer.COLUMNS) if is_family else "*"
            con.raw_sql(f"CREATE TABLE {name} AS SELECT {columns} FROM '{path}'")
            tables[name] = con.table(name)
    started = _clock()
    settings = dict.fromkeys(
        ("counts_late_delivery", "counts_slow_response", "counts_low_score"), 1.0
    ) | {"response_days": 14.0, "grace_days": 30.0}
    schema = plan_schema(tables, data.FIRST, CUTOFFS[0], UTC, LEVELS, settings=settings)
    writer, rows = None, 0
    for part in blocks(tables, CUTOFFS, UTC, schema):
        writer = writer or pq.ParquetWriter(task["out"], part.schema)
        writer.write_table(part)
        rows += len(part)
    assert writer is not None
    writer.close()
    return _found(started) | {"rows": rows, "columns": len(schema.columns())}


def theirs(task: dict[str, Any]) -> dict[str, Any]:
    import polars as pl

    from benchmarks import peer

    log = pl.read_parquet(task["paths"]["transactions"], columns=peer.COLUMNS)
    started = _clock()
    matrix = peer.loop(log, CUTOFFS, {name: list(levels) for name, levels in LEVELS.items()})
    matrix.write_parquet(task["out"], compression="snappy")
    return _found(started) | {"rows": matrix.height, "columns": matrix.width - 2}


def _clock() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def _found(started: tuple[float, float]) -> dict[str, Any]:
    now = _clock()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": now[0] - started[0], "cpu": now[1] - started[1], "peak": peak}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps((theirs if job["what"] == "peer" else ours)(job)))
