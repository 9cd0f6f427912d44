"""Results as canonical values, so that what was computed beside the joint answer outlives an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from huizhen.privacy.result import CellTable, Result, Table, Withheld

__all__ = ["result_from", "result_to"]


def result_to(result: Result) -> dict[str, Any]:
    """A result as canonical values."""
    return {
        **_fields_of(result),
        "tables": {name: _fields_of(table) for name, table in result.tables.items()},
        "cells": {name: _fields_of(cells) for name, cells in result.cells.items()},
        "withheld": [_fields_of(one) for one in result.withheld],
        "order": {name: list(getattr(result, name)) for name in ORDERED}
        | {"columns": {name: list(table.columns) for name, table in result.tables.items()}},
    }


def result_from(value: Mapping[str, Any]) -> Result:
    """The result behind canonical values; mappings in the order that they had, sequences of facts as lists."""
    if not isinstance(value, Mapping):
        raise TypeError
    order = value["order"]
    kept: dict[str, Any] = {name: {key: value[name][key] for key in order[name]} for name in ORDERED}
    tables = {
        name: Table(**{**_tuples(table), "columns": {column: tuple(table["columns"][column]) for column in order["columns"][name]}})
        for name, table in kept.pop("tables").items()
    }
    cells = {name: CellTable(**_tuples(one)) for name, one in kept.pop("cells").items()}
    withheld = tuple(Withheld(**one) for one in value["withheld"])
    plain = {name: one for name, one in value.items() if name not in (*ORDERED, "withheld", "order")}
    return Result(**_tuples(plain), **kept, tables=tables, cells=cells, withheld=withheld)


ORDERED = ("facts", "tables", "cells", "arrays", "model")  # mappings whose order a reader sees; canonical ones are sorted


def _fields_of(fact: Any) -> dict[str, Any]:
    return {field.name: getattr(fact, field.name) for field in fields(fact)}


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
