"""How a feature is written: a view of rows, a plain aggregate over it, arithmetic on columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import ibis.expr.operations as ops
import ibis.expr.types as ir

__all__ = [
    "COMBINED",
    "FACTORS",
    "FEATURES",
    "ROLES",
    "VIEWS",
    "Combined",
    "Feature",
    "Last",
    "Role",
    "View",
    "Window",
    "column_name",
    "combined",
    "declared",
    "escaped",
    "feature",
    "total",
    "view",
    "within",
]

FACTORS = (
    "engagement", "value", "delivery", "responsiveness", "resolution", "effort", "satisfaction",
    "loyalty", "contact", "pricing", "billing", "product", "lifecycle", "usage", "profile",
)  # fmt: skip

Role = Literal["cause", "symptom", "circumstance"]
ROLES: Mapping[str, Role] = {
    **dict.fromkeys(FACTORS, "circumstance"),
    **dict.fromkeys(
        ("delivery", "responsiveness", "resolution", "effort", "billing", "pricing", "product",
         "contact"),
        "cause",
    ),
    **dict.fromkeys(("satisfaction", "loyalty"), "symptom"),
}  # fmt: skip
"""What a factor is to the company: a cause can be changed; a symptom (a score) is a signal to
listen to, not a lever to pull; a circumstance is neither."""


@dataclass(frozen=True)
class Last:
    """The window of a customer's last `n` rows of a view, however long ago they were."""

    n: int


Window = int | Last | None  # calendar days before the cutoff, last n rows, all time
Direction = Literal[-1, 0, 1]


@dataclass(frozen=True)
class View:
    """Rows of one log, collapsed before and shaped after they meet the cutoffs.

    Attributes
    ----------
    beside : mapping of str to tuple of str
        Other logs the body sees as known at the same cutoffs, each with the columns it needs.
    settings : tuple of str
        Numbers of the config that the rows carry as columns.
    rows : str
        What a row is, in the plural, for the dictionary.
    none : str
        What a customer without any row is told: "No ticket".
    """

    name: str
    table: str
    at: str
    needs: tuple[str, ...]
    collapse: Callable[[ir.Table], ir.Table] | None
    beside: Mapping[str, tuple[str, ...]]
    settings: tuple[str, ...]
    rows: str
    none: str
    build: Callable[..., ir.Table]


@dataclass(frozen=True)
class _Described:
    name: str
    windows: tuple[Window, ...]
    body: Callable[..., Any]
    unit: str
    factor: str
    empty: int | None  # what "no rows" means; None is missing
    direction: Direction  # 1: more of it is worse for the customer relationship, -1: better
    says: str  # one customer's sentence, in the language of explain/words.py
    none: str  # the sentence where the number is missing; the view's where it is empty
    actionable: bool  # whether the company can change it

    @property
    def description(self) -> str:
        """What the number is, as a phrase for people."""
        return " ".join((self.body.__doc__ or "").split()).rstrip(".")


@dataclass(frozen=True)
class Feature(_Described):
    """An aggregate over a view's rows."""

    view: str
    needs: tuple[str, ...]
    by: str | None


@dataclass(frozen=True)
class Combined(_Described):
    """Arithmetic on finished columns.

    Attributes
    ----------
    any_of : mapping of str to str
        If given, the body gets a list of these features' columns: of those that are built and
        whose setting (the key) is not 0. Without any of them nothing is built.
    """

    any_of: Mapping[str, str]


VIEWS: dict[str, View] = {}
FEATURES: dict[str, Feature] = {}
COMBINED: dict[str, Combined] = {}


def column_name(name: str, window: Window = None, level: str | None = None) -> str:
    """Name the column a feature makes; two of them never share a name, whatever a level is called.

    Examples
    --------
    >>> column_name("spend", 90), column_name("spend", Last(3)), column_name("share", 90, "web")
    ('spend_90d', 'spend_last3', 'share[web]_90d')
    """
    suffix = "" if window is None else f"_{window}d" if isinstance(window, int) else ""
    if isinstance(window, Last):
        suffix = f"_last{window.n}"
    return name + (f"[{level}]" if level is not None else "") + suffix


