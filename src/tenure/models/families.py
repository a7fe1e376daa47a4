"""Every family of purchase models, told apart by its name where one is read from a file."""

from __future__ import annotations

from typing import Any

from tenure.models.btyd import PurchaseModel
from tenure.models.pareto import ParetoModel

__all__ = ["AnyModel", "from_json"]

AnyModel = PurchaseModel | ParetoModel


def from_json(stored: dict[str, Any]) -> AnyModel:
    """Rebuild the model that its `to_json` described.

    Examples
    --------
    >>> model = ParetoModel(.553, 10.578, .606, 11.669, -9594.98, "converged", 2357)
    >>> from_json(model.to_json()) == model
    True
    """
    kind = ParetoModel if stored["family"] == ParetoModel.family else PurchaseModel
    return kind.from_json(stored)
