"""Rows of a registry by a mapping: a source like a table, whose columns are the variables of the dictionary.

    source = open_mapped(Path("map.toml"))
    source.read({"age": Variable("number")}, site="inst-1")

Events are turned into rows inside DuckDB, some patients after others; what comes to memory is the columns that are asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import Declared, constant_site, no_column, no_value, outside_levels, short
from huizhen.data.events.segments import guarded
from huizhen.data.events.store import Registry
from huizhen.data.examples import SITE, Examples, Images
from huizhen.data.images import sized
from huizhen.data.mapping.codes import Hierarchy, read_hierarchies
from huizhen.data.mapping.columns import Growing, fetched
from huizhen.data.mapping.compiling import Statement, quoted, rows_statement, told_statement
from huizhen.data.mapping.mapfile import MapFile, read_mapping
from huizhen.data.mapping.parts import AT_ONCE, Range, ranges
from huizhen.data.mapping.pictures import BETWEEN, Opening, read_pictures
from huizhen.data.mapping.report import MappingReport, report_of
from huizhen.errors import DataError, Problem

__all__ = ["MappedSource", "open_mapped"]

MEMORY = "1GB"  # of DuckDB, which spills what is more
STORED = "float32"  # pixels of transformed images
T = TypeVar("T")


@dataclass(frozen=True)
class MappedSource:
    """The rows that a mapping makes of a registry.

    Attributes:
        mapping: with its dictionary.
        registry: the events.
        hierarchy: of the terminologies that the mapping names.
        at_once: events of the patients who are turned into rows at once, about.
        opening: the site's key, by which the places of images are sealed; None: they are not, or images are not read.
    """

    mapping: MapFile
    registry: Registry
    hierarchy: Hierarchy
    at_once: int = AT_ONCE
    opening: Opening | None = None

    @property
    def path(self) -> Path:
        """The mapping file."""
        return self.mapping.path

    @property
    def names(self) -> tuple[str, ...]:
        """Variables, in the order of the mapping."""
        return tuple(self.mapping.written.variable)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Variables of the dictionary that are not mapped."""
        expected = "a table [variable.NAME] in the mapping"
        where = self.path.name
        return tuple(Problem(where, f"variable {name!r} of the dictionary alone", expected) for name in self.mapping.unmapped)

    @cached_property
    def rows(self) -> int:
        """Number of rows; exact, so for the site's own eyes only."""
        return sum(self._asked((), lambda made, _: int(made.execute("select count(*) from made").fetchall()[0][0])))

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What the variables hold; every event is read once, and no pixel.

        Raises:
            DataError: the mapping cannot be used with this registry.
        """
        counts = self._counts()
        return tuple(self._facts(name, counts[name][0]) for name in self.names)

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples:
        """Named variables, and the column ``site``, which says `site` in every row; a row without an image asked for is none.

        Raises:
            DataError: variables are not mapped, are empty, or are of another kind than the study's, or images cannot be read;
                all at once, without a value.
        """
        wanted = {name: variable for name, variable in variables.items() if name != SITE}
        problems = [problem for name, variable in wanted.items() if (problem := self._unfit(name, variable))]
        if problems:
            raise self._refused(problems)
        grown = Growing({name: variable.kind for name, variable in wanted.items()})
        kinds = grown.kinds
        for part in self._asked(tuple(wanted), lambda made, _: fetched(made, kinds)):
            grown.add(part)
        rows = grown.rows
        if not rows:
            problems = [Problem(self.path.name, "no row", "a registry with patients of this mapping", "Synchronise it first")]
            raise self._refused(problems)
        found = Examples({**self._columns(grown, wanted, problems), SITE: constant_site(site, rows)}, rows)
        whole = self._with_images(found, grown, problems) if grown.places else found
        if problems:
            raise self._refused(problems)
        return whole

    def examined(self, name: str) -> str:
        """What of a variable of images was looked at, in words."""
        return "the registry was asked, and no pixel was read" if self.mapping.entry(name).type == "image" else ""

    def report(self) -> MappingReport:
        """What became of the events of each variable; exact, so for the site's own eyes only."""
        statement = told_statement(self.mapping, self.names, self.hierarchy)
        events, rows = Counter[tuple[int, int | None]](), Counter[tuple[int, int | None]]()
        units: dict[tuple[int, int | None], set[str | None]] = {}
        for part in self._each(statement, lambda connection, sql, bound, _: connection.execute(sql, bound).fetchall()):
            for variable, doubt, count, of_rows, named in part:
                events[variable, doubt] += count
                rows[variable, doubt] += of_rows
                units.setdefault((variable, doubt), set()).update(named)
        told = [(*key, events[key], rows[key], units[key]) for key in units]
        return report_of(self.names, told, self._counts(), self.mapping.unmapped)

    def write(self, path: Path) -> int:
        """Writes all rows as Parquet, with the columns ``patient`` and ``index_time``; returns their number.

        An image is the place of its files. What stood at the path is replaced once everything is written.
        """
        new = path.resolve().with_name(path.name + ".new")
        columns = ", ".join(
            f"split_part({quoted(name)}, '{BETWEEN}', 1) as {quoted(name)}" if self._is_image(name) else quoted(name)
            for name in self.names
        )
        chosen = f"select patient, index_time, {columns}, row"
        to = "'" + str(new).replace("'", "''") + "'"

        def add(made: Any, number: int) -> None:  # a table of DuckDB's, which spills
            begun = "insert into kept" if number else "create temp table kept as"
            made.execute(f"{begun} {chosen}, {number} as part from made")

        def ended(connection: Any) -> int:
            order = f"copy (select * exclude (part, row) from kept order by part, row) to {to} (format parquet, compression zstd)"
            return int(connection.execute(order).fetchall()[0][0])

        (rows,) = [found for found in self._asked(self.names, add, writing=new, ended=ended) if found is not None]
        new.chmod(0o600)
        new.replace(path)
        return rows

    # --- asking ---------------------------------------------------------------------------------------------------------------

    def _asked(
        self,
        names: Sequence[str],
        question: Callable[[Any, int], T],
        *,
        writing: Path | None = None,
        ended: Callable[[Any], T] | None = None,
    ) -> Iterator[T]:
        """What a question finds in the table ``made``, the rows with some variables, of some patients after others.

        Args:
            question: is asked with a connection and the number of the part.
            ended: what is asked at the end, on the same connection.
        """
        statement = rows_statement(self.mapping, names, self.hierarchy)

        def answer(connection: Any, sql: str, bound: Mapping[str, Any], number: int) -> T:
            connection.execute(f"create or replace temp table made as {sql}", bound)
            return question(connection, number)

        return self._each(statement, answer, writing, ended)

    def _each(
        self,
        statement: Statement,
        answer: Callable[[Any, str, Mapping[str, Any], int], T],
        writing: Path | None = None,
        ended: Callable[[Any], T] | None = None,
    ) -> Iterator[T]:
        with self._connected(writing) as connection:
            events = sum(segment.rows for segment in self.registry.manifest.segments)
            parts: list[Range] = self._guarded(lambda: list(ranges(connection, events, self.at_once)))
            for number, (low, high) in enumerate(parts):
                sql, bound = statement.within(low, high)
                yield self._guarded(lambda: answer(connection, sql, bound, number))  # noqa: B023  called before the next one
            if ended is not None:
                yield self._guarded(lambda: ended(connection))

    @contextmanager
    def _connected(self, writing: Path | None = None) -> Iterator[Any]:
        if not self.registry.folder.is_dir():
            where = str(self.registry.folder)
            raise self._refused([Problem(where, "no registry", "the folder of a registry", "`huizhen data sync` makes one")])
        with self.registry.connect(memory=MEMORY, writing=writing) as connection:
            yield connection

    def _guarded(self, act: Callable[[], T]) -> T:
        return guarded(self.registry.folder, act)

    def _counts(self) -> dict[str, tuple[int, int]]:
        """By variable, rows with a value and of them those outside the range."""
        asked = []
        for name in self.names:
            column, limits = quoted(name), self.mapping.entry(name).range
            outside = f"coalesce(count_if({column} < {limits[0]!r} or {column} > {limits[1]!r}), 0)" if limits else "0"
            asked += [f"count({column})", outside]
        sql = f"select {', '.join(asked)} from made"
        parts = self._asked(self.names, lambda made, _: made.execute(sql).fetchall()[0])
        counts = np.sum([np.array(part, np.int64) for part in parts], axis=0)
        return {name: (int(counts[2 * at]), int(counts[2 * at + 1])) for at, name in enumerate(self.names)}

    # --- one column -----------------------------------------------------------------------------------------------------------

    def _is_image(self, name: str) -> bool:
        return self.mapping.entry(name).type == "image"

    def _facts(self, name: str, filled: int) -> ColumnFacts:
        entry = self.mapping.entry(name)
        if entry.type == "image":
            return ColumnFacts(name, "image", filled, 0, tuple(entry.shape), STORED)
        is_text = entry.type == "category"
        return ColumnFacts(name, "category" if is_text else "number", filled, filled if is_text else 0)

    def _unfit(self, name: str, variable: Declared) -> Problem | None:
        if name not in self.names:
            return no_column(self.path.name, name, self.names)
        entry, where = self.mapping.entry(name), f"{self.path.name}, variable {short(name)!r}"
        is_image = entry.type == "image"
        if is_image != (variable.kind == "image") or (variable.kind == "number" and entry.type == "category"):
            return Problem(where, f"a {entry.type} in the dictionary", f"a {variable.kind}, as the study has it")
        if is_image and (variable.levels or (variable.shape and tuple(variable.shape) != tuple(entry.shape))):
            expected = "a label map" if variable.levels else f"images of {sized(variable.shape)}, as the study has it"
            return Problem(where, f"images of {sized(entry.shape)} in the dictionary", expected)
        if variable.unit and entry.unit and variable.unit != entry.unit and variable.kind == "number":
            return Problem(where, f"the unit {entry.unit!r} in the dictionary", f"{variable.unit!r}, as the study has it")
        return None

    def _columns(self, grown: Growing, wanted: Mapping[str, Declared], problems: list[Problem]) -> dict[str, Any]:
        """The columns that are no images."""
        columns = {}
        for name, variable in wanted.items():
            if variable.kind == "image":
                continue
            where = f"{self.path.name}, variable {short(name)!r}"
            column, strangers = grown.column(name, variable.levels)
            if strangers:
                problems.append(outside_levels(where, strangers, grown.rows, variable.levels))
            if column.missing().all():
                problems.append(no_value(where, grown.rows))
            columns[name] = column
        return columns

    def _with_images(self, rows: Examples, grown: Growing, problems: list[Problem]) -> Examples:
        """The rows that have every image, with them."""
        kept = np.ones(rows.rows, dtype=bool)
        for places in grown.places.values():
            kept &= np.array([place is not None for place in places], dtype=bool)
        if not kept.any():
            names = ", ".join(repr(short(name)) for name in grown.places)
            problems.append(Problem(self.path.name, f"no row with an image of {names}", "at least one", "Synchronise its source"))
            return rows
        columns = dict(rows.where(kept).columns)
        for name, places in grown.places.items():
            where = f"{self.path.name}, variable {short(name)!r}"
            chosen = [(at, place) for at, place in enumerate(places) if kept[at] and place is not None]
            folder = self.path.parent / self.mapping.written.variable[name].folder
            found = read_pictures(folder, chosen, self.mapping.entry(name), where, self.opening)
            if isinstance(found, Images):
                columns[name] = found
            else:
                problems += found
        order = [name for name in (*grown.kinds, SITE) if name in columns]
        return Examples({name: columns[name] for name in order}, int(kept.sum()))

    def _refused(self, problems: Sequence[Problem]) -> DataError:
        return DataError(f"{self.path.name} cannot be read as the study needs it", problems)


def open_mapped(path: Path, registry: Path | None = None, opening: Opening | None = None) -> MappedSource:
    """The rows of a mapping file.

    Args:
        registry: its folder, where another than the one that the file names.
        opening: see `MappedSource`.

    Raises:
        DataError: the file, its dictionary or a hierarchy cannot be used.
    """
    found = read_mapping(path)
    return MappedSource(found, Registry(registry or found.registry), read_hierarchies(found), opening=opening)
