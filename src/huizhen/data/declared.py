"""What a study declares about a variable, and what in a table makes one doubt it; for those who read tables in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from huizhen.data.examples import Categories, Examples, Numbers
from huizhen.data.labels import MISSING
from huizhen.errors import Problem, closest

__all__ = ["Declared", "constant_site", "doubts", "infinite", "no_column", "no_value", "outside_levels", "text_for_number"]

EXACT = 2.0**53  # from here on float64 no longer tells neighboring integers apart
SHOWN = 20  # column names in a message
LONGEST_NAME = 60  # characters of a column name in a message


class Declared(Protocol):
    """A variable as all participants agreed to read it; `huizhen.privacy.release.Variable` is one."""

    @property
    def kind(self) -> Literal["number", "category", "image"]:
        """``number``, ``category`` or ``image``."""

    @property
    def levels(self) -> tuple[str, ...]:
        """The declared labels in order; empty: those that are found."""

    @property
    def unit(self) -> str:
        """Unit for a reader, or ""."""

    @property
    def range(self) -> tuple[float, float] | None:
        """Smallest and largest plausible value, or None."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image, (channel, *space); () for that which is found."""


def doubts(examples: Examples, variables: Mapping[str, Declared]) -> tuple[Problem, ...]:
    """What deserves a look and is no error: values outside a declared range, integers too large to be exact."""
    found = []
    for name, variable in variables.items():
        column = examples.columns.get(name)
        if not isinstance(column, Numbers):
            continue
        if variable.range is not None:
            low, high = variable.range
            outside = int(np.count_nonzero((column.values < low) | (column.values > high)))
            if outside:
                expected = f"values from {low:g} to {high:g}"
                found.append(Problem(f"column {name!r}", f"values outside the declared range in {_rows(outside)}", expected))
        large = int(np.count_nonzero(np.abs(column.values) >= EXACT))
        if large:
            remedy = "An identifier is better read as a category"
            found.append(
                Problem(f"column {name!r}", f"integers of 2^53 or more in {_rows(large)}", "numbers that float64 holds", remedy)
            )
    return tuple(found)


def constant_site(site: str, rows: int) -> Categories:
    """The column that names the site of every row."""
    return Categories(np.zeros(rows, np.int32), (site,))


def no_column(where: str, name: str, there: Sequence[str], remedy: str = "") -> Problem:
    """A named column is not there."""
    shown = [short(column) for column in there[:SHOWN]]
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    close = closest(name, there) or next((column for column in there if column.lower() == name.lower()), "")
    hint = remedy or (f"Did you mean {short(close)!r}?" if close else "")
    return Problem(where, f"no column {short(name)!r}", f"one of: {', '.join(shown)}{more}", hint)


def text_for_number(where: str, count: int, total: int, commas: int) -> Problem:
    """Cells hold text where numbers belong; `commas` of them look like 3,14."""
    if commas:
        found = f"a decimal comma or thousands mark (in {commas} of {_rows(total)})"
        return Problem(where, found, "a number with a decimal point, such as 3.14", "Export the table with decimal points")
    marks = ", ".join(mark.upper() for mark in MISSING if mark)
    expected = f"a number, an empty cell or a mark for a missing value ({marks})"
    found = f"text where a number belongs (in {count} of {_rows(total)})"
    return Problem(where, found, expected, "Correct the cells, or declare the variable a category")


def infinite(where: str, count: int, total: int) -> Problem:
    """Cells hold infinite numbers."""
    return Problem(where, f"an infinite number (in {count} of {_rows(total)})", "finite numbers", "Leave such cells empty")


def no_value(where: str, total: int) -> Problem:
    """No cell of a column holds a value."""
    return Problem(where, f"no value in any of {_rows(total)}", "at least one value", "Leave the variable out, or this site")


def outside_levels(where: str, count: int, total: int, levels: Sequence[str]) -> Problem:
    """Cells hold values that are not among the declared levels."""
    expected = f"one of the declared levels: {', '.join(levels)}"
    return Problem(where, f"other values in {count} of {_rows(total)}", expected, "Correct the cells, or declare these levels too")


def short(name: str) -> str:
    """A column name that fits a message."""
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "..."


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
