"""The champion speaks only where it may; its recipe, rerun, is what the backtest had said."""

import dataclasses
import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import churn as churn_backtest
from tenure.backtest import folds
from tenure.backtest.champion import meet
from tenure.backtest.rerun import rerun
from tenure.config import Config
from tenure.inputs import inputs
from tenure.models.recipe import Recipe, recipe
from tenure.models.trees import Settings
from tenure.results import churn_figures
from tenure.storage import load, save

FIRST = dt.date(2025, 1, 1)
DAYS = [FIRST + dt.timedelta(days=30 * k) for k in range(6)]


def config(**sections):
    tables = {"tables": {"transactions": {"path": "d.csv"}}}
    churn = {"horizon_days": 30, "active_within_days": 120}
    sections = {"model": {"tuning_trials": 0}, **sections}
    return Config(project="p", data=tables, churn=churn, **sections)


def people(bundle, make_features, days=DAYS, n=160):
    """Return a population at several cutoffs in which silence decides."""
    parts = [
        make_features(bundle.schema, n, seed=k).assign(cutoff=pd.Timestamp(day))
        for k, day in enumerate(days)
    ]
    matrix = pd.concat(parts, ignore_index=True)
    left = np.random.default_rng(3).random(len(matrix)) < matrix["days_since_last_purchase"] / 250
    rows = matrix[["customer_id", "cutoff"]].assign(churned=left.astype(int), active=True)
    X = inputs(matrix, bundle.schema, bundle.timing, bundle.churn)
    return SimpleNamespace(schema=bundle.schema, matrix=matrix, rows=rows, X=X)


@pytest.fixture(scope="module")
def ready(bundle, make_features):
    return people(bundle, make_features)


@pytest.fixture(scope="module")
def done(ready):
    return churn_backtest.run(ready.X, ready.rows, config())


def spelt(name, X, done):
    """Return the recipe of a run's own candidate such that it counts as another's."""
    other = dataclasses.replace(done.settings, parameters={"verbosity": -2})
    return dataclasses.replace(recipe(name, other, X.columns, "auto"), settings=other)


@pytest.mark.parametrize("name", ["lightgbm", "blend", "btyd", "logistic_rfm"])
def test_a_rerun_recipe_says_what_the_same_candidate_said(ready, done, name):
    made = spelt(name, ready.X, done)
    again = rerun(made, done, ready, config())
    np.testing.assert_array_equal(again, done.probabilities[name])


def test_a_rerun_calibrates_on_held_out_customers_where_the_backtest_did(bundle, make_features):
    short = people(bundle, make_features, DAYS[:2], 400)
    done = churn_backtest.run(short.X, short.rows, config())
    assert "held-out" in " ".join(done.notes)
    again = rerun(spelt("lightgbm", short.X, done), done, short, config())
    np.testing.assert_array_equal(again, done.probabilities["lightgbm"])


@pytest.fixture
def folded(monkeypatch):
    """Run the folds of a few labelled customers; return the backtest, what it ran on, config."""
    monkeypatch.setattr(folds, "ROUNDS", ((None, 2),))
    monkeypatch.setattr(folds, "FOLDS", 3)
    monkeypatch.setattr(folds, "INNER", 2)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=400), "b": rng.integers(0, 3, 400).astype(float)})
    left = (rng.random(400) < 1 / (1 + np.exp(-3 * X["a"]))).astype(np.int8)
    rows = pd.DataFrame(
        {"customer_id": [f"c{i:03d}" for i in range(400)], "cutoff": pd.NaT, "churned": left}
    ).assign(active=True)
    labelled = Config(
        project="p",
        data={"tables": {"customers": {"path": "c.csv", "attributes": "all"}}},
        churn={"kind": "label"},
    )
    return folds.run(X, rows, labelled), SimpleNamespace(X=X, rows=rows), labelled


def test_a_rerun_in_folds_says_what_the_same_candidate_said(folded):
    done, here, labelled = folded
    for name in ("lightgbm", "logistic_attributes"):
        again = rerun(spelt(name, here.X, done), done, here, labelled)
        np.testing.assert_array_equal(again, done.probabilities[name])


def test_a_recipe_of_other_attributes_speaks_of_the_same_customers(folded):
    """Folds go by rows that are equal; a recipe that sees fewer columns must not deal anew."""
    done, here, labelled = folded
    for columns in (["a"], ["b", "a"]):
        made = recipe("logistic_attributes", Settings(), columns, "auto")
        again = rerun(made, done, here, labelled)
        both = np.corrcoef(again, done.probabilities["logistic_attributes"])[0, 1]
        assert both > 0.98


def test_a_recipe_decides_trees_inputs_and_calibration(ready, done):
    few = Settings({"num_iterations": 3})
    fewer = recipe("lightgbm", few, ["recency", "frequency", "gone"], "none")
    said = {calibration: rerun(dataclasses.replace(fewer, calibration=calibration), done, ready,
                               config()) for calibration in ("none", "sigmoid")}  # fmt: skip
    assert not np.allclose(said["none"], said["sigmoid"])
    doubled = SimpleNamespace(**{**vars(ready), "X": ready.X.assign(T=-1.0, silence=0.0)})
    np.testing.assert_array_equal(rerun(fewer, done, doubled, config()), said["none"])


