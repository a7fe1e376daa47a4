"""The feature matrix of undated customers: the attributes that the config declares, as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import ibis.expr.types as ir
import pandas as pd

from tenure.errors import DataError
from tenure.features.profile import (
    Attribute,
    attribute_columns,
    attribute_levels,
    attribute_values,
)
from tenure.features.schema import Column, Schema

__all__ = ["PEOPLE", "columns_of", "people_matrix", "plan_people"]

PEOPLE = "customers"
PREFIX = "attribute["
YES_NO = "yes or no"


def plan_people(tables: Mapping[str, ir.Table], levels: Mapping[str, Sequence[str]]) -> Schema:
    """Fix the levels of every declared attribute.

    Parameters
    ----------
    tables : mapping of str to Table
        `customers` holds the attributes.
    levels : mapping
        Levels that the config sets, by `customers.NAME` or `NAME`.

    Raises
    ------
    DataError
        If no attribute holds anything.
    """
    customers = tables[PEOPLE]
    held = tuple(c for c in customers.columns if c.startswith(PREFIX) and c.endswith("]"))
    if not held:
        raise DataError(
            "customers: no attribute holds anything, so there is nothing to learn from. Declare "
            "columns under data.tables.customers.attributes, or `attributes: all`."
        )
    chosen = attribute_levels(customers.select("customer_id", *held))
    for key in chosen:
        name = key.removeprefix(f"{PEOPLE}.{PREFIX}")[:-1]
        given = levels.get(f"{PEOPLE}.{name}", levels.get(name))
        if given is not None:
            chosen[key] = tuple(given)
    return Schema(0, chosen, {PEOPLE: ("customer_id", *held)}, PEOPLE)


def columns_of(schema: Schema) -> list[Column]:
    """List a schema's finished columns, also of one that is about attributes alone."""
    if schema.population != PEOPLE:
        return schema.columns()
    return [_column(a) for a in attribute_columns(schema.available[PEOPLE], schema.levels)]


def _column(one: Attribute) -> Column:
    called = one.source.removeprefix(PREFIX)[:-1]
    words, unit = (called, "number") if one.level is None else (f"{called} is {one.level}", YES_NO)
    return Column(one.name, one.source, None, None, unit, "profile", words, 0, one.says, one.none)


def people_matrix(tables: Mapping[str, ir.Table], schema: Schema) -> pd.DataFrame:
    """Return `customer_id` and one float64 column an attribute or level, ordered by customer."""
    customers = tables[PEOPLE]
    attributes = attribute_columns(schema.available[PEOPLE], schema.levels)
    # short names, since the engine does not tell `[a]` from `[A]`
    values = attribute_values(
        customers, [dataclasses.replace(a, name=f"c{i}") for i, a in enumerate(attributes)]
    )
    told = customers.select("customer_id", **values).order_by("customer_id").to_pyarrow()
    frame: pd.DataFrame = told.rename_columns(
        ["customer_id", *(a.name for a in attributes)]
    ).to_pandas()
    return frame
