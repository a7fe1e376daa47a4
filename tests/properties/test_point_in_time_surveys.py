"""What was dated, known or loaded from a cutoff on cannot move one bit: rows, and cells of rows.

Surveys, subscriptions, events, campaign contacts and customers at once: every variant of a log is
a world of its own, and all of them are built together.
"""

import datetime as dt

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

CUTOFF = dt.date(2024, 4, 1)  # the day after Europe's clocks change
MIDNIGHT = dt.datetime(2024, 4, 1)
TICK = dt.timedelta(microseconds=1)
DAY = dt.timedelta(days=1)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
both = pytest.mark.parametrize("late", [False, True], ids=["known at once", "loaded late"])

STARTS = {
    "surveys": ("sent_at", "answered_at"), "subscriptions": ("started_at",), "events": ("ts",),
    "treatments": ("ts",), "customers": ("signup_at",),
}  # fmt: skip
# each past fact, with the cells that hang on it and what they might say
HANGING = {
    "answered_at": {"score": 3, "comment": "well"},
    "replied_at": {},
    "ended_at": {"end_reason": "involuntary"},
    "cancel_requested_at": {},
}
HOW = {
    "longest": 365,
    "settings": {"response_days": 14.0, "grace_days": 30.0},
    "surveys.kind": ("ces", "csat", "exit", "nps", "review"),
    "surveys.kind=": ("exit", "nps"),
    "surveys.touchpoint": ("care",),
    "subscriptions.plan": ("basic", "team"),
    "events.group=": (
        "cart", "email", "incident", "loyalty", "payment_failed", "use", "visit",
    ),
    "events.channel": ("app",),
    "customers.attribute[region]": ("north",),
}  # fmt: skip
BOUGHT = [{"customer_id": c, "ts": dt.datetime(2023, 1, 1), "amount": 5} for c in "ab"]


def bounded(examples):
    """Few examples without shrinking: each builds a matrix of all views."""
    phases = [Phase.explicit, Phase.generate]
    return settings(max_examples=examples, derandomize=True, deadline=None, phases=phases)


def start_of(table, row):
    return next(row[c] for c in STARTS[table] if row.get(c) is not None)


def is_known(table, row):
    start = start_of(table, row)
    return max(start, row.get("loaded_at", start)) < MIDNIGHT


def unknown_facts(table, row):
    return [
        fact
        for fact in HANGING
        if fact in row and (row[fact] is None or row[fact] >= MIDNIGHT)
        if row[fact] != start_of(table, row)
    ]


def hide(table, row):
    """Forget the cells that were not known at the cutoff."""
    for fact in unknown_facts(table, row):
        row = row | {fact: None} | dict.fromkeys(HANGING[fact])
    return row


def alter_cells(table, row):
    """Let everything that had not happened by the cutoff happen after it, or otherwise."""
    for fact in unknown_facts(table, row):
        row = row | {fact: (row[fact] or MIDNIGHT) + DAY} | HANGING[fact]
    return row


def alter_row(table, row):
    """Change everything about an unknown row but that it was unknown."""
    waits = "loaded_at" in row and row["loaded_at"] >= MIDNIGHT
    move = dt.timedelta(days=-9 if waits else 2)
    moved = {c: row[c] + move for c in STARTS[table] if row.get(c) is not None}
    other = {"customer_id": "b" if row["customer_id"] == "a" else "a"}
    if table == "customers":
        other = {"attribute[region]": "south", "attribute[age]": 7.0}
    return row | other | moved


def truncate(logs):
    return {n: [hide(n, r) for r in rows if is_known(n, r)] for n, rows in logs.items()}


def alter(logs):
    return {
        n: [alter_cells(n, r) if is_known(n, r) else alter_row(n, r) for r in rows]
        for n, rows in logs.items()
    }


def add(logs, more):
    return {n: [*rows, *more[n]] for n, rows in logs.items()}


EDGES = [-1, 0, -14, -15, -30, -31, -90, -91, -365, -366]
TIMES = [dt.time(), dt.time(0, 0, 0, 1), dt.time(9, 30), dt.time(23, 59, 59, 999999)]
LATER = st.sampled_from([None, None, 0, 1, 14, 20, 45, 200])


@st.composite
def moments(draw):
    days = draw(st.one_of(st.sampled_from(EDGES), st.integers(-420, 40)))
    return dt.datetime.combine(CUTOFF + dt.timedelta(days=days), draw(st.sampled_from(TIMES)))


def after(draw, moment):
    days = None if moment is None else draw(LATER)
    return None if days is None else moment + dt.timedelta(days=days)


@st.composite
def surveys(draw):
    sent = draw(moments())
    answered = after(draw, sent)
    kind = draw(st.sampled_from(["nps", "nps", "csat", "exit"]))
    return {
        "survey_id": draw(st.sampled_from(["s1", "s2", "s3", None])),
        "sent_at": None if answered and draw(st.integers(0, 5)) == 0 else sent,
        "answered_at": answered,
        "kind": kind,
        "score": draw(st.sampled_from([None, 1, 2, 5])) if answered else None,
        "comment": draw(st.sampled_from([None, "so so"])) if answered else None,
        "replied_at": after(draw, answered),
        "touchpoint": draw(st.sampled_from([None, "care", "shop"])),
        "interaction_id": draw(st.sampled_from([None, "i1"])),
        "transaction_id": draw(st.sampled_from([None, "t1"])),
    }


