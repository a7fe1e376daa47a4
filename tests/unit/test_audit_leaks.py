"""The audit names what was written down after people left, and lets honest columns be."""

import numpy as np
import pandas as pd

from tenure.audit.leaks import audit
from tenure.config import Config
from tenure.population import prepare
from tenure.sources import load

START, DAYS, HORIZON = pd.Timestamp("2024-01-01"), 480, 60
END = START + pd.Timedelta(days=DAYS)
ATTRIBUTES = ["region", "income"]


def shop(seed=1, n=900):
    """Draw buyers who come at their own rate; in the north they leave twice as soon.

    Ids grow with the day of signing up; region and income are honest and known from then.
    """
    rng = np.random.default_rng(seed)
    joined = np.sort(rng.integers(0, 300, n))
    region = rng.choice(["north", "south"], n)
    rate = rng.gamma(3, 1 / 45, n)
    leaves = np.where(region == "north", 0.12, 0.06)
    rows = []
    for c in range(n):
        t = joined[c] + rng.random()
        while t < DAYS:
            rows.append((c, t))
            if rng.random() < leaves[c]:
                break
            t += rng.exponential(1 / rate[c])
    log = pd.DataFrame(rows, columns=["customer", "day"])
    last = log.groupby("customer")["day"].max()
    people = pd.DataFrame(
        {
            "customer_id": [f"C{1000 + c}" for c in range(n)],
            "signup_at": (START + pd.to_timedelta(joined, "D")).strftime("%Y-%m-%d"),
            "region": region,
            "income": (2000 + 30000 * rate + rng.normal(0, 500, n)).round(),
            "silent": (DAYS - last.to_numpy()).round(1),
            "orders": log.groupby("customer").size().to_numpy(),
        }
    )
    log["customer_id"] = people["customer_id"].to_numpy()[log["customer"]]
    log["ts"] = (START + pd.to_timedelta(log["day"], "D")).dt.strftime("%Y-%m-%d %H:%M:%S")
    log["amount"] = rng.gamma(4, 10, len(log)).round(2)
    return people, log.sort_values("ts")[["customer_id", "ts", "amount"]]


def found(folder, people, log, *more, events=None):
    """Write a shop, read it, and audit it."""
    people.drop(columns=["silent", "orders"]).to_csv(folder / "people.csv", index=False)
    log.to_csv(folder / "log.csv", index=False)
    tables = {
        "customers": {
            "path": str(folder / "people.csv"),
            "attributes": {a: {"known_from": "signup_at"} for a in (*ATTRIBUTES, *more)},
        },
        "transactions": {"path": str(folder / "log.csv")},
    }
    if events is not None:
        events.to_csv(folder / "events.csv", index=False)
        tables["events"] = {"path": str(folder / "events.csv")}
    config = Config.model_validate(
        {
            "project": "p", "data": {"tables": tables}, "churn": {"horizon_days": HORIZON},
            "cutoffs": {"every_days": 30, "count": 6},
        }
    )  # fmt: skip
    with load(config) as sources:
        return audit(prepare(sources, config), sources, config)
