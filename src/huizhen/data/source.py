"""A table at a site, in one file or several with the same columns: what its columns hold, and named columns of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import Declared, constant_site, infinite, no_column, no_value, outside_levels, short, text_for_number
from huizhen.data.delimited import broken_row, line_of, other_delimiter
from huizhen.data.examples import SITE, Column, Examples, Numbers
from huizhen.data.labels import as_categories
from huizhen.data.tablefile import TableFile, Unreadable
from huizhen.errors import DataError, Problem

__all__ = ["Source", "damaged", "place_of"]

AT_ONCE, PASSES = 5, 4  # columns of a CSV file read at once at least; passes through it at most

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A table at a site: one file, or files with the same columns, one below the other in the order of their names.

    Attributes:
        path: the file or folder.
        files: the files.
    """

    path: Path
    files: tuple[TableFile, ...]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is left out of each file, and why."""
        expected = "a named column of numbers, text or dates"
        return tuple(Problem(file.path.name, what, expected, "It is left out") for file in self.files for what in file.unread)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that can be read, in the order of the first file."""
        return tuple(self.files[0].places)

    @cached_property
    def rows(self) -> int:
        """Number of rows; exact, so for the site's own eyes only."""
        return sum(self._ask(lambda file: file.rows()))

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What the columns hold; reads once through all files.

        Raises:
            DataError: a file cannot be followed.
        """
        profiles = self._ask(lambda file: file.profile(self.names))
        counts = {name: np.sum([profile[name] for profile in profiles], axis=0) for name in self.names}
        return tuple(
            ColumnFacts(name, "category" if text else "number", int(filled), int(text)) for name, (filled, text) in counts.items()
        )

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples:
        """Named columns, and the column ``site``, which says `site` in every row whatever the files say.

        Args:
            variables: what to read, and as what; declared levels are kept in their order.

        Raises:
            DataError: columns are missing, empty, or hold what the variables do not allow; all problems at once, by file, line
                and column, and never with what stands in a cell.
        """
        wanted = {name: variable for name, variable in variables.items() if name != SITE}
        unfit = {name: [problem for file in self.files for problem in _unfit(file, name, wanted[name])] for name in wanted}
        problems = [problem for found in unfit.values() for problem in found]
        fit = [name for name in wanted if not unfit[name]]
        columns: dict[str, Column] = {}
        for group in self._groups(fit):
            for name, column, found in self._read_group({name: wanted[name] for name in group}):
                columns[name] = column
                problems += found
        if problems:
            raise DataError(f"{self.path.name} cannot be read as the study needs it", problems)
        rows = len(columns[fit[0]].missing()) if fit else self.rows
        return Examples({**{name: columns[name] for name in wanted}, SITE: constant_site(site, rows)}, rows)

    def examined(self, name: str) -> str:
        """Nothing: no column holds images."""
        return ""

    def _groups(self, names: Sequence[str]) -> list[Sequence[str]]:
        # DuckDB hands columns over as a copy, so few at once; a CSV file has to be gone through again for each group.
        size = max(AT_ONCE, -(-len(names) // PASSES)) if any(file.layout for file in self.files) else 1
        return [names[start : start + size] for start in range(0, len(names), size)]

    def _read_group(self, wanted: Mapping[str, Declared]) -> Iterator[tuple[str, Column, list[Problem]]]:
        numbers = [name for name, variable in wanted.items() if variable.kind == "number"]
        texts = self._texts([name for name in wanted if name not in numbers])
        parts = self._ask(lambda file: file.values(numbers, texts))
        for name, variable in wanted.items():
            pieces = [part.pop(name) for part in parts]
            values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            if name in numbers:
                column: Column = Numbers(values)
                found = [problem for file, piece in zip(self.files, pieces) for problem in _not_finite(file, name, piece)]
            else:
                written = [self._as_written(name, text) for text in texts[name]]
                column, strangers = as_categories(values, written, variable.levels)
                where = f"{self.path.name}, column {short(name)!r}"
                found = [outside_levels(where, strangers, len(values), variable.levels)] if strangers else []
            if not found and column.missing().all():
                found = [no_value(f"{self.path.name}, column {short(name)!r}", len(values))]
            yield name, column, found

    def _texts(self, names: Sequence[str]) -> dict[str, list[str]]:
        if not names:
            return {}
        found = self._ask(lambda file: file.texts(names))
        return {name: list(dict.fromkeys(text for part in found for text in part[name])) for name in names}

    def _as_written(self, name: str, text: str) -> str:
        is_numeric = all(file.places[name][1] == "number" for file in self.files)
        return self.files[0].as_written(name, text) if is_numeric else text

    def _ask(self, question: Callable[[TableFile], T]) -> list[T]:
        answers, broken = [], []
        for file in self.files:
            try:
                answers.append(question(file))
            except Unreadable:
                broken.append(file)
        if broken:
            problems = [broken_row(file.path, file.layout) if file.layout else damaged(file.path) for file in broken]
            raise DataError(f"{self.path.name} cannot be read", problems)
        return answers


def _unfit(file: TableFile, name: str, variable: Declared) -> list[Problem]:
    if name not in file.places:
        remedy = ""
        if file.layout and len(file.places) == 1:
            mark = other_delimiter(file.layout)
            seen = f" with {mark!r} in it" if mark else ""
            remedy = f"The header is one column{seen}; the delimiter of columns must be comma, semicolon, tab or |"
        return [no_column(file.path.name, name, list(file.places), remedy)]
    if variable.kind == "image":
        remedy = "Images come in a folder or an .npz archive"
        return [Problem(f"{file.path.name}, column {short(name)!r}", "a column of a table", "images", remedy)]
    if variable.kind == "number" and file.places[name][1] == "date":
        where = f"{file.path.name}, column {short(name)!r}"
        return [Problem(where, "dates", "numbers", "Export a duration, such as days since diagnosis")]
    return []


def _not_finite(file: TableFile, name: str, values: NDArray[Any]) -> list[Problem]:
    bad = np.isinf(values)
    count = int(np.count_nonzero(bad))
    if not count:
        return []
    where = f"{file.path.name}, {place_of(file, int(np.argmax(bad)))}, column {short(name)!r}"
    endless, commas = file.what_is_wrong(name)
    if endless == count:
        return [infinite(where, count, len(values))]
    return [text_for_number(where, count, len(values), commas)]


def place_of(file: TableFile, row: int) -> str:
    """Where a row stands in its file: the line of a CSV file, else the number of the row."""
    return f"line {line_of(file.path, file.layout, row)}" if file.layout else f"row {row + 1}"


def damaged(path: Path) -> Problem:
    """A Parquet file that cannot be followed."""
    remedy = "Copy or export it again; if it was cut short, its last four bytes are not PAR1"
    return Problem(path.name, "a damaged file, or none in Parquet format", "a whole Parquet file", remedy)
