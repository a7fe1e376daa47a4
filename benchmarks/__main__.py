"""Run every measurement in a process of its own and print the table: `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import data

HEAD = ("what", "transactions", "columns", "rows out", "seconds", "CPU s", "to the peer", "peak GB")
RATIO = 25  # transactions to a customer; ten times as many as tickets, and as surveys


def main() -> None:
    """Measure ours, the peer, and all features; with --large, ten times the company."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--transactions", type=int, default=5_000_000)
    parser.add_argument("--repeat", type=int, default=2, help="the best of so many runs")
    parser.add_argument("--large", action="store_true", help="only 50 M transactions (minutes)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="2500MB", help="the engine's limit")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "tenure-benchmark"
    )
    asked = parser.parse_args()
    rows = 50_000_000 if asked.large else asked.transactions
    paths = data.make(
        asked.folder,
        rows // RATIO,
        {"transactions": rows}
        if asked.large
        else {"transactions": rows, "interactions": rows // 10, "surveys": rows // 10},
    )
    wanted = ["family"] if asked.large else ["family", "peer", "all"]
    best: dict[str, Any] = {}
    for _ in range(1 if asked.large else asked.repeat):
        for what in wanted:
            found = _measure(what, paths, asked)
            if what not in best or found["seconds"] < best[what]["seconds"]:
                best[what] = found
    _print(best, rows)


def _measure(what: str, paths: dict[str, Path], asked: argparse.Namespace) -> dict[str, Any]:
    out = asked.folder / f"{what}.parquet"
    task = {
        "what": what,
        "threads": asked.threads,
        "memory": asked.memory,
        "folder": str(asked.folder),
        "out": str(out),
        "paths": {name: str(path) for name, path in paths.items()},
    }
    environment = os.environ | {"POLARS_MAX_THREADS": str(asked.threads)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", json.dumps(task)],
        env=environment, stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    out.unlink()
    return found


NAMES = {
    "family": "transaction family",
    "peer": "the same columns, Polars loop",
    "all": "all features of three tables",
}


def _print(best: dict[str, Any], rows: int) -> None:
    lines = [HEAD]
    for what, found in best.items():
        ratio = found["seconds"] / best["peer"]["seconds"] if "peer" in best else None
        lines.append(
            (
                NAMES[what], f"{rows:,}", str(found["columns"]), f"{found['rows']:,}",
                f"{found['seconds']:.1f}", f"{found['cpu']:.1f}",
                "" if ratio is None or what == "all" else f"{ratio:.2f}", f"{found['peak']:.2f}",
            )
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *others = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        print("  ".join(cells))
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} cores, load {load:.1f} at the end; the best of the runs each.")


if __name__ == "__main__":
    main()
