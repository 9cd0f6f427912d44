"""What an event is, what a source delivers, and what a sync has done; rules only, no file is opened here.

An event says one thing about one person at one time, as the decision "A registry of events" has it. It belongs to a **record** of
its source; a record that says several things has *parts*, events whose `Event.record` is that of the record, ``#`` and the part.

What the columns hold by kind, whatever the source:

- ``person``: `text` is the sex (``female``, ``male``, ``other``, ``unknown``), `begins` the birth.
- ``death``: `begins` is the death, where it is known.
- ``visit``: `code` is the class of the visit, `text` who provided it, `visit` the visit itself.
- ``report``: `text` is the report.
- ``image``: a series; `code` is the modality, `number` how many images, `text` where they are, below the source's folder.
- ``value``: a cell of a table; `code` is its column.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "COLUMNS",
    "FIRST",
    "KINDS",
    "LAST",
    "PART",
    "SEALED",
    "Batch",
    "Changes",
    "Event",
    "SyncReport",
    "kept",
    "part_of",
    "record_of",
    "refusal",
]

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "patient": "VARCHAR",
        "kind": "VARCHAR",
        "system": "VARCHAR",
        "code": "VARCHAR",
        "display": "VARCHAR",
        "number": "DOUBLE",
        "text": "VARCHAR",
        "unit": "VARCHAR",
        "begins": "TIMESTAMP",
        "ends": "TIMESTAMP",
        "visit": "VARCHAR",
        "origin": "VARCHAR",
        "record": "VARCHAR",
        "version": "VARCHAR",
    }
)
KINDS = frozenset(
    (
        *("person", "visit", "condition", "measurement", "drug", "procedure"),
        *("device", "death", "report", "image", "value"),
    )
)
PART = "#"  # between a record and its part
SEALED = "sealed:"  # before the place of an image that only the site's key tells
LONGEST, LONGEST_TEXT = 1_000, 4_000_000  # characters of a name or a code; of a report
FIRST, LAST = 1850, 2150  # years in which a time of a living person's record lies
NONE: Mapping[str, int] = MappingProxyType({})


class Event(NamedTuple):
    """One thing about one person.

    Attributes:
        patient: the person, by the site's own pseudonym.
        kind: one of `KINDS`.
        system, code, display: terminology, code in it, words.
        number, text, unit: what was found; a coded answer is text.
        begins, ends: UTC without a zone; None where unknown.
        visit: the visit that it belongs to, or None.
        record: of the source, as `part_of` writes it.
        version: time of the record's last change (ISO 8601) or a digest of it; None: the registry takes a digest of the events.
    """

    patient: str
    kind: str
    record: str
    system: str | None = None
    code: str | None = None
    display: str | None = None
    number: float | None = None
    text: str | None = None
    unit: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    visit: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of a source, whole: the parts of one record stand one after another and in one batch.

    Attributes:
        events: of all records that were understood.
        read: how many records were read, refused ones included.
        refused: reasons with the number of records or parts that were left out; fixed words, never a value.
        notes: what is doubtful about records or parts that were kept, with their number; fixed words.
        removed: records that are no longer in the source.
        cursor: where the next sync goes on once this batch is kept, JSON values; None: not a place to stop at.
        treated: what de-identification did to the events, with its number; fixed words.
    """

    events: Sequence[Event] = ()
    read: int = 0
    refused: Mapping[str, int] = field(default_factory=lambda: NONE)
    notes: Mapping[str, int] = field(default_factory=lambda: NONE)
    removed: Sequence[str] = ()
    cursor: Any = None
    treated: Mapping[str, int] = field(default_factory=lambda: NONE)


def as_it_is(cursor: Any) -> Any:
    """A cursor that names nobody."""
    return cursor


@dataclass(frozen=True, slots=True)
class Changes:
    """What a source delivers to a sync.

    Attributes:
        batches: read lazily; may raise a `huizhen.errors.SiteError` in the middle: what stood before the last cursor is kept.
        whole: these are all records of the source; what is not among them is gone. Becomes visible all at once, at the end.
        settings: how the source was read (its configuration, a digest of it): where that has changed, the old cursor is void.
        agreed: how it was de-identified, as far as sources must agree on it to be asked together.
        seal: how a cursor is written down, as it may name files after patients.
    """

    batches: Iterable[Batch]
    whole: bool = False
    settings: str = ""
    agreed: str = ""
    seal: Callable[[Any], Any] = as_it_is


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync has done, in records of the source.

    Attributes:
        read: records that were read.
        new, changed, same: records that were not there, that replaced an older version, that were there in this version.
        older: records left out as the registry has a newer version.
        removed: records that were gone from the source.
        refused: why records or parts of them were left out, with their number.
        notes: what is doubtful about what was kept, with its number.
        treated: what de-identification did, with its number.
    """

    alias: str
    read: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    older: int = 0
    removed: int = 0
    refused: Mapping[str, int] = field(default_factory=lambda: NONE)
    notes: Mapping[str, int] = field(default_factory=lambda: NONE)
    treated: Mapping[str, int] = field(default_factory=lambda: NONE)


def refusal(event: Event) -> str:
    """Why an event cannot be kept, in fixed words; "" where it can."""
    if not event.patient or not event.record:
        return "no patient" if not event.patient else "no record number"
    if event.kind not in KINDS:
        return "an unknown kind of event"
    if event.number is not None and not math.isfinite(event.number):
        return "a number that is not finite"
    if (event.begins is not None and not FIRST <= event.begins.year <= LAST) or (
        event.ends is not None and not FIRST <= event.ends.year <= LAST
    ):
        return f"a time before {FIRST} or after {LAST}"
    if event.begins is not None and event.ends is not None and event.ends < event.begins:
        return "an end before the beginning"
    if event.text is not None and len(event.text) > LONGEST_TEXT:
        return "a text that is too long"
    for part in (event.patient, event.record, event.system, event.code, event.display, event.unit, event.visit):
        if part is not None and len(part) > LONGEST:
            return "a text that is too long"
    return ""


def kept(events: Iterable[Event], refused: Counter[str]) -> list[Event]:
    """The events that can be kept; the others are counted."""
    found = []
    for event in events:
        reason = refusal(event)
        if reason:
            refused[reason] += 1
        else:
            found.append(event)
    return found


def part_of(record: str, part: str | int = "") -> str:
    """The record number of a part of a record; of the record itself where no part is named.

    >>> part_of("Observation/a#b", 1)
    'Observation/a%23b#1'
    """
    bare = record.replace(PART, "%23") if PART in record else record
    return f"{bare}{PART}{part}" if part != "" else bare


def record_of(numbered: str) -> str:
    """The record that a part belongs to."""
    return numbered.partition(PART)[0]
