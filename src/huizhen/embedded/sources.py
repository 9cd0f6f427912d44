"""The sites' tables, opened together: how each variable is read is settled over all sites before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import SITE, Examples, Numbers
from huizhen.data.records import open_source, table
from huizhen.errors import DataError, Problem
from huizhen.federation.study import Study
from huizhen.privacy.release import Variable

__all__ = ["Table", "as_read", "open_tables"]

Kind = Literal["number", "category"]
Table = str | Path | Mapping[str, Any] | Any  # Any: a pandas DataFrame, which the core does not import


def open_tables(study: Study, sites: Mapping[str, Table]) -> tuple[dict[str, Examples], dict[str, Variable]]:
    """Every site's rows, with the variables that the study reads, and how they were read.

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
    for site, source in sources.items():
        try:
            tables[site] = source.read(variables, site=site)
        except DataError as error:
            problems += _at(site, error)
    if problems:
        raise DataError("The sites' data cannot be read as the study needs them.", problems)
    return tables, variables


class _Source(Protocol):
    def kinds(self, names: Sequence[str]) -> Mapping[str, Kind]:
        """What the columns seem to hold; columns that are not there are left out."""

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        """Named columns."""


class _File:
    def __init__(self, path: str | Path) -> None:
        self._source = open_source(path)

    def kinds(self, names: Sequence[str]) -> Mapping[str, Kind]:
        return {column.name: column.kind for column in self._source.columns if column.name in names}

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        return self._source.read(variables, site=site)


class _Frame:
    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def kinds(self, names: Sequence[str]) -> Mapping[str, Kind]:
        there = set(map(str, self._frame.columns if hasattr(self._frame, "columns") else self._frame))
        return {name: _kind(np.asarray(self._frame[name])) for name in names if name in there}

    def read(self, variables: Mapping[str, Variable], *, site: str) -> Examples:
        return table(self._frame, variables=variables, site=site)


def _kind(values: NDArray[Any]) -> Kind:
    if values.dtype.kind == "O":
        return "number" if all(value is None or isinstance(value, int | float) for value in values.tolist()) else "category"
    return "number" if values.dtype.kind in "biuf" else "category"


def as_read(study: Study, tables: Mapping[str, Examples]) -> dict[str, Variable]:
    """How the variables of tables in memory are to be understood: as their columns are."""
    first = next(iter(tables.values()))
    kinds = {
        name: "number" if isinstance(column, Numbers) else "category" for name, column in first.columns.items() if name != SITE
    }
    return {name: _declared(study, name, Variable(kind)) for name, kind in kinds.items() if name in study.uses}  # type: ignore[arg-type]


def _settle(study: Study, sources: Mapping[str, _Source]) -> dict[str, Variable]:
    """The kind of every variable: as used or declared, else a number where every site holds numbers."""
    open_names = [name for name, kind in study.uses.items() if kind == "any" and name != SITE]
    kinds = {site: source.kinds(open_names) for site, source in sources.items()} if open_names else {}
    settled = {}
    for name, kind in study.uses.items():
        if name == SITE:
            continue
        if kind == "any":
            kind = "number" if all(found.get(name, "number") == "number" for found in kinds.values()) else "category"
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
    return [replace(problem, where=f"site {site}, {problem.where}") for problem in error.problems]
