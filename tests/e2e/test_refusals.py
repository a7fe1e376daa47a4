"""What cannot be answered is refused with its reason and exit code, and leaves nothing behind."""

import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest


def monthly(customers, months, start="2024-01-15"):
    """Return one purchase a month for each customer."""
    days = pd.date_range(start, periods=months, freq="30D").strftime("%Y-%m-%d")
    return pd.DataFrame(
        [(f"c{c}", day, 10 + c % 7) for c in range(customers) for day in days],
        columns=["customer_id", "ts", "amount"],
    )


@pytest.fixture
def train(ready, lay_out, config_text, run):
    """Train on a log, in an empty folder."""

    def go(log, config=config_text):
        lay_out(ready, log, config)
        return run("train", "-c", "c.yaml")

    return go


def refused(said, code, *words):
    assert said.code == code, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert 'File "' not in said.err
    for word in words:
        assert word in said.err


class TestTooLittleToLearnFrom:
    """Training needs both classes; the message counts them."""

    def after(self, said, *words):
        refused(said, 3, *words)
        assert not Path("out").exists()

    def test_nobody_leaves(self, train):
        self.after(train(monthly(100, 12)), "one class", "0 left", "stayed", "at least 50")
        client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
        assert {r.info.status for r in client.search_runs(["1"])} == {"FAILED"}

    def test_everybody_leaves(self, train):
        one_hour = monthly(200, 1)
        other = monthly(1, 12).assign(customer_id="", amount=1)  # lengthens nothing: set aside
        late = pd.DataFrame({"customer_id": ["z"], "ts": ["2024-12-01"], "amount": [1]})
        self.after(train(pd.concat([one_hour, other, late])), "left")

    def test_a_single_customer(self, train):
        self.after(train(monthly(1, 12)), "one class")

    def test_one_row(self, train):
        self.after(train(monthly(1, 1)), "no transactions before cutoff")

    def test_a_few_customers(self, train, make_log):
        self.after(train(make_log(12)), "at least 50")

    def test_no_rows(self, train):
        self.after(train(monthly(0, 0)), "data.csv")

    def test_only_refunds(self, train):
        self.after(train(monthly(100, 12).assign(amount=-5)))

    def test_label_longer_than_the_log(self, train, config_text, make_log):
        config = config_text.replace("horizon_days: 30", "horizon_days: 900")
        self.after(train(make_log(50), config), "900 days")


def test_everybody_bought_once_so_value_is_declined(train):
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 900), "D")
    log = pd.DataFrame({"customer_id": [f"c{i}" for i in range(900)], "ts": days, "amount": 10})
    said = train(log)
    assert said.code in (0, 3)
    assert "Traceback" not in said.err
    assert "repeat" in said.out + said.err or "one class" in said.err


class TestNoSignal:
    """Where nothing can be known, nothing is promoted."""

    def test_pure_chance_promotes_nothing_and_score_refuses(self, train, run):
        rng = np.random.default_rng(4)
        days = pd.date_range("2025-01-01", "2025-07-01")
        rows = [
            (f"c{c}", str(day.date()), 10)
            for c in range(150)
            for day in days[rng.random(len(days)) < 0.025]
        ]
        said = train(pd.DataFrame(rows, columns=["customer_id", "ts", "amount"]))
        assert said.code == 0, said.err
        assert "champion)" not in said.out
        scored = run("score", "-c", "c.yaml", "--out", "s.csv")
        refused(scored, 4, "champion")
        assert not Path("s.csv").exists()


