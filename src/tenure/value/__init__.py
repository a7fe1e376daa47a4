"""What a customer is worth, what leaving would cost, and what contacting them saves."""

from tenure.value.bounds import interval
from tenure.value.buyers import VALUES, Foreseen, buyer_timing, buyer_values
from tenure.value.clv import ConditionalValues, clv, combine, conditional_values, value_at_risk
from tenure.value.saved import expected_saved_value
from tenure.value.subscribers import contracts, subscriber_values
from tenure.value.subscription import Contracts, ContractValues

__all__ = [
    "VALUES",
    "ConditionalValues",
    "ContractValues",
    "Contracts",
    "Foreseen",
    "buyer_timing",
    "buyer_values",
    "clv",
    "combine",
    "conditional_values",
    "contracts",
    "expected_saved_value",
    "interval",
    "subscriber_values",
    "value_at_risk",
]
