"""No cell of a ticket, parcel, survey or mail that was unknown at a cutoff moves the matrix."""

import datetime as dt

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

CUTOFF = dt.date(2024, 4, 1)
MIDNIGHT = dt.datetime(2024, 4, 1)
TICK = dt.timedelta(microseconds=1)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
HOW = {
    "settings": {"response_days": 14.0, "grace_days": 30.0},
    "partner": ("Post",),
    "channel": (),
    "interactions.kind": ("complaint",),
    "interactions.topic": ("late",),
    "interactions.channel": ("mail",),
    "surveys.kind": ("nps",),
    "surveys.touchpoint": (),
}
STARTS = {"transactions": "ts", "interactions": "opened_at", "surveys": "sent_at", "events": "ts"}
FACTS = {
    "transactions": ("delivered_at", "cancelled_at"),
    "interactions": (
        "first_response_at", "resolved_at", "closed_at", "reopened_at", "escalated_at",
    ),
    "surveys": ("answered_at",),
    "events": (),
}  # fmt: skip
# what hangs on a fact, with a value that would be noticed
HANGING = {
    "interactions": {
        "wait_seconds": ("first_response_at", 77_777),
        **dict.fromkeys(("replies", "handoffs", "reopens"), ("closed_at", 777)),
    },
    "surveys": {"score": ("answered_at", 3)},
}
both = pytest.mark.parametrize("late", [False, True], ids=["known at once", "loaded late"])


def bounded(examples):
    """Few examples without shrinking: each builds a matrix of seven views or more."""
    phases = [Phase.explicit, Phase.generate]
    return settings(max_examples=examples, derandomize=True, deadline=None, phases=phases)


def is_known(name, row):
    return max(row[STARTS[name]], row.get("loaded_at", row[STARTS[name]])) < MIDNIGHT


def unknown_facts(name, row):
    return [c for c in FACTS[name] if row[c] is None or row[c] >= MIDNIGHT]


def truncate(logs):
    """Keep what was known at the cutoff: rows, and in them cells."""
    return {n: [_hide(n, row) for row in rows if is_known(n, row)] for n, rows in logs.items()}


def _hide(name, row):
    gone = unknown_facts(name, row)
    hung = [c for c, (on, _) in HANGING.get(name, {}).items() if on in gone]
    return row | dict.fromkeys([*gone, *hung])


def alter(logs):
    """Change all that was unknown but that it was: cells of known rows, and rows."""
    made = {}
    for name, rows in logs.items():
        known = [_alter_cells(name, row) for row in rows if is_known(name, row)]
        made[name] = known + [_alter_row(name, row) for row in rows if not is_known(name, row)]
    return made


def _alter_cells(name, row):
    gone = unknown_facts(name, row)
    filled = {c: MIDNIGHT + dt.timedelta(hours=7 * i) for i, c in enumerate(gone)}
    filled = {c: at for c, at in filled.items() if row[c] is None or row[c] == MIDNIGHT}
    filled |= {c: None for c in gone if c not in filled}
    hung = HANGING.get(name, {}).items()
    return row | filled | {c: value for c, (on, value) in hung if on in gone}


def _alter_row(name, row):
    start = STARTS[name]
    move = dt.timedelta(days=-40 if "loaded_at" in row and row["loaded_at"] >= MIDNIGHT else 3)
    return (
        row
        | {start: row[start] + move, "customer_id": "a"}
        | ({"amount": 99} if name == "transactions" else {})
    )


MOMENTS = st.one_of(
    st.sampled_from([MIDNIGHT - TICK, MIDNIGHT, MIDNIGHT - dt.timedelta(days=30)]),
    st.integers(-60 * 24, 20 * 24).map(lambda hours: MIDNIGHT + dt.timedelta(hours=hours)),
)
WAITS = [None, 0, 1, 20, 24, 100, 400, 1000]


