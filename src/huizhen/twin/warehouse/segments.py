"""Telemetry as Parquet files, by DuckDB: written, compared with what is held, merged, made coarser, read.

Nothing here knows of a manifest: what is written becomes part of the telemetry when `telemetry` names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from huizhen.data.parquetfiles import connected, files, locked, quoted
from huizhen.errors import MachineError, Problem
from huizhen.twin.warehouse.readings import Readings

__all__ = ["Engine", "opened"]

MEMORY, THREADS = "1GB", 2
COLUMNS = {
    "time": "TIMESTAMP",
    "site": "VARCHAR",
    "subject": "VARCHAR",
    "metric": "VARCHAR",
    "value": "DOUBLE",
    "unit": "VARCHAR",
    "source": "VARCHAR",
    "count": "BIGINT",  # values behind this one; 1, but for what was made coarser
    "low": "DOUBLE",
    "high": "DOUBLE",
    "reason": "VARCHAR",  # why it was set aside, "" for what is kept
}
KEY = "site, subject, metric, unit, source, time"
WHOLE = f"{KEY}, value, reason"  # alike in all of these: the same value, told twice
ORDER = "metric, site, subject, time"  # questions name a metric: whole groups of rows are passed over
WRITTEN = "(format parquet, compression zstd, row_group_size 122880)"


class Engine:
    """DuckDB over the files of one folder; opens nothing outside it. Use within `opened`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def fresh(self, readings: Readings, reasons: Sequence[str], held: Sequence[Path]) -> int:
        """Takes what is not held yet, each value once; returns how many there are.

        Args:
            reasons: of each value, why it is set aside; () for none.
        """
        self._register(readings, reasons)
        with_all = ", ".join(f"{_sql(name)} as {name}" for name in COLUMNS)
        within = f"(select distinct {with_all} from batch join series on batch.which = series.place)"
        unheld = f" anti join {files(held)} as held using ({WHOLE})" if held else ""
        self.ask(f"create or replace temp table fresh as select new.* from {within} as new{unheld}")
        self._connection.unregister("batch")
        self._connection.unregister("series")
        return int(self.ask("select count(*) from fresh")[0][0])

    def contradicted(self, held: Sequence[Path], path: Path) -> int:
        """Writes the keys of the values taken of which another value is told for the same time; returns how many."""
        also = f" union all select {WHOLE} from {files(held)} semi join fresh using ({KEY})" if held else ""
        return self._copy(
            f"""select site, subject, metric, unit, source, time from (select {WHOLE} from fresh{also})
            where reason = '' group by all having count(distinct value) > 1 order by metric, site, subject, time""",
            path,
        )

    def write(self, path: Path) -> int:
        """Writes what was taken, in order."""
        return self._copy(f"select * from fresh order by {ORDER}", path)

    def merge(self, several: Sequence[Path], path: Path) -> int:
        return self._copy(f"select * from {files(several)} order by {ORDER}", path)

    def coarser(self, several: Sequence[Path], without: Sequence[Path], path: Path, *, before: int, window_s: int) -> int:
        """Writes what is older than a time as one value a window, its median, with its count and its ends."""
        return self._copy(
            f"""select time_bucket(to_seconds({int(window_s)}), time) as time, site, subject, metric, median(value) as value, unit,
              source, sum(count)::bigint as count, min(low) as low, max(high) as high, reason
            from {_believed(several, without)} where time < make_timestamp({int(before)})
            group by all order by {ORDER}""",
            path,
        )

    def since(self, several: Sequence[Path], path: Path, *, since: int) -> int:
        """Writes what is not older than a time."""
        return self._copy(f"select * from {files(several)} where time >= make_timestamp({int(since)}) order by {ORDER}", path)

    def span(self, path: Path) -> tuple[int, int]:
        """The first and the last time in a file, in microseconds."""
        ((first, last),) = self.ask(f"select epoch_us(min(time)), epoch_us(max(time)) from {files([path])}")
        return int(first), int(last)

    def believed(self, several: Sequence[Path], without: Sequence[Path]) -> None:
        """Makes ``telemetry`` what these files hold but for what is contradicted."""
        if several:
            source = f"select * from {_believed(several, without)}"
        else:
            source = "select " + ", ".join(f"cast(null as {sql}) as {name}" for name, sql in COLUMNS.items()) + " where false"
        self.ask(f"create or replace temp view telemetry as {source}")

    def ask(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, list(row)).fetchall()

    def arrays(self, sql: str, row: Sequence[Any] = ()) -> dict[str, Any]:
        """What is found, column by column."""
        return dict(self._connection.execute(sql, list(row)).fetchnumpy())

    def register(self, name: str, columns: dict[str, Any]) -> None:
        self._connection.register(name, columns)

    def _register(self, readings: Readings, reasons: Sequence[str]) -> None:
        told = sorted(set(reasons)) or [""]
        places = {reason: place for place, reason in enumerate(told)}
        which = np.array([places[reason] for reason in reasons], np.int32) if reasons else np.zeros(len(readings), np.int32)
        batch = {"which": readings.which * len(told) + which, "time": readings.times, "value": readings.values + 0.0}
        rows = [(*one, reason) for one in readings.series for reason in told]
        names = ("site", "subject", "metric", "unit", "source", "reason")
        series = {name: np.array([row[place] for row in rows], dtype=object) for place, name in enumerate(names)}
        self._connection.register("batch", batch)
        self._connection.register("series", {"place": np.arange(len(rows), dtype=np.int32), **series})

    def _copy(self, sql: str, path: Path) -> int:
        return int(self.ask(f"copy ({sql}) to {quoted(str(path))} {WRITTEN}")[0][0])


def _sql(name: str) -> str:
    if name == "time":
        return "make_timestamp(batch.time)"
    if name in ("value", "low", "high"):
        return "coalesce(batch.value, 'nan'::double)"  # of an array, DuckDB takes what is no number for what is not there
    return "1::bigint" if name == "count" else f"series.{name}::varchar"


def _believed(several: Sequence[Path], without: Sequence[Path]) -> str:
    found = files(several)
    return f"{found} anti join {files(without)} as contradicted using ({KEY})" if without else found


@contextmanager
def opened(folder: Path) -> Iterator[Engine]:
    """An engine over a folder of telemetry.

    Raises:
        MachineError: a segment is damaged, or memory or the disk is full.
    """
    found = ""
    try:
        with connected(folder / "spill", MEMORY, THREADS) as connection:
            connection.execute("set allowed_directories = [" + quoted(str(folder)) + "]")
            locked(connection)
            yield Engine(connection)
    except duckdb.OutOfMemoryException:
        found = "more than fits into memory"
    except duckdb.IOException:
        found = "a file that cannot be written or read"
    except duckdb.Error:
        found = "a segment that cannot be read"
    if found:
        problem = Problem(str(folder), found, "a folder of telemetry on a disk with room", "Free room, or restore it from a backup")
        error = MachineError("The telemetry cannot be used.", [problem])
        raise error
