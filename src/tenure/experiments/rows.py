"""Randomised contacts as rows: what was known before, which arm, and who left after.

Customers of one campaign whose contacts lie within a week are one test; its day is the first of
them. Features and the population are those of that day's local midnight, before any contact of the
test; the label window begins there too. Whether a customer of the contacted arm was really reached
does not matter: arms are compared as they were drawn (intention to treat).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tenure import labels
from tenure.config import ChurnConfig
from tenure.cutoffs import cutoff_table
from tenure.evaluation.bootstrap import customer_codes
from tenure.features.matrix import build
from tenure.features.schema import Schema
from tenure.snapshot import known

__all__ = ["MOST_DAYS", "Contacts", "Trial", "contacts", "features", "trial"]

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

MOST_DAYS = 6
"""Days of tests for which features are built, the newest."""
MOST_ROWS = 60_000
"""Contacts and controls that are read; of more, those of some customers, whoever they are."""
SAME_TEST_DAYS = 7
LEAST_ARM = 10  # customers of an arm, else a test compares nobody with somebody


@dataclass(frozen=True)
class Contacts:
    """Who took part in which test.

    Attributes
    ----------
    frame : DataFrame
        `customer_id`, `cutoff` (the test's day), `test`, `campaign`, `treated` and `cost` (NaN
        where it is not recorded), a row for each customer of a test.
    notes : tuple of str
        Why there is no test, or what was left out.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def days(self) -> tuple[dt.date, ...]:
        """The days for which features are needed."""
        found = () if self.frame.empty else sorted(self.frame["cutoff"].unique())
        return tuple(pd.Timestamp(day).date() for day in found)


@dataclass(frozen=True)
class Trial:
    """The rows of all tests, each with what was known before it.

    Attributes
    ----------
    X : DataFrame
        The features.
    left, treated, share : array
        Whether the customer left, was in the contacted arm, and the contacted arm's share of the
        test.
    test, customer : int array
        Numbers of the test and of the customer.
    tests : DataFrame
        `campaign` and `day` of each test, in the order of their numbers.
    cost : array
        As recorded, NaN where it is not.
    notes : tuple of str
        What was left out.
    """

    X: pd.DataFrame
    left: Array
    treated: NDArray[np.bool_]
    share: Array
    test: Ints
    customer: Ints
    tests: pd.DataFrame
    cost: Array
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.left)

    def take(self, some: NDArray[np.bool_]) -> Trial:
        """Keep some rows, the numbers of customers and tests, and each row's chance of its arm."""
        return Trial(
            self.X.iloc[some], self.left[some], self.treated[some], self.share[some],
            self.test[some], self.customer[some], self.tests, self.cost[some], self.notes,
        )  # fmt: skip


