"""The warehouse: statements of every entity, kept for ever, read as of any valid time and any transaction time.

with Warehouse(Sqlite(folder / "warehouse.db")) as warehouse:
    warehouse.record(statements, now=clock.now())
    mirror = mirror_of(warehouse, clock.now())
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from huizhen import canonical
from huizhen.errors import CallerError, MachineError, Problem
from huizhen.twin.mirror import Mirror
from huizhen.twin.warehouse.kinds import KINDS, MIRRORED
from huizhen.twin.warehouse.mirroring import mirror_from
from huizhen.twin.warehouse.sql import Database, Postgres, Sqlite
from huizhen.twin.warehouse.statements import Statement, Version, check, content_of, statement_of

__all__ = ["AsOf", "Recorded", "Warehouse", "mirror_of", "opened"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSERT = "INSERT INTO statement (kind, name, since, known, says, digest, content) VALUES (?, ?, ?, ?, ?, ?, ?)"
READ = "number, kind, name, since, known, content"
AS_OF = f"""SELECT {READ} FROM (
  SELECT *, row_number() OVER (PARTITION BY kind, name ORDER BY since DESC) AS latest FROM (
    SELECT *, row_number() OVER (PARTITION BY kind, name, since ORDER BY known DESC, number DESC) AS newest
    FROM statement WHERE since <= ? AND known <= ? AND kind IN ({{}})) AS heard
  WHERE newest = 1 AND says <> 'withdrawn') AS held
WHERE latest = 1 AND says = 'is' ORDER BY kind, name"""
SCHEMA_TABLE = "CREATE TABLE IF NOT EXISTS schema_step (step BIGINT PRIMARY KEY)"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a writing did.

    Attributes:
        known: its transaction time; of the last one before, where nothing was new.
        new, same: statements that were written, and that stood there already.
    """

    known: datetime
    new: int
    same: int


@dataclass(frozen=True, slots=True)
class AsOf:
    """What held at `valid`, as far as was known at `known`.

    Attributes:
        known: the transaction time that this rests on, at most the one asked for. Asked for again, it gives the same for ever.
        versions: by kind and name.
    """

    valid: datetime
    known: datetime
    versions: tuple[Version, ...]

    @property
    def statements(self) -> tuple[Statement, ...]:
        return tuple(one.statement for one in self.versions)


