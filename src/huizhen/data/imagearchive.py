"""An ``.npz`` archive as a table: arrays of equal first length are its columns.

An array of three dimensions or more is a column of images; one of one dimension, or (row, 1), is a variable; one of (row, k) is the
variables NAME_0 to NAME_k-1. A column bears the array's name. Arrays named by a split and a column, ``train_images``,
``train_labels``, ``val_images``..., are the layout of MedMNIST (Yang et al. 2023, doi:10.1038/s41597-022-01721-8): rows of train,
val and test stand one below the other, with columns ``image``, ``label`` and ``split`` (train, validation, test).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import Declared, no_column, short
from huizhen.data.delimited import repeated
from huizhen.data.examples import SITE, Examples
from huizhen.data.frames import column_facts, table
from huizhen.data.images import image_facts, sized, unfit
from huizhen.data.npzmembers import MOST, SPARE, Member, members, read
from huizhen.errors import DataError, Problem

__all__ = ["ImageArchive", "open_archive"]

SPLITS = {"train": "train", "val": "validation", "test": "test"}
SINGULAR = {"images": "image", "labels": "label"}
SPLIT = "split"
WIDEST = 1000  # variables of one array


@dataclass(frozen=True)
class ImageArchive:
    """Columns of an archive; values are read when they are asked for.

    Attributes:
        parts: the arrays of each column, one below the other.
        splits: rows of each split by its name; empty for an archive without splits.
        warnings: what is left out, and why.
    """

    path: Path
    parts: Mapping[str, tuple[Member, ...]]
    rows: int
    splits: Mapping[str, int]
    warnings: tuple[Problem, ...] = ()

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What the columns hold; of images by their headers alone.

        Raises:
            DataError: the archive is damaged.
        """
        return tuple(self._columns())

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples:
        """Named columns, and the column ``site``.

        Raises:
            DataError: columns are missing or hold what the variables do not allow; all problems at once, by array and row from 0.
        """
        wanted = {name: variable for name, variable in variables.items() if name != SITE}
        problems = [no_column(self.path.name, name, self.names) for name in wanted if name not in self.names]
        problems += [
            Problem(f"{self.path.name}, column {short(name)!r}", "images", "numbers or text")
            for name, variable in wanted.items()
            if variable.kind != "image" and name in self.parts and _is_image(self.parts[name])
        ]
        frame: dict[str, Any] = {}
        if not problems:
            frame = self._values(wanted) or {"": np.zeros(self.rows)}
            try:
                return table(frame, variables=wanted, site=site)
            except DataError as error:
                problems = [replace(problem, where=f"{self.path.name}, {problem.where}") for problem in error.problems]
        raise DataError(f"{self.path.name} cannot be read as the study needs it", problems)

    def examined(self, name: str) -> str:
        """What of a column of images was looked at."""
        return "the array's header was read, and no pixel"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of the archive."""
        return (*self._places, SPLIT) if self.splits else tuple(self._places)

    @cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        """Of each column but the split: its array, and where it stands in a row of it."""
        return {each: (array, at) for array, parts in self.parts.items() for at, each in enumerate(_variables(array, parts))}

    def _columns(self) -> Iterator[ColumnFacts]:
        values = self._values([name for name in self.names if name not in self.parts or not _is_image(self.parts[name])])
        for name in self.names:
            if name in values:
                yield column_facts(name, values[name])
            else:
                header = self.parts[name][0].header
                facts = image_facts(header.shape[1:], header.dtype)
                yield ColumnFacts(name, "image", self.rows, 0, facts.shape if facts else (), facts.stored if facts else "")

    def _values(self, names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Columns by name; the archive is opened once. Arrays of numbers and text are kept, images are not."""
        arrays = {self._places[name][0] for name in names if name in self._places}
        unread = [array for array in self.parts if array in arrays and array not in self._small]
        found = dict(zip(unread, read(self.path, [self.parts[array] for array in unread]) if unread else []))
        self._small.update({array: values for array, values in found.items() if not _is_image(self.parts[array])})
        found |= self._small
        columns = {}
        for name in names:
            if name in self._places:
                array, at = self._places[name]
                columns[name] = found[array] if _is_image(self.parts[array]) else found[array].reshape(self.rows, -1)[:, at]
            else:
                columns[name] = np.repeat(list(self.splits), list(self.splits.values()))
        return columns

    @cached_property
    def _small(self) -> dict[str, NDArray[Any]]:
        return {}


