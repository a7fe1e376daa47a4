"""What the customers of today are expected to bring together, by group, and how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tenure.backtest.segments import segments
from tenure.backtest.stakes import value_unit
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.models.spells import SpellTiming
from tenure.population import Population
from tenure.value.subscribers import AGE, contracts
from tenure.value.totals import LEAST_ORIGINS, likely_totals, said_total

__all__ = ["totals"]

Json = dict[str, Any]
Groups = dict[str, tuple[list[str], np.ndarray]]

FUTURES = 200


def totals(
    scores: pd.DataFrame,
    bundle: Bundle,
    ready: Population,
    errors: tuple[float, ...],
    config: Config,
) -> Json | None:
    """Sum up the value of everybody, of cohorts and of segments, each with its 90 % interval.

    Sums are those of the scores' own column. Intervals are the models' own (luck, and errors of
    the parameters), widened by how past totals missed where there are at least 3 of them.

    Returns
    -------
    dict or None
        `horizon_days`, `unit`, `as_of`, `scope`, `errors`, and `groups`: by segmentation (`all`,
        `cohort` by first purchase or start, `status`, and every segment) a list of `name`,
        `customers`, `expected`, `lower`, `upper`; `value_at_risk` of who is scored, with a range in
        proportion of that of the same customers' value. None where nobody has a value.
    """
    column = f"clv_{config.clv.horizon_days}d"
    valued = scores.loc[scores[column].notna(), ["customer_id", "status", column]]
    if valued.empty or ready.as_of is None:
        return None
    today = ready.today.assign(customer_id=ready.today["customer_id"].astype("str"))
    people = valued.merge(today.drop(columns="status", errors="ignore"), on="customer_id")
    groups = _groups(people, ready, config)
    codes = {name: code for name, (_, code) in groups.items()}
    drawn = _drawn(people, scores, people[column].to_numpy(), codes, bundle, config)
    listed: Json = {}
    for name, (levels, code) in groups.items():
        sums = np.bincount(code, people[column].to_numpy(), minlength=len(levels))
        counts = np.bincount(code, minlength=len(levels))
        listed[name] = [
            {
                "name": level,
                "customers": int(counts[k]),
                **said_total(float(sums[k]), drawn[name][k], errors),
            }
            for k, level in enumerate(levels)
        ]
    enough = len(errors) >= LEAST_ORIGINS
    return {
        "horizon_days": config.clv.horizon_days,
        "unit": value_unit(config.clv),
        "currency": config.currency,
        "as_of": str(ready.as_of),
        "scope": f"widened by the errors of {len(errors)} past totals" if enough else "model only",
        "errors": list(errors),
        "value_at_risk": _at_risk(float(scores["value_at_risk"].sum()), listed["status"]),
        "groups": listed,
    }


def _at_risk(amount: float, statuses: list[Json]) -> Json | None:
    """Give value at risk the relative range of the value of the same customers."""
    same = next((row for row in statuses if row["name"] == "scored"), None)
    if same is None or not same["expected"]:
        return None
    ends = {end: amount * same[end] / same["expected"] for end in ("lower", "upper")}
    return {"expected": amount, **ends}


def _groups(people: pd.DataFrame, ready: Population, config: Config) -> Groups:
    """Return names and codes of the groups of every segmentation."""
    keys = people[["customer_id", "cutoff"]]
    levels = segments(people, keys, ready.schema, config)
    named = {
        "all": np.full(len(people), "everybody", dtype=object),
        "cohort": _cohort(people, ready, config.churn.kind),
        "status": people["status"].to_numpy(dtype=object),
        **levels,
    }
    found: Groups = {}
    for name, labels in named.items():
        distinct, code = np.unique(labels.astype(str), return_inverse=True)
        found[name] = [str(d) for d in distinct], code
    return found


def _cohort(people: pd.DataFrame, ready: Population, kind: str) -> np.ndarray:
    """Name the year, quarter or month of the first purchase or start, by the log's length."""
    # T counts to the day before the cutoff
    since, last = (AGE, 0) if kind == "subscription" else ("T", 1)
    age = pd.to_timedelta(people[since].fillna(0) + last, unit="D")
    assert ready.as_of is not None
    assert ready.first_day is not None
    first = pd.Timestamp(ready.as_of) - age
    years = (ready.as_of - ready.first_day).days / 365
    unit = "Y" if years > 3 else "Q" if years > 1 else "M"
    return np.asarray(first.dt.to_period(unit).astype("str"), dtype=object)


def _drawn(
    people: pd.DataFrame,
    scores: pd.DataFrame,
    value: np.ndarray,
    codes: dict[str, np.ndarray],
    bundle: Bundle,
    config: Config,
) -> dict[str, np.ndarray]:
    """Draw the totals of groups; by segmentation an array (groups, draws)."""
    if isinstance(bundle.timing, SpellTiming):
        return _of_contracts(people, scores, codes, bundle, config)
    if bundle.purchases is None or bundle.spend is None:  # then nobody has a value
        return {}
    said = np.zeros_like(value), value
    drawn = likely_totals(
        bundle.purchases, bundle.spend, people, config.clv.horizon_days, said, codes,
        draws=FUTURES, seed=config.model.seed,
    )  # fmt: skip
    return {name: both[1] for name, both in drawn.items()}


def _of_contracts(
    people: pd.DataFrame,
    scores: pd.DataFrame,
    codes: dict[str, np.ndarray],
    bundle: Bundle,
    config: Config,
) -> dict[str, np.ndarray]:
    """Draw normally, with the closed variance of independent ends, and the timing's own errors."""
    assert isinstance(bundle.timing, SpellTiming)
    p = scores.set_index("customer_id")["churn_probability"].reindex(people["customer_id"])
    ends = contracts(people, bundle.timing, config.churn, config.clv)
    runs = people["status"].isin(["scored", "trial"]).to_numpy()  # notice: paid to a known day
    alone = np.where(runs, np.nan_to_num(ends.variance(p.to_numpy())), 0.0)
    drift = np.where(runs[:, None], np.nan_to_num(ends.drift(p.to_numpy())), 0.0)
    rng = np.random.default_rng([config.model.seed, 2])
    together, luck = rng.standard_normal((2, FUTURES)), {}
    column = people[f"clv_{config.clv.horizon_days}d"].to_numpy()
    for name, code in codes.items():
        size = int(code.max(initial=-1)) + 1
        mean, spread, one, two = (
            np.bincount(code, c, minlength=size) for c in (column, alone, *drift.T)
        )
        own = rng.standard_normal((size, FUTURES)) * np.sqrt(spread)[:, None]
        moved = one[:, None] * together[0] + two[:, None] * together[1]
        luck[name] = np.maximum(mean[:, None] + own + moved, 0.0)
    return luck
