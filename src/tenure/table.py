"""The one table: every candidate beside every baseline, by every metric and in money."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.backtest.churn import Backtest
from tenure.backtest.segments import segments
from tenure.backtest.stakes import NO_VALUE, at_stake, value_unit
from tenure.config import Config
from tenure.errors import DataError
from tenure.evaluation import campaign
from tenure.evaluation.bootstrap import Judged, Metrics, Rows
from tenure.evaluation.churn import DRAWS, compare, figures
from tenure.evaluation.profit import Prices, profit_metrics
from tenure.evaluation.reliability import reliability
from tenure.models.churn import ROSTERS, UNCONSTRAINED
from tenure.population import Population
from tenure.value import combine, expected_saved_value

__all__ = ["Table", "annotate", "judge_table"]

Array = NDArray[np.float64]
Json = dict[str, Any]

CHOSEN = "chosen"
"""The procedure that chooses a candidate in each fold."""
NOT_JUDGED = frozenset({"base_rate", "contacted"})  # not a merit: more is neither better nor worse
MONEY = ("mpc", "empc", "profit")
VALUES = ("value_if_stays", "value_if_leaves")
SEGMENT = "segment_"
REFUSED = "Value could not be learnt before a test cutoff; the notes of the run say why."
CONTESTS = ("log_loss", "auc", "profit")


@dataclass(frozen=True)
class Table:
    """What the test rows say of every candidate.

    Attributes
    ----------
    tested : str
        The row of the procedure that the figures speak of: the selected candidate, or `chosen`.
    table : dict
        By candidate and metric, `value`, `lower` and `upper`.
    improvement : dict
        Of the selected candidate, the blend, LightGBM and `tested`, by metric, the paired
        improvement on the best baseline.
    as_good : dict
        By metric of `CONTESTS`, the baselines that `tested` cannot be told apart from, or that
        are better: the lower end of its paired improvement is not above 0.
    campaign, reliability : dict
        As in `metrics.json`.
    monotone_cost : dict or None
        By metric, how much better LightGBM is without the directions that were asked for.
    """

    tested: str
    table: dict[str, Metrics]
    improvement: dict[str, Metrics]
    as_good: dict[str, list[str]]
    campaign: Json
    reliability: Json
    monotone_cost: Metrics | None


def annotate(churn: Backtest, ready: Population, config: Config) -> Backtest:
    """Put beside the test rows what the table needs to know of them, as of their cutoffs.

    Parameters
    ----------
    churn, ready, config
        The backtest, what it ran on, and the config.

    Returns
    -------
    Backtest
        Its test rows with `value_if_stays` and `value_if_leaves` where value is modelled, and a
        column `segment_<name>` a segmentation; from these rows and the config alone every figure
        can be computed again.
    """
    groups = segments(ready.matrix, churn.test, ready.schema, config)
    test = churn.test.assign(**{SEGMENT + name: levels for name, levels in groups.items()})
    notes: tuple[str, ...] = ()
    if config.churn.kind not in NO_VALUE:
        try:
            V_A, V_0, _ = at_stake(ready.matrix, churn.test, config, ready.timings)
            test = test.assign(**dict(zip(VALUES, (V_A, V_0), strict=True)))
        except DataError as fault:
            notes = (f"No profit is counted: {fault}",)
    return replace(churn, test=test, notes=(*churn.notes, *notes))


def judge_table(churn: Backtest, config: Config) -> Table:
    """Take every figure of every candidate in the same draws of customers.

    Parameters
    ----------
    churn : Backtest
        From `annotate`.
    config : Config
        Its costs, and the seed.
    """
    given, tested = dict(churn.probabilities), churn.selected
    if churn.chosen is not None:
        given[CHOSEN], tested = churn.chosen, CHOSEN
    values, why = _values(churn, config)
    prices = None if values is None else _prices(values, config)
    how = {"draws": DRAWS, "seed": config.model.seed}
    more = {} if prices is None else profit_metrics(prices)
    judged = compare(churn.test, given, more=more, **how)
    judged |= _campaigns(churn, given, values, config, **how)
    table = figures(judged, churn.test, given, config.model.seed)
    named = list(dict.fromkeys((churn.selected, "blend", "lightgbm", tested)))
    improvement = {n: _gains(judged, n, churn.best_baseline) for n in named}
    for figure, reason in _absent(why, config).items():
        for row in (*(table[name] for name in given), *improvement.values()):
            row[figure] = {"value": None, "lower": None, "upper": None, "why": reason}
    worth = None if values is None else combine(churn.said, *values)
    columns = [str(c) for c in churn.test if str(c).startswith(SEGMENT)]
    groups = {c.removeprefix(SEGMENT): churn.test[c].to_numpy() for c in columns}
    came_true = reliability(churn.test, churn.said, groups, worth, **how)
    return Table(
        tested=tested,
        table=table,
        improvement=improvement,
        as_good=_as_good(judged, tested, ROSTERS[config.churn.kind].baselines),
        campaign=_campaign(judged, table, named, prices, why, config),
        reliability={"model": tested, **came_true},
        monotone_cost=_gains(judged, UNCONSTRAINED, "lightgbm") if UNCONSTRAINED in given else None,
    )


def _values(churn: Backtest, config: Config) -> tuple[tuple[Array, Array] | None, str | None]:
    """Return V_A and V_0 of the test rows, or why they are not known."""
    if set(VALUES) <= set(churn.test):
        V_A, V_0 = (churn.test[column].to_numpy(dtype=np.float64) for column in VALUES)
        return (V_A, V_0), None
    return None, NO_VALUE.get(config.churn.kind, REFUSED)


def _prices(values: tuple[Array, Array], config: Config) -> Prices:
    """Take one value for all: the mean of what keeping a customer saves."""
    costs, (V_A, V_0) = config.campaign, values
    return Prices(
        value=float(np.mean(V_A - V_0)),
        incentive=costs.incentive,
        contact_cost=costs.contact_cost,
        accept_rate=costs.accept_rate,
        stayers_take_rate=costs.stayers_take_rate,
    )


def _campaigns(
    churn: Backtest,
    given: dict[str, Array],
    values: tuple[Array, Array] | None,
    config: Config,
    **how: int,
) -> Judged:
    """Run every candidate's campaign at every test cutoff, or round of folds."""
    rows, costs = Rows.of(churn.test), config.campaign
    cutoff = churn.test["cutoff" if churn.tests else "repeat"].to_numpy()
    found = Judged({}, {})
    if costs.capacity is not None:
        found |= campaign.captures(rows, cutoff, given, costs.capacity, **how)
    if values is not None:
        expected = {n: expected_saved_value(p, *values, costs) for n, p in given.items()}
        realised = expected_saved_value(rows.churned, *values, costs)
        found |= campaign.profits(rows, cutoff, expected, realised, costs.capacity, **how)
    return found


