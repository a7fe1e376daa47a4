"""Rows that a campaign reached in their label window; labels of undated customers."""

import datetime as dt
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tenure.config import ChurnConfig
from tenure.labels import customer_labels, known_customers, statuses, treated

CUTOFF = dt.date(2024, 4, 1)
DAY = dt.timedelta(days=1)
TICK = dt.timedelta(microseconds=1)
CHURN = ChurnConfig(horizon_days=30, gap_days=7)
OPENS, CLOSES = dt.datetime(2024, 4, 8), dt.datetime(2024, 5, 8)


def sent(customer, ts, is_treated=True):
    return {"customer_id": customer, "ts": ts, "campaign": "stay", "treated": is_treated}


def keys_of(*names):
    keys = pd.DataFrame({"customer_id": names, "cutoff": pd.Timestamp(CUTOFF)})
    return keys.assign(cutoff=keys["cutoff"].astype("datetime64[s]"))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_only_who_was_treated_inside_the_window(typed, zone):
    rows = [
        sent("start", OPENS),
        sent("last moment", CLOSES - TICK),
        sent("last moment", CLOSES - DAY),
        sent("before", OPENS - TICK),
        sent("after", CLOSES),
        sent("control", OPENS + DAY, False),
        sent("nobody asked", OPENS + DAY),
    ]
    tables = {"treatments": typed.table("treatments", rows, zone)}
    keys = keys_of("start", "last moment", "before", "after", "control", "never sent")
    found = treated(tables, keys, [CUTOFF], ZoneInfo(zone), CHURN)
    assert found.tolist() == [True, True, False, False, False, False]


def test_each_cutoff_has_its_own_window(typed):
    tables = {"treatments": typed.table("treatments", [sent("a", CLOSES)])}
    later = keys_of("a").assign(cutoff=pd.Timestamp(CUTOFF + 30 * DAY).as_unit("s"))
    keys = pd.concat([keys_of("a"), later], ignore_index=True)
    found = treated(tables, keys, [CUTOFF, CUTOFF + 30 * DAY], ZoneInfo("UTC"), CHURN)
    assert found.tolist() == [False, True]


def test_without_a_campaign_nobody_was_reached():
    assert treated({}, keys_of("a", "b"), [CUTOFF], ZoneInfo("UTC"), CHURN).tolist() == [False] * 2


def test_labels_of_undated_customers_may_be_missing(typed):
    rows = [
        {"customer_id": "c", "label": True},
        {"customer_id": "a", "label": False},
        {"customer_id": "b", "label": None},
    ]
    told = customer_labels({"customers": typed.table("customers", rows)})
    assert list(told.index) == ["a", "b", "c"]
    assert told.fillna(-1).tolist() == [0, -1, 1]


def test_every_labelled_customer_is_asked():
    matrix = pd.DataFrame({"customer_id": ["a", "b"]})
    assert list(statuses(matrix, ChurnConfig(kind="label"))) == ["scored", "scored"]


def test_known_customers_of_another_table(typed):
    rows = [
        {"customer_id": "b", "started_at": dt.datetime(2024, 3, 31)},
        {"customer_id": "a", "started_at": dt.datetime(2024, 1, 1)},
        {"customer_id": "later", "started_at": dt.datetime(2024, 4, 1)},
    ]
    tables = {"subscriptions": typed.table("subscriptions", rows)}
    found = known_customers(tables, CUTOFF, ZoneInfo("UTC"), "subscriptions")
    assert found.tolist() == ["a", "b"]