def view(
    table: str,
    *,
    at: str,
    needs: Sequence[str] = (),
    collapse: Callable[[ir.Table], ir.Table] | None = None,
    beside: Mapping[str, Sequence[str]] | None = None,
    settings: Sequence[str] = (),
    rows: str = "rows",
    none: str = "",
) -> Callable[[Callable[..., ir.Table]], Callable[..., ir.Table]]:
    """Register a view: rows of `table` as known at each cutoff, plus the columns the body adds.

    The body gets these rows, and those of each log of `beside`, known at the same cutoffs.
    """

    def add(build: Callable[..., ir.Table]) -> Callable[..., ir.Table]:
        name = build.__name__
        _claim(name)
        others = {n: tuple(columns) for n, columns in (beside or {}).items()}
        VIEWS[name] = View(
            name, table, at, tuple(needs), collapse, others, tuple(settings), rows, none,
            build,
        )  # fmt: skip
        return build

    return add


def feature(
    of: Callable[..., ir.Table],
    *,
    windows: Sequence[Window] = (None,),
    unit: str,
    factor: str,
    empty: int | None = None,
    direction: Direction = 0,
    needs: Sequence[str] = (),
    by: str | None = None,
    says: str = "",
    none: str = "",
    actionable: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register an aggregate; the engine pushes each window into it."""

    def add(body: Callable[..., Any]) -> Callable[..., Any]:
        name = body.__name__
        _claim(name)
        FEATURES[name] = Feature(
            name, tuple(windows), body, unit, factor, empty, direction, says,
            none or VIEWS[of.__name__].none, actionable, of.__name__, tuple(needs), by,
        )  # fmt: skip
        return body

    return add


def combined(
    *,
    windows: Sequence[Window] = (None,),
    unit: str,
    factor: str,
    direction: Direction = 0,
    any_of: Mapping[str, str] | None = None,
    says: str = "",
    none: str = "",
    actionable: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register arithmetic on finished columns; it is missing where a part of it is."""

    def add(body: Callable[..., Any]) -> Callable[..., Any]:
        name = body.__name__
        _claim(name)
        COMBINED[name] = Combined(
            name, tuple(windows), body, unit, factor, None, direction, says, none, actionable,
            any_of or {},
        )  # fmt: skip
        return body

    return add


def declared(name: str) -> Feature | Combined | None:
    """Return the feature of that name; None for what is not one, such as an attribute."""
    return FEATURES.get(name) or COMBINED.get(name)


def escaped(text: str) -> str:
    """Keep the signs of a sentence's language out of a user's word.

    Examples
    --------
    >>> escaped("price [EUR|USD]")
    'price (EUR/USD)'
    """
    return text.translate(str.maketrans("{}[]|", "()()/")).replace("//", "/")


def _claim(name: str) -> None:
    if name in VIEWS or name in FEATURES or name in COMBINED:
        raise ValueError(f"features: {name} is defined twice; give the second another name")


def within(aggregate: ir.Value, inside: ir.BooleanValue) -> ir.Value:
    """Restrict an aggregate to the rows inside a window.

    The condition goes into each reduction. Masking columns instead would be wrong: counting
    rows, or nulls, would bring the rows outside back.
    """

    def push(node: Any, changed: dict[str, Any] | None) -> Any:
        args = dict(zip(node.argnames, node.args, strict=True)) | (changed or {})
        if isinstance(node, ops.Reduction):
            where = args.get("where")
            on = inside.op() if where is None else ops.And(where, inside.op())
            if isinstance(node, ops.CountStar | ops.ArgMax | ops.ArgMin):
                args["where"] = on
            else:
                nothing = ops.Literal(None, args["arg"].dtype)
                args |= {"arg": ops.IfElse(on, args["arg"], nothing), "where": None}
        return node.__class__(**args)

    return aggregate.op().replace(push, filter=ops.Value).to_expr()


def total(value: ir.Value) -> ir.Value:
    """Sum exactly (decimals and integers) and only then leave for floating point."""
    return value.sum().cast("float64")
