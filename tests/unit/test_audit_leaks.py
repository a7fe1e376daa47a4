"""The audit names what was written down after people left, and lets honest columns be."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tenure.audit.evidence import Evidence, drawn
from tenure.audit.hazards import grown, order_of
from tenure.audit.later import knows_the_end
from tenure.audit.leaks import audit
from tenure.audit.order import ordered
from tenure.audit.ranks import power
from tenure.audit.signals import fades
from tenure.config import ChurnConfig, Config
from tenure.population import prepare
from tenure.sources import load

START, DAYS, HORIZON = pd.Timestamp("2024-01-01"), 480, 60
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


def found(folder, people, log, *more, events=None, count=6):
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
            "cutoffs": {"every_days": 30, "count": count},
        }
    )  # fmt: skip
    with load(config) as sources:
        return audit(prepare(sources, config), sources, config)


def labelled(seed=1, n=1200):
    """Draw customers with a label and honest attributes, one of which tells a good deal."""
    rng = np.random.default_rng(seed)
    months, spend = rng.integers(1, 60, n), rng.gamma(4, 12, n).round(2)
    contract = rng.choice(["monthly", "yearly"], n, p=[0.6, 0.4])
    left = rng.random(n) < 1 / (1 + np.exp(1 - 2 * (contract == "monthly") + 0.08 * months))
    people = {"customer_id": np.arange(n) + 5000, "months": months, "spend": spend}
    return pd.DataFrame(people | {"contract": contract, "left": left.astype(int)})


def found_among(folder, people):
    people.to_csv(folder / "people.csv", index=False)
    table = {"path": str(folder / "people.csv"), "columns": {"label": "left"}, "attributes": "all"}
    config = Config.model_validate(
        {"project": "p", "data": {"tables": {"customers": table}}, "churn": {"kind": "label"}}
    )
    with load(config) as sources:
        return audit(prepare(sources, config), sources, config)


def kinds(told, start):
    return {a.kind for a in told.alarms if a.column.startswith(start)}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_an_honest_shop_raises_no_alarm(tmp_path, seed):
    people, log = shop(seed)
    if seed == 2:  # a log written newest first is no leak
        log = log[::-1]
    told = found(tmp_path, people, log)
    assert told.alarms == ()
    assert told.rows > 1000
    assert "No sign of a leak" in told.lines[0]


@pytest.mark.parametrize("seed", range(1, 9))
def test_honest_labelled_customers_raise_no_alarm(tmp_path, seed):
    assert found_among(tmp_path, labelled(seed)).alarms == ()


def test_attributes_filled_in_at_extraction_are_named(tmp_path):
    """They are said to be known from the sign-up, and only they are named."""
    people, log = shop()
    gone, lot = (people["silent"] >= HORIZON).to_numpy(), np.random.default_rng(1)
    planted = people.assign(
        days_since_cancel=people["silent"].where(gone),
        status=np.where(gone ^ (lot.random(len(gone)) < 0.1), "closed", "active"),
        orders_ever=people["orders"],
        segment=np.where((people["silent"] > 90) & (lot.random(len(gone)) < 0.4), "lost", "new"),
        exit_reason=pd.Series(lot.choice(["price", "other"], len(gone))).where(gone),
    )
    more = ["days_since_cancel", "status", "orders_ever", "segment", "exit_reason"]
    told = found(tmp_path, planted, log, *more)
    assert "later" in kinds(told, "profile[days_since_cancel]")
    assert "later" in kinds(told, "profile[status=")
    assert "log" in kinds(told, "profile[orders_ever]")
    assert "later" in kinds(told, "profile[segment=")
    assert "later" in kinds(told, "profile[exit_reason=")
    assert not kinds(told, "profile[region") | kinds(told, "profile[income")
    status = next(a for a in told.alarms if a.column.startswith("profile[status="))
    assert status.figures["far_auc"] > status.figures["own_auc"] + 0.2
    last = pd.to_datetime(log["ts"]).max()
    for words in (last.strftime("%Y-%m-%d"), "customers", "known_from", "leave it out"):
        assert words in str(status), words


def test_rows_sorted_by_who_is_gone_are_named(tmp_path):
    people, log = shop()
    gone = people["silent"] >= HORIZON
    mixed = people.sample(frac=1, random_state=1)
    told = found(tmp_path, mixed.loc[gone[mixed.index].sort_values(kind="stable").index], log)
    assert [a.column for a in told.alarms] == ["the order of rows in customers"]
    assert "comes later" in told.alarms[0].evidence


def test_ids_that_grow_with_the_label_are_named(tmp_path):
    people, log = shop()
    lot = np.random.default_rng(1).random(len(people))
    place = np.lexsort((lot, people["silent"] >= HORIZON))
    new = dict(zip(people["customer_id"].to_numpy()[place], range(5000, 9000), strict=False))
    people, log = (t.assign(customer_id=t["customer_id"].map(new)) for t in (people, log))
    told = found(tmp_path, people, log)
    assert {a.column for a in told.alarms} == {
        "the order of ids as text", "the order of ids as numbers",
    }  # fmt: skip


def test_events_back_dated_to_the_last_purchase_are_named(tmp_path):
    """They pass the proof, as they are dated before the cutoff."""
    people, log = shop()
    gone = people.loc[people["silent"] >= HORIZON, "customer_id"]
    last = pd.to_datetime(log.groupby("customer_id")["ts"].max())
    rng = np.random.default_rng(1)
    visits = pd.DataFrame(
        {
            "customer_id": rng.choice(people["customer_id"], 900),
            "ts": START + pd.to_timedelta(rng.uniform(0, DAYS, 900), "D").floor("s"),
            "event": "visit",
            "group": "visit",
        }
    )
    notes = pd.DataFrame(
        {
            "customer_id": gone,
            "ts": last.reindex(gone).to_numpy() + pd.Timedelta(hours=20),
            "event": "note",
            "group": "incident",
        }
    )
    told = found(tmp_path, people, log, events=pd.concat([visits, notes]))
    assert kinds(told, "incidents_90d") == {"alone", "marks", "fades"}
    assert not kinds(told, "visits")
    fades = next(a for a in told.alarms if a.kind == "fades")
    assert f"{HORIZON} days earlier" in fades.evidence
    assert "loaded_at" in fades.advice


@pytest.mark.parametrize("plant", ["copy", "reason", "cancel", "order", "ids"])
def test_twins_of_a_label_are_named(tmp_path, plant):
    people, lot = labelled(), np.random.default_rng(5)
    left = people["left"].to_numpy() == 1
    if plant == "copy":
        people["flag"] = np.where(left ^ (lot.random(len(left)) < 0.02), "y", "n")
        column = "profile[flag="
    elif plant == "reason":  # for every third leaver only: alone it ranks few
        people["why"] = pd.Series(lot.choice(["a", "b"], len(left))).where(
            left & (lot.random(len(left)) < 0.35)
        )
        column = "profile[why="
    elif plant == "cancel":
        people["days_since_cancel"] = np.where(left, lot.integers(0, 90, len(left)), np.nan)
        column = "profile[days_since_cancel]"
    elif plant == "order":
        people = people.iloc[np.lexsort((lot.random(len(left)), left))]
        column = "the order of rows in customers"
    else:
        people["customer_id"] = 9000 + np.argsort(np.lexsort((lot.random(len(left)), left)))
        column = "the order of ids"
    told = found_among(tmp_path, people)
    assert told.alarms
    assert all(a.column.startswith(column) for a in told.alarms), told.alarms
    if plant == "reason":
        assert {a.kind for a in told.alarms} == {"marks"}


def test_the_power_of_a_column_by_hand_and_over_customers():
    """Ties count half; the error is that of a bootstrap that draws customers, not rows."""
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(300), 4)
    left = np.repeat(rng.random(300) < 0.4, 4)
    x = np.round(np.repeat(rng.normal(size=300) + left[::4], 4) * 2)
    said = power(x, left, customer, 300)
    pairs = x[left][:, None] - x[~left][None, :]
    assert said.auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    draws = []
    for _ in range(400):
        rows = (rng.integers(0, 300, 300)[:, None] * 4 + np.arange(4)).ravel()
        draws.append(power(x[rows], left[rows], customer, 300).auc)
    assert said.error == pytest.approx(np.std(draws), rel=0.15)
    alone = power(x, left, np.arange(1200), 1200).error  # rows for customers: half of it
    assert alone == pytest.approx(said.error / 2, rel=0.01)


def test_hazards_add_up_by_hand():
    # two groups of 50, of whom 10 % and 30 % went; after twice the time 1 − .9² and 1 − .7²
    gone = 50 * 0.19 + 50 * 0.51
    by_hand = (9.5 * 40.5 / 2 + 25.5 * (40.5 + 24.5 / 2)) / (35 * 65)
    early, size = np.array([0.1, 0.3]), np.array([50.0, 50.0])
    later = grown(early, size, gone, most=10.0)
    assert later == pytest.approx([0.19, 0.51])
    assert order_of(later, size) == pytest.approx(by_hand)
    assert grown(early, size, 99.0, most=2.0) == pytest.approx([0.19, 0.51])  # no faster


def made(**columns):
    """Return evidence of one row a customer: `left`, and columns that are features."""
    n = len(columns["left"])
    rows = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)]})
    rows["cutoff"] = pd.Timestamp("2025-03-01")
    X = pd.DataFrame({k: v for k, v in columns.items() if k != "left"})
    return Evidence(rows, X, columns["left"], {c: c for c in X.columns})


def test_ids_may_know_how_old_a_customer_is():
    """Old customers stay and have small ids: clear on its own, nothing among those of like age."""
    rng = np.random.default_rng(3)
    age = np.sort(rng.uniform(0, 1000, 3000))[::-1]
    left = rng.random(3000) < 0.6 - age / 2000
    e, place = made(left=left, x=age), {"ids": np.arange(3000.0)}
    nobody = np.zeros(3000, dtype=bool)
    assert ordered(e, place, {"age": age}, nobody) == []
    assert [a.column for a in ordered(e, place, {}, nobody)] == ["ids"]
    mixed = {"ids": np.where(left, 1e6, 0) + rng.permutation(3000)}
    assert [a.column for a in ordered(e, mixed, {"age": age}, nobody)] == ["ids"]


def test_what_fades_is_told_from_what_all_columns_lose():
    rng = np.random.default_rng(4)
    left = rng.random(2000) < 0.4
    strong, weak = left + rng.normal(0, 0.6, 2000), left + rng.normal(0, 3, 2000)
    e = made(left=left, strong=strong, weak=weak)
    then = e.rows.assign(cutoff=pd.Timestamp("2025-01-30"))
    noise, half = rng.normal(size=2000), left + rng.normal(0, 1.2, 2000)

    def earlier(values):
        return pd.concat(
            [then.assign(strong=values, weak=weak), e.rows.assign(strong=strong, weak=weak)]
        )

    assert [a.column for a in fades(e, earlier(noise), 30)] == ["strong"]
    assert fades(e, earlier(half), 30) == []  # recency loses too
    shock = dataclasses.replace(e, X=e.X.assign(weak=left - rng.normal(0, 0.6, 2000)))
    same = earlier(noise).assign(weak=lambda m: np.r_[rng.normal(size=2000), shock.X["weak"]])
    assert abs(np.corrcoef(shock.X.T)[0, 1]) > 0.3
    assert {a.column for a in fades(shock, same, 30)} <= {"strong", "weak"}


@pytest.mark.parametrize("status", [True, False])
def test_the_far_window_of_subscriptions(status):
    """Ends come at twice the rate in one plan, which is honest; the status at the end is not."""
    rng = np.random.default_rng(6)
    n, cutoff = 2000, pd.Timestamp("2024-01-01")
    plan = rng.random(n) < 0.5
    ends = rng.exponential(np.where(plan, 200, 400))
    days = {d: cutoff + pd.Timedelta(days=d) for d in (0, 30, 60, 300)}
    planted = (ends < 300).astype(float) if status else plan.astype(float)
    parts = [
        pd.DataFrame(
            {
                "customer_id": [f"c{i}" for i in range(n)],
                "cutoff": day,
                "status": np.where(ends < d, "ended", "scored"),
                "profile[x]": planted,
            }
        )
        for d, day in days.items()
    ]
    matrix = pd.concat(parts, ignore_index=True)
    first = parts[0]
    e = Evidence(first[["customer_id", "cutoff"]], first[["profile[x]"]], ends < 30,
                 {"profile[x]": "attribute[x]"})  # fmt: skip
    churn = ChurnConfig(kind="subscription", horizon_days=30)
    told = knows_the_end(e, matrix, days[300].date(), churn)
    assert [a.column for a in told] == (["profile[x]"] if status else [])


def test_what_cannot_be_asked_is_said(tmp_path):
    people, log = shop()
    told = found(tmp_path, people, log, count=1)
    assert told.alarms == ()
    end, earlier = told.not_asked
    assert "attributes know the end" in end
    assert f"{HORIZON} days earlier" in earlier


def test_more_columns_ask_for_more_certainty():
    left = np.arange(100) % 2 == 0
    few, many = (made(left=left, **{f"x{i}": left * 1.0 for i in range(k)}) for k in (1, 300))
    assert few.z == pytest.approx(norm.isf(0.01 / 20))
    assert many.z == pytest.approx(norm.isf(0.01 / 6000))


def test_who_is_drawn_does_not_depend_on_the_order_of_rows():
    ids = pd.Series([f"c{i // 3}" for i in range(180_000)])
    one = set(ids[drawn(ids)])
    back = ids[::-1]
    assert set(back[drawn(back)]) == one
    assert len(one) == pytest.approx(40_000 / 3, rel=0.05)
    assert drawn(ids[:40_000]).all()
