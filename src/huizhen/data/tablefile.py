"""One table in one file, asked through DuckDB; all SQL of this room stands here, and `records` alone enters.

DuckDB may open this one file and nothing else, loads no extension and writes nothing to disk. What it says when it fails quotes
the row that it stumbled over, so its messages are dropped where they arise: all that is passed on is `Unreadable`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from huizhen.data.delimited import Layout
from huizhen.data.examples import show_number
from huizhen.data.labels import MISSING
from huizhen.errors import MachineError, Problem

__all__ = ["Shape", "TableFile", "Unreadable", "csv_file", "parquet_file", "parquet_from"]

Bare = Callable[[str], str]  # SQL of a column to SQL of its text as it is compared with the marks for missing
Types = Sequence[tuple[str, list[str]]]  # enumerations: name and levels
T = TypeVar("T")
Shape = Literal["text", "number", "truth", "date", "other"]

AT_ONCE = 2_000  # rows that come to memory together
NUMERIC = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
NUMERIC_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
BLANKS = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(12288)"
THREADS = os.cpu_count() or 1  # for counting
MARKS = ", ".join(f"'{mark}'" for mark in MISSING)


class Unreadable(Exception):
    """DuckDB cannot follow the file; says nothing more, because the reason may quote a row."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file and where its columns stand.

    Attributes:
        path: absolute.
        layout: of a delimited file; None for Parquet.
        places: SQL name and shape of every readable column, by the column's own name.
        unread: columns that cannot be read, because they have no name or hold lists or records.
    """

    path: Path
    layout: Layout | None
    places: Mapping[str, tuple[str, Shape]]
    unread: tuple[str, ...] = ()

    def rows(self) -> int:
        """Number of rows."""
        return int(self._count("count(*)")[0])

    def profile(self, names: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """For each column the number of rows with a value, and of those the rows whose value is no number: int64 (2,)."""
        counts = self._profile(list(names), _plain)
        doubtful = [name for name, (_, text) in counts.items() if text and self.places[name][1] == "text"]
        return counts | self._profile(doubtful, _trimmed)

    def _profile(self, names: list[str], bare: Bare) -> dict[str, NDArray[np.int64]]:
        if not names:
            return {}
        asked = [part for name in names for part in _profile(*self.places[name], bare)]
        counts = np.array(self._count(", ".join(asked)), np.int64).reshape(-1, 2)
        return dict(zip(names, counts))

    def texts(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The distinct values of columns as they stand in the cells, sorted; a missing value may be among them as its mark."""
        names = list(names)
        found = self._count(", ".join(f"array_agg(distinct {_text(*self.places[name])})" for name in names))
        return {name: sorted(text for text in texts or () if text is not None) for name, texts in zip(names, found)}

    def values(self, numbers: Sequence[str], texts: Mapping[str, Sequence[str]]) -> dict[str, NDArray[Any]]:
        """Columns in the order of the file.

        Args:
            numbers: columns to read as float64 (row,): NaN where missing, infinite where the cell is no finite number.
            texts: columns to read as int32 (row,) codes into these texts, -1 where there is no cell.
        """
        asked = {name: _number(*self.places[name], _plain) for name in numbers}
        types = []
        for at, (name, distinct) in enumerate(texts.items()):
            types.append((f"level{at}", list(distinct)))
            asked[name] = f"coalesce(enum_code(cast({_text(*self.places[name])} as level{at})), -1)::integer"
        read = self._in_order(asked, types)
        doubtful = [name for name in numbers if self.places[name][1] == "text" and np.isinf(read[name]).any()]
        return read | self._in_order({name: _number(*self.places[name], _trimmed) for name in doubtful}, ())

    def _in_order(self, asked: Mapping[str, str], types: Types) -> dict[str, NDArray[Any]]:
        if not asked:
            return {}
        # Several threads hand rows over in any order, whatever is set (DuckDB 2.0): columns read apart would not match.
        sql = self._sql(", ".join(f"{part} as v{at}" for at, part in enumerate(asked.values())))
        read = _run(self.path, lambda engine: engine.execute(*sql).fetchnumpy(), types, threads=1)
        return {name: cast(NDArray[Any], read[f"v{at}"]) for at, name in enumerate(asked)}

    def cells(self, names: Sequence[str]) -> Iterator[tuple[str | None, ...]]:
        """Rows in the order of the file, some at a time, each cell as `texts` has it.

        Raises:
            Unreadable: DuckDB cannot follow the file.
        """
        sql = self._sql(", ".join(_text(*self.places[name]) for name in names))
        broken = False
        try:
            with _open(self.path, 1) as engine:
                answer = engine.execute(*sql)
                while rows := answer.fetchmany(AT_ONCE):
                    yield from rows
        except duckdb.Error:
            broken = True
        if broken:
            raise Unreadable

    def what_is_wrong(self, name: str) -> tuple[int, int]:
        """Of the cells of a column that hold no finite number: how many are infinite, and how many have a comma in a number."""
        column, shape = self.places[name]
        if shape != "text":
            return int(self._count(f"count_if(isinf({_number(column, shape, _plain)}))")[0]), 0
        infinite = f"coalesce(count_if(isinf(try_cast({column} as double)) and not contains({column}, '_')), 0)"
        comma = "[+-]?[0-9]+([.][0-9]{3})*,[0-9]+"
        commas = f"coalesce(count_if(regexp_full_match(trim({column}, {BLANKS}), '{comma}')), 0)"
        endless, with_comma = self._count(f"{infinite}, {commas}")
        return int(endless), int(with_comma)

    def as_written(self, name: str, text: str) -> str:
        """A distinct value as a CSV file would write it: a column of numbers says ``1e+16`` for 10000000000000000."""
        is_float = self.places[name][1] == "number" and any(mark in text for mark in ".en")
        return show_number(float(text)) if is_float else text

    def _count(self, select: str) -> tuple[Any, ...]:
        sql = self._sql(select)
        return _run(self.path, lambda engine: engine.execute(*sql).fetchall()[0], threads=THREADS)

    def _sql(self, select: str) -> tuple[str, list[str]]:
        if self.layout is None:
            return f"select {select} from read_parquet(?, hive_partitioning = false)", [str(self.path)]  # noqa: S608  quoted names
        columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(self.layout.names)))
        layout = """delim = ?, header = true, quote = '"', escape = '"', auto_detect = false, hive_partitioning = false"""
        sql = f"select {select} from read_csv(?, {layout}, columns = {{{columns}}})"  # noqa: S608  names are c0, c1, ...
        return sql, [str(self.path), self.layout.delimiter]


