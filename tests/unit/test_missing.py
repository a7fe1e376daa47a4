"""What is not known of a customer is said in words, and only what the model looks for."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.explain.missing import information_missing

DAY = dt.date(2025, 6, 1)
BUYS = [{"customer_id": c, "ts": dt.datetime(2025, 5, d), "amount": 5}
        for c in "abc" for d in (1, 20)]  # fmt: skip


def said(typed, logs, settings=None, **levels):
    """Return the words of each customer, from features built of the logs."""
    tables = typed.tables(logs)
    schema = typed.schema(tables, settings=settings or {"response_days": 14}, **levels)
    matrix = typed.matrix(tables, [DAY], schema)
    columns = {c.name: c for c in schema.columns()}
    told = information_missing(matrix, columns)
    return dict(zip(matrix["customer_id"], told, strict=True))


def test_nothing_can_be_missing_of_a_table_that_is_not_there(typed):
    assert said(typed, {"transactions": BUYS}) == dict.fromkeys("abc")


def test_each_log_is_named_for_those_without_a_row_in_it(typed):
    promised = {"promised_at": dt.datetime(2025, 5, 22), "delivered_at": dt.datetime(2025, 5, 23)}
    logs = {
        "transactions": [r | (promised if r["customer_id"] == "a" else {}) for r in BUYS]
        + [{"customer_id": "d", "ts": dt.datetime(2025, 5, 2), "amount": 5}],
        "interactions": [
            {"customer_id": "a", "opened_at": dt.datetime(2022, 1, 1)},
            {"customer_id": "b", "opened_at": dt.datetime(2025, 5, 1)},
            {"customer_id": "c", "opened_at": dt.datetime(2025, 6, 1, 1)},  # not known yet
        ],
        "surveys": [
            {"customer_id": "a", "kind": "csat", "sent_at": dt.datetime(2025, 5, 1),
             "answered_at": dt.datetime(2025, 5, 2), "score": 4},
            {"customer_id": "b", "kind": "csat", "sent_at": dt.datetime(2025, 5, 1)},
        ],
    }  # fmt: skip
    words = said(typed, logs, **{"surveys.kind": ("csat",)})
    assert words == {
        "a": None,
        "b": "no survey answered, no delivery with a promised date",
        "c": "no survey answered, no ticket, no delivery with a promised date",
        "d": "no survey answered, no ticket, no delivery with a promised date, no second purchase",
    }


def test_an_attribute_is_named_once_whatever_its_levels(typed):
    people = [
        {"customer_id": c, "signup_at": dt.datetime(2025, 1, 1), "attribute[region]": r}
        for c, r in (("a", "north"), ("b", None), ("c", "elsewhere"))
    ]
    words = said(
        typed,
        {"transactions": BUYS, "customers": people},
        **{"customers.attribute[region]": ("north", "south")},
    )
    assert words == {"a": None, "b": "region not known", "c": None}


def test_nobody():
    told = information_missing(pd.DataFrame({"x": []}), {})
    assert told.empty
    assert told.name == "information_missing"


@pytest.mark.parametrize("asked", [0, 7, 300])
def test_scores_carry_it_as_text_whoever_is_asked(bundle, make_features, asked):
    matrix = make_features(bundle.schema, 300).head(asked)
    matrix["gap_last"] = np.where(np.arange(asked) % 2, np.nan, 3.0)
    scored = bundle.score(matrix, pd.Series([*matrix["customer_id"], "never"]))
    assert scored.columns[-1] == "information_missing"
    assert pd.api.types.is_string_dtype(scored["information_missing"])
    told = scored.set_index("customer_id")["information_missing"]
    assert told["never"] == "no purchase"
    for i, customer in enumerate(matrix["customer_id"]):
        assert (told[customer] == "no second purchase") if i % 2 else pd.isna(told[customer])