def _absent(why: str | None, config: Config) -> dict[str, str]:
    """List the figures that cannot be had, with the reason."""
    absent = dict.fromkeys((*MONEY, "contacted"), why) if why else {}
    if config.campaign.capacity is None:
        absent["capture_at_capacity"] = "campaign.capacity is not set."
    return absent


def _gains(judged: Judged, name: str, rival: str) -> Metrics:
    return {m: judged.gain(name, rival, m) for m in judged.now[name] if m not in NOT_JUDGED}


def _as_good(judged: Judged, tested: str, baselines: Iterable[str]) -> dict[str, list[str]]:
    return {
        metric: [
            b for b in baselines if b != tested and judged.gain(tested, b, metric)["lower"] <= 0
        ]
        for metric in CONTESTS
        if metric in judged.now[tested]
    }


def _campaign(
    judged: Judged,
    table: dict[str, Metrics],
    named: list[str],
    prices: Prices | None,
    why: str | None,
    config: Config,
) -> Json:
    """Say what the money figures rest on, and what a campaign without a model would earn."""
    rules = {"everybody": campaign.EVERYBODY, "random": campaign.RANDOM}
    told = {rule: table.pop(name)["profit"] for rule, name in rules.items() if name in table}
    nobody = {"nobody": dict.fromkeys(("value", "lower", "upper"), 0.0)} if told else {}
    return {
        "costs": config.campaign.model_dump(mode="json"),
        "stated": bool(config.campaign.model_fields_set - {"capacity"}),
        "currency": config.currency,
        "unit": f"{config.currency or 'money'} a cutoff",
        "value": value_unit(config.clv),
        "value_horizon_days": config.clv.horizon_days,
        "mean_value_saved": None if prices is None else prices.value,
        "why": why,
        "baselines": {**nobody, **told},
        "improvement_on_random": {
            n: judged.gain(n, campaign.RANDOM, "profit") for n in named if told
        },
    }