def csv_file(path: Path, layout: Layout) -> TableFile:
    """A delimited file: all its cells are text."""
    places: dict[str, tuple[str, Shape]] = {name: (f"c{at}", "text") for at, name in enumerate(layout.names) if name}
    unread = tuple(f"column {at + 1} (without a name)" for at, name in enumerate(layout.names) if not name)
    return TableFile(path, layout, places, unread)


def parquet_file(path: Path) -> tuple[TableFile, tuple[str, ...]]:
    """A Parquet file, and the names of its columns as they stand in it, which may repeat.

    Raises:
        Unreadable: it is no whole Parquet file.
    """
    schema = "select name, num_children from parquet_schema(?)"
    # DuckDB renames columns whose names differ in case only; the order is the file's own.
    described = "describe select * from read_parquet(?, hive_partitioning = false)"
    elements = _run(path, lambda engine: engine.execute(schema, [str(path)]).fetchall())
    columns = _run(path, lambda engine: engine.execute(described, [str(path)]).fetchall())
    names = _top_level([str(name) for name, _ in elements], [count or 0 for _, count in elements])
    places: dict[str, tuple[str, Shape]] = {}
    unread = []
    for name, sql_name, sql_type in ((name, *column[:2]) for name, column in zip(names, columns)):
        shape = _shape(str(sql_type))
        if shape == "other" or not name:
            unread.append(f"column {name!r} (neither numbers nor text nor dates)")
        else:
            places[name] = ('"' + str(sql_name).replace('"', '""') + '"', shape)
    return TableFile(path, None, places, tuple(unread)), tuple(names)


def parquet_from(source: Path, out: Path) -> None:
    """A CSV file of ours as Parquet: columns in which nothing but numbers stand as DOUBLE, the others as text; empty cells as null.

    Raises:
        Unreadable: it cannot be followed, or not be written.
    """
    with source.open(encoding="utf-8", newline="") as stream:
        names = tuple(next(csv.reader(stream)))
    file = csv_file(source, Layout(",", names))
    profile = file.profile(names)
    numbers = {name for name in names if profile[name][0] and not profile[name][1]}
    columns = ", ".join(
        f"{f'try_cast({file.places[name][0]} as double)' if name in numbers else _filled(file.places[name][0])} as {_quoted(name)}"
        for name in names
    )
    select, bound = file._sql(columns)
    broken = False
    try:
        with _open(source, 1, out) as engine:
            engine.execute(f"copy ({select}) to '{_single(out)}' (format parquet, compression zstd, use_tmp_file false)", bound)
    except duckdb.Error:
        broken = True
    if broken:
        raise Unreadable


