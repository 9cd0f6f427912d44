"""Rows of a registry by a mapping: a source like a table, whose columns are the variables of the dictionary.

    source = open_mapped(Path("map.toml"))
    source.read({"age": Variable("number")}, site="inst-1")

Events are turned into rows inside DuckDB, which spills what does not fit; what comes to memory is the columns that are asked for.
"""

from __future__ import annotations

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
from huizhen.data.examples import SITE, Column, Examples, Numbers
from huizhen.data.labels import as_categories
from huizhen.data.mapping.codes import Hierarchy, read_hierarchies
from huizhen.data.mapping.compiling import quoted, rows_statement, told_statement
from huizhen.data.mapping.mapfile import MapFile, read_mapping
from huizhen.data.mapping.report import MappingReport, report_of
from huizhen.errors import DataError, Problem

__all__ = ["MappedSource", "open_mapped"]

MEMORY = "1GB"
T = TypeVar("T")


@dataclass(frozen=True)
class MappedSource:
    """The rows that a mapping makes of a registry.

    Attributes:
        mapping: with its dictionary.
        registry: the events.
        hierarchy: of the terminologies that the mapping names.
    """

    mapping: MapFile
    registry: Registry
    hierarchy: Hierarchy

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
        return len(self._asked((), lambda made: made.execute("select row from made").fetchnumpy()["row"]))

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What the variables hold; every event is read once.

        Raises:
            DataError: the mapping cannot be used with this registry.
        """
        counts = self._counts()
        return tuple(self._facts(name, counts[name][0]) for name in self.names)

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples:
        """Named variables, and the column ``site``, which says `site` in every row.

        Raises:
            DataError: variables are not mapped, are empty, or are of another kind than the study's; all at once, without a value.
        """
        wanted = {name: variable for name, variable in variables.items() if name != SITE}
        problems = [problem for name, variable in wanted.items() if (problem := self._unfit(name, variable))]
        if problems:
            raise self._refused(problems)

        def columns(made: Any) -> tuple[int, dict[str, Column]]:
            rows = len(made.execute("select row from made").fetchnumpy()["row"])
            return rows, {name: self._column(made, name, variable, problems) for name, variable in wanted.items()}

        rows, found = self._asked(tuple(wanted), columns)
        if not rows:
            problems = [Problem(self.path.name, "no row", "a registry with patients of this mapping", "Synchronise it first")]
        if problems:
            raise self._refused(problems)
        return Examples({**found, SITE: constant_site(site, rows)}, rows)

    def examined(self, name: str) -> str:
        """Nothing: no variable is an image."""
        return ""

    def report(self) -> MappingReport:
        """What became of the events of each variable; exact, so for the site's own eyes only."""
        statement = told_statement(self.mapping, self.names, self.hierarchy)
        with self._connected() as connection:
            told = self._guarded(lambda: connection.execute(statement.sql, statement.bound).fetchall())
        return report_of(self.names, told, self._counts(), self.mapping.unmapped)

    def write(self, path: Path) -> int:
        """Writes all rows as Parquet, with the columns ``patient`` and ``index_time``; returns their number.

        What stood at the path is replaced once everything is written.
        """
        new = path.resolve().with_name(path.name + ".new")
        part = str(new).replace("'", "''")
        names = ", ".join(("patient", "index_time", *map(quoted, self.names)))
        order = f"copy (select {names} from made order by row) to '{part}' (format parquet, compression zstd)"
        ((rows,),) = self._asked(self.names, lambda made: made.execute(order).fetchall(), writing=new)
        new.chmod(0o600)
        new.replace(path)
        return int(rows)

    # --- asking ---------------------------------------------------------------------------------------------------------------

    def _asked(self, names: Sequence[str], question: Callable[[Any], T], *, writing: Path | None = None) -> T:
        """What a question finds in the table ``made``, the rows with some variables."""
        statement = rows_statement(self.mapping, names, self.hierarchy)

        def answer() -> T:
            connection.execute(f"create temp table made as {statement.sql}", statement.bound)
            return question(connection)

        with self._connected(writing) as connection:
            return self._guarded(answer)

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
        ((*counts,),) = self._asked(self.names, lambda made: made.execute(sql).fetchall())
        return {name: (int(counts[2 * at]), int(counts[2 * at + 1])) for at, name in enumerate(self.names)}

    # --- one column -----------------------------------------------------------------------------------------------------------

    def _facts(self, name: str, filled: int) -> ColumnFacts:
        is_text = self.mapping.entry(name).type == "category"
        return ColumnFacts(name, "category" if is_text else "number", filled, filled if is_text else 0)

    def _unfit(self, name: str, variable: Declared) -> Problem | None:
        if name not in self.names:
            return no_column(self.path.name, name, self.names)
        entry, where = self.mapping.entry(name), f"{self.path.name}, variable {short(name)!r}"
        if variable.kind == "image" or (variable.kind == "number" and entry.type == "category"):
            return Problem(where, f"a {entry.type} in the dictionary", f"a {variable.kind}, as the study has it")
        if variable.unit and entry.unit and variable.unit != entry.unit and variable.kind == "number":
            return Problem(where, f"the unit {entry.unit!r} in the dictionary", f"{variable.unit!r}, as the study has it")
        return None

    def _column(self, made: Any, name: str, variable: Declared, problems: list[Problem]) -> Column:
        where, sql = f"{self.path.name}, variable {short(name)!r}", quoted(name)
        if variable.kind == "number":
            values = made.execute(f"select coalesce({sql}, 'nan'::double) as v from made order by row").fetchnumpy()["v"]
            column: Column = Numbers(np.asarray(values, np.float64))
        else:
            labels = f"cast({sql} as varchar)"
            distinct = made.execute(f"select distinct {labels} from made where {sql} is not null order by all").fetchall()
            texts = [text for (text,) in distinct]
            made.execute("create or replace temp table levels as select unnest($texts::varchar[]) as level", {"texts": texts})
            order = f"""select coalesce(list_position($texts::varchar[], {labels}), 0)::integer - 1 as v from made order by row"""
            codes = made.execute(order, {"texts": texts}).fetchnumpy()["v"]
            column, strangers = as_categories(np.asarray(codes, np.int32), texts, variable.levels)
            if strangers:
                problems.append(outside_levels(where, strangers, len(codes), variable.levels))
        if len(column.missing()) and column.missing().all():
            problems.append(no_value(where, len(column.missing())))
        return column

    def _refused(self, problems: Sequence[Problem]) -> DataError:
        return DataError(f"{self.path.name} cannot be read as the study needs it", problems)


def open_mapped(path: Path, registry: Path | None = None) -> MappedSource:
    """The rows of a mapping file.

    Args:
        registry: its folder, where another than the one that the file names.

    Raises:
        DataError: the file, its dictionary or a hierarchy cannot be used.
    """
    found = read_mapping(path)
    return MappedSource(found, Registry(registry or found.registry), read_hierarchies(found))
