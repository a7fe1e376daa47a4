"""Subscriptions and labelled customers, from a config to a scored list."""

import contextlib
import json
import re
from html import unescape
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tenure.config import load_config
from tenure.train import train

SUBSCRIPTIONS = """\
project: club
currency: EUR
data:
  tables:
    subscriptions: {path: subscriptions.csv}
churn: {kind: subscription, horizon_days: 30, grace_days: 7}
model: {tuning_trials: 2}
cutoffs: {every_days: 30, count: 5}
"""
LABELS = """\
project: phones
data:
  tables:
    customers:
      path: customers.csv
      columns: {customer_id: id, label: {column: left, map: {"Yes": 1, "No": 0}}}
      attributes: all
churn: {kind: label}
"""
VALUES = [
    "p_alive", "expected_purchases", "spend_per_purchase", "clv_365d", "clv_365d_lower",
    "clv_365d_upper", "value_at_risk", "expected_saved_value",
]  # fmt: skip


def subscriptions(n=900, seed=3, days=400):
    """Draw subscribers who leave the sooner the dearer; some upgrade, try, or fail to pay."""
    rng = np.random.default_rng(seed)
    rows = []
    for c in range(n):
        start, price = int(rng.integers(0, 396)), float(rng.choice([10, 20, 40]))
        lasts = int(rng.exponential(3600 / price))
        reason = "involuntary" if rng.random() < 0.2 else "voluntary"
        trial = start + 14 if c % 3 == 0 else None
        change = start + lasts // 2 if c % 7 == 0 and lasts > 60 else None
        end = start + lasts if start + lasts < days else None
        notice = None
        if c % 5 == 0 and reason == "voluntary" and start + lasts - 20 < days:
            notice = max(start, start + lasts - 20)
        if change is not None and change < days:
            rows.append((c, start, change, None, None, trial, "basic", price))
            start, trial = change + int(rng.integers(0, 6)), None
            price *= 2
        rows.append((c, start, end, reason if end else None, notice, trial, "plus", price))
    names = ["customer_id", "started_at", "ended_at", "end_reason", "cancel_requested_at",
             "trial_ends_at", "plan", "mrr"]  # fmt: skip
    log = pd.DataFrame(rows, columns=names)
    for column in [c for c in names if c.endswith("_at")]:
        day = pd.Timestamp("2024-01-01") + pd.to_timedelta(log[column].astype("float"), "D")
        log[column] = day.dt.strftime("%Y-%m-%d")
    log["customer_id"] = [f"s{c:04d}" for c in log["customer_id"]]
    last = pd.DataFrame({"customer_id": ["late"], "started_at": ["2025-02-03"], "plan": ["plus"],
                         "mrr": [10.0]})  # fmt: skip
    return pd.concat([log, last], ignore_index=True)


