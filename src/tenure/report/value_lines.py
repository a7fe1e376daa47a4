"""What the end of a run says of value."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tenure.config import Config
from tenure.report.cautions import use
from tenure.report.text import estimate, table
from tenure.report.totals import summed_up
from tenure.report.trust import COVERED
from tenure.report.valued import naive, spoken

__all__ = ["value_lines"]

COMBINED = "; _and_churn: with the calibrated chance of leaving"


def value_lines(metrics: dict[str, Any], scores: pd.DataFrame, config: Config) -> list[str]:
    """Say how value was judged, what is expected, and what is at risk."""
    clv, unit = metrics["clv"], config.currency or "money"
    hold = clv["holdout"]
    if "mae" not in hold:
        return [f"Value    declined or not judged; {clv['why']}"]
    names = (("mae", 2), ("rmse", 2), ("bias", 3), ("spearman", 3), ("gini", 3))
    rows = {f"> {clv.get('name', clv['family'])}": hold, **clv["baselines"]}
    lines = [
        f"Value    {unit} (revenue) over the {hold['horizon_days']} days after "
        f"{hold['origin']}, {spoken(config.churn.kind).people}",
        "",
        *table(
            ["", *(n for n, _ in names)],
            [
                [n if n[0] == ">" else f"  {n}", *(estimate(r[k], d) for k, d in names)]
                for n, r in rows.items()
            ],
        ),
    ]
    lines.append(
        "  mae and rmse per customer; bias: predicted / actual total − 1"
        + COMBINED * any("_and_churn" in name for name in rows)
    )
    lines += [f"  chosen {clv['why']}"] if config.churn.kind == "inactivity" else []
    lines += _spread(hold, unit)
    guess, error = naive(clv) or ("", None)
    if error is not None and hold["mae"]["value"] >= error:
        lines.append(
            f"  {guess[:1].upper()}{guess[1:]} has the smaller mean error for one customer. "
            f"{use(hold)}"
        )
    everybody, risk = summed_up(clv), f"{scores['value_at_risk'].sum():,.0f}"
    if everybody is not None and (ends := clv["totals"]["value_at_risk"]):
        risk += f" [{ends['lower']:,.0f}, {ends['upper']:,.0f}]"
    if everybody is not None:
        lines.append(
            f"  next {config.clv.horizon_days} days: {everybody['expected']:,.0f} "
            f"[{everybody['lower']:,.0f}, {everybody['upper']:,.0f}] {unit} ({clv['unit']}) "
            f"expected of {everybody['customers']:,} customers ({clv['totals']['scope']})"
        )
    lines.append(
        f"  {risk} {unit} at risk among the "
        f"{int((scores['status'] == 'scored').sum()):,} who may leave; "
        + _worth(scores["expected_saved_value"], config, unit)
    )
    return lines


def _worth(saved: pd.Series, config: Config, unit: str) -> str:
    """Say whom contacting is worth its costs, within capacity."""
    pays, most = saved[saved > 0].sort_values(ascending=False), config.campaign.capacity
    chosen = pays if most is None else pays.head(most)
    within = "" if most is None or len(pays) <= most else f", the best {len(chosen):,} of them"
    if chosen.empty:
        return "by `campaign:`, contacting nobody pays its costs"
    return (
        f"contacting pays for {len(pays):,} of them by `campaign:`{within} worth "
        f"{chosen.sum():,.0f} {unit} after all costs (expected_saved_value)"
    )


def _spread(hold: dict[str, Any], unit: str) -> list[str]:
    """Say whether customers, and all of them together, came out within their intervals."""
    covered, total, off = hold["coverage"]["value"], hold["total"]["value"], ""
    if abs(covered["value"] - 0.9) > COVERED:
        off = f": the intervals are TOO {'NARROW' if covered['value'] < 0.9 else 'WIDE'}"
        if months := hold["coverage"].get("months"):
            off += f" for prices that change; of the months paid {months['value']:.3f} fell inside"
    return [
        f"  90 % interval for one customer: {estimate(covered, 3)} of customers fell into it "
        f"(.90 is right; randomised PIT, plain share {covered['inside']:.3f})" + off,
        f"  total: {total['expected']:,.0f} [{total['lower']:,.0f}, {total['upper']:,.0f}] {unit} "
        f"expected ({hold['total']['scope']}), {total['actual']:,.0f} came: "
        f"{'inside' if total['inside'] else 'OUTSIDE the interval'}",
    ]
