"""What customers say when asked, and that they say nothing: surveys sent, and surveys answered."""

from __future__ import annotations

from typing import Any

import ibis
import ibis.expr.types as ir

from tenure.contract.rules import SCALES
from tenure.features.spec import feature, total, view

DAY = 86_400
PROMOTER, PASSIVE = 9, 7  # the lowest score of each; below are the detractors
BAD = {"csat": 0.25, "ces": 0.34, "review": 0.25}  # at most so much of the scale
SHARE = "decimal(18, 12)"


@view(
    "surveys", at="sent_at", needs=("answered_at",), settings=("response_days",), rows="surveys",
    none="No survey sent",
)  # fmt: skip
def asked_(s: ir.Table) -> ir.Table:
    """Rows: surveys sent to a customer, answered or not."""
    waited = s.cutoff.delta(s.sent_at, unit="second")
    answered = s.answered_at.notnull()
    silent = ~answered & (waited >= s.response_days * DAY)
    return s.mutate(is_answered=answered, is_silent=silent)


@feature(
    asked_, windows=(90, 365), unit="count", factor="contact", empty=0,
    says="{n} [survey|surveys] sent", actionable=True,
)  # fmt: skip
def surveys_asked(s: ir.Table) -> Any:
    """Surveys sent to the customer."""
    return s.count()


@feature(
    asked_, windows=(365,), unit="count", factor="loyalty", empty=0, direction=1,
    says="{n} [survey|surveys] left unanswered",
)  # fmt: skip
def asked_but_silent(s: ir.Table) -> Any:
    """Surveys left without an answer for longer than people usually take."""
    return s.is_silent.sum()


@feature(
    asked_, windows=(365, None), unit="share", factor="loyalty", direction=-1,
    says="Answered {value} of the surveys",
)  # fmt: skip
def response_rate(s: ir.Table) -> Any:
    """Share of the surveys answered, leaving out those that may still be answered."""
    return s.is_answered.sum() / (s.is_answered | s.is_silent).sum().nullif(0)


def _is_late(s: ir.Table) -> bool:
    return "loaded_at" in s.columns


def _in_order(s: ir.Table, keys: list[str]) -> ir.Table:
    """Give each score the one before it of the same kind, and when the next one came."""
    order = [s.answered_at, *([s.survey_id] if "survey_id" in s.columns else []), s.score]
    same = ibis.window(group_by=[*keys, "customer_id", "kind"], order_by=order)
    return s.mutate(
        score_before=s.score.lag().over(same),
        passed_at=s.answered_at.lead().over(same),  # unknown until it comes
    )


def by_kind(surveys: ir.Table) -> ir.Table:
    """Put the scores of each kind in order, where rows cannot load late."""
    if _is_late(surveys):
        return surveys
    return _in_order(surveys.filter(surveys.answered_at.notnull(), surveys.score.notnull()), [])


def _share_of_scale(s: ir.Table) -> ir.Value:
    """Return where a score lies between the worst (0) and the best (1) of its scale."""
    if "score_share" in s.columns:
        return s.score_share.cast(SHARE)
    parts = [
        (s.kind == kind, ((s.score - low) / (high - low)).cast(SHARE))
        for kind, (low, high) in SCALES.items()
    ]
    return ibis.cases(*parts, else_=ibis.null(SHARE))


def _is_bad(s: ir.Table) -> ir.BooleanValue:
    """Tell which scores count as a bad experience (of five: 1 or 2; of an NPS: a detractor)."""
    share = _share_of_scale(s)
    low = [(s.kind == kind, share <= limit) for kind, limit in BAD.items()]
    return ibis.cases((s.kind == "nps", s.score < PASSIVE), *low, else_=False)


