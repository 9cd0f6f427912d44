"""What a mapping made of each variable: events used and left out with the reason, rows with a value; counts, never a value.

Counts are exact, so they are for the site's own eyes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from huizhen.data.mapping.compiling import DOUBTS

__all__ = ["MappingReport", "VariableReport", "report_of"]

NO_EVENT = "no event of these codes"
NO_VALUE = "no row has a value"
NOT_MAPPED = "in the dictionary, and not in the mapping"
SEVERAL = "events in several units, converted"
UNORDERED = "several values without a time in a row: none is taken"
OUTSIDE = "values outside the range of the dictionary: kept"


@dataclass(frozen=True, slots=True)
class VariableReport:
    """One variable.

    Attributes:
        events: in rows and windows of the mapping.
        used: of them, those that say something.
        rows: with a value.
        left_out: why events say nothing, with their number.
        notes: what is doubtful, with the number of events or rows.
    """

    name: str
    events: int = 0
    used: int = 0
    rows: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappingReport:
    """All variables, and how many rows there are."""

    rows: int
    variables: tuple[VariableReport, ...]


def report_of(
    names: Sequence[str], told: Iterable[Sequence[Any]], filled: Mapping[str, tuple[int, int]], unmapped: Sequence[str]
) -> MappingReport:
    """The report of what `huizhen.data.mapping.compiling.told_statement` answers.

    Args:
        filled: by variable, rows with a value and of them those outside the dictionary's range.
    """
    rows, found = 0, {at: _Told() for at in range(len(names))}
    for at, doubt, events, of_rows, units in told:
        if at is None or at < 0:
            rows = of_rows
        elif doubt is None:
            found[at].used, found[at].units = events, len(units)
        elif doubt < 0:
            found[at].unordered = of_rows
        else:
            found[at].left_out[DOUBTS[doubt]] = events
    reports = [_report(name, found[at], *filled[name]) for at, name in enumerate(names)]
    return MappingReport(rows, (*reports, *(VariableReport(name, notes={NOT_MAPPED: 1}) for name in unmapped)))


@dataclass(slots=True)
class _Told:
    used: int = 0
    units: int = 0
    unordered: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def _report(name: str, told: _Told, rows: int, outside: int) -> VariableReport:
    events = told.used + sum(told.left_out.values())
    notes = {
        NO_EVENT: int(not events),
        NO_VALUE: int(bool(events) and not rows),
        SEVERAL: told.used if told.units > 1 else 0,
        UNORDERED: told.unordered,
        OUTSIDE: outside,
    }
    return VariableReport(name, events, told.used, rows, told.left_out, {note: count for note, count in notes.items() if count})
