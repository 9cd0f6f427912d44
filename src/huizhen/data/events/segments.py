"""Events as Parquet files, by DuckDB: staged as they come, compared with what is held, merged, read.

Nothing here knows of a manifest: what is written becomes part of a registry when `huizhen.data.events.store` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np

from huizhen.data.events.schema import COLUMNS, PART, Event
from huizhen.data.parquetfiles import connected, files, locked, quoted
from huizhen.errors import MachineError, Problem

__all__ = ["Engine", "Staged", "Verdict", "opened", "view"]

T = TypeVar("T")
MEMORY = "512MB"  # of a sync; what does not fit is spilled beside the segments
STAGED = ("seq", "delivery")  # what a staged event has besides
ORDER = (
    "kind, system, code, patient, begins"  # criteria ask for codes: like events together let whole groups of rows be passed over
)
STAGING = "(format parquet, compression lz4_raw)"  # read once or twice, then deleted
WRITTEN = "(format parquet, compression zstd, row_group_size 61440)"
DIGEST = "md5(concat_ws(chr(31), {}))".format(
    ", ".join(f"coalesce(cast({name} as varchar), chr(30))" for name in COLUMNS if name not in ("origin", "version"))
)


@dataclass(frozen=True, slots=True)
class Staged:
    """A file of events as they came, whose rows are numbered."""

    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many records are new, changed, the same, older than what is held, gone."""

    new: int = 0
    changed: int = 0
    same: int = 0
    older: int = 0
    gone: int = 0


