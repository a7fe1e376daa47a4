"""Buy-till-you-die models: what every family offers, and the parameters of BG/NBD and MBG/NBD.

All say: while alive a customer buys at a Poisson rate λ ~ Gamma(r, α). The families differ in how
life ends: in BG/NBD and MBG/NBD after a purchase (`dropout`), in Pareto/NBD at any moment
(`lifetime`, `pareto`). MBG/NBD also offers the exit after the very first purchase, so a customer
who bought x times again had x + 1 chances to leave instead of x; nothing else differs from BG/NBD.
What all of them expect of the future is in `purchases` and `predictive`.

References
----------
Fader, Hardie & Lee (2005), "Counting your customers the easy way", Marketing Science 24(2).
Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24(3), for MBG/NBD.
"""

from __future__ import annotations

from dataclasses import Field, asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit

from tenure.models.dropout import Dropout
from tenure.models.posterior import Array

__all__ = [
    "Array",
    "BuyTillYouDie",
    "Counts",
    "Family",
    "PurchaseModel",
    "Status",
    "floats",
    "frozen",
    "log_likelihood",
    "p_alive",
    "plain",
]

Family = Literal["bg_nbd", "mbg_nbd"]
Status = Literal["converged", "boundary", "fallback"]


class Counts(Protocol):
    """Laws of the purchases within some days of customers with one frequency, given alive.

    Attributes
    ----------
    most : int
        Hardly anybody buys more often; the last column of a law is that often and more.
    """

    most: int

    def law(self, T: Array) -> Array:
        """P(n purchases within the days), by age; shape (rows, most + 1)."""
        ...

    def silent(self, T: Array, horizon: float, gap: float) -> Array:
        """P(n purchases within the days, none of them in [gap, gap + horizon)), by age."""
        ...


class BuyTillYouDie(Protocol):
    """A fitted family, and all that is its own; the rest of the package asks for nothing more.

    Columns are arrays of one length: x repeat purchase days, t_x and T the days from the first
    purchase to the last and to the cutoff. "Given alive" means at the cutoff.

    Attributes
    ----------
    NAMES : tuple of str
        Its parameters, all above 0.
    family : str
    alpha : float
        Rate of λ, which sets the scale of time.
    status : {"converged", "boundary", "fallback"}
    n_customers : int
        How many it was fitted to.
    warnings : tuple of str
        What a reader must know, in words.
    covariance : tuple of tuple of float
        Of the logarithms of `NAMES`.
    """

    NAMES: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def family(self) -> str: ...  # noqa: D102 (above)
    @property
    def alpha(self) -> float: ...  # noqa: D102
    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def n_customers(self) -> int: ...  # noqa: D102
    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def covariance(self) -> tuple[tuple[float, ...], ...]: ...  # noqa: D102

    def log_alive(self, x: Array, T: Array) -> Array:
        """Log of P(history, alive)."""
        ...

    def log_dead_over_alive(self, x: Array, t_x: Array, T: Array) -> Array:
        """Log of P(history, dead) / P(history, alive)."""
        ...

    def bought_by(self, x: Array, T: Array, ends: Array) -> Array:
        """Purchases expected before each end, given alive; `ends` has a row each or one for all."""
        ...

    def silent_by_step(self, x: Array, T: Array, edges: Array, horizon: float, gap: float) -> Array:
        """Purchases expected in each step, of those alive who buy nothing in the window."""
        ...

    def log_purchase(self, x: Array, T: Array, horizon: float, gap: float) -> tuple[Array, Array]:
        """Return logs of P(purchase) and P(none) in the window, given alive, both exact."""
        ...

    def counting(self, x: float, ages: tuple[float, float], days: float) -> Counts:
        """Return the laws of purchases within `days`, for one frequency and ages between these."""
        ...

    def bought(self, x: Array, T: Array, days: float, rng: np.random.Generator) -> Array:
        """Draw each customer's purchases within `days`, given alive."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        ...


@dataclass(frozen=True)
class PurchaseModel(Dropout):
    """Parameters of BG/NBD or MBG/NBD and how they were found.

    Attributes
    ----------
    family : {"bg_nbd", "mbg_nbd"}
    r, alpha : float
        Shape and rate of λ; `alpha` is in the time unit of the data, days in this project.
    a, b : float
        Parameters of the dropout probability.
    log_likelihood : float
        At these parameters, in the same time unit.
    status : {"converged", "boundary", "fallback"}
        "boundary": a parameter ran to the edge of sense, or a penalty had to hold it.
        "fallback": no fit succeeded, parameters are set by simple rates.
    n_customers : int
    warnings : tuple of str
        What a reader must know, in words.
    gradient : float or None
        Largest slope of the log-likelihood there in the logarithm of a parameter, per customer.
    covariance : tuple of tuple of float
        Of the logarithms of the parameters, in their order; 0 in directions not determined.
    """

    family: Family
    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    status: Status
    n_customers: int
    warnings: tuple[str, ...] = ()
    gradient: float | None = None
    covariance: tuple[tuple[float, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values."""
        return plain(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PurchaseModel:
        """Rebuild the model that `to_json` described."""
        return cls(**frozen(stored))


def plain(model: Any) -> dict[str, Any]:
    """Return a fitted model's fields as plain JSON values."""
    held = asdict(model)
    rows = [list(row) for row in held["covariance"]]
    return {**held, "warnings": list(held["warnings"]), "covariance": rows}


def frozen(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that `plain` described; a model of before they were kept lacks some."""
    rows = tuple(tuple(row) for row in stored.get("covariance", ()))
    return {**stored, "warnings": tuple(stored["warnings"]), "covariance": rows}


def floats(*columns: npt.ArrayLike) -> tuple[Array, ...]:
    """Broadcast the columns to float arrays of one common length."""
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(c, dtype=np.float64)) for c in columns))
    return tuple(arrays)


def log_likelihood(
    model: BuyTillYouDie, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Log-likelihood of each customer's history.

    Fader, Hardie & Lee (2005), equation 6; for MBG/NBD the same with one more chance to leave; for
    Pareto/NBD Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", equation 18.

    Parameters
    ----------
    model : BuyTillYouDie
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.

    Returns
    -------
    ndarray
    """
    x, t_x, age = floats(frequency, recency, T)
    odds = model.log_dead_over_alive(x, t_x, age)
    total: Array = model.log_alive(x, age) + np.logaddexp(0, odds)
    return total


def p_alive(
    model: BuyTillYouDie, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> Array:
    """Probability that the customer has not left by the cutoff.

    Always in [0, 1]; BG/NBD says 1 of everybody who bought once, by its assumptions.

    Parameters
    ----------
    model : BuyTillYouDie
    frequency, recency, T : array_like
        Repeat purchase days, and days from the first purchase to the last and to the cutoff.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> model = PurchaseModel("bg_nbd", .2426, 4.4136, .7929, 2.4259, -9582.43, "converged", 2357)
    >>> p_alive(model, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([1.   , 0.727])
    """
    x, t_x, age = floats(frequency, recency, T)
    alive: Array = np.exp(log_expit(-model.log_dead_over_alive(x, t_x, age)))
    return alive
