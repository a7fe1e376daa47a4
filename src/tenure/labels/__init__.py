"""Who is asked about, and what happened to them, for each kind of leaving."""

from tenure.labels.daily import daily_purchases
from tenure.labels.inactivity import bought_within, eligible, outcomes, with_labels
from tenure.labels.people import (
    beside,
    customer_labels,
    known_customers,
    labelled,
    lead_days,
    statuses,
    treated,
    with_outcome,
)
from tenure.labels.subscription import departures, durations, ends, standing
from tenure.labels.terms import cohorts, has_price, revenue, terms, unpriced

__all__ = [
    "beside",
    "bought_within",
    "cohorts",
    "customer_labels",
    "daily_purchases",
    "departures",
    "durations",
    "eligible",
    "ends",
    "has_price",
    "known_customers",
    "labelled",
    "lead_days",
    "outcomes",
    "revenue",
    "standing",
    "statuses",
    "terms",
    "treated",
    "unpriced",
    "with_labels",
    "with_outcome",
]
