"""The question: what leaving means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ChurnConfig", "Days"]

Days = Annotated[int, Field(ge=1, le=3650)]


class ChurnConfig(BaseModel):
    """What leaving means.

    `inactivity`: no purchase day in `horizon_days` after the cutoff and its gap. `subscription`:
    all subscriptions end then and none follows within `grace_days`. `label`: the data say.

    A horizon of `auto` is a question to the data: `labels.horizon.settled` answers it. Until then
    nothing can be computed with it, and reading `horizon_days` is a fault.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_name=False, serialize_by_alias=True
    )

    kind: Literal["inactivity", "subscription", "label"] = "inactivity"
    asked_horizon: Days | Literal["auto"] = Field(default=90, alias="horizon_days")
    gap_days: Annotated[int, Field(ge=0, le=3650)] = 0
    active_within_days: Days | Literal["all"] | None = None
    grace_days: Annotated[int, Field(ge=0, le=3650)] = 30
    exclude_treated: bool = False

    @model_validator(mode="after")
    def _auto_takes_purchases(self) -> ChurnConfig:
        if self.is_auto and self.kind != "inactivity":
            advice = {
                "subscription": "name the days, as a rule one billing period (30)",
                "label": "leave horizon_days out, since the label in the data has its own",
            }
            raise ValueError(
                "`horizon_days: auto` is read from the pauses between purchases, which only "
                f"`kind: inactivity` asks about; for `kind: {self.kind}` {advice[self.kind]}"
            )
        return self

    @property
    def is_auto(self) -> bool:
        """Whether the data are still to choose the horizon."""
        return self.asked_horizon == "auto"

    @property
    def horizon_days(self) -> int:
        """Length of the label window in days."""
        if self.asked_horizon == "auto":
            raise RuntimeError("churn.horizon_days is auto: settle it by the data first.")
        return self.asked_horizon

    def asking(self, **changed: Any) -> ChurnConfig:
        """Return the same question with some settings changed, checked anew."""
        return ChurnConfig.model_validate(self.model_dump() | changed)

    @property
    def active_days(self) -> int | None:
        """Days within which an eligible customer has bought; None means ever."""
        if self.active_within_days == "all":
            return None
        return self.active_within_days or self.horizon_days + self.gap_days

    @property
    def label_days(self) -> int:
        """Days from the cutoff to the end of the label window."""
        return self.gap_days + self.horizon_days

    @property
    def complete_days(self) -> int:
        """Days from the cutoff until a label is known: of a subscription, whether one followed."""
        return self.label_days + (self.grace_days if self.kind == "subscription" else 0)

    @property
    def table(self) -> str:
        """The table the label is made of."""
        tables = {
            "inactivity": "transactions", "subscription": "subscriptions", "label": "customers",
        }  # fmt: skip
        return tables[self.kind]
