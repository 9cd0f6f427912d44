"""The two databases that a warehouse may stand in, SQLite and PostgreSQL, behind the few things that it asks of them.

Rules, each with what it stops:
- whatever is written belongs to one transaction, durable when it ends: a program that is killed leaves all of it or nothing;
- one writer at a time, the others wait: transaction times come one after another, so what was once read can be read again;
- the database itself refuses to change or delete a statement: a correction is another statement.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from huizhen.errors import MachineError, Problem

__all__ = ["Database", "Postgres", "Sqlite"]

WAIT_S = 30.0
Row = tuple[Any, ...]

FIRST = """CREATE TABLE statement (number {serial}, kind TEXT NOT NULL, name TEXT NOT NULL, since BIGINT NOT NULL,
  known BIGINT NOT NULL, says TEXT NOT NULL, digest TEXT NOT NULL, content {bytes} NOT NULL)"""
INDEX = "CREATE INDEX statement_of_entity ON statement (kind, name, since, known)"


class Database(Protocol):
    """What a warehouse asks of its database; statements of SQL have their places marked by question marks."""

    steps: tuple[tuple[str, ...], ...]  # that made the schema what it is, from nothing

    def ask(self, sql: str, row: Sequence[Any] = ()) -> list[Row]: ...

    def writing(self) -> Any:
        """A context in which this program alone writes; what is written is kept as one at its end, or not at all."""

    def write(self, sql: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        """Within `writing`."""

    def close(self) -> None: ...


class Sqlite:
    """A file, made where there is none; readable by this account alone."""

    steps: tuple[tuple[str, ...], ...] = (
        ("PRAGMA application_id = 1213880151", FIRST.format(serial="INTEGER PRIMARY KEY AUTOINCREMENT", bytes="BLOB")),
        (
            INDEX,
            "CREATE TRIGGER statement_stays BEFORE UPDATE ON statement BEGIN SELECT RAISE(ABORT, 'a statement stays'); END",
            "CREATE TRIGGER statement_is_kept BEFORE DELETE ON statement BEGIN SELECT RAISE(ABORT, 'a statement stays'); END",
        ),
    )

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_S)
        try:
            with self._explained():
                self._check()
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            self._connection.close()
            raise

    def ask(self, sql: str, row: Sequence[Any] = ()) -> list[Row]:
        with self._explained():
            return self._connection.execute(sql, tuple(row)).fetchall()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def write(self, sql: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        self._connection.executemany(sql, rows) if rows != ((),) else self._connection.execute(sql)

    def close(self) -> None:
        self._connection.close()

    def _check(self) -> None:
        ((tables,),) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        ((ours,),) = self._connection.execute("PRAGMA application_id").fetchall()
        if tables and ours != 1_213_880_151:  # the letters HZWW as a number
            raise MachineError(
                "This file is no warehouse.", [Problem(str(self._path), "another database", "one that a warehouse made")]
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        found = ""
        try:
            yield
        except sqlite3.Error as error:
            found = getattr(error, "sqlite_errorname", "") or type(error).__name__
        except OSError as error:
            found = error.strerror or type(error).__name__
        if found:  # out here, so that nothing of what was to be written hangs on the exception
            raise _unusable(str(self._path), found)


class Postgres:
    """A schema of a PostgreSQL database.

    Args:
        address: ``postgresql://user@host:port/database``; a password is better left to ``PGPASSFILE``.
        schema: made where there is none.
    """

    steps: tuple[tuple[str, ...], ...] = (
        (FIRST.format(serial="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", bytes="BYTEA"),),
        (
            INDEX,
            "CREATE FUNCTION a_statement_stays() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'a statement stays'; END $$",
            "CREATE TRIGGER statement_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON statement "
            "FOR EACH STATEMENT EXECUTE FUNCTION a_statement_stays()",
        ),
    )

    def __init__(self, address: str, *, schema: str = "huizhen_twin") -> None:
        try:
            import psycopg
        except ImportError:
            problem = Problem("psycopg", "a package that is not installed", "psycopg", "pip install 'psycopg[binary]'")
            raise MachineError("PostgreSQL cannot be reached.", [problem]) from None
        self._error, self._named = psycopg.Error, address.rpartition("@")[2]  # never a password in a message
        self._address = plain = address.replace("postgresql+psycopg://", "postgresql://", 1)
        with self._explained():
            self._connection = psycopg.connect(plain, autocommit=True, prepare_threshold=None)
        try:
            with self._explained():
                name = psycopg.sql.Identifier(schema)
                self._connection.execute("SELECT pg_advisory_lock(1213880151)")  # two that make the schema at once collide
                self._connection.execute(psycopg.sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
                self._connection.execute("SELECT pg_advisory_unlock(1213880151)")
                self._connection.execute(psycopg.sql.SQL("SET search_path TO {}").format(name))
                self._connection.execute("SET lock_timeout = '30s'")
        except BaseException:
            self._connection.close()
            raise

    def ask(self, sql: str, row: Sequence[Any] = ()) -> list[Row]:
        with self._explained():
            return list(self._connection.execute(_marked(sql), tuple(row)).fetchall())

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._explained(), self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(1213880152)")
            yield

    def write(self, sql: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(sql), rows) if rows != ((),) else cursor.execute(_marked(sql))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        found = ""
        try:
            yield
        except self._error as error:
            found = f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()
        if found:
            raise _unusable(self._named, found)


def _marked(sql: str) -> Any:
    return sql.replace("?", "%s").encode()


def _unusable(where: str, found: str) -> MachineError:
    remedy = "Free space, or let this program read and write there; what was kept before is not harmed"
    return MachineError("The warehouse cannot be used.", [Problem(where, found, "a database that can be read and written", remedy)])
