"""Folds keep equal rows together and the procedure away from what it is judged on."""

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import folds
from tenure.backtest.folds import FOLDS, assign, equal_rows, run
from tenure.config import Config
from tenure.models.churn import ROSTERS
from tenure.models.trees import Settings


def config():
    tables = {"tables": {"customers": {"path": "c.csv", "attributes": "all"}}}
    return Config(project="p", data=tables, churn={"kind": "label"})


def labelled(n=260, seed=0):
    """Return attributes and labels; a fifth of the rows are copies of others."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 3, n).astype(float)})
    X.loc[X.index % 9 == 0, "a"] = np.nan
    X.iloc[: n // 5] = X.iloc[n - n // 5 :].to_numpy()
    p = 1 / (1 + np.exp(-(X["a"].fillna(0) * 1.5 + X["b"] - 1)))
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(n)], "cutoff": pd.NaT,
            "churned": (rng.random(n) < p).astype(np.int8), "active": True,
        }
    )  # fmt: skip
    return X, rows


@pytest.fixture(scope="module")
def done():
    X, rows = labelled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "ROUNDS", ((100, 3), (None, 2)))
        return X, rows, run(X, rows, config())


@pytest.fixture
def quick(monkeypatch):
    """Let a run take a few folds, once."""
    monkeypatch.setattr(folds, "ROUNDS", ((None, 1),))
    monkeypatch.setattr(folds, "FOLDS", 4)
    monkeypatch.setattr(folds, "INNER", 2)


def test_equal_rows_share_a_fold_and_folds_are_alike():
    X, rows = labelled(1000)
    group, churned = equal_rows(X), rows["churned"].to_numpy()
    assert np.unique(group).size == len(X.drop_duplicates())
    fold = assign(group, churned, FOLDS, (1,))
    assert pd.Series(fold).groupby(group).nunique().eq(1).all()
    assert np.ptp(np.bincount(fold, minlength=FOLDS)) < 10
    rates = pd.Series(churned).groupby(fold).mean()
    assert (rates - churned.mean()).abs().max() < 0.2  # copies disagree in three large groups
    alone = assign(np.arange(1000), churned, FOLDS, (1,))
    rates = pd.Series(churned).groupby(alone).mean()
    assert (rates - churned.mean()).abs().max() < 0.01
    assert not np.array_equal(fold, assign(group, churned, FOLDS, (2,)))


def test_folds_follow_the_rows_in_whatever_order():
    X, rows = labelled(300)
    fold = assign(equal_rows(X), rows["churned"].to_numpy(), FOLDS, (1,))
    order = np.random.default_rng(3).permutation(300)
    churned = rows["churned"].to_numpy()[order]
    again = assign(equal_rows(X.iloc[order]), churned, FOLDS, (1,))
    assert np.array_equal(again, fold[order])


def test_every_row_is_judged_once_a_round_by_every_candidate(done):
    _, rows, result = done
    assert result.tests == ()
    assert set(result.probabilities) == set(ROSTERS["label"].names)
    per_round = result.test.groupby("repeat")["customer_id"].apply(sorted)
    assert all(ids == sorted(rows["customer_id"]) for ids in per_round)
    for p in (*result.probabilities.values(), result.chosen):
        assert p.shape == (len(result.test),)
        assert ((p >= 0) & (p <= 1)).all()


def test_the_labels_of_a_fold_move_none_of_its_predictions(done):
    """Turning labels round in the fold of one row, and nowhere else, leaves the fold as it was."""
    X, rows, _ = done
    group, settings = equal_rows(X), config()
    fold = assign(group, rows["churned"].to_numpy(), FOLDS, (settings.model.seed, 2, 0))
    here = fold == 3
    before = folds._probabilities(X, rows, group, ~here, here, settings, Settings())
    turned = rows.assign(churned=np.where(here, 1 - rows["churned"], rows["churned"]))
    after = folds._probabilities(X, turned, group, ~here, here, settings, Settings())
    columns = [*ROSTERS["label"].names, "chosen"]
    pd.testing.assert_frame_equal(after[columns], before[columns], check_exact=True)


def test_pure_chance_shows_no_skill(quick):
    X, rows = labelled(400, seed=5)
    rng = np.random.default_rng(9)
    noise = rows.assign(churned=rng.integers(0, 2, len(rows)).astype(np.int8))
    # copies agree, so that a copy across folds would give the label away
    noise["churned"] = noise.groupby(equal_rows(X))["churned"].transform("first")
    said = run(X, noise, config())
    y, p = said.test["churned"].to_numpy(), said.chosen
    above = (p[y == 1][:, None] > p[y == 0]).mean() + (p[y == 1][:, None] == p[y == 0]).mean() / 2
    assert 0.38 < above < 0.60


def test_the_same_seed_gives_the_same_figures(quick):
    X, rows = labelled(150)
    one, two = run(X, rows, config()), run(X, rows, config())
    assert one.before == two.before
    np.testing.assert_array_equal(one.chosen, two.chosen)


def test_fewer_different_rows_than_folds(quick):
    X, rows = labelled(240)
    few = X[["b"]]
    said = run(few, rows, config())
    assert len(said.test) == 240
    assert np.isfinite(said.chosen).all()
