"""The rows that a method learns from, as columns in memory.

>>> import numpy as np
>>> rows = Examples({"age": Numbers(np.array([61.0, np.nan])), "sex": Categories(np.array([0, 1], np.int32), ("f", "m"))}, 2)
>>> rows.complete(["age", "sex"]).tolist()
[True, False]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHUNK",
    "SITE",
    "Categories",
    "Column",
    "Examples",
    "Images",
    "Numbers",
    "Tabular",
    "chunks",
    "concatenate",
    "show_number",
]

SITE = "site"  # the column that every table has: the name of the site that holds the row
CHUNK = 16_384  # rows worked on at once: 20 columns of float64 stay within a core's second-level cache


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric variable: float64 (row,), NaN where missing."""

    values: NDArray[np.float64]

    def missing(self) -> NDArray[np.bool_]:
        return np.isnan(self.values)


@dataclass(frozen=True, slots=True)
class Categories:
    """A categorical variable: int32 codes (row,) into `levels`, -1 where missing."""

    codes: NDArray[np.int32]
    levels: tuple[str, ...]

    def missing(self) -> NDArray[np.bool_]:
        return self.codes < 0


@dataclass(frozen=True, slots=True)
class Images:
    """Images, or label maps: uint8, int16 or float32 (row, channel, *space); a row without one is no row."""

    values: NDArray[Any]

    def missing(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.values), dtype=bool)


Tabular = Numbers | Categories
Column = Tabular | Images


@dataclass(frozen=True, slots=True)
class Examples:
    """Columns of equal length; never edited.

    Attributes:
        origins: of columns that were made of others, by name: those that a draw by content looks at instead. What was made may
            differ in its last digit from run to run, and its rows must not fall elsewhere.
    """

    columns: Mapping[str, Column]
    rows: int
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def number(self, name: str) -> NDArray[np.float64]:
        """Values of a numeric variable, float64 (row,)."""
        column = self.columns[name]
        if not isinstance(column, Numbers):
            raise TypeError(f"variable {name!r} is no number where one is needed")
        return column.values

    def category(self, name: str) -> Categories:
        """Codes and levels of a categorical variable. A numeric variable is read as categories by its values."""
        column = self.tabular(name)
        return column if isinstance(column, Categories) else _categorise(column)

    def tabular(self, name: str) -> Tabular:
        """A variable of numbers or of labels."""
        column = self.columns[name]
        if isinstance(column, Images):
            raise TypeError(f"variable {name!r} is an image where a number or a label is needed")
        return column

    def image(self, name: str) -> NDArray[Any]:
        """Images as they are stored: uint8, int16 or float32 (row, channel, *space)."""
        column = self.columns[name]
        if not isinstance(column, Images):
            raise TypeError(f"variable {name!r} is no image")
        return column.values

    def complete(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """Which rows miss none of the variables, bool (row,)."""
        whole = np.ones(self.rows, dtype=bool)
        for name in names:
            whole &= ~self.columns[name].missing()
        return whole

    def where(self, mask: NDArray[np.bool_]) -> Examples:
        """The rows that `mask` chooses; the same object where it chooses all, and images without a copy where they lie together."""
        if mask.all():
            return self
        chosen = _together(mask)
        return Examples({name: _take(column, mask, chosen) for name, column in self.columns.items()}, int(mask.sum()), self.origins)

    def without(self, names: Iterable[str]) -> Examples:
        """The same rows without some columns."""
        left_out = set(names)
        return Examples({name: column for name, column in self.columns.items() if name not in left_out}, self.rows, self.origins)


def chunks(rows: int, size: int = CHUNK) -> Iterator[slice]:
    """Consecutive slices that cover `rows` rows."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def concatenate(tables: Sequence[Examples]) -> Examples:
    """The rows of several tables with the same variables, in order."""
    names = list(tables[0].columns)
    joined = {name: _join([table.columns[name] for table in tables]) for name in names}
    return Examples(joined, sum(table.rows for table in tables), tables[0].origins)


def show_number(value: float) -> str:
    """A number as a category label: ``3.0`` and ``3`` are the same level ``3``."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _categorise(column: Numbers) -> Categories:
    present = ~np.isnan(column.values)
    distinct, inverse = np.unique(column.values[present], return_inverse=True)
    codes = np.full(len(column.values), -1, dtype=np.int32)
    codes[present] = inverse
    return Categories(codes, tuple(show_number(value) for value in distinct))


def _together(mask: NDArray[np.bool_]) -> slice | None:
    """The rows that a mask chooses, where no other row lies between them."""
    first, last = int(mask.argmax()), len(mask) - int(mask[::-1].argmax())
    return slice(first, last) if mask[first:last].all() else None


def _take(column: Column, mask: NDArray[np.bool_], together: slice | None) -> Column:
    if isinstance(column, Categories):
        return Categories(column.codes[mask], column.levels)
    if isinstance(column, Images) and together is not None:
        return Images(column.values[together])
    return replace(column, values=column.values[mask])


def _join(columns: Sequence[Column]) -> Column:
    if all(isinstance(column, Numbers) for column in columns):
        return Numbers(np.concatenate([column.values for column in columns if isinstance(column, Numbers)]))
    if any(isinstance(column, Images) for column in columns):
        return Images(np.concatenate([column.values for column in columns if isinstance(column, Images)]))
    tabular = [column for column in columns if not isinstance(column, Images)]
    parts = [_categorise(column) if isinstance(column, Numbers) else column for column in tabular]
    levels = tuple(sorted({level for part in parts for level in part.levels}))
    place = {level: code for code, level in enumerate(levels)}
    recoded = [np.array([*(place[level] for level in part.levels), -1], np.int32)[part.codes] for part in parts]
    return Categories(np.concatenate(recoded), levels)
