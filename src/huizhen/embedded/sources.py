"""The sites' tables, opened together: how each variable is read is settled over all sites before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.data.declared import doubts
from huizhen.data.examples import SITE, Examples, Numbers
from huizhen.data.records import open_source, table
from huizhen.errors import DataError, Problem
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable

__all__ = ["Opened", "Table", "as_read", "open_tables"]

STRAY = 0.1  # a column with at most this share of text is meant to be numbers
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


def open_tables(study: Study, sites: Mapping[str, Table]) -> Opened:
    """Opens every site's table.

    Raises:
        DataError: every problem of every site.
    """
    problems: list[Problem] = []
    sources: dict[str, _Source] = {}
    for site, place in sites.items():
        try:
            sources[site] = _File(place) if isinstance(place, str | Path) else _Frame(place)
        except DataError as error:
            problems += _at(site, error)
    variables = _settle(study, sources)
    tables: dict[str, Examples] = {}
    found: list[Problem] = []
    for site, source in sources.items():
        try:
            tables[site] = source.read(variables, site=site)
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

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        """Named columns."""


class _File:
    def __init__(self, path: str | Path) -> None:
        self._source = open_source(path)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._source.warnings

    def shares(self, names: Sequence[str]) -> Mapping[str, float]:
        columns = [column for column in self._source.columns if column.name in names]
        return {column.name: column.texts / max(column.filled, 1) for column in columns}

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

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        return table(self._frame, variables=variables, site=site)


def _share_of_text(values: NDArray[Any]) -> float:
    if values.dtype.kind != "O" or values.ndim != 1:
        return 0.0 if values.dtype.kind in "biuf" else 1.0
    present = [value for value in values.tolist() if value is not None and value == value]
    return sum(not isinstance(value, int | float) for value in present) / max(len(present), 1)


def as_read(study: Study, tables: Mapping[str, Examples]) -> dict[str, Variable]:
    """How the variables of tables in memory are to be understood: as their columns are."""
    first = next(iter(tables.values()))
    kinds = {
        name: "number" if isinstance(column, Numbers) else "category" for name, column in first.columns.items() if name != SITE
    }
    return {name: _declared(study, name, Variable(kind)) for name, kind in kinds.items() if name in study.uses}  # type: ignore[arg-type]


def _settle(study: Study, sources: Mapping[str, _Source]) -> dict[str, Variable]:
    """The kind of every variable: as used or declared, else what the sites seem to hold.

    A column that is all numbers at one site is a number at every site, and so is one with hardly a text in it: what does not fit
    is then a mistake with its row and column, and never silently makes a category of every number.
    """
    unsettled = [name for name, kind in study.uses.items() if kind == "any" and name != SITE]
    found = [source.shares(unsettled) for source in sources.values()] if unsettled else []
    settled = {}
    for name, kind in study.uses.items():
        if name == SITE:
            continue
        if kind == "any":
            shares = [share[name] for share in found if name in share]
            kind = "category" if shares and min(shares) > STRAY else "number"
        settled[name] = _declared(study, name, Variable(kind))
    return settled


def _declared(study: Study, name: str, variable: Variable) -> Variable:
    said = study.variables.get(name)
    if said is None:
        return variable
    bounds = (float(said.range[0]), float(said.range[1])) if said.range else None
    return replace(variable, levels=said.labels, unit=said.unit, range=bounds)


def _at(site: str, error: DataError) -> list[Problem]:
    if not error.problems:
        return [Problem(f"site {site}", error.message, "a readable table")]
    return [_of(site, problem) for problem in error.problems]


def _of(site: str, problem: Problem) -> Problem:
    return replace(problem, where=f"site {site}, {problem.where}")
