"""The audit: what the model sees, and looks as if it was written down after people left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.audit import Finding, prove
from tenure.audit.evidence import FEWEST, Alarm, Evidence, drawn
from tenure.audit.later import follows_the_log, knows_the_end
from tenure.audit.order import file_orders, id_orders, ordered
from tenure.audit.ranks import Array, Flags
from tenure.audit.signals import alone, fades, marks
from tenure.config import Config
from tenure.errors import DataError, listing
from tenure.features.attributes import columns_of
from tenure.labels.horizon import settled
from tenure.population import Population, prepare
from tenure.sources import Sources, load

__all__ = ["Audit", "audit", "leaks"]

AGES = ("days_since_signup", "days_since_first_subscription", "T")


@dataclass(frozen=True)
class Audit:
    """What the audit found.

    Attributes
    ----------
    alarms : tuple of Alarm
        One for each column, or family of columns, and test.
    columns, rows : int
        What was looked at.
    not_asked : tuple of str
        Tests that these data do not allow, with the reason.
    """

    alarms: tuple[Alarm, ...]
    columns: int
    rows: int
    not_asked: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the `audit` part of `metrics.json`."""
        return {
            "findings": [a.to_json() for a in self.alarms],
            "columns": self.columns,
            "rows": self.rows,
            "not_asked": list(self.not_asked),
        }

    @property
    def lines(self) -> list[str]:
        """Return it in words."""
        looked = f"{self.columns} columns, {self.rows:,} rows"
        said = []
        if self.alarms:
            said = [
                f"Signs of a leak ({looked}): {len(self.alarms)}",
                *(f"  {a}" for a in self.alarms),
            ]
        elif self.columns:
            said = [f"No sign of a leak: no column, id or order of rows knows too much ({looked})."]
        return said + [f"Not asked: {one}" for one in self.not_asked]


def audit(ready: Population, sources: Sources, config: Config) -> Audit:
    """Ask every column, every attribute and every order of rows whether it knows too much.

    Parameters
    ----------
    ready : Population
        What the models learn from.
    sources : Sources
        Where the rows stood in their files.
    config : Config
        The question.
    """
    churn = config.churn
    e = _evidence(ready)
    found = [*alone(e), *marks(e)]
    not_asked = []
    if ready.as_of is None:
        not_asked.append(
            "whether a column knew it in time: nothing is dated, so that only what is too good "
            "to be true can be seen."
        )
    else:
        for told in (
            knows_the_end(e, ready.matrix, ready.as_of, churn),
            follows_the_log(e, ready.matrix, ready.as_of),
            fades(e, ready.matrix, churn.horizon_days),
        ):
            if isinstance(told, str):
                not_asked.append(told)
            else:
                found += told
    ids = e.rows["customer_id"]
    orders = id_orders(ids) | file_orders(sources, config, ids)
    ages, old = _ages(e, ready, churn.horizon_days)
    found += ordered(e, orders, ages, old)
    return Audit(tuple(found), e.X.shape[1], len(e.left), tuple(not_asked))


def _evidence(ready: Population) -> Evidence:
    """Take the rows that are judged: of the recently active, whose silence says nothing yet."""
    rows, left = ready.rows, ready.rows["churned"].to_numpy() == 1
    use = rows["active"].to_numpy(dtype=bool)
    if min(left[use].sum(), (~left)[use].sum()) < FEWEST:
        use = np.ones(len(rows), dtype=bool)
    places = np.flatnonzero(use)
    places = places[drawn(rows["customer_id"].iloc[places])]
    families = {c.name: c.feature for c in columns_of(ready.schema)}
    families |= {c: c for c in ready.X.columns if c not in families}
    picked = rows.iloc[places].reset_index(drop=True)
    return Evidence(picked, ready.X.iloc[places].reset_index(drop=True), left[places], families)


def _ages(e: Evidence, ready: Population, horizon_days: int) -> tuple[dict[str, Array], Flags]:
    """Return the measures of how long somebody is a customer, and whose age the log cuts off.

    Without dates any number may be such a measure.
    """
    names = AGES if ready.first_day else [c for c in e.X.columns if "=" not in c]
    ages = {c: e.column(c) for c in names if c in e.X.columns}
    old = np.zeros(len(e.left), dtype=bool)
    first = next(iter(ages), None)
    if ready.first_day and first not in (None, AGES[0]):
        log = (e.rows["cutoff"] - pd.Timestamp(ready.first_day)).dt.days.to_numpy()
        old = ages[str(first)] > log - 1 - horizon_days
    return ages, old


def leaks(
    config: Config, *, strict: bool = False, progress: Callable[[str], None] = lambda _: None
) -> Finding:
    """Prove that no feature sees the future, then audit what no proof can see.

    Where the label is not dated nothing can be proven, and the audit stands alone.

    Parameters
    ----------
    config : Config
        The checked config.
    strict : bool
        Whether any finding of the audit is a fault.
    progress : callable
        Told what is being done.

    Raises
    ------
    DataError
        If a change of the future reached a feature or, if strict, with every finding.
    """
    if config.churn.kind == "label":
        proof = Finding(
            "Point-in-time cannot be proven: neither the label nor the attributes are dated, so "
            "that nobody can tell what was known when. The audit alone was run.",
            {"proven": False},
        )
    else:
        proof = prove(config, progress=progress)
        proof = Finding(proof.text, proof.values | {"proven": True})
    with load(config) as sources:
        config, _ = settled(config, sources)
        progress("building features for the audit")
        try:
            ready = prepare(sources, config)
        except DataError as fault:  # the proof stands without labels to learn from
            found = Audit(
                (), 0, 0, (f"whether a column knows too much, for want of labels: {fault}",)
            )
        else:
            progress("looking for leaks")
            found = audit(ready, sources, config)
    if strict and found.alarms:
        raise DataError(listing("leak audit", [str(alarm) for alarm in found.alarms]))
    text = "\n".join([proof.text, *found.lines])
    return Finding(text, proof.values | {"audit": found.to_json()})
