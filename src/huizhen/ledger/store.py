"""Where a ledger is kept: in memory, or in an SQLite file that survives a crash at any moment.

Rules of the file, each with what it stops:
- One statement per append, committed with a full sync (write-ahead log): a process that is killed leaves the entries before, or
  also the new one, never a part of it.
- Triggers refuse UPDATE, DELETE and an INSERT anywhere but at the end: mistakes by programs. Whoever can edit the file itself is
  found out by `verify`, not hindered.
- One writer: a second program that opens the file for writing is refused, for a gate that remembers its answers must be alone.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huizhen.errors import LedgerError, MachineError, Problem
from huizhen.ledger.chain import EMPTY, Damaged, Entry, Head, Verdict, head_after, seal, verify
from huizhen.ledger.keys import SigningKey, key_id, public_hex

__all__ = ["LedgerStore", "MemoryLedger", "SqliteLedger", "read_file", "verify_file"]


Durable = Literal["when appended", "when settled"]
FORMAT = 1_213_877_297  # SQLite's application_id, the letters HZL1 as a number
FIRST = -(2**63)
ROOM_PAGES = 128  # 4 KB each; measured at 400 entries: 67 microseconds of processor time a commit, against 125 without room
PAGE = 256  # entries read at once: a reader holds no lock between pages, and constant memory
SCHEMA = """
BEGIN IMMEDIATE;
PRAGMA application_id = 1213877297;
CREATE TABLE IF NOT EXISTS entry (
  sequence INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL,
  previous TEXT NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL, signature TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS entry_never_changes BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'an entry of a ledger is never changed'); END;
