"""The Basic Application Level Confidentiality Profile of DICOM PS3.15, Annex E, with its options: what happens to each attribute.

The table stands in ``dicom_profile.csv`` (Table E.1-1, edition 2026c; columns of options as of 2024b, dates and UIDs added since
by their
representation). Codes of actions: X remove, Z empty, D dummy value, U another UID, K keep, C clean. Where the table leaves a choice
(X/Z, X/D, Z/D, X/Z/D), the one that keeps an object valid whatever the attribute's type is taken: the last.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from huizhen.data.deidentify.regions import Region, regions_of
from huizhen.errors import Problem, SiteError, closest

__all__ = ["METHODS", "OPTIONS", "Action", "Option", "Profile", "actions_of", "profile_of"]

Action = Literal["X", "Z", "D", "U", "K", "C"]
Option = Literal[
    "uids", "device", "institution", "patient", "full dates", "modified dates", "descriptors", "structured", "graphics"
]
OPTIONS: tuple[Option, ...] = get_args(Option)
COLUMN: Mapping[str, str] = {
    "full dates": "full",
    "modified dates": "modified",
}  # of the file, where it is not the option's own name
BASIC = ("113100", "Basic Application Confidentiality Profile")
METHODS: Mapping[Option, tuple[str, str]] = {  # PS3.16, context group 7050
    "graphics": ("113103", "Clean Graphics Option"),
    "structured": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "full dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "modified dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
}
CHOSEN: Mapping[str, Action] = {
    "X": "X",
    "Z": "Z",
    "D": "D",
    "U": "U",
    "X/Z": "Z",
    "X/D": "D",
    "Z/D": "D",
    "X/Z/D": "D",
    "X/Z/U*": "U",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """How a site treats DICOM.

    Attributes:
        options: of the standard, on top of the basic profile.
        burnt_in: what happens to images in which text may be burnt in: they are set aside (not written), or written all the same.
        blank: where machines write into their images: there these are blanked.
        most_days: how far dates move under ``modified dates``.
    """

    options: tuple[Option, ...] = ()
    burnt_in: Literal["set aside", "keep"] = "set aside"
    most_days: int = 365
    blank: tuple[Region, ...] = ()

    def codes(self) -> tuple[tuple[str, str], ...]:
        """Codes and meanings of what was applied, for De-identification Method Code Sequence (0012,0064)."""
        return (BASIC, *(METHODS[option] for option in METHODS if option in self.options))


def profile_of(content: Mapping[str, Any]) -> Profile:
    """What a TOML file declares in ``[dicom]``.

    Raises:
        SiteError: every mistake in it.
    """
    table = content.get("dicom", {})
    problems = []
    known = ("options", "burnt_in", "most_days", "blank")
    if not isinstance(table, dict):
        table, problems = {}, [Problem("dicom", "no table", "a table [dicom]")]
    for name in table:
        if name not in known:
            near = closest(name, known)
            expected = f"one of: {', '.join(known)}"
            problems.append(Problem(f"dicom.{name}", "an unknown key", expected, f"Did you mean {near}?" if near else ""))
    options = table.get("options", [])
    if not isinstance(options, list) or any(option not in OPTIONS for option in options):
        problems.append(Problem("dicom.options", repr(options), f"some of: {', '.join(OPTIONS)}"))
    elif {"full dates", "modified dates"} <= set(options):
        problems.append(Problem("dicom.options", "full dates and modified dates", "one of the two"))
    burnt_in, days = table.get("burnt_in", "set aside"), table.get("most_days", 365)
    if burnt_in not in ("set aside", "keep"):
        problems.append(Problem("dicom.burnt_in", repr(burnt_in), "set aside or keep"))
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 36500:
        problems.append(Problem("dicom.most_days", repr(days), "whole days from 1 to 36500"))
    regions = regions_of(table.get("blank", []), problems)
    if problems:
        raise SiteError("The rules for de-identification cannot be used.", problems)
    return Profile(tuple(options), burnt_in, days, regions)


@cache
def actions_of(options: tuple[Option, ...]) -> Mapping[int, Action]:
    """The action for every attribute of the table under these options, by its tag as an integer."""
    return {tag: _under(basic, found, options) for tag, (basic, found) in _table().items()}


def _under(basic: str, found: Mapping[str, str], options: tuple[Option, ...]) -> Action:
    allowed = [found[COLUMN.get(option, option)] for option in options if COLUMN.get(option, option) in found]
    if "K" in allowed:
        return "K"
    return "C" if "C" in allowed else CHOSEN[basic]


@cache
def _table() -> Mapping[int, tuple[str, Mapping[str, str]]]:
    text = (files("huizhen.data.deidentify") / "dicom_profile.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {int(row["tag"], 16): (row["action"], dict(pair.split("=") for pair in row["options"].split())) for row in rows}
