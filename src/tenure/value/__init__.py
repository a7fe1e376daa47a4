"""What a customer is worth, what leaving would cost, and what contacting them saves."""

from tenure.value.bounds import interval
from tenure.value.buyers import VALUES, Foreseen, buyer_timing, buyer_values
from tenure.value.clv import ConditionalValues, clv, combine, conditional_values, value_at_risk
from tenure.value.saved import expected_saved_value

__all__ = [
    "VALUES",
    "ConditionalValues",
    "Foreseen",
    "buyer_timing",
    "buyer_values",
    "clv",
    "combine",
    "conditional_values",
    "expected_saved_value",
    "interval",
    "value_at_risk",
]
