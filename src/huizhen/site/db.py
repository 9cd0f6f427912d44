"""What a site keeps beside its ledger, in one SQLite file: suggestions, decisions, and runs that were prepared.

The agent writes it while it runs, and so do the commands of a person in another terminal: every change is one short transaction,
and readers never wait (write-ahead log). Whoever runs the agent claims the folder, so that there is one.
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
from typing import Any, Literal, Self

from huizhen import canonical
from huizhen.errors import CallerError, MachineError, Problem, SiteError

__all__ = ["Decided", "Kept", "Publication", "SiteStore"]

FORMAT = 1_213_879_089  # SQLite's application_id, the letters HZS1 as a number
BUSY_S = 5.0  # a person's command may write just now
Standing = Literal["open", "accepted", "declined", "withdrawn", "expired", "over"]
SCHEMA = """
BEGIN IMMEDIATE;
PRAGMA application_id = 1213879089;
CREATE TABLE IF NOT EXISTS suggestion (
  place INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE, study TEXT NOT NULL, received TEXT NOT NULL,
  expires TEXT NOT NULL, standing TEXT NOT NULL, state TEXT NOT NULL, notes BLOB NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS decision (
  place INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, choice TEXT NOT NULL, source TEXT NOT NULL, decider TEXT NOT NULL,
  delivered INTEGER NOT NULL, consent BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS prepared (digest TEXT NOT NULL, run TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (digest, run));
CREATE TABLE IF NOT EXISTS publication (
  number INTEGER PRIMARY KEY, delivered INTEGER NOT NULL, refused TEXT NOT NULL, content BLOB NOT NULL, memory BLOB NOT NULL
);
COMMIT;
"""
SUGGESTION = "SELECT digest, study, received, expires, standing, state, notes, content FROM suggestion"
PUBLICATION = "SELECT number, delivered, refused, content FROM publication"
DECISION = "SELECT place, digest, choice, source, decider, delivered, consent FROM decision"


@dataclass(frozen=True, slots=True)
class Kept:
    """A suggestion as it is kept.

    Attributes:
        study: id of its life at the hub; received, expires: by this site's clock.
        standing: what became of it here; state: of the study at the hub, as last told.
        notes: why the rules let it wait, or what was odd about it.
        content: the proposal, plain values.
    """

    digest: str
    study: str
    received: str
    expires: str
    standing: Standing
    state: str
    notes: tuple[str, ...]
    content: Any


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was made here.

    Attributes:
        choice: ``accept``, ``decline`` or ``withdraw``; source: alias of what an accepted study is answered from.
        decider: who made it: a person's name, or ``rules``.
        delivered: whether the hub has confirmed it.
        consent: the signed consent, plain values.
    """

    place: int
    digest: str
    choice: str
    source: str
    decider: str
    delivered: bool
    consent: Any


@dataclass(frozen=True, slots=True)
class Publication:
    """A card that was published here, or taken back.

    Attributes:
        delivered: whether the hub has confirmed it, or will never take it.
        refused: why the hub did not take it, or "".
        content: the signed card, plain values.
    """

    number: int
    delivered: bool
    refused: str
    content: Any


class SiteStore:
    """The site's file; made, readable by its owner alone, where there is none.

    Raises:
        SiteError: the file is another program's. MachineError: it cannot be made, read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _explained(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let the umask decide who may read
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            try:
                if self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    self._check_format()
                self._file.execute("PRAGMA journal_mode = WAL")
                self._file.execute("PRAGMA synchronous = FULL")
                self._file.executescript(SCHEMA)
            except BaseException:
                self._file.close()
                raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For as long as it is entered no other agent runs on this folder.

        Raises:
            SiteError: one does.
        """
        with _explained(self.path):
            claim = sqlite3.connect(self.path.with_name(self.path.name + ".lock"), isolation_level=None, timeout=0)
        try:
            try:
                claim.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                problem = Problem(str(self.path.parent), "an agent that runs on this folder", "one agent", "Stop that agent first.")
                raise SiteError("The site's folder is in use.", [problem]) from None
            yield
        finally:
            claim.close()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is read and written inside is one transaction: another terminal decides before or after it."""
        with self._lock, _explained(self.path):
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def add(self, kept: Kept) -> None:
        """Keep a suggestion that is new here."""
        facts = (kept.digest, kept.study, kept.received, kept.expires, kept.standing, kept.state)
        row = (*facts, canonical.encode(list(kept.notes)), canonical.encode(kept.content))
        statement = "INSERT INTO suggestion (digest, study, received, expires, standing, state, notes, content)"
        self._change(f"{statement} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def suggestions(self) -> tuple[Kept, ...]:
        """All of them, the oldest first."""
        return tuple(map(_kept, self._ask(f"{SUGGESTION} ORDER BY place")))

    def suggestion(self, digest: str) -> Kept | None:
        """The suggestion of this very digest, or None."""
        found = self._ask(f"{SUGGESTION} WHERE digest = ?", (digest,))
        return _kept(found[0]) if found else None

    def standing(self, digest: str) -> Standing | None:
        """What became here of the suggestion of this very digest, or None; its content is not read."""
        found = self._ask("SELECT standing FROM suggestion WHERE digest = ?", (digest,))
        return found[0][0] if found else None

    def expiries(self) -> tuple[tuple[str, str], ...]:
        """Digest and expiry of the suggestions that are open, the oldest first; their content is not read."""
        return tuple(self._ask("SELECT digest, expires FROM suggestion WHERE standing = 'open' ORDER BY place"))

    def stands(self, digest: str, standing: Standing) -> None:
        """Note what became of a suggestion here."""
        self._change("UPDATE suggestion SET standing = ? WHERE digest = ?", (standing, digest))

    def told(self, digest: str, state: str) -> None:
        """Note how its study stands at the hub."""
        self._change("UPDATE suggestion SET state = ? WHERE digest = ?", (state, digest))

    def note(self, digest: str, *notes: str) -> None:
        """Note why a suggestion waits."""
        self._change("UPDATE suggestion SET notes = ? WHERE digest = ?", (canonical.encode(list(notes)), digest))

    def decide(self, digest: str, *, choice: str, source: str, decider: str, consent: Mapping[str, Any]) -> None:
        """Keep a decision, to be delivered."""
        row = (digest, choice, source, decider, canonical.encode(consent))
        self._change("INSERT INTO decision (digest, choice, source, decider, delivered, consent) VALUES (?, ?, ?, ?, 0, ?)", row)

    def decisions(self, digest: str) -> tuple[Decided, ...]:
        """The decisions on a suggestion, in order."""
        return tuple(map(_decided, self._ask(f"{DECISION} WHERE digest = ? ORDER BY place", (digest,))))

    def undelivered(self) -> tuple[Decided, ...]:
        """Decisions that the hub has not confirmed, in the order in which they were made."""
        return tuple(map(_decided, self._ask(f"{DECISION} WHERE delivered = 0 ORDER BY place")))

    def delivered(self, place: int) -> None:
        """The hub has confirmed a decision, or will never take it."""
        self._change("UPDATE decision SET delivered = 1 WHERE place = ?", (place,))

    def publish(self, number: int, content: Mapping[str, Any], memory: Any) -> None:
        """Keep a card, to be delivered, with what must be remembered of what it tells."""
        row = (number, canonical.encode(content), canonical.encode(memory))
        self._change("INSERT INTO publication (number, delivered, refused, content, memory) VALUES (?, 0, '', ?, ?)", row)

    def publication(self) -> Publication | None:
        """The card that was published last, or None."""
        found = self._ask(f"{PUBLICATION} ORDER BY number DESC LIMIT 1")
        return _publication(found[0]) if found else None

    def undelivered_card(self) -> Publication | None:
        """The card that was published last, if the hub has not confirmed it."""
        last = self.publication()
        return None if last is None or last.delivered else last

    def card_delivered(self, number: int, refused: str = "") -> None:
        """The hub has confirmed a card, or will never take it."""
        self._change("UPDATE publication SET delivered = 1, refused = ? WHERE number = ?", (refused, number))

    def memories(self) -> tuple[Any, ...]:
        """What must be remembered of all cards, the oldest first."""
        return tuple(canonical.decode(memory) for (memory,) in self._ask("SELECT memory FROM publication ORDER BY number"))

    def prepare(self, digest: str, run: str, content: Any) -> None:
        """Keep what a run was prepared with, so that it can be gone on with after a restart."""
        self._change("INSERT OR REPLACE INTO prepared VALUES (?, ?, ?)", (digest, run, canonical.encode(content)))

    def prepared(self, digest: str, run: str) -> Any | None:
        """What a run was prepared with, or None."""
        found = self._ask("SELECT content FROM prepared WHERE digest = ? AND run = ?", (digest, run))
        return canonical.decode(found[0][0]) if found else None

    def prepared_run(self, run: str) -> Any | None:
        """The same by the run alone, which is unique."""
        found = self._ask("SELECT content FROM prepared WHERE run = ?", (run,))
        return canonical.decode(found[0][0]) if found else None

    def runs(self, digest: str) -> tuple[str, ...]:
        """The runs of a proposal that were prepared."""
        return tuple(str(run) for (run,) in self._ask("SELECT run FROM prepared WHERE digest = ?", (digest,)))

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @classmethod
    def existing(cls, path: Path) -> Self:
        """The file of a site that is there.

        Raises:
            CallerError: nothing stands there.
        """
        if not path.is_file():
            problem = Problem(str(path), "no such file", "a site's store", "Name the site's folder with --dir")
            raise CallerError("There is no site here.", [problem])
        return cls(path)

    def _check_format(self) -> None:
        if self._file.execute("PRAGMA application_id").fetchone()[0] != FORMAT:
            raise SiteError("This file is no site's store.", [Problem(str(self.path), "another database", "one that a site made")])

    def _change(self, statement: str, row: tuple[Any, ...]) -> None:
        with self._lock, _explained(self.path):
            self._file.execute(statement, row)

    def _ask(self, statement: str, row: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, _explained(self.path):
            return self._file.execute(statement, row).fetchall()


def _kept(row: tuple[Any, ...]) -> Kept:
    digest, study, received, expires, standing, state, notes, content = row
    return Kept(digest, study, received, expires, standing, state, tuple(canonical.decode(notes)), canonical.decode(content))


def _publication(row: tuple[Any, ...]) -> Publication:
    number, delivered, refused, content = row
    return Publication(number, bool(delivered), refused, canonical.decode(content))


def _decided(row: tuple[Any, ...]) -> Decided:
    place, digest, choice, source, decider, delivered, consent = row
    return Decided(place, digest, choice, source, decider, bool(delivered), canonical.decode(consent))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        remedy = "Free space on the disk, or allow this program to write there; what was kept before is not harmed."
        problem = Problem(str(path), name, "a disk that can be written", remedy)
        raise MachineError("The site's store cannot be used.", [problem]) from None
    except OSError as error:
        problem = Problem(str(path), error.strerror or "an error", "a file that can be read and written")
        raise MachineError("The site's store cannot be used.", [problem]) from None
