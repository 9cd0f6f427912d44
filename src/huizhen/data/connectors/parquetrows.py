"""Rows of a Parquet file, by DuckDB, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

__all__ = ["parquet_rows"]

AT_ONCE = 2000


@contextmanager
def parquet_rows(path: Path) -> Iterator[tuple[list[str], Iterator[Any]]]:
    """The columns of a Parquet file, and its rows.

    Raises:
        ValueError: it is damaged; without what DuckDB says, which may hold values.
    """
    damaged = False
    try:
        with duckdb.connect(
            ":memory:",
            config={"threads": 1, "memory_limit": "256MB", "python_enable_replacements": False},
        ) as engine:
            engine.execute("set allowed_paths = ['" + str(path.resolve()).replace("'", "''") + "']")
            engine.execute("set enable_progress_bar = false")
            engine.execute("set enable_external_access = false")
            result = engine.execute("select * from read_parquet(?)", [str(path.resolve())])
            yield [column[0] for column in result.description], _rows(result)
    except duckdb.Error:
        damaged = True
    if damaged:
        raise ValueError("a file that cannot be read")


def _rows(result: Any) -> Iterator[Any]:
    while chunk := result.fetchmany(AT_ONCE):
        yield from chunk