def people(n=420, seed=2):
    """Draw customers whose contract decides; a third are copies, some carry no label yet."""
    rng = np.random.default_rng(seed)
    contract = rng.choice(["monthly", "yearly", "none of <b>it</b>"], n, p=[0.5, 0.4, 0.1])
    months, spend = rng.integers(1, 60, n), rng.gamma(4, 12, n).round(2)
    odds = -0.6 + 1.6 * (contract == "monthly") - 0.04 * months
    left = rng.random(n) < 1 / (1 + np.exp(-odds))
    said = np.where(left, "Yes", "No")
    frame = pd.DataFrame({"contract": contract, "months": months, "spend": spend, "left": said})
    frame.loc[: n // 3, :] = frame.loc[n - n // 3 - 1 :, :].to_numpy()
    frame.loc[5:14, "spend"] = np.nan
    frame.loc[20:29, "left"] = None
    frame.insert(0, "id", [f"p{i:04d}" for i in range(n)])
    return frame


def lay(folder, config, **tables):
    (folder / "c.yaml").write_text(config, encoding="utf-8")
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train both kinds once; return {kind: (folder, what training returned)}."""
    made = {
        "subscription": (SUBSCRIPTIONS, {"subscriptions": subscriptions()}),
        "label": (LABELS, {"customers": people()}),
    }
    done = {}
    for kind, (config, tables) in made.items():
        folder = lay(tmp_path_factory.mktemp(kind), config, **tables)
        with contextlib.chdir(folder):
            done[kind] = folder, train(load_config("c.yaml"), Path("c.yaml"))
    return done


@pytest.fixture(params=["subscription", "label"])
def kind(request, trained, monkeypatch):
    """Return a kind's name, with its trained project as the working directory."""
    monkeypatch.chdir(trained[request.param][0])
    return request.param


@pytest.fixture
def club(trained, monkeypatch):
    monkeypatch.chdir(trained["subscription"][0])
    return trained["subscription"]


@pytest.fixture
def phones(trained, monkeypatch):
    monkeypatch.chdir(trained["label"][0])
    return trained["label"]


def metrics_of(project):
    return json.loads(Path(f"out/{project}/metrics.json").read_text())


def scores_of(project):
    return pd.read_parquet(f"out/{project}/scores.parquet")


def report_of(project):
    html = Path(f"out/{project}/report.html").read_text()
    return html, re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


NAMES = {"subscription": "club", "label": "phones"}
ROSTER = {
    "subscription": ["base_rate", "kaplan_meier", "logistic_subscription", "sbg"],
    "label": ["base_rate", "logistic_attributes"],
}


def test_metrics_keep_their_shape(kind):
    metrics = metrics_of(NAMES[kind])
    churn = metrics["churn"]
    for table in (churn["test"], *churn["baselines"].values(), *churn["candidates"].values()):
        for metric in ("auc", "average_precision", "log_loss", "brier", "top_decile_lift"):
            assert table[metric]["lower"] <= table[metric]["value"] <= table[metric]["upper"]
        assert "floor_p95" in table["expected_calibration_error"]
    assert sorted(churn["baselines"]) == ROSTER[kind]
    assert sorted(churn["candidates"]) == ["blend", "lightgbm"]
    assert churn["test"]["auc"]["value"] > 0.6
    assert churn["gate"]["signal"]
    assert metrics["clv"]["holdout"].keys() >= {"horizon_days", "origin"}
    assert metrics["clv"]["why"]
    assert metrics["model_version"] == "1"


def test_only_the_scored_have_a_chance(kind):
    scores = scores_of(NAMES[kind])
    scored = scores["status"] == "scored"
    assert scored.any()
    assert (scores["churn_probability"].notna() == scored).all()
    assert (scores["risk_band"].notna() == scored).all()


def test_scoring_gives_the_numbers_of_training(kind, run, tmp_path):
    said = run("score", "-c", "c.yaml", "--out", tmp_path / "s.parquet")
    assert said.code == 0, said.err
    assert_frame_equal(
        pd.read_parquet(tmp_path / "s.parquet"), scores_of(NAMES[kind]), check_exact=True
    )
    some = scores_of(NAMES[kind]).head(3)
    some[["customer_id"]].to_csv(tmp_path / "l.csv", index=False)
    listed = run("score", "-c", "c.yaml", "--customers", tmp_path / "l.csv", "--out",
                 tmp_path / "t.parquet")  # fmt: skip
    assert listed.code == 0, listed.err
    assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), some, rtol=1e-12, atol=0)


def test_the_champion_as_a_pyfunc_gives_the_same_probabilities(kind, trained, monkeypatch):
    from tenure.features.attributes import columns_of, people_matrix
    from tenure.features.matrix import build
    from tenure.sources import load
    from tenure.storage import load as load_bundle

    (folder,) = Path("mlruns/artifacts/models").glob("*/artifacts/artifacts/bundle")
    schema, config = load_bundle(folder).schema, load_config("c.yaml")
    with load(config) as sources:
        if kind == "label":
            matrix = people_matrix(sources.tables, schema)
        else:
            matrix = build(sources.tables, [sources.observed_until], config.zone, schema)
    scores = scores_of(NAMES[kind]).query("status == 'scored'")
    asked = matrix[matrix["customer_id"].isin(scores["customer_id"])]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{NAMES[kind]}@champion")
    mlflow.set_tracking_uri(None)
    said = model.predict(asked[[c.name for c in columns_of(schema)]])
    np.testing.assert_allclose(said["churn_probability"], scores["churn_probability"], rtol=1e-12)


