"""The Pareto/NBD model: its parameters. What follows from them is in `lifetime`.

References
----------
Schmittlein, Morrison & Colombo (1987), "Counting your customers", Management Science 33(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tenure.models.btyd import Status, frozen, plain
from tenure.models.lifetime import Lifetime

__all__ = ["ParetoModel"]


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
        What a reader must know, in words.
    gradient : float or None
        Largest slope of the log-likelihood there in the logarithm of a parameter, per customer.
    covariance : tuple of tuple of float
        Of the logarithms of the parameters, in their order; 0 in directions not determined.
    """

    r: float
    alpha: float
    s: float
    beta: float
    log_likelihood: float
    status: Status
    n_customers: int
    warnings: tuple[str, ...] = ()
    gradient: float | None = None
    covariance: tuple[tuple[float, ...], ...] = ()
    family: ClassVar[str] = "pareto_nbd"

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        return {"family": self.family, **plain(self)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ParetoModel:
        """Rebuild the model that `to_json` described."""
        return cls(**frozen({k: v for k, v in stored.items() if k != "family"}))
