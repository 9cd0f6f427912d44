"""Times as sources write them, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any

__all__ = ["NO_TIME", "moment", "written_moment"]

NO_TIME = "a time that cannot be read or does not exist"
DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")


def moment(text: str, zone: tzinfo = UTC) -> datetime:
    """An ISO 8601 time, day, month or year in UTC, without a zone; one that says no zone is of `zone`.

    Raises:
        ValueError: there is no such time.

    >>> moment("2011-05-03T10:00:00-04:00")
    datetime.datetime(2011, 5, 3, 14, 0)
    >>> moment("2011-05")
    datetime.datetime(2011, 5, 1, 0, 0)
    """
    length = len(text)
    if length == 4:
        return datetime(int(text), 1, 1)
    if length == 7 and text[4] == "-":
        return datetime(int(text[:4]), int(text[5:]), 1)
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        return found.astimezone(UTC).replace(tzinfo=None)
    # A day is a day everywhere: only a time of day is shifted.
    return found if zone is UTC or length == 10 else found.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def written_moment(value: Any, zone: tzinfo = UTC) -> datetime:
    """A time as a cell of a table holds it: a time, a day, or text as people write it, such as 2020/1/31 or 2020年1月31日.

    Raises:
        ValueError: there is no such time.
    """
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None or zone is UTC else value.replace(tzinfo=zone)
        return aware if aware.tzinfo is None else aware.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    text = str(value).strip()
    try:
        return moment(text, zone)
    except ValueError:
        match = DAY.fullmatch(text)
        if match is None:
            raise
        parts = [int(part) for part in match.groups() if part is not None]
        return written_moment(datetime(*parts), zone) if len(parts) > 3 else datetime(*parts)  # type: ignore[arg-type]
