"""Scoring says what training said, of whoever is asked about, and refuses what it cannot answer."""

import contextlib

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

IDS = ["customer_id"]


@contextlib.contextmanager
def altered(shop, log):
    """Give the shop another log, and put its own back afterwards."""
    file = shop.folder / "data.csv"
    before = file.read_bytes()
    log.to_csv(file, index=False)
    try:
        yield
    finally:
        file.write_bytes(before)


def ids_file(ids, path="list.csv"):
    pd.DataFrame({"customer_id": ids}).to_csv(path, index=False)
    return path


@pytest.fixture
def score(shop, run, tmp_path):
    """Score into a fresh file; return what was said and the table."""

    def go(*options, name="s.parquet"):
        out = tmp_path / name
        said = run("score", "-c", "c.yaml", "--out", out, *options)
        if said.code:
            return said, None
        frame = pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out, dtype=str)
        return said, frame

    return go


def test_all_customers_get_the_numbers_of_training(shop, score):
    said, scored = score()
    assert said.code == 0
    assert said.err == ""
    assert_frame_equal(scored, shop.scores, check_exact=True)


def test_the_columns_are_those_of_the_design(shop):
    assert list(shop.scores.columns) == [
        "customer_id", "as_of", "horizon_days", "status", "churn_probability", "risk_band",
        "p_alive", "expected_purchases", "spend_per_purchase", "clv_365d", "clv_365d_lower",
        "clv_365d_upper", "value_at_risk", "expected_saved_value",
        "reason_1", "reason_2", "reason_3", "information_missing",
        "model_version", "run_id",
    ]  # fmt: skip


def test_status_says_who_has_a_probability(shop):
    scored = shop.scores["status"] == "scored"
    assert set(shop.scores["status"]) <= {"scored", "lapsed", "never_bought"}
    assert scored.any()
    assert not scored.all()
    assert (shop.scores["churn_probability"].notna() == scored).all()
    assert (shop.scores["risk_band"].notna() == scored).all()
    assert (shop.scores["value_at_risk"].notna() == scored).all()
    value, low, high = (shop.scores[f"clv_365d{end}"] for end in ("", "_lower", "_upper"))
    known = shop.scores["status"] != "never_bought"
    assert (value.notna() == known).all()
    assert ((low >= 0) & (low <= value) & (value <= high) & (high < np.inf))[known].all()
    assert low[~known].isna().all()
    assert high[~known].isna().all()
    assert shop.scores["p_alive"].between(0, 1).all()


def test_parts_of_a_list_in_any_order_get_the_same_rows(shop, score, tmp_path):
    ids = np.random.default_rng(1).permutation(shop.scores["customer_id"])
    parts = [
        score("--customers", ids_file(part, tmp_path / "l.csv"))[1] for part in (ids[:1], ids[1:])
    ]
    together = pd.concat(parts).sort_values("customer_id", ignore_index=True)
    assert_frame_equal(together, shop.scores, check_exact=True)


def test_unknown_ids_stand_apart_and_repeated_ones_once(shop, score, tmp_path):
    asked = ["007", "=9+9", "nobody", "007", "7", "", " a b", "nobody"]
    said, scored = score("--customers", ids_file(asked, tmp_path / "l.csv"))
    assert sorted(scored["customer_id"]) == [" a b", "007"]
    apart = pd.read_csv(tmp_path / "s.unknown.csv", dtype=str)
    assert list(apart["customer_id"]) == ["'=9+9", "nobody", "7"]
    assert "3 ids are not in the data" in said.out
    assert not score("--customers", ids_file(["007"], tmp_path / "l.csv"))[1].empty
    assert not (tmp_path / "s.unknown.csv").exists()  # it would speak of another list


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_nobody_asked_about_is_an_empty_table_with_its_header(shop, score, tmp_path, name):
    said, scored = score("--customers", ids_file([], tmp_path / "l.csv"), name=name)
    assert said.code == 0
    assert "no customers" in said.out
    assert list(scored.columns) == list(shop.scores.columns)
    assert scored.empty


def test_csv_and_parquet_hold_the_same(shop, score, tmp_path):
    _, text = score(name="s.csv")
    read = pd.read_csv(tmp_path / "s.csv", dtype={"customer_id": str}, keep_default_na=False)
    assert list(text.columns) == list(shop.scores.columns)
    for column in ("churn_probability", "clv_365d", "p_alive", "value_at_risk"):
        numbers = pd.to_numeric(read[column])
        np.testing.assert_array_equal(numbers, shop.scores[column])
    dangerous = shop.scores["customer_id"].str.match(r"[=+@-]")
    assert dangerous.sum() == 4
    expected = shop.scores["customer_id"].mask(dangerous, "'" + shop.scores["customer_id"])
    assert list(read["customer_id"]) == list(expected)


