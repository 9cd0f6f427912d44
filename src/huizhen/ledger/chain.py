"""What an entry of a ledger is, and when a chain of entries is sound: pure rules over facts.

Every entry carries the hash of the one before it, so no entry can be changed, removed or put elsewhere without breaking a link,
and every hash is signed, so no chain can be made anew without the site's key. What the key's holder can still do is to cut off
the newest entries or to write a whole new chain; against that a reader keeps a `Head` elsewhere (say, in a study's report) and
verifies the chain against it.

    >>> from datetime import UTC, datetime
    >>> from huizhen.ledger.keys import new_key
    >>> key, noon = new_key(), datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> first = seal(EMPTY, noon, "consented", {"study": "lung"}, key)
    >>> second = seal(head_after(first), noon, "finished", {"study": "lung"}, key)
    >>> verify([first, second], {key.key_id: key.public}).sound
    True
    >>> verify([second], {key.key_id: key.public}).reason
    'entry 0 is missing: entry 1 stands in its place'
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huizhen import canonical
from huizhen.errors import LedgerError

__all__ = ["EMPTY", "Damaged", "Entry", "Fault", "Head", "Signer", "Verdict", "head_after", "linked", "readable", "seal", "verify"]

# Names what is hashed and signed, so that neither can be mistaken for a hash or signature made for another purpose.
HASH_DOMAIN = "huizhen ledger entry 1"
SIGNATURE_DOMAIN = b"huizhen ledger signature 1\n"
MAX_DEPTH = 16  # a fact is shallow; the limit keeps hostile nesting away from the stack
MAX_CHARACTERS = 262_144  # of a payload: a ledger holds facts, not data
MAX_NUMBERS = 64  # in one list: more is an array in disguise

Fault = Literal["missing", "reordered", "changed", "link", "unknown key", "signature", "unreadable", "rewritten", "truncated"]


class Signer(Protocol):
    """Who signs: an identifier of the key, and Ed25519 signatures (RFC 8032) of 64 bytes."""

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One signed fact.

    Attributes:
        sequence: its place in the chain, from 0.
        time: when it was appended, ISO 8601, UTC.
        kind: what it tells of, e.g. ``released``.
        text: the payload as canonical JSON (sorted keys, no spaces); this very text is what is hashed.
        previous: hash of the entry before it, hexadecimal; 64 zeros for entry 0.
        key: identifier of the key that signed it.
        hash: SHA-256 over the canonical encoding of all of the above, hexadecimal.
        signature: Ed25519 over the hash, hexadecimal.
    """

    sequence: int
    time: str
    kind: str
    text: str
    previous: str
    key: str
    hash: str
    signature: str

    @property
    def payload(self) -> Mapping[str, Any]:
        """The fact itself; parsed anew at every call."""
        fact: dict[str, Any] = json.loads(self.text)
        return fact


@dataclass(frozen=True, slots=True)
class Damaged:
    """What stands where an entry should, but cannot be read as one."""

    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class Head:
    """How long a chain is, and the hash of its newest entry; enough to recognise the chain later."""

    entries: int
    hash: str


