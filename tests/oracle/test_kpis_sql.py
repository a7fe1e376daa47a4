"""Every figure recomputed from the raw typed tables by plain SQL and a few lines of Python.

Nothing is shared with the implementation but names. A row of an oracle is what one order, ticket or
answer adds: `month`, the groups, and `y` (or `y` and `x`, or `seconds` and `ended`).
"""

# ruff: noqa: E501  (SQL is easier to read unbroken)

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tenure.config import Config
from tenure.kpis import FIGURES, compute

ZONE, UNTIL = "Europe/Berlin", dt.date(2025, 3, 1)
HORIZON, GAP, ACTIVE, GRACE = 45, 3, 60, 20
KINDS = {
    "id": pa.string(), "text": pa.string(), "instant": pa.timestamp("us"), "flag": pa.bool_(),
    "money": pa.decimal128(18, 4), "number": pa.decimal128(18, 4), "whole": pa.int64(),
    "day": pa.date32(),
}  # fmt: skip
COLUMNS = {
    "customers": {"customer_id": "id", "signup_at": "instant", "contactable": "flag",
                  "attribute[region]": "text"},
    "transactions": {"customer_id": "id", "ts": "instant", "amount": "money", "kind": "text",
                     "transaction_id": "id", "channel": "text", "category": "text",
                     "partner": "text", "discount": "money", "promised_at": "instant",
                     "delivered_at": "instant", "cancelled_at": "instant", "day": "day",
                     "cancelled_day": "day"},
    "interactions": {"customer_id": "id", "interaction_id": "id", "opened_at": "instant",
                     "first_response_at": "instant", "resolved_at": "instant",
                     "closed_at": "instant", "reopened_at": "instant", "direction": "text",
                     "kind": "text", "channel": "text", "topic": "text", "transaction_id": "id",
                     "day": "day"},
    "surveys": {"customer_id": "id", "survey_id": "id", "sent_at": "instant",
                "answered_at": "instant", "replied_at": "instant", "kind": "text",
                "score": "number", "touchpoint": "text", "transaction_id": "id",
                "interaction_id": "id"},
    "subscriptions": {"customer_id": "id", "subscription_id": "id", "started_at": "instant",
                      "ended_at": "instant", "trial_ends_at": "instant", "mrr": "money",
                      "day": "day", "ended_day": "day"},
    "events": {"customer_id": "id", "ts": "instant", "event": "text", "group": "text",
               "day": "day"},
    "treatments": {"customer_id": "id", "ts": "instant", "campaign": "text", "treated": "flag",
                   "randomised": "flag", "cost": "money", "day": "day"},
}  # fmt: skip
DAYS = {"transactions": ("day", "ts"), "interactions": ("day", "opened_at"),
        "subscriptions": ("day", "started_at"), "events": ("day", "ts"),
        "treatments": ("day", "ts")}  # fmt: skip


def utc(local):
    return local.replace(tzinfo=ZoneInfo(ZONE)).astimezone(dt.UTC).replace(tzinfo=None)


def local_day(moment):
    return moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(ZONE)).date()


