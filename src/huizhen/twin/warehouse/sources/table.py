"""A CSV file of measurements, with declared columns: what stands in which column, and what is the same for all rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from huizhen.clock import moment
from huizhen.errors import Problem
from huizhen.twin.warehouse.measures import CONVERTED, converted
from huizhen.twin.warehouse.readings import Point, Series
from huizhen.twin.warehouse.sources.told import Told, Unread, refused

__all__ = ["NEEDED", "table"]

WHAT = "CSV"
NEEDED = ("time", "site", "subject", "metric", "value", "unit")


def table(
    text: str, *, columns: Mapping[str, str] | None = None, same: Mapping[str, str] | None = None, source: str = "csv"
) -> Told:
    """The points of a table; values in the twin's units. A unit that is not known is left as it stands, and set aside later.

    Args:
        columns: the column that holds each of `NEEDED`; by default one of that name.
        same: of `NEEDED`, what is the same for all rows.
        source: the instrument.

    Raises:
        DataError: a column is missing, or said twice; all mistakes at once.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    chosen, constant = dict(columns or {}), dict(same or {})
    unread: list[Unread] = []
    points: list[Point] = []
    try:
        header = next(rows, [])
        places = _places(header, chosen, constant)
        for cells in rows:
            said = constant | {name: cells[place].strip() for name, place in places.items() if place < len(cells)}
            if not any(cells):
                continue
            point = _point(said, source)
            if isinstance(point, str):
                unread.append(Unread(rows.line_num, point))
            else:
                points.append(point)
    except csv.Error:
        raise refused([Problem(f"{WHAT}, line {rows.line_num}", "no CSV", "a table with quoted cells closed")]) from None
    return Told(tuple(points), tuple(unread))


NO_NUMBER, NO_TIME, EMPTY, SHORT = (
    "a value that is no number",
    "a time that is none, or has no time zone",
    "an empty cell",
    "another number of cells",
)


def _point(said: Mapping[str, str], source: str) -> Point | str:
    """The point of a row, or why it has none."""
    if any(name not in said for name in NEEDED):
        return SHORT
    if not all(said[name] for name in NEEDED):
        return EMPTY
    try:
        value = float(said["value"])
    except ValueError:
        return NO_NUMBER
    try:
        time = moment(said["time"])
    except ValueError:
        return NO_TIME
    unit = said["unit"]
    if unit in CONVERTED:
        value, unit = converted(value, unit)
    return Point(Series(said["site"], said["subject"], said["metric"], unit, source), time, value)


def _places(header: list[str], chosen: Mapping[str, str], constant: Mapping[str, str]) -> dict[str, int]:
    problems = [
        Problem(f"{WHAT}, {name}", "a fact that no measurement has", f"one of {', '.join(NEEDED)}")
        for name in (*chosen, *constant)
        if name not in NEEDED
    ]
    problems += [Problem(f"{WHAT}, {name}", "a column and a value", "one of them") for name in chosen if name in constant]
    places = {}
    for name in NEEDED:
        column = chosen.get(name, name)
        if name in constant:
            continue
        if header.count(column) == 1:
            places[name] = header.index(column)
        else:
            found = "no such column" if column not in header else "more than one such column"
            problems.append(Problem(f"{WHAT}, {name}", f"{found}: {column}", "one column, or a value for all rows"))
    if problems:
        raise refused(problems)
    return places
