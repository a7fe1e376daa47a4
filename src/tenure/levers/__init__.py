"""What a company can change: experiences by their dose, and how often customers had them."""

from tenure.levers.exposure import Dosage, exposures, knots
from tenure.levers.registry import LEVERS, Lever, available, named

__all__ = ["LEVERS", "Dosage", "Lever", "available", "exposures", "knots", "named"]