def contacts(
    tables: Mapping[str, ir.Table],
    first: dt.date | None,
    until: dt.date | None,
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> Contacts:
    """Find the randomised tests whose label is complete, of which the newest `MOST_DAYS` days.

    Parameters
    ----------
    tables : mapping of str to Table
        The logs.
    first, until : date or None
        Where the label's log begins, and the end of observation.
    zone, churn
        The zone in which days begin, and the question.
    """
    nothing = pd.DataFrame()
    if first is None or until is None or churn.kind == "label":
        return Contacts(nothing, ("The label has no date: what followed a contact is unknown.",))
    if "treatments" not in tables:
        return Contacts(nothing, ("There is no table of treatments, so no test to read.",))
    log = tables["treatments"]
    if "randomised" not in log.columns:
        why = (
            "treatments has no column `randomised`: who was contacted was chosen by somebody, and "
            "those chosen differ from the others. Nothing is proven by it."
        )
        return Contacts(nothing, (why,))
    rows = known("treatments", log, ibis.memtable(cutoff_table([until], zone)))
    rows = rows.filter(rows.randomised.fill_null(False))
    cost = rows.cost.cast("float64") if "cost" in log.columns else ibis.null("float64")
    rows = rows.filter(rows.day > ibis.literal(first))
    arms = rows.mutate(paid=cost).group_by("customer_id", "campaign", "day")
    told = arms.agg(
        treated=lambda t: t.treated.max(), held_out=lambda t: (~t.treated).max(),
        cost=lambda t: t.paid.sum(),
    )  # fmt: skip
    frame = told.order_by("campaign", "day", "customer_id").to_pyarrow().to_pandas()
    if frame.empty:
        return Contacts(nothing, ("No row of treatments is marked as randomised.",))
    return _complete(_joined(frame), until, churn)


def _joined(frame: pd.DataFrame) -> pd.DataFrame:
    """Join the days of a campaign that are one test, and each customer's rows in it.

    The arm is that of the customer's first row: one held out and contacted days later was drawn to
    be held out, and leaving them out would take from that arm alone.
    """
    frame = frame.sort_values(["campaign", "customer_id", "day"], ignore_index=True)
    days = pd.to_datetime(frame.pop("day"))
    first: dict[tuple[str, pd.Timestamp], pd.Timestamp] = {}
    begun: dict[str, pd.Timestamp] = {}
    pairs = pd.DataFrame({"campaign": frame["campaign"], "day": days}).drop_duplicates()
    for campaign, day in pairs.sort_values(["campaign", "day"]).itertuples(index=False):
        start = begun.get(campaign)
        if start is None or (day - start).days >= SAME_TEST_DAYS:
            begun[campaign] = start = day
        first[campaign, day] = start
    frame["cutoff"] = [first[pair] for pair in zip(frame["campaign"], days, strict=True)]
    frame["cutoff"] = frame["cutoff"].astype("datetime64[s]")
    frame["test"] = frame["campaign"] + " " + frame["cutoff"].dt.strftime("%Y-%m-%d")
    by = ["customer_id", "cutoff", "test", "campaign"]
    whole = frame.groupby(by, as_index=False).agg(
        treated=("treated", "first"), held_out=("held_out", "first"), cost=("cost", "sum")
    )
    known_cost = frame.groupby(by)["cost"].count().to_numpy() > 0
    whole["cost"] = whole["cost"].where(known_cost)
    return whole


def _complete(frame: pd.DataFrame, until: dt.date, churn: ChurnConfig) -> Contacts:
    """Keep tests with two arms and a complete label, the newest days of them."""
    notes = []
    both = (frame["treated"] & frame["held_out"]).to_numpy()
    if both.any():
        notes.append(f"{int(both.sum()):,} customers were in both arms on one day: left out.")
    frame = frame[~both].drop(columns="held_out")
    size = frame.groupby("test")["treated"].agg(["sum", "count"])
    smaller = np.minimum(size["sum"], size["count"] - size["sum"])
    thin = sorted(size.index[smaller < LEAST_ARM])
    if thin:
        notes.append(
            f"Without {LEAST_ARM} customers in each arm, so nothing to compare: {_some(thin)}."
        )
    frame = frame[~frame["test"].isin(thin)]
    last = pd.Timestamp(until - dt.timedelta(days=churn.complete_days))
    open_yet = sorted(frame.loc[frame["cutoff"] > last, "test"].unique())
    if open_yet:
        notes.append(
            f"Who left is known {churn.complete_days} days after a contact; too young at {until}: "
            f"{_some(open_yet)}."
        )
    frame = frame[frame["cutoff"] <= last]
    days = sorted(frame["cutoff"].unique())
    if len(days) > MOST_DAYS:
        older = frame.loc[frame["cutoff"] < days[-MOST_DAYS], "test"].nunique()
        notes.append(f"Of the {len(days)} days of tests the newest {MOST_DAYS} count: "
                     f"{older:,} older tests are left out.")  # fmt: skip
        frame = frame[frame["cutoff"] >= days[-MOST_DAYS]]
    if len(frame) > MOST_ROWS:
        drawn = pd.util.hash_array(frame["customer_id"].to_numpy(dtype=object)) / 2.0**64
        some = frame[drawn < MOST_ROWS / len(frame)]
        notes.append(f"Of {len(frame):,} contacts and controls {len(some):,} are read, those of "
                     "some customers, whoever they are.")  # fmt: skip
        frame = some
    return Contacts(frame.reset_index(drop=True), tuple(notes))


def _some(names: Sequence[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest:,} more" if rest > 0 else "")


def features(
    tables: Mapping[str, ir.Table],
    found: Contacts,
    schema: Schema,
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> pd.DataFrame:
    """Build the features of those who took part, at the midnight that begins their test.

    Apart from the cutoffs that models learn from, so that nothing of these days reaches them; a
    customer's features do not depend on who else is there.
    """
    who = sorted(set(found.frame["customer_id"]))
    ids = ibis.memtable(pa.table({"customer_id": pa.array(who, pa.string())}))
    few = {name: table.semi_join(ids, "customer_id") for name, table in tables.items()}
    matrix = build(few, found.days, zone, schema)
    return labels.beside(few, matrix, found.days, zone, churn)


def trial(
    tables: Mapping[str, ir.Table],
    found: Contacts,
    matrix: pd.DataFrame,
    columns: Sequence[str],
    zone: ZoneInfo,
    churn: ChurnConfig,
) -> Trial:
    """Put beside each contact what was known before it and whether the customer left after it.

    Only customers about whom the question is asked on the test's day (`status` scored) count: the
    others had left already, or cannot leave.

    Parameters
    ----------
    tables, zone, churn
        The logs, the zone in which days begin, and the question.
    found : Contacts
    matrix : DataFrame
        From `features`.
    columns : sequence of str
        The features.
    """
    frame = found.frame
    if frame.empty:
        return _empty(found, columns)
    here = matrix.reset_index(drop=True)
    stands = here[["customer_id", "cutoff"]].assign(
        place=np.arange(len(here)), scored=labels.statuses(here, churn) == "scored"
    )
    joint = frame.merge(stands, on=["customer_id", "cutoff"], how="left", validate="m:1")
    asked = joint["scored"].eq(True).to_numpy()
    notes = list(found.notes)
    if not asked.all():
        notes.append(
            f"{int((~asked).sum()):,} of {len(asked):,} contacts and controls were no customers "
            "who could leave on the test's day: the question is not about them."
        )
    joint = joint[asked].sort_values(["cutoff", "test", "customer_id"], ignore_index=True)
    two = joint.groupby("test")["treated"].transform("nunique") == 2
    joint = joint[two.to_numpy(dtype=bool)].reset_index(drop=True)
    if joint.empty:
        return _empty(Contacts(found.frame.iloc[:0], tuple(notes)), columns)
    left = labels.with_outcome(tables, joint, found.days, zone, churn).astype(np.float64)
    number, names = pd.factorize(joint["test"])
    tests = joint.drop_duplicates("test").set_index("test").loc[names, ["campaign", "cutoff"]]
    return Trial(
        X=here.loc[joint["place"].astype(int), list(columns)].reset_index(drop=True),
        left=left,
        treated=joint["treated"].to_numpy(dtype=bool),
        share=joint.groupby("test")["treated"].transform("mean").to_numpy(dtype=np.float64),
        test=number.astype(np.intp),
        customer=customer_codes(joint)[0],
        tests=tests.rename(columns={"cutoff": "day"}).reset_index(drop=True),
        cost=joint["cost"].to_numpy(dtype=np.float64),
        notes=tuple(notes),
    )


def _empty(found: Contacts, columns: Sequence[str]) -> Trial:
    none, whole = np.empty(0), np.empty(0, dtype=np.intp)
    X = pd.DataFrame(columns=list(columns), dtype=np.float64)
    return Trial(
        X, none, none.astype(bool), none, whole, whole, pd.DataFrame(), none, found.notes
    )  # fmt: skip
