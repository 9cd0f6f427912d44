"""What a site of the lab holds and how it is configured, and the study file of a configuration: made up, from the plan's seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from huizhen.data.synthetic.tables import columns

__all__ = ["VARIABLES", "site_file", "study_file", "table"]

VARIABLES: tuple[Mapping[str, Any], ...] = (
    {"name": "age", "kind": "number", "levels": {}, "mean": 60.0, "sd": 10.0},
    {"name": "lab", "kind": "number", "levels": {}, "mean": 5.0, "sd": 1.0},
    {"name": "dose", "kind": "number", "levels": {}, "mean": 20.0, "sd": 4.0},
    {"name": "sex", "kind": "category", "levels": {"F": 1, "M": 1}},
    {"name": "stage", "kind": "category", "levels": {"I": 3, "II": 2, "III": 1}},
    {"name": "smoker", "kind": "number", "levels": {"0": 3, "1": 2}},
    {"name": "time", "kind": "number", "levels": {}, "mean": 1000.0, "sd": 150.0},
    {"name": "status", "kind": "number", "levels": {"0": 1, "1": 1}},
)


def table(rows: int, seed: int) -> str:
    """A table as CSV; nobody is in it."""
    cells = columns(VARIABLES, rows, np.random.default_rng(seed))
    lines = [",".join(cells), *(",".join(row) for row in zip(*cells.values()))]
    return "\n".join(lines) + "\n"


def site_file(name: str) -> str:
    """A site's configuration: it accepts at once whatever the plan asks."""
    accept = {"fitting": "accept", "sums": ["plain", "masked", "paillier"], "individual": True, "min_participants": 1}
    most = {"max_rounds": 100_000, "max_epsilon": 1000.0}
    tables = {"site": {"name": name}, "source": {"main": {"path": "rows.csv"}}, "policy": {"min_cell_count": 1}}
    return _file({**tables, "accept": {**accept, **most}})


def study_file(title: str, content: Mapping[str, Any], sites: Sequence[str]) -> str:
    """A study as a file that can be submitted."""
    return _file({"study": {"title": title}, "participants": {"sites": list(sites)}, **content})


def _file(tables: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in tables.items())


def _key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    """A value as TOML writes it, tables in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