CREATE TRIGGER IF NOT EXISTS entry_never_leaves BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'an entry of a ledger is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS entry_comes_last BEFORE INSERT ON entry
WHEN NEW.sequence IS NOT (SELECT ifnull(max(sequence), -1) + 1 FROM entry)
BEGIN SELECT RAISE(ABORT, 'an entry of a ledger is appended at its end'); END;
COMMIT;
"""
INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
NEWEST = "SELECT * FROM entry ORDER BY sequence DESC LIMIT 2"
NEXT = "SELECT * FROM entry WHERE sequence >= ? ORDER BY sequence LIMIT ?"


class LedgerStore(Protocol):
    """An append-only chain of signed entries; safe to use from several threads."""

    @property
    def head(self) -> Head:
        """How long the chain is and the hash of its newest entry; note it elsewhere to recognise the chain later."""

    @property
    def public_key(self) -> str:
        """The public key of the signing key, hexadecimal."""

    def append(self, kind: str, payload: Mapping[str, Any], time: datetime) -> Entry:
        """Seal a fact and keep it; after an exception it is whole or not there.

        It survives a crash of the program when this returns, and a loss of power too unless the store waits for `settle`.

        Raises:
            TypeError, ValueError: the payload is not a plain fact (see `chain.readable`).
            MachineError: the disk is full, or may not be written.
            LedgerError: the ledger is damaged, or was closed.
        """

    def settle(self) -> None:
        """Wait until all that was appended survives a loss of power; nothing may leave a site before.

        Raises:
            MachineError: the disk does not confirm it.
        """

    def entries(self, since: int = 0) -> Iterator[Entry]:
        """The entries from number `since` on, in order.

        Raises:
            LedgerError: an entry cannot be read.
        """

    def verify(self, head: Head | None = None) -> Verdict:
        """Whether the whole chain is sound, and reaches `head` where one was noted earlier."""

    def close(self) -> None:
        """Let go of the store; a closed ledger cannot be appended to."""


class MemoryLedger:
    """A ledger that is forgotten with its process; for tests and for runs that keep no record."""

    def __init__(self, signer: SigningKey, trusted: Iterable[Ed25519PublicKey] = ()) -> None:
        self._signer = signer
        self._keys = _trusted(signer, trusted)
        self._entries: list[Entry] = []
        self._head = EMPTY
        self._closed = False
        self._lock = threading.Lock()

    @property
    def head(self) -> Head:
        return self._head

    @property
    def public_key(self) -> str:
        return public_hex(self._signer.public)

    def append(self, kind: str, payload: Mapping[str, Any], time: datetime) -> Entry:
        with self._lock:
            if self._closed:
                raise _closed()
            entry = seal(self._head, time, kind, payload, self._signer)
            self._entries.append(entry)
            self._head = head_after(entry)
            return entry

    def settle(self) -> None:
        """Memory survives no loss of power; there is nothing to wait for."""

    def entries(self, since: int = 0) -> Iterator[Entry]:
        yield from self._entries[max(since, 0) :]

    def verify(self, head: Head | None = None) -> Verdict:
        return verify(self._entries, self._keys, head=head or self._head)

    def close(self) -> None:
        self._closed = True


class SqliteLedger:
    """A ledger in an SQLite file, opened for writing by one program at a time.

    Opening checks the newest entry with its signature and its link; `verify` checks all. Entries that a program cut off while the
    file was closed show only against a head noted elsewhere.

    Args:
        path: the file; made, readable by its owner alone, where there is none.
        signer: the key that signs new entries.
        trusted: further public keys whose entries are sound, e.g. the site's earlier keys.
        durable: whether an entry survives a loss of power as soon as it is appended, or when `settle` returns; a program that
            keeps several ledgers settles them together, which costs a third of waiting for the disk after each entry.

    Raises:
        LedgerError: the file is no ledger, its newest entry is not sound, or another program has it open.
        MachineError: the file cannot be made, read or written.
    """

    def __init__(
        self, path: Path, signer: SigningKey, trusted: Iterable[Ed25519PublicKey] = (), *, durable: Durable = "when appended"
    ) -> None:
        self.path = path
        self._log: int | None = None  # the write-ahead log, where entries wait to be settled
        self._signer = signer
        self._keys = _trusted(signer, trusted)
        self._lock = threading.Lock()
        self._unsure = False
        with _explained(path):
            self._only_writer = _claim(path)
            try:
                self._file: sqlite3.Connection | None = _open_for_writing(path)
            except BaseException:
                self._only_writer.close()
                raise
        try:
            self._head = self._newest()
            if durable == "when settled":
                self._settle_later()
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        return self._head

    @property
    def public_key(self) -> str:
        return public_hex(self._signer.public)

    def append(self, kind: str, payload: Mapping[str, Any], time: datetime) -> Entry:
        with self._lock:
            if self._file is None:
                raise _closed()
            if self._unsure:  # an append was interrupted: the file knows whether it took place
                self._head, self._unsure = self._newest(), False
            entry = seal(self._head, time, kind, payload, self._signer)
            self._unsure = True
            try:
                self._file.execute(INSERT, _row(entry))
            except sqlite3.Error as error:
                raise _explain(error, self.path) from None
            self._head = head_after(entry)
            self._unsure = False
            return entry

    def settle(self) -> None:
        if self._log is None:
            return
        try:
            os.fdatasync(self._log)
        except OSError as error:
            found = error.strerror or type(error).__name__
            raise MachineError(
                "The ledger cannot be made durable.", [Problem(str(self.path), found, "a disk that keeps")]
            ) from None

    def _settle_later(self) -> None:
        assert self._file is not None
        self._file.execute("PRAGMA synchronous = NORMAL")  # the log is synced by `settle`, and by SQLite before it is overwritten
        self._log = os.open(f"{self.path}-wal", os.O_RDWR)

    def entries(self, since: int = 0) -> Iterator[Entry]:
        for entry in self._stream(max(since, 0)):
            if isinstance(entry, Damaged):
                raise LedgerError(f"The ledger {self.path} is damaged: entry {entry.sequence} cannot be read: {entry.reason}.")
            yield entry

    def verify(self, head: Head | None = None) -> Verdict:
        return verify(self._stream(), self._keys, head=head or self._head)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self.settle()
                self._file.close()
                self._only_writer.close()
                self._file = None
            if self._log is not None:
                os.close(self._log)
                self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _stream(self, since: int = FIRST) -> Iterator[Entry | Damaged]:
        if self._file is None:
            raise _closed()
        return _stream(self._file, since)

    def _newest(self) -> Head:
        """The head of the file, once its newest entry is found sound."""
        if self._file is None:
            raise _closed()
        with _explained(self.path):
            rows = self._file.execute(NEWEST).fetchall()
        if not rows:
            return EMPTY
        last = _entry(rows[0])
        before = Head(last.sequence, _entry(rows[1]).hash) if len(rows) > 1 else EMPTY
        verdict = verify([last], self._keys, start=before)
        if not verdict.sound:
            raise LedgerError(f"The ledger {self.path} does not verify: {verdict.reason}. Nothing is appended to it.")
        return verdict.head


def verify_file(path: Path, trusted: Iterable[Ed25519PublicKey], *, head: Head | None = None) -> Verdict:
    """Whether the ledger in a file is sound; the file is only read, also while a program writes it.

    Args:
        path: an SQLite ledger.
        trusted: the public keys whose signatures count.
        head: what the chain was known to reach at an earlier time.

    Raises:
        MachineError: the file cannot be read.
        LedgerError: the file is no ledger.
    """
    keys = {key_id(key): key for key in trusted}
    with _explained(path), closing(_connect(f"{path.resolve().as_uri()}?mode=ro")) as file:
        _check_format(file, path)
        return verify(_stream(file), keys, head=head)


def read_file(path: Path) -> Iterator[Entry]:
    """The entries of the ledger in a file, as they stand there; they are not verified.

    Raises:
        MachineError: the file cannot be read.
        LedgerError: the file is no ledger, or an entry cannot be read as one.
    """
    with _explained(path), closing(_connect(f"{path.resolve().as_uri()}?mode=ro")) as file:
        _check_format(file, path)
        for entry in _stream(file):
            if isinstance(entry, Damaged):
                raise LedgerError(f"The ledger {path} cannot be read further: entry {entry.sequence} {entry.reason}")
            yield entry


def _trusted(signer: SigningKey, trusted: Iterable[Ed25519PublicKey]) -> dict[str, Ed25519PublicKey]:
    return {signer.key_id: signer.public, **{key_id(key): key for key in trusted}}


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
    # Bytes that are no UTF-8 must reach the verifier as they are: an entry that cannot be hashed was changed.
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return connection


def _claim(path: Path) -> sqlite3.Connection:
    """SQLite's own lock on an empty file beside the ledger: portable, and let go by the system when the program dies."""
    lock = sqlite3.connect(path.with_name(path.name + ".lock"), isolation_level=None, check_same_thread=False, timeout=0)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except BaseException as error:
        lock.close()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorname.startswith("SQLITE_BUSY"):
            problem = Problem(str(path), "a program that has it open for writing", "one writer", "Stop that program first.")
            raise LedgerError("The ledger is in use.", [problem]) from None
        raise
    return lock


