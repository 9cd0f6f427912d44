"""Parquet files by DuckDB, for every store of segments: a connection that opens only what it was given, durable names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

__all__ = ["connected", "durable", "files", "locked", "quoted", "sync_folder"]


def connected(spill: Path, memory: str, threads: int) -> duckdb.DuckDBPyConnection:
    """An empty database in memory; what does not fit is spilled. Nothing is fetched, and no variable of Python is read."""
    return duckdb.connect(
        ":memory:",
        config={
            "threads": threads,
            "memory_limit": memory,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "preserve_insertion_order": False,
        },
    )


def locked(connection: duckdb.DuckDBPyConnection) -> None:
    """From here on the connection opens only what it was allowed, and cannot be told otherwise."""
    connection.execute("set enable_progress_bar = false")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def files(paths: Sequence[Path], *, named: bool = False) -> str:
    """The rows of these files, as SQL."""
    listed = ", ".join(quoted(str(path)) for path in paths)
    return f"read_parquet([{listed}]{', filename = true' if named else ''})"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def durable(path: Path) -> None:
    """For this account alone, and on the disk."""
    path.chmod(0o600)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
