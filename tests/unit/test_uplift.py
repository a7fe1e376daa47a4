"""Who is persuadable: the Qini curve, what choosing by it is worth, and when it cannot be told."""

from dataclasses import replace

import numpy as np
import pytest

from tenure.config import CampaignConfig, ChurnConfig, Config
from tenure.experiments.findings import found
from tenure.experiments.policy import chosen, contact_costs, policies
from tenure.experiments.qini import Ranking, _curve, _weights, qini, ranks, ranks_of_fold


def config(**campaign):
    of = {name: Config.model_fields[name].get_default(call_default_factory=True)
          for name in ("model", "cutoffs")}  # fmt: skip
    return Config.model_construct(
        churn=ChurnConfig(horizon_days=90), campaign=CampaignConfig(**campaign), **of
    )


@pytest.fixture(scope="module")
def some(make_trial):
    """Two tests in which a contact keeps only customers with `a` above 0."""
    return make_trial(11, customers=4000, effect=lambda x: np.where(x["a"] > 0, -0.2, 0.0))


@pytest.fixture(scope="module")
def found_some(some):
    return found(some, config())["uplift"]


# scikit-uplift calls a deprecated sum; remove when its release after 0.5.1 is pinned
@pytest.mark.filterwarnings("ignore:Function stable_cumsum is deprecated:FutureWarning")
@pytest.mark.parametrize("digits", [6, 1, 0])
def test_curve_and_coefficient_are_scikit_uplifts(make_trial, digits):
    metrics = pytest.importorskip("sklift.metrics")
    one = make_trial(12, customers=700, tests=1, effect=lambda x: -0.1)
    score = np.round(one.X["a"].to_numpy() - 0.4 * one.X["b"].to_numpy(), digits)
    stayed, arm = 1 - one.left, one.treated.astype(int)
    seen, kept = _curve(one, stayed, _weights(one), Ranking.by(score), np.ones((1, len(one))))
    theirs = metrics.qini_curve(stayed.astype(int), score, arm)
    np.testing.assert_allclose(seen[0], theirs[0])
    np.testing.assert_allclose(kept[0], theirs[1], atol=1e-9)
    coefficient = metrics.qini_auc_score(stayed.astype(int), score, arm)
    assert qini(one, score, draws=2)["value"] == pytest.approx(coefficient, abs=1e-12)


def test_a_coefficient_does_not_depend_on_the_order_of_rows(make_trial):
    one = make_trial(13, customers=400)
    score = np.round(one.X["a"].to_numpy(), 1)
    mixed = np.random.default_rng(0).permutation(len(one))
    other = one.take(mixed)
    told, again = qini(one, score, draws=20), qini(other, score[mixed], draws=20)
    assert told["value"] == pytest.approx(again["value"], abs=1e-12)
    assert told["lower"] == pytest.approx(again["lower"], abs=1e-12)


def test_the_curve_ends_at_the_effect(make_trial):
    one = make_trial(16, customers=2000, tests=1, effect=lambda x: -0.1)
    curve = qini(one, one.X["a"].to_numpy(), draws=2)["curve"]
    whole = one.left[~one.treated].mean() - one.left[one.treated].mean()
    assert curve[0] == {"share": 0.0, "kept": 0.0}
    assert curve[-1]["kept"] == pytest.approx(1000 * whole)


def test_equal_scores_are_worth_nothing(make_trial):
    one = make_trial(14, customers=400)
    assert qini(one, np.zeros(len(one)), draws=5)["value"] == pytest.approx(0, abs=1e-12)


def test_tests_of_other_shares_do_not_bend_the_curve(make_trial):
    """The score orders nothing; two tests of 20 and 80 % contacted, the second leaving more."""
    rng = np.random.default_rng(0)
    told = []
    for seed in range(12):
        one = make_trial(seed, customers=1500, effect=lambda x: -0.1)
        later = one.test == 1
        arm = rng.random(len(one)) < np.where(later, 0.8, 0.2)
        left = np.where(arm & ~one.treated, rng.random(len(one)) < 0.2, one.left)
        share = np.where(later, arm[later].mean(), arm[~later].mean())
        score = later + 0.01 * rng.random(len(one))  # the later test first
        one = replace(one, treated=arm, share=share, left=left.astype(float))
        told.append(qini(one, score, draws=2)["value"])
    assert abs(np.mean(told)) < 3 * np.std(told) / np.sqrt(12)


