"""What features say of value at the origins: from 300 customers, knowing nothing of after them."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import foresight as module
from tenure.backtest.foresight import Features, foresight, two_part
from tenure.backtest.said import CHANCE, TREES
from tenure.backtest.value import past
from tenure.config import Config
from tenure.errors import DataError
from tenure.features.schema import Schema
from tenure.inputs import inputs
from tenure.models.btyd import PurchaseModel

DAYS = 100
ORIGINS = (dt.date(2024, 4, 10), dt.date(2024, 7, 19), dt.date(2024, 10, 27))
TIMING = PurchaseModel("mbg_nbd", 0.8, 25.0, 0.8, 2.4, 0.0, "converged", 400)


def config():
    return Config.model_validate(
        {
            "project": "shop",
            "data": {"tables": {"transactions": {"path": "x.csv"}}},
            "churn": {"horizon_days": 30, "active_within_days": 90},
        }
    )


CUTS = [dt.date(2024, 1, 1) + dt.timedelta(days=30 * k) for k in range(11)]
LABEL = 30


@pytest.fixture(scope="module")
def world(make_features):
    """Features in which recency decides, labels and outcomes, at cutoffs and origins."""
    schema = Schema(60, {}, {"transactions": ("amount", "ts")})
    days = sorted({*CUTS, *ORIGINS})
    parts, after = [], []
    rng = np.random.default_rng(0)
    for k, day in enumerate(days):
        one = make_features(schema, n=300, seed=k).assign(cutoff=pd.Timestamp(day))
        chance = 1 / (1 + one["days_since_last_purchase"] / 60)
        bought = np.where(rng.random(300) < chance, 1 + rng.poisson(one["frequency"] / 4), 0)
        keys = one[["customer_id", "cutoff"]]
        came = keys.assign(purchase_days=bought, value=bought * rng.gamma(3.0, 10.0, 300))
        after.append(came[came["purchase_days"] > 0])
        parts.append(one)
    matrix = pd.concat(parts, ignore_index=True)
    timing = TIMING
    rows = matrix[matrix["cutoff"].isin(pd.to_datetime(CUTS))]
    rows = rows[rows["days_since_last_purchase"] < 90].reset_index(drop=True)
    X = inputs(rows, schema, timing, config().churn)
    left = rng.random(len(rows)) < 0.15 + rows["days_since_last_purchase"] / 150
    labelled = rows[["customer_id", "cutoff"]].assign(churned=left.astype(np.int8))
    return Features(
        matrix, schema, dict.fromkeys(days, timing), pd.concat(after, ignore_index=True),
        DAYS, labelled, X, days[0],
    )  # fmt: skip


def asked_at(known, days):
    keys = known.matrix[known.matrix["cutoff"].isin(pd.to_datetime(list(days)))]
    return past(keys, known.after, days)


@pytest.fixture(scope="module")
def foreseen(world):
    return foresight(asked_at(world, ORIGINS), world, config())


def test_what_it_can_learn_it_says(world, foreseen):
    """The first origin is 100 days in: one cutoff is complete, and its 300 rows teach."""
    said, notes = foreseen
    assert notes == ()
    assert said[list(TREES)].notna().all(axis=None)
    assert (said[list(TREES)] >= 0).all(axis=None)
    at_stake = world.matrix.set_index(["customer_id", "cutoff"])["days_since_last_purchase"]
    is_scored = at_stake.reindex(pd.MultiIndex.from_frame(said[["customer_id", "cutoff"]])) < 90
    np.testing.assert_array_equal(said[CHANCE].notna(), is_scored)
    assert said[CHANCE].dropna().between(0, 1).all()
    # and not by chance: who was silent for long is said to leave and to bring less
    late = said[said["cutoff"] == pd.Timestamp(ORIGINS[2])]
    silence = late["T"] - late["recency"]
    assert silence.corr(late[CHANCE], method="spearman") > 0.5
    assert silence.corr(late[TREES[1]], method="spearman") < -0.3


@pytest.mark.parametrize("origin", ORIGINS)
def test_it_knows_nothing_of_after_the_origin(world, foreseen, origin):
    """All that was not complete by then is turned around, features of later days as well."""
    is_late = pd.Timestamp(origin)
    after, rows, X, matrix = (
        frame.copy() for frame in (world.after, world.rows, world.X, world.matrix)
    )
    open_yet = after["cutoff"] + pd.Timedelta(days=DAYS) > is_late
    after.loc[open_yet, "value"] = -999.0
    after.loc[open_yet, "purchase_days"] = 77
    open_yet = rows["cutoff"] + pd.Timedelta(days=LABEL) > is_late
    rows.loc[open_yet, "churned"] = 1 - rows.loc[open_yet, "churned"]
    X.loc[(rows["cutoff"] > is_late).to_numpy()] = 5.0
    numbers = matrix.columns[2:]
    matrix.loc[matrix["cutoff"] > is_late, numbers] = 3.0
    odd = PurchaseModel("mbg_nbd", 9.0, 900.0, 0.1, 9.0, 0.0, "converged", 1)
    timings = {d: m if d <= origin else odd for d, m in world.timings.items()}
    changed = dataclasses.replace(
        world, matrix=matrix, timings=timings, after=after, rows=rows, X=X
    )
    found, _ = foresight(asked_at(world, [origin]), changed, config())
    whole = foreseen[0]
    whole = whole[whole["cutoff"] == is_late].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, whole, check_exact=True)


JUST = CUTS[3] + dt.timedelta(days=DAYS)


@pytest.mark.parametrize("origin", [*ORIGINS, JUST, JUST - dt.timedelta(days=1)])
def test_the_two_part_model_gets_days_that_are_complete(world, origin, monkeypatch):
    """Every row it gets carries its day in a feature."""
    seen = []

    def spy(X, purchases, value, **how):
        seen.append((X["T"].to_numpy(), np.asarray(purchases), np.asarray(value), how))

    monkeypatch.setattr(module, "fit_two_part", spy)
    day = (world.matrix["cutoff"] - pd.Timestamp("2024-01-01")).dt.days.astype(float)
    known = dataclasses.replace(world, matrix=world.matrix.assign(T=day))
    two_part(origin, known, config())
    ((days, purchases, value, how),) = seen
    complete = [d for d in sorted({*CUTS, *ORIGINS}) if d + dt.timedelta(days=DAYS) <= origin]
    assert sorted(set(days)) == [(d - dt.date(2024, 1, 1)).days for d in complete]
    assert len(days) == 300 * len(complete)
    known_then = world.after[world.after["cutoff"].isin(pd.to_datetime(complete))]
    assert purchases.sum() == known_then["purchase_days"].sum()  # of the others 0, not missing
    assert value.sum() == pytest.approx(known_then["value"].sum())
    assert how == {"horizon_days": DAYS, "seed": config().model.seed}


def test_days_without_a_timing_are_not_learnt_from(world, monkeypatch):
    rows = []
    monkeypatch.setattr(module, "fit_two_part", lambda X, *_, **__: rows.append(len(X)))
    timings = {**world.timings, CUTS[0]: None, CUTS[1]: None}
    known = dataclasses.replace(world, timings=timings)
    two_part(ORIGINS[1], known, config())
    two_part(ORIGINS[1], world, config())
    assert rows[1] - rows[0] == 600


def test_what_cannot_be_learnt_is_missing_and_told_of_the_last_origin(world):
    quiet = dataclasses.replace(world, after=world.after.iloc[:0], rows=world.rows.iloc[:0])
    found, notes = foresight(asked_at(world, ORIGINS), quiet, config())
    assert found[[CHANCE, *TREES]].isna().all(axis=None)
    (note,) = notes
    assert "0 of" in note
    with pytest.raises(DataError, match="are complete before 2024-03-31"):
        two_part(dt.date(2024, 3, 31), world, config())


def test_before_its_columns_were_planned_features_say_nothing(world):
    late = dataclasses.replace(world, planned=ORIGINS[-1])
    found, _ = foresight(asked_at(late, ORIGINS), late, config())
    silent = found["cutoff"] < pd.Timestamp(ORIGINS[-1])
    assert found.loc[silent, [CHANCE, *TREES]].isna().all(axis=None)
    assert found.loc[~silent, TREES].notna().all(axis=None)