class Engine:
    """DuckDB over the files of one registry; opens nothing outside its folder. Use within `opened`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def stage(self, origin: str, numbered: Sequence[tuple[int, int, Event]], path: Path) -> Staged:
        """Writes events with their numbers and deliveries; one of kind '' says that its record is gone."""
        by_field = dict(zip(Event._fields, zip(*(event for _, _, event in numbered))))
        columns: dict[str, Any] = {
            "seq": np.array([seq for seq, _, _ in numbered], dtype=np.int64),
            "delivery": np.array([delivery for _, delivery, _ in numbered], dtype=np.int64),
        }
        for name, sql in COLUMNS.items():
            if name != "origin":
                columns[name] = _column(by_field[name], sql)
        self._connection.register("batch", columns)
        chosen = ", ".join(
            f"cast({name} as {sql}) as {name}" if name != "origin" else f"{quoted(origin)} as origin"
            for name, sql in COLUMNS.items()
        )
        self._execute(f"copy (select seq, delivery, {chosen} from batch) to {quoted(str(path))} {STAGING}")
        self._connection.unregister("batch")
        return Staged(path, len(numbered))

    def compare(self, staged: Sequence[Staged], held: Sequence[Path], *, until: int, whole: bool) -> Verdict:
        """Decides for every record that was delivered; `write` and `without` then follow the decision.

        Of a record that was delivered more than once the one with the latest time of change counts, of equal ones the last.
        """
        self._execute("drop table if exists verdicts; drop table if exists fresh; drop table if exists held")
        base = f"split_part(record, '{PART}', 1)"
        self._execute(
            f"""create temp table fresh as
            with deliveries as (
              select {base} as base, delivery, bool_or(kind = '') as gone,
                coalesce(max(version), md5(string_agg({DIGEST}, '' order by seq))) as version
              from {files([file.path for file in staged])} where seq <= {int(until)} group by all)
            select *, try_cast(version as timestamp) as changed from deliveries
            qualify row_number() over (partition by base order by coalesce(changed, 'epoch'::timestamp) desc, delivery desc) = 1"""
        )
        chosen = "" if whole else f"where {base} in (select base from fresh)"
        self._execute(
            f"create temp table held as select {base} as base, max(version) as version from {files(held)} {chosen} group by all"
            if held
            else "create temp table held (base varchar, version varchar)"
        )
        self._execute(
            f"""create temp table verdicts as
            select coalesce(fresh.base, held.base) as base, delivery, fresh.version as version,
              case when fresh.base is null or (fresh.gone and held.base is not null) then 'gone'
                when fresh.gone then 'nothing'
                when held.base is null then 'new'
                when fresh.version = held.version then 'same'
                when {not whole} and fresh.changed < try_cast(held.version as timestamp) then 'older'
                else 'changed' end as verdict
            from fresh full join held on fresh.base = held.base"""
        )
        found = dict(self._execute("select verdict, count(*) from verdicts group by all").fetchall())
        found.pop("nothing", None)
        return Verdict(**found)

    def write(self, staged: Staged, path: Path, *, until: int, whole: bool) -> int:
        """Writes what is to be kept of a staged file, in order, one event per record; returns the number of events."""
        taken = "('new', 'changed', 'same')" if whole else "('new', 'changed')"
        columns = ", ".join(f"verdicts.version as {name}" if name == "version" else f"staged.{name}" for name in COLUMNS)
        self._execute(
            f"""copy (select {columns} from {files([staged.path])} as staged
              join verdicts on verdicts.base = split_part(staged.record, '{PART}', 1) and verdicts.delivery = staged.delivery
              where verdict in {taken} and kind <> '' and seq <= {int(until)}
              qualify row_number() over (partition by record order by seq desc) = 1
              order by {ORDER}) to {quoted(str(path))} {WRITTEN}"""
        )
        return self.rows(path)

    def replaced(self, held: Sequence[Path]) -> tuple[Path, ...]:
        """The files that hold something that has been replaced or is gone."""
        if not held:
            return ()
        found = self._execute(
            f"""select distinct filename from {files(held, named=True)}
            where split_part(record, '{PART}', 1) in (select base from verdicts where verdict in ('changed', 'gone'))"""
        ).fetchall()
        return tuple(Path(name) for (name,) in found)

    def without(self, held: Path, path: Path) -> int:
        """Writes a file without what has been replaced or is gone; returns the number of events left."""
        self._execute(
            f"""copy (select * from {files([held])} where split_part(record, '{PART}', 1)
              not in (select base from verdicts where verdict in ('changed', 'gone')) order by {ORDER})
            to {quoted(str(path))} {WRITTEN}"""
        )
        return self.rows(path)

    def merge(self, several: Sequence[Path], path: Path) -> int:
        """Writes several files as one, in order; returns the number of events."""
        self._execute(f"copy (select * from {files(several)} order by {ORDER}) to {quoted(str(path))} {WRITTEN}")
        return self.rows(path)

    def rows(self, path: Path) -> int:
        """Events in a file."""
        ((count,),) = self._execute(f"select count(*) from {files([path])}").fetchall()  # to its end: another question may follow
        return int(count)

    def _execute(self, sql: str) -> Any:
        return self._connection.execute(sql)


@contextmanager
def opened(folder: Path, spill: Path) -> Iterator[Engine]:
    """An engine for one sync.

    Raises:
        MachineError: a segment is damaged, or memory or the disk is full. Never with what DuckDB says, which may hold values.
    """
    found = ""
    try:
        with connected(spill, MEMORY, 1) as connection:
            connection.execute("set allowed_directories = [" + quoted(str(folder)) + "]")
            locked(connection)
            yield Engine(connection)
    except duckdb.OutOfMemoryException:
        found = "more than fits into memory"
    except duckdb.IOException:
        found = "a file that cannot be written or read"
    except duckdb.Error:
        found = "a segment that cannot be read"
    if found:  # raised out here, so that no trace of DuckDB's own message hangs on the exception
        raise failed(folder, found)


def view(
    segments: Sequence[Path], spill: Path, *, memory: str, threads: int, writing: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection in which ``events`` is what the segments hold, and no other file can be opened, but one to be written."""
    connection = connected(spill, memory, threads)
    allowed = [*segments, *([] if writing is None else [writing])]
    connection.execute("set allowed_paths = [" + ", ".join(quoted(str(path)) for path in allowed) + "]")
    locked(connection)
    empty = "select " + ", ".join(f"cast(null as {sql}) as {name}" for name, sql in COLUMNS.items()) + " where false"
    connection.execute(f"create view events as {f'select * from {files(segments)}' if segments else empty}")
    return connection


def guarded(folder: Path, act: Callable[[], T]) -> T:
    """Does something with DuckDB; its errors become ours, without what it says."""
    found = "a segment that cannot be read"
    try:
        return act()
    except duckdb.OutOfMemoryException:
        found = "more than fits into memory"
    except duckdb.Error:
        pass
    raise failed(folder, found)


def failed(folder: Path, found: str) -> MachineError:
    problem = Problem(str(folder), found, "a registry on a disk with room", "Free room, or delete the folder and sync again")
    return MachineError("The registry cannot be used.", [problem])


def _column(values: Sequence[Any], sql: str) -> Any:
    if sql == "TIMESTAMP":
        return np.array(values, dtype="datetime64[us]")
    if sql == "DOUBLE":
        present = np.array([value is not None for value in values], dtype=bool)
        return np.ma.array([value if value is not None else 0.0 for value in values], mask=~present, dtype=np.float64)
    return np.array(values, dtype=object)