class Draw:
    """Random moments and choices."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def day(self, first=dt.date(2024, 1, 1), last=dt.date(2025, 4, 20)):
        return first + dt.timedelta(days=int(self.rng.integers((last - first).days)))

    def moment(self, **bounds):
        seconds = int(self.rng.integers(86400)) if self.rng.random() < 0.9 else 0
        start = dt.datetime.combine(self.day(**bounds), dt.time())
        return utc(start + dt.timedelta(seconds=seconds))

    def later(self, moment, hours, share=1.0):
        if self.rng.random() > share:
            return None
        return moment + dt.timedelta(seconds=int(self.rng.exponential(hours * 3600)))

    def one(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def money(self, most):
        return Decimal(int(self.rng.integers(100, most * 10_000))) / 10_000


def rows_of(seed=5, people=70):
    """Draw a company with every table, a part of it dated after the end of observation."""
    d = Draw(seed)
    ids = [f"c{i:02d}" for i in range(people)]
    orders, tickets, surveys, subs = [], [], [], []
    first = utc(dt.datetime(2024, 1, 1, 8))
    for i, who in enumerate(ids):
        for k in range(int(d.rng.integers(1, 16))):
            ts = first if (i, k) == (0, 0) else d.moment()
            back = d.rng.random() < 0.08
            promised = ts + dt.timedelta(hours=72) if d.rng.random() < 0.9 else None
            orders.append(
                {"customer_id": who, "ts": ts, "transaction_id": f"o{len(orders)}",
                 "amount": d.money(90) * (-1 if back else 1) * (0 if d.rng.random() < 0.02 else 1),
                 "kind": "refund" if back else "purchase", "channel": d.one("web", "Shop", "fax", None),
                 "category": d.one("a", "b"), "partner": d.one("P1", "P2", None),
                 "discount": d.one(None, d.money(5)), "promised_at": promised,
                 "delivered_at": d.later(ts, 60, 0.85), "cancelled_at": d.later(ts, 200, 0.06)}
            )  # fmt: skip
    for k in range(320):
        opened = first if k == 0 else d.moment()
        resolved = d.later(opened, 40, 0.8)
        closed = None if resolved is None else d.later(resolved, 30, 0.5)
        order = orders[int(d.rng.integers(len(orders)))]
        tickets.append(
            {"customer_id": order["customer_id"], "interaction_id": f"t{k}", "opened_at": opened,
             "first_response_at": d.later(opened, 15, 0.85), "resolved_at": resolved,
             "closed_at": closed, "direction": d.one("in", "in", None, "out"),
             "reopened_at": None if resolved is None else d.later(resolved, 20, 0.15),
             "kind": d.one("complaint", "request", "question", None),
             "channel": d.one("email", "branch"), "topic": d.one("bill", "parcel", None),
             "transaction_id": d.one(None, order["transaction_id"])}
        )  # fmt: skip
    top = {"nps": 10, "csat": 5, "ces": 7, "review": 5}
    for k in range(900):
        order = orders[int(d.rng.integers(len(orders)))]
        kind = d.one("nps", "nps", "csat", "ces", "review", "exit")
        sent = d.moment() if d.rng.random() < 0.5 else d.later(order["ts"], 60)
        answered = d.later(sent, 50, 0.6)
        score = None
        if answered is not None and kind in top and d.rng.random() < 0.95:
            score = Decimal(int(d.rng.integers(0 if kind == "nps" else 1, top[kind] + 1)))
        surveys.append(
            {"customer_id": order["customer_id"], "survey_id": f"s{k}", "sent_at": sent,
             "answered_at": answered, "kind": kind, "score": score,
             "replied_at": None if answered is None else d.later(answered, 120, 0.5),
             "touchpoint": d.one(None, None, "relationship", "checkout"),
             "transaction_id": d.one(None, order["transaction_id"]),
             "interaction_id": d.one(None, None, None, f"t{k % 300}")}
        )  # fmt: skip
    for who in ids[:55]:
        for k in range(int(d.rng.integers(1, 4))):
            start = d.moment(last=dt.date(2025, 3, 20))
            end = d.later(start, 24 * 120, 0.8)
            subs.append(
                {"customer_id": who, "subscription_id": f"{who}-{k}", "started_at": start,
                 "ended_at": end, "mrr": d.money(30),
                 "trial_ends_at": d.one(None, start + dt.timedelta(days=14))}
            )  # fmt: skip
    events = [
        {"customer_id": d.one(*ids), "ts": d.moment(), "event": "x",
         "group": d.one("email", "email", "use")} for _ in range(400)
    ]  # fmt: skip
    treated = [
        {"customer_id": who, "ts": d.moment(), "campaign": campaign,
         "treated": d.one(True, False), "randomised": d.one(True, True, True, False, None),
         "cost": d.one(None, Decimal("1.5"), Decimal("0.75"))}
        for who in ids for campaign in ("spring", "fall")
    ]  # fmt: skip
    people = [
        {"customer_id": who, "signup_at": d.one(None, first), "contactable": d.one(True, False, None),
         "attribute[region]": d.one("north", "south", None)} for who in ids
    ]  # fmt: skip
    return {"customers": people, "transactions": orders, "interactions": tickets,
            "surveys": surveys, "subscriptions": subs, "events": events,
            "treatments": treated}  # fmt: skip


def typed_tables(con, rows, loaded=()):
    tables = {}
    for name, listed in rows.items():
        columns = COLUMNS[name] | ({"loaded_at": "instant"} if name in loaded else {})
        for row in listed:
            if name in DAYS:
                day, at = DAYS[name]
                row[day] = local_day(row[at])
            for day, at in (("cancelled_day", "cancelled_at"), ("ended_day", "ended_at")):
                if row.get(at) is not None:
                    row[day] = local_day(row[at])
        data = {
            c: pa.array([row.get(c) for row in listed], KINDS[kind]) for c, kind in columns.items()
        }
        tables[name] = con.create_table(name, pa.table(data), overwrite=True)
    return tables


def config(**more):
    tables = {name: {"path": "x.csv"} for name in COLUMNS}
    return Config.model_validate(
        {"project": "t", "timezone": ZONE, "data": {"tables": tables},
         "churn": {"horizon_days": HORIZON, "gap_days": GAP, "active_within_days": ACTIVE,
                   "grace_days": GRACE},
         "experience": {"support_hours": {"mon-fri": "09:00-17:00", "sat": "10:00-14:00"}},
         **more}
    )  # fmt: skip


END = utc(dt.datetime.combine(UNTIL, dt.time()))
MONTHS = [dt.date(2024 + i // 12, i % 12 + 1, 1) for i in range(14)]

# Facts of the future are not known: every table is cut at the end, and so is every fact in it.
CUT = {
    "t": "SELECT * REPLACE (CASE WHEN delivered_at < {e} THEN delivered_at END AS delivered_at, "
         "CASE WHEN cancelled_at < {e} THEN cancelled_at END AS cancelled_at) "
         "FROM transactions WHERE ts < {e}",
    "b": "SELECT * FROM t WHERE kind = 'purchase' AND amount > 0",
    "ledger": "SELECT customer_id, ts, amount FROM t UNION ALL "
              "SELECT customer_id, greatest(ts, cancelled_at), -amount FROM t "
              "WHERE cancelled_at IS NOT NULL AND kind = 'purchase'",
    "i": "SELECT * REPLACE (CASE WHEN first_response_at < {e} THEN first_response_at END AS "
         "first_response_at, CASE WHEN resolved_at < {e} THEN resolved_at END AS resolved_at, "
         "CASE WHEN closed_at < {e} THEN closed_at END AS closed_at, "
         "CASE WHEN reopened_at < {e} THEN reopened_at END AS reopened_at), "
         "FROM interactions WHERE opened_at < {e} AND direction IS DISTINCT FROM 'out'",
    "s": "SELECT * REPLACE (CASE WHEN answered_at < {e} THEN answered_at END AS answered_at, "
         "CASE WHEN answered_at < {e} THEN score END AS score, "
         "CASE WHEN replied_at < {e} THEN replied_at END AS replied_at) "
         "FROM surveys WHERE sent_at < {e}",
    "u": "SELECT * REPLACE (CASE WHEN ended_at < {e} THEN ended_at END AS ended_at) "
         "FROM subscriptions WHERE started_at < {e}",
    # a ticket is over at the first of its ends, unless it was opened again after that end
    "d": "SELECT *, least(CASE WHEN reopened_at >= resolved_at THEN NULL ELSE resolved_at END, "
         "CASE WHEN reopened_at >= closed_at THEN NULL ELSE closed_at END) AS done_at FROM i",
    "region": 'SELECT customer_id, "attribute[region]" AS region FROM customers',
    "late": "SELECT *, delivered_at IS NULL OR delivered_at > promised_at AS is_late FROM b "
            "WHERE promised_at < {e} AND NOT coalesce(cancelled_at < promised_at, false)",
    # a survey dated without a time was sent by the end of that day
    "sent": "SELECT customer_id, sent_at AS moment, 'survey' AS contact, transaction_id AS link, "
            "touchpoint, CASE WHEN local(sent_at) = date_trunc('day', local(sent_at)) "
            "THEN sent_at + INTERVAL 1 DAY ELSE sent_at END AS by_ FROM s "
            "UNION ALL SELECT customer_id, ts, 'email', NULL, NULL, ts FROM events "
            "WHERE \"group\" = 'email' AND ts < {e}",
    "cuts": "SELECT month, utc(month) AS at, utc(month - 365) AS year_ago, "
            "utc(month + {gap}) AS opens, utc(month + {label}) AS closes FROM months "
            "WHERE month + {label} <= DATE '{until}' AND month > DATE '2024-01-01'",
    "leaving": "SELECT c.month, c.at, c.year_ago, c.opens, c.closes, p.customer_id, "
               "NOT EXISTS (FROM b WHERE b.customer_id = p.customer_id AND b.day >= c.month + {gap} "
               "AND b.day < c.month + {label}) AS churned "
               "FROM cuts c, (SELECT DISTINCT customer_id FROM b) p "
               "WHERE EXISTS (FROM b WHERE b.customer_id = p.customer_id AND b.day < c.month "
               "AND b.day >= c.month - {active})",
    "bad": "SELECT customer_id, promised_at AS at FROM late WHERE is_late UNION ALL "
           "SELECT customer_id, opened_at + INTERVAL 24 HOUR FROM d WHERE "
           "coalesce(first_response_at, done_at, {e}) > opened_at + INTERVAL 24 HOUR UNION ALL "
           "SELECT customer_id, answered_at FROM s WHERE (kind = 'nps' AND score <= 6) OR "
           "(kind = 'csat' AND score <= 2) OR (kind = 'review' AND score <= 2) OR "
           "(kind = 'ces' AND score <= 3)",
    # rows of a subscription end where the next one starts; a pause within the grace is no end
    "paid": "SELECT customer_id, greatest(started_at, coalesce(trial_ends_at, started_at)) AS start, "
            "CASE WHEN next_at >= ended_at AND loc(next_at) - loc(ended_at) <= {grace} "
            "THEN next_at ELSE ended_at END AS stop, mrr FROM (SELECT *, lead(started_at) OVER ("
            "PARTITION BY customer_id ORDER BY started_at) AS next_at FROM u)",
    "mrr": "SELECT p.customer_id, m.month, coalesce(sum(mrr) FILTER (start < utc(m.month) AND "
           "coalesce(stop >= utc(m.month), true)), 0) AS a, coalesce(sum(mrr) FILTER ("
           "start < utc(m.next) AND coalesce(stop >= utc(m.next), true)), 0) AS z, "
           "coalesce(bool_or(start < utc(m.month)), false) AS before FROM paid p, months m "
           "GROUP BY ALL",
}  # fmt: skip
TICKET = "mon(opened_at) AS month, channel, topic, region, customer_id FROM d LEFT JOIN region USING (customer_id)"
BY = {"channel", "topic", "partner", "touchpoint", "region", "category", "contact", "request",
      "bad_experiences", "score_band", "campaign", "months_since", "channel_kind"}  # fmt: skip
ORDER = "channel, category, partner, region, customer_id"
SCORES = ("SELECT mon(answered_at) AS month, touchpoint, region, customer_id, {y} AS y FROM s LEFT JOIN "
          "region USING (customer_id) WHERE score IS NOT NULL AND {w}")  # fmt: skip
NPS = "CASE WHEN score >= 9 THEN 100 WHEN score <= 6 THEN -100 ELSE 0 END"
LINKED = ("(transaction_id IS NOT NULL OR interaction_id IS NOT NULL OR "
          "coalesce(touchpoint <> 'relationship', false))")  # fmt: skip
SENT = "SELECT mon(moment) AS month, contact, touchpoint, customer_id, {y} AS y FROM sent"
PARCEL = """EXISTS (FROM b WHERE b.customer_id = sent.customer_id AND b.ts <= sent.by_
    AND (b.promised_at IS NOT NULL OR b.delivered_at IS NOT NULL)
    AND coalesce(b.delivered_at, {e}) > sent.by_ AND coalesce(b.cancelled_at, {e}) > sent.by_
    AND coalesce(b.transaction_id = sent.link, true))"""
OPEN = """EXISTS (FROM i WHERE i.customer_id = sent.customer_id AND i.opened_at < sent.moment
    AND ((NOT coalesce(resolved_at <= sent.moment, false) AND NOT coalesce(closed_at <= sent.moment, false))
      OR (coalesce(reopened_at <= sent.moment, false)
        AND NOT coalesce(resolved_at <= sent.moment AND resolved_at > reopened_at, false)
        AND NOT coalesce(closed_at <= sent.moment AND closed_at > reopened_at, false))))"""
BACKLOG = OPEN.split("sent.customer_id AND ", 1)[1].removesuffix(")")
LEFT = """SELECT l.month, region, CASE WHEN bad >= 3 THEN '3+' ELSE CAST(bad AS VARCHAR) END AS
    bad_experiences, customer_id, {y} AS y FROM (SELECT *, (SELECT count(*) FROM bad
    WHERE bad.customer_id = l.customer_id AND bad.at < l.at AND bad.at >= l.year_ago) AS bad
    FROM leaving l) l LEFT JOIN region USING (customer_id)"""
SPOKE = """EXISTS (FROM d WHERE d.customer_id = l.customer_id AND kind = 'complaint'
    AND opened_at < l.closes) OR EXISTS (FROM s WHERE s.customer_id = l.customer_id
    AND answered_at < l.closes)"""
SPENT = """coalesce((SELECT sum(amount) FROM ledger g WHERE g.customer_id = l.customer_id AND g.ts >= l.opens
    AND g.ts < l.closes), 0)"""
ASKED = """SELECT mon(opened_at) AS month, topic, CASE WHEN kind = 'request' THEN topic END AS request,
    customer_id, {y} AS y FROM d WHERE topic IS NOT NULL"""
YEAR_BEFORE = """coalesce((SELECT sum(amount) FROM ledger g WHERE g.customer_id = d.customer_id
    AND g.ts < d.opened_at AND g.ts >= d.opened_at - INTERVAL 365 DAY), 0)"""
CAME = """EXISTS (FROM b WHERE b.customer_id = x.customer_id AND b.ts > x.ts
    AND b.ts <= x.ts + INTERVAL {horizon} DAY)"""
LOT = """SELECT mon(ts) AS month, campaign, customer_id, {y} AS y FROM treatments x WHERE randomised
    AND ts <= {{e}} - INTERVAL {{horizon}} DAY"""
MRR = (
    "SELECT month, region, customer_id, {y} FROM mrr LEFT JOIN region USING (customer_id) WHERE {w}"
)


def seconds(end):
    return f"SELECT date_diff('second', opened_at, {end}) AS seconds, "


ORACLE = {
    "average_order_value": f"SELECT mon(ts) AS month, {ORDER}, amount AS y FROM b LEFT JOIN region USING (customer_id)",
    "discount_share": f"SELECT mon(ts) AS month, {ORDER}, coalesce(discount, 0) AS y, amount + coalesce(discount, 0) AS x FROM b LEFT JOIN region USING (customer_id)",
    "repeat_purchase_rate": None,
    "cohort_retention": None,
    "on_time_rate": f"SELECT mon(promised_at) AS month, {ORDER}, NOT is_late AS y FROM late LEFT JOIN region USING (customer_id)",
    "contact_rate": "SELECT mon(ts) AS month, region, customer_id, 0 AS y, 1 AS x, partner FROM b LEFT JOIN region USING (customer_id) UNION ALL "
        "SELECT mon(opened_at), region, i.customer_id, 1, 0, b.partner FROM i LEFT JOIN region USING (customer_id) LEFT JOIN b USING (transaction_id)",
    "contacts": f"SELECT 1 AS y, {TICKET}",
    "first_response_hours_median": f"{seconds('coalesce(first_response_at, done_at, {e})')} first_response_at IS NOT NULL AS ended, {TICKET}",
    "resolution_hours_median": f"{seconds('coalesce(done_at, {e})')} done_at IS NOT NULL AS ended, {TICKET}",
    "first_response_working_hours_median": f"SELECT worked(opened_at, coalesce(first_response_at, done_at, {{e}})) AS seconds, first_response_at IS NOT NULL AS ended, {TICKET}",
    "resolution_working_hours_median": f"SELECT worked(opened_at, coalesce(done_at, {{e}})) AS seconds, done_at IS NOT NULL AS ended, {TICKET}",
    "reopen_rate": f"SELECT CASE WHEN done_at IS NOT NULL OR reopened_at IS NOT NULL THEN reopened_at IS NOT NULL END AS y, {TICKET}",
    "backlog": None,
    "backlog_age_days_median": None,
    "nps": SCORES.format(y=NPS, w=f"kind = 'nps' AND NOT {LINKED}"),
    "nps_touchpoint": SCORES.format(y=NPS, w=f"kind = 'nps' AND {LINKED}"),
    "csat": SCORES.format(y="score >= 4", w="kind = 'csat'"),
    "csat_mean": SCORES.format(y="score", w="kind = 'csat'"),
    "ces_mean": SCORES.format(y="score", w="kind = 'ces'"),
    "review_mean": SCORES.format(y="score", w="kind = 'review'"),
    "survey_response_rate": "SELECT mon(sent_at) AS month, touchpoint, region, customer_id, answered_at IS NOT NULL AS y FROM s LEFT JOIN region USING (customer_id) WHERE sent_at <= {e} - INTERVAL 14 DAY",
    "feedback_answered_rate": "SELECT mon(answered_at) AS month, touchpoint, region, customer_id, coalesce(replied_at < answered_at + INTERVAL 7 DAY + INTERVAL 1 SECOND, false) AS y FROM s LEFT JOIN region USING (customer_id) WHERE answered_at <= {e} - INTERVAL 7 DAY",
    "churn_rate": LEFT.format(y="churned"),
    "retention_rate": LEFT.format(y="NOT churned"),
    "left_in_silence_rate": LEFT.format(y=f"CASE WHEN churned THEN NOT ({SPOKE}) END"),
    "spend_after": LEFT.format(y=SPENT),
    "topic_contacts": ASKED.format(y="1"),
    "topic_asker_spend": ASKED.format(y=YEAR_BEFORE),
    "topic_asker_churn_rate": "SELECT a.month, topic, request, customer_id, churned AS y FROM (SELECT DISTINCT mon(opened_at) AS month, topic, CASE WHEN kind = 'request' THEN topic END AS request, customer_id FROM d WHERE topic IS NOT NULL) a JOIN (SELECT customer_id, churned, month AS on_ FROM leaving) USING (customer_id) WHERE on_ = a.month + INTERVAL 1 MONTH",
    "contactable_share": "SELECT NULL AS month, region, customer_id, contactable AS y FROM customers JOIN region USING (customer_id) WHERE contactable IS NOT NULL",
    "treated_return_rate": LOT.format(y=CAME) + " AND treated",
    "control_return_rate": LOT.format(y=CAME) + " AND NOT treated",
    "campaign_lift": None,
    "campaign_cost": "SELECT mon(ts) AS month, campaign, customer_id, cost AS y FROM treatments WHERE treated AND cost IS NOT NULL AND ts < {e}",
    "active_subscribers": MRR.format(y="1 AS y", w="z > 0"),
    "gross_revenue_retention": MRR.format(y="least(a, z) AS y, a AS x", w="a > 0"),
    "net_revenue_retention": MRR.format(y="z AS y, a AS x", w="a > 0"),
    "mrr_start": MRR.format(y="a AS y", w="a > 0"),
    "mrr_new": MRR.format(y="z AS y", w="a = 0 AND z > 0 AND NOT before"),
    "mrr_returned": MRR.format(y="z AS y", w="a = 0 AND z > 0 AND before"),
    "mrr_expansion": MRR.format(y="z - a AS y", w="a > 0 AND z > a"),
    "mrr_contraction": MRR.format(y="a - z AS y", w="z > 0 AND z < a"),
    "mrr_churned": MRR.format(y="a AS y", w="a > 0 AND z = 0"),
    "mrr_end": MRR.format(y="z AS y", w="z > 0"),
    "untimely_contact_rate": SENT.format(y=f"{PARCEL} OR {OPEN}"),
    "contact_before_parcel_rate": SENT.format(y=PARCEL),
    "contact_during_ticket_rate": SENT.format(y=OPEN),
}  # fmt: skip


@pytest.fixture(scope="module")
def con():
    con = ibis.duckdb.connect()
    yield con
    con.disconnect()


@pytest.fixture(scope="module")
def done(con):
    """Return the figures of the company, without anything suppressed, and a way to ask by SQL."""
    return compute(con, config(), typed_tables(con, rows_of()), UNTIL)


@pytest.fixture(scope="module")
def ask(con, done):
    raw = con.con
    raw.execute(f"CREATE MACRO local(x) AS timezone('{ZONE}', timezone('UTC', x))")
    raw.execute("CREATE MACRO loc(x) AS CAST(local(x) AS DATE)")
    raw.execute("CREATE MACRO mon(x) AS CAST(date_trunc('month', local(x)) AS DATE)")
    raw.execute(f"CREATE MACRO utc(d) AS timezone('UTC', timezone('{ZONE}', CAST(d AS TIMESTAMP)))")
    # hour by hour of the wall clock would be slow: minute sums by day instead
    raw.execute("""CREATE MACRO worked(a, b) AS (SELECT coalesce(sum(greatest(0, date_diff('second',
        greatest(local(a), day + opens), least(local(b), day + closes)))), 0)
        FROM (SELECT day, CASE WHEN isodow(day) < 6 THEN INTERVAL 9 HOUR ELSE INTERVAL 10 HOUR END
        AS opens, CASE WHEN isodow(day) < 6 THEN INTERVAL 17 HOUR ELSE INTERVAL 14 HOUR END AS closes
        FROM unnest(range(CAST(loc(a) AS TIMESTAMP), CAST(loc(b) + 1 AS TIMESTAMP), INTERVAL 1 DAY))
        AS r(day) WHERE isodow(day) < 7))""")
    listed = ", ".join(f"(DATE '{m}')" for m in MONTHS)
    raw.execute(
        "CREATE VIEW months AS SELECT month, CAST(month + INTERVAL 1 MONTH AS DATE) AS next "
        f"FROM (VALUES {listed}) AS v(month)"
    )
    fixed = {
        "e": f"TIMESTAMP '{END}'", "until": UNTIL, "gap": GAP, "label": GAP + HORIZON,
        "active": ACTIVE, "grace": GRACE, "horizon": HORIZON,
    }  # fmt: skip
    for name, sql in CUT.items():
        raw.execute(f"CREATE OR REPLACE TABLE {name} AS {sql.format(**fixed)}")

    def query(sql):
        found = raw.execute(sql.format(**fixed))
        names = [c[0] for c in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    return query


def halfway(rows):
    """Return the first time by which the curve of those still waiting is at most one half."""
    alive = 1.0
    for time in sorted({r["seconds"] for r in rows}):
        at_risk = sum(r["seconds"] >= time for r in rows)
        alive *= 1 - sum(r["seconds"] == time and r["ended"] for r in rows) / at_risk
        if alive <= 0.5 + 1e-9:
            return time
    return None


def expected(figure, rows):
    """Return (n, value) of rows, by the figure's way of putting them together."""
    if figure.measure == "median":
        value = halfway(rows)
        per = 86400 if figure.unit == "days" else 3600
        return len(rows), None if value is None else value / per
    counted = [r for r in rows if r["y"] is not None]
    if figure.measure == "ratio":
        below = sum(float(r["x"]) for r in counted)
        above = sum(float(r["y"]) for r in counted)
        return sum(r["x"] != 0 for r in counted), above / below if below else None
    total = float(sum(r["y"] for r in counted))
    if figure.measure == "total":
        return len(counted), total
    return len(counted), total / len(counted) if counted else None


