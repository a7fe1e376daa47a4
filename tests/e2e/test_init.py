"""`tenure init` drafts configs that load, and says in words whether the data suffice."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.config import load_config

SECRET = "Zoe Secret"


@pytest.fixture
def init(empty, run):
    """Draft a config of files in an empty folder and check the data with it."""

    def go(*files, code=0):
        said = run("init", *files, "--out", "shop.yaml")
        assert said.code == code, said.err
        assert SECRET not in said.out + said.err
        if code:
            return said, None
        config = load_config("shop.yaml")
        checked = run("check", "-c", "shop.yaml")
        assert checked.code == 0, checked.err
        return said, config

    return go


def log(customers=150, days=400, seed=3):
    """Return one row an order; customers buy every three weeks until they leave."""
    rng = np.random.default_rng(seed)
    rows = []
    for c in range(customers):
        t = rng.uniform(0, 150)
        while t < days:
            rows.append((c, len(rows), pd.Timestamp("2023-01-01 09:00") + pd.Timedelta(days=t)))
            if rng.random() < 0.08:
                break
            t += rng.exponential(21)
    frame = pd.DataFrame(rows, columns=["customer", "order", "at"])
    return frame.assign(paid=rng.gamma(2, 9, len(frame)).round(2))


def test_a_log_of_purchases(init):
    orders = log()
    orders.to_csv("orders.csv", index=False)
    said, config = init("orders.csv")
    table = config.data.tables["transactions"]
    assert table.columns == {
        "customer_id": "customer", "ts": "at", "amount": "paid", "transaction_id": "order",
    }  # fmt: skip
    assert config.project == "shop"
    assert config.churn.horizon_days % 7 == 0
    assert f"churn.horizon_days {config.churn.horizon_days} days: 90% of those who come" in said.out
    assert "150 customers, 2023-01-0" in said.out
    days = orders.assign(day=orders["at"].dt.date)[["customer", "day"]].drop_duplicates()
    repeat = int((days["customer"].value_counts() > 1).sum())
    assert f"{repeat} of 150 buyers bought on more than one day" in said.out
    assert "ENOUGH to train" in said.out
    assert "cutoffs with complete labels" in said.out


def test_the_counts_of_leavers_are_those_of_the_label(init, run):
    orders = log()
    orders.to_csv("orders.csv", index=False)
    said, config = init("orders.csv")
    values = run("init", "orders.csv", "--out", "again.yaml", "--json").json
    days = orders.assign(day=orders["at"].dt.floor("D"))
    h = pd.Timedelta(days=config.churn.horizon_days)
    cutoff = days["day"].max() - h  # the last day was seen in part
    before = days[(days["day"] >= cutoff - h) & (days["day"] < cutoff)]["customer"].unique()
    after = days[(days["day"] >= cutoff) & (days["day"] < cutoff + h)]["customer"].unique()
    left = len(set(before) - set(after))
    assert f"{len(before)} customers could leave and {left} did" in said.out
    assert (values["leavers"], values["stayers"]) == (left, len(before) - left)
    assert values["enough"]


def test_item_lines_of_a_retailer(init):
    orders = log()
    lines = pd.DataFrame(
        {
            "InvoiceNo": [f"5{i:05}" for i in orders["order"]],
            "StockCode": "85123A",
            "Description": SECRET,
            "Quantity": 2,
            "InvoiceDate": [
                f"{d.month}/{d.day}/{d.year} {d.hour}:{d.minute:02}" for d in orders["at"]
            ],
            "UnitPrice": orders["paid"],
            "CustomerID": orders["customer"] + 12000,
            "Country": "United Kingdom",
        }
    )
    twice = pd.concat([lines, lines.assign(Quantity=1)])
    twice.to_csv("retail.csv", index=False)
    said, config = init("retail.csv")
    table = config.data.tables["transactions"]
    assert table.formats == {"ts": "%m/%d/%Y %H:%M"}
    assert table.columns["customer_id"] == "CustomerID"
    assert "GROUP BY" in Path("shop.transactions.sql").read_text()
    assert "not used: StockCode, Description, Country" in Path("shop.yaml").read_text()
    assert "150 customers" in said.out
    assert SECRET not in Path("shop.yaml").read_text()


def test_a_date_that_may_be_read_two_ways_is_left_to_the_user(empty, run):
    frame = log(20)
    early = frame[frame["at"].dt.day <= 12]
    early.assign(at=early["at"].dt.strftime("%d/%m/%Y")).to_csv("orders.csv", index=False)
    said = run("init", "orders.csv", "--out", "c.yaml")
    assert said.code == 0
    assert "NOT READABLE YET" in said.out
    assert "formats: {ts: '%d/%m/%Y'}" in said.out
    text = Path("c.yaml").read_text()
    assert '# formats: {ts: "%d/%m/%Y"}   REQUIRED' in text
    form = '      formats: {ts: "%d/%m/%Y"}\nchurn:'
    Path("c.yaml").write_text(text.replace("churn:", form))
    assert run("check", "-c", "c.yaml").code == 0


def test_files_are_joined_by_the_keys_they_share(init):
    orders = log()
    rng = np.random.default_rng(1)
    pd.DataFrame(
        {"order_id": orders["order"], "customer_id": orders["order"] + 10_000,
         "order_purchase_timestamp": orders["at"], "order_status": "delivered",
         "order_estimated_delivery_date": orders["at"].dt.floor("D") + pd.Timedelta(days=9)}
    ).to_csv("orders.csv", index=False)  # fmt: skip
    pd.DataFrame(
        {"customer_id": orders["order"] + 10_000, "customer_unique_id": orders["customer"],
         "customer_city": SECRET}
    ).to_csv("customers.csv", index=False)  # fmt: skip
    parts = [orders.assign(payment_value=orders["paid"] / 2).rename(columns={"order": "order_id"})
             [["order_id", "payment_value"]]] * 2  # fmt: skip
    pd.concat(parts).to_csv("payments.csv", index=False)
    pd.DataFrame(
        {"review_id": orders["order"], "order_id": orders["order"],
         "review_score": rng.integers(1, 6, len(orders)),
         "review_creation_date": orders["at"].dt.floor("D") + pd.Timedelta(days=10),
         "review_answer_timestamp": orders["at"] + pd.Timedelta(days=12)}
    ).to_csv("reviews.csv", index=False)  # fmt: skip
    said, config = init("*.csv")
    assert sorted(config.data.tables) == ["surveys", "transactions"]  # nobody is listed once
    assert config.data.tables["surveys"].columns["score"] == "review_score"
    assert config.data.tables["surveys"].columns["kind"].value == "review"
    assert "150 customers" in said.out


class TestLabels:
    """A wide file: one row a customer, a column of two values, no dates."""

    def wide(self, **columns):
        rng = np.random.default_rng(0)
        n = 300
        frame = pd.DataFrame({"tenure": rng.integers(0, 70, n), "Contract": "Month-to-month"})
        return frame.assign(**columns, churned=rng.random(n) < 0.3)

    def test_with_ids(self, init):
        frame = self.wide(customerID=[f"A{i}-B" for i in range(300)])
        frame.rename(columns={"churned": "Churn"}).to_csv("churn.csv", index=False)
        said, config = init("churn.csv")
        table = config.data.tables["customers"]
        assert (config.churn.kind, table.attributes) == ("label", "all")
        assert table.columns == {"customer_id": "customerID", "label": "Churn"}
        left = int(frame["churned"].sum())
        assert f"300 customers with a label: {left} left and {300 - left} stayed" in said.out

    def test_a_label_that_may_be_the_wrong_way_round(self, init):
        frame = self.wide()
        frame.assign(churned=~frame["churned"]).to_csv("wide.csv", index=False)
        said, _ = init("wide.csv")
        assert "check that the label is the right way round" in said.out

    def test_without_ids(self, init):
        self.wide().to_csv("wide.csv", index=False)
        said, config = init("wide.csv")
        assert config.data.tables["customers"].columns["customer_id"] == "$row"
        assert "ENOUGH to train" in said.out

    def test_in_other_words(self, init):
        frame = self.wide()
        words = frame["churned"].map({True: "Attrited Customer", False: "Existing Customer"})
        frame.drop(columns="churned").assign(Attrition_Flag=words).to_csv("bank.csv", index=False)
        _, config = init("bank.csv")
        label = config.data.tables["customers"].columns["label"]
        assert label.map == {"Attrited Customer": 1, "Existing Customer": 0}


def test_subscriptions(init):
    rng = np.random.default_rng(2)
    start = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 500, 400), "D")
    end = pd.Series(start + pd.to_timedelta(rng.integers(20, 400, 400), "D"))
    end = end.where(end < "2024-06-01")
    frame = pd.DataFrame({"account_id": [f"a{i}" for i in range(400)], "start_date": start,
                          "end_date": end, "plan": "basic", "mrr": 9.5})  # fmt: skip
    frame.to_csv("contracts.csv", index=False)
    said, config = init("contracts.csv")
    assert config.churn.kind == "subscription"
    assert config.data.tables["subscriptions"].columns["ended_at"] == "end_date"
    assert "400 customers" in said.out


def test_other_tables_find_their_columns(init):
    log().to_csv("orders.csv", index=False)
    some = log()[["customer", "at"]].iloc[:50]
    some.rename(columns={"at": "created_at"}).assign(ticket_id=range(50), closed_at="").to_csv(
        "tickets.csv", index=False
    )
    some.rename(columns={"at": "responded_at"}).assign(nps=9).to_csv("answers.csv", index=False)
    some.rename(columns={"at": "timestamp"}).assign(event_name="login", group="visit").to_csv(
        "usage.csv", index=False
    )
    some.rename(columns={"at": "date"}).assign(campaign="spring", treated=1).to_csv(
        "treatments.csv", index=False
    )
    _, config = init("orders.csv", "tickets.csv", "answers.csv", "usage.csv", "treatments.csv")
    columns = {n: t.columns for n, t in config.data.tables.items()}
    assert columns["interactions"]["opened_at"] == "created_at"
    assert columns["surveys"]["answered_at"] == "responded_at"
    assert columns["surveys"]["kind"].value == "nps"
    assert columns["events"]["event"] == "event_name"
    assert columns["events"]["group"] == "group"  # which would be read by its name anyhow
    assert columns["treatments"]["treated"] == "treated"


def test_files_of_one_kind_are_one_table(init):
    orders = log()
    orders.iloc[::2].to_csv("orders-1.csv", index=False)
    orders.iloc[1::2].to_csv("orders-2.csv", index=False)
    _, config = init("orders-*.csv")
    assert config.data.tables["transactions"].path == ["orders-1.csv", "orders-2.csv"]


def test_too_little_is_said_with_what_to_do(init):
    log(40).assign(customer=range(len(log(40)))).to_csv("orders.csv", index=False)
    said, _ = init("orders.csv")
    assert "the default: nobody here bought twice" in said.out
    assert "NOT ENOUGH to train" in said.out
    assert "Load a longer log or more customers" in said.out


def test_nothing_is_overwritten(empty, run):
    log().to_csv("orders.csv", index=False)
    Path("c.yaml").write_text("mine")
    said = run("init", "orders.csv", "--out", "c.yaml")
    assert (said.code, said.out) == (2, "")
    assert "c.yaml: stands there already" in said.err
    assert Path("c.yaml").read_text() == "mine"
    assert sorted(os.listdir()) == ["c.yaml", "orders.csv"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", 3, "is empty"),
        (b"customer,at,paid\n", 3, "has a header and no rows"),
        (b"colour,shape\nred,round\n", 3, "Needed are purchases"),
        (b"Zoe Secret,a@b.org\nx,y\n", 3, "Needed are purchases"),
        (b"Jos\xe9,x\n1,2\n", 3, "UTF-8"),
    ],
)
def test_what_no_config_can_be_made_of(empty, run, content, code, words):
    Path("x.csv").write_bytes(content)
    said = run("init", "x.csv")
    assert (said.code, said.out) == (code, "")
    assert words in said.err
    assert SECRET not in said.err
    assert os.listdir() == ["x.csv"]  # noqa: PTH208


def test_a_place_that_cannot_be_written(empty, run):
    log(30).to_csv("orders.csv", index=False)
    said = run("init", "orders.csv", "--out", "orders.csv/c.yaml")
    assert (said.code, said.out) == (1, "")
    assert "cannot be written" in said.err
    assert os.listdir() == ["orders.csv"]  # noqa: PTH208


def test_paths_that_are_none(empty, run):
    assert run("init", "gone.csv").code == 2
    assert run("init", "https://example.org/x.csv").code == 2
    assert run("init").code == 2


def test_hostile_names_stay_inside_their_line(init):
    frame = log()
    names = ['x"; DROP TABLE t;--', "a\nproject: evil", "yes", "#c", "- d", "{e}", "😀", "'"]
    for name in names:
        frame[name] = SECRET
    frame = frame.rename(columns={"paid": "Paid"})
    frame.to_csv("orders.csv", index=False)
    _, config = init("orders.csv")
    assert config.project == "shop"
