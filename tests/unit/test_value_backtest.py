"""Value against what came: the family chosen early and in words, the figures taken late."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.backtest.said import CHANCE, TREES, Said, predict
from tenure.backtest.value import _choose, judge, origins, past, validation_days
from tenure.config import Config
from tenure.models.btyd import PurchaseModel
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.models.pareto import ParetoModel
from tenure.models.purchases import p_no_purchase
from tenure.models.spend import SpendModel

DAYS = 100
ORIGINS = (dt.date(2024, 4, 10), dt.date(2024, 7, 19), dt.date(2024, 10, 27))
RFM = ["frequency", "recency", "T"]


def config(**sections):
    return Config.model_validate(
        {
            "project": "shop",
            "data": {"tables": {"transactions": {"path": "x.csv"}}},
            "churn": {"horizon_days": 30, "active_within_days": 90},
            **sections,
        }
    )


def log(seed, n=150):
    """Simulate purchase days, 0 the first of 2024, of customers who come within 90 days."""
    rng = np.random.default_rng(seed)
    rows = []
    for who in range(n):
        day, rate, leave = rng.integers(0, 90), rng.gamma(0.8, 1 / 15), rng.beta(0.9, 3.0)
        mean = rng.gamma(4.0, 10.0)
        while day < 450:
            rows.append((f"c{who}", int(day), rng.gamma(3.0, mean / 3)))
            if rng.random() < leave:
                break
            day = int(day + 1 + rng.exponential(1 / rate))
    return pd.DataFrame(rows, columns=["customer_id", "day", "amount"])


def seen_at(purchases, origin):
    """Histories as known at an origin, by hand."""
    at = (origin - dt.date(2024, 1, 1)).days
    before = purchases[purchases["day"] < at].sort_values("day", kind="stable")
    groups = before.groupby("customer_id")
    first, last = groups["day"].min(), groups["day"].max()
    repeat = before[before.duplicated("customer_id")].groupby("customer_id")["amount"].mean()
    return pd.DataFrame(
        {
            "cutoff": pd.Timestamp(origin),
            "frequency": groups.size() - 1.0,
            "recency": (last - first).astype(float),
            "T": at - 1.0 - first,
            "monetary_value": repeat.reindex(first.index),
        }
    ).reset_index()


def came_after(purchases, origin, days=DAYS):
    at = (origin - dt.date(2024, 1, 1)).days
    later = purchases[(purchases["day"] >= at) & (purchases["day"] < at + days)]
    found = later.groupby("customer_id").agg(
        purchase_days=("amount", "size"), value=("amount", "sum")
    )
    return found.reset_index().assign(cutoff=pd.Timestamp(origin))


def rows_of(seed=0, n=150, cuts=ORIGINS):
    purchases = log(seed, n)
    matrix = pd.concat([seen_at(purchases, day) for day in cuts], ignore_index=True)
    happened = pd.concat([came_after(purchases, day) for day in cuts], ignore_index=True)
    return past(matrix, happened, cuts)


@pytest.fixture(scope="module")
def rows():
    return rows_of()


@pytest.fixture(scope="module")
def early(rows):
    here = rows[rows["cutoff"] == pd.Timestamp(ORIGINS[1])].reset_index(drop=True)
    assert not fit_spend(here["frequency"], here["monetary_value"]).is_doubtful
    return here


def said_by(early, family):
    spend = fit_spend(early["frequency"], early["monetary_value"])
    return predict(fit_purchases(early[RFM], family), spend, early, DAYS)[1]


def errors_of(early):
    """The error of each family, computed here."""
    return {
        name: np.sqrt(np.mean((early["value"] - said_by(early, name)) ** 2)) for name in FAMILIES
    }


class TestPast:
    def test_who_has_no_row_after_the_origin_bought_nothing(self):
        matrix = pd.DataFrame(
            {
                "customer_id": ["a", "b", "a"],
                "cutoff": pd.to_datetime(["2024-07-19", "2024-07-19", "2024-04-10"]),
                "frequency": [3.0, 0.0, 1.0], "recency": [40.0, 0.0, 9.0],
                "T": [60.0, 5.0, 10.0], "monetary_value": [20.0, np.nan, 18.0], "more": 1.0,
            }
        )  # fmt: skip
        happened = pd.DataFrame(
            {
                "customer_id": ["a", "b"], "cutoff": pd.to_datetime(["2024-07-19", "2023-01-01"]),
                "purchase_days": [2, 9], "value": [-4.5, 90.0],
            }
        )  # fmt: skip
        found = past(matrix, happened, ORIGINS[:2])
        assert found["customer_id"].tolist() == ["a", "a", "b"]  # by origin
        assert found["purchase_days"].tolist() == [0, 2, 0]
        assert found["value"].tolist() == [0, -4.5, 0]  # refunds alone are an outcome
        assert found["monetary_value"].isna().tolist() == [False, False, True]
        assert found[[CHANCE, *TREES]].isna().all(axis=None)
        assert len(past(matrix, happened, ORIGINS[2:])) == 0

    def test_origins_stand_a_validation_horizon_apart_and_end_within_the_log(self):
        first, until = dt.date(2024, 1, 1), dt.date(2025, 2, 4)
        assert validation_days(first, until) == DAYS
        assert origins(first, until) == ORIGINS
        assert validation_days(first, dt.date(2034, 1, 1)) == 365
        assert origins(first, first + dt.timedelta(days=1)) == ()


class TestChoice:
    def test_the_default_stays_within_one_percent(self, early):
        """Noise in which all families drown: the best is better by far less than 1 %."""
        noise = np.random.default_rng(0).normal(0, 3000, len(early))
        drowned = early.assign(value=said_by(early, "bg_nbd") + noise)
        errors = errors_of(drowned)
        assert 0.99 * errors["mbg_nbd"] < min(errors.values()) < errors["mbg_nbd"]
        family, why, notes = _choose(drowned, config(), DAYS)
        assert family == "mbg_nbd"
        assert "within 1% the default stays" in why
        assert notes == ()

    @pytest.mark.parametrize("best", ["bg_nbd", "pareto_nbd"])
    def test_a_better_family_wins_and_the_sentence_names_errors_and_day(self, early, best):
        exact = early.assign(value=said_by(early, best))
        family, why, _ = _choose(exact, config(), DAYS)
        assert family == best
        assert why.startswith(f"{best}: error of value (RMSE) over the 100 days after 2024-07-19")
        for name, error in errors_of(exact).items():
            assert f"{name} {error:,.2f}" in why
        assert "default stays" not in why

    def test_the_default_is_chosen_where_it_is_best(self, early):
        family, why, _ = _choose(early.assign(value=said_by(early, "mbg_nbd")), config(), DAYS)
        assert family == "mbg_nbd"
        assert "mbg_nbd 0.00" in why
        assert "default stays" not in why

    @pytest.mark.parametrize("gain", [0.005, 0.05])
    @pytest.mark.parametrize("is_doubtful", [False, True])
    def test_trees_have_to_be_clearly_better_unless_spend_is_doubtful(
        self, early, gain, is_doubtful
    ):
        if is_doubtful:  # who buys often spends more
            spent = 10 * early["frequency"].rank() + 1
            early = early.assign(monetary_value=spent.where(early["frequency"] > 0))
        spend = fit_spend(early["frequency"], early["monetary_value"])
        assert spend.is_doubtful == is_doubtful
        default = said_by(early, "mbg_nbd")
        early = early.assign(value=default + np.random.default_rng(1).normal(0, 3000, len(early)))
        trees = early["value"] + (1 - gain) * (default - early["value"])
        early = early.assign(trees_purchases=1.0, trees_value=trees)
        family, why, _ = _choose(early, config(), DAYS)
        assert (family == "lightgbm") == (is_doubtful or gain > 0.01)
        assert ("Gamma-Gamma is doubtful there" in why) == is_doubtful
        assert "lightgbm" in why  # its error is told in any case

    def test_doubt_lets_in_no_trees_that_are_worse(self, early):
        spent = 10 * early["frequency"].rank() + 1
        early = early.assign(monetary_value=spent.where(early["frequency"] > 0))
        default = said_by(early, "mbg_nbd")
        early = early.assign(value=default + np.random.default_rng(1).normal(0, 3000, len(early)))
        worse = early["value"] + 1.001 * (default - early["value"])
        family, _, _ = _choose(early.assign(trees_value=worse), config(), DAYS)
        assert family != "lightgbm"

    def test_trees_that_say_nothing_of_somebody_are_out(self, early):
        some = early["value"].where(early.index != 3)  # right on everybody else
        family, why, _ = _choose(early.assign(trees_value=some), config(), DAYS)
        assert family in FAMILIES
        assert "lightgbm" not in why

    @pytest.mark.parametrize("asked", FAMILIES)
    def test_the_config_decides(self, early, asked):
        named = config(clv={"family": asked})
        assert _choose(early, named, DAYS) == (asked, f"{asked}: the config names the family.", ())
        assert _choose(early.iloc[:0], named, DAYS)[0] == asked

    def test_trees_that_were_asked_for_need_a_past(self, early):
        named = config(clv={"family": "lightgbm"})
        assert _choose(early.assign(trees_value=5.0), named, DAYS)[0] == "lightgbm"
        family, why, _ = _choose(early, named, DAYS)
        assert family == "mbg_nbd"
        assert "too short to train it" in why

    def test_a_log_too_short_to_compare_is_told(self, early):
        family, why, _ = _choose(early.iloc[:0], config(), DAYS)
        assert (family, why) == ("mbg_nbd", "mbg_nbd: the log is too short to compare families.")
        once = early[early["frequency"] == 0].reset_index(drop=True)
        family, why, _ = _choose(once, config(), DAYS)
        assert family == "mbg_nbd"
        assert "could not be compared (clv: no repeat purchases" in why


def daily_of(cuts=ORIGINS):
    days = pd.to_datetime(list(cuts))
    return pd.DataFrame({"cutoff": days, "day": [-3, 4, 4][: len(days)], "purchases": 5})


@pytest.fixture(scope="module")
def judged(rows):
    return judge(rows, daily_of(), config(), DAYS)


class TestJudged:
    def test_the_choice_is_made_without_the_later_origin(self, rows, judged):
        """Its outcomes turned around, and its trees made perfect or absurd: the same choice."""
        late = rows["cutoff"] == pd.Timestamp(ORIGINS[2])
        turned = rows.copy()
        for column in ("purchase_days", "value"):
            turned.loc[late, column] = rows.loc[late, column].to_numpy()[::-1]
        turned.loc[late, TREES] = rows.loc[late, ["purchase_days", "value"]].to_numpy()
        again = judge(turned, daily_of(), config(), DAYS)
        assert (again.family, again.why) == (judged.family, judged.why)
        assert again.figures["model"]["value"]["mae"] != judged.figures["model"]["value"]["mae"]
        # nor does it see the first: only the middle one
        assert judged.why == _choose(rows[rows["cutoff"] == "2024-07-19"], config(), DAYS)[1]

    def test_figures_are_those_of_the_last_origin_alone(self, rows, judged):
        late = rows[rows["cutoff"] == pd.Timestamp(ORIGINS[2])].reset_index(drop=True)
        said = said_by(late, judged.family)
        assert judged.origin == ORIGINS[2]
        model = judged.figures["model"]["value"]
        assert model["mae"]["value"] == pytest.approx(abs(said - late["value"]).mean())
        assert model["bias"]["value"] == pytest.approx(said.sum() / late["value"].sum() - 1)
        others = set(FAMILIES) - {judged.family}  # without a chance the family is the model itself
        assert judged.name == judged.family
        assert set(judged.figures) >= {"model", *others, "past_rate", "always_zero"}
        total = judged.spread["total"]["value"]
        assert total["expected"] == pytest.approx(said.sum())
        assert total["actual"] == pytest.approx(late["value"].sum())

    def test_errors_are_those_of_each_origin_by_models_of_its_own(self, rows, judged):
        for day, error in zip(ORIGINS, judged.errors, strict=True):
            here = rows[rows["cutoff"] == pd.Timestamp(day)].reset_index(drop=True)
            by_hand = np.log(here["value"].sum() / said_by(here, judged.family).sum())
            assert error == pytest.approx(by_hand)

    def test_the_chance_of_leaving_is_in_the_model_and_the_family_stands_beside(self, rows, judged):
        sure = judge(rows.assign(**{CHANCE: 0.999}), daily_of(), config(), DAYS)
        assert sure.family == judged.family  # chosen by the families alone
        assert sure.name == f"{judged.family}_and_churn"
        plain = judged.figures["model"]["value"]["bias"]["value"]
        assert sure.figures[judged.family]["value"]["bias"]["value"] == plain
        assert sure.figures["model"]["value"]["bias"]["value"] < plain
        assert all(a > b for a, b in zip(sure.errors, judged.errors, strict=True))

    def test_trees_set_the_level_where_they_were_chosen(self, rows):
        named = config(clv={"family": "lightgbm"})
        right = rows.assign(trees_purchases=rows["purchase_days"], trees_value=rows["value"])
        found = judge(right.assign(**{CHANCE: 0.5}), daily_of(), named, DAYS)
        assert (found.family, found.timing_family) == ("lightgbm", "mbg_nbd")
        assert found.figures["model"]["value"]["mae"]["value"] == 0
        assert found.figures["mbg_nbd_and_churn"]["value"]["mae"]["value"] > 0
        assert found.errors == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)

    def test_one_origin_is_judged_and_none_is_told(self, rows):
        last = rows[rows["cutoff"] == pd.Timestamp(ORIGINS[2])]
        found = judge(last, daily_of(), config(), DAYS)
        assert found.why == "mbg_nbd: the log is too short to compare families."
        assert found.origin == ORIGINS[2]
        assert len(found.errors) == 1
        nothing = judge(rows.iloc[:0], daily_of(), config(), DAYS)
        assert nothing.origin is None
        assert nothing.figures == {}
        assert "The log is too short for a value holdout." in nothing.notes

    def test_the_order_of_the_rows_does_not_matter(self, rows, judged):
        mixed = rows.sample(frac=1, random_state=0).sort_values("cutoff", kind="stable")
        again = judge(mixed.reset_index(drop=True), daily_of(), config(), DAYS)
        assert again.why == judged.why
        assert again.errors == pytest.approx(judged.errors, rel=1e-12)
        one, other = (f.figures["model"]["value"]["gini"]["value"] for f in (judged, again))
        assert other == pytest.approx(one, rel=1e-12)


SPEND = SpendModel(6.25, 3.74, 15.44, 0.0, 946, "converged", 35.0, 0.1)
MODELS = {
    "mbg_nbd": PurchaseModel("mbg_nbd", 0.8, 25.0, 0.8, 2.4, 0.0, "converged", 400),
    "bg_nbd": PurchaseModel("bg_nbd", 0.8, 25.0, 0.8, 2.4, 0.0, "converged", 400),
    "pareto_nbd": ParetoModel(0.8, 25.0, 0.8, 100.0, 0.0, "converged", 400),
}


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("gap", [0, 20])
def test_with_the_models_own_chance_of_leaving_nothing_changes(early, family, gap):
    asked = config(churn={"horizon_days": 30, "gap_days": gap})
    model, columns = MODELS[family], [early[c].to_numpy() for c in RFM]
    own = p_no_purchase(model, *columns, 30, gap)
    own[::7] = np.nan  # not scored
    said = Said(early.assign(**{CHANCE: own}), model, SPEND, False, asked, DAYS)
    np.testing.assert_allclose(said.combined(), said.raw()[1], rtol=1e-9)
    higher = Said(early.assign(**{CHANCE: np.sqrt(own)}), model, SPEND, False, asked, DAYS)
    fewer = higher.combined() - said.raw()[1]
    assert (fewer[::7] == 0).all()
    assert (np.delete(fewer, np.s_[::7]) < 0).all()


def test_trees_are_combined_with_nothing(early):
    given = early.assign(**{CHANCE: 0.3, TREES[0]: 1.5, TREES[1]: 40.0})
    said = Said(given, MODELS["mbg_nbd"], SPEND, True, config(), DAYS)
    assert (said.raw()[0] == 1.5).all()
    assert (said.combined() == 40.0).all()
