"""How far two results are apart: the largest relative difference of any number that both publish."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from huizhen.privacy.result import Result

__all__ = ["difference"]

FLOOR = 1e-8  # numbers smaller than this are compared absolutely: 1e-20 against 0 is no difference
APART = ("iterations", "rounds", "design")  # how a result was reached, not what it is


def difference(mine: Result, other: Result) -> float | None:
    """The largest |a - b| / max(|a|, |b|, 1e-8) over facts, tables, counts and arrays that stand in both; None if there are none.

    A number that only one of them has (the other withholds or could not estimate it) is infinitely far away.
    """
    if mine.failure or other.failure:
        return None
    theirs = dict(_numbers(other))
    gaps = [_gap(value, theirs[name]) for name, value in _numbers(mine) if name in theirs]
    return max(gaps) if gaps else None


def _numbers(result: Result) -> Iterator[tuple[str, float]]:
    for name, value in result.facts.items():
        if name not in APART and isinstance(value, int | float):
            yield f"fact/{name}", float(value)
    for name, table in result.tables.items():
        rows = table.columns[table.index] if table.index else None
        for column, values in table.columns.items():
            for place, value in enumerate(values):
                if isinstance(value, int | float) and column != table.index:
                    yield f"table/{name}/{column}/{place if rows is None else (place, rows[place])}", float(value)
    for name, cells in result.cells.items():
        yield from _entries(f"cells/{name}", cells.counts)
    for name, array in result.arrays.items():
        yield from _entries(f"array/{name}", array)


def _entries(name: str, array: Any) -> Iterator[tuple[str, float]]:
    for place, value in enumerate(np.asarray(array, dtype=float).ravel().tolist()):
        yield f"{name}/{place}", value


def _gap(a: float, b: float) -> float:
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b), FLOOR)
