"""`horizon_days: auto` from the command line: settled once, and the same days everywhere."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal


def auto(text):
    return text.replace("horizon_days: 30", "horizon_days: auto")


def test_training_scoring_and_checking_speak_of_the_same_days(
    ready, make_log, lay_out, config_text, run
):
    lay_out(ready, make_log(), auto(config_text))
    metrics = run("train", "-c", "c.yaml", "--json").json["metrics"]
    churn = metrics["churn"]
    days = churn["definition"]["horizon_days"]
    why = f"churn.horizon_days: auto is {days} days: 90% of those who come back do so within"
    assert churn["horizon_why"].startswith(why)
    assert metrics["warnings"][0] == churn["horizon_why"]
    assert churn["active_within_days"] == days
    base = next(row for row in churn["label_report"]["labels"] if row["changed"] is None)
    assert base["horizon_days"] == days
    assert churn["lead_time"]["until"] == f"a silence of {days} days"
    assert "auto" in Path("out/shop/config.yaml").read_text()

    assert why in run("check", "-c", "c.yaml").out
    trained = pd.read_parquet("out/shop/scores.parquet")
    assert set(trained["horizon_days"]) == {days}
    # the champion's own answer holds: in a log that went on, auto might give another one
    log = make_log(days=236)
    log.to_csv("data.csv", index=False)
    assert run("score", "-c", "c.yaml", "--out", "s.parquet").code == 0
    assert set(pd.read_parquet("s.parquet")["horizon_days"]) == {days}


def test_a_champion_of_given_days_scores_for_auto_too(shop, run, tmp_path, config_text):
    config, out = tmp_path / "auto.yaml", tmp_path / "s.parquet"
    config.write_text(auto(config_text), encoding="utf-8")
    assert run("score", "-c", config, "--out", out).code == 0
    assert_frame_equal(pd.read_parquet(out), shop.scores, check_exact=True)


def test_every_figure_of_a_run_comes_with_its_question_and_its_flags(shop):
    churn = json.loads(Path("out/shop/metrics.json").read_text())["churn"]
    report, lead = churn["label_report"], churn["lead_time"]
    assert churn["horizon_why"] is None
    assert report["labels"]
    for row in report["labels"]:
        assert {"horizon_days", "gap_days", "active_within_days", "rows"} <= row.keys()
        for figure in ("base_rate", "auc", "top_decile_lift"):
            assert row[figure]["lower"] <= row[figure]["value"] <= row[figure]["upper"]
    assert [row["flag_rate"] for row in lead["rates"]] == [0.05, 0.1, 0.2, 1.0]
    for row in lead["rates"]:
        assert 0 < row["median"]["value"] <= 30
        assert 0 <= row["false_flags"]["value"] <= 1
    assert "Lead     of the riskiest 10%" in shop.trained.summary
    assert "Label    usual rate and AUC if asked otherwise" in shop.trained.summary
    page = Path("out/shop/report.html").read_text()
    assert "Does it find them early?" in page
    assert "How the figures move with the label" in page


@pytest.mark.parametrize("kind", ["label", "subscription"])
def test_auto_is_refused_where_there_are_no_purchases(kind, empty, run, config_text):
    text = auto(config_text).replace("{horizon", f"{{kind: {kind}, horizon")
    table = {"label": "customers", "subscription": "subscriptions"}[kind]
    Path("c.yaml").write_text(text.replace("transactions", table), encoding="utf-8")
    said = run("check", "-c", "c.yaml")
    assert said.code == 2
    assert "churn: `horizon_days: auto` is read from the pauses between purchases" in said.err
