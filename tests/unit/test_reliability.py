"""Whether percentages come true, group by group: by hand, by slow bootstrap, in any order."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.backtest.segments import segments
from tenure.backtest.stakes import at_stake, value_unit
from tenure.config import Config
from tenure.errors import DataError
from tenure.evaluation.reliability import LEAST_ROWS, deciles, reliability
from tenure.features.schema import Schema
from tenure.models.clv import fit_purchases, fit_spend
from tenure.value import conditional_values


def config(**sections):
    tables = {"tables": {"transactions": {"path": "x.csv"}, "customers": {"path": "c.csv"}}}
    return Config.model_validate({"project": "shop", "data": tables, **sections})


def world(n=1200, customers=400, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.05, 0.95, n)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in np.tile(np.arange(customers), n // customers)],
            "churned": (rng.random(n) < p).astype(int),
        }
    )
    region = np.array(["north", "south", "rare"], dtype=object)[
        rng.choice(3, n, p=[0.5, 0.45, 0.05])
    ]
    return frame, p, region, rng.gamma(2, 50, n)


class TestGroups:
    def test_by_hand(self):
        """200 rows called .3 of whom 60 left, 100 called .8 of whom 70 left."""
        p = np.repeat([0.3, 0.8], [200, 100])
        frame = pd.DataFrame({"customer_id": np.arange(300), "churned": 0})
        frame.loc[:59, "churned"] = 1
        frame.loc[200:269, "churned"] = 1
        told = reliability(frame, p, {"half": np.repeat(["a", "b"], [200, 100])}, draws=50, seed=1)
        a, b = told["segments"]["half"]
        assert (a["group"], a["n"], a["predicted"]) == ("a", 200, pytest.approx(0.3))
        assert a["actual"]["value"] == pytest.approx(0.3)
        assert a["difference"]["value"] == pytest.approx(0.0)
        assert b["actual"]["value"] == pytest.approx(0.7)
        assert b["difference"]["value"] == pytest.approx(0.1)
        assert b["actual"]["lower"] < 0.7 < b["actual"]["upper"]
        assert [g["n"] for g in told["overall"]] == [200, 100]  # ties stay in one bin
        assert told["by_value"] is None

    def test_small_groups_are_named_and_not_judged(self):
        frame, p, region, worth = world()
        told = reliability(frame, p, {"region": region}, worth, draws=20, seed=1)
        rare = int((region == "rare").sum())
        assert rare < LEAST_ROWS
        assert told["too_small"] == [{"segment": "region", "group": "rare", "n": rare}]
        assert [g["group"] for g in told["segments"]["region"]] == ["north", "south"]
        assert [g["n"] for g in told["by_value"]] == [120] * 10
        rising = [worth[deciles(worth) == g["group"]].mean() for g in told["by_value"]]
        assert rising == sorted(rising)

    def test_the_bootstrap_is_the_slow_one(self):
        frame, p, region, _ = world(n=600, customers=200)
        told = reliability(frame, p, {"region": region}, draws=30, seed=5)
        rng, ids = np.random.default_rng([5, 0]), sorted(frame["customer_id"].unique())
        rates, gaps = [], []
        for _ in range(30):
            times = pd.Series(np.bincount(rng.integers(0, 200, 200), minlength=200), index=ids)
            rows = np.repeat(np.arange(600), times[frame["customer_id"]])
            rows = rows[region[rows] == "north"]
            rates.append(frame["churned"].to_numpy()[rows].mean())
            gaps.append(p[rows].mean() - rates[-1])
        north = told["segments"]["region"][0]
        for figure, slow in ((north["actual"], rates), (north["difference"], gaps)):
            expected = tuple(np.quantile(slow, [0.05, 0.95]))
            assert (figure["lower"], figure["upper"]) == pytest.approx(expected)

    def test_rows_in_any_order_give_the_same_to_the_last_bit(self):
        frame, p, region, worth = world()
        first = reliability(frame, p, {"region": region}, worth, draws=20, seed=1)
        mixed = np.random.default_rng(1).permutation(len(p))
        again = reliability(
            frame.iloc[mixed], p[mixed], {"region": region[mixed]}, worth[mixed], draws=20, seed=1
        )
        assert again == first

    def test_a_group_in_which_nobody_left_is_not_certain(self):
        """Of 150 customers none left: the exact one-sided 95 % limit is 1 − .05^(1/150)."""
        frame = pd.DataFrame({"customer_id": np.arange(300), "churned": np.arange(300) < 150})
        group = np.repeat(["left", "stayed"], 150)
        left, stayed = reliability(
            frame.astype({"churned": int}), np.full(300, 0.5), {"g": group}, draws=20, seed=1
        )["segments"]["g"]
        assert stayed["actual"] == {
            "value": 0.0,
            "lower": 0.0,
            "upper": pytest.approx(1 - 0.05 ** (1 / 150)),
        }
        assert left["actual"]["lower"] == pytest.approx(0.05 ** (1 / 150))

    def test_a_right_model_is_within_its_intervals_nine_times_in_ten(self):
        held = total = 0
        for seed in range(40):
            frame, p, _, _ = world(n=1000, customers=1000, seed=seed)
            for g in reliability(frame, p, {}, draws=100, seed=seed)["overall"]:
                held += g["difference"]["lower"] <= 0 <= g["difference"]["upper"]
                total += 1
        assert 0.84 <= held / total <= 0.94


LEVELS = {"customers.attribute[region]": ("north", "south")}
SCHEMA = Schema(365, LEVELS, {"customers": ("customer_id", "attribute[region]")})


class TestSegments:
    def matrix(self):
        rows = [  # frequency, days since, north, south, other
            ("a", "2024-01-01", 0, 0, 1, 0, 0),
            ("b", "2024-01-01", 1, 29, 0, 1, 0),
            ("c", "2024-01-01", 2, 30, 0, 0, 1),
            ("d", "2024-01-01", 3, 89, None, None, None),
            ("a", "2024-02-01", 9, 90, 0, 1, 0),
        ]
        columns = ["customer_id", "cutoff", "frequency", "days_since_last_purchase"]
        profile = [f"profile[region={x}]" for x in ("north", "south", "other")]
        frame = pd.DataFrame(rows, columns=[*columns, *profile])
        return frame.assign(cutoff=pd.to_datetime(frame["cutoff"]).astype("datetime64[s]"))

    def test_each_row_as_known_at_its_cutoff(self):
        matrix = self.matrix()
        rows = matrix[["customer_id", "cutoff"]].iloc[::-1].reset_index(drop=True)
        found = segments(matrix, rows, SCHEMA, config(churn={"horizon_days": 90}))
        assert list(found["region"]) == ["south", "not known", "other", "south", "north"]
        assert list(found["frequency"]) == [
            "4 or more purchase days", "4 or more purchase days", "2 to 3 purchase days",
            "2 to 3 purchase days", "1 purchase day",
        ]  # fmt: skip
        assert list(found["activity"]) == [
            "bought more than 90 days ago", "bought 61 to 90 days ago", "bought 31 to 60 days ago",
            "bought within 30 days", "bought within 30 days",
        ]  # fmt: skip

    @pytest.mark.parametrize("horizon", [1, 2, 3])
    def test_short_horizons_have_groups_too(self, horizon):
        matrix = self.matrix()
        found = segments(matrix, matrix, SCHEMA, config(churn={"horizon_days": horizon}))
        assert found["activity"][0] == "bought within 1 day"
        assert found["activity"][-1].startswith(f"bought more than {horizon} day")


class TestStakes:
    def matrix(self):
        rng, parts = np.random.default_rng(0), []
        for day in ("2024-01-01", "2024-02-01"):
            x = rng.integers(0, 6, 300)
            T = rng.integers(100, 300, 300)
            parts.append(
                pd.DataFrame(
                    {
                        "customer_id": [f"c{i}" for i in range(300)],
                        "cutoff": pd.Timestamp(day).as_unit("s"),
                        "frequency": x,
                        "recency": np.where(x > 0, (T * rng.uniform(0.2, 1, 300)).astype(int), 0),
                        "T": T,
                        "monetary_value": np.where(x > 0, rng.gamma(3, 10, 300), np.nan),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def test_each_cutoff_by_its_own_models_and_not_by_what_came_later(self):
        matrix, shop = self.matrix(), config(clv={"margin": 0.5})
        rows = matrix[["customer_id", "cutoff"]].sample(frac=0.5, random_state=1)
        rows = rows.reset_index(drop=True)
        found = at_stake(matrix, rows, shop, {})
        early = (rows["cutoff"] == dt.datetime(2024, 1, 1)).to_numpy()
        seen = matrix[matrix["cutoff"] == dt.datetime(2024, 1, 1)]
        models = (
            fit_purchases(seen[["frequency", "recency", "T"]], "mbg_nbd"),
            fit_spend(seen["frequency"], seen["monetary_value"]),
        )
        expected = conditional_values(
            *models, seen.set_index("customer_id").loc[rows["customer_id"][early]],
            horizon_days=365, annual_discount_rate=0.1, margin=0.5, label_horizon_days=90,
        )  # fmt: skip
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got[early], want)
        later = matrix["cutoff"] == dt.datetime(2024, 2, 1)
        matrix.loc[later, "monetary_value"] *= 100
        matrix.loc[later, "frequency"] += 1
        changed = at_stake(matrix, rows, shop, {})
        np.testing.assert_array_equal(changed.V_A[early], found.V_A[early])
        assert (changed.V_A[~early] > 2 * found.V_A[~early]).mean() > 0.9

    def test_refusals_say_why_and_when(self):
        matrix = self.matrix()
        rows = matrix[["customer_id", "cutoff"]]
        label = config(churn={"kind": "label"})
        with pytest.raises(DataError, match="Value takes dated purchases"):
            at_stake(matrix, rows, label, {})
        once = matrix.assign(frequency=0, recency=0, monetary_value=np.nan)
        with pytest.raises(DataError, match="at 2024-01-01: clv: no repeat purchases"):
            at_stake(once, rows, config(), {})

    def test_the_unit_says_whether_it_is_revenue(self):
        assert value_unit(config().clv) == "revenue"
        assert value_unit(config(clv={"margin": 0.4}).clv) == "margin at 40%"