class TestSubscription:
    def test_who_has_a_subscription_has_a_value_and_who_has_none_is_null(self, club):
        scores = scores_of("club")
        assert scores[VALUES[:3]].isna().all(axis=None)  # nobody purchases here
        runs = scores["status"].isin(["scored", "trial"])
        assert (scores["value_at_risk"].notna() == (scores["status"] == "scored")).all()
        value, low, high = (scores[c] for c in VALUES[3:6])
        assert (value.notna() == runs).all()  # nobody in this log has a planned renewal
        held = scores[runs]
        assert ((low[runs] >= 0) & (low[runs] <= value[runs]) & (value[runs] <= high[runs])).all()
        assert np.isfinite(held["clv_365d_upper"]).all()
        log = pd.read_csv("subscriptions.csv").sort_values("started_at")
        price = log.groupby("customer_id")["mrr"].last()[held["customer_id"]].to_numpy()
        assert (held["clv_365d_upper"] < 12 * price).all()  # discounted, so less than the year
        (young,) = held[held["customer_id"] == "late"].to_dict("records")  # began yesterday
        assert 4 * young["clv_365d_lower"] < young["clv_365d"] < 0.9 * young["clv_365d_upper"]

    def test_value_is_held_against_what_came(self, club):
        clv = metrics_of("club")["clv"]
        hold, tests = clv["holdout"], metrics_of("club")["churn"]["tests"]
        assert clv["family"] == "shifted_beta_geometric"
        assert hold["origin"] == tests[0]
        assert tests[0] in clv["why"]
        until = pd.Timestamp(metrics_of("club")["data"]["observed_until"])
        assert pd.Timestamp(tests[0]) + pd.Timedelta(hold["horizon_days"], "D") <= until
        for figure in ("mae", "rmse", "bias", "spearman", "gini"):
            for row in (hold, *clv["baselines"].values()):
                assert row[figure]["lower"] <= row[figure]["value"] <= row[figure]["upper"]
        assert set(clv["baselines"]) == {
            "sbg_by_age", "everybody_stays", "constant_hazard", "kaplan_meier", "cohort_by_plan",
            "cohort_by_year",
        }  # fmt: skip
        assert hold["rmse"]["value"] < clv["baselines"]["everybody_stays"]["rmse"]["value"]
        assert abs(hold["bias"]["value"]) < 0.15
        # prices change once at most and seldom: bounds that speak of the end alone hold well
        assert hold["coverage"]["months"]["value"] == pytest.approx(0.9, abs=0.05)
        for total in (hold["total"]["value"], hold["total"]["months"]):
            assert total["lower"] < total["expected"] < total["upper"]
        assert sum(d["customers"] for d in hold["deciles"]) == hold["customers"]

    def test_a_missing_price_is_null_and_counted(self, club, run, tmp_path):
        file, before = Path("subscriptions.csv"), Path("subscriptions.csv").read_bytes()
        log, scores = pd.read_csv(file), scores_of("club").set_index("customer_id")
        lost = scores.index[scores["clv_365d"].notna()][:7]
        log.loc[log["customer_id"].isin(lost), "mrr"] = None
        log.to_csv(file, index=False)
        said = run("score", "-c", "c.yaml", "--out", tmp_path / "s.parquet")
        file.write_bytes(before)
        assert said.code == 0, said.err
        now = pd.read_parquet(tmp_path / "s.parquet").set_index("customer_id")
        runs = int((scores["status"] != "ended").sum())
        assert f"7 of {runs} running subscribers have no known price" in said.out + said.err
        assert now.loc[lost, VALUES].isna().all(axis=None)
        others = ~now.index.isin(lost)
        assert_frame_equal(now.loc[others, VALUES], scores.loc[others, VALUES], check_exact=True)

    def test_profit_is_counted(self, club):
        churn = metrics_of("club")["churn"]
        assert churn["campaign"]["why"] is None
        assert churn["campaign"]["mean_value_saved"] > 0
        assert churn["test"]["profit"]["value"] is not None

    def test_value_figures_come_again_from_the_run_alone(self, club):
        from tenure.valuation import value_figures_again

        told = metrics_of("club")["clv"]
        (folder,) = {p.parent for p in Path("mlruns/artifacts").rglob("value.parquet")}
        again = json.loads(json.dumps(value_figures_again(folder)))
        assert again == {part: told[part] for part in again}

    def test_report_and_summary_say_what_leaving_means(self, club):
        _, text = report_of("club")
        assert "when they end all their subscriptions in the 30 days after" in text
        assert "starts again within 7 days" in text
        assert "such as an unpaid bill, does not count" in text
        assert "given notice" in text
        assert "what they pay until their subscription ends" in text
        assert "everybody whose subscription ran" in text
        assert re.search(r"How long a subscription lasted did in \d+ of 100", text)
        for word in ("purchase", "bought", "not modelled", "None(?![.])", "nan"):
            assert not re.search(rf"\b{word}", text), word
        assert "a subscription ended by its subscriber in 30 days" in club[1].summary
        assert "everybody whose subscription ran" in club[1].summary

    def test_status_says_where_everybody_stands(self, club):
        scores = scores_of("club").set_index("customer_id")
        assert set(scores["status"]) == {"scored", "notice", "trial", "ended"}
        log = pd.read_csv("subscriptions.csv").sort_values("started_at")
        last = log.groupby("customer_id").tail(1).set_index("customer_id")
        until = metrics_of("club")["data"]["observed_until"]
        over = last["ended_at"].notna() & (last["ended_at"] < until)
        assert set(scores.index[scores["status"] == "ended"]) == set(last.index[over])
        assert (scores["as_of"] == pd.Timestamp(until)).all()
        assert (scores["horizon_days"] == 30).all()

    def test_labels_wait_for_the_grace(self, club):
        metrics = metrics_of("club")
        known = pd.Timestamp(metrics["cutoffs"][-1]) + pd.Timedelta(37, "D")
        assert known == pd.Timestamp(metrics["data"]["observed_until"])

    def test_the_future_moves_labels_and_no_score_of_the_past(self, club, run, tmp_path):
        day = "2024-11-01"
        asked = ["score", "-c", "c.yaml", "--as-of", day, "--out"]
        assert run(*asked, tmp_path / "a.parquet").code == 0
        file = Path("subscriptions.csv")
        before = file.read_bytes()
        log = pd.read_csv(file)
        later = log["ended_at"] >= day
        assert later.sum() > 50
        log.loc[later, ["ended_at", "end_reason"]] = None
        log.loc[log["cancel_requested_at"] >= day, "cancel_requested_at"] = None
        log[log["started_at"] < day].to_csv(file, index=False)
        with file.open("a") as end:  # the log must still reach beyond the day
            end.write("late,2025-02-03" + "," * (len(log.columns) - 2) + "\n")
        changed = run(*asked, tmp_path / "b.parquet")
        file.write_bytes(before)
        assert changed.code == 0, changed.err
        a, b = (pd.read_parquet(tmp_path / f"{x}.parquet") for x in "ab")
        assert_frame_equal(a, b, check_exact=True)

    def test_too_few_who_leave_are_refused(self, ready, run):
        log = subscriptions(60)
        lay(ready, SUBSCRIPTIONS, subscriptions=log)
        said = run("train", "-c", "c.yaml")
        assert said.code == 3
        assert "at least 50 of each" in said.err
        assert not Path("out").exists()

    def test_nobody_leaves(self, ready, run):
        log = subscriptions(60).drop(columns=["ended_at", "end_reason", "cancel_requested_at"])
        lay(ready, SUBSCRIPTIONS, subscriptions=log)
        said = run("train", "-c", "c.yaml")
        assert said.code == 3
        assert "one class" in said.err
        assert "0 left" in said.err