def grouped(rows, by):
    cells = defaultdict(list)
    for row in rows:
        group = "all" if by == "all" else row.get(by)
        if group is not None:
            cells["", group].append(row)
            if row["month"] in MONTHS:
                cells[str(row["month"]), group].append(row)
    return cells


def compare(done, figure, by, cells, *, whole=True):
    column = "attribute[region]" if by == "region" else by
    table = done.table[(done.table["figure"] == figure.name) & (done.table["by"] == column)]
    nothing = table["n"].eq(0).fillna(False)
    assert (table.loc[nothing, "value"] == 0).all()  # nothing to add up in that month
    table = table[~nothing]
    got = {("" if pd.isna(r.period) else str(r.period), r.group): r for r in table.itertuples()}
    wanted = {}
    for key, rows in cells.items():
        n, value = expected(figure, rows)
        if n and (whole or key[0]):
            wanted[key] = (
                n,
                value,
                len({r["customer_id"] for r in rows if r.get("y", 1) is not None}),
            )
    assert got.keys() == wanted.keys()
    assert wanted or by != "all"
    for key, (n, value, people) in wanted.items():
        row = got[key]
        if by != "all" and (n < 10 or pd.isna(row.n)):
            assert row.value != row.value, key  # suppressed
            assert n < 10 or people < 25, key
            continue
        assert int(row.n) == n, key
        if value is None:
            assert row.value != row.value, key
        else:
            assert row.value == pytest.approx(value, abs=2e-6), key
            assert not row.lower > row.value + 1e-6
            assert not row.upper < row.value - 1e-6
    return len(wanted)