def _open_for_writing(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let the umask decide who may read
    connection = _connect(path.resolve().as_uri())
    try:
        fresh = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not fresh:
            _check_format(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {ROOM_PAGES}")
        connection.executescript(SCHEMA)
        if fresh:
            _make_room(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_room(connection: sqlite3.Connection) -> None:
    """Lets both files have their size before the first entry: a commit that overwrites is far cheaper than one that lengthens."""
    connection.execute("CREATE TABLE room (space BLOB)")
    connection.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM_PAGES * 4096,))
    connection.execute("DROP TABLE room")
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != FORMAT:
        raise LedgerError("This file is no ledger.", [Problem(str(path), "another database", "a ledger that this program made")])


def _row(entry: Entry) -> tuple[int | str, ...]:
    return entry.sequence, entry.time, entry.kind, entry.text, entry.previous, entry.key, entry.hash, entry.signature


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(*row)


def _stream(connection: sqlite3.Connection, since: int = FIRST) -> Iterator[Entry | Damaged]:
    number = max(since, 0)
    while True:
        try:
            page = connection.execute(NEXT, (since, PAGE)).fetchall()
        except sqlite3.DatabaseError as error:
            yield Damaged(number, f"SQLite says {error.sqlite_errorname}")
            return
        for row in page:
            yield _entry(row)
        if len(page) < PAGE:
            return
        since = page[-1][0] + 1
        number = max(since, 0)


def _closed() -> LedgerError:
    return LedgerError("The ledger was closed: open it again to append to it or to read it.")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from None
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a file that can be read and written")
        raise MachineError("The ledger cannot be opened.", [problem]) from None


def _explain(error: sqlite3.Error, path: Path) -> LedgerError | MachineError:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        problem = Problem(str(path), f"a damaged file ({name})", "a ledger", "Restore it from a copy and verify that copy.")
        return LedgerError("The ledger cannot be read.", [problem])
    if name.startswith("SQLITE_CONSTRAINT"):
        problem = Problem(str(path), "entries by another writer", "one writer", "Stop the other program; verify the ledger.")
        return LedgerError("The ledger cannot be appended to.", [problem])
    remedy = "Free space on the disk, or allow this program to write there; the entries written before are not harmed."
    return MachineError("The ledger cannot be written.", [Problem(str(path), name, "a disk that can be written", remedy)])