def test_the_champion_speaks_itself_only_from_the_day_its_labels_end(bundle, ready, done):
    until = DAYS[4]
    champion = dataclasses.replace(bundle, trained_until=until)
    met = meet("3", champion, done, ready, config())
    assert (met.version, met.met) == ("3", "fresh cutoffs")
    fresh = (done.test["cutoff"] >= pd.Timestamp(until)).to_numpy()
    assert 0 < fresh.sum() < len(fresh)
    np.testing.assert_array_equal(np.isfinite(met.probability), fresh)
    for i in (np.flatnonzero(fresh)[0], np.flatnonzero(fresh)[-1]):
        who = ready.matrix.merge(done.test.iloc[[i]][["customer_id", "cutoff"]])
        one = bundle.score(who, who["customer_id"])
        if one["status"].iloc[0] == "scored":
            assert met.probability[i] == pytest.approx(one["churn_probability"].iloc[0], rel=1e-12)
    assert str(DAYS[4]) in met.why
    later = dataclasses.replace(bundle, trained_until=DAYS[5] + dt.timedelta(days=1))
    met = meet("3", later, done, ready, config())
    assert met.met == "recipe rerun"
    assert "No test cutoff lies after its training labels end (2025-06-01)" in met.why


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("trained on another horizon", "another question"),
        ("lacks a level", "of its columns are missing or mean something else here"),
        ("other levels", "of its columns are missing or mean something else here"),
    ],
)
def test_a_champion_that_cannot_speak_is_met_by_its_recipe(bundle, ready, done, change, said):
    champion = dataclasses.replace(bundle, trained_until=DAYS[4])
    here = ready
    if change == "trained on another horizon":
        other = bundle.churn.asking(horizon_days=60)
        champion = dataclasses.replace(champion, churn=other)
    else:
        levels = {"transactions.channel": ("web",) if "lacks" in change else ("web", "app")}
        schema = dataclasses.replace(bundle.schema, levels=levels)
        here = SimpleNamespace(**{**vars(ready), "schema": schema})
    met = meet("3", champion, done, here, config())
    assert met.met == "recipe rerun"
    assert said in met.why
    assert "Its recipe was not recorded; lightgbm as made today" in met.why
    assert np.isfinite(met.probability).all()


def test_a_column_the_champion_does_not_use_may_be_missing(make_bundle, ready, done):
    champion = dataclasses.replace(make_bundle("btyd"), trained_until=DAYS[4])
    bare = SimpleNamespace(**vars(ready))
    bare.schema = dataclasses.replace(ready.schema, levels={})
    bare.matrix = ready.matrix[[c for c in ready.matrix if "[" not in c]]
    met = meet("3", champion, done, bare, config())
    assert met.met == "fresh cutoffs"
    assert np.isfinite(met.probability).any()


def test_another_kind_and_a_broken_champion_are_not_met(bundle, ready, done):
    other = dataclasses.replace(bundle, churn=bundle.churn.model_copy(update={"kind": "label"}))
    for champion in (None, other):
        met = meet("3", champion, done, ready, config())
        assert met.met == "none"
        figures = churn_figures(done, config(), met)
        assert not figures["gate"]["passed"]
        assert "the champion (version 3) could not be met" in figures["gate"]["reasons"][-1]


def test_a_worse_challenger_fails_against_the_champion(ready, done):
    """A champion that knows the answer: every row at .9 or .1 on the right side."""
    truth = np.where(done.test["churned"] == 1, 0.9, 0.1)
    figures = churn_figures(done, config())
    assert figures["gate"]["champion"]["version"] is None
    met = dataclasses.replace(meet("3", None, done, ready, config()), probability=truth)
    gate = churn_figures(done, config(), met)["gate"]
    assert [r.split(":")[0] for r in gate["champion"]["reasons"]] == [
        "log loss against the champion (version 3)", "AUC against the champion (version 3)",
    ]  # fmt: skip
    assert gate["champion"]["log_loss"] == pytest.approx(-np.log(0.9))
    assert not gate["passed"]
    equal = dataclasses.replace(met, probability=done.said)
    assert churn_figures(done, config(), equal)["gate"]["champion"]["reasons"] == []


def test_a_recipe_is_stored_with_the_bundle_and_may_be_absent(tmp_path, bundle):
    settings = Settings({"num_iterations": 250}, 3, 0.75, {"T": 1}, 2.0)
    made = recipe("lightgbm", settings, bundle.usual, "sigmoid")
    save(dataclasses.replace(bundle, recipe=made), tmp_path / "new")
    assert load(tmp_path / "new").recipe == made
    assert recipe("btyd", settings, bundle.usual, "none").settings == Settings()
    save(bundle, tmp_path / "old")
    assert load(tmp_path / "old").recipe is None
    assert Recipe("btyd").columns is None
