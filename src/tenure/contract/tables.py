"""What a table must look like: its columns, their types, and when each value is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PLANNED", "PURCHASE", "REFUND", "TABLES", "Column", "Kind", "Table"]

Kind = Literal["id", "instant", "money", "count", "whole", "number", "flag", "text"]
PURCHASE, REFUND = "purchase", "refund"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, kind : str
        Its name and how it is read: `money`, `count` and `number` are decimal(18,4), `whole` is an
        integer of 64 bits, `flag` a boolean, `instant` a UTC moment without zone.
    required : bool
        Whether the table is unusable without it.
    planned : bool
        A date that is known from the row's start and may lie in the future.
    hangs_on : str or tuple of str, optional
        The instant before which the value is unknown (of several: the first that the table has);
        None means from the row's start.
    levels : tuple of str
        The values a closed set allows; any other sets the row aside.
    derived : bool
        Made from other columns while reading; cannot be mapped.
    """

    name: str
    kind: Kind
    required: bool = False
    planned: bool = False
    hangs_on: str | tuple[str, ...] | None = None
    levels: tuple[str, ...] = ()
    derived: bool = False


@dataclass(frozen=True)
class Table:
    """A table's columns, the instants at which its rows begin, and the columns that name a row.

    Parameters
    ----------
    name : str
        Its key under `data.tables`.
    at : tuple of str
        The instants at which a row begins: the first of them that the table has.
    key : tuple of str
        The columns that name a row; without any of them rows cannot be told apart.
    columns : tuple of Column
    days : mapping of str to str
        Local days that are added, each with its instant.
    needs_customer : bool
        Whether a row must match a customer that another table knows.
    """

    name: str
    at: tuple[str, ...]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    days: Mapping[str, str] = field(default_factory=dict)
    needs_customer: bool = False

    def kinds(self, *kinds: Kind) -> tuple[str, ...]:
        """Return the names of the columns of these kinds."""
        return tuple(c.name for c in self.columns if c.kind in kinds)

    def hangs_on(self, held: tuple[str, ...]) -> dict[str, str | None]:
        """Return the instant that reveals each dependent column held, None where none does."""
        found: dict[str, str | None] = {}
        for c in self.columns:
            if c.name in held and c.hangs_on is not None and c.hangs_on != c.name:
                on = (c.hangs_on,) if isinstance(c.hangs_on, str) else c.hangs_on
                found[c.name] = next((one for one in on if one in held), None)
        facts = {c.name for c in self.columns if c.hangs_on == c.name}
        of_days = {day: at for day, at in self.days.items() if at in facts}
        declared = {c: f"{c}_at" for c in held if f"{c}_at" in held}  # attributes
        return found | {c: on for c, on in (of_days | declared).items() if c in held}

    def start(self, held: tuple[str, ...]) -> str | None:
        """Return the instant at which the rows of a table with these columns begin."""
        return next((at for at in self.at if at in held), None)


def _fact(name: str) -> Column:
    """Return a past fact: a date that is unknown until it comes."""
    return Column(name, "instant", hangs_on=name)


_CUSTOMER = Column("customer_id", "id", required=True)
_LOADED = Column("loaded_at", "instant")
_ENDING = ("closed_at", "resolved_at")  # undated counts are final when the ticket is


