"""Dates as they stand in records and reports: read, moved by days, told by month or year; the way they are written is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

__all__ = ["Order", "Written", "coarser", "read_date"]

Order = Literal["year first", "day first", "month first"]

TAIL = r"(?P<tail>[T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?)?"
YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?P<a>[-/.]|年)(?P<month>\d{1,2})(?P<b>[-/.]|月)(?P<day>\d{1,2})(?P<c>日?)" + TAIL
    + r"|(?P<compact>\d{8})(?P<rest>\d{0,6}(\.\d{1,6})?([+-]\d{4})?)"
)  # fmt: skip
YEAR_LAST = re.compile(r"(?P<first>\d{1,2})(?P<a>[-/.])(?P<second>\d{1,2})(?P<b>[-/.])(?P<year>\d{4})" + TAIL)


@dataclass(frozen=True, slots=True)
class Written:
    """A date and how it stands in its text: a pattern with the places y, m and d, whether zeros lead, and what follows it."""

    day: date
    pattern: str
    padded: bool
    tail: str

    def shifted(self, days: int) -> str:
        """The text with the date moved; the time of day stays.

        Raises:
            OverflowError: the year would leave 1 to 9999.
        """
        return self._as_text(self.day + timedelta(days=days))

    def _as_text(self, day: date) -> str:
        width = "02d" if self.padded else "d"
        return self.pattern.format(y=f"{day.year:04d}", m=format(day.month, width), d=format(day.day, width)) + self.tail


def read_date(text: str, order: Order = "year first") -> Written | None:
    """The date that a whole text writes; None where it writes none, such as a 31 February.

    >>> read_date("2024-03-01 08:30").shifted(-1), read_date("2024年3月1日").shifted(1), read_date("2023-02-29")
    ('2024-02-29 08:30', '2024年3月2日', None)
    """
    text = text.strip()
    found = (YEAR_FIRST if order == "year first" else YEAR_LAST).fullmatch(text)
    if found is None:
        return None
    part = found.groupdict()
    if part.get("compact"):
        digits = part["compact"]
        return _written(digits[:4], digits[4:6], digits[6:], "{y}{m}{d}", part["rest"] or "")
    tail = part["tail"] or ""
    if order == "year first":
        return _written(part["year"], part["month"], part["day"], f"{{y}}{part['a']}{{m}}{part['b']}{{d}}{part['c']}", tail)
    if order == "day first":
        return _written(part["year"], part["second"], part["first"], f"{{d}}{part['a']}{{m}}{part['b']}{{y}}", tail)
    return _written(part["year"], part["first"], part["second"], f"{{m}}{part['a']}{{d}}{part['b']}{{y}}", tail)


def _written(year: str, month: str, day: str, pattern: str, tail: str) -> Written | None:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return Written(found, pattern, len(month) == 2 and len(day) == 2, tail)


def coarser(day: date | datetime, to: Literal["year", "quarter", "month"]) -> str:
    """A date by its year, quarter or month: 2024, 2024-Q1, 2024-03."""
    if to == "year":
        return f"{day.year:04d}"
    return f"{day.year:04d}-Q{(day.month + 2) // 3}" if to == "quarter" else f"{day.year:04d}-{day.month:02d}"
