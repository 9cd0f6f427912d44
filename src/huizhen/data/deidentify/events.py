"""Events on their way into a registry, without what need not be kept: a pure transform of what a source delivers.

    treatment = Treatment(rules.plan(secret.mark), secret, "lab")
    registry.sync("lab", treatment.changes(found), now=now)

The same record always becomes the same events, so that versions, deletions and later syncs meet what is held.
Every distinct value is treated once; events go through by column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from huizhen.data.deidentify.eventrules import PATIENT, EventPlan
from huizhen.data.deidentify.eventtexts import Texts
from huizhen.data.deidentify.identifying import is_identifying
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.structured import applied
from huizhen.data.events.schema import FIRST, LAST, PART, SEALED, Batch, Changes, Event

__all__ = ["Treatment"]

REMEMBERED = 100_000  # distinct values of one sort
BY_PATIENT, BY_RECORD, BY_VISIT = "a patient by a pseudonym", "a record by a pseudonym", "a visit by a pseudonym"
BY_PLACE = "a place of images sealed by the key"
MOVED, COARSER = "dates moved by the patient's days", "a birth told by its month or year"
IDENTIFYING = "a cell dropped: its column says that it tells who somebody is"
UNNAMED = "a cell dropped: no rule names its column"
BY_RULE = {
    "keep": "a value kept by a rule",
    "drop": "a value dropped by a rule",
    "missing": "a value kept by a rule",
    "unreadable": "a value dropped: its rule cannot read it",
    "pseudonym": "a value by a pseudonym",
    "shift": "a date moved by a rule",
    "date": "a date made coarser",
    "age": "an age told by its band",
    "prefix": "a value cut to its beginning",
    "bin": "a number told by its interval",
}


class Remembered(dict[Any, Any]):
    """What each distinct value becomes, found when it is first asked for."""

    def __init__(self, becomes: Callable[[Any], Any]) -> None:
        super().__init__()
        self._becomes = becomes

    def __missing__(self, value: Any) -> Any:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[value] = self._becomes(value)
        return found


@dataclass
class Treatment:
    """De-identification of one source.

    Attributes:
        alias: of the source: numbers of records are the source's own.
    """

    plan: EventPlan
    secret: Secret
    alias: str
    _patients: Remembered = field(init=False)
    _visits: Remembered = field(init=False)
    _days: Remembered = field(init=False)
    _dropped: Remembered = field(init=False)
    _texts: Texts = field(init=False)

    def __post_init__(self) -> None:
        secret, most = self.secret, self.plan.fields.most_days
        self._patients = Remembered(lambda patient: secret.pseudonym("patient", patient))
        self._visits = Remembered(lambda visit: None if visit is None else secret.pseudonym("visit", visit))
        self._days = Remembered(lambda patient: timedelta(days=secret.days(patient, most=most)))
        self._dropped = Remembered(self._why_dropped)
        self._texts = Texts(self.plan, secret)

    def changes(self, found: Changes) -> Changes:
        """What a source delivers, treated while it is read."""
        seal = self.secret.sealed if self._seals else found.seal
        settings = self.settings(found.settings)
        return replace(found, batches=self._batches(found), settings=settings, agreed=self.plan.agreed, seal=seal)

    def settings(self, digest: str) -> str:
        """How a source is read whose configuration has this digest: by other rules or another key it is read again whole."""
        return f"{digest}+{self.plan.digest}"

    def opened(self, cursor: Any) -> Any:
        """A cursor that was written down as `changes` says."""
        return self.secret.opened(cursor) if self._seals and cursor is not None else cursor

    @property
    def _seals(self) -> bool:
        """Whether cursors are sealed: the names of files are often those of patients."""
        return "pseudonym" in (self.plan.said.patients, self.plan.said.records)

    def batch(self, found: Batch) -> Batch:
        """One batch, and counts of what was done to it."""
        counts: Counter[str] = Counter()
        # What has no patient or number is refused as it stands: a pseudonym of nothing would look like somebody.
        events = [event for event in found.events if event.patient and event.record]
        left = [event._replace(text=None, display=None) for event in found.events if not (event.patient and event.record)]
        done = self._by_column(*self._by_field(events, counts), counts)
        removed = [self._number(record) for record in found.removed]
        return replace(found, events=[*done, *left], removed=removed, treated=+counts)

    def _batches(self, found: Changes) -> Iterator[Batch]:
        for batch in found.batches:
            yield self.batch(batch)

    # --- fields ---------------------------------------------------------------------------------------------------------------

    def _by_field(self, events: Sequence[Event], counts: Counter[str]) -> tuple[Sequence[Event], Sequence[bool]]:
        """Without the cells that are dropped, and with those that have a rule as it tells them; and which have one."""
        rules, dropped = self.plan.fields.rules, self._dropped
        asked = [event.code in rules or (event.kind == "value" and dropped[event.code] != "") for event in events]
        if not any(asked):
            return events, asked
        names = self._names(events)
        kept: list[Event] = []
        for event, is_asked in zip(events, asked):
            if not is_asked:
                kept.append(event)
            elif event.code not in rules:
                counts[dropped[event.code]] += 1
            elif (changed := self._by_rule(event, names.get(_base(event.record), ()), counts)) is not None:
                kept.append(changed)
        self._texts.known = names
        return kept, [event.code in rules for event in kept]

    def _why_dropped(self, column: str | None) -> str:
        said = self.plan.said
        if said.identifying == "drop" and is_identifying(column or ""):
            return IDENTIFYING
        return UNNAMED if said.cells == "named" else ""

    def _names(self, events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
        """By record, what its dropped cells say of the patient: it is looked for in the record's texts."""
        found: dict[str, list[str]] = {}
        for event in events:
            rule = self.plan.fields.rules.get(event.code or "")
            gone = rule.kind in ("drop", "pseudonym") if rule else self._dropped[event.code] == IDENTIFYING
            if event.kind == "value" and gone and event.text is not None and len(event.text.strip()) > 1:
                found.setdefault(_base(event.record), []).append(event.text.strip())
        return {record: tuple(texts) for record, texts in found.items()}

    def _by_rule(self, event: Event, known: tuple[str, ...], counts: Counter[str]) -> Event | None:
        code = event.code or ""
        if self.plan.fields.rules[code].kind == "text":
            text = self._texts.cleaned(event.text, event.patient, known, counts)
            return None if text is None and event.kind == "value" else event._replace(text=text)
        value = event.text if event.number is None else event.number
        done = applied({PATIENT: event.patient, code: value}, self.plan.fields, self.secret)
        for (name, what), count in done.counts.items():
            if name == code:
                counts[BY_RULE[what]] += count
        told = done.fields.get(code)
        if told is None:
            return None if event.kind == "value" or code not in done.fields else event._replace(number=None, text=None)
        return event._replace(number=told, text=None) if isinstance(told, float) else event._replace(number=None, text=str(told))

    # --- columns --------------------------------------------------------------------------------------------------------------

    def _by_column(self, events: Sequence[Event], ruled: Sequence[bool], counts: Counter[str]) -> Sequence[Event]:
        """Pseudonyms, dates and texts, column by column."""
        if not events:
            return ()
        said = self.plan.said
        columns = dict(zip(Event._fields, map(list, zip(*events))))
        patients, kinds = columns["patient"], columns["kind"]
        self._texts.treat(columns, ruled, counts)
        if said.dates == "shift":
            self._shift(columns, counts)
        if said.births != "as dates":
            columns["begins"] = [
                _coarser(begins, said.births) if kind == "person" else begins for kind, begins in zip(kinds, columns["begins"])
            ]
            counts[COARSER] += sum(kind == "person" and at is not None for kind, at in zip(kinds, columns["begins"]))
        if said.records == "pseudonym":
            self._numbers(columns, counts)
        if said.patients == "pseudonym":
            columns["patient"] = list(map(self._patients.__getitem__, patients))
            counts[BY_PATIENT] += len(patients)
        return list(map(Event._make, zip(*columns.values())))

    def _shift(self, columns: dict[str, list[Any]], counts: Counter[str]) -> None:
        days = list(map(self._days.__getitem__, columns["patient"]))
        times = zip(columns["begins"], columns["ends"])
        counts[MOVED] += sum(begins is not None or ends is not None for begins, ends in times)
        for name in ("begins", "ends"):
            columns[name] = [_moved(at, by) for at, by in zip(columns[name], days)]
        if any(version is not None for version in columns["version"]):
            columns["version"] = [self._version(*pair) for pair in zip(columns["version"], columns["record"])]

    def _version(self, version: str | None, record: str) -> str | None:
        """A time of change is moved by days of the record: of its versions the later one stays the later, whosever it is."""
        try:
            changed = datetime.fromisoformat(version) if version is not None else None
        except ValueError:
            return version
        by = self.secret.days("#" + _base(record), most=self.plan.fields.most_days)
        return None if changed is None else (changed + timedelta(days=by)).isoformat()

    def _numbers(self, columns: dict[str, list[Any]], counts: Counter[str]) -> None:
        """Records keep the names of their parts, by which a thing with several codes counts once, but for the UIDs of series."""
        kinds, records = columns["kind"], columns["record"]
        bases = Remembered(self._number)
        parted = [record.partition(PART) for record in records]
        columns["record"] = [
            bases[base] + mark + (part if kind != "image" or not part else self.secret.pseudonym("series", part))
            for kind, (base, mark, part) in zip(kinds, parted)
        ]
        counts[BY_VISIT] += sum(visit is not None for visit in columns["visit"])
        columns["visit"] = list(map(self._visits.__getitem__, columns["visit"]))
        counts[BY_RECORD] += len(bases)
        if "image" in kinds:
            self._places(columns, counts, [base for base, _, _ in parted])

    def _places(self, columns: dict[str, list[Any]], counts: Counter[str], records: Sequence[str]) -> None:
        """Where images are is sealed, not a pseudonym: whoever has the key finds the files again, with the record they are."""
        places = [kind == "image" and text is not None for kind, text in zip(columns["kind"], columns["text"])]
        counts[BY_PLACE] += sum(places)
        columns["text"] = [
            SEALED + self.secret.sealed([text, record]) if is_place else text
            for text, record, is_place in zip(columns["text"], records, places)
        ]

    def _number(self, record: str) -> str:
        return self.secret.pseudonym(f"record {self.alias}", record) if self.plan.said.records == "pseudonym" else record


def _base(record: str) -> str:
    return record.partition(PART)[0]


def _moved(at: datetime | None, by: timedelta) -> datetime | None:
    """A time that no living person's record has stays: it is refused as it stands."""
    return at if at is None or not FIRST <= at.year <= LAST else at + by


def _coarser(at: datetime | None, to: str) -> datetime | None:
    return None if at is None else datetime(at.year, at.month if to == "month" else 1, 1)