class TestNoModel:
    """Scoring without a champion."""

    def test_nothing_was_trained(self, shop, run, empty):
        (empty / "c.yaml").write_text((shop.folder / "c.yaml").read_text())
        refused(run("score", "-c", "c.yaml", "--out", "s.csv"), 4, "shop", "tenure train")
        assert os.listdir() == ["c.yaml"]  # noqa: PTH208

    def test_another_project_has_none(self, shop, run, tmp_path):
        other = (shop.folder / "c.yaml").read_text().replace("project: shop", "project: other")
        (tmp_path / "o.yaml").write_text(other)
        said = run("score", "-c", tmp_path / "o.yaml", "--out", tmp_path / "s.csv")
        refused(said, 4, "other", "champion")

    def test_the_champions_version_was_deleted(self, shop, run, tmp_path):
        mlflow.set_tracking_uri(f"sqlite:///{shop.folder}/mlruns/mlflow.db")
        client = mlflow.MlflowClient()
        source = client.get_model_version("shop", "1").source
        client.create_registered_model("gone")
        made = client.create_model_version("gone", source, await_creation_for=None)
        client.set_registered_model_alias("gone", "champion", made.version)
        client.delete_model_version("gone", made.version)
        mlflow.set_tracking_uri(None)
        config = (shop.folder / "c.yaml").read_text().replace("project: shop", "project: gone")
        (tmp_path / "g.yaml").write_text(config)
        said = run("score", "-c", tmp_path / "g.yaml", "--out", tmp_path / "s.csv")
        refused(said, 4, "gone")

    def test_the_champions_files_are_gone(self, shop, run, tmp_path):
        models = shop.folder / "mlruns" / "artifacts" / "models"
        models.rename(f"{models}.away")
        said = run("score", "-c", "c.yaml", "--out", tmp_path / "s.csv")
        Path(f"{models}.away").rename(models)
        refused(said, 4, "version 1", "gone or cannot be read")

    @pytest.mark.parametrize("name", ["churn.json", "calibrator.json", "schema.json", "clv.json"])
    def test_an_altered_file_of_the_champion(self, shop, run, tmp_path, name):
        (bundle,) = shop.folder.glob("mlruns/artifacts/models/*/artifacts/artifacts/bundle")
        before = (bundle / name).read_bytes()
        (bundle / name).write_bytes(before.replace(b"{", b"{ ", 1))
        said = run("score", "-c", "c.yaml", "--out", tmp_path / "s.csv")
        (bundle / name).write_bytes(before)
        refused(said, 4, f"{name}: was altered")
        assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["no such config file"]),
        ("", ["empty"]),
        ("a: [", ["line"]),
        ("project: !!python/object/apply:os.system ['touch canary']", ["c.yaml"]),
        ("project: x\nproject: y", ["twice"]),
        ("a: &a [1]\nb: *a", ["aliases"]),
        ("project: shop\nhorizon: 3\ndata: {tables: {transactions: {path: d.csv}}}", ["horizon"]),
        ("project: ../x\ndata: {tables: {transactions: {path: d.csv}}}", ["project"]),
        (
            "project: shop\nchurn: {horizon_days: 0}\n"
            "data: {tables: {transactions: {path: d.csv}}}",
            ["churn.horizon_days"],
        ),
        ("project: shop\ndata: {tables: {transactions: {path: gone.csv}}}", ["gone.csv"]),
        (
            "project: shop\ndata: {tables: {transactions: {path: 's3://b/d.csv'}}}",
            ["only files on this machine"],
        ),
    ],
)
def test_wrong_configs_are_usage_errors(empty, run, text, words):
    if text is not None:
        Path("c.yaml").write_text(text)
    for command in ("check", "train"):
        refused(run(command, "-c", "c.yaml"), 2, *words)
    assert not Path("canary").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train"],
        ["train", "-c", "c.yaml", "--frobnicate"],
        ["score", "-c", "c.yaml"],
        ["features", "-c", "c.yaml", "--out", "f.csv"],
    ],
)
def test_wrong_command_lines_are_usage_errors(empty, run, arguments):
    said = run(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err


def test_help_is_no_error(run):
    assert run("--help").code == 0
    assert run("score", "--help").code == 0


@pytest.mark.parametrize("ending", ["s.xlsx", "s", "s.CSV.bak", "s.json"])
def test_an_unknown_ending_is_a_usage_error(shop, run, tmp_path, ending):
    for command in (["score"], ["features", "--cutoff", "2025-06-01"]):
        said = run(*command, "-c", "c.yaml", "--out", tmp_path / ending)
        refused(said, 2, ".csv or .parquet")