class TestTreated:
    CONFIG = SUBSCRIPTIONS.replace(
        "{path: subscriptions.csv}",
        "{path: subscriptions.csv}\n    treatments: {path: treatments.csv}",
    )

    @pytest.mark.parametrize("excluded", [False, True])
    def test_rows_that_a_campaign_reached_are_told(self, ready, run, club, excluded):
        log = subscriptions()
        reached = log["customer_id"].unique()[:100]
        sent = pd.DataFrame(
            {
                "customer_id": reached, "ts": "2024-11-20", "campaign": "stay",
                "treated": np.where(np.arange(100) < 60, "true", "false"),
            }
        )  # fmt: skip
        config = self.CONFIG
        if excluded:
            config = config.replace("grace_days: 7", "grace_days: 7, exclude_treated: true")
        lay(ready, config, subscriptions=log, treatments=sent)
        with contextlib.chdir(ready):
            said = run("train", "-c", "c.yaml", "--json")
        assert said.code == 0, said.err
        metrics, without = said.json["metrics"], club[1].metrics
        touched = metrics["churn"]["treated_rows"]
        assert 20 < touched <= 60
        words = "left out" if excluded else "learnt as safe"
        assert any(words in w and f"{touched:,}" in w for w in metrics["warnings"])
        gone = touched if excluded else 0
        assert metrics["churn"]["rows"] == without["churn"]["rows"] - gone