SIMPLE = [name for name, sql in ORACLE.items() if sql is not None]


def test_every_figure_has_an_oracle():
    assert ORACLE.keys() == FIGURES.keys()


@pytest.mark.parametrize("name", SIMPLE)
def test_figures_are_what_sql_says(done, ask, name):
    figure = FIGURES[name]
    rows = ask(ORACLE[name])
    assert rows
    whole = not name.startswith(("mrr", "active", "gross", "net"))
    dims = [d for d in rows[0] if d in BY]
    if figure.overall:
        compare(done, figure, "all", grouped(rows, "all"), whole=whole)
    for by in dims:
        column = "attribute[region]" if by == "region" else by
        if figure.given_by(column):
            compare(done, figure, by, grouped(rows, by), whole=whole)


def test_digital_and_physical_channels(done, ask):
    rows = ask(ORACLE["average_order_value"])
    kinds = {"web": "digital", "Shop": "physical"}
    rows = [r | {"channel_kind": kinds.get(r["channel"])} for r in rows]
    figure = FIGURES["average_order_value"]
    assert compare(done, figure, "channel_kind", grouped(rows, "channel_kind")) > 20


def test_repeat_purchases(done, ask):
    days = ask("SELECT DISTINCT customer_id, mon(ts) AS month, day FROM b")
    rows = []
    for who in {r["customer_id"] for r in days}:
        mine = [r for r in days if r["customer_id"] == who]
        for month in {r["month"] for r in mine}:
            so_far = [r for r in mine if r["month"] <= month]
            rows.append({"customer_id": who, "month": month, "y": len(so_far) > 1})
    figure = FIGURES["repeat_purchase_rate"]
    compare(done, figure, "all", {k: v for k, v in grouped(rows, "all").items() if k[0]}
            | {("", "all"): [{"customer_id": w, "y": sum(r["customer_id"] == w for r in days) > 1}
                             for w in {r["customer_id"] for r in days}]})  # fmt: skip


