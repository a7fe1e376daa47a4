"""Point-in-time features: one small function each, grouped by the log they read."""

# Importing registers the features, always in this order: trees draw columns by position.
from tenure.features import (  # noqa: F401
    contact,
    deliveries,
    effort,
    events,
    interactions,
    profile,
    rfm,
    subscriptions,
    surveys,
    transactions,
    treatments,
)
