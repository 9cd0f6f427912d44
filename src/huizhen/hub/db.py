"""What the hub keeps, in one SQLite file: studies, the events of their lives, proposals, consents, results, cards.

Rules of the file, each with what it stops:
- whatever belongs together is one transaction, committed with a full sync (write-ahead log): a hub that is killed, or whose disk is
  full, leaves all of it or nothing;
- one writer: a second hub on the same folder is refused by a lock (two would start one study twice); anybody may read meanwhile;
- the events of a life are numbered from 0 without a gap, and none is ever changed.

What is decided is in the hub's ledger first (`huizhen.hub.lives`); this file can be made up from it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from huizhen import canonical
from huizhen.errors import CallerError, FederationError, MachineError, Problem

__all__ = ["Drafted", "HubStore", "KeptCard"]

FORMAT = 1_213_876_273  # SQLite's application_id, the letters HZH1 as a number
BUSY_S = 5.0  # a reader may hold a page; nobody else writes
SCHEMA = """
BEGIN IMMEDIATE;
PRAGMA application_id = 1213876273;
CREATE TABLE IF NOT EXISTS study (
  place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, initiator TEXT NOT NULL, key TEXT NOT NULL,
  priority INTEGER NOT NULL, expires_s REAL NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS event (
  study TEXT NOT NULL, number INTEGER NOT NULL, ledger INTEGER NOT NULL UNIQUE, content BLOB NOT NULL, PRIMARY KEY (study, number)
);
CREATE TABLE IF NOT EXISTS proposal (digest TEXT PRIMARY KEY, study TEXT NOT NULL UNIQUE, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS consent (
  place INTEGER PRIMARY KEY AUTOINCREMENT, proposal TEXT NOT NULL, site TEXT NOT NULL, choice TEXT NOT NULL, content BLOB NOT NULL,
  UNIQUE (proposal, site, choice)
);
CREATE TABLE IF NOT EXISTS result (study TEXT PRIMARY KEY, digest TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS card (
  site TEXT NOT NULL, identity TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, content BLOB NOT NULL,
  PRIMARY KEY (site, identity)
);
COMMIT;
"""
DRAFT = "INSERT OR REPLACE INTO study (id, initiator, key, priority, expires_s, content) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A study as it was submitted.

    Attributes:
        place: in the order of submission, from 1; of studies of one priority the first runs first.
        initiator, key: who submitted it.
        expires_s: how long a suggestion of it is open, in seconds.
        content: of the study, plain values.
    """

    place: int
    id: str
    initiator: str
    key: str
    priority: int
    expires_s: float
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeptCard:
    """A card as it is kept.

    Attributes:
        identity: public key of the site under which it was published.
        encoded: the signed card, in its canonical encoding.
    """

    site: str
    identity: str
    number: int
    digest: str
    encoded: bytes


class HubStore:
    """The hub's file. `HubStore(path)` writes and is alone in that; `HubStore.read(path)` only reads, also while a hub runs.

    Raises:
        FederationError: another hub has the file open, or it is another program's.
        MachineError: the file cannot be made, read or written.
    """

    def __init__(self, path: Path, *, _only_read: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._claim: sqlite3.Connection | None = None
        self._drafted: dict[str, Drafted] = {}  # what was submitted never changes
        with _explained(path):
            if _only_read:
                self._file = _connect(f"{path.resolve().as_uri()}?mode=ro")
            else:
                self._claim = _claim(path)
        try:
            with _explained(path):
                if not _only_read:
                    self._file = _open_for_writing(path)
                _check_format(self._file, path)
        except BaseException:
            self._let_go()
            raise

    @classmethod
    def read(cls, path: Path) -> Self:
        """The same file for reading.

        Raises:
            CallerError: nothing stands there.
        """
        if not path.is_file():
            problem = Problem(str(path), "no such file", "a hub's store", "Name the hub's folder with --dir")
            raise CallerError("There is no hub here.", [problem])
        return cls(path, _only_read=True)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is written inside is written as one, or not at all.

        Raises:
            MachineError: the disk is full, or does not take it.
        """
        with self._lock, _explained(self.path):
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def draft(self, drafted: Drafted) -> None:
        """Keep a study, whatever its `place`; its life begins with its first event. One that never began is overwritten."""
        row = (drafted.id, drafted.initiator, drafted.key, drafted.priority, drafted.expires_s, canonical.encode(drafted.content))
        self._change(DRAFT, row)
        self._drafted.pop(drafted.id, None)

    def drafted(self, id: str) -> Drafted | None:
        """One study, or None."""
        if id not in self._drafted:
            found = self._ask("SELECT place, id, initiator, key, priority, expires_s, content FROM study WHERE id = ?", (id,))
            if not found:
                return None
            self._drafted[id] = _drafted(found[0])
        return self._drafted[id]

    def studies(self) -> tuple[Drafted, ...]:
        """All studies whose life has begun, in the order of submission."""
        begun = self._ask("SELECT id FROM study WHERE EXISTS (SELECT 1 FROM event WHERE study = id) ORDER BY place")
        return tuple(one for (id,) in begun if (one := self.drafted(id)) is not None)

    def append(self, study: str, number: int, content: Mapping[str, Any], *, ledger: int) -> None:
        """Keep event `number` of a life, whose entry in the ledger is number `ledger`."""
        self._change("INSERT INTO event VALUES (?, ?, ?, ?)", (study, number, ledger, canonical.encode(content)))

    def events(self, study: str) -> tuple[Any, ...]:
        """The events of a life, in order, as plain values."""
        found = self._ask("SELECT content FROM event WHERE study = ? ORDER BY number", (study,))
        return tuple(canonical.decode(content) for (content,) in found)

    @property
    def ledger_read(self) -> int:
        """Number of the first entry of the ledger that is not kept here yet, if it is one of a life."""
        return int(self._ask("SELECT ifnull(max(ledger), -1) + 1 FROM event")[0][0])

    def propose(self, digest: str, study: str, content: Mapping[str, Any]) -> None:
        """Keep what was proposed; a study is proposed once."""
        self._change("INSERT OR REPLACE INTO proposal VALUES (?, ?, ?)", (digest, study, canonical.encode(content)))

    def proposal(self, study: str) -> Any | None:
        """What was proposed of a study, as plain values, or None."""
        return self._one("SELECT content FROM proposal WHERE study = ?", (study,))

    def proposed(self, digest: str) -> str:
        """The study whose proposal has this digest; "" where there is none."""
        found = self._ask("SELECT study FROM proposal WHERE digest = ?", (digest,))
        return str(found[0][0]) if found else ""

    def consent(self, proposal: str, site: str, choice: str, content: Mapping[str, Any]) -> None:
        """Keep a site's signed decision."""
        row = (proposal, site, choice, canonical.encode(content))
        self._change("INSERT OR REPLACE INTO consent (proposal, site, choice, content) VALUES (?, ?, ?, ?)", row)

    def consents(self, proposal: str) -> tuple[Any, ...]:
        """All decisions on a proposal, in the order in which they came, as plain values."""
        return tuple(
            canonical.decode(row[0])
            for row in self._ask("SELECT content FROM consent WHERE proposal = ? ORDER BY place", (proposal,))
        )

    def has_consent(self, proposal: str, site: str, choice: str, content: Mapping[str, Any]) -> bool:
        """Whether exactly this decision is kept."""
        statement = "SELECT content FROM consent WHERE proposal = ? AND site = ? AND choice = ?"
        return self._ask(statement, (proposal, site, choice)) == [(canonical.encode(content),)]

    def keep_result(self, study: str, digest: str, content: Any) -> None:
        """Keep what a study found."""
        self._change("INSERT OR REPLACE INTO result VALUES (?, ?, ?)", (study, digest, canonical.encode(content)))

    def result(self, study: str) -> Any | None:
        """What a study found, as plain values, or None."""
        return self._one("SELECT content FROM result WHERE study = ?", (study,))

    def keep_card(self, site: str, identity: str, number: int, digest: str, content: Mapping[str, Any]) -> None:
        """Keep what a site has published under a key, in the place of what it published before."""
        row = (site, identity, number, digest, canonical.encode(content))
        self._change("INSERT OR REPLACE INTO card VALUES (?, ?, ?, ?, ?)", row)

    def card(self, site: str, identity: str) -> KeptCard | None:
        """What a site has published last under a key, or None."""
        found = self._ask(
            "SELECT site, identity, number, digest, content FROM card WHERE site = ? AND identity = ?", (site, identity)
        )
        return KeptCard(*found[0]) if found else None

    def cards(self) -> tuple[KeptCard, ...]:
        """What all sites have published last, by name; those, too, that are no members any more."""
        return tuple(KeptCard(*row) for row in self._ask("SELECT site, identity, number, digest, content FROM card ORDER BY site"))

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _let_go(self) -> None:
        for connection in (getattr(self, "_file", None), self._claim):
            if connection is not None:
                connection.close()

    def _change(self, statement: str, row: tuple[Any, ...]) -> None:
        with self._lock, _explained(self.path):
            self._file.execute(statement, row)

    def _ask(self, statement: str, row: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, _explained(self.path):
            return self._file.execute(statement, row).fetchall()

    def _one(self, statement: str, row: tuple[Any, ...]) -> Any | None:
        found = self._ask(statement, row)
        return canonical.decode(found[0][0]) if found else None


def _drafted(row: tuple[Any, ...]) -> Drafted:
    place, id, initiator, key, priority, expires_s, content = row
    return Drafted(place, id, initiator, key, priority, expires_s, canonical.decode(content))


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


def _claim(path: Path) -> sqlite3.Connection:
    """SQLite's own lock on an empty file beside the store: let go by the system when the program dies."""
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), isolation_level=None, check_same_thread=False, timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except BaseException as error:
        lock.close()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorname.startswith("SQLITE_BUSY"):
            problem = Problem(str(path.parent), "a hub that runs on this folder", "one hub for one folder", "Stop that hub first.")
            raise FederationError("The hub's folder is in use.", [problem]) from None
        raise
    return lock


def _open_for_writing(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let the umask decide who may read
    connection = _connect(path.resolve().as_uri())
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            _check_format(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != FORMAT:
        raise FederationError("This file is no hub's store.", [Problem(str(path), "another database", "one that a hub made")])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        remedy = "Free space on the disk, or allow this program to write there; what was kept before is not harmed."
        raise MachineError(
            "The hub's store cannot be used.", [Problem(str(path), name, "a disk that can be written", remedy)]
        ) from None
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a file that can be read and written")
        raise MachineError("The hub's store cannot be used.", [problem]) from None
