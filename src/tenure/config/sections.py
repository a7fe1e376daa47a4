"""The sections of the config: what may be asked, and what each key means."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from tenure.config.campaign import CampaignConfig
from tenure.config.churn import ChurnConfig, Days
from tenure.config.playbook import PLAYBOOK, Play

__all__ = [
    "TABLE_NAMES",
    "AttributeConfig",
    "ChurnConfig",
    "ClvConfig",
    "ColumnMap",
    "Config",
    "CutoffsConfig",
    "DataConfig",
    "ExperienceConfig",
    "FeaturesConfig",
    "GoalConfig",
    "MilestoneConfig",
    "ModelConfig",
    "ScaleConfig",
    "TableConfig",
    "is_address",
]  # fmt: skip

TABLE_NAMES = (
    "customers", "transactions", "interactions", "surveys", "subscriptions", "events", "treatments",
)  # fmt: skip


BAD_EXPERIENCES = ("late_delivery", "slow_response", "low_score")


def _one_of(*known: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"there is no {name!r} here; {hint}")
        return name

    return AfterValidator(check)


TableName = Annotated[str, _one_of(*TABLE_NAMES)]
Factor = Annotated[str, _one_of(*PLAYBOOK)]
SurveyKind = Annotated[str, _one_of("nps", "csat", "ces", "review", "exit")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ColumnMap(_Section):
    """One column by more than its name: a constant, or a name with a translation of its values."""

    column: str | None = None
    value: str | int | float | bool | None = None
    map: dict[str, str | int | float | bool] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ColumnMap:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either `column` or `value`")
        return self


class ScaleConfig(_Section):
    """The ends of a survey's scale, and which of them is better."""

    low: int
    high: int
    better: Literal["high", "low"] = "high"

    @model_validator(mode="after")
    def _in_order(self) -> ScaleConfig:
        if self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        return self


class AttributeConfig(_Section):
    """An attribute of customers, and the date from which its value was known."""

    known_from: str | None = None


