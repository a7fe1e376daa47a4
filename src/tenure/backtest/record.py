"""The backtest as one table, from which every churn figure can be computed again.

Customers are numbers in the order of their ids: the bootstrap draws by that order, so the figures
are the same, and nobody's id leaves the machine with the run. Whatever else the labelled rows
carry (evaluation may need more columns) is kept as it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.backtest.calibrating import cross_calibrated_losses
from tenure.backtest.champion import Meeting
from tenure.backtest.churn import Backtest
from tenure.config import Config
from tenure.models.churn import ROSTERS

__all__ = ["champion_said", "numbered", "recall", "record"]

MARGIN, PROBABILITY = "margin_", "probability_"
CHOSEN, CHAMPION = "chosen", "champion"


def record(churn: Backtest, champion: Meeting | None = None) -> pd.DataFrame:
    """Put all that the backtest said into one table.

    Parameters
    ----------
    churn : Backtest
    champion : Meeting, optional
        What the champion said of the test rows.

    Returns
    -------
    DataFrame
        One row a prediction: `customer` (a number), `cutoff`, `churned`, `active`; `is_test`;
        `part` (of the comparison among candidates; null outside it); `held_out` (predicted by
        folds of customers, not out of time); `margin_<candidate>` (log-odds); and on test rows
        `probability_<candidate>`, and `probability_chosen` and `probability_champion` where
        there are any.
    """
    names = list(churn.probabilities)
    said = {f"{PROBABILITY}{name}": p for name, p in churn.probabilities.items()}
    if churn.chosen is not None:
        said[PROBABILITY + CHOSEN] = churn.chosen
    if champion is not None:
        said[PROBABILITY + CHAMPION] = champion.probability
    test = churn.test.assign(**said, is_test=True)
    compared = churn.compared.assign(is_test=False)
    other = churn.margins["cutoff"].isin([*test["cutoff"], *compared["cutoff"]])
    compared["held_out"] = not compared["cutoff"].isin(churn.margins["cutoff"]).any()
    rest = churn.margins[~other].assign(is_test=False)
    frame = pd.concat([compared, rest, test], ignore_index=True)
    frame.insert(0, "customer", pd.factorize(frame["customer_id"], sort=True)[0])
    frame["held_out"] = frame["held_out"].eq(True)
    for whole in frame.columns.intersection(["part", "repeat", "fold"]):
        frame[whole] = frame[whole].astype("Int64")
    return frame.drop(columns="customer_id").rename(columns={n: f"{MARGIN}{n}" for n in names})


def numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Call customers by numbers in the order of their ids."""
    codes = pd.factorize(rows["customer_id"], sort=True)[0]
    return rows.assign(customer_id=codes)


def recall(frame: pd.DataFrame, config: Config) -> Backtest:
    """Make the backtest again from its table; the choice among candidates is made anew.

    Parameters
    ----------
    frame : DataFrame
        From `record`.
    config : Config
        Of the same run.
    """
    names = [c.removeprefix(MARGIN) for c in frame.columns if c.startswith(MARGIN)]
    said = [c for c in frame.columns if c.startswith(PROBABILITY)]
    rows = frame.drop(columns=said).rename(columns={f"{MARGIN}{n}": n for n in names})
    rows = rows.rename(columns={"customer": "customer_id"})
    is_test, has_part = frame["is_test"].to_numpy(), frame["part"].notna().to_numpy()
    compared = rows[has_part].astype({"part": int})
    before = cross_calibrated_losses(compared, compared["part"], config)
    probabilities = {n: frame.loc[is_test, f"{PROBABILITY}{n}"].to_numpy() for n in names}
    dated = bool(frame["cutoff"].notna().any())
    out_of_time = ~frame["held_out"].to_numpy() & (True if dated else ~is_test)
    days = sorted(frame.loc[is_test, "cutoff"].dropna().unique())
    chosen = PROBABILITY + CHOSEN
    return Backtest(
        tests=tuple(day.date() for day in days),
        margins=rows[out_of_time].reset_index(drop=True),
        test=rows[is_test].reset_index(drop=True),
        probabilities=probabilities,
        selected=min(before, key=lambda name: before[name]),
        best_baseline=min(ROSTERS[config.churn.kind].baselines, key=lambda name: before[name]),
        before=before,
        notes=(),
        compared=compared,
        chosen=frame.loc[is_test, chosen].to_numpy() if chosen in frame else None,
    )


def champion_said(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return what the champion said of each test row; NaN where it did not speak."""
    test = frame[frame["is_test"]]
    column = PROBABILITY + CHAMPION
    if column not in test:
        return np.full(len(test), np.nan)
    return np.asarray(test[column], dtype=np.float64)
