"""The one YAML file a user writes, read safely and checked as a whole."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tenure.errors import ConfigError, EnvironmentFault, listing

__all__ = [
    "ChurnConfig",
    "ClvConfig",
    "ColumnMap",
    "Config",
    "CutoffsConfig",
    "DataConfig",
    "ModelConfig",
    "TableConfig",
    "is_address",
    "load_config",
]

Days = Annotated[int, Field(ge=1, le=3650)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ColumnMap(_Section):
    """One column by more than its name: a constant, or a name with a translation of its values."""

    column: str | None = None
    value: str | int | float | None = None
    map: dict[str, str | int | float] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ColumnMap:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either `column` or `value`")
        return self


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


def is_address(path: str) -> bool:
    """Tell whether a path names a place elsewhere (`s3://…`) and not a file of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path) is not None


def _as_list(path: str | list[str] | None) -> list[str]:
    return [] if path is None else [path] if isinstance(path, str) else path


class DataConfig(_Section):
    """The tables and the engine's memory."""

    memory_limit: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")] = "4GB"
    tables: dict[Literal["transactions"], TableConfig]

    @model_validator(mode="after")
    def _needs_transactions(self) -> DataConfig:
        if "transactions" not in self.tables:
            raise ValueError("`tables` needs `transactions`")
        return self


class ChurnConfig(_Section):
    """What leaving means: no purchase day in `horizon_days` after the cutoff and its gap."""

    kind: Literal["inactivity"] = "inactivity"
    horizon_days: Days = 90
    gap_days: Annotated[int, Field(ge=0, le=3650)] = 0
    active_within_days: Days | Literal["all"] | None = None

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


class CutoffsConfig(_Section):
    """How often the past is cut, how many times, and where the newest cut lies."""

    every_days: Days = 30
    count: Annotated[int, Field(ge=1, le=60)] | Literal["auto"] = "auto"
    last: dt.date | Literal["latest"] = "latest"


class ModelConfig(_Section):
    """The churn model."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7
    calibration: Literal["auto", "none", "sigmoid", "beta", "isotonic"] = "auto"


class ClvConfig(_Section):
    """The value model; `margin` 1.0 means that value is revenue."""

    horizon_days: Days = 365
    annual_discount_rate: Annotated[float, Field(ge=0, le=100)] = 0.10
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    family: Literal["auto", "bg_nbd", "mbg_nbd"] = "auto"

    @field_validator("annual_discount_rate", "margin", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if whole else value


class FeaturesConfig(_Section):
    """Levels of by-columns where the user wants to set them."""

    levels: dict[str, list[str]] = {}


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
    features: FeaturesConfig = FeaturesConfig()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            near = difflib.get_close_matches(name, available_timezones(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{name!r} is not an IANA time zone{hint}")
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days begin."""
        return ZoneInfo(self.timezone)

    @property
    def out(self) -> Path:
        """Folder of this project's outputs."""
        return Path("out") / self.project


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases and repeated keys; only true and false are booleans."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ConfigError(f"config line {mark.line + 1}: aliases (*name) are not allowed.")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"config line {line}: {name!r} is given twice; keep one.")
            seen.add(name)
        return super().construct_mapping(node, deep)


def _date(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """Return a date, or the text of one that no calendar holds, which the check then names."""
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


# pydantic writes which reading of a value it tried into the path: kind.str, last.literal['latest']
_TRIED = re.compile(r"^(str|int|float|date|constrained-int|list\[.*|literal\[.*|function-.*)$")
_SECTIONS = {"transactions": TableConfig, "columns": ColumnMap}  # in mappings of names to sections


def _known_keys(path: tuple[str, ...]) -> list[str]:
    """Return the keys allowed in the section that holds the last step of `path`."""
    model: Any = Config
    for before, step in zip(("", *path), path[:-1], strict=False):
        field = getattr(model, "model_fields", {}).get(step)
        found = field.annotation if field else None
        is_section = isinstance(found, type) and issubclass(found, BaseModel)
        model = found if is_section else _SECTIONS.get(step) or _SECTIONS.get(before) or found
    return list(getattr(model, "model_fields", {}))


def _explain(path: tuple[str, ...], errors: list[Any]) -> str:
    """Put what is wrong at one path into a sentence, whatever readings were tried."""
    where = ".".join(path) or "config"
    first = errors[0]
    if first["type"] == "extra_forbidden":
        known = _known_keys(path)
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known here: {', '.join(known)}."
        return f"{where}: unknown key.{hint}"
    said = [e["msg"].removeprefix("Value error, ").removeprefix("Input should be ") for e in errors]
    must = "should be " if "Input should be " in first["msg"] else ""
    got = "" if first["type"] == "missing" else f", got {str(first['input'])[:60]!r}"
    return f"{where}: {must}{' or '.join(said)}{got}."


def _problems(errors: list[Any]) -> list[str]:
    by_path: dict[tuple[str, ...], list[Any]] = {}
    for error in errors:
        steps = (str(p) for p in error["loc"] if p != "[key]")
        by_path.setdefault(tuple(p for p in steps if not _TRIED.match(p)), []).append(error)
    # where a section has a problem inside, "should be text" about the section itself misleads
    inside = {path[:n] for path in by_path for n in range(len(path))}
    return [_explain(path, found) for path, found in by_path.items() if path not in inside]


def load_config(path: str | Path) -> Config:
    """Read and check a config file.

    Parameters
    ----------
    path : str or Path
        The YAML file.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With every problem of the file in one message, each with its key path.
    EnvironmentFault
        If the file may not be read.
    """
    file = Path(path)
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such config file. Write one, or see configs/.") from None
    except (IsADirectoryError, PermissionError) as fault:
        raise EnvironmentFault(f"{file}: cannot be read ({fault.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text.") from None
    except RecursionError:
        raise ConfigError(f"{file}: is nested too deeply.") from None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{file}{line}: {getattr(fault, 'problem', 'not YAML')}.") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{file}: is empty or not a mapping; it needs at least project and data.")
    try:
        return Config.model_validate(raw)
    except ValidationError as fault:
        raise ConfigError(listing(str(file), _problems(fault.errors()))) from None