class TableConfig(_Section):
    """Where a table comes from: `path`, `dataset`, or `sql` over `files`."""

    path: str | list[str] | None = None
    table: str | None = None
    dataset: str | None = None
    sql: str | None = None
    files: dict[str, str] = {}
    columns: dict[str, str | ColumnMap] = {}
    formats: dict[str, str] = {}
    observed_until: dt.date | None = None
    scales: dict[SurveyKind, ScaleConfig] = {}  # surveys
    response_days: Days = 14  # surveys: silent only after so many
    attributes: dict[str, AttributeConfig] | Literal["all"] = {}  # customers

    @model_validator(mode="after")
    def _one_source(self) -> TableConfig:
        given = [k for k in ("path", "dataset", "sql") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of `path`, `dataset`, `sql`; got {given or 'none'}")
        if bool(self.files) != (self.sql is not None):
            raise ValueError("`files` names the inputs of `sql`: give both or neither")
        for address in [*_as_list(self.path), *_as_list(self.sql), *self.files.values()]:
            if is_address(address):
                raise ValueError(f"{address!r} is an address; only files on this machine are read")
        return self

    @property
    def paths(self) -> list[str]:
        """The paths as a list, whether one or several were given."""
        return _as_list(self.path)


def _number(value: Any) -> Any:
    """Let a whole number stand where a decimal one is meant."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole else value


def is_address(path: str) -> bool:
    """Tell whether a path names a place elsewhere (`s3://…`) and not a file of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def _as_list(path: str | list[str] | None) -> list[str]:
    return [] if path is None else [path] if isinstance(path, str) else path


class DataConfig(_Section):
    """The tables and the engine's memory."""

    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")] = "4GB"
    tables: dict[TableName, TableConfig]

    @model_validator(mode="after")
    def _where_they_belong(self) -> DataConfig:
        for key, owner in (("scales", "surveys"), ("response_days", "surveys"),
                           ("attributes", "customers")):  # fmt: skip
            for name, table in self.tables.items():
                if key in table.model_fields_set and name != owner:
                    raise ValueError(f"`{key}` belongs to {owner}, not to {name}")
        return self


class CutoffsConfig(_Section):
    """How often the past is cut, how many times, and where the newest cut lies."""

    every_days: Days = 30
    count: Annotated[int, Field(ge=1, le=60)] | Literal["auto"] = "auto"
    last: dt.date | Literal["latest"] = "latest"


class ModelConfig(_Section):
    """The churn model.

    `monotone` lets a feature that declares a direction act in that direction only; `class_weight`
    makes a leaver weigh so much more than a stayer while LightGBM learns, and is taken out of the
    chances again.
    """

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7
    tuning_trials: Annotated[int, Field(ge=0, le=1000)] = 30
    calibration: Literal["auto", "none", "sigmoid", "beta", "isotonic"] = "auto"
    monotone: bool = False
    class_weight: Annotated[float, Field(gt=0, le=1000)] | Literal["balanced"] | None = None

    @field_validator("class_weight", mode="before")
    @classmethod
    def _whole_weights_too(cls, value: Any) -> Any:
        return _number(value)


class ClvConfig(_Section):
    """The value model; `margin` 1.0 means that value is revenue.

    `cost_to_serve` is what serving a customer costs, in the config's currency: for each purchase
    day, or for each month of a subscription. A purchase that costs more than it brings counts as 0.
    `replacement_cost` is what winning one new customer costs; goals tell what it saves.
    """

    horizon_days: Days = 365
    annual_discount_rate: Annotated[float, Field(ge=0, le=100)] = 0.10
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    cost_to_serve: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    replacement_cost: Annotated[float, Field(ge=0, le=1e9)] | None = None
    family: Literal["auto", "bg_nbd", "mbg_nbd", "pareto_nbd", "lightgbm"] = "auto"

    @field_validator(
        "annual_discount_rate", "margin", "cost_to_serve", "replacement_cost", mode="before"
    )
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        return _number(value)

    @property
    def money(self) -> dict[str, float]:
        """The terms on which purchases are valued."""
        return self.model_dump(exclude={"family", "replacement_cost"})


class FeaturesConfig(_Section):
    """Levels of by-columns where the user wants to set them, by `column` or `table.column`."""

    levels: dict[str, list[str]] = {}


class ExperienceConfig(_Section):
    """When support works (`mon-fri: "09:00-17:00"`), and what counts as a bad experience."""

    support_hours: dict[str, str] | None = None
    bad_experience: list[Annotated[str, _one_of(*BAD_EXPERIENCES)]] = list(BAD_EXPERIENCES)


class GoalConfig(_Section):
    """A figure to be reached: at `target`, or moved by `change`, from one day to another."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_by_alias=True, validate_by_name=False
    )

    name: str
    kpi: str
    feature: str | None = None
    target: float | int | None = None
    change: float | int | None = None
    start: Annotated[dt.date, Field(alias="from")]
    by: dt.date | None = None
    owner: str | None = None
    cost: float | int | None = None

    @model_validator(mode="after")
    def _one_aim(self) -> GoalConfig:
        if (self.target is None) == (self.change is None):
            raise ValueError("give either `target` or `change`")
        if self.by is not None and self.by <= self.start:
            raise ValueError("`by` must come after `from`")
        return self


class MilestoneConfig(_Section):
    """Something that happened, to be marked on the time axis."""

    on: dt.date
    name: str


class Config(_Section):
    """The whole file."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    timezone: str = "UTC"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    rates: dict[str, Annotated[float, Field(ge=1e-9, le=1e7, strict=False)]] = {}
    data: DataConfig
    churn: ChurnConfig = ChurnConfig()
    cutoffs: CutoffsConfig = CutoffsConfig()
    model: ModelConfig = ModelConfig()
    clv: ClvConfig = ClvConfig()
    campaign: CampaignConfig = CampaignConfig()
    features: FeaturesConfig = FeaturesConfig()
    experience: ExperienceConfig = ExperienceConfig()
    goals: list[GoalConfig] = []
    playbook: dict[Factor, Play] = {}
    milestones: list[MilestoneConfig] = []

    @model_validator(mode="after")
    def _has_the_label(self) -> Config:
        need = self.churn.table
        if need not in self.data.tables:
            raise ValueError(f"data.tables needs `{need}` where churn.kind is {self.churn.kind}")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            near = difflib.get_close_matches(name, available_timezones(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{name!r} is not an IANA time zone{hint}")
        return name

    @property
    def feature_settings(self) -> dict[str, float]:
        """Numbers that features use: days until silence, or a pause, counts, and what is bad."""
        surveys = self.data.tables.get("surveys")
        bad = self.experience.bad_experience
        return {
            "response_days": float(surveys.response_days if surveys else 14),
            "grace_days": float(self.churn.grace_days),
            **{f"counts_{kind}": float(kind in bad) for kind in BAD_EXPERIENCES},
        }

    def asking(self, **changed: Any) -> Config:
        """Return the same config with another question."""
        return self.model_copy(update={"churn": self.churn.asking(**changed)})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days begin."""
        return ZoneInfo(self.timezone)

    @property
    def out(self) -> Path:
        """Folder of this project's outputs."""
        return Path("out") / self.project