@st.composite
def logs_of(draw, late):
    """Draw all four logs of two customers around the cutoff."""

    def after(at):
        hours = draw(st.sampled_from(WAITS))
        return None if hours is None else at + dt.timedelta(hours=hours)

    def row(name, number):
        at = draw(MOMENTS)
        base = {"customer_id": draw(st.sampled_from("ab")), STARTS[name]: at}
        base |= {c: after(at) for c in FACTS[name]}
        if late and name != "events":
            base["loaded_at"] = after(at) or at
        return base | more[name](at, f"{name}{number}")

    def ticket(at, name):
        return {
            "interaction_id": name,
            "topic": draw(st.sampled_from(["late", "size", None])),
            "channel": draw(st.sampled_from(["mail", "phone"])),
            "kind": draw(st.sampled_from(["complaint", "return"])),
            "direction": draw(st.sampled_from(["in", "in", "out"])),
            "wait_seconds": 5, "replies": 2, "handoffs": 1, "reopens": 0,
        }  # fmt: skip

    def order(at, name):
        return {
            "transaction_id": name, "amount": draw(st.sampled_from([5, 9, -2])),
            "promised_at": after(at), "partner": draw(st.sampled_from(["Post", "Van"])),
            "quantity": draw(st.integers(1, 4)),
        }  # fmt: skip

    def survey(at, name):
        linked = draw(st.sampled_from([None, "transactions0", "transactions1"]))
        return {"survey_id": name, "kind": "nps", "score": 8, "transaction_id": linked}

    more = {
        "transactions": order, "interactions": ticket, "surveys": survey,
        "events": lambda at, name: {"event": "x", "group": "email"},
    }  # fmt: skip
    return {name: [row(name, i) for i in range(draw(st.integers(4, 8)))] for name in STARTS}


@both
@given(data=st.data())
@bounded(4)
def test_nothing_unknown_at_the_cutoff_is_seen(typed, image, late, data):
    logs = data.draw(logs_of(late), "logs")
    variants = {"as it is": logs, "cut off": truncate(logs), "altered": alter(logs)}
    days = [CUTOFF - dt.timedelta(days=30), CUTOFF]
    found = typed.worlds(variants, days, data.draw(ZONES, "zone"), 90, **HOW)
    truth = image(found["as it is"])
    for name, matrix in found.items():
        assert image(matrix) == truth, name


@both
@given(data=st.data())
@bounded(1)
def test_truncation_equality(typed, image, late, data):
    logs = data.draw(logs_of(late), "logs")
    columns = {name: rows[0].keys() for name, rows in logs.items()}
    found = []
    for part in (logs, truncate(logs)):
        tables = typed.tables(part, columns=columns)
        schema = typed.schema(tables, 90, **HOW)
        found.append(image(typed.matrix(tables, [CUTOFF], schema)))
    assert found[0] == found[1]


KNOWN = MIDNIGHT - TICK
BEFORE = MIDNIGHT - dt.timedelta(days=9)
PURCHASE = {
    "customer_id": "a", "ts": BEFORE, "amount": 5, "transaction_id": "t", "partner": "Post",
    "promised_at": BEFORE, "delivered_at": None, "cancelled_at": None, "quantity": 1,
}  # fmt: skip
TICKET = {
    "customer_id": "a", "opened_at": BEFORE, "interaction_id": "i", "direction": "in",
    "kind": "complaint", "channel": "mail", "topic": "late", "wait_seconds": 5, "replies": 2,
    "handoffs": 1, "reopens": 0, **dict.fromkeys(FACTS["interactions"]),
}  # fmt: skip
SURVEY = {
    "customer_id": "a", "sent_at": BEFORE, "answered_at": None, "kind": "nps", "score": None,
    "survey_id": "s", "transaction_id": "t",
}  # fmt: skip
MAIL = {"customer_id": "a", "ts": BEFORE, "event": "x", "group": "email"}
ALL = {
    "transactions": [PURCHASE], "interactions": [TICKET], "surveys": [SURVEY], "events": [MAIL],
}  # fmt: skip


def test_every_cell_counts_from_its_own_moment(typed, image):
    """The control: the comparison sees each cell the microsecond before the cutoff, not at it."""
    changes = [
        (name, {fact: at} | _hung(name, fact))
        for name, facts in FACTS.items()
        for fact in facts
        for at in (KNOWN, MIDNIGHT)
    ]
    variants = {"as it is": ALL}
    for i, (name, change) in enumerate(changes):
        variants[str(i)] = ALL | {name: [ALL[name][0] | change]}
    found = typed.worlds(variants, [CUTOFF], longest=90, **HOW)
    truth = image(found["as it is"])
    for i, (_, change) in enumerate(changes):
        is_seen = KNOWN in change.values()
        assert (image(found[str(i)]) != truth) is is_seen, change


def _hung(name, fact):
    return {c: value for c, (on, value) in HANGING.get(name, {}).items() if on == fact}
