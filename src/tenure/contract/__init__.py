"""What a table must look like, and the rules that set rows aside."""

from tenure.contract.repeats import repeats
from tenure.contract.rules import SCALES, Rule, broken_rule, rules, says
from tenure.contract.tables import PLANNED, PURCHASE, REFUND, TABLES, Column, Kind, Table

__all__ = [
    "PLANNED", "PURCHASE", "REFUND", "SCALES", "TABLES",
    "Column", "Kind", "Rule", "Table", "broken_rule", "repeats", "rules", "says",
]  # fmt: skip
