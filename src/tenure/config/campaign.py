"""The section `campaign`: what contacting a customer costs, and what comes of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["CampaignConfig"]

Money = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class CampaignConfig(BaseModel):
    """Costs of contacting one customer, in the config's currency, and how customers answer.

    Attributes
    ----------
    contact_cost : float
        Of each contact, whatever comes of it; 0 or more.
    incentive : float
        What an offer costs when it is taken; 0 or more.
    accept_rate : float
        Share of those about to leave whom the offer keeps, 0 < rate <= 1.
    stayers_take_rate : float
        Share of those about to stay who take the offer all the same, 0 <= rate <= 1.
    capacity : int or None
        Most customers that can be contacted at one cutoff; None is no limit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    contact_cost: Money = 1.0
    incentive: Money = 10.0
    accept_rate: Annotated[float, Field(gt=0, le=1)] = 0.3
    stayers_take_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    capacity: Annotated[int, Field(ge=1, le=10**9)] | None = None

    @field_validator("contact_cost", "incentive", "accept_rate", "stayers_take_rate", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if whole else value