def test_cohorts(done, ask):
    bought = ask("SELECT DISTINCT customer_id, mon(ts) AS month FROM b")
    months = defaultdict(set)
    for row in bought:
        months[row["customer_id"]].add(row["month"])
    cells = defaultdict(list)
    for who, mine in months.items():
        first = MONTHS.index(min(mine))
        for k in range(1, len(MONTHS) - first):
            came = MONTHS[first + k] in mine
            cells[str(MONTHS[first]), f"{k:02d}"].append({"customer_id": who, "y": came})
    compare(done, FIGURES["cohort_retention"], "months_since", cells)


@pytest.mark.parametrize("name", ["backlog", "backlog_age_days_median"])
def test_open_tickets(done, ask, name):
    still = BACKLOG.replace("sent.moment", "m.stop")
    rows = ask(
        "SELECT m.month, customer_id, topic, channel, 1 AS y, true AS ended, "
        "date_diff('second', opened_at, m.stop) AS seconds FROM i, (SELECT month, utc(next) AS stop "
        f"FROM months UNION ALL SELECT NULL, {{e}}) m WHERE {still}"
    )
    for by in ("all", "topic"):
        cells = defaultdict(list)
        for row in rows:
            group = "all" if by == "all" else row["topic"]
            if group is not None:
                cells["" if row["month"] is None else str(row["month"]), group].append(row)
        compare(done, FIGURES[name], by, cells)


