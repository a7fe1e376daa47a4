"""The Pareto/NBD model: its parameters. What follows from them is in `lifetime`.

References
----------
Schmittlein, Morrison & Colombo (1987), "Counting your customers", Management Science 33(1).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tenure.models.btyd import Status, log_likelihood, p_alive
from tenure.models.lifetime import Lifetime
from tenure.models.purchases import expected_purchases

__all__ = ["ParetoModel", "expected_purchases", "log_likelihood", "p_alive"]


@dataclass(frozen=True)
class ParetoModel(Lifetime):
    """Parameters of Pareto/NBD and how they were found.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of λ; `alpha` in the time unit of the data.
    s, beta : float
        Shape and rate of μ; `beta` in the time unit of the data.
    log_likelihood : float
        At these parameters, in the same time unit.
    status : {"converged", "boundary", "fallback"}
    n_customers : int
    warnings : tuple of str
    """

    r: float
    alpha: float
    s: float
    beta: float
    log_likelihood: float
    status: Status
    n_customers: int
    warnings: tuple[str, ...] = ()
    family: ClassVar[str] = "pareto_nbd"

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        return {"family": self.family, **asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ParetoModel:
        """Rebuild the model that `to_json` described."""
        given = {name: value for name, value in stored.items() if name != "family"}
        return cls(**{**given, "warnings": tuple(given["warnings"])})
