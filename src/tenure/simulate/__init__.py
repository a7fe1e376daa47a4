"""Companies whose truth is known: customers, their experiences, and why they leave."""

from tenure.simulate.company import Company, demo_table, simulate
from tenure.simulate.truth import Truth
from tenure.simulate.world import START, Intervention, Shop, Subscriptions
from tenure.simulate.writing import summary, words, write

__all__ = [
    "START", "Company", "Intervention", "Shop", "Subscriptions", "Truth", "demo_table", "simulate",
    "summary", "words", "write",
]  # fmt: skip