def test_campaign_lift_is_the_difference_of_the_two_rates(done, ask):
    table = done.table[done.table["period"].isna() & (done.table["by"] == "all")]
    value = table.set_index("figure")["value"]
    assert value["campaign_lift"] == pytest.approx(
        value["treated_return_rate"] - value["control_return_rate"], abs=2e-6
    )
    n = table.set_index("figure")["n"]
    assert n["campaign_lift"] == n["treated_return_rate"] + n["control_return_rate"]


def test_the_bridge_adds_up(done):
    table = done.table[done.table["by"] == "all"].pivot_table(
        index="period", columns="figure", values="value"
    )
    mrr = table[[c for c in table if c.startswith("mrr")]].astype(float)
    assert list(mrr.index) == MONTHS
    assert mrr.notna().all(axis=None)
    moved = mrr["mrr_new"] + mrr["mrr_returned"] + mrr["mrr_expansion"]
    moved -= mrr["mrr_contraction"] + mrr["mrr_churned"]
    assert (mrr["mrr_start"] + moved - mrr["mrr_end"]).abs().max() < 1e-6
    ends, starts = mrr["mrr_end"].to_numpy(), mrr["mrr_start"].to_numpy()
    np.testing.assert_allclose(ends[:-1], starts[1:], atol=1e-6)
    for part in ("new", "returned", "expansion", "contraction", "churned"):
        assert mrr[f"mrr_{part}"].max() > 0


