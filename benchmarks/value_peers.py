"""One measurement of values: reads histories, fits, values everybody, prints JSON.

Needs nothing of the project to measure a peer, so that another interpreter can run it.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

Found = tuple[dict[str, float], float]
YEAR = {"horizon_days": 365, "annual_discount_rate": 0.10, "margin": 1.0}
MONTHLY = 1.1 ** (1 / 12) - 1


class Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def ours(rfm: pd.DataFrame, family: str = "mbg_nbd", *, calibrated: bool = False) -> Found:
    from tenure.models.clv import fit_purchases, fit_spend
    from tenure.models.predictive import Leaving
    from tenure.value import clv, combine, conditional_values, interval

    clock, leaving = Clock(), None
    model = fit_purchases(rfm, family)
    spend = fit_spend(rfm["frequency"], rfm["monetary_value"])
    clock.lap("fit")
    if calibrated:
        p = np.random.default_rng(0).uniform(0.05, 0.95, len(rfm))  # any chance will do
        found = conditional_values(model, spend, rfm, label_horizon_days=90, gap_days=14, **YEAR)
        value, leaving = combine(p, found.V_A, found.V_0), Leaving(p, 90, 14)
    else:
        value = clv(model, spend, rfm, **YEAR)
    clock.lap("values")
    lower, upper = interval(model, spend, rfm, value, horizon_days=365, leaving=leaving)
    clock.lap("intervals")
    assert (lower <= value).all()
    assert np.isfinite(upper).all()
    return clock.laps, float(value.sum())


def lifetimes(rfm: pd.DataFrame) -> Found:
    from lifetimes import GammaGammaFitter, ModifiedBetaGeoFitter

    clock = Clock()
    history = [rfm[c] for c in ("frequency", "recency", "T")]
    timing = ModifiedBetaGeoFitter().fit(*history)
    again = rfm[rfm["frequency"] > 0]
    spend = GammaGammaFitter().fit(again["frequency"], again["monetary_value"])
    clock.lap("fit")
    value = spend.customer_lifetime_value(
        timing, *history, rfm["monetary_value"].fillna(0), time=12, freq="D", discount_rate=MONTHLY
    )
    clock.lap("values")
    return clock.laps, float(value.sum())


def pymc(rfm: pd.DataFrame) -> Found:
    from pymc_marketing import clv

    clock = Clock()
    rfm = rfm.assign(
        customer_id=np.arange(len(rfm)), monetary_value=rfm["monetary_value"].fillna(0)
    )
    timing = clv.BetaGeoModel(rfm[["customer_id", "frequency", "recency", "T"]])
    timing.fit(method="map", progressbar=False)
    again = rfm.loc[rfm["frequency"] > 0, ["customer_id", "frequency", "monetary_value"]]
    spend = clv.GammaGammaModel(again)
    spend.fit(method="map", progressbar=False)
    clock.lap("fit")
    value = spend.expected_customer_lifetime_value(
        timing, data=rfm, future_t=12, discount_rate=MONTHLY, time_unit="D"
    )
    clock.lap("values")
    return clock.laps, float(value.sum())


WHO: dict[str, Callable[[pd.DataFrame], Found]] = {
    "ours": ours,
    "ours, calibrated": lambda rfm: ours(rfm, calibrated=True),
    "ours, Pareto/NBD": lambda rfm: ours(rfm, "pareto_nbd"),
    "lifetimes": lifetimes,
    "pymc-marketing": pymc,
}


def main(who: str, path: str) -> None:
    warnings.simplefilter("ignore")  # peers warn about pandas to come
    rfm = pd.read_parquet(path)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            laps, total = WHO[who](rfm)
    except ImportError as fault:
        print(json.dumps({"skipped": f"{fault.name} is not installed"}))
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"laps": laps, "total": total, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