def test_the_persuadable_are_found_and_beat_risk(found_some):
    told = found_some["out_of_fold"]
    assert found_some["told_apart"]
    assert found_some["better_than_risk"]
    first, last = told["fifths"][0]["effect"], told["fifths"][-1]["effect"]
    assert first["lower"] < -20 < first["upper"] or first["upper"] < -14
    assert last["lower"] < 0 < last["upper"]
    gain = told["policy"]["uplift_less_risk"]["kept"]
    # of the riskiest fifth half are persuadable, of the most persuadable all: .2 × .5 × .2 = 20
    assert gain["lower"] < 20 < gain["upper"]
    assert "can be told apart" in found_some["says"]


def test_it_holds_on_the_newest_test_too(found_some, some):
    told = found_some["out_of_time"]
    assert told["qini"]["lower"] > 0
    assert told["contacted"] + told["held_out"] == int((some.test == 1).sum())


def test_where_all_are_alike_nothing_is_claimed(make_trial):
    told = found(make_trial(21, customers=4000, effect=lambda x: -0.08), config())["uplift"]
    assert not told["better_than_risk"]
    assert told["out_of_fold"]["qini"]["lower"] < 0
    assert "cannot be told" in told["says"]


def test_everybody_is_worth_the_effect_and_chance_its_share(some, found_some):
    ways = found_some["out_of_fold"]["policy"]["ways"]
    whole = found(some, config())["effect"]["adjusted"]["value"]
    assert ways["everybody"]["kept"]["value"] == pytest.approx(-10 * whole, abs=1e-6)
    assert ways["random"]["kept"]["value"] == pytest.approx(-2 * whole, abs=1e-6)
    assert all(w["contacted"] == pytest.approx(200, abs=1e-6)
               for n, w in ways.items() if n != "everybody")  # fmt: skip


def test_a_perfect_choice_is_worth_what_was_planted(some):
    """Contacting all with `a` above 0 keeps .2 of them, or whoever would leave if fewer do."""
    is_persuadable = (some.X["a"] > 0).to_numpy(dtype=float)
    risk = 1 / (1 + np.exp(1 - 0.8 * some.X["b"].to_numpy()))
    planted = 1000 * (np.minimum(risk, 0.2) * is_persuadable).mean()
    saved = -(some.treated - some.share) * (some.left - risk) / (some.share * (1 - some.share))
    scores = {"uplift": is_persuadable, "risk": 1 - is_persuadable}
    told = policies(some, saved, scores, CampaignConfig(capacity=10**6))["ways"]
    for way, truth in (("uplift", planted), ("risk", 0.0)):
        kept = told[way]["kept"]
        error = (kept["upper"] - kept["value"]) / 1.645
        assert abs(kept["value"] - truth) < 3 * error
        assert error < 8


def test_capacity_holds_in_each_test_and_ties_share_the_border(make_trial):
    one = make_trial(15, customers=100)
    way = chosen(one, np.where(np.arange(200) % 4 == 0, 1.0, 0.0), 30)
    for number in (0, 1):
        here = way[one.test == number]
        assert here.sum() == pytest.approx(30)
        assert sorted(set(np.round(here, 9))) == pytest.approx([5 / 75, 1.0])


def test_money_is_what_is_kept_less_all_contacts(some):
    saved = np.where(some.X["a"] > 0, 0.2, 0.0)
    score = {"uplift": saved, "risk": some.X["b"].to_numpy()}
    paid = replace(some, cost=np.where(some.treated, 2.0, np.nan))
    told = policies(paid, saved, score, CampaignConfig(), worth=50.0)
    assert told["cost_source"] == "recorded in treatments"
    way = told["ways"]["uplift"]
    assert way["net"]["value"] == pytest.approx(50 * way["kept"]["value"] - 2 * way["contacted"])
    assert way["cost_of_kept"]["value"] == pytest.approx(
        2 * way["contacted"] / way["kept"]["value"]
    )


def test_costs_not_recorded_are_those_the_config_expects(some):
    cost, source = contact_costs(
        some, CampaignConfig(contact_cost=1, incentive=10, accept_rate=0.5)
    )
    leaving = some.left[~some.treated].mean()
    assert cost[0] == pytest.approx(1 + 10 * (0.5 * leaving + 1 - leaving))
    assert "config" in source


def test_ranks_are_of_one_learner_each(make_trial):
    from tenure.experiments.learning import Learnt

    score = np.array([1.0, 2.0, 2.0, 11.0, 12.0])
    learnt = Learnt(score, score, np.array([0, 0, 0, 1, 1]))
    assert ranks(score[:3]).tolist() == pytest.approx([1 / 6, 2 / 3, 2 / 3])
    assert ranks_of_fold(learnt, score).tolist() == pytest.approx([1 / 6, 2 / 3, 2 / 3, 0.25, 0.75])