@view(
    "surveys", at="answered_at", needs=("score",), collapse=by_kind, rows="scores",
    none="No score",
)  # fmt: skip
def scores_(s: ir.Table) -> ir.Table:
    """Rows: the scores a customer gave."""
    if "passed_at" not in s.columns:  # late rows take their place at the cutoff that knows them
        s = _in_order(s.filter(s.score.notnull()), ["cutoff"])
    is_last = s.passed_at.isnull()
    return s.mutate(
        is_last=is_last,
        is_last_nps=is_last & (s.kind == "nps"),
        change=s.score - s.score_before,
        share=_share_of_scale(s),
        is_bad=_is_bad(s),
    )


def _mean(value: ir.Value, of: ir.BooleanValue) -> Any:
    value = of.ifelse(value, ibis.null(value.type()))
    return total(value) / value.count().nullif(0)


@feature(
    scores_, unit="points", factor="satisfaction", direction=-1, by="kind",
    says="The last {level} score was {value}", none="No {level} score",
)  # fmt: skip
def score_last(s: ir.Table, level: str) -> Any:
    """Last score given."""
    return s.score.max(where=s.is_last & (s.kind == level))


@feature(
    scores_, unit="points", factor="satisfaction", direction=-1, by="kind",
    says="The last {level} score changed by {signed}", none="Fewer than two {level} scores",
)  # fmt: skip
def score_change(s: ir.Table, level: str) -> Any:
    """Last score less the one before."""
    return s.change.max(where=s.is_last & (s.kind == level))


@feature(
    scores_, windows=(365,), unit="points", factor="satisfaction", direction=-1, by="kind",
    says="The lowest {level} score was {value}", none="No {level} score",
)  # fmt: skip
def score_lowest(s: ir.Table, level: str) -> Any:
    """Lowest score."""
    return s.score.min(where=s.kind == level)


@feature(
    scores_, windows=(365,), unit="points", factor="satisfaction", direction=-1, by="kind",
    says="{level} scores averaged {value}", none="No {level} score",
)  # fmt: skip
def score_mean(s: ir.Table, level: str) -> Any:
    """Average score."""
    return _mean(s.score, s.kind == level)


def _last_nps(s: ir.Table, said: ir.BooleanValue) -> Any:
    return said.cast("int64").max(where=s.is_last_nps)


@feature(
    scores_, unit="0 or 1", factor="loyalty", direction=-1, needs=("kind=nps",),
    says="Gave [a 9 or 10|an 8 or less] when last asked to recommend us",
    none="Never said whether they would recommend us",
)  # fmt: skip
def nps_promoter(s: ir.Table) -> Any:
    """Would recommend us: the last recommendation score is 9 or 10."""
    return _last_nps(s, s.score >= PROMOTER)


@feature(
    scores_, unit="0 or 1", factor="loyalty", needs=("kind=nps",),
    says="[Gave|Did not give] a 7 or 8 when last asked to recommend us",
    none="Never said whether they would recommend us",
)  # fmt: skip
def nps_passive(s: ir.Table) -> Any:
    """Is undecided about us: the last recommendation score is 7 or 8."""
    return _last_nps(s, (s.score >= PASSIVE) & (s.score < PROMOTER))


@feature(
    scores_, unit="0 or 1", factor="loyalty", direction=1, needs=("kind=nps",),
    says="Gave a [6 or less|7 or more] when last asked to recommend us",
    none="Never said whether they would recommend us",
)  # fmt: skip
def nps_detractor(s: ir.Table) -> Any:
    """Would not recommend us: the last recommendation score is 6 or less."""
    return _last_nps(s, s.score < PASSIVE)


@feature(
    scores_, windows=(365,), unit="0 to 1", factor="satisfaction", direction=-1, by="touchpoint",
    says="Scores at {level} averaged {value}", none="No score at {level}",
)  # fmt: skip
def touchpoint_score(s: ir.Table, level: str) -> Any:
    """Average score at this touchpoint, from the worst (0) to the best (1) of each scale."""
    return _mean(s.share, s.touchpoint == level)


