"""The OMOP Common Data Model 5.3 and 5.4 as events: https://ohdsi.github.io/CommonDataModel/cdm54.html.

A row's standard concept is its code; the source's own concept, where it is another one, is a part of it. The concepts in use alone
are looked up, so that a vocabulary of millions need not fit into memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from huizhen.data.connectors.files import unreadable_source
from huizhen.data.connectors.moments import NO_TIME, written_moment
from huizhen.data.connectors.omoptables import Named, OmopFiles, Tables, open_database
from huizhen.data.connectors.options import OmopOptions
from huizhen.data.connectors.rows import chunks
from huizhen.data.connectors.systems import UNKNOWN_SYSTEM, system_of_vocabulary
from huizhen.data.events.schema import Batch, Changes, Event, part_of

__all__ = ["TABLES", "omop"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of an OMOP table says what; "" where none does."""

    kind: str
    number: str
    concept: str = ""
    source: str = ""
    written: str = ""
    begins: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    value: str = ""
    value_concept: str = ""
    value_text: str = ""
    unit: str = ""
    unit_text: str = ""

    @property
    def concepts(self) -> tuple[str, ...]:
        """Columns that hold concepts."""
        return tuple(name for name in (self.concept, self.source, self.value_concept, self.unit) if name)


def _layout(kind: str, name: str, begins: str, ends: str = "", **others: str) -> Layout:
    """A table whose columns are called as most are: ``condition_concept_id``, ``condition_start_datetime``."""
    return Layout(
        kind,
        others.pop("number"),
        f"{name}_concept_id",
        f"{name}_source_concept_id",
        f"{name}_source_value",
        (f"{name}_{begins}datetime", f"{name}_{begins}date"),
        (f"{name}_{ends}datetime", f"{name}_{ends}date") if ends else (),
        **others,
    )


UNITS = {"unit": "unit_concept_id", "unit_text": "unit_source_value"}
VALUES = {"value": "value_as_number", "value_concept": "value_as_concept_id", **UNITS}
TABLES: Mapping[str, Layout] = {
    "person": Layout("person", "person_id", "gender_concept_id", written="gender_source_value", begins=("birth_datetime",)),
    "death": Layout("death", "person_id", "cause_concept_id", begins=("death_datetime", "death_date")),
    "visit_occurrence": _layout("visit", "visit", "start_", "end_", number="visit_occurrence_id"),
    "condition_occurrence": _layout("condition", "condition", "start_", "end_", number="condition_occurrence_id"),
    "drug_exposure": _layout("drug", "drug_exposure", "start_", "end_", number="drug_exposure_id", value="quantity"),
    "procedure_occurrence": _layout("procedure", "procedure", "", number="procedure_occurrence_id"),
    "device_exposure": _layout("device", "device_exposure", "start_", "end_", number="device_exposure_id"),
    "measurement": _layout("measurement", "measurement", "", number="measurement_id", value_text="value_source_value", **VALUES),
    "observation": _layout("measurement", "observation", "", number="observation_id", value_text="value_as_string", **VALUES),
    "note": Layout(
        *("report", "note_id", "note_class_concept_id"),
        written="note_title",
        begins=("note_datetime", "note_date"),
        value_text="note_text",
    ),
}
CODED_AS = {"drug_exposure": "drug", "device_exposure": "device"}  # whose concepts are called otherwise than their times
SEXES = {"M": "male", "F": "female", "8507": "male", "8532": "female"}
NO_CODE = "a row without a concept: kept with the source's own code"
NO_PATIENT = "a row without a person"


def omop(options: OmopOptions, root: Path, folder: Path, cursor: Any) -> Changes:
    """All tables of a CDM, if one of its files has changed since the last sync; of a database always."""
    if options.path:
        files = OmopFiles(root)
        stamps = files.stamps()
        if cursor and cursor["files"] == stamps:
            return Changes((), settings=options.digest)
        return Changes(_from_files(files, options, stamps), whole=True, settings=options.digest)
    return Changes(_from_database(options, folder), whole=True, settings=options.digest)


def _from_files(files: OmopFiles, options: OmopOptions, stamps: Any) -> Iterator[Batch]:
    with files.opened() as tables:
        yield from _all(tables, options)
    yield Batch(cursor={"files": stamps})


def _from_database(options: OmopOptions, folder: Path) -> Iterator[Batch]:
    with open_database(options.url, options.password_file, options.database_schema, folder) as tables:
        yield from _all(tables, options)
    yield Batch(cursor={"files": {}})