class Warehouse:
    """Statements in a database; safe to use from several threads, and by several programs at once.

    Raises:
        MachineError: the database cannot be used, or was made by a newer program.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, threading.RLock()
        try:
            self._migrate()
        except BaseException:
            database.close()
            raise

    def record(self, statements: Iterable[Statement], *, now: datetime) -> Recorded:
        """Writes statements, all or none; one that stands there already is not written again.

        Raises:
            CallerError: what cannot be said, all mistakes at once.
            MachineError: the database does not take it; nothing was written.
        """
        wanted = sorted(set_of(statements), key=lambda one: (one.kind, one.name, one.since))
        check(wanted)
        with self._lock, self._database.writing():
            last = self._last()
            known = max(_micros(now), last + 1)  # a clock that was set back does not write into the past
            rows = [row for row in map(_row, wanted) if self._standing(row) != row[4]]
            if rows:
                self._database.write(INSERT, [(*row[:3], known, *row[3:]) for row in rows])
        return Recorded(_time(known if rows else last), len(rows), len(wanted) - len(rows))

    def as_of(self, valid: datetime, known: datetime | None = None, *, kinds: Sequence[str] = tuple(KINDS)) -> AsOf:
        """What held at a time, as far as was known at another; None: all that is known."""
        asked = self.known if known is None else min(known, self.known)
        places = ", ".join("?" for _ in kinds)
        with self._lock:
            rows = self._database.ask(AS_OF.format(places), (_micros(valid), _micros(asked), *kinds))
        return AsOf(valid, asked, tuple(map(_version, rows)))

    def history(self, kind: str, name: str) -> tuple[Version, ...]:
        """All that was ever said of an entity, in the order in which it was written."""
        with self._lock:
            rows = self._database.ask(f"SELECT {READ} FROM statement WHERE kind = ? AND name = ? ORDER BY number", (kind, name))
        return tuple(map(_version, rows))

    def between(self, kind: str, since: datetime, until: datetime) -> tuple[Version, ...]:
        """What stands of a kind with a `since` from one time on and before another, such as the residuals of a month."""
        sql = f"""SELECT {READ} FROM (
          SELECT *, row_number() OVER (PARTITION BY name, since ORDER BY known DESC, number DESC) AS newest
          FROM statement WHERE kind = ? AND since >= ? AND since < ?) AS heard
        WHERE newest = 1 AND says = 'is' ORDER BY since, name"""
        with self._lock:
            return tuple(map(_version, self._database.ask(sql, (kind, _micros(since), _micros(until)))))

    @property
    def known(self) -> datetime:
        """The last transaction time; 1970 where nothing was written."""
        with self._lock:
            return _time(self._last())

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _last(self) -> int:
        return int(self._database.ask("SELECT coalesce(max(known), 0) FROM statement")[0][0])

    def _standing(self, row: tuple[Any, ...]) -> str:
        """The digest of what stands of this entity from this time on; "" for nothing."""
        sql = "SELECT digest FROM statement WHERE kind = ? AND name = ? AND since = ? ORDER BY known DESC, number DESC LIMIT 1"
        found = self._database.ask(sql, row[:3])
        return str(found[0][0]) if found else ""

    def _migrate(self) -> None:
        steps = self._database.steps
        with self._lock, self._database.writing():
            self._database.write(SCHEMA_TABLE)
            done = int(self._database.ask("SELECT coalesce(max(step), 0) FROM schema_step")[0][0])
            if done > len(steps):
                problem = Problem("schema", str(done), f"at most {len(steps)}", "Use the version of huizhen that wrote it")
                raise MachineError("The warehouse was made by a newer program.", [problem])
            for number, step in enumerate(steps[done:], start=done + 1):
                for sql in step:
                    self._database.write(sql)
                self._database.write("INSERT INTO schema_step VALUES (?)", [(number,)])


def mirror_of(warehouse: Warehouse, at: datetime, *, known: datetime | None = None) -> Mirror:
    """The mirrored federation at a time; what is old is doubted more, and its notes name it.

    Raises:
        CallerError: nothing is known of a federation, or what is known contradicts itself.
    """
    return mirror_from(warehouse.as_of(at, known, kinds=MIRRORED).statements, at)


def opened(address: str | Path) -> Warehouse:
    """The warehouse at an address: a file's path, or ``postgresql://``.

    Raises:
        CallerError: an address of another kind.
    """
    text = str(address)
    if text.startswith(("postgresql://", "postgresql+psycopg://")):
        return Warehouse(Postgres(text))
    if "://" in text:
        problem = Problem("warehouse", text.partition("://")[0] + "://", "a path, or postgresql://")
        raise CallerError("The warehouse cannot be opened.", [problem])
    return Warehouse(Sqlite(Path(text)))


def set_of(statements: Iterable[Statement]) -> list[Statement]:
    """Each statement once, in the order in which they came."""
    found: list[Statement] = []
    seen: set[tuple[str, str, datetime, str]] = set()
    for one in statements:
        key = (one.kind, one.name, one.since, canonical.digest(content_of(one)))
        if key not in seen:
            seen.add(key)
            found.append(one)
    return found


def _row(one: Statement) -> tuple[Any, ...]:
    content = canonical.encode(content_of(one))
    return one.kind, one.name, _micros(one.since), one.says, canonical.digest(content_of(one)), content


def _version(row: tuple[Any, ...]) -> Version:
    number, kind, name, since, known, content = row
    return Version(statement_of(kind, name, _time(since), canonical.decode(bytes(content))), _time(known), number)


def _micros(time_: datetime) -> int:
    return (time_ - EPOCH) // timedelta(microseconds=1)


def _time(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(micros))
