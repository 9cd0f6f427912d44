"""Rows of a table as events, by the roles of its columns; the same for files and databases."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from huizhen.data.connectors.files import unreadable_source
from huizhen.data.connectors.moments import NO_TIME, written_moment
from huizhen.data.connectors.options import Roles
from huizhen.data.events.schema import Event, part_of
from huizhen.data.labels import MISSING, text_as_number
from huizhen.errors import closest

__all__ = ["AT_ONCE", "RowReader", "chunks", "fitting_columns"]

AT_ONCE = 2000  # rows in one batch
REPEATED = 64  # characters of a cell that may well stand elsewhere, too
NO_PATIENT, NO_NUMBER = "a row without a patient", "a row without a number"
NO_UNIT = "a number without a unit"
CODE = re.compile(r"\s*[+-]?0\d")  # 007: a leading zero marks a code, not a number
Row = Sequence[Any]
T = TypeVar("T")


@dataclass(slots=True)
class RowReader:
    """Turns rows into events, and counts what it left out or doubts.

    Attributes:
        columns: of the table, in their order.
    """

    roles: Roles
    columns: Sequence[str]
    refused: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    _places: dict[str, int] = field(default_factory=dict)
    _cells: list[tuple[int, str]] = field(default_factory=list)
    _zone: ZoneInfo | None = None

    def __post_init__(self) -> None:
        roles = self.roles
        self._places = {name: place for place, name in enumerate(self.columns)}
        named = {roles.patient, roles.time, roles.ends, roles.record, roles.visit}
        chosen = roles.columns or [name for name in self.columns if name and name not in named]
        self._cells = [(self._places[name], name) for name in chosen]
        self._zone = None if roles.time_zone == "UTC" else ZoneInfo(roles.time_zone)

    def events(self, row: Row, numbered: str) -> Iterator[Event]:
        """What one row says.

        Args:
            numbered: the row's number, where no column says it.
        """
        roles = self.roles
        patient = _text(self._cell(row, roles.patient))
        record = _text(self._cell(row, roles.record)) if roles.record else numbered
        if patient is None or record is None:
            self.refused[NO_PATIENT if patient is None else NO_NUMBER] += 1
            return
        try:
            begins, ends = self._moment(row, roles.time), self._moment(row, roles.ends)
        except (ValueError, OverflowError):
            self.refused[NO_TIME] += 1
            return
        visit = _text(self._cell(row, roles.visit))
        if roles.row == "cells":
            for place, name in self._cells:
                number, text = _found(row[place])
                if number is not None or text is not None:
                    part = part_of(record, name)
                    yield Event(patient, "value", part, "local", name, name, number, text, None, begins, ends, visit)
            return
        number, text = _found(self._cell(row, roles.value))
        code, display = _text(self._cell(row, roles.code)), _text(self._cell(row, roles.display))
        unit = _text(self._cell(row, roles.unit))
        if roles.unit and number is not None and unit is None:
            self.notes[NO_UNIT] += 1
        system = roles.system if code is not None else None
        yield Event(patient, roles.row, part_of(record), system, code, display, number, text, unit, begins, ends, visit)

    def _cell(self, row: Row, name: str) -> Any:
        return row[self._places[name]] if name else None

    def _moment(self, row: Row, name: str) -> datetime | None:
        value = self._cell(row, name)
        if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
            return None
        return written_moment(value) if self._zone is None else written_moment(value, self._zone)


def fitting_columns(where: str, columns: Sequence[str], roles: Roles, before: Sequence[str]) -> None:
    """Refuses a table that lacks columns which are asked for, or which it had when it was last read.

    Raises:
        SiteError: with the names of the columns.
    """
    lacking = [name for name in roles.named if name not in columns]
    if lacking:
        near = closest(lacking[0], [name for name in columns if not _may_be_value(name, lacking[0])])
        raise unreadable_source(
            where, f"no column {_listed(lacking)}", "the columns that the configuration names", near and f"Did you mean {near}?"
        )
    twice = [str(place) for place, name in enumerate(columns, 1) if name and columns.count(name) > 1]
    if twice:  # by their places: of a file without a header, names are values
        raise unreadable_source(where, f"columns {', '.join(twice[:10])} with the same name", "columns with names of their own")
    gone = [name for name in before if name not in columns]
    if gone and roles.row == "cells" and not roles.columns:
        remedy = "Nothing was removed: bring the columns back, or name those that are wanted as columns"
        raise unreadable_source(where, f"no longer a column {_listed(gone)}", "the columns of the last sync", remedy)


def chunks(rows: Iterable[T], size: int = AT_ONCE) -> Iterator[list[T]]:
    """Rows, some at a time."""
    running = iter(rows)
    while chunk := list(islice(running, size)):
        yield chunk


def _may_be_value(name: str, asked: str) -> bool:
    """Whether what stands in a header may be a patient's value: a file may have no header."""
    return any(map(str.isdigit, name)) and not any(map(str.isdigit, asked))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:64]) for name in names[:10])


def _found(value: Any) -> tuple[float | None, str | None]:
    """A cell as a number or text; neither where it stands for no value."""
    if value is None:
        return None, None
    if isinstance(value, str):
        return _read(value) if len(value) <= REPEATED else _read.__wrapped__(value)
    if isinstance(value, bool):
        return None, "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        number = float(value)
        return (number, None) if math.isfinite(number) else (None, None)
    return None, _text(value)


@lru_cache(maxsize=16_384)  # cells repeat one another: most of a table is read once
def _read(text: str) -> tuple[float | None, str | None]:
    number = None if CODE.match(text) else text_as_number(text)
    if number is None:
        return None, text.strip()
    return (None, None) if math.isnan(number) else (number, None)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    text = str(value).strip()
    return None if text.lower() in MISSING else text
