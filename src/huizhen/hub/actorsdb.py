"""Who was invited, asked to join, belongs or was shut out: one SQLite file, written by the hub and by commands beside it.

Rules of the file, each with what it stops:
- One transaction per wish, committed with a full sync: a program that dies leaves the wish whole or not there.
- A name belongs to one actor that is not revoked; a key belongs to one actor for ever: a revoked key never comes back.
- Every wish that the servers must hear of counts up `changes`, so that a running hub notices what a command beside it did.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from huizhen.errors import CallerError, MachineError, Problem
from huizhen.federation.wire.invitations import JoinRequest
from huizhen.federation.wire.subjects import Role

__all__ = ["Actor", "ActorState", "ActorStore", "OpenInvitation"]

ActorState = Literal["pending", "admitted", "revoked"]
FORMAT = 1_213_874_433  # SQLite's application_id, the letters HZ and a version
BUSY_S = 5.0
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS invitation (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, bind BLOB NOT NULL, guest TEXT NOT NULL,
  expires INTEGER NOT NULL, void INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS actor (
  nkey TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, identity TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
  invitation TEXT NOT NULL UNIQUE, asked INTEGER NOT NULL, token TEXT NOT NULL DEFAULT '', expires INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_actor_a_name ON actor (name) WHERE state != 'revoked';
CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO number VALUES ('changes', 0), ('issued', 0);
PRAGMA application_id = 1213874433;
COMMIT;
"""
ACTOR = "SELECT name, role, nkey, identity, state, invitation, asked, token, expires FROM actor"
INVITATION = "SELECT id, name, role, bind, guest, expires, void FROM invitation"
ASK = "INSERT INTO actor (nkey, name, role, identity, invitation, asked, state) VALUES (?, ?, ?, ?, ?, ?, 'pending')"
VOID_UNUSED = "UPDATE invitation SET void = 1 WHERE name = ? AND id NOT IN (SELECT invitation FROM actor)"
CHANGED = "UPDATE number SET value = value + 1 WHERE name = 'changes'"


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """What the hub keeps of an invitation; the secret itself is not among it.

    Attributes:
        id: one token of a subject.
        name: for whom.
        role: as what.
        bind: key of the HMAC over a join request.
        guest: public NKey of the guest's connection.
        expires: seconds since 1970, UTC.
        void: whether it was withdrawn, e.g. by a newer one.
    """

    id: str
    name: str
    role: Role
    bind: bytes = field(repr=False)
    guest: str = ""
    expires: int = 0
    void: bool = False


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asked to join, and what became of it.

    Attributes:
        name: as people know it.
        role: what it may be.
        nkey: public NKey of its connection.
        identity: public key by which it signs facts, hexadecimal.
        state: pending, admitted or revoked.
        invitation: by which it asked.
        asked: when, seconds since 1970, UTC.
        token: proof for the server; "" before it is admitted.
        expires: until when that is good, seconds since 1970, UTC.
    """

    name: str
    role: Role
    nkey: str
    identity: str
    state: ActorState
    invitation: str
    asked: int
    token: str = field(default="", repr=False)
    expires: int = 0


class ActorStore:
    """The file of actors; safe to use from several threads and several programs.

    Raises:
        MachineError: the file cannot be made, read or written, or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._explained():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let the umask decide who may read
            self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
            try:
                self._open()
            except BaseException:
                self._file.close()
                raise

    def invite(self, invitation: OpenInvitation) -> None:
        """Keep an invitation; earlier ones for the same name that nobody used are void from now on.

        Raises:
            CallerError: an actor of that name asked already or belongs.
        """
        with self._transaction() as file:
            taken = self._one(f"{ACTOR} WHERE name = ? AND state != 'revoked'", invitation.name)
            if taken is not None:
                remedy = f"Choose another name, or first: huizhen hub revoke {invitation.name}"
                raise CallerError(
                    "This name is taken.", [Problem(invitation.name, f"an actor, {taken.state}", "a new name", remedy)]
                )
            file.execute(VOID_UNUSED, (invitation.name,))
            row = (invitation.id, invitation.name, invitation.role, invitation.bind, invitation.guest, invitation.expires)
            file.execute("INSERT INTO invitation VALUES (?, ?, ?, ?, ?, ?, 0)", row)
            file.execute(CHANGED)

    def invitation(self, id: str) -> OpenInvitation | None:
        """The invitation of an identifier."""
        with self._lock, self._explained():
            row = self._file.execute(f"{INVITATION} WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        id, name, role, bind, guest, expires, void = row
        return OpenInvitation(id, name, role, bind, guest, expires, bool(void))

    def ask(self, request: JoinRequest, role: Role, now: int) -> Actor | None:
        """Keep a sound request as pending and give what is known of it; None where its keys, name or invitation are another's."""
        with self._transaction() as file:
            known = self._one(f"{ACTOR} WHERE invitation = ?", request.invitation)
            if known is not None:
                same = (known.nkey, known.identity, known.name) == (request.nkey, request.identity, request.name)
                return known if same else None
            row = (request.nkey, request.name, role, request.identity, request.invitation, now)
            try:
                file.execute(ASK, row)
            except sqlite3.IntegrityError:
                return None
            return self._one(f"{ACTOR} WHERE nkey = ?", request.nkey)

    def actors(self) -> tuple[Actor, ...]:
        """All who ever asked, by name and time."""
        with self._lock, self._explained():
            return tuple(Actor(*row) for row in self._file.execute(f"{ACTOR} ORDER BY name, asked"))

    def actor(self, name: str) -> Actor:
        """The actor of a name: the one that is not revoked, else the last one.

        Raises:
            CallerError: there is none.
        """
        with self._lock, self._explained():
            found = self._one(f"{ACTOR} WHERE name = ? ORDER BY state = 'revoked', asked DESC", name)
        if found is None:
            raise CallerError("There is no such actor.", [Problem(name, "nobody", "a name as huizhen hub actors shows it")])
        return found

    def holder(self, nkey: str) -> Actor | None:
        """The actor of a key."""
        with self._lock, self._explained():
            return self._one(f"{ACTOR} WHERE nkey = ?", nkey)

    def keep_token(self, nkey: str, token: str, expires: int) -> None:
        """Give an actor that is pending or admitted its token; from then on it is admitted.

        Raises:
            CallerError: it is neither, e.g. revoked in the meantime.
        """
        with self._transaction() as file:
            done = file.execute(
                "UPDATE actor SET state = 'admitted', token = ?, expires = ? WHERE nkey = ? AND state != 'revoked'",
                (token, expires, nkey),
            )
            if done.rowcount != 1:
                raise _revoked(nkey)

    def revoke(self, name: str) -> Actor:
        """Shut out the actor of a name and its invitation, for ever.

        Raises:
            CallerError: there is none of that name.
        """
        with self._transaction() as file:
            actor = self.actor(name)
            file.execute("UPDATE actor SET state = 'revoked', token = '' WHERE nkey = ?", (actor.nkey,))
            file.execute("UPDATE invitation SET void = 1 WHERE name = ?", (name,))
            file.execute(CHANGED)
            return self.actor(name)

    def shut_out(self) -> tuple[str, ...]:
        """Public NKeys of all who may connect no more: revoked actors and guests of void invitations."""
        rows = "SELECT nkey FROM actor WHERE state = 'revoked' UNION SELECT guest FROM invitation WHERE void"
        with self._lock, self._explained():
            return tuple(key for (key,) in self._file.execute(f"{rows} ORDER BY 1"))

    def changes(self) -> int:
        """How often something changed that the servers must hear of."""
        with self._lock, self._explained():
            return int(self._file.execute("SELECT value FROM number WHERE name = 'changes'").fetchone()[0])

    def issue_time(self, now: int) -> int:
        """A time for a new token of the account, later than all before, for a server keeps the newest even if a clock went back."""
        with self._transaction() as file:
            file.execute("UPDATE number SET value = max(value + 1, ?) WHERE name = 'issued'", (now,))
            return int(file.execute("SELECT value FROM number WHERE name = 'issued'").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        fresh = self._file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not fresh and self._file.execute("PRAGMA application_id").fetchone()[0] != FORMAT:
            raise MachineError(
                "This file holds no actors.", [Problem(str(self.path), "another database", "a file that a hub made")]
            )
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(SCHEMA)

    def _one(self, query: str, *values: Any) -> Actor | None:
        row = self._file.execute(query, values).fetchone()
        return Actor(*row) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield self._file
                self._file.execute("COMMIT")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            found = getattr(error, "sqlite_errorname", "") or type(error).__name__
        except OSError as error:
            found = error.strerror or "an error"
        else:
            return
        problem = Problem(str(self.path), found, "a file on a disk with free space that this program may write")
        raise MachineError("The file of actors cannot be used.", [problem])


def _revoked(nkey: str) -> CallerError:
    return CallerError("This actor was revoked.", [Problem(nkey, "a revoked key", "a key that was not revoked", "Invite it anew.")])