_TRANSACTIONS = Table(
    name="transactions",
    at=("ts",),
    key=("transaction_id",),
    days={"day": "ts", "cancelled_day": "cancelled_at"},
    columns=(
        _CUSTOMER,
        Column("ts", "instant", required=True),
        Column("amount", "money", required=True),  # or quantity × unit_price
        Column("unit_price", "money"),
        Column("transaction_id", "id"),
        Column("kind", "text", levels=(PURCHASE, REFUND)),
        Column("channel", "text"),
        Column("category", "text"),
        Column("partner", "text"),
        Column("currency", "text"),
        Column("quantity", "count"),
        Column("discount", "money"),
        Column("promised_at", "instant", planned=True),
        _fact("cancelled_at"),
        _fact("delivered_at"),
        _LOADED,
    ),
)
_INTERACTIONS = Table(
    name="interactions",
    at=("opened_at",),
    key=("interaction_id",),
    days={"day": "opened_at"},
    needs_customer=True,
    columns=(
        _CUSTOMER,
        Column("opened_at", "instant", required=True),
        Column("interaction_id", "id"),
        _fact("first_response_at"),
        _fact("resolved_at"),
        _fact("closed_at"),
        _fact("reopened_at"),
        _fact("escalated_at"),
        Column("direction", "text", levels=("in", "out")),
        Column("kind", "text", levels=("question", "complaint", "request", "return")),
        Column("channel", "text"),
        Column("topic", "text"),
        Column("transaction_id", "id"),
        Column("wait_seconds", "whole", hangs_on="first_response_at"),
        Column("replies", "whole", hangs_on=_ENDING),
        Column("handoffs", "whole", hangs_on=_ENDING),
        Column("reopens", "whole", hangs_on=_ENDING),
        _LOADED,
    ),
)
_SURVEYS = Table(
    name="surveys",
    at=("sent_at", "answered_at"),
    key=("survey_id",),
    days={"sent_day": "sent_at", "answered_day": "answered_at"},
    needs_customer=True,
    columns=(
        _CUSTOMER,
        Column("sent_at", "instant"),  # one of the two is required
        _fact("answered_at"),
        Column("kind", "text", required=True, levels=("nps", "csat", "ces", "review", "exit")),
        Column("score", "number", hangs_on="answered_at"),
        # 0 at the worst and 1 at the best end of its scale
        Column("score_share", "number", hangs_on="answered_at", derived=True),
        Column("survey_id", "id"),
        Column("touchpoint", "text"),
        Column("transaction_id", "id"),
        Column("interaction_id", "id"),
        _fact("replied_at"),
        Column("comment", "text", hangs_on="answered_at"),
        _LOADED,
    ),
)
_SUBSCRIPTIONS = Table(
    name="subscriptions",
    at=("started_at",),
    key=("subscription_id", "started_at"),  # a new row for each change of plan or price
    days={"day": "started_at", "ended_day": "ended_at"},
    columns=(
        _CUSTOMER,
        Column("started_at", "instant", required=True),
        Column("subscription_id", "id"),
        _fact("ended_at"),
        Column("end_reason", "text", hangs_on="ended_at", levels=("voluntary", "involuntary")),
        _fact("cancel_requested_at"),
        Column("renews_at", "instant", planned=True),
        Column("trial_ends_at", "instant", planned=True),
        Column("plan", "text"),
        Column("mrr", "money"),
        Column("seats", "whole"),
        _LOADED,
    ),
)
_EVENTS = Table(
    name="events",
    at=("ts",),
    key=(),
    days={"day": "ts"},
    needs_customer=True,
    columns=(
        _CUSTOMER,
        Column("ts", "instant", required=True),
        Column("event", "text", required=True),
        Column(
            "group",
            "text",
            levels=("visit", "use", "email", "cart", "payment_failed", "loyalty", "incident"),
        ),
        Column("user_id", "id"),
        Column("channel", "text"),
        Column("value", "number"),
        _LOADED,
    ),
)
_TREATMENTS = Table(
    name="treatments",
    at=("ts",),
    key=(),
    days={"day": "ts"},
    needs_customer=True,
    columns=(
        _CUSTOMER,
        Column("ts", "instant", required=True),
        Column("campaign", "text", required=True),
        Column("treated", "flag", required=True),
        Column("randomised", "flag"),
        Column("cost", "money"),
        _LOADED,
    ),
)
_CUSTOMERS = Table(
    name="customers",
    at=("signup_at",),
    key=("customer_id",),
    columns=(
        _CUSTOMER,
        Column("signup_at", "instant"),
        Column("contactable", "flag"),  # never a feature
        Column("label", "flag"),  # never a feature
        _LOADED,
    ),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        _CUSTOMERS, _TRANSACTIONS, _INTERACTIONS, _SURVEYS, _SUBSCRIPTIONS, _EVENTS, _TREATMENTS,
    )
}  # fmt: skip

PLANNED = frozenset(c.name for table in TABLES.values() for c in table.columns if c.planned)
"""Dates known from their row's own start, which may lie in the future."""
