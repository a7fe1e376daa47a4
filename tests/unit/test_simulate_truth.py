"""The truth beside a simulated company is the truth: effects, campaign, silence and ceiling."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from sklearn.metrics import roc_auc_score

from tenure.simulate import Shop, Subscriptions, simulate
from tenure.simulate.shop import CAUSES
from tenure.simulate.world import START, TEMPERAMENTS


@pytest.fixture(scope="module")
def shop():
    return simulate(Shop(dirt=0), 5_000, 17)


@pytest.fixture(scope="module")
def subscriptions():
    return simulate(Subscriptions(dirt=0), 5_000, 17)


def hazard_fit(X, left, rounds=12):
    """Fit left ~ 1 - exp(-exp(X b)) by Fisher scoring; return b and its standard errors."""
    b = np.zeros(X.shape[1])
    b[0] = np.log(left.mean())
    for _ in range(rounds):
        rate = np.exp(np.minimum(X @ b, 1.5))
        mean = -np.expm1(-rate)
        slope = rate * np.exp(-rate)
        weight = slope**2 / (mean * (1 - mean))
        information = X.T @ (X * weight[:, None])
        b = b + np.linalg.solve(information, X.T @ (weight * (left - mean) / slope))
    return b, np.sqrt(np.diag(np.linalg.inv(information)))


def contacted(company, weeks):
    """Return, for each row of the panel, whether the campaign's contact still works."""
    panel, told = company.truth.panel, company.frame("treatments").query("treated")
    works = np.zeros((len(company.truth.customers), 156 + weeks), dtype=bool)
    who = told["customer_id"].str[1:].astype(int).to_numpy()
    week = ((told["ts"] - pd.Timestamp(START)).dt.days // 7).to_numpy()
    for k in range(weeks):
        works[who, week + k] = True
    return works[panel["customer"], panel["week"]].astype(float)


def recovered(company, columns, effects, most, weeks):
    """Regress leaving on what the world says it depends on, below the cap of all effects."""
    panel, customers = company.truth.panel, company.frame("customers")
    of = panel["customer"].to_numpy()
    X = {"constant": np.ones(len(panel)), **{n: panel[n].to_numpy(float) for n in effects}}
    X["south"] = (customers["region"].to_numpy() == "south")[of].astype(float)
    X["temperament"] = np.array(TEMPERAMENTS)[company.truth.customers["temperament"]][of]
    X["campaign"] = contacted(company, weeks)
    X |= {name: values[of] for name, values in columns.items()}
    below = sum(e * X[n] for n, e in effects.items() if n != "idle") < most
    assert below.mean() > 0.98
    left = panel["left"].to_numpy(float)
    b, error = hazard_fit(np.column_stack(list(X.values()))[below], left[below])
    return dict(zip(X, zip(b, error, strict=True), strict=True))


def test_the_weekly_panel_gives_back_the_causes_and_no_others(shop):
    world, customers = Shop(), shop.frame("customers")
    effects = dict(
        zip(CAUSES, (world.late_effect, world.slow_effect, world.unsolved_effect), strict=True)
    )
    columns = {
        "rate": np.log(shop.truth.customers["purchases_per_week"].to_numpy()),
        "device": (customers["device"].to_numpy() == "ios").astype(float),
        "segment": (customers["segment"].to_numpy() == "business").astype(float),
    }
    found = recovered(shop, columns, effects, world.most_grievance, world.campaign_weeks)
    true = effects | {
        "south": world.region_effects[3], "temperament": -world.temperament,
        "campaign": world.campaign_effect, "rate": world.buyers_effect, "device": 0, "segment": 0,
    }  # fmt: skip
    for name, effect in true.items():
        b, error = found[name]
        assert b == pytest.approx(effect, abs=3.3 * error), name
        assert error < 0.15, name


def test_the_panel_of_subscribers_gives_back_the_causes(subscriptions):
    world, customers = Subscriptions(), subscriptions.frame("customers")
    effects = {
        "slow_response": world.slow_effect, "incident": world.incident_effect,
        "price_rise": world.price_effect, "idle": world.unused_effect,
    }  # fmt: skip
    columns = {
        "sector": (customers["sector"].to_numpy() == "trade").astype(float),
        "use": np.log(subscriptions.truth.customers["use_per_week"].to_numpy()),
    }
    found = recovered(subscriptions, columns, effects, world.most_grievance, world.campaign_weeks)
    # the term of yearly plans, which is independent of the causes, is left out here
    for name, effect in (effects | {"sector": 0, "use": world.heavy_effect}).items():
        b, error = found[name]
        assert b == pytest.approx(effect, abs=3.3 * error + 0.15 * abs(effect)), name
        assert error < 0.2, name


def test_who_leaves_does_so_by_the_hazard(shop, subscriptions):
    for company in (shop, subscriptions):
        panel = company.truth.panel
        hazard, left = panel["hazard"].to_numpy(float), panel["left"].to_numpy()
        bins = pd.qcut(hazard, 10, labels=False, duplicates="drop")
        for one in np.unique(bins):
            mean, n = hazard[bins == one].mean(), (bins == one).sum()
            assert left[bins == one].mean() == pytest.approx(
                mean, abs=3.5 * np.sqrt(mean * (1 - mean) / n)
            )


def test_nothing_that_proves_a_customer_comes_after_leaving(shop):
    left = shop.truth.customers.set_index("customer_id")["left_at"]
    orders = shop.frame("transactions").query("kind == 'purchase'")
    tickets = shop.frame("interactions").query("transaction_id.isna()")
    for rows, at in ((orders, "ts"), (tickets, "opened_at")):
        gone = rows["customer_id"].map(left)
        assert (gone.isna() | (pd.to_datetime(rows[at]) < gone)).all()


def by_decile(ceiling):
    p, y = ceiling["probability"].to_numpy(), ceiling["churned"].to_numpy(float)
    deciles = pd.qcut(p, 10, labels=False, duplicates="drop")
    return [(p[deciles == d].mean(), y[deciles == d].mean()) for d in np.unique(deciles)]


def test_the_filter_is_calibrated_and_beats_recency_and_purchases_alone(shop):
    ceiling = shop.truth.ceiling
    assert 0.2 < ceiling["churned"].mean() < 0.4
    for said, came in by_decile(ceiling):
        assert came == pytest.approx(said, abs=0.025)
    assert ceiling["p_alive"].mean() == pytest.approx(ceiling["alive"].mean(), abs=0.01)
    auc = roc_auc_score(ceiling["churned"], ceiling["probability"])
    simple = roc_auc_score(ceiling["churned"], ceiling["probability_purchases_only"])
    assert auc > simple + 0.04
    orders = shop.frame("transactions").query("kind == 'purchase'")[["customer_id", "ts"]]
    orders["ts"] = pd.to_datetime(orders["ts"]).astype("datetime64[us]")
    last = pd.merge_asof(
        ceiling.sort_values("cutoff"), orders.sort_values("ts"), left_on="cutoff", right_on="ts",
        by="customer_id", allow_exact_matches=False,
    )  # fmt: skip
    silence = (last["cutoff"] - last["ts"]).dt.total_seconds()
    assert silence.max() <= 90 * 86_400  # only who bought within the horizon is asked about
    assert simple > roc_auc_score(last["churned"], silence) + 0.02


def test_the_filters_label_is_the_absence_of_purchases(shop):
    ceiling = shop.truth.ceiling
    orders = shop.frame("transactions").query("kind == 'purchase'")
    ts = pd.to_datetime(orders["ts"])
    for cutoff in sorted(ceiling["cutoff"].unique())[::9]:
        inside = (ts >= cutoff) & (ts < cutoff + pd.Timedelta(days=90))
        mine = ceiling[ceiling["cutoff"] == cutoff]
        assert (mine["churned"] == ~mine["customer_id"].isin(orders["customer_id"][inside])).all()


def test_the_filter_of_subscribers_is_calibrated(subscriptions):
    ceiling = subscriptions.truth.ceiling
    assert 0.02 < ceiling["churned"].mean() < 0.06
    for said, came in by_decile(ceiling):
        assert came == pytest.approx(said, abs=0.02)
    assert roc_auc_score(ceiling["churned"], ceiling["probability"]) > 0.8


def test_the_filters_label_of_subscribers_is_the_end_of_all_periods(subscriptions):
    ceiling = subscriptions.truth.ceiling
    rows = subscriptions.frame("subscriptions")
    for cutoff in sorted(ceiling["cutoff"].unique())[::9]:
        mine = ceiling[ceiling["cutoff"] == cutoff]
        end = cutoff + pd.Timedelta(days=30)
        for one in mine[mine["churned"]].itertuples():
            own = rows[rows["customer_id"] == one.customer_id]
            last = own[own["started_at"] < end]["ended_at"].max()
            assert cutoff <= last < end
            follows = (own["started_at"] >= last) & (
                own["started_at"] <= last + pd.Timedelta(days=30)
            )
            assert not follows.any()
        stays = rows[rows["customer_id"].isin(mine["customer_id"][~mine["churned"]])]
        ended = stays[
            (stays["ended_at"] >= cutoff) & (stays["ended_at"] < end)
            & (stays["end_reason"] == "voluntary")
        ]  # fmt: skip
        later = stays.merge(ended[["customer_id", "ended_at"]], on="customer_id")
        pause = later["started_at"] - later["ended_at_y"]
        back = later[(pause >= pd.Timedelta(0)) & (pause <= pd.Timedelta(days=30))]
        replaced = ended["customer_id"].isin(back["customer_id"])
        assert replaced.all()


def test_the_campaign_is_balanced_and_does_what_it_is_said_to_do(shop):
    told = shop.frame("treatments")
    assert told["treated"].mean() == pytest.approx(0.5, abs=0.03)
    assert told["randomised"].all()
    assert (told["cost"] > 0).equals(told["treated"])
    joint = told.merge(shop.frame("customers"), on="customer_id")
    assert chi2_contingency(pd.crosstab(joint["treated"], joint["region"])).pvalue > 0.01
    rate = joint.merge(shop.truth.customers, on="customer_id").groupby("treated")
    assert rate["purchases_per_week"].mean().pct_change().abs().iloc[-1] < 0.08

    panel = shop.truth.panel
    told["customer"] = told["customer_id"].str[1:].astype(int)
    told["from"] = (told["ts"] - pd.Timestamp(START)).dt.days // 7
    after = panel.merge(told[["customer", "from", "treated"]], on="customer")
    after = after[(after["week"] >= after["from"]) & (after["week"] < after["from"] + 12)]
    rates = after.groupby("treated")["left"].mean()
    ratio = rates[True] / rates[False]
    events = after.groupby("treated")["left"].sum()
    error = np.sqrt((1 / events).sum())
    assert np.log(ratio) == pytest.approx(Shop().campaign_effect, abs=3 * error)
    assert ratio < 0.75


def test_the_unhappy_answer_less_and_score_lower(shop):
    surveys = shop.frame("surveys").drop_duplicates("survey_id")
    panel = shop.truth.panel
    surveys["customer"] = surveys["customer_id"].str[1:].astype(int)
    surveys["week"] = (surveys["sent_at"] - pd.Timestamp(START)).dt.days // 7
    asked = surveys.merge(panel, on=["customer", "week"])  # customers still
    effects = (Shop().late_effect, Shop().slow_effect, Shop().unsolved_effect)
    grievance = sum(e * asked[n] for e, n in zip(effects, CAUSES, strict=True))
    unhappy = grievance > 1
    assert unhappy.mean() > 0.05
    for kind in ("nps", "csat", "ces", "review"):
        of = asked["kind"] == kind
        answers = asked["answered_at"].notna()
        assert answers[of & unhappy].mean() < answers[of & ~unhappy].mean() - 0.05
        assert asked["score"][of & unhappy].mean() < asked["score"][of & ~unhappy].mean() - 0.3


def test_heavy_buyers_ask_more_and_stay_longer_and_the_south_waits_longer(shop):
    orders, tickets = shop.frame("transactions"), shop.frame("interactions")
    rate = shop.truth.customers.set_index("customer_id")["purchases_per_week"]
    heavy = rate > rate.median()
    per_order = (
        tickets.query("kind == 'question'").groupby("customer_id").size()
        / orders.query("kind == 'purchase'").groupby("customer_id").size()
    ).fillna(0)  # fmt: skip
    assert per_order[heavy].mean() > 1.15 * per_order[~heavy].mean()
    region = shop.frame("customers").set_index("customer_id")["region"]
    sent = orders[orders["promised_at"].notna() & orders["delivered_at"].notna()]
    late = (sent["delivered_at"] > sent["promised_at"]).groupby(sent["customer_id"].map(region))
    assert late.mean()["south"] > 1.5 * late.mean()["north"]
