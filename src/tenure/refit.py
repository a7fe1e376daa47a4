"""The models refitted on everything, once the backtest has decided which."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pandas as pd

from tenure.backtest.calibrating import calibrate
from tenure.backtest.churn import Backtest
from tenure.backtest.foresight import two_part
from tenure.backtest.shifts import measured_shifts
from tenure.backtest.value import ValueBacktest
from tenure.bundle import Bundle
from tenure.config import Config
from tenure.errors import DataError
from tenure.inputs import Timing
from tenure.labels import unpriced
from tenure.models.calibration import Calibrator
from tenure.models.candidate import Candidate
from tenure.models.churn import fit_candidates
from tenure.models.clv import FAMILIES, fit_purchases, fit_spend
from tenure.models.families import AnyModel
from tenure.models.futures import RFM
from tenure.models.recipe import recipe
from tenure.models.shift import NO_SHIFT, Shift
from tenure.models.spend import SpendModel
from tenure.population import Population

__all__ = ["Refitted", "refit"]


@dataclass(frozen=True)
class Refitted:
    """The registered model, and LightGBM, which is always explained.

    Attributes
    ----------
    bundle : Bundle
    lightgbm, lightgbm_calibrator
        The boosted trees, whichever candidate is registered.
    notes : list of str
        What of value could not be learnt, and warnings of its models.
    """

    bundle: Bundle
    lightgbm: Candidate
    lightgbm_calibrator: Calibrator
    notes: list[str]


def refit(
    ready: Population,
    churn: Backtest,
    value: ValueBacktest | None,
    config: Config,
) -> Refitted:
    """Fit on every labelled row what the backtest selected; its figures are the procedure's.

    Parameters
    ----------
    ready, churn, value
        The population, and what both backtests decided on it.
    config : Config
    """
    timing: Timing | None = ready.timing
    purchases, spend, trees, notes = None, None, None, list[str]()
    if value is not None:
        timing, purchases, spend, notes = _value_models(ready.today, value)
        if value.family not in FAMILIES and spend is not None and ready.as_of is not None:
            try:
                trees = two_part(ready.as_of, ready.features, config)
            except DataError as fault:
                notes.append(f"Values are the purchase model's, not the two-part model's: {fault}")
    names = dict.fromkeys((churn.selected, "lightgbm"))
    with ThreadPoolExecutor(2) as pool:  # both are single-threaded, and the longest steps left
        moves = pool.submit(_shifts, ready, churn, config, names)
        fitted = fit_candidates(
            ready.X, ready.rows["churned"], seed=config.model.seed, kind=config.churn.kind,
            names=names, settings=churn.settings,
        )  # fmt: skip
        shifts = moves.result()
    calibrators = {
        name: calibrate(name, churn.margins, ready.days, ready.as_of, config) for name in names
    }
    bundle = Bundle(
        candidate=fitted[churn.selected],
        calibrator=calibrators[churn.selected],
        shift=shifts.get(churn.selected, NO_SHIFT),
        timing=timing,
        purchases=purchases,
        spend=spend,
        schema=ready.schema,
        churn=config.churn,
        clv=config.clv,
        timezone=config.timezone,
        currency=config.currency,
        usual=_usual(ready),
        base_rate=float(ready.rows["churned"].mean()),
        trained_until=ready.as_of,
        trees=trees,
        campaign=config.campaign,
        recipe=recipe(churn.selected, churn.settings, ready.X.columns, config.model.calibration),
    )
    notes += unpriced(ready.today)
    here = shifts.get("lightgbm", NO_SHIFT).at(ready.as_of)
    return Refitted(bundle, fitted["lightgbm"], replace(calibrators["lightgbm"], shift=here), notes)


def _shifts(
    ready: Population, churn: Backtest, config: Config, names: Iterable[str]
) -> dict[str, Shift]:
    """Measure how far cutoffs lie from one another; nothing where that is not corrected."""
    if not churn.shift["corrected"]:
        return {}
    return measured_shifts(ready.X, ready.rows, config, churn.settings, names)


def _value_models(
    today: pd.DataFrame, value: ValueBacktest
) -> tuple[AnyModel | None, AnyModel | None, SpendModel | None, list[str]]:
    """Fit purchase timing, the family chosen for value, and spend; none of what data refuse."""
    timing = purchases = spend = None
    try:
        timing = purchases = fit_purchases(today[RFM], FAMILIES[0])
        if value.timing_family != FAMILIES[0]:
            purchases = fit_purchases(today[RFM], value.timing_family)
        spend = fit_spend(today["frequency"], today["monetary_value"])
    except DataError as fault:
        return timing, purchases, spend, [f"Value is declined: {fault}"]
    return timing, purchases, spend, [*purchases.warnings, *spend.warnings]


def _usual(ready: Population) -> dict[str, float]:
    """Return each input's median among the eligible customers of the newest cutoff."""
    dates = ready.rows["cutoff"]
    newest = ((dates == dates.max()) | dates.isna()).to_numpy()
    return {str(c): float(value) for c, value in ready.X[newest].median().items()}