@feature(
    scores_, windows=(365,), unit="0 to 1", factor="resolution", direction=-1,
    needs=("interaction_id",),
    says="Scores about tickets averaged {value}", none="No score about a ticket",
)  # fmt: skip
def ticket_score(s: ir.Table) -> Any:
    """Average score about tickets, from the worst (0) to the best (1) of each scale."""
    return _mean(s.share, s.interaction_id.notnull())


@feature(
    scores_, windows=(365,), unit="0 to 1", factor="product", direction=-1,
    needs=("transaction_id",),
    says="Scores about orders averaged {value}", none="No score about an order",
)  # fmt: skip
def order_score(s: ir.Table) -> Any:
    """Average score about orders, from the worst (0) to the best (1) of each scale."""
    return _mean(s.share, s.transaction_id.notnull())


def _is_low(s: ir.Table) -> ir.BooleanValue:
    """Tell which scores ask for a reply: detractors, and the lower half of the other scales."""
    if "score" not in s.columns:
        return ibis.literal(False)
    low = (s.kind == "nps").ifelse(s.score < PASSIVE, _share_of_scale(s) < 0.5)
    return low.fill_null(False)


@view("surveys", at="answered_at", rows="answers", none="No survey answered")
def answers_(s: ir.Table) -> ir.Table:
    """Rows: the surveys a customer answered, with or without a score."""
    has_comment = s.comment.notnull() if "comment" in s.columns else ibis.literal(False)
    s = s.mutate(has_comment=has_comment, is_exit=s.kind == "exit")
    if "replied_at" not in s.columns:
        return s
    waited = ibis.coalesce(s.replied_at, s.cutoff).delta(s.answered_at, unit="second")
    waits = s.replied_at.isnull() & (s.has_comment | _is_low(s))
    asks = waits | s.replied_at.notnull()
    return s.mutate(waits=waits, waited=asks.ifelse(waited, ibis.null("int64")))


@feature(
    answers_, unit="days", factor="loyalty", direction=1,
    says="Last answered a survey {value} ago",
)  # fmt: skip
def days_since_answer(s: ir.Table) -> Any:
    """Days since the customer last answered a survey."""
    return s.cutoff_day.max().delta(s.answered_day.max(), unit="day") - 1


@feature(
    answers_, windows=(365,), unit="count", factor="loyalty", empty=0, needs=("comment",),
    says="{n} [comment|comments] written",
)  # fmt: skip
def comments(s: ir.Table) -> Any:
    """Comments written in surveys and reviews."""
    return s.has_comment.sum()


@feature(
    answers_, windows=(365,), unit="count", factor="responsiveness", empty=0, direction=1,
    needs=("replied_at",),
    says="{n} [comment or low score|comments or low scores] without a reply", actionable=True,
)  # fmt: skip
def unanswered_feedback(s: ir.Table) -> Any:
    """Comments and low scores that nobody has replied to."""
    return s.waits.sum()


@feature(
    answers_, windows=(365,), unit="days", factor="responsiveness", direction=1,
    needs=("replied_at",),
    says="A comment or low score{window} has waited {value} for a reply",
    none="No comment or low score waits for a reply", actionable=True,
)  # fmt: skip
def unanswered_feedback_days(s: ir.Table) -> Any:
    """Days the oldest comment or low score without a reply has waited by now."""
    return s.waited.max(where=s.waits) / DAY


@feature(
    answers_, windows=(365,), unit="hours", factor="responsiveness", direction=1,
    needs=("replied_at",),
    says="Replies to comments and low scores took {value}",
    none="No comment or low score to reply to", actionable=True,
)  # fmt: skip
def reply_hours_median(s: ir.Table) -> Any:
    """Typical hours until a reply to a comment or low score, up to now where none has come."""
    return s.waited.median() / 3600


@feature(
    answers_, windows=(365,), unit="count", factor="loyalty", empty=0, direction=1,
    needs=("kind=exit",),
    says="{n} exit [survey|surveys] answered",
)  # fmt: skip
def exit_surveys(s: ir.Table) -> Any:
    """Exit surveys answered."""
    return s.is_exit.sum()
