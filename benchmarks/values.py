"""How fast the values of a million customers are, and how true their intervals.

`make bench-values`: from histories to values with 90 % intervals, each library in a process of its
own; then many small simulated worlds, with fitted parameters, of which nine in ten customers and
nine in ten totals should fall into their intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import coverage, worlds
from benchmarks.value_peers import WHO

STEPS = ("fit", "values", "intervals")


def main() -> None:
    """Run both parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--worlds", type=int, default=200, help="of each family")
    parser.add_argument(
        "--pymc", default=sys.executable, help="interpreter that has pymc-marketing"
    )
    asked = parser.parse_args()
    if asked.customers:
        speed(asked.customers, asked.pymc)
    if asked.worlds:
        coverage.study(asked.worlds)


def speed(customers: int, pymc: str) -> None:
    """Print seconds and memory of each library on the same histories."""
    rfm, _, _ = worlds.live("bg_nbd", customers, 0, seed=0)
    pairs, histories = (len(rfm[c].drop_duplicates()) for c in (["frequency", "T"], list(rfm)[:3]))
    print(f"{customers:,} customers, {histories:,} histories, {pairs:,} pairs of frequency and age")
    print(f"{'':18s}" + "".join(f"{s:>11s}" for s in (*STEPS, "all, s", "peak, GB", "mean value")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rfm.parquet"
        rfm.to_parquet(path)
        for who in WHO:
            found = _measure(who, path, pymc if who == "pymc-marketing" else sys.executable)
            print(f"{who:18s}" + (found if isinstance(found, str) else _row(found, customers)))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end; one run each.")


def _measure(who: str, path: Path, python: str) -> dict | str:
    script = Path(__file__).with_name("value_peers.py")
    command = [python, "-P", str(script), who, str(path)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        return f"  failed: {done.stderr.strip().splitlines()[-1]}"
    found = json.loads(done.stdout)
    return f"  skipped: {found['skipped']}" if "skipped" in found else found


def _row(found: dict, customers: int) -> str:
    laps = found["laps"]
    steps = [f"{laps[s]:.1f}" if s in laps else "none" for s in STEPS]
    ends = (
        f"{sum(laps.values()):.1f}",
        f"{found['peak']:.2f}",
        f"{found['total'] / customers:.2f}",
    )
    return "".join(f"{cell:>11s}" for cell in (*steps, *ends))


if __name__ == "__main__":
    main()