EMPTY = Head(0, "0" * 64)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a chain is sound; if not, its first bad entry and why.

    Attributes:
        head: the head of the sound part.
        sequence: the first bad entry, or None.
        fault: the kind of damage, or "".
        reason: the same for a reader, naming the entry.
    """

    sound: bool
    head: Head
    sequence: int | None = None
    fault: Fault | Literal[""] = ""
    reason: str = ""


def seal(previous: Head, time: datetime, kind: str, payload: Mapping[str, Any], signer: Signer) -> Entry:
    """The entry that follows `previous`.

    Raises:
        TypeError, ValueError: the payload is not a plain fact (see `readable`), or the time is not aware.
    """
    if time.tzinfo is None:
        raise ValueError("an entry needs an aware time, found one without time zone")
    moment = time.astimezone(UTC).isoformat(timespec="microseconds")
    text = readable(payload)
    fingerprint = _fingerprint(previous.entries, moment, kind, text, previous.hash, signer.key_id)
    signature = signer.sign(SIGNATURE_DOMAIN + fingerprint)
    return Entry(previous.entries, moment, kind, text, previous.hash, signer.key_id, fingerprint.hex(), signature.hex())


def head_after(entry: Entry) -> Head:
    """The head of a chain whose newest entry is `entry`."""
    return Head(entry.sequence + 1, entry.hash)


def readable(payload: Mapping[str, Any]) -> str:
    """A fact as canonical JSON.

    Allowed are None, bool, int, finite float, str, lists or tuples and string-keyed mappings of these, shallow and short. Arrays
    are refused, and so are lists of more than 64 numbers: nothing from a patient's row belongs into a ledger.

    Raises:
        TypeError: a part is of another type; the message names its place and type, never its value.
        ValueError: a float is not finite, or the fact is too deep or too long.
    """
    _check(payload, "payload", MAX_DEPTH)
    text = _JSON.encode(payload)
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"payload: found {len(text)} characters, expected at most {MAX_CHARACTERS}; a ledger holds facts, not data"
        )
    return text


def verify(
    entries: Iterable[Entry | Damaged],
    public_keys: Mapping[str, Ed25519PublicKey],
    *,
    head: Head | None = None,
    start: Head = EMPTY,
) -> Verdict:
    """Whether `entries` are a sound chain; reads them once and keeps one.

    Args:
        entries: in the order in which they stand in the store.
        public_keys: the keys that are trusted, by identifier.
        head: what the chain was known to reach at an earlier time; the chain may have grown since, never shrunk or changed.
        start: the head that the first of `entries` must follow; by default they start at entry 0.
    """
    at = start
    for entry in entries:
        found = _fault(entry, at) or _forgery(entry, public_keys)
        if found is None and head is not None and at.entries + 1 == head.entries and _hash(entry) != head.hash:
            found = ("rewritten", f"entry {at.entries} is well formed, but it is not the entry that was noted before")
        if found is not None or isinstance(entry, Damaged):
            fault, reason = found or ("unreadable", "")
            return Verdict(False, at, at.entries, fault, reason)
        at = head_after(entry)
    if head is not None and at.entries < head.entries:
        reason = f"entry {at.entries} is missing: the chain ends before it, but once had {head.entries} entries"
        return Verdict(False, at, at.entries, "truncated", reason)
    return Verdict(True, at)


def linked(entries: Iterable[Entry | Damaged]) -> Iterator[Entry]:
    """The entries, each once it is found in its place and unchanged; signatures are not looked at.

    Where the newest entry's signature is known to be good, its links vouch for all entries before it.

    Raises:
        LedgerError: at the first bad entry, with its number and why.
    """
    at = EMPTY
    for entry in entries:
        found = _fault(entry, at)
        if found is not None or isinstance(entry, Damaged):
            raise LedgerError(f"The ledger does not verify: {(found or ('', ''))[1]}.")
        yield entry
        at = head_after(entry)


_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _check(value: Any, place: str, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{place}: found a float that is not finite, expected a finite one")
    elif depth == 0:
        raise ValueError(f"{place}: found more than {MAX_DEPTH} levels, expected a shallow fact")
    elif kind is list or kind is tuple:
        if len(value) > MAX_NUMBERS and sum(type(one) in (int, float) for one in value) > MAX_NUMBERS:
            raise TypeError(f"{place}: found an array in a list, expected at most {MAX_NUMBERS} numbers; a ledger holds facts")
        for one in value:
            _check(one, place, depth - 1)
    elif kind is dict:
        for key, one in value.items():
            if type(key) is not str:
                raise TypeError(f"{place}: found a key of type {type(key).__name__}, expected a string")
            _check(one, key, depth - 1)
    else:
        raise TypeError(f"{place}: found a {kind.__name__}, expected None, bool, int, float, str, list, tuple or dict")


def _fingerprint(sequence: int, time: str, kind: str, text: str, previous: str, key: str) -> bytes:
    return hashlib.sha256(canonical.encode([HASH_DOMAIN, sequence, time, kind, text, previous, key])).digest()


def _hash(entry: Entry | Damaged) -> str:
    return entry.hash if isinstance(entry, Entry) else ""


def _fault(entry: Entry | Damaged, at: Head) -> tuple[Fault, str] | None:
    number = at.entries
    if isinstance(entry, Damaged):
        return "unreadable", f"entry {number} cannot be read: {entry.reason}"
    if entry.sequence > number:
        return "missing", f"entry {number} is missing: entry {entry.sequence} stands in its place"
    if entry.sequence < number:
        return "reordered", f"entry {number} was expected, and entry {entry.sequence} stands in its place"
    try:
        fingerprint = _fingerprint(number, entry.time, entry.kind, entry.text, entry.previous, entry.key).hex()
    except (TypeError, ValueError):
        fingerprint = ""
    if fingerprint != entry.hash:
        return "changed", f"entry {number} was changed after it was sealed: its content does not give its hash"
    if entry.previous != at.hash:
        return "link", f"entry {number} does not follow the entry before it: its link names another hash"
    return None


def _forgery(entry: Entry | Damaged, public_keys: Mapping[str, Ed25519PublicKey]) -> tuple[Fault, str] | None:
    if isinstance(entry, Damaged):
        return None
    key = public_keys.get(entry.key)
    if key is None:
        return "unknown key", f"entry {entry.sequence} is signed with a key that is not trusted here"
    try:
        key.verify(bytes.fromhex(entry.signature), SIGNATURE_DOMAIN + bytes.fromhex(entry.hash))
    except (InvalidSignature, TypeError, ValueError):
        return "signature", f"entry {entry.sequence} carries a signature that is not the key's"
    return None