def _all(tables: Tables, options: OmopOptions) -> Iterator[Batch]:
    if "person" not in tables.names():
        raise unreadable_source("omop", "no table person", "the tables of the OMOP CDM 5.3 or 5.4")
    here = [(name, _called(name)) for name in TABLES if name in tables.names()]
    for name, layout in here:
        found = tables.columns(name)
        lacking = [column for column in dict.fromkeys(("person_id", layout.number)) if column not in found]
        if found and lacking:  # every row would be refused, and what is held would be gone
            remedy = "Nothing was changed: export it again"
            raise unreadable_source(name, f"no column {lacking[0]!r}", "the tables of the OMOP CDM 5.3 or 5.4", remedy)
    wanted: set[str] = set()
    for name, layout in here:
        wanted |= tables.distinct(name, layout.concepts)
    reader = _Reader(tables.concepts(wanted - {"", "0"}), None if options.time_zone == "UTC" else ZoneInfo(options.time_zone))
    for name, layout in here:
        for rows in chunks(tables.rows(name)):
            reader.refused, reader.notes = Counter(), Counter()
            events = [event for row in rows for event in reader.events(name, layout, row)]
            yield Batch(events, len(rows), reader.refused, reader.notes)


def _called(name: str) -> Layout:
    layout, other = TABLES[name], CODED_AS.get(name)
    if other is None:
        return layout
    return replace(layout, concept=f"{other}_concept_id", source=f"{other}_source_concept_id", written=f"{other}_source_value")


@dataclass(slots=True)
class _Reader:
    """Turns rows of CDM tables into events."""

    concepts: Mapping[str, Named]
    zone: ZoneInfo | None
    refused: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def events(self, name: str, layout: Layout, row: Mapping[str, Any]) -> Iterator[Event]:
        """What one row says."""
        patient, number = _said(row, "person_id"), _said(row, layout.number)
        if not patient or not number:
            self.refused[NO_PATIENT] += 1
            return
        try:
            begins, ends = self._moment(row, layout.begins), self._moment(row, layout.ends)
            begins = _birth(row) if begins is None and layout.kind == "person" else begins
        except (ValueError, OverflowError):
            self.refused[NO_TIME] += 1
            return
        visit = _said(row, "visit_occurrence_id") or None
        value, text, unit = self._value(layout, row)
        if layout.kind == "person":
            sex = _said(row, "gender_concept_id")
            text = SEXES.get(sex) or SEXES.get(_said(row, layout.written).upper()) or "unknown"
            yield Event(patient, "person", part_of(f"{name}/{number}"), text=text, begins=begins)
            return
        for part, coding in self._codings(layout, row):
            yield Event(patient, layout.kind, part_of(f"{name}/{number}", part), *coding, value, text, unit, begins, ends, visit)

    def _codings(self, layout: Layout, row: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str | None, str | None, str | None]]]:
        standard, source = _said(row, layout.concept), _said(row, layout.source)
        named = self.concepts.get(standard)
        if named is not None:
            yield "", self._coded(named)
        else:
            written = _said(row, layout.written) or None
            if written is not None or standard not in ("", "0"):
                self.notes[NO_CODE] += 1
            system = "OMOP" if standard not in ("", "0") else "local"
            yield "", (system, standard if system == "OMOP" else written, written)
        other = self.concepts.get(source)
        if other is not None and source != standard:
            yield "source", self._coded(other)

    def _coded(self, named: Named) -> tuple[str, str, str]:
        system, known = system_of_vocabulary(named.vocabulary)
        if not known:
            self.notes[UNKNOWN_SYSTEM] += 1
        return system, named.code, named.words

    def _value(self, layout: Layout, row: Mapping[str, Any]) -> tuple[float | None, str | None, str | None]:
        written = _said(row, layout.value)
        try:
            value = float(written) if written else None
        except ValueError:
            value = None
        answer = self.concepts.get(_said(row, layout.value_concept))
        text = answer.words if answer else (_said(row, layout.value_text) or None if value is None else None)
        unit = self.concepts.get(_said(row, layout.unit))
        return value, text, unit.code if unit else _said(row, layout.unit_text) or None

    def _moment(self, row: Mapping[str, Any], names: tuple[str, ...]) -> datetime | None:
        for name in names:
            if (found := row.get(name)) not in (None, ""):
                return written_moment(found) if self.zone is None else written_moment(found, self.zone)
        return None


def _said(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name) if name else None
    return "" if found is None else str(found).strip()


def _birth(row: Mapping[str, Any]) -> datetime | None:
    year = _said(row, "year_of_birth")
    if not year:
        return None
    return datetime(int(year), int(_said(row, "month_of_birth") or 1), int(_said(row, "day_of_birth") or 1))
