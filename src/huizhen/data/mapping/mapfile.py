"""The mapping file: how one site's events become the variables of the dictionary."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from huizhen import units
from huizhen.data.declaration import Declaration, read_declaration
from huizhen.data.events.schema import KINDS
from huizhen.data.mapping.dictionary import CODE, Dictionary, Entry, Name, Text, read_dictionary
from huizhen.errors import DataError, Problem, closest

__all__ = ["Index", "MapFile", "Place", "Read", "Rule", "Take", "ValueSet", "Written", "read_mapping"]

Read = Literal["number", "text", "code", "age", "days"]
PLACE = "place"  # what is read of an image: where it is
Take = Literal["first", "last", "min", "max", "mean", "count", "exists"]
Code = Annotated[str, Field(pattern=CODE)]
Value = str | float | int | bool
ZERO = re.compile(r"[+-]?0+(\.0+)?\s*(ms|s|min|h|d)")
WRONG = "The mapping cannot be used."


class Place(Declaration):
    """``[mapping]``: where the dictionary and the registry are; a relative path is one beside this file.

    Attributes:
        origins: sources of the registry whose events are read; none: all.
        hierarchy: by terminology, a CSV file with the columns parent and child.
    """

    dictionary: Annotated[str, Field(min_length=1, max_length=4000)]
    registry: Annotated[str, Field(min_length=1, max_length=4000)] = "registry"
    origins: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field([])
    hierarchy: Mapping[str, Annotated[str, Field(min_length=1, max_length=4000)]] = Field({})


class Chosen(Declaration):
    """Which events are meant: a kind of event, and codes.

    Attributes:
        codes: ``SYSTEM:CODE``; none: all events of the kind.
        value_set: the codes of a table ``[value_set.NAME]``.
        descendants: codes below these as well, by the terminology's hierarchy file; without one, codes that begin with these.
    """

    kind: str = ""
    codes: list[Code] = Field([])
    value_set: Annotated[str, Field(max_length=200)] = ""
    descendants: bool = False

    @field_validator("kind")
    @classmethod
    def _is_kind(cls, kind: str) -> str:
        if kind and kind not in KINDS:
            raise ValueError(f"one of: {', '.join(sorted(KINDS))}")
        return kind


class Index(Chosen):
    """``[index]``: the day or the event from which time is counted; with an event there is a row only where there is one.

    Attributes:
        date: the same day for everybody.
        pick: of several events the first or the last one, or a row for each.
    """

    date: datetime.date | None = None
    pick: Literal["first", "last", "each"] = "first"

    @model_validator(mode="after")
    def _one(self) -> Index:
        if (self.date is None) == (not self.kind):
            raise ValueError("either a date or the kind of an event")
        return self


class ValueSet(Declaration):
    """``[value_set.NAME]``: codes that mean one thing."""

    codes: list[Code] = Field(min_length=1)
    descendants: bool = False
    about: Text = ""


class Rule(Chosen):
    """``[variable.NAME]``: how events become a variable.

    Attributes:
        column: a column of a table that was read into the registry cell by cell.
        read: of an event its ``number``, ``text`` or ``code``, the person's ``age`` at the index in completed years, or the
            ``days`` from the index to it; "" reads what the variable's type needs.
        take: which one of several events, or what of all; "" takes the last one, and of a truth whether there is one.
        since, until: the window relative to the index, ends included, e.g. ``"-365 d"`` and ``"0 d"``; "" is open.
        counted_from: whether the window and the days are counted from where the index begins or ends.
        same_visit: only events of the visit of the index.
        units: which units the site's numbers are in: a list of UCUM codes, or what stands there by UCUM code; "" is no unit.
        molar_mass: g/mol, where a mass has to become an amount of substance.
        values: what stands there, and which value of the dictionary (or number) that is.
        missing: what stands for a missing value.
        folder: of an image, the folder of its source; a relative path is one beside this file.
        body_part: of an image, parts of the body, in any case of letters; none: any.
        least_images: of an image, how many the series has at least: a scout view has one.
    """

    column: Annotated[str, Field(max_length=1000)] = ""
    read: Read | Literal[""] = ""
    take: Take | Literal[""] = ""
    since: str = ""
    until: str = ""
    counted_from: Literal["begins", "ends"] = "begins"
    same_visit: bool = False
    units: list[str] | Mapping[str, str] = Field([])
    molar_mass: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    values: Mapping[str, Value] = Field({})
    missing: list[Value] = Field([])
    folder: Annotated[str, Field(max_length=4000)] = ""
    body_part: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field([])
    least_images: Annotated[int, Field(ge=1, le=100_000)] = 1
    about: Text = ""

    @field_validator("since", "until")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        if text:
            offset_s(text)
        return text

    @model_validator(mode="after")
    def _fits(self) -> Rule:
        if self.column and (self.kind or self.codes or self.value_set):
            raise ValueError("either column, or kind and codes")
        if self.codes and self.value_set:
            raise ValueError("either codes or value_set")
        if not self.column and not self.kind:
            raise ValueError("column, or the kind of an event")
        if self.read == "age" and self.kind != "person":
            raise ValueError('an age of kind = "person"')
        return self


class Written(Declaration):
    """A whole mapping file."""

    mapping: Place
    index: Index | None = None
    value_set: Mapping[Name, ValueSet] = {}
    variable: Mapping[Name, Rule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class MapFile:
    """A mapping with its dictionary, checked against each other.

    Attributes:
        path: the file.
        written: what stands in it.
    """

    path: Path
    written: Written
    dictionary: Dictionary

    @property
    def registry(self) -> Path:
        """The folder of the registry."""
        return self.path.parent / self.written.mapping.registry

    def entry(self, name: str) -> Entry:
        """What the dictionary says of a variable."""
        return self.dictionary.variable[name]

    def read_as(self, name: str) -> Read | Literal["place"]:
        """What is read of an event."""
        rule = self.written.variable[name]
        if self.entry(name).type == "image":
            return "place"
        return rule.read or ("text" if self.entry(name).type == "category" else "number")

    def taken(self, name: str) -> Take:
        """What of several events."""
        rule, is_truth = self.written.variable[name], self.entry(name).type == "truth"
        return rule.take or ("exists" if is_truth and not rule.values else "last")

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Variables of the dictionary that the mapping says nothing of."""
        return tuple(name for name in self.dictionary.variable if name not in self.written.variable)


