"""The shop's rows as the tables a company would hand over, before dirt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.simulate import orders, tickets
from tenure.simulate import surveys as surveys_
from tenure.simulate.cells import (
    flags,
    ids,
    in_order,
    is_known,
    levels,
    moments,
    money,
    stack,
    whole,
)
from tenure.simulate.draws import Draws, Ints
from tenure.simulate.orders import NEVER
from tenure.simulate.people import DAY, DEVICES, HOUR, REGIONS, SEGMENTS, WEEK, moment
from tenure.simulate.shop import Run

__all__ = ["interactions", "shop_tables", "surveys", "treatments"]

_TOUCHPOINTS = ("relationship", "support", "support", "delivery")
_COMMENTS = (
    "Not what I expect.", "It took too long.", "It was all right.", "Good, thank you.",
    "Very happy, as always.",
)  # fmt: skip
_LATE_COMMENTS = ("The parcel has not come yet.", "The parcel came late.")
_REFUNDED = 0.7
_CAMPAIGNS = ("care_call",)


def shop_tables(run: Run, draws: Draws) -> dict[str, pa.Table]:
    """Return the tables of a shop; what lies after the last week is not known yet."""
    end = run.weeks * WEEK
    bought, asked = stack(run.batches["orders"]), stack(run.batches["tickets"])
    sold = in_order(bought, "ts", end)
    opened = in_order(asked, "opened_at", end)
    return {
        "customers": _customers(run),
        "transactions": pa.concat_tables([_orders(sold, end), _refunds(draws, bought, asked, end)]),
        "interactions": interactions(opened, end),
        "surveys": surveys(draws, in_order(stack(run.batches["surveys"]), "sent", end), end),
        "events": _events(run, draws, sold, end),
        "treatments": treatments(run.batches["contacts"], end),
    }


def _customers(run: Run) -> pa.Table:
    people = run.people
    return pa.table(
        {
            "customer_id": ids("C", np.arange(len(people))),
            "signup_at": moments(people.signup, NEVER),
            "contactable": flags(people.contactable),
            "region": levels(people.region, REGIONS),
            "segment": levels(people.segment, SEGMENTS),
            "device": levels(people.device, DEVICES),
        }
    )


def _orders(rows: dict[str, Ints], end: int) -> pa.Table:
    sent = rows["promised_at"] != NEVER
    n = len(rows["who"])
    return pa.table(
        {
            "transaction_id": ids("T", rows["who"], rows["code"]),
            "customer_id": ids("C", rows["who"]),
            "ts": moments(rows["ts"], end),
            "amount": money(rows["cents"]),
            "kind": levels(np.zeros(n, np.int64), ("purchase",)),
            "cancelled_at": moments(rows["cancelled_at"], end),
            "channel": levels(rows["channel"], orders.CHANNELS),
            "category": levels(rows["category"], orders.CATEGORIES),
            "partner": levels(rows["carrier"], orders.CARRIERS, sent),
            "quantity": whole(rows["quantity"]),
            "discount": money(rows["discount"]),
            "promised_at": moments(rows["promised_at"], NEVER),
            "delivered_at": moments(rows["delivered_at"], end),
        }
    )


def _refunds(draws: Draws, bought: dict[str, Ints], asked: dict[str, Ints], end: int) -> pa.Table:
    """Pay back what was sent back, when the ticket about it is resolved."""
    returns = (asked["kind"] == 3) & (asked["resolved_at"] < end)
    who, order = asked["who"][returns], asked["order"][returns]
    at = asked["resolved_at"][returns]
    key = bought["who"] * 2**32 + bought["code"]
    place = np.argsort(key, kind="stable")
    row = place[np.searchsorted(key, who * 2**32 + order, sorter=place)]
    paid = draws.uniform(-1, "refunded", who, order) < _REFUNDED
    share = np.where(draws.uniform(-1, "refunded share", who, order) < 0.6, 1.0, 0.5)
    cents = -np.round(bought["cents"][row] * share).astype(np.int64)
    picked = {name: values[row][paid] for name, values in bought.items()}
    nothing = np.full(int(paid.sum()), NEVER)
    rows = picked | {
        "ts": at[paid], "cents": cents[paid], "discount": nothing * 0, "cancelled_at": nothing,
        "promised_at": nothing, "delivered_at": nothing,
    }  # fmt: skip
    table = _orders(rows, end)
    table = table.set_column(0, "transaction_id", ids("R", rows["who"], rows["code"]))
    kinds = levels(np.zeros(len(rows["who"]), np.int64), ("refund",))
    return table.set_column(table.schema.get_field_index("kind"), "kind", kinds)


def interactions(rows: dict[str, Ints], end: int) -> pa.Table:
    """Return tickets; counts stand once they are closed."""
    done = is_known(rows["closed_at"], end)
    answered = is_known(rows["first_response_at"], end)
    facts = ("first_response_at", "resolved_at", "closed_at", "reopened_at", "escalated_at")
    return pa.table(
        {
            "interaction_id": ids("K", rows["who"], rows["code"]),
            "customer_id": ids("C", rows["who"]),
            "opened_at": moments(rows["opened_at"], end),
            **{name: moments(rows[name], end) for name in facts},
            "direction": levels(rows["direction"], ("in", "out")),
            "kind": levels(rows["kind"], tickets.KINDS),
            "channel": levels(rows["channel"], tickets.CHANNELS),
            "topic": levels(rows["topic"], tickets.TOPICS),
            "transaction_id": ids("T", rows["who"], rows["order"], where=rows["order"] >= 0),
            "wait_seconds": whole(rows["wait_seconds"], answered),
            "replies": whole(rows["replies"], done),
            "handoffs": whole(rows["handoffs"], done),
            "reopens": whole(rows["reopens"], done),
        }
    )


def surveys(draws: Draws, rows: dict[str, Ints], end: int) -> pa.Table:
    """Return surveys; a few are loaded days late, a few are corrected later."""
    who, code, kind = rows["who"], rows["code"] * 4 + rows["kind"], rows["kind"]
    week = rows["sent"] // WEEK
    which = week * 2**24 + code
    answered = is_known(rows["answered_at"], end)
    known = np.where(answered, rows["answered_at"], rows["sent"])
    late = draws.uniform(-1, "loaded late", who, which) < 0.03
    delay = np.where(late, 1 + 5 * draws.uniform(-1, "loaded", who, which), 1 / 24)
    top = np.array([high for _, high in surveys_.SCALES])[kind]
    worded = answered & (draws.uniform(-1, "worded", who, which) < 0.3)
    words = np.minimum(5 * rows["score"] // (top + 1), 4)
    words = np.where(rows["untimely"], 5, np.where((kind == 3) & (words < 2), 6, words))
    table = pa.table(
        {
            "survey_id": ids("S", who, week, code),
            "customer_id": ids("C", who),
            "kind": levels(kind, surveys_.KINDS),
            "sent_at": moments(rows["sent"], end),
            "answered_at": moments(rows["answered_at"], end),
            "score": whole(rows["score"], answered),
            "touchpoint": levels(kind, _TOUCHPOINTS),
            "transaction_id": ids("T", who, rows["order"], where=rows["order"] >= 0),
            "interaction_id": ids("K", who, rows["ticket"], where=rows["ticket"] >= 0),
            "replied_at": moments(rows["replied_at"], end),
            "comment": levels(words, _COMMENTS + _LATE_COMMENTS, worded),
            "loaded_at": moments((known + delay * DAY).astype(np.int64), NEVER),
        }
    )
    corrected = answered & (draws.uniform(-1, "corrected", who, which) < 0.004)
    again = table.filter(pa.array(corrected))
    score = np.where(rows["score"] > 1, rows["score"] - 1, rows["score"] + 1)[corrected]
    loaded = (known + (delay + 7) * DAY).astype(np.int64)[corrected]
    again = again.set_column(5, "score", whole(score))
    again = again.set_column(again.num_columns - 1, "loaded_at", moments(loaded, NEVER))
    both = pa.concat_tables([table, again])
    last = moments(np.array([end - 1]), NEVER)[0]
    return both.filter(pc.less_equal(both["loaded_at"], last))


def _events(run: Run, draws: Draws, sold: dict[str, Ints], end: int) -> pa.Table:
    """Return visits, abandoned carts, mails sent, and points redeemed with an order."""
    parts: list[tuple[Ints, Ints, Ints]] = []  # customer, moment, number of the event
    for batch in run.batches["visits"]:
        week, counts = int(batch["week"]), batch["counts"]
        some = np.flatnonzero(counts)
        who = np.repeat(some, counts[some])
        at = moment(draws, week, "visit", who, k := orders.ordinals(who))
        cart = draws.uniform(week, "cart", who, k) < 0.2
        parts.append((who, at, np.zeros(len(who), np.int64)))
        parts.append((who[cart], at[cart] + 300, np.ones(int(cart.sum()), np.int64)))
    for batch in run.batches["mails"]:
        who, week = batch["who"], int(batch["week"])
        at = week * WEEK + DAY + 7 * HOUR + np.floor(
            HOUR * draws.uniform(week, "mail", who)).astype(np.int64)  # fmt: skip
        parts.append((who, at, np.full(len(who), 2)))
    redeems = draws.uniform(-1, "redeems", sold["who"], sold["code"]) < 0.1
    parts.append((sold["who"][redeems], sold["ts"][redeems], np.full(int(redeems.sum()), 3)))
    who, at, what = (np.concatenate([p[i] for p in parts]) for i in range(3))
    order = np.lexsort((what, who, at))
    order = order[at[order] < end]
    who, at, what = who[order], at[order], what[order]
    app = (run.people.device[who] < 2).astype(np.int64)
    return pa.table(
        {
            "customer_id": ids("C", who),
            "ts": moments(at, end),
            "event": levels(what, ("visit", "cart_left", "newsletter", "points_redeemed")),
            "group": levels(what, ("visit", "cart", "email", "loyalty")),
            "channel": levels(app, ("web", "app"), what < 2),
        }
    )


def treatments(batches: list[dict[str, Any]], end: int) -> pa.Table:
    """Return who took part in the campaigns, and who of them was contacted."""
    empty = np.array([], dtype=np.int64)
    who = np.concatenate([empty, *(b["who"] for b in batches)])
    treated = np.concatenate([empty, *(b["treated"] for b in batches)]).astype(bool)
    week = np.concatenate([empty, *(np.full(len(b["who"]), b["week"]) for b in batches)])
    return pa.table(
        {
            "customer_id": ids("C", who),
            "ts": moments(week * WEEK + 9 * HOUR, end),
            "campaign": levels(np.zeros(len(who), np.int64), _CAMPAIGNS),
            "treated": flags(treated),
            "randomised": flags(np.ones(len(who))),
            "cost": money(np.where(treated, 150, 0)),
        }
    )
