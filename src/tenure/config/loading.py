"""Reading the config: safe YAML, and every problem in one message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tenure.config.playbook import Play
from tenure.config.sections import (
    TABLE_NAMES,
    AttributeConfig,
    ColumnMap,
    Config,
    GoalConfig,
    MilestoneConfig,
    ScaleConfig,
    TableConfig,
)
from tenure.errors import ConfigError, EnvironmentFault, listing

__all__ = ["load_config"]


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
_TRIED = re.compile(r"^(str|int|float|date|constrained-int|(dict|list|literal)\[.*|function-.*)$")
_SECTIONS: dict[str, type[BaseModel]] = {  # in mappings and lists of sections
    **dict.fromkeys(TABLE_NAMES, TableConfig),
    "columns": ColumnMap,
    "scales": ScaleConfig,
    "attributes": AttributeConfig,
    "goals": GoalConfig,
    "milestones": MilestoneConfig,
    "playbook": Play,
}


def _known_keys(path: tuple[str, ...]) -> list[str]:
    """Return the keys allowed in the section that holds the last step of `path`."""
    model: Any = Config
    for before, step in zip(("", *path), path[:-1], strict=False):
        field = getattr(model, "model_fields", {}).get(step)
        found = field.annotation if field else None
        is_section = isinstance(found, type) and issubclass(found, BaseModel)
        model = found if is_section else _SECTIONS.get(step) or _SECTIONS.get(before) or found
    fields = getattr(model, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]


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