def test_relational_and_touchpoint_nps_share_no_answer(done, ask):
    both = ask("SELECT count(*) AS n FROM s WHERE kind = 'nps' AND score IS NOT NULL")[0]["n"]
    alone = len(ask(ORACLE["nps"]))
    linked = len(ask(ORACLE["nps_touchpoint"]))
    assert alone + linked == both
    table = done.table[done.table["figure"] == "nps_touchpoint"]
    assert "all" not in set(table["by"])
    assert not {"touchpoint", "delivery", "partner"} & set(
        done.table.loc[done.table["figure"] == "nps", "by"]
    )


def test_rows_after_the_end_change_nothing(con, done):
    rows = rows_of()
    late = END + dt.timedelta(hours=1)
    for name, listed in rows.items():
        if name == "customers":
            continue
        start = {"interactions": "opened_at", "surveys": "sent_at",
                 "subscriptions": "started_at"}.get(name, "ts")  # fmt: skip
        for k, row in enumerate(list(listed[:40])):
            listed.append(row | {start: late} | {c: f"new{k}" for c in row if c in (
                "transaction_id", "interaction_id", "survey_id", "subscription_id")})  # fmt: skip
        for row in listed:  # what became known after the end may as well not have happened
            for column in [c for c in row if c.endswith("_at") and c != start]:
                planned = column in ("promised_at", "trial_ends_at", "signup_at")
                if not planned and row[column] is not None and row[column] >= END:
                    row[column] = None
                    hangs = {"answered_at": "score", "cancelled_at": "cancelled_day",
                             "ended_at": "ended_day"}  # fmt: skip
                    if column in hangs:
                        row[hangs[column]] = None
    again = compute(con, config(), typed_tables(con, rows), UNTIL)
    assert again.table.equals(done.table)


def test_rows_loaded_after_the_end_change_nothing(con, done):
    rows = rows_of()
    for name in ("transactions", "interactions", "surveys"):
        start = {"interactions": "opened_at", "surveys": "sent_at"}.get(name, "ts")
        key = {"interactions": "interaction_id", "surveys": "survey_id"}.get(name, "transaction_id")
        for row in list(rows[name]):
            row["loaded_at"] = row[start]
        again = [row | {"loaded_at": END, "customer_id": "c00"} for row in rows[name][:50]]
        fresh = [row | {"loaded_at": END, key: f"new{k}"} for k, row in enumerate(rows[name][:50])]
        rows[name] += again + fresh
    loaded = ("transactions", "interactions", "surveys")
    later = compute(con, config(), typed_tables(con, rows, loaded), UNTIL)
    assert later.table.equals(done.table)
