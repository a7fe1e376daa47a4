"""A small shop with awkward names, trained once a worker, and the command line in this process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure import cli
from tenure.config import load_config
from tenure.track import champion_version
from tenure.train import train

CONFIG = """\
project: shop
timezone: Europe/Berlin
currency: EUR
data:
  tables:
    transactions: {path: data.csv}
churn: {horizon_days: 30}
model: {tuning_trials: 2}
cutoffs: {every_days: 30, count: 4}
"""
# ids that are text, whatever they look like; the first four would run in a spreadsheet
IDS = ["=1+1", "@SUM(A1)", "-2+3", "+7", "007", " a b", "Zoë 東京", "1e5", "NULL", "nan", "x'\"y"]
CHANNELS = ["Web", "web", "a b", "a_b"]
CATEGORIES = ['"; DROP TABLE transactions;--', "<script>alert(1)</script>", "milk", "=cmd()"]
EMAIL, PHONE = "jane.roe@example.org", "+49 170 5550199"


def purchases(customers=300, *, seed=5, days=240):
    """Simulate buyers who come at their own rate and one day leave for good."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2025-01-01")
    rows = []
    for c in range(customers):
        name = IDS[c] if c < len(IDS) else f"C{c:04d}"
        t, rate, leaves = rng.uniform(0, 120), rng.gamma(1.2, 1 / 15), rng.beta(1, 5)
        level = rng.gamma(6, 6)
        while t < days:
            moment = (start + pd.Timedelta(days=t)).strftime("%Y-%m-%d %H:%M")
            rows.append((name, moment, round(max(0.5, rng.gamma(4, level / 8)), 2)))
            if rng.random() < leaves:
                break
            t += rng.exponential(1 / rate)
    log = pd.DataFrame(rows, columns=["customer_id", "ts", "amount"])
    log.insert(0, "transaction_id", [f"t{i}" for i in range(len(log))])
    return log


def awkward(log):
    """Add levels, free text, refunds, and rows that must be set aside."""
    log = log.assign(
        channel=[CHANNELS[i % 4] for i in range(len(log))],
        category=[CATEGORIES[i % 4] for i in range(len(log))],
        partner="",
        comment="",
    )
    log.loc[3, ["channel", "category", "partner", "comment"]] = EMAIL
    log.loc[4, ["channel", "category", "partner", "comment"]] = PHONE
    back = log.iloc[::40].assign(
        transaction_id=lambda d: d["transaction_id"] + "r", amount=lambda d: -d["amount"]
    )
    nobody = log.iloc[5:25].assign(
        transaction_id=lambda d: d["transaction_id"] + "n", customer_id="", partner=EMAIL
    )
    unread = log.iloc[30:35].assign(
        transaction_id=lambda d: d["transaction_id"] + "u", amount=f"ask {EMAIL}", comment=PHONE
    )
    return pd.concat([log, back, nobody, unread], ignore_index=True)


def lay(folder, log, config=CONFIG):
    """Write a project's data and config."""
    folder.mkdir(parents=True, exist_ok=True)
    log.to_csv(folder / "data.csv", index=False)
    (folder / "c.yaml").write_text(config, encoding="utf-8")
    return folder


def tree(folder):
    """Return every file below a folder with its bytes."""
    return {str(p): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass(frozen=True)
class Shop:
    """The trained project, its log as given, and what training returned."""

    folder: Path
    log: pd.DataFrame
    trained: object
    scores: pd.DataFrame


@pytest.fixture(scope="session")
def make_log():
    return purchases


@pytest.fixture(scope="session")
def lay_out():
    return lay


@pytest.fixture(scope="session")
def files_below():
    return tree


@pytest.fixture(scope="session")
def config_text():
    return CONFIG


@pytest.fixture(scope="session")
def private():
    return [EMAIL, PHONE]


@pytest.fixture(scope="session")
def trained_shop(tmp_path_factory):
    log = awkward(purchases())
    folder = lay(tmp_path_factory.mktemp("shop"), log)
    with contextlib.chdir(folder):
        done = train(load_config("c.yaml"), Path("c.yaml"))
        scores = pd.read_parquet("out/shop/scores.parquet")
    return Shop(folder, log, done, scores)


@pytest.fixture
def shop(trained_shop, monkeypatch):
    """Return the trained project, with its folder as the working directory; leave it as it is."""
    monkeypatch.chdir(trained_shop.folder)
    return trained_shop


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Return an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _database(tmp_path_factory):
    """Return an empty tracking database: making one takes seconds."""
    folder = tmp_path_factory.mktemp("database")
    with contextlib.chdir(folder):
        champion_version("shop")
    return (folder / "mlruns" / "mlflow.db").read_bytes()


@pytest.fixture
def ready(empty, _database):
    """Return a working directory in which tracking was set up and nothing was trained."""
    (empty / "mlruns").mkdir()
    (empty / "mlruns" / "mlflow.db").write_bytes(_database)
    return empty


@pytest.fixture
def run(capfd, monkeypatch):
    """Run the command line in this process."""

    def tenure(*arguments):
        monkeypatch.setattr(sys, "argv", ["tenure", *map(str, arguments)])
        before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
        capfd.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return Said(code, *capfd.readouterr())

    return tenure


@pytest.fixture
def start():
    """Start the command line as a process of its own."""
    started = []

    def tenure(*arguments, cwd, code=None, **environment):
        command = ["-m", "tenure.cli"] if code is None else ["-c", code]
        process = subprocess.Popen(
            [sys.executable, *command, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield tenure
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