def test_a_customer_more_changes_nobody_else(shop, score, tmp_path, monkeypatch):
    stranger = pd.DataFrame(
        {
            "customer_id": "new", "transaction_id": ["n1", "n2"], "amount": "10000",
            "ts": ["2025-05-05 10:00", "2025-06-06 12:00"], "channel": "fax", "category": "boats",
        }
    )  # fmt: skip
    more = pd.concat([shop.log, stranger])
    with altered(shop, more):
        _, scored = score()
    assert len(scored) == len(shop.scores) + 1
    others = scored[scored["customer_id"] != "new"].reset_index(drop=True)
    # numpy rounds the last bit of a logarithm by a value's place in memory
    assert_frame_equal(others, shop.scores, rtol=1e-12, atol=0)


def test_order_of_columns_and_rows_does_not_matter(shop, score):
    mixed = shop.log.sample(frac=1, random_state=3)[shop.log.columns[::-1]]
    with altered(shop, mixed):
        _, scored = score()
    assert_frame_equal(scored, shop.scores, check_exact=True)


def test_a_column_less_than_trained_with_is_refused(shop, score):
    with altered(shop, shop.log.drop(columns=["category", "channel"])):
        said, _ = score()
    assert said.code == 3
    assert "category: the model was trained with it" in said.err
    assert "channel: the model was trained with it" in said.err
    with altered(shop, shop.log.assign(category="")):
        said, _ = score()
    assert said.code == 3


def test_an_earlier_day_is_scored_and_days_outside_are_refused(shop, score):
    said, scored = score("--as-of", "2025-06-01")
    assert said.code == 0
    assert set(scored["as_of"]) == {pd.Timestamp("2025-06-01")}
    assert len(scored) <= len(shop.scores)
    for day in ("2027-01-01", "2024-12-31", "2025-01-01"):
        said, _ = score("--as-of", day)
        assert said.code == 3, day
        assert day in said.err
    said, _ = score("--as-of", "01/06/2025")
    assert said.code == 2
    assert "YYYY-MM-DD" in said.err


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("churn: {horizon_days: 30}", "churn: {horizon_days: 45}", "churn.horizon_days"),
        ("churn: {horizon_days: 30}", "churn: {horizon_days: 30, gap_days: 7}", "churn.gap_days"),
        ("Europe/Berlin", "America/New_York", "timezone"),
        ("cutoffs:", "clv: {margin: 0.5}\ncutoffs:", "clv.margin"),
        ("currency: EUR", "currency: USD", "currency"),
    ],
)
def test_another_question_than_the_models_is_refused(shop, run, tmp_path, old, new, named):
    text = (shop.folder / "c.yaml").read_text().replace(old, new)
    (tmp_path / "other.yaml").write_text(text)
    said = run("score", "-c", tmp_path / "other.yaml", "--out", tmp_path / "s.csv")
    assert said.code == 4
    assert named in said.err
    assert not (tmp_path / "s.csv").exists()


def test_broken_lists_are_named(shop, score, tmp_path):
    lists = {
        "none.csv": (None, 2),
        "empty.csv": (b"", 3),
        "latin.csv": ("customer_id\nZo\xeb\n".encode("latin1"), 3),
        "other.csv": (b"id\n1\n", 3),
        "broken.parquet": (b"PAR1junk", 3),
        "ragged.csv": (b"customer_id,x\n1,2,3,4\n1,2,3,4,5\n", 3),
        "zeros.csv": (b"\0\0\0\0", 3),
        "shifted.csv": (b"customer_id\n007,1\n", 3),
    }
    for name, (content, code) in lists.items():
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        said, _ = score("--customers", file)
        assert (name, said.code) == (name, code)
        assert name in said.err
        assert "Traceback" not in said.err
    said, _ = score("--customers", tmp_path)
    assert said.code in (1, 2, 3)
    assert "Traceback" not in said.err


def test_a_parquet_list_of_numbers_finds_text_ids(shop, score, tmp_path):
    pd.DataFrame({"customer_id": [1.0, np.nan]}).to_parquet(tmp_path / "l.parquet")
    said, scored = score("--customers", tmp_path / "l.parquet")
    assert said.code == 0
    assert scored.empty
