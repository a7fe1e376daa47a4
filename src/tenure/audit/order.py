"""Ids and orders of rows that know who left, beyond how long somebody is a customer."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import numpy as np
import pandas as pd

from tenure.audit.evidence import FEWEST, Alarm, Evidence
from tenure.audit.ranks import Array, Flags, power, ranked
from tenure.config import Config
from tenure.contract import TABLES
from tenure.matching import WHO
from tenure.sources import Sources

__all__ = ["file_orders", "id_orders", "ordered"]

BLOCK = 25
"""Rows of like age that are compared with each other."""
CLEAR, CLEAR_IF_OLD = 0.05, 0.15
"""AUC beyond .5; where the log cuts off how old its customers are, ids may know it better."""

ADVICE = (
    "No feature is made of it, but ids or files that are ordered by the outcome were made after "
    "it: ask how, and what else in them was."
)


def id_orders(ids: pd.Series) -> dict[str, Array]:
    """Return the place of ids by their letters and, where they end in digits, by that number."""
    text = ids.astype(str)
    orders: dict[str, Array] = {"the order of ids as text": _places(text)}
    digits = text.str.extract(r"(\d{1,18})$")[0]
    if digits.notna().all():
        orders["the order of ids as numbers"] = digits.to_numpy(dtype=np.float64)
    return orders


def file_orders(sources: Sources, config: Config, ids: pd.Series) -> dict[str, Array]:
    """Return the place of each customer's earliest row in the files that say who is one.

    The earliest by date, so that a log written newest first does not tell who came last. Rows of
    a query are left out: their order is the engine's.
    """
    orders = {}
    for name in (n for n in WHO if n in sources.tables and config.data.tables[n].sql is None):
        rows = sources.con.table(name)  # as stored, in the order read
        start = TABLES[name].start(rows.columns)
        rows = rows.select("customer_id", at=rows[start] if start else 0, row=rows.rowid())
        place = rows.row.argmin(ibis.struct({"at": rows["at"], "row": rows.row}))
        told = rows.group_by("customer_id").agg(place=place).to_pyarrow()
        places = pd.Series(told["place"].to_numpy(), told["customer_id"].to_pylist(), np.float64)
        orders[f"the order of rows in {name}"] = ids.map(places).to_numpy(np.float64)
    return orders


def _places(text: pd.Series) -> Array:
    places: Array = np.unique(text.to_numpy(dtype=object), return_inverse=True)[1].astype(
        np.float64
    )
    return places


def ordered(
    e: Evidence, orders: Mapping[str, Array], ages: Mapping[str, Array], old: Flags
) -> list[Alarm]:
    """Find orders that tell leavers from stayers of the same age.

    Old customers have small ids, and leave less. So each row is compared with the 25 nearest of
    its cutoff in the age that goes with the order most, and only its rank among them counts.

    Parameters
    ----------
    e : Evidence
        The rows.
    orders : mapping
        For each order its place of each row, NaN where it has none.
    ages : mapping
        For each measure of age its value of each row.
    old : array of bool
        Whose age the log does not know, as they were customers when it began.
    """
    known = ~old
    enough = min(e.left[known].sum(), (~e.left[known]).sum()) >= FEWEST
    limit = CLEAR if enough else CLEAR_IF_OLD
    found = []
    for name, place in orders.items():
        use = ~np.isnan(place) & (known if enough else True)
        left = e.left[use]
        if min(left.sum(), (~left).sum()) < FEWEST:
            continue
        age = _age(place[use], {k: v[use] for k, v in ages.items()})
        rank = _within_blocks(e.rows[use], place[use], age)
        said = power(rank, left, e.customer[use], e.customers)
        if said.strong.auc - 0.5 - e.z * said.error < limit:
            continue
        evidence = (
            f"of a leaver and a stayer among customers{' of like age' if ages else ''} the leaver "
            f"comes {'later' if said.auc > 0.5 else 'earlier'} in {100 * said.strong.auc:.0f} of "
            f"100 pairs (50 is a coin; {len(left):,} rows, {int(left.sum()):,} left{e.span()})."
        )
        figures = {"auc": said.auc, "error": said.error, "rows": len(left)}
        found.append(Alarm("order", name, evidence, ADVICE, figures))
    return found


def _age(place: Array, ages: Mapping[str, Array]) -> Array:
    """Return the measure of age that goes with the order most; all equal where there is none."""
    if not ages:
        return np.zeros(len(place))
    mine = ranked(place)
    return max(ages.values(), key=lambda age: abs(float(mine @ ranked(age))))


def _within_blocks(rows: pd.DataFrame, place: Array, age: Array) -> Array:
    """Return each row's rank by place, 0 to 1, among rows of its cutoff and of like age."""
    lot = pd.util.hash_array(rows["customer_id"].to_numpy(dtype=object))
    frame = pd.DataFrame(
        {"cutoff": rows["cutoff"].to_numpy(), "age": age, "lot": lot, "place": place}
    )
    by_age = frame.sort_values(["cutoff", "age", "lot"])
    block = by_age.groupby("cutoff", dropna=False).cumcount() // BLOCK
    within = by_age.groupby([by_age["cutoff"], block], dropna=False)["place"]
    rank = (within.rank() - 0.5) / within.transform("size")
    return rank.reindex(frame.index).to_numpy(dtype=np.float64)
