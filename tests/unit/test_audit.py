"""The leak check passes honest features, says what it tried, and catches every kind of peeking."""

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure import audit, snapshot
from tenure.audit import CHANGES, contract_report, prove
from tenure.config import Config
from tenure.errors import DataError
from tenure.features import grouping, matrix
from tenure.features.spec import FEATURES


def log(loaded=True):
    """Return forty customers over eight months with every dated column."""
    rng = np.random.default_rng(3)
    rows = 400
    ts = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.uniform(0, 240, rows), "D").floor("s")
    frame = pd.DataFrame(
        {
            "transaction_id": [f"t{i}" for i in range(rows)],
            "customer_id": [f"c{i % 40}" for i in range(rows)],
            "ts": ts,
            "amount": rng.gamma(2, 10, rows).round(2),
            "channel": rng.choice(["web", "shop"], rows),
            "promised_at": ts + pd.Timedelta(days=5),
            "delivered_at": ts + pd.to_timedelta(rng.uniform(1, 40, rows), "D").floor("s"),
            "cancelled_at": (ts + pd.to_timedelta(rng.uniform(1, 40, rows), "D").floor("s")),
        }
    )
    frame.loc[rng.random(rows) < 0.7, "cancelled_at"] = pd.NaT
    if loaded:
        late = rng.choice([0.0, 0.0, 10.0, 45.0], rows)
        frame["loaded_at"] = ts + pd.to_timedelta(late, "D")
    return frame


@pytest.fixture(params=[True, False], ids=["loaded_at", "plain"])
def config(request, tmp_path):
    return written(tmp_path, log(request.param))


def written(folder, frame):
    frame.to_parquet(folder / "d.parquet")
    return Config(
        project="p",
        data={"tables": {"transactions": {"path": str(folder / "d.parquet")}}},
        churn={"horizon_days": 30},
        cutoffs={"every_days": 30, "count": 1},
    )


@pytest.fixture
def plain(tmp_path):
    return written(tmp_path, log(loaded=False))


def test_honest_features_pass_and_the_text_says_what_was_tried(config):
    found = prove(config)
    assert found.values["leaks"] == 0
    assert {t["change"] for t in found.values["tried"]} == CHANGES.keys()
    assert all(t["identical"] for t in found.values["tried"])
    assert all(t["rows_changed"] > 0 for t in found.values["tried"])
    for words in (*CHANGES, "byte-identical", "control"):
        assert words in found.text


def seen_too_late(days):
    """Return a `seen` and a `span` whose clock is wrong by some days."""
    honest, honest_span = snapshot.seen, snapshot.span

    def seen(table, cutoffs, *dating):
        shifted = cutoffs.mutate(cutoff=cutoffs.cutoff + dt.timedelta(days=days))
        return honest(table, shifted, *dating)

    def span(at, instants, before=0):
        return honest_span(at, [one + dt.timedelta(days=days) for one in instants], before)

    return seen, span


def refuses(config, *columns):
    with pytest.raises(DataError, match="the future reaches features") as caught:
        prove(config)
    assert caught.value.exit_code == 3
    for column in columns:
        assert column in str(caught.value)


def test_a_clock_that_is_a_day_late_is_caught(config, monkeypatch):
    seen, span = seen_too_late(1)
    monkeypatch.setattr(snapshot, "seen", seen)
    monkeypatch.setattr(grouping, "span", span)
    refuses(config, "purchase_days")


def test_a_date_taken_for_a_plan_is_caught(plain, monkeypatch):
    """The day that ends the last three purchase days would be known in advance."""
    honest = snapshot.seen

    def seen(table, cutoffs, at, planned, hangs_on):
        return honest(table, cutoffs, at, planned | {"passed_3_at"}, hangs_on)

    monkeypatch.setattr(snapshot, "seen", seen)
    refuses(plain, "_last3")


def test_rows_seen_before_they_were_loaded_are_caught(tmp_path, monkeypatch):
    config, honest = written(tmp_path, log()), snapshot.seen

    def seen(table, cutoffs, *dating):
        hidden = table.drop(*({"loaded_at", "superseded_at"} & set(table.columns)))
        return honest(hidden, cutoffs, *dating)

    monkeypatch.setattr(snapshot, "seen", seen)
    refuses(config)


def test_a_feature_that_reads_the_whole_log_is_caught(plain, monkeypatch):
    """Its window function ran before the rows met the cutoff."""
    view = FEATURES["purchase_days"].view
    old = matrix.VIEWS[view]

    def collapse(table):
        table = old.collapse(table) if old.collapse else table
        return table.mutate(last_ever=table.day.max().over(group_by=table.customer_id))

    def days_to_the_end(d):
        """Days until the customer's very last row."""
        return d.last_ever.max().delta(d.cutoff_day.max(), unit="day")

    changed = dataclasses.replace(old, collapse=collapse)
    monkeypatch.setitem(matrix.VIEWS, view, changed)
    peek = dataclasses.replace(
        FEATURES["days_since_last_purchase"], name="peek", body=days_to_the_end, view=view, needs=()
    )
    monkeypatch.setitem(FEATURES, "peek", peek)
    refuses(plain, "'peek'")


def test_a_check_that_could_not_notice_anything_says_so(plain, monkeypatch):
    monkeypatch.setattr(audit, "alter_past", lambda t, *_: t)
    with pytest.raises(DataError, match=r"the control went unnoticed \(.*transactions"):
        prove(plain)


def test_the_contract_report_counts(tmp_path):
    frame = log(loaded=False)
    frame.loc[:9, "customer_id"] = None
    found = contract_report(written(tmp_path, frame))
    assert "390 of 400 rows kept, 10 set aside" in found.text
    assert found.values["cutoffs"] == ["2025-07-29"]
    assert found.values["transactions"]["set_aside"] == {"missing_customer": 10}
