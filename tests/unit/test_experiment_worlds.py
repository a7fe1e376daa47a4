"""A simulated shop with one randomised campaign: what is said of it, beside what it did."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from tenure.config import load_config
from tenure.experiments import experiments
from tenure.features.matrix import plan_schema
from tenure.simulate import START, Shop, simulate
from tenure.sources import load

DAY = START.date() + dt.timedelta(weeks=52)
HORIZON = 90
WORLD = replace(Shop(), base_hazard=0.03, dirt=0.0)


def shop(effect):
    """Return a shop of one campaign; draws are shared, so that shops differ by its effect only."""
    return simulate(
        replace(WORLD, campaign_effect=effect), 9_000, 5, weeks=66, with_truth=False
    )  # fmt: skip


def buyers(company, start, days):
    log = company.frame("transactions")
    ts = pd.to_datetime(log["ts"]).dt.tz_localize(None)
    end = start + pd.Timedelta(days=days)
    return set(log.loc[(log["kind"] == "purchase") & (ts >= start) & (ts < end), "customer_id"])


def said(company, folder):
    """Read a shop's purchases and treatments as a user would."""
    names = ("transactions", "treatments")
    for name in names:
        pq.write_table(company.tables[name], folder / f"{name}.parquet")
    tables = {name: {"path": str(folder / f"{name}.parquet")} for name in names}
    text = yaml.safe_dump({"project": "x", "data": {"tables": tables}})
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    config = load_config(folder / "config.yaml")
    with load(config) as sources:
        first, until = sources.first_day, sources.observed_until
        schema = plan_schema(sources.tables, first, DAY, config.zone, {})
        chances = np.full(1000, 0.3)
        told = experiments(sources.tables, schema, first, until, config, chances, worth=50.0)
    return json.loads(json.dumps(told, allow_nan=False))


@pytest.fixture(scope="module")
def works():
    return shop(-4.0)


@pytest.fixture(scope="module")
def idle():
    return shop(0.0)


def test_the_interval_holds_what_a_rerun_without_the_campaign_shows(works, idle, tmp_path):
    told = said(works, tmp_path)
    contacts = works.frame("treatments")
    who = contacts.loc[contacts["treated"], "customer_id"]
    asked = who[who.isin(buyers(works, pd.Timestamp(DAY) - pd.Timedelta(days=HORIZON), HORIZON))]
    stays, would = (asked.isin(buyers(c, pd.Timestamp(DAY), HORIZON)) for c in (works, idle))
    truth = 100 * (would.mean() - stays.mean())
    assert told["effect"]["contacted"] == len(asked)
    assert truth < -4
    for estimate in (told["effect"], told["effect"]["adjusted"]):
        assert estimate["lower"] < truth < estimate["upper"]
    assert told["balance"]["holds"]
    assert told["how_sure"] == "proven by a test"
    assert told["says"][0].startswith("Contacting keeps customers")


def test_a_campaign_that_does_nothing_is_not_proven(idle, tmp_path):
    told = said(idle, tmp_path)
    assert told["how_sure"] == "too weak to say"
    assert told["uplift"] is None or not told["uplift"]["better_than_risk"]
    assert told["sample_size"]["effects"][0]["customers_each_arm"] > 30_000


def test_without_the_column_a_test_is_asked_for(works, tmp_path):
    bare = works.tables["treatments"].drop_columns(["randomised"])
    told = said(replace(works, tables={**works.tables, "treatments": bare}), tmp_path)
    assert told["how_sure"] is None
    assert told["effect"] is None
    assert "no column `randomised`" in told["notes"][0]
    assert "takes" in told["says"][-1]
