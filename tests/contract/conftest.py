"""Sound rows of every table, and a way to load some of them beside a log of purchases."""

import contextlib
import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenure.config import Config
from tenure.contract import TABLES
from tenure.sources import load

SOUND = {
    "transactions": {
        "customer_id": "007", "ts": "2021-03-04 10:00:00", "amount": "12.50",
        "transaction_id": "t{}",
    },
    "interactions": {
        "customer_id": "007", "opened_at": "2021-03-04 10:00:00", "interaction_id": "i{}",
        "first_response_at": "2021-03-04 11:00:00", "resolved_at": "2021-03-05 10:00",
        "closed_at": "2021-03-06 10:00", "reopened_at": "2021-03-05 12:00",
        "escalated_at": "2021-03-04 12:00", "direction": "in", "kind": "Complaint",
        "channel": "mail", "topic": "late", "transaction_id": "t1", "wait_seconds": "3600",
        "replies": "2", "handoffs": "1", "reopens": "0", "loaded_at": "2021-03-04 10:30",
    },
    "surveys": {
        "customer_id": "007", "sent_at": "2021-03-04 10:00", "answered_at": "2021-03-05 10:00",
        "kind": "csat", "score": "4", "survey_id": "s{}", "touchpoint": "checkout",
        "transaction_id": "t1", "interaction_id": "i1", "replied_at": "2021-03-06",
        "comment": "well", "loaded_at": "2021-03-04 11:00",
    },
    "subscriptions": {
        "customer_id": "007", "started_at": "2021-03-04 10:00", "subscription_id": "s{}",
        "ended_at": "2021-04-04", "end_reason": "voluntary",
        "cancel_requested_at": "2021-03-20", "renews_at": "2021-04-04",
        "trial_ends_at": "2021-03-18", "plan": "gold", "mrr": "12.50", "seats": "3",
        "loaded_at": "2021-03-04 11:00",
    },
    "events": {
        "customer_id": "007", "ts": "2021-03-04 10:{:02}", "event": "login", "group": "visit",
        "user_id": "u1", "channel": "web", "value": "-1.5", "loaded_at": "2021-03-04 11:00",
    },
    "treatments": {
        "customer_id": "007", "ts": "2021-03-04 10:{:02}", "campaign": "spring", "treated": "yes",
        "randomised": "0", "cost": "1.20", "loaded_at": "2021-03-04 11:00",
    },
    "customers": {
        "customer_id": "00{}", "signup_at": "2021-03-01", "contactable": "true", "label": "no",
        "loaded_at": "2021-03-04 11:00",
    },
}  # fmt: skip


def sound(name, n=5, **changes):
    """Return rows of a table that break no rule."""
    rows = [{k: v.format(i) for k, v in SOUND[name].items()} for i in range(6, 6 + n)]
    return [row | changes for row in rows]


def write(path, rows, columns=None):
    """Write rows as CSV; columns are those of the first row unless named."""
    names = list(rows[0]) if columns is None else columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Desk:
    """Lays tables out in a folder and loads them."""

    folder: Path

    def config(self, tables, how=None, **top):
        """Return a config that reads rows; `how` adds keys to a table, `top` to the whole."""
        how = how or {}
        given = {"transactions": sound("transactions"), **tables}
        raw = {}
        for name, rows in given.items():
            if isinstance(rows, list):
                columns = how.get(name, {}).pop("only", None)
                rows = {"path": str(write(self.folder / f"{name}.csv", rows, columns))}
            if rows is not None:
                raw[name] = rows | how.get(name, {})
        return Config.model_validate({"project": "t", "data": {"tables": raw}, **top})

    def load(self, tables, how=None, **top):
        return load(self.config(tables, how, **top))

    @contextlib.contextmanager
    def rows(self, name, tables, how=None, **top):
        """Yield the kept rows of one table, and its report."""
        with self.load(tables, how, **top) as sources:
            t = sources.tables[name]
            yield sources.con.to_pyarrow(t).to_pylist(), sources.report.tables[name]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def make_rows():
    return sound


@pytest.fixture(scope="session")
def write_rows():
    return write


@pytest.fixture(scope="session")
def others():
    """Return the names of the tables beside transactions, whose rules have tests of their own."""
    return [name for name in TABLES if name != "transactions"]
