"""How often each customer had an experience before a cutoff, and how bad it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from tenure.cutoffs import cutoff_table
from tenure.features.grouping import rows_of
from tenure.features.schema import Schema
from tenure.features.spec import VIEWS
from tenure.levers.registry import Lever

__all__ = ["Dosage", "exposures", "knots"]

WORST = 0.975  # doses beyond this quantile of the bad ones count as it
KEYS = ["customer_id", "cutoff"]


@dataclass(frozen=True)
class Dosage:
    """How a dose above a limit is cut into pieces, so that its effect need not be a line.

    Attributes
    ----------
    limit : float
        The dose that would be the most, in the lever's unit.
    edges : tuple of float
        From the limit to the largest dose that counts, in the lever's unit; ascending.
    """

    limit: float
    edges: tuple[float, ...]

    def spans(self) -> list[tuple[str, float, float]]:
        """Name each piece with its ends: `below` the limit, if there is room, then `above_<i>`."""
        below = [("below", 0.0, self.limit)] if self.limit > 0 else []
        above = zip(self.edges, self.edges[1:], strict=False)
        return [*below, *((f"above_{i}", lo, hi) for i, (lo, hi) in enumerate(above, 1))]

    @property
    def above(self) -> list[str]:
        """Names of the pieces above the limit."""
        return [f"above_{i}" for i in range(1, len(self.edges))]


def knots(
    lever: Lever, limit: float, tables: Mapping[str, ir.Table], days: Sequence[dt.date],
    zone: ZoneInfo, schema: Schema, window: int,
) -> Dosage | None:  # fmt: skip
    """Cut what lies above a limit at the middle case of those beyond it.

    Returns
    -------
    Dosage or None
        None where no dose lies above the limit.
    """
    rows = _rows(lever, tables, days, zone, schema, window)
    step = max(1, lever.per // 24)
    rough = rows.mutate(rough=(rows.dose / step).floor().cast("int64"))
    counts = rough.group_by("rough").agg(n=rough.count()).order_by("rough").to_pyarrow()
    dose = counts["rough"].to_numpy() * step / lever.per
    n = counts["n"].to_numpy()
    over = dose > limit
    if not n[over].sum():
        return None
    dose, n = dose[over], n[over]
    share = n.cumsum() / n.sum()
    half, most = (float(dose[np.searchsorted(share, q)]) for q in (0.5, WORST))
    edges = (limit, half, most) if limit < half < most else (limit, most)
    return Dosage(limit, edges)


def exposures(
    lever: Lever, dosage: Dosage | None, tables: Mapping[str, ir.Table], days: Sequence[dt.date],
    zone: ZoneInfo, schema: Schema, window: int,
) -> pd.DataFrame:  # fmt: skip
    """Add up each customer's experiences in the window before each cutoff, as known then.

    Parameters
    ----------
    lever, dosage
        What is counted, and how its dose is cut; without a dosage only the bad ones are counted.
    tables, days, zone, schema
        The logs, the cutoffs, the zone in which days begin, and the columns there are.
    window : int
        Days before the cutoff in which an experience began.

    Returns
    -------
    DataFrame
        One row a customer and cutoff with any opportunity: `customer_id`, `cutoff`, `n`
        (opportunities), `bad` (those beyond the lever's own limit), `worst` (largest dose, in the
        lever's unit), and the sum of each piece of the dosage over the opportunities.
    """
    rows = _rows(lever, tables, days, zone, schema, window)
    dose = rows.dose
    made: dict[str, ir.Value] = {
        "n": dose.count(),
        "bad": (dose > round(lever.limit * lever.per)).sum(),
        "worst": dose.max(),
    }
    for name, low, high in dosage.spans() if dosage else ():
        ends = round(low * lever.per), round(high * lever.per)
        made[name] = (dose.clip(*ends) - ends[0]).sum()
    told = rows.group_by("customer_id", "cutoff_day").agg(**made)
    ordered = told.order_by("customer_id", "cutoff_day")
    frame: pd.DataFrame = ordered.to_pyarrow().to_pandas()
    frame = frame.rename(columns={"cutoff_day": "cutoff"})
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    scaled = [c for c in made if c not in ("n", "bad")]
    frame[scaled] = frame[scaled].astype("float64") / lever.per
    return frame.astype({"n": "float64", "bad": "float64"})


def _rows(
    lever: Lever, tables: Mapping[str, ir.Table], days: Sequence[dt.date], zone: ZoneInfo,
    schema: Schema, window: int,
) -> ir.Table:  # fmt: skip
    """Return the experiences that began in the window, with their `dose`."""
    view = VIEWS[lever.view]
    cuts = ibis.memtable(cutoff_table(days, zone, windows=[window]))
    rows = rows_of(view, tables, cuts, schema)
    starts = cuts.select("cutoff_day", window_from=cuts[f"start_{window}d"])
    rows = rows.join(starts, "cutoff_day")
    rows = rows.filter(rows[view.at] >= rows.window_from)
    rows = rows.select("customer_id", "cutoff_day", dose=lever.dose(rows).cast("int64"))
    return rows.filter(rows.dose.notnull())
