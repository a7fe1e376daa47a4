"""One customer's surveys worked out by hand, column by column, and what "no rows" means."""

import datetime as dt
import math

import pytest

CUTOFF = dt.date(2024, 7, 1)  # windows open on: 90 d Apr 2, 365 d Jul 2 of 2023
ANN = [
    # kind, sent, answered, score, more
    ("nps", "2023-05-01", "2023-05-02", 9, {}),
    ("nps", "2024-01-10", "2024-01-12T10:00", 7,
     {"comment": "ok", "replied_at": "2024-01-12T14:00", "touchpoint": "care",
      "interaction_id": "i1"}),
    ("csat", "2024-05-01", "2024-05-01", 2, {"touchpoint": "shop", "transaction_id": "t1"}),
    ("csat", "2024-06-01T12:00", "2024-06-20", 5,
     {"comment": "fine", "replied_at": "2024-07-03", "touchpoint": "care",
      "transaction_id": "t2"}),
    ("nps", "2024-06-10", "2024-07-02", 0, {"comment": "angry", "touchpoint": "care"}),
    ("nps", "2024-06-20", None, None, {}),
    ("exit", "2024-06-25", "2024-06-28", None, {}),
    ("review", None, "2024-02-01", 4, {"touchpoint": "care"}),  # nobody asked for it
    ("nps", "2024-07-01", "2024-07-01", 10, {}),
]  # fmt: skip
EXPECTED = {
    "surveys_asked_90d": 5,
    "surveys_asked_365d": 6,
    "asked_but_silent_365d": 1,  # 21 days without an answer; the one of June 20 may still come
    "response_rate_365d": 4 / 5,
    "response_rate": 5 / 6,
    "score_last[csat]": 5,
    "score_last[nps]": 7,
    "score_change[csat]": 3,
    "score_change[nps]": -2,
    "score_lowest[csat]_365d": 2,
    "score_lowest[nps]_365d": 7,
    "score_mean[csat]_365d": 3.5,
    "score_mean[nps]_365d": 7,
    "nps_promoter": 0,
    "nps_passive": 1,
    "nps_detractor": 0,
    "touchpoint_score[care]_365d": (0.7 + 1 + 0.75) / 3,
    "touchpoint_score[other]_365d": 0.25,
    "ticket_score_365d": 0.7,
    "order_score_365d": (0.25 + 1) / 2,
    "days_since_answer": 2,  # June 29 and 30
    "comments_365d": 2,
    "unanswered_feedback_365d": 2,  # the 2 of May, and the comment of June
    "unanswered_feedback_days_365d": 61,
    "reply_hours_median_365d": 264,  # of 4, 11 days so far, 61 days so far
    "exit_surveys_365d": 1,
}
LEVELS = {
    "surveys.kind": ("csat", "nps"),
    "surveys.kind=": ("csat", "exit", "nps"),
    "surveys.touchpoint": ("care",),
}


def survey(kind, sent, answered, score, more):
    dates = {"sent_at": sent, "answered_at": answered, "replied_at": more.get("replied_at")}
    row = {"customer_id": "ann", "kind": kind, "score": score} | more
    return row | {k: v and dt.datetime.fromisoformat(v) for k, v in dates.items()}


def features(typed, features_of, rows, late=False):
    rows = [survey(*row) | {"survey_id": f"s{i}"} for i, row in enumerate(rows)]
    if late:
        rows = [row | {"loaded_at": row["sent_at"] or row["answered_at"]} for row in rows]
    bought = [{"customer_id": "ann", "ts": dt.datetime(2022, 1, 1), "amount": 1}]
    columns = ("touchpoint", "interaction_id", "transaction_id", "comment", "score")
    logs = typed.tables(
        {"transactions": bought, "surveys": rows}, "Europe/Berlin", {"surveys": columns}
    )
    schema = typed.schema(logs, settings={"response_days": 14.0}, **LEVELS)
    matrix = typed.matrix(logs, [CUTOFF], schema, "Europe/Berlin")
    mine = [c.name for c in schema.columns() if c.feature in features_of("surveys")]
    assert {c.feature for c in schema.columns()} >= features_of("surveys")
    return matrix.iloc[0][mine].to_dict()


@pytest.mark.parametrize("late", [False, True])
def test_one_customer_by_hand(typed, features_of, late):
    assert features(typed, features_of, ANN, late) == pytest.approx(EXPECTED, rel=1e-12)


def test_who_was_asked_once_and_never_answered(typed, features_of):
    found = features(typed, features_of, [("nps", "2024-01-01", None, None, {})])
    zero = {
        "surveys_asked_90d", "response_rate", "response_rate_365d", "comments_365d",
        "unanswered_feedback_365d", "exit_surveys_365d",
    }  # fmt: skip
    one = {"surveys_asked_365d", "asked_but_silent_365d"}
    missing = found.keys() - zero - one
    assert found == pytest.approx(
        dict.fromkeys(zero, 0) | dict.fromkeys(one, 1) | dict.fromkeys(missing, math.nan),
        nan_ok=True,
    )
    assert {"score_last[nps]", "nps_detractor", "days_since_answer"} <= missing
