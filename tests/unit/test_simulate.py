"""A simulated company is the same each time, and differs by an intervention only."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tenure.errors import ConfigError
from tenure.simulate import Intervention, Shop, Subscriptions, simulate
from tenure.simulate.draws import Draws
from tenure.simulate.world import START

WEEK = pd.Timedelta(weeks=1)
CLEAN = {"shop": Shop(dirt=0), "subscriptions": Subscriptions(dirt=0)}
BEGINS = {
    "transactions": "ts", "interactions": "opened_at", "surveys": "sent_at", "events": "ts",
    "treatments": "ts", "subscriptions": "started_at",
}  # fmt: skip


@pytest.fixture(scope="module")
def companies():
    return {name: simulate(world, 800, 3, with_truth=False) for name, world in CLEAN.items()}


@pytest.fixture(scope="module")
def better():
    change = Intervention(
        80, most_days_late=0, first_response_hours=4, no_reopening=True, price_rises=False
    )
    return {n: simulate(w, 800, 3, change, with_truth=False) for n, w in CLEAN.items()}


def frames(company):
    return {name: company.frame(name) for name in company.tables}


def seconds_of(moment):
    return pd.Timestamp(START) + moment


# --- draws ---


def test_draws_are_uniform_and_of_no_purpose_follow_those_of_another():
    draws = Draws(1, 50_000)
    u, v = draws.uniform(5, "a"), draws.uniform(5, "b")
    w, z = draws.uniform(6, "a"), draws.uniform(5, "a", None, 1)
    assert 0 < u.min() < u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - 2_500) ** 2 / 2_500).sum() < 43.8  # chi-square, 19 degrees, p = .001
    for other in (v, w, z, np.roll(u, 1), Draws(2, 50_000).uniform(5, "a")):
        assert abs(np.corrcoef(u, other)[0, 1]) < 0.015


def test_a_draw_belongs_to_its_customer_whoever_else_is_asked():
    draws, who = Draws(1, 100), np.array([70, 3, 3])
    every = draws.uniform(4, "x", None, 2)
    assert (draws.uniform(4, "x", who, 2) == every[who]).all()
    assert (draws.uniform(4, "x", who, np.array([2, 2, 2])) == every[who]).all()
    assert (Draws(1, 80).uniform(4, "x", None, 2) == every[:80]).all()


def test_counts_gammas_and_choices_have_the_asked_distribution():
    draws = Draws(1, 100_000)
    counts = draws.poisson(3, "n", np.full(100_000, 0.7))
    assert counts.mean() == pytest.approx(0.7, abs=0.01)
    assert counts.var() == pytest.approx(0.7, abs=0.02)
    gamma = draws.gamma("g", 2.5, 3.0)
    assert gamma.mean() == pytest.approx(3, rel=0.02)
    assert gamma.var() == pytest.approx(9 / 2.5, rel=0.03)
    shares = np.bincount(draws.choice(1, "c", (1.0, 3.0))) / 100_000
    assert shares == pytest.approx([0.25, 0.75], abs=0.01)


# --- the same world ---


@pytest.mark.parametrize("world", CLEAN)
def test_the_same_seed_gives_the_same_company_and_another_seed_another(world):
    one, two = (simulate(world, 150, 11, with_truth=False) for _ in range(2))
    other = simulate(world, 150, 12, with_truth=False)
    for name, table in one.tables.items():
        assert table.equals(two.tables[name])
        assert not table.equals(other.tables[name])


@pytest.mark.parametrize("world", CLEAN)
def test_a_customers_rows_do_not_depend_on_how_many_others_there_are(world):
    few, many = (frames(simulate(world, n, 5, with_truth=False)) for n in (150, 400))
    some = set(few["customers"]["customer_id"])
    for name, rows in few.items():
        mine = many[name][many[name]["customer_id"].isin(some)].reset_index(drop=True)
        own = rows[rows["customer_id"].isin(some)].reset_index(drop=True)  # without lost ids
        pd.testing.assert_frame_equal(own, mine)
    assert len(few["events"]) > 1_000


@pytest.mark.parametrize("world", CLEAN)
def test_whether_the_truth_is_kept_changes_no_table(world, companies):
    watched = simulate(CLEAN[world], 800, 3)
    for name, table in companies[world].tables.items():
        assert table.equals(watched.tables[name])


# --- interventions ---


@pytest.mark.parametrize("world", CLEAN)
def test_an_intervention_changes_nothing_that_began_before_its_week(world, companies, better):
    before, after = frames(companies[world]), frames(better[world])
    pd.testing.assert_frame_equal(before["customers"], after["customers"])
    start = seconds_of(80 * WEEK)
    for name, at in BEGINS.items():
        if name not in before:
            continue
        pair = []
        for found in (before[name], after[name]):
            rows = found[pd.to_datetime(found[at]) < start].copy()
            late = [c for c in rows.columns if c.endswith("_at") and c not in (at, "promised_at")]
            if name == "subscriptions":  # when they end is what changes
                rows = rows.drop(columns=[*late, "end_reason"])
            pair.append(rows.reset_index(drop=True))
        pd.testing.assert_frame_equal(*pair, check_dtype=False)
        assert len(pair[0]) > 50


def test_an_intervention_holds_from_its_week_on(better):
    orders = better["shop"].frame("transactions")
    tickets = better["shop"].frame("interactions")
    new = pd.to_datetime(orders["ts"]) >= seconds_of(80 * WEEK)
    assert (orders["delivered_at"] <= orders["promised_at"])[
        new & orders["delivered_at"].notna()
    ].all()
    new = tickets["opened_at"] >= seconds_of(80 * WEEK)
    waited = (tickets["first_response_at"] - tickets["opened_at"]).dt.total_seconds() / 3600
    assert waited[new].max() <= 4.001
    assert waited[~new].max() > 24
    assert tickets["reopened_at"][new].isna().all()


def test_whom_an_intervention_does_not_touch_keep_every_row(companies, better):
    shop = frames(companies["shop"])
    orders, tickets = shop["transactions"], shop["interactions"]
    start = seconds_of(80 * WEEK)
    late = (orders["delivered_at"] > orders["promised_at"]) | (
        orders["delivered_at"].isna() & orders["promised_at"].notna()
    )
    touched = set(orders["customer_id"][late & (pd.to_datetime(orders["ts"]) >= start)])
    touched |= set(tickets["customer_id"][tickets["opened_at"] >= start])
    untouched = set(shop["customers"]["customer_id"]) - touched
    bought = set(orders["customer_id"][pd.to_datetime(orders["ts"]) >= start])
    assert len(untouched & bought) > 50
    for name, after in frames(better["shop"]).items():
        pair = [f[f["customer_id"].isin(untouched)] for f in (shop[name], after)]
        pd.testing.assert_frame_equal(*(f.reset_index(drop=True) for f in pair))


@pytest.mark.parametrize("world", CLEAN)
def test_an_improvement_keeps_customers(world, companies, better):
    left = [c[world].truth.customers["left_at"].notna().sum() for c in (companies, better)]
    assert left[1] < 0.99 * left[0]


def test_where_nothing_has_an_effect_an_intervention_moves_nobody():
    null = replace(Shop(), late_effect=0, slow_effect=0, unsolved_effect=0)
    change = Intervention(0, most_days_late=0, first_response_hours=1)
    one, two = (simulate(null, 500, 4, c, with_truth=False) for c in (None, change))
    assert one.truth.customers.equals(two.truth.customers)
    assert not one.tables["interactions"].equals(two.tables["interactions"])
    assert one.truth.facts["causes"] == {}
    assert "late_delivery" in one.truth.facts["non_causes"]


# --- what the tables are like ---


def test_ids_are_unique_and_point_to_rows_that_exist(companies):
    for company in companies.values():
        found = frames(company)
        for name, key in (("transactions", "transaction_id"), ("interactions", "interaction_id")):
            if name in found:
                assert found[name][key].is_unique
        surveys = found["surveys"]
        assert not surveys.duplicated(["survey_id", "loaded_at"]).any()
        tickets = set(found["interactions"]["interaction_id"])
        assert set(surveys["interaction_id"].dropna()) <= tickets
        assert surveys["interaction_id"].notna().any()
        known = set(found["customers"]["customer_id"])
        assert all(set(rows["customer_id"]) <= known for rows in found.values())
    assert set(companies["shop"].frame("surveys")["transaction_id"].dropna()) <= set(
        companies["shop"].frame("transactions")["transaction_id"]
    )


def test_no_past_fact_lies_beyond_the_end_or_before_its_beginning(companies):
    end = seconds_of(156 * WEEK)
    for company in companies.values():
        for name, rows in frames(company).items():
            planned = {"promised_at", "renews_at", "trial_ends_at"}
            facts = [c for c in rows.columns if c.endswith("_at") and c not in planned]
            for column in facts:
                assert (rows[column].dropna() < end).all(), (name, column)
                if name in BEGINS:
                    begins = pd.to_datetime(rows[BEGINS[name]])
                    assert (rows[column].dropna() >= begins[rows[column].notna()]).all(), column


def test_some_surveys_come_before_the_parcel_and_those_score_lower(companies):
    found = frames(companies["shop"])
    arrived = found["transactions"].set_index("transaction_id")[["promised_at", "delivered_at"]]
    reviews = found["surveys"].query("kind == 'review'").join(arrived, on="transaction_id")
    late = reviews[reviews["delivered_at"] > reviews["promised_at"] + pd.Timedelta(days=1)]
    untimely = late["sent_at"] < late["delivered_at"]
    assert 0.05 < untimely.mean() < 0.95
    scores = late.groupby(untimely)["score"].mean()
    assert scores[True] < scores[False] - 0.5


def test_refunds_cancellations_corrections_and_late_loads_occur(companies):
    found = frames(companies["shop"])
    orders, surveys = found["transactions"], found["surveys"]
    refunds = orders[orders["kind"] == "refund"]
    assert len(refunds) > 20
    assert (refunds["amount"] < 0).all()
    assert 0.005 < orders["cancelled_at"].notna().mean() < 0.05
    known = surveys["answered_at"].fillna(surveys["sent_at"])
    assert 0.01 < (surveys["loaded_at"] - known > pd.Timedelta(days=1)).mean() < 0.06
    late = companies["shop"].truth.facts["late_rows"]
    assert surveys["survey_id"].duplicated().sum() == late["corrected"] >= 3
    first = ~surveys["survey_id"].duplicated()
    delay = surveys["loaded_at"] - known
    assert (delay[first] > pd.Timedelta(days=1)).sum() == late["loaded_late"]
    assert orders["channel"].value_counts(normalize=True)["store"] > 0.1
    year = pd.Timedelta(days=365)
    assert 4 < len(orders) / 800 / (pd.Timedelta(weeks=78) / year) < 10


def test_subscriptions_have_trials_renewals_price_rises_and_unwanted_ends(companies):
    rows = companies["subscriptions"].frame("subscriptions")
    assert rows["trial_ends_at"].notna().mean() > 0.1
    assert rows["renews_at"].notna().mean() > 0.1
    assert set(rows["end_reason"].dropna()) == {"voluntary", "involuntary"}
    noticed = rows[rows["cancel_requested_at"].notna() & rows["ended_at"].notna()]
    assert (noticed["cancel_requested_at"] < noticed["ended_at"]).all()
    order = rows.sort_values(["subscription_id", "started_at"])
    same = order["subscription_id"] == order["subscription_id"].shift()
    # a period ends when the next of the same subscription begins
    assert (order["ended_at"].shift() == order["started_at"])[same].all()
    assert ((order["mrr"] > order["mrr"].shift()) & same).sum() > 30
    number = order["subscription_id"].str.split("-").str[1].astype(int)
    assert (number > 1).sum() > 10  # back after a pause
    failed = companies["subscriptions"].frame("events").query("group == 'payment_failed'")
    unpaid = rows[rows["end_reason"] == "involuntary"]
    assert set(unpaid["customer_id"]) <= set(failed["customer_id"])


# --- dirt ---


@pytest.mark.parametrize("world", ["shop", "subscriptions"])
def test_dirt_is_added_to_clean_tables_and_counted(world, companies):
    dirty = simulate(world, 800, 3, with_truth=False)
    counts = dirty.truth.facts["dirt"]
    for name, table in companies[world].tables.items():
        added = sum(counts.get(name, {}).values())
        assert dirty.tables[name].slice(0, table.num_rows).equals(table)
        assert dirty.tables[name].num_rows == table.num_rows + added
        assert all(n < 0.01 * table.num_rows for n in counts.get(name, {}).values())
    assert min(counts["events"].values()) > 0


def test_a_world_that_is_none_and_a_size_that_makes_no_sense_are_refused():
    with pytest.raises(ConfigError, match="no world 'shp'; known: shop, subscriptions"):
        simulate("shp")
    with pytest.raises(ConfigError, match="at least 30 weeks"):
        simulate("shop", 10, weeks=4)