def test_honest_data_raise_no_alarm(kind):
    metrics = metrics_of("club" if kind == "subscription" else "phones")
    assert metrics["audit"]["findings"] == []
    assert metrics["audit"]["columns"] > 0


class TestLabel:
    def test_value_is_null(self, phones):
        assert scores_of("phones")[VALUES].isna().all(axis=None)

    def test_report_and_summary_say_what_cannot_be_proven(self, phones):
        html, text = report_of("phones")
        assert "what the label in the data says" in text
        assert "cannot be proven" in text
        assert "<b>it</b>" not in html
        for word in ("purchase day", "bought", "None(?![.])", "nan", "NaT"):
            assert not re.search(rf"\b{word}", text), word
        assert any("Point-in-time cannot be proven" in w for w in phones[1].metrics["warnings"])
        assert "Folds" in phones[1].summary

    def test_nothing_is_dated(self, phones):
        metrics, scores = metrics_of("phones"), scores_of("phones")
        assert metrics["cutoffs"] == metrics["churn"]["tests"] == []
        assert metrics["churn"]["by_cutoff"] == []
        assert [r["n"] for r in metrics["churn"]["by_repeat"]] == [410] * 3
        assert metrics["data"]["observed_until"] is None
        assert scores["as_of"].isna().all()
        assert scores["horizon_days"].isna().all()

    def test_who_carries_no_label_is_scored_and_not_learnt_from(self, phones):
        metrics, scores = metrics_of("phones"), scores_of("phones")
        assert metrics["churn"]["rows"] == 410
        assert len(scores) == 420
        assert (scores["status"] == "scored").all()
        assert any("10 customers have no label" in w for w in metrics["warnings"])

    def test_a_day_to_score_at_makes_no_sense(self, phones, run, tmp_path):
        said = run("score", "-c", "c.yaml", "--as-of", "2024-01-01", "--out", tmp_path / "s.csv")
        assert said.code == 2
        assert "not dated" in said.err

    def test_a_missing_attribute_is_named(self, phones, run, tmp_path):
        file = Path("customers.csv")
        before = file.read_bytes()
        pd.read_csv(file).drop(columns="months").to_csv(file, index=False)
        said = run("score", "-c", "c.yaml", "--out", tmp_path / "s.csv")
        file.write_bytes(before)
        assert said.code == 3
        assert "months" in said.err

    @pytest.mark.parametrize(("left", "words"), [("No", "one class"), (None, "0 left")])
    def test_one_class_is_refused(self, ready, run, left, words):
        frame = people()
        frame["left"] = left
        if left is None:
            frame.loc[0, "left"] = "No"
        lay(ready, LABELS, customers=frame)
        said = run("train", "-c", "c.yaml")
        assert said.code == 3
        assert words in said.err
        assert "Traceback" not in said.err

    def test_too_few_leavers_are_refused(self, ready, run):
        lay(ready, LABELS, customers=people(90))
        said = run("train", "-c", "c.yaml")
        assert said.code == 3
        assert "at least 50 of each" in said.err