@st.composite
def subscriptions(draw):
    start = draw(moments())
    ended = after(draw, start)
    return {
        "subscription_id": draw(st.sampled_from(["x1", "x2", None])),
        "started_at": start,
        "ended_at": ended,
        "end_reason": draw(st.sampled_from([None, "voluntary", "involuntary"])) if ended else None,
        "cancel_requested_at": after(draw, start),
        "renews_at": after(draw, start),
        "trial_ends_at": after(draw, start),
        "plan": draw(st.sampled_from([None, "basic", "team", "odd"])),
        "mrr": draw(st.sampled_from([None, "9.99", "12.5"])),
        "seats": draw(st.sampled_from([None, 1, 5])),
    }


@st.composite
def events(draw):
    return {
        "ts": draw(moments()),
        "event": draw(st.sampled_from(["open", "save"])),
        "group": draw(st.sampled_from([None, *HOW["events.group="]])),
        "user_id": draw(st.sampled_from([None, "u1", "u2"])),
        "channel": draw(st.sampled_from([None, "app", "web"])),
        "value": draw(st.sampled_from([None, "0.1", "0.2"])),
    }


@st.composite
def treatments(draw):
    treated = draw(st.booleans())
    return {"ts": draw(moments()), "campaign": "spring", "treated": treated}


ROWS = {
    "surveys": surveys(), "subscriptions": subscriptions(), "events": events(),
    "treatments": treatments(),
}  # fmt: skip


@st.composite
def rows_of(draw, table, late, customers, sizes, unknown=False):
    found, taken = [], set()
    for row in draw(st.lists(ROWS[table], min_size=sizes[0], max_size=sizes[1])):
        row = {"customer_id": draw(st.sampled_from(customers))} | row
        if late:
            wait = draw(st.sampled_from([-1, 0, 1, 20, 45]))
            row["loaded_at"] = start_of(table, row) + dt.timedelta(days=wait)
        name = row.get("survey_id") or row.get("subscription_id")
        at = row["started_at"] if table == "subscriptions" else None
        key = (name, at, row.get("loaded_at"))
        if name and late and key in taken:  # the loader leaves one row an id and load
            continue
        taken.add(key)
        if not (unknown and is_known(table, row)):
            found.append(row)
    return found


@st.composite
def people(draw, late):
    values = {"attribute[region]": "north", "attribute[age]": 1.5}  # so that columns have a type
    found = [{"customer_id": "y", "signup_at": BOUGHT[0]["ts"]} | values]
    found[0] |= {"loaded_at": BOUGHT[0]["ts"]} if late else {}
    for name in "ab":
        row = {
            "customer_id": name,
            "signup_at": draw(moments()),
            "attribute[region]": draw(st.sampled_from([None, "north", "south"])),
            "attribute[age]": draw(st.sampled_from([None, 3.5])),
        }
        found.append(row)
        if late:
            row["loaded_at"] = row["signup_at"] + DAY
            again = row["loaded_at"] + dt.timedelta(days=draw(st.sampled_from([3, 90])))
            found.append(row | {"attribute[age]": 4.5, "loaded_at": again})
    return found


@st.composite
def worlds(draw, late):
    """Return logs, and rows to add that nobody knew by the cutoff."""
    logs = {n: draw(rows_of(n, late, "ab", (4, 10))) for n in ROWS}
    more = {n: draw(rows_of(n, late, "abz", (2, 6), unknown=True)) for n in ROWS}
    return logs | {"customers": draw(people(late))}, more | {"customers": []}


@both
@given(data=st.data())
@bounded(2)
def test_nothing_unknown_at_the_cutoff_is_seen(typed, image, late, data):
    logs, more = data.draw(worlds(late))
    variants = {
        "as it is": logs,
        "shuffled": {n: data.draw(st.permutations(rows)) for n, rows in logs.items()},
        "cut off": truncate(logs),
        "altered": alter(logs),
        "added": add(logs, more),
        "altered and added": add(alter(logs), more),
        "cut off and added": add(truncate(logs), more),
    }
    variants = {name: {"transactions": BOUGHT} | variant for name, variant in variants.items()}
    found = typed.worlds(variants, [CUTOFF - 30 * DAY, CUTOFF], data.draw(ZONES), **HOW)
    truth = image(found["as it is"])
    for name, matrix in found.items():
        assert image(matrix) == truth, name


@both
@given(data=st.data())
@bounded(1)
def test_truncation_equality(typed, image, late, data):
    logs, _ = data.draw(worlds(late))
    zone = data.draw(ZONES)
    columns = {n: rows[0].keys() for n, rows in logs.items() if rows}
    levels = {k: v for k, v in HOW.items() if "." in k}
    found = []
    for part in (logs, truncate(logs)):
        tables = typed.tables({"transactions": BOUGHT} | part, zone, columns)
        schema = typed.schema(tables, 365, settings=HOW["settings"], **levels)
        found.append(image(typed.matrix(tables, [CUTOFF], schema, zone)))
    assert found[0] == found[1]