def _filled(column: str) -> str:
    return f"nullif({column}, '')"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _single(path: Path) -> str:
    return str(path).replace("'", "''")


def _run(path: Path, question: Callable[[duckdb.DuckDBPyConnection], T], types: Types = (), *, threads: int = 1) -> T:
    full = interrupted = False
    try:
        with _open(path, threads) as engine:
            for name, levels in types:
                engine.execute(f"create type {name} as enum (select unnest(?::varchar[]))", [levels])
            return question(engine)
    except duckdb.OutOfMemoryException:
        full = True
    except duckdb.InterruptException:
        interrupted = True
    except duckdb.Error:
        pass
    except RuntimeError as error:
        if "interrupted" not in str(error):
            raise
        interrupted = True
    if interrupted:
        raise KeyboardInterrupt  # while DuckDB reads, it takes the Ctrl-C, and says so in its own way
    # Raised out here, so that no trace of DuckDB's own message hangs on the exception.
    if full:
        problem = Problem(path.name, "more columns than fit into memory", "enough memory for the columns of the study")
        raise MachineError("memory is full", [problem])
    raise Unreadable


def _open(path: Path, threads: int, writing: Path | None = None) -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {
        "threads": threads,
        "temp_directory": "",  # no row is ever written to disk
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,  # a name in SQL never means a Python variable
        "preserve_insertion_order": True,
    }
    engine = duckdb.connect(":memory:", config=settings)
    allowed = ", ".join(f"'{_single(each)}'" for each in (path, writing) if each is not None)
    engine.execute(f"set allowed_paths = [{allowed}]")
    engine.execute("set enable_external_access = false")
    engine.execute("set lock_configuration = true")
    return engine


def _plain(column: str) -> str:
    return f"lower({column})"


def _trimmed(column: str) -> str:
    return f"lower(trim({column}, {BLANKS}))"  # thrice as slow as reading a number: for columns with doubtful cells only


def _profile(column: str, shape: Shape, bare: Bare) -> tuple[str, str]:
    if shape == "text":
        filled = f"{column} is not null and {bare(column)} not in ({MARKS})"
        # '00' to '0:' are the texts that start with a zero and another digit: codes.
        no_number = f"try_cast({column} as double) is null or contains({column}, '_') or ({column} >= '00' and {column} < '0:')"
        return f"count_if({filled})", f"count_if(({filled}) and ({no_number}))"
    filled = f"count_if(not isnan({_number(column, shape, bare)}))" if shape == "number" else f"count({column})"
    return filled, filled if shape == "date" else "0"


def _number(column: str, shape: Shape, bare: Bare) -> str:
    if shape == "truth":
        return f"coalesce(cast(cast({column} as integer) as double), 'nan'::double)"
    if shape == "number":
        return f"coalesce(cast({column} as double), 'nan'::double)"
    other = f"case when {column} is null or {bare(column)} in ({MARKS}) then 'nan'::double else 'inf'::double end"
    return f"case when contains({column}, '_') then 'inf'::double else coalesce(try_cast({column} as double), {other}) end"


def _text(column: str, shape: Shape) -> str:
    return f"cast(cast({column} as integer) as varchar)" if shape == "truth" else f"cast({column} as varchar)"


def _shape(sql_type: str) -> Shape:
    if sql_type.endswith("]"):
        return "other"
    kind = sql_type.partition("(")[0].strip()
    if kind in NUMERIC or kind in NUMERIC_UNSIGNED:
        return "number"
    if kind in ("VARCHAR", "ENUM", "UUID"):
        return "text"
    if kind == "BOOLEAN":
        return "truth"
    return "date" if kind.startswith(("DATE", "TIME")) else "other"


def _top_level(names: Sequence[str], children: Sequence[int]) -> list[str]:
    # The schema is a tree in preorder: its root, then each column followed by all that lies below it.
    top, place = [], 1
    while place < len(names):
        top.append(names[place])
        open_branches = 1
        while open_branches:
            open_branches += children[place] - 1
            place += 1
    return top