def offset_s(text: str) -> float:
    """Seconds of a duration that may be negative or zero."""
    bare = text.strip()
    if ZERO.fullmatch(bare):
        return 0.0
    return -units.seconds(bare[1:]) if bare.startswith("-") else units.seconds(bare.removeprefix("+"))


def read_mapping(path: Path) -> MapFile:
    """The mapping in a TOML file, and the dictionary that it names.

    Raises:
        DataError: with every mistake.
    """
    written = read_declaration(path, Written, WRONG)
    found = MapFile(path, written, read_dictionary(path.parent / written.mapping.dictionary))
    problems = [*_index_problems(found), *(each for name in written.variable for each in _problems(found, name))]
    if problems:
        raise DataError(WRONG, [Problem(f"{path.name}: {each.where}", each.found, each.expected, each.remedy) for each in problems])
    return found


def _index_problems(found: MapFile) -> Iterator[Problem]:
    index = found.written.index
    if index is not None:
        yield from _no_set(found, "index", index)


def _no_set(found: MapFile, where: str, chosen: Chosen) -> Iterator[Problem]:
    sets = found.written.value_set
    if chosen.value_set and chosen.value_set not in sets:
        near = closest(chosen.value_set, tuple(sets))
        expected = f"one of: {', '.join(sets)}" if sets else "a table [value_set.NAME]"
        yield Problem(f"{where}.value_set", repr(chosen.value_set), expected, f"Did you mean {near}?" if near else "")


def _problems(found: MapFile, name: str) -> Iterator[Problem]:
    rule, where, index = found.written.variable[name], f"variable.{name}", found.written.index
    if name not in found.dictionary.variable:
        near = closest(name, tuple(found.dictionary.variable))
        yield Problem(where, "a variable that is not in the dictionary", "one of its variables", near and f"Did you mean {near}?")
        return
    yield from _no_set(found, where, rule)
    entry, read, take = found.entry(name), found.read_as(name), found.taken(name)
    yield from _image_problems(where, rule, entry, take)
    if index is None and (rule.since or rule.until or rule.same_visit or read in ("age", "days")):
        yield Problem(where, "time or a visit relative to an index", "a table [index]")
    if index is not None and index.date is not None and (rule.same_visit or rule.counted_from == "ends"):
        yield Problem(where, "a visit relative to a date", "an [index] that is an event")
    if rule.since and rule.until and offset_s(rule.since) > offset_s(rule.until):
        yield Problem(where, "a window that ends before it begins", "since no later than until")
    if entry.type == "image":
        return
    if take in ("count", "exists"):
        if entry.type == "category":
            yield Problem(f"{where}.take", repr(take), "first or last, for a category")
        return
    if entry.type == "category" and (read not in ("text", "code") or take not in ("first", "last")):
        yield Problem(where, f"{read}, {take}", "text or code, first or last, for a category")
    if entry.type != "category" and read in ("text", "code"):
        yield Problem(f"{where}.read", repr(read), "number, age or days, for a number")
    if entry.type == "category" and entry.values:
        yield from _strange_values(where, rule, entry)
    elif entry.type != "category" and any(isinstance(value, str) for value in rule.values.values()):
        yield Problem(f"{where}.values", "text", "numbers, for a number")
    if entry.type == "truth" and any(value not in (0, 1) for value in rule.values.values()):
        yield Problem(f"{where}.values", "other values than 0 and 1", "0 or 1, for a truth")


def _image_problems(where: str, rule: Rule, entry: Entry, take: Take) -> Iterator[Problem]:
    of_images = rule.folder or rule.body_part or rule.least_images > 1
    if entry.type != "image":
        if of_images:
            yield Problem(where, "folder, body_part or least_images", "none of them, for what is no image")
        return
    if rule.kind != "image" or not rule.folder:
        yield Problem(where, "an image without its kind or folder", 'kind = "image", and folder, that of the source')
    if take not in ("first", "last"):
        yield Problem(f"{where}.take", repr(take), "first or last, for an image")
    if rule.read or rule.values or rule.missing or rule.units or rule.molar_mass:
        yield Problem(where, "read, values, missing, units or molar_mass", "none of them, for an image")


def _strange_values(where: str, rule: Rule, entry: Entry) -> Iterator[Problem]:
    strange = [value for value in rule.values.values() if value not in entry.values]
    if strange:
        expected = f"one of: {', '.join(entry.values)}"
        yield Problem(f"{where}.values", repr(strange[0])[:80], expected)
