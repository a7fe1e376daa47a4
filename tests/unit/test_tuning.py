"""Tuning looks at the past alone, goes on where it stopped, and takes only what clearly helps."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.backtest import trials, tuning
from tenure.backtest.samples import held_out, some_customers
from tenure.config import Config
from tenure.errors import ModelError
from tenure.models.trees import Settings

DAYS = [dt.date(2025, 1, 1) + dt.timedelta(days=30 * k) for k in range(6)]
FIRST_TEST = DAYS[4]


def config(**model):
    tables = {"tables": {"transactions": {"path": "d.csv"}}}
    return Config(project="p", data=tables, churn={"horizon_days": 30}, model=model)


def panel(n=250, seed=0):
    rng = np.random.default_rng(seed)
    size = n * len(DAYS)
    silence = rng.integers(0, 30, size).astype(float)
    X = pd.DataFrame(
        {
            "frequency": rng.integers(0, 9, size).astype(float),
            "recency": rng.integers(0, 60, size).astype(float),
            "T": rng.integers(60, 200, size).astype(float),
            "monetary_value": rng.gamma(2, 10, size),
            "days_since_last_purchase": silence,
            "btyd_log_odds": silence / 10 - 1.5 + rng.normal(0, 0.5, size),
        }
    )
    rows = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for _ in DAYS for i in range(n)],
            "cutoff": np.repeat(pd.to_datetime(DAYS), n),
            "churned": (rng.random(size) < 1 / (1 + np.exp(15 - silence))).astype(int),
        }
    )
    return X, rows


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "JOURNALS", tmp_path / "tuning")
    return tmp_path / "tuning"


def tuned(X, rows, settings=None, said=None, **model):
    return tuning.tune(
        X, rows, config(**model), days=DAYS, first_test=FIRST_TEST,
        settings=settings or Settings(),
        progress=(lambda *a: None) if said is None else lambda *a: said.append(a),
    )  # fmt: skip


def test_nothing_from_the_test_on_is_looked_at(journals):
    X, rows = panel()
    first = tuned(X, rows, tuning_trials=3)
    late = (rows["cutoff"] >= pd.Timestamp(FIRST_TEST)).to_numpy()
    other, turned = X.copy(), rows.copy()
    other.loc[late] = -1.0
    turned.loc[late, "churned"] = 1 - turned.loc[late, "churned"]
    assert tuned(other, turned, tuning_trials=3) == first
    assert len(list(journals.glob("*.journal"))) == 1  # the same data: the same journal
    assert all(dt.date.fromisoformat(d) < FIRST_TEST for d in first.report["judges"])


def test_folds_keep_the_embargo():
    _, rows = panel()
    folds = tuning._folds(rows, config(), DAYS, FIRST_TEST)
    assert [f.cutoff for f in folds] == [DAYS[3], DAYS[2], DAYS[1]]
    for fold in folds:
        assert set(rows["cutoff"].iloc[fold.judge]) == {pd.Timestamp(fold.cutoff)}
        newest = rows["cutoff"].iloc[fold.learn].max()
        assert newest + pd.Timedelta(days=30) <= pd.Timestamp(fold.cutoff)


@pytest.mark.parametrize("at", [1, 3])
def test_an_interrupted_search_ends_like_one_that_was_not(journals, monkeypatch, at):
    X, rows = panel()
    whole = tuned(X, rows, tuning_trials=4)
    for file in journals.iterdir():
        file.unlink()
    real, calls = trials._suggested, []

    def stopping(trial):
        calls.append(trial.number)
        asked = real(trial)
        if len(calls) == at:
            raise KeyboardInterrupt
        return asked

    monkeypatch.setattr(trials, "_suggested", stopping)
    with pytest.raises(KeyboardInterrupt):
        tuned(X, rows, tuning_trials=4)
    assert tuned(X, rows, tuning_trials=4) == whole
    assert len(calls) == 5  # one of them interrupted


@pytest.mark.parametrize(
    "harm",
    [
        lambda p: p.write_bytes(p.read_bytes()[:-10]),
        lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
        lambda p: p.write_bytes(b"\x00\xff garbage"),
        lambda p: p.write_text('{"a": 1}\n'),
        lambda p: p.write_text("[]\n"),
        lambda p: p.write_bytes(b""),
    ],
)
def test_a_broken_journal_is_begun_anew(journals, harm):
    X, rows = panel()
    whole = tuned(X, rows, tuning_trials=2)
    (journal,) = journals.glob("*.journal")
    harm(journal)
    assert tuned(X, rows, tuning_trials=2) == whole
    assert tuned(X, rows, tuning_trials=2) == whole


def test_one_failing_trial_does_not_end_the_search(monkeypatch):
    X, rows = panel()
    real, calls = trials._suggested, []

    def failing_once(trial):
        calls.append(real(trial))
        if len(calls) == 2:
            raise trials.lgb.basic.LightGBMError("no")
        return calls[-1]

    monkeypatch.setattr(trials, "_suggested", failing_once)
    assert tuned(X, rows, tuning_trials=3).report["trials"] == 3
    assert calls[1] != calls[2]


def test_finished_trials_are_not_run_again(monkeypatch):
    X, rows = panel()
    first = tuned(X, rows, tuning_trials=3)
    monkeypatch.setattr(trials, "_suggested", lambda trial: pytest.fail("a trial was run again"))
    assert tuned(X, rows, tuning_trials=3) == first


def test_other_labels_are_another_search(journals):
    X, rows = panel()
    tuned(X, rows, tuning_trials=1)
    rows.loc[0, "churned"] = 1 - rows.loc[0, "churned"]
    tuned(X, rows, tuning_trials=1)
    assert len(list(journals.glob("*.journal"))) == 2


def test_no_trials_leave_the_defaults(journals):
    X, rows = panel()
    done = tuned(X, rows, tuning_trials=0)
    assert done.settings.parameters == {}
    assert not done.report["adopted"]
    assert "Tuning: none, as model.tuning_trials says." in done.report["sentence"]
    assert not journals.exists()


def test_progress_tells_how_much_is_done():
    said = []
    tuned(*panel(), said=said, tuning_trials=3)
    assert [s for s in said if s[0] == "tuning"] == [("tuning", k, 3) for k in range(3)]


def test_only_what_beats_the_defaults_by_its_error_is_taken(monkeypatch):
    X, rows = panel()
    poor = {**tuning.DEFAULTS, "num_iterations": 2}
    monkeypatch.setattr(tuning, "search", lambda *_: (poor, 1))
    done = tuned(X, rows, tuning_trials=1)
    assert done.report["gain"]["value"] < 0
    assert done.settings.parameters == {}
    assert "is worse than the defaults by 0." in done.report["sentence"]
    monkeypatch.setattr(tuning, "DEFAULTS", poor)
    good = {**poor, "num_iterations": 100}
    monkeypatch.setattr(tuning, "search", lambda *_: (good, 1))
    assert tuned(X, rows, tuning_trials=1).settings.parameters == good


def test_what_was_asked_for_stays(monkeypatch):
    asked = Settings(directions={"T": 1}, class_weight="balanced")
    done = tuned(*panel(), settings=asked, tuning_trials=1)
    assert done.settings.directions == {"T": 1}
    assert done.settings.class_weight == "balanced"


def test_failing_trials_end_in_a_clear_error(monkeypatch):
    def failing(trial):
        raise trials.lgb.basic.LightGBMError("no")

    monkeypatch.setattr(trials, "_suggested", failing)
    with pytest.raises(ModelError, match=r"trials failed\. Set model\.tuning_trials: 0"):
        tuned(*panel(), tuning_trials=2)


def test_a_log_too_short_to_judge_keeps_the_defaults():
    X, rows = panel(n=60)
    done = tuned(X, rows, tuning_trials=2)
    assert done.report["trials"] == 0
    assert "no cutoff before the test" in done.report["sentence"]


def test_samples_hold_whole_customers_whatever_the_order_and_the_company():
    _, rows = panel(n=2000)
    some = some_customers(rows, 3000)
    assert 2400 < some.sum() < 3600
    chosen = set(rows["customer_id"][some])
    assert rows["customer_id"].isin(chosen).to_numpy().sum() == some.sum()
    turned = rows.iloc[::-1]
    assert set(turned["customer_id"][some_customers(turned, 3000)]) == chosen


def test_held_out_rows_are_predicted_by_models_that_never_saw_their_customer(monkeypatch):
    from tenure.backtest import samples

    X, rows = panel()
    seen, real = [], samples.fit_candidates

    def spy(part, y, **how):
        seen.append(set(rows.loc[part.index, "customer_id"]))
        return real(part, y, **how)

    monkeypatch.setattr(samples, "fit_candidates", spy)
    said = held_out(X, rows, config(), Settings(), 2)
    assert len(said) == len(rows)
    assert len(seen) == 2
    assert not seen[0] & seen[1]


def test_settings_of_a_sample_meet_the_defaults_with_every_row(monkeypatch):
    X, rows = panel()
    monkeypatch.setattr(tuning, "MOST_ROWS", 200)
    folds = tuning._folds(rows, config(), DAYS, FIRST_TEST)
    probes = tuning._probes(folds)
    assert len(probes) == tuning.PROBES
    for fold, probe in zip(folds, probes, strict=False):
        complete = (rows["cutoff"] + pd.Timedelta(days=30) <= pd.Timestamp(fold.cutoff)).to_numpy()
        np.testing.assert_array_equal(probe.learn, np.flatnonzero(complete))
        assert set(fold.learn) < set(probe.learn)
    fits = []
    real = tuning.fit_candidates

    def spy(part, y, **how):
        fits.append(len(part))
        return real(part, y, **how)

    monkeypatch.setattr(tuning, "fit_candidates", spy)
    monkeypatch.setattr(tuning, "search", lambda *_: ({**tuning.DEFAULTS, "num_leaves": 8}, 1))
    done = tuned(X, rows, tuning_trials=1)
    assert max(fits) == max(len(p.learn) for p in probes) == done.report["rows"]["every"]
