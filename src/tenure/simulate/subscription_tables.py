"""The rows of the company of subscribers as tables, before dirt."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tenure.simulate import orders
from tenure.simulate.cells import flags, ids, in_order, levels, moments, money, stack, whole
from tenure.simulate.draws import Draws, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, REGIONS, WEEK, moment
from tenure.simulate.shop_tables import interactions, surveys, treatments
from tenure.simulate.subscribers import PLANS
from tenure.simulate.subscription_world import SubscriptionRun

__all__ = ["subscription_tables"]

_SECTORS = ("trade", "crafts", "services")
_SOURCES = ("search", "partner", "fair")
_EVENTS = ("report_opened", "plan_edited", "export_made", "outage", "payment_failed")
_GROUPS = ("use", "use", "use", "incident", "payment_failed")
_OUTAGE, _FAILURE = 3, 4
_TRIED_ON = (0, 3, 7)  # days after which a payment is tried


def subscription_tables(run: SubscriptionRun, draws: Draws) -> dict[str, pa.Table]:
    """Return the tables of a company of subscribers; what lies after the end is not known yet."""
    end = run.weeks * WEEK
    asked = in_order(stack(run.batches["tickets"]), "opened_at", end)
    return {
        "customers": _customers(run),
        "subscriptions": _subscriptions(run, end),
        "interactions": interactions(asked, end).drop_columns("transaction_id"),
        "surveys": surveys(
            draws, in_order(stack(run.batches["surveys"]), "sent", end), end
        ).drop_columns("transaction_id"),
        "events": _events(run, draws, end),
        "treatments": treatments(run.batches["contacts"], end),
    }


def _customers(run: SubscriptionRun) -> pa.Table:
    people = run.people
    return pa.table(
        {
            "customer_id": ids("C", np.arange(len(people))),
            "signup_at": moments(people.signup, NEVER),
            "contactable": flags(people.contactable),
            "region": levels(people.region, REGIONS),
            "sector": levels(people.sector, _SECTORS),
            "source": levels(people.source, _SOURCES),
        }
    )


def _subscriptions(run: SubscriptionRun, end: int) -> pa.Table:
    """Return a row for each plan, price, number of seats and yearly term."""
    rows = in_order(run.periods.rows(), "started_at", end)
    reason = rows["reason"]
    return pa.table(
        {
            "subscription_id": ids("U", rows["who"], rows["number"]),
            "customer_id": ids("C", rows["who"]),
            "started_at": moments(rows["started_at"], end),
            "ended_at": moments(rows["ended_at"], end),
            "end_reason": levels(
                np.maximum(reason - 1, 0), ("voluntary", "involuntary"),
                (reason > 0) & (rows["ended_at"] < end),
            ),
            "cancel_requested_at": moments(rows["cancel_requested_at"], end),
            "renews_at": moments(rows["renews_at"], NEVER),
            "trial_ends_at": moments(rows["trial_ends_at"], NEVER),
            "plan": levels(rows["plan"], PLANS),
            "mrr": money(rows["cents"]),
            "seats": whole(rows["seats"]),
        }
    )  # fmt: skip


def _events(run: SubscriptionRun, draws: Draws, end: int) -> pa.Table:
    """Return use, outages, and payments that failed with their retries."""
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []  # customer, moment, event, user
    for batch in run.batches["use"]:
        week, counts = int(batch["week"]), batch["counts"]
        some = np.flatnonzero(counts)
        who = np.repeat(some, counts[some])
        k = orders.ordinals(who)
        user = np.floor(draws.uniform(week, "user", who, k) * run.people.seats[who])
        what = draws.choice(week, "used", (3.0, 2.0, 1.0), who, k)
        parts.append((who, moment(draws, week, "used", who, k), what, user.astype(np.int64)))
    broke, failed = stack(run.batches["incidents"]), stack(run.batches["failures"])
    nobody = np.full(len(broke["who"]), -1)
    parts.append((broke["who"], broke["ts"], nobody * 0 + _OUTAGE, nobody))
    nobody = np.full(len(failed["who"]), -1)
    parts += [
        (failed["who"], failed["ts"] + days * DAY, nobody * 0 + _FAILURE, nobody)
        for days in _TRIED_ON
    ]
    who, at, what, user = (np.concatenate([p[i] for p in parts]) for i in range(4))
    order = np.lexsort((user, what, who, at))
    order = order[at[order] < end]
    who, at, what, user = who[order], at[order], what[order], user[order]
    return pa.table(
        {
            "customer_id": ids("C", who),
            "ts": moments(at, end),
            "event": levels(what, _EVENTS),
            "group": levels(what, _GROUPS),
            "user_id": ids("P", who, np.maximum(user, 0), where=user >= 0),
        }
    )