SURVEY = {
    "customer_id": "a", "survey_id": "s", "kind": "nps", "sent_at": MIDNIGHT - 9 * DAY,
    "answered_at": MIDNIGHT - DAY, "score": 5, "comment": None, "replied_at": None,
}  # fmt: skip
CONTRACT = {
    "customer_id": "a", "subscription_id": "x", "started_at": MIDNIGHT - 90 * DAY, "mrr": 5,
    "plan": "basic", "ended_at": None, "end_reason": None, "cancel_requested_at": None,
}  # fmt: skip
LAST = MIDNIGHT - TICK
# table, what the row says, what is put on it at the cutoff, the same one moment before
CELLS = {
    "answer": ("surveys", {"answered_at": None, "score": None}, {"answered_at": MIDNIGHT}),
    "score": (
        "surveys", {"answered_at": MIDNIGHT, "score": None}, {"answered_at": MIDNIGHT, "score": 9}
    ),
    "comment": (
        "surveys", {"answered_at": MIDNIGHT, "score": 9},
        {"answered_at": MIDNIGHT, "score": 9, "comment": "x"},
    ),
    "reply": ("surveys", {}, {"replied_at": MIDNIGHT}),
    "end": ("subscriptions", {}, {"ended_at": MIDNIGHT}),
    "reason": (
        "subscriptions", {"ended_at": MIDNIGHT},
        {"ended_at": MIDNIGHT, "end_reason": "involuntary"},
    ),
    "notice": ("subscriptions", {}, {"cancel_requested_at": MIDNIGHT}),
}  # fmt: skip


@both
def test_a_cell_is_seen_from_its_own_moment(typed, image, late):
    """The control: what is hidden at the cutoff is seen when it comes one moment earlier."""

    def earlier(cells):
        return {c: LAST if v == MIDNIGHT else v for c, v in cells.items()}

    variants = {}
    for name, (table, before, put) in CELLS.items():
        row = SURVEY if table == "surveys" else CONTRACT
        if late:
            row = row | {"loaded_at": MIDNIGHT - DAY}
        rows = {
            "hidden": before, "hidden too": put, "shown": earlier(before),
            "shown too": earlier(put),
        }  # fmt: skip
        for what, cells in rows.items():
            made = {"surveys": [SURVEY | row] if table == "surveys" else []}
            made["subscriptions"] = [row | cells] if table == "subscriptions" else []
            made["surveys"] = [row | cells] if table == "surveys" else []
            variants[f"{name} {what}"] = {"transactions": BOUGHT} | made
    found = {k: image(m) for k, m in typed.worlds(variants, [CUTOFF], **HOW).items()}
    for name in CELLS:
        assert found[f"{name} hidden"] == found[f"{name} hidden too"], name
        assert found[f"{name} shown"] != found[f"{name} shown too"], name


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia"])
def test_the_cutoff_itself_is_out_and_the_microsecond_before_is_in(typed, zone):
    def world(moment):
        one = {"customer_id": "a"}
        return {
            "transactions": BOUGHT,
            "surveys": [SURVEY | {"sent_at": moment, "answered_at": None, "score": None}],
            "subscriptions": [CONTRACT | {"started_at": moment}],
            "events": [one | {"ts": moment, "event": "open", "group": "use"}],
            "treatments": [one | {"ts": moment, "campaign": "c", "treated": True}],
        }

    found = typed.worlds({"out": world(MIDNIGHT), "in": world(LAST)}, [CUTOFF], zone, **HOW)
    counts = ["surveys_asked_90d", "active_subscriptions", "use_days_30d", "campaign_contacts_90d"]
    assert found["out"].iloc[0][counts].tolist() == [0, 0, 0, 0]
    assert found["in"].iloc[0][counts].tolist() == [1, 1, 1, 1]
    assert found["in"].iloc[0][["days_since_use", "subscription_age_days"]].tolist() == [0, 1]


def test_a_survey_is_silent_only_after_the_days_given(typed):
    def world(sent):
        row = SURVEY | {"sent_at": sent, "answered_at": None, "score": None}
        return {"transactions": BOUGHT, "surveys": [row]}

    day = MIDNIGHT - 14 * DAY
    how = HOW | {"settings": {"response_days": 14.0}}
    variants = {"not yet": world(day + dt.timedelta(seconds=1)), "silent": world(day)}
    found = typed.worlds(variants, [CUTOFF], **how)
    columns = ["surveys_asked_90d", "asked_but_silent_365d", "response_rate"]
    waiting, silent = (found[k].iloc[0][columns].tolist() for k in ("not yet", "silent"))
    assert waiting[:2] == [1, 0]
    assert waiting[2] != waiting[2]  # nobody has been asked long enough ago: missing, not 0
    assert silent == [1, 1, 0]
