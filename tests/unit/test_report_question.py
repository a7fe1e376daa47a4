"""The label report and lead time, in words for readers and in tables for data scientists."""

import copy
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.config import Config
from tenure.report import words
from tenure.report.page import page
from tenure.report.question import early, in_brief, label_table

SAMPLE = Path(__file__).parents[1] / "samples" / "report.json"


def figure(value, spread):
    return {"value": value, "lower": value - spread, "upper": value + spread}


def label(changed, horizon=90, gap=0, active=90, rate=0.3, auc=0.7):
    return {
        "changed": changed, "horizon_days": horizon, "gap_days": gap, "active_within_days": active,
        "rows": 1200, "customers": 1000, "learnt_rows": 9000, "base_rate": figure(rate, 0.01),
        "auc": figure(auc, 0.01), "top_decile_lift": figure(2.0, 0.1),
        "auc_active": figure(0.65, 0.01),
    }  # fmt: skip


def flags(rate, median, false):
    return {
        "flag_rate": rate, "flagged": 300, "leavers": 200, "median": figure(median, 3.0),
        "lower_quartile": figure(median - 10, 2.0), "upper_quartile": figure(median + 12, 2.0),
        "false_flags": figure(false, 0.02),
    }  # fmt: skip


@pytest.fixture
def churn():
    """Return the sample's figures with a label report and lead times."""
    found = copy.deepcopy(json.loads(SAMPLE.read_text())["metrics"]["churn"])
    found["label_report"] = {
        "why": None, "model": "logistic_rfm_btyd", "tests": ["1998-01-02"],
        "labels": [
            label(None), label("horizon_days", horizon=180, rate=0.2), label("gap_days", gap=7),
            label("horizon_days", horizon=45, rate=0.4),
            label("active_within_days", active="all", rate=0.8, auc=0.85),
        ],
        "skipped": [
            {"changed": "gap_days", "horizon_days": 90, "gap_days": 30, "active_within_days": 90,
             "why": "A label takes 120 days, and <b>no</b> cutoff has enough before it."},
        ],
    }  # fmt: skip
    found["lead_time"] = {
        "why": None, "unit": "days", "until": "a silence of 90 days", "tests": ["1998-04-02"],
        "rates": [flags(0.05, 20.0, 0.2), flags(0.1, 32.0, 0.42), flags(1.0, 60.0, 0.73)],
    }  # fmt: skip
    return found


def test_readers_get_days_flags_and_what_they_are_held_against(churn):
    assert early(churn) == (
        "Customers in the riskiest tenth who then left were flagged 32 days before a plain rule (a "
        "silence of 90 days) would have noticed (half of them between 22 and 44 days; likely range "
        "of the middle 29 to 35). 42 of 100 flags were false: those customers stayed (likely range "
        "40 to 44). Had everybody been flagged, 73 of 100 would have been false."
    )
    churn["definition"]["kind"] = "subscription"
    assert "32 days before their subscription ended" in early(churn)


def test_the_summary_lists_each_setting_in_order(churn):
    lines = in_brief(churn)
    assert len(lines) == 4
    assert lines[1].strip() == "horizon 45 d 40.0%, 0.700; 90 d* 30.0%, 0.700; 180 d 20.0%, 0.700"
    assert lines[2].strip() == (
        "gap 0 d* 30.0%, 0.700; 7 d 30.0%, 0.700 | bought within 90 d* 30.0%, 0.700; "
        "all 80.0%, 0.850"
    )
    assert "32 days [29, 35] before a silence of 90 days (half of them 22 to 44)" in lines[3]
    assert "false flags 42% [40%, 44%], 73% if all are flagged" in lines[3]


def test_what_there_is_not_is_not_told(churn):
    for row in churn["lead_time"]["rates"]:
        row["median"] = None
    churn["label_report"] |= {"labels": [], "why": "Not made: nothing to change."}
    assert early(churn) is None
    assert in_brief(churn) == []
    assert label_table(churn)["why"] == "Not made: nothing to change."
    older = {k: v for k, v in churn.items() if k not in ("label_report", "lead_time")}
    assert (early(older), in_brief(older), label_table(older)) == (None, [], None)


@pytest.fixture
def html(churn):
    sample = json.loads(SAMPLE.read_text())
    sample["metrics"]["churn"] = churn
    tables = {"tables": {"transactions": {"path": "x.csv"}}}
    config = Config(project="shop", data=tables, churn={"horizon_days": 90})
    scores = pd.DataFrame(
        {
            "customer_id": ["a", "b"], "status": "scored", "churn_probability": [0.2, 0.6],
            "risk_band": ["low", "high"], "p_alive": 0.8, "expected_purchases": 2.0,
            "spend_per_purchase": 20.0, "clv_365d": 100.0, "value_at_risk": np.array([1.0, 2.0]),
            "expected_saved_value": np.array([0.5, -1.0]),
            **dict.fromkeys(("reason_1", "reason_2", "reason_3")),
        }
    )  # fmt: skip
    return page(sample["metrics"], sample["drivers"], scores, config, (0.2, 0.5))


def test_the_tables_stand_with_the_data_scientists_and_the_sentence_with_the_readers(html):
    readers, experts = html.split('id="data-scientists"')
    assert "would have noticed (half of them between 22 and 44 days" in readers
    for term in words.EXPERT_TERMS:
        assert term not in readers
    table = experts.split('id="label-table"', 1)[1].split("</table>", 1)[0]
    assert table.count("<tr>") == 6
    assert "AUC, active" in table
    assert "0.850" in table
    assert "Left out, gap_days 30: A label takes 120 days, and &lt;b&gt;no&lt;/b&gt;" in experts
    assert experts.split('id="lead-table"', 1)[1].split("</table>", 1)[0].count("<tr>") == 4