def open_archive(path: Path) -> ImageArchive:
    """The columns of an archive, by its headers.

    Raises:
        DataError: it is damaged or should not be opened, or its arrays make no table; all problems at once.
    """
    found = members(path)
    single = [member.name for member in found if not member.header.shape]
    warned = [
        Problem(f"{path.name}, array {short(name)!r}", "a single value", "one value for each row", "It is left out")
        for name in single
    ]
    whole = [member for member in found if member.header.shape]
    splits = _splits(whole)
    parts = {name: tuple(each.values()) for name, each in splits.items()} if splits else {each.name: (each,) for each in whole}
    problems = _no_table(path, whole, splits)
    problems += [problem for each in parts.values() for problem in _unlike(path, each)]
    columns = sum(_width(each) for each in parts.values())
    if not problems and columns > MOST:
        problems = [Problem(path.name, f"{columns} columns", f"at most {MOST}", SPARE)]
    if not problems and (twice := repeated(path.name, tuple(c for name, each in parts.items() for c in _variables(name, each)))):
        problems = [twice]
    if problems:
        raise DataError(f"{path.name} cannot be opened as a table", problems)
    by_split = next(iter(splits.values()), {})
    rows = {SPLITS[split]: member.header.shape[0] for split, member in by_split.items()}
    return ImageArchive(path, parts, sum(rows.values()) or whole[0].header.shape[0], rows, tuple(warned))


def _splits(whole: Sequence[Member]) -> dict[str, dict[str, Member]]:
    """Arrays by column and split, where all are named by a split and a column; else nothing."""
    found: dict[str, dict[str, Member]] = {}
    names = {member.name for member in whole}
    for member in whole:
        split, _, column = member.name.partition("_")
        if split not in SPLITS or not column:
            return {}
        single = SINGULAR.get(column, column)
        found.setdefault(column if f"{split}_{single}" in names else single, {})[split] = member
    return {column: {split: each[split] for split in SPLITS if split in each} for column, each in found.items()}


def _no_table(path: Path, whole: Sequence[Member], splits: Mapping[str, Mapping[str, Member]]) -> list[Problem]:
    if not whole:
        return [Problem(path.name, "single values only", "arrays with one entry for each row")]
    problems = []
    by_split: dict[str, list[Member]] = {}
    for member in whole:
        by_split.setdefault(member.name.partition("_")[0] if splits else "", []).append(member)
    for group in by_split.values():
        rows = group[0].header.shape[0]
        problems += [
            Problem(
                f"{path.name}, array {short(member.name)!r}",
                f"{member.header.shape[0]} rows",
                f"{rows} rows as in {group[0].name!r}",
            )
            for member in group
            if member.header.shape[0] != rows
        ]
    lacking = [
        f"{split}_{next(iter(each.values())).name.partition('_')[2]}"
        for each in splits.values()
        for split in by_split
        if split not in each
    ]
    problems += [Problem(path.name, f"no array {name!r}", "the same arrays in every split") for name in lacking]
    if not problems and not sum(group[0].header.shape[0] for group in by_split.values()):
        problems = [Problem(path.name, "no rows", "at least one row")]
    if splits and SPLIT in splits:
        problems.append(
            Problem(path.name, f"an array for a column {SPLIT!r}", "another name: the archive's splits are that column")
        )
    return problems


def _unlike(path: Path, parts: Sequence[Member]) -> Iterator[Problem]:
    first = parts[0].header
    for part in parts:
        header, where = part.header, f"{path.name}, array {short(part.name)!r}"
        if header.shape[1:] != first.shape[1:] or header.dtype.kind != first.dtype.kind:
            found = f"entries of {sized(header.shape[1:]) or '1'}, {header.dtype}"
            yield Problem(where, found, f"entries of {sized(first.shape[1:]) or '1'}, {first.dtype}, as in {parts[0].name!r}")
        elif len(header.shape) == 2 and header.shape[1] > WIDEST:
            remedy = "Give images two dimensions beside that of the rows"
            yield Problem(where, f"{header.shape[1]} numbers for each row", f"at most {WIDEST}, or images", remedy)
        elif _is_image(parts) and image_facts(header.shape[1:], header.dtype) is None:
            yield unfit(where, header.shape[1:], header.dtype)


def _is_image(parts: Sequence[Member]) -> bool:
    return len(parts[0].header.shape) > 2


def _width(parts: Sequence[Member]) -> int:
    """How many columns an array is."""
    shape = parts[0].header.shape
    return shape[1] if len(shape) == 2 else 1


def _variables(name: str, parts: Sequence[Member]) -> list[str]:
    width = _width(parts)
    return [f"{name}_{at}" for at in range(width)] if width > 1 else [name]
