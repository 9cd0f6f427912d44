"""The sites' tables, opened together: how each variable is read is settled over all sites before a row is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.data.declared import doubts
from huizhen.data.examples import SITE, Column, Examples, Images, Numbers
from huizhen.data.frames import images_in
from huizhen.data.images import ImageFacts, disagreements
from huizhen.data.records import Source, open_source, table
from huizhen.errors import DataError, Problem
from huizhen.federation.reading import STRAY, as_declared, settled, unsettled
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable

__all__ = ["Opened", "Table", "as_read", "open_tables"]

Reading = Callable[[str, str, int], None]
Table = str | Path | Mapping[str, Any] | Any  # Any: a pandas DataFrame, which the core does not import


@dataclass(frozen=True, slots=True)
class Opened:
    """Every site's rows, with the variables that the study reads.

    Attributes:
        variables: how they were read.
        doubts: what deserves a look at the source and is no error; for the sites' own eyes, so in no report.
    """

    tables: dict[str, Examples]
    variables: dict[str, Variable]
    doubts: tuple[Problem, ...]


def open_tables(study: Study, sites: Mapping[str, Table], *, reading: Reading | None = None) -> Opened:
    """Opens every site's table.

    Args:
        reading: is told before a site's source is opened and before it is read: the site, ``open`` or ``read``, and how many were
            before it.

    Raises:
        DataError: every problem of every site.
    """
    problems: list[Problem] = []
    sources: dict[str, _Source] = {}
    for done, (site, place) in enumerate(sites.items()):
        if reading is not None:
            reading(site, "open", done)
        try:
            sources[site] = _File(place) if isinstance(place, str | Path) else _Frame(place)
        except DataError as error:
            problems += _at(site, error)
    images, disagreeing = _images(study, sources)
    problems += [problem for each in disagreeing.values() for problem in each]
    variables = _settle(study, sources, images)
    no_images = {name: variable for name, variable in variables.items() if variable.kind != "image"}
    tables: dict[str, Examples] = {}
    found: list[Problem] = []
    for done, (site, source) in enumerate(sources.items()):
        if reading is not None:
            reading(site, "read", done)
        try:
            tables[site] = source.read(no_images if site in disagreeing else variables, site=site)
            found += [_of(site, doubt) for doubt in (*source.warnings, *doubts(tables[site], variables))]
        except DataError as error:
            problems += _at(site, error)
    if problems:
        raise DataError("The sites' data cannot be read as the study needs them.", problems)
    return Opened(tables, variables, tuple(found))


class _Source(Protocol):
    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is left out of the source, and why."""

    def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        """How much of each column is text and no number, 0 to 1; columns that are not there are left out."""

    def images(self, names: Sequence[str]) -> Mapping[str, ImageFacts]:
        """What the images of each column have in common; columns that are not there or hold no images are left out."""

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        """Named columns."""


class _File:
    def __init__(self, path: str | Path) -> None:
        self._source = open_source(path)
        if not isinstance(self._source, Source):
            _ = self._source.columns  # looked at once and kept; what is wrong with it is told with the site's name

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._source.warnings

    def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        columns = [column for column in self._source.columns if column.name in names]
        return {column.name: column.texts / max(column.filled, 1) for column in columns}

    def images(self, names: Sequence[str]) -> Mapping[str, ImageFacts]:
        columns = [column for column in self._source.columns if column.name in names and column.kind == "image"]
        return {column.name: ImageFacts(column.shape, column.stored) for column in columns if column.shape}

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        return self._source.read(variables, site=site)


class _Frame:
    def __init__(self, frame: Any) -> None:
        if not isinstance(frame, Mapping) and not hasattr(frame, "columns"):
            expected = "the path of a table, a pandas DataFrame, or a mapping of columns"
            raise DataError("This is no table.", [Problem("table", f"a {type(frame).__name__}", expected)])
        self._frame = frame

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return ()

    def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        there = set(map(str, self._frame.columns if hasattr(self._frame, "columns") else self._frame))
        return {name: _share_of_text(np.asarray(self._frame[name])) for name in names if name in there}

    def images(self, names: Sequence[str]) -> Mapping[str, ImageFacts]:
        return images_in(self._frame, names)

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        return table(self._frame, variables=variables, site=site)


def _share_of_text(values: NDArray[Any]) -> float:
    if values.dtype.kind != "O" or values.ndim != 1:
        return 0.0 if values.dtype.kind in "biuf" else 1.0
    present = [value for value in values.tolist() if value is not None and value == value]
    return sum(not isinstance(value, int | float) for value in present) / max(len(present), 1)


def as_read(study: Study, tables: Mapping[str, Examples]) -> dict[str, Variable]:
    """How the variables of tables in memory are to be understood: as their columns are.

    Raises:
        DataError: images differ from site to site.
    """
    first = next(iter(tables.values()))
    variables = {name: _as_column(column) for name, column in first.columns.items() if name != SITE and name in study.uses}
    problems = []
    for name in (name for name, variable in variables.items() if variable.kind == "image"):
        found = {site: facts for site, table in tables.items() if (facts := _facts_of(table.columns.get(name)))}
        wrong = disagreements(name, found, _shape(study, name))
        problems += [_of(site, problem) for site, problem in wrong.items()]
    if problems:
        raise DataError("The sites' data cannot be read as the study needs them.", problems)
    return {name: as_declared(study, name, variable) for name, variable in variables.items()}


def _as_column(column: Column) -> Variable:
    if isinstance(column, Images):
        return Variable("image", shape=column.values.shape[1:])
    return Variable("number" if isinstance(column, Numbers) else "category")


def _facts_of(column: Column | None) -> ImageFacts | None:
    return ImageFacts(column.values.shape[1:], str(column.values.dtype)) if isinstance(column, Images) else None


def _images(study: Study, sources: Mapping[str, _Source]) -> tuple[dict[str, tuple[int, ...]], dict[str, list[Problem]]]:
    """The shape of every variable of images, and the sites that differ from it; from what the sources say before they are read."""
    names = [name for name, kind in study.uses.items() if kind == "image"]
    shapes: dict[str, tuple[int, ...]] = {}
    problems: dict[str, list[Problem]] = {}
    for name in names:
        found: dict[str, ImageFacts] = {}
        for site, source in sources.items():
            try:
                facts = source.images([name]).get(name)
            except DataError:
                continue  # said when the source is read
            if facts is not None:
                found[site] = facts
        declared = _shape(study, name)
        if declared:  # a declared shape also says how to read an array, so only reading it shows whether it fits
            found = {site: ImageFacts(declared, facts.stored) for site, facts in found.items()}
        for site, problem in disagreements(name, found).items():
            problems.setdefault(site, []).append(_of(site, problem))
        shapes[name] = declared or next((facts.shape for facts in found.values()), ())
    return shapes, problems


def _shape(study: Study, name: str) -> tuple[int, ...]:
    return tuple(study.variables[name].shape) if name in study.variables else ()


def _settle(study: Study, sources: Mapping[str, _Source], images: Mapping[str, tuple[int, ...]]) -> dict[str, Variable]:
    names = unsettled(study)
    found = [source.shares(names) for source in sources.values()] if names else []
    return settled(study, [{name: share > STRAY for name, share in one.items()} for one in found], images)


def _at(site: str, error: DataError) -> list[Problem]:
    if not error.problems:
        return [Problem(f"site {site}", error.message, "a readable table")]
    return [_of(site, problem) for problem in error.problems]


def _of(site: str, problem: Problem) -> Problem:
    return replace(problem, where=f"site {site}, {problem.where}")
