"""What training leaves: files, a run, a registered model; nobody's data among them."""

import json
import os
import socket
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tenure.config import load_config
from tenure.features.matrix import build
from tenure.score import score
from tenure.sources import load
from tenure.storage import load as load_bundle
from tenure.train import train


@pytest.fixture
def client(shop, monkeypatch):
    uri = f"sqlite:///{shop.folder}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def tracked(client):
    return client.search_runs([client.get_experiment_by_name("shop").experiment_id])


@pytest.fixture
def offline(monkeypatch):
    """Let nobody speak to another machine."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_files_of_a_project(shop, files_below):
    names = {Path(name).name for name in files_below("out")}
    assert names == {
        "metrics.json", "drivers.json", "report.html", "scores.parquet", "set_aside.parquet",
        "lightgbm.txt", "config.yaml", "backtest.parquet", "value.parquet", "daily.parquet",
    }  # fmt: skip
    assert os.listdir("out") == ["shop"]  # noqa: PTH208
    assert sorted(os.listdir()) == ["c.yaml", "data.csv", "mlruns", "out"]  # noqa: PTH208


def test_metrics_json_has_the_keys_of_the_design(shop):
    metrics = json.loads(Path("out/shop/metrics.json").read_text())
    for metric in ("auc", "average_precision", "log_loss", "brier", "top_decile_lift"):
        assert {"value", "lower", "upper"} <= metrics["churn"]["test"][metric].keys()
        for baseline in metrics["churn"]["baselines"].values():
            assert metric in baseline
    assert "expected_calibration_error" in metrics["churn"]["test"]
    assert metrics["churn"]["by_cutoff"]
    holdout = metrics["clv"]["holdout"]
    assert {"mae", "rmse", "bias", "spearman", "gini", "horizon_days"} <= holdout.keys()
    assert metrics["clv"]["baselines"].keys() >= {"past_rate", "always_zero"}
    total, tenths = holdout["total"]["value"], holdout["deciles"]
    assert [t["decile"] for t in tenths] == list(range(1, 11))
    for name in ("expected", "actual"):
        summed = sum(t["value"][f"{name}_total"] if name == "expected" else
                     t["value"]["actual_total"]["value"] for t in tenths)  # fmt: skip
        assert summed == pytest.approx(total[name])
    assert total["expected"] / total["actual"] - 1 == pytest.approx(holdout["bias"]["value"])
    assert total["lower"] <= total["expected"] <= total["upper"]
    assert 0.8 < holdout["coverage"]["value"]["value"] < 0.97
    assert len(metrics["cutoffs"]) == 4
    data = metrics["data"]["transactions"]
    assert data["rows_read"] == len(shop.log)
    assert data["rows_read"] - data["rows_kept"] == 25
    assert metrics["model_version"] == "1"


def test_drivers_json_speaks_of_factors(shop):
    drivers = json.loads(Path("out/shop/drivers.json").read_text())
    assert drivers["factors"]
    for factor in drivers["factors"]:
        assert factor["churn_points"] >= 0
        assert factor["features"]
    points = [f["churn_points"] for f in drivers["factors"]]
    assert points == sorted(points, reverse=True)


def test_the_run_holds_what_it_takes_to_understand_it(shop, tracked, client):
    (run,) = tracked
    assert run.info.status == "FINISHED"
    assert run.info.run_id == shop.trained.metrics["run_id"]
    assert run.data.params["churn.horizon_days"] == "30"
    assert run.data.params["model.seed"] == "7"
    assert run.data.metrics["churn.test.auc.value"] == pytest.approx(
        shop.trained.metrics["churn"]["test"]["auc"]["value"]
    )
    tags = run.data.tags
    assert tags["cutoffs"].count("2025-") == 4
    assert tags["data_digest"] == shop.trained.metrics["data"]["digest"]
    assert tags["code_version"]
    assert tags["tenure_version"]
    artifacts = {a.path for a in client.list_artifacts(run.info.run_id)}
    assert {
        "backtest.parquet",
        "value.parquet",
        "daily.parquet",
        "bundle",
        "config.yaml",
        "drivers.json",
        "metrics.json",
        "report.html",
    } <= artifacts
    assert "lightgbm.txt" in artifacts
    assert not {"scores.parquet", "set_aside.parquet"} & artifacts


def test_all_that_is_stored_lies_in_the_folder_the_design_names(shop, client):
    place = client.get_experiment_by_name("shop").artifact_location
    assert place == (shop.folder / "mlruns" / "artifacts").as_uri()
    assert sorted(os.listdir("mlruns")) == [".lock", "artifacts", "mlflow.db"]  # noqa: PTH208


def test_tracking_leaves_no_trace_in_the_environment(shop):
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_the_champion_as_a_pyfunc_gives_the_same_probabilities(shop, client):
    version = client.get_model_version_by_alias("shop", "champion")
    assert str(version.version) == "1"
    assert version.run_id == shop.trained.metrics["run_id"]
    model = mlflow.pyfunc.load_model("models:/shop@champion")
    config = load_config("c.yaml")
    (bundle,) = Path("mlruns/artifacts/models").glob("*/artifacts/artifacts/bundle")
    schema = load_bundle(bundle).schema
    with load(config) as sources:
        matrix = build(sources.tables, [sources.observed_until], config.zone, schema)
    scored = shop.scores[shop.scores["status"] == "scored"]
    people = matrix[matrix["customer_id"].isin(scored["customer_id"])]
    columns = [c.name for c in schema.columns()]
    said = model.predict(people[columns])
    np.testing.assert_allclose(said["churn_probability"], scored["churn_probability"], rtol=1e-12)


def test_no_file_of_the_registered_model_is_a_pickle(shop):
    model = Path("mlruns/artifacts/models")
    kinds = {p.suffix for p in model.rglob("*") if p.is_file()}
    assert kinds <= {".json", ".lgb", ".yaml", ".txt", ".py", ""}
    assert "pkl" not in next(model.glob("*/artifacts/MLmodel")).read_text()


def test_free_text_and_rows_set_aside_stay_at_home(shop, files_below, private, run):
    said = run("check", "-c", "c.yaml")
    assert said.code == 0
    texts = {**files_below("mlruns"), **files_below("out"), "check": said.out.encode()}
    texts["summary"] = shop.trained.summary.encode()
    del texts["out/shop/set_aside.parquet"]  # the user's own file, never logged
    for name, content in texts.items():
        for secret in private:
            assert secret.encode() not in content, name


def test_ids_stay_out_of_the_tracking_store(shop, files_below):
    for name, content in files_below("mlruns").items():
        if not name.endswith("report.html"):
            assert b"C0123" not in content, name
            assert "Zoë".encode() not in content, name


def test_ids_are_kept_exactly(shop):
    ids = set(shop.log.loc[shop.log["customer_id"] != "", "customer_id"])
    assert set(shop.scores["customer_id"]) == ids
    assert {"007", " a b", "Zoë 東京", "1e5", "NULL", "nan"} <= ids


def test_hostile_levels_become_columns_that_do_not_collide(shop):
    (bundle,) = Path("mlruns/artifacts/models").glob("*/artifacts/artifacts/bundle")
    loaded = load_bundle(bundle)
    columns = loaded.schema.columns()
    assert len({c.name for c in columns}) == len(columns)
    levels = {c.level for c in columns}
    assert {"Web", "web", "a b", "a_b", "=cmd()", "<script>alert(1)</script>"} <= levels
    assert '"; DROP TABLE transactions;--' in levels


def test_the_report_runs_none_of_it(shop):
    html = Path("out/shop/report.html").read_text()
    assert "<script>alert" not in html
    for address in ("http://", "https://", "//cdn"):
        assert f'src="{address}' not in html
        assert f'href="{address}' not in html


def test_the_same_data_and_seed_give_the_same_model(trained_shop, lay_out, ready, offline):
    before = trained_shop.folder
    lay_out(ready, trained_shop.log.sample(frac=1, random_state=1))
    done = train(load_config("c.yaml"), Path("c.yaml"))
    models = [sorted(root.glob("mlruns/artifacts/models/*")) for root in (before, ready)]
    (one,), (two,) = ([m / "artifacts/artifacts/bundle" for m in found] for found in models)
    manifest = json.loads((one / "manifest.json").read_text())
    assert json.loads((two / "manifest.json").read_text()) == manifest
    drop = ["run_id", "model_version"]
    again = pd.read_parquet("out/shop/scores.parquet")
    assert_frame_equal(again.drop(columns=drop), trained_shop.scores.drop(columns=drop))
    assert done.drivers == trained_shop.trained.drivers
    ours, theirs = (t.metrics for t in (done, trained_shop.trained))
    for part in ("churn", "clv", "cutoffs", "warnings"):
        assert ours[part] == theirs[part]
    assert ours["data"]["digest"] == theirs["data"]["digest"]


def test_scoring_needs_no_network(shop, offline, tmp_path):
    assert score(load_config("c.yaml"), tmp_path / "s.csv").counts


def test_json_is_one_object_and_nothing_else(shop, run, tmp_path):
    for arguments in (
        ("check", "-c", "c.yaml"),
        ("score", "-c", "c.yaml", "--out", tmp_path / "s.parquet"),
        ("features", "-c", "c.yaml", "--cutoff", "2025-06-01", "--out", tmp_path / "f.parquet"),
    ):
        said = run(*arguments, "--json")
        assert said.code == 0, said.err
        assert said.err == ""
        assert isinstance(said.json, dict)
        assert said.out.count("\n") == 1


def test_features_are_written_as_known_at_a_cutoff(shop, run, tmp_path):
    said = run(
        "features", "-c", "c.yaml", "--cutoff", "2025-06-01", "--out", tmp_path / "f.parquet"
    )
    assert said.code == 0
    frame = pd.read_parquet(tmp_path / "f.parquet")
    assert list(frame.columns[:2]) == ["customer_id", "cutoff"]
    assert set(frame["cutoff"]) == {pd.Timestamp("2025-06-01")}
    before = shop.log[(shop.log["ts"] < "2025-06-01") & (shop.log["customer_id"] != "")]
    bought = before[pd.to_numeric(before["amount"], errors="coerce") > 0]
    assert sorted(frame["customer_id"]) == sorted(set(bought["customer_id"]))
    late = run("features", "-c", "c.yaml", "--cutoff", "2026-06-01", "--out", tmp_path / "g.csv")
    assert late.code == 3
    assert not (tmp_path / "g.csv").exists()
