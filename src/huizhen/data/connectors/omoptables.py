"""Where the tables of an OMOP CDM are: CSV files in a folder, in a zip archive, or tables of a database."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from huizhen.data.connectors.files import changed_files, unpacked_size, unreadable, unreadable_source
from huizhen.data.connectors.sql import database, table_of

__all__ = ["Named", "OmopFiles", "Tables", "open_database"]

CONCEPT = "concept"
ASKED_AT_ONCE = 500  # concepts of a database in one question


@dataclass(frozen=True, slots=True)
class Named:
    """A concept: its vocabulary, its code there, its words."""

    vocabulary: str
    code: str
    words: str


class Tables(Protocol):
    """The tables of a CDM, by their names in small letters."""

    def names(self) -> frozenset[str]:
        """Which tables are there."""

    def columns(self, name: str) -> frozenset[str]:
        """The columns of a table, in small letters."""

    def rows(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, one after another, by column in small letters."""

    def distinct(self, name: str, columns: Sequence[str]) -> set[str]:
        """What stands in some columns."""

    def concepts(self, wanted: set[str]) -> Mapping[str, Named]:
        """Some concepts by their number."""


@dataclass(frozen=True, slots=True)
class OmopFiles:
    """CSV files, or one zip archive of them."""

    root: Path

    def stamps(self) -> dict[str, list[int]]:
        """Sizes and times of change."""
        return {name: stamp for _, name, stamp in changed_files(self.root, (".csv", ".zip"), {})}

    @contextmanager
    def opened(self) -> Iterator[Tables]:
        """The tables.

        Raises:
            SiteError: a file is damaged; without what stands in it.
        """
        found = ""
        try:
            archive = self.root if self.root.is_file() else next(self.root.glob("*.zip"), None)
            if archive is not None:
                with zipfile.ZipFile(archive) as packed:
                    unpacked_size(packed)
                    yield _Files(_members(packed), packed)
            else:
                yield _Files({path.stem.lower(): str(path) for path in self.root.rglob("*.[cC][sS][vV]")}, None)
        except (OSError, EOFError, ValueError, csv.Error, zipfile.BadZipFile) as error:
            found = str(error) if isinstance(error, ValueError) and str(error).startswith("an archive") else unreadable(error)
        if found:
            raise unreadable_source("omop", found, "the tables of the OMOP CDM as CSV", "Nothing was changed: export it again")


@dataclass(frozen=True, slots=True)
class _Files:
    places: Mapping[str, str]
    packed: zipfile.ZipFile | None

    def names(self) -> frozenset[str]:
        return frozenset(self.places)

    def columns(self, name: str) -> frozenset[str]:
        with self._open(self.places[name]) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            return frozenset(_header(text)[0])

    def rows(self, name: str) -> Iterator[Mapping[str, Any]]:
        with self._open(self.places[name]) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            header, delimiter = _header(text)
            # Vocabularies are tab-delimited and quote nothing: a quote within a name is a letter there.
            plain = delimiter == "\t"
            rows = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
            for row in rows:
                if len(row) == len(header):
                    yield dict(zip(header, row))
                elif row:
                    yield {}  # counted as a row that says nobody

    def distinct(self, name: str, columns: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for row in self.rows(name):
            found.update([row.get(column, "") for column in columns])
        return found

    def concepts(self, wanted: set[str]) -> Mapping[str, Named]:
        return _named(row for row in self.rows(CONCEPT) if row.get("concept_id") in wanted) if CONCEPT in self.places else {}

    def _open(self, place: str) -> IO[bytes]:
        return self.packed.open(place) if self.packed is not None else Path(place).open("rb")


def _header(text: IO[str]) -> tuple[list[str], str]:
    """Columns and delimiter, by the first line; no column of an empty file."""
    first = text.readline()
    delimiter = max(",\t;|", key=first.count)
    return [column.strip().strip('"').lower() for column in next(csv.reader([first], delimiter=delimiter), [])], delimiter


@contextmanager
def open_database(url: str, password_file: str, schema: str, folder: Path) -> Iterator[Tables]:
    """The tables of a CDM in a database."""
    with database(url, password_file, folder) as connection:
        from sqlalchemy import inspect

        seen, within = inspect(connection), schema or None  # a CDM is often given to read as views
        views = [*seen.get_view_names(schema=within), *_materialised(seen, within)]
        here = {name.lower(): name for name in (*views, *seen.get_table_names(schema=within))}
        yield _Database(connection, schema, here)


def _materialised(seen: Any, schema: str | None) -> Sequence[str]:
    """Materialised views, of a kind of database that has them."""
    try:
        return tuple(seen.get_materialized_view_names(schema=schema))
    except NotImplementedError:
        return ()


@dataclass(frozen=True, slots=True)
class _Database:
    connection: Any
    schema: str
    here: Mapping[str, str]

    def names(self) -> frozenset[str]:
        return frozenset(self.here)

    def columns(self, name: str) -> frozenset[str]:
        return frozenset(column.name.lower() for column in self._table(name).columns)

    def rows(self, name: str) -> Iterator[Mapping[str, Any]]:
        from sqlalchemy import select

        table = self._table(name)
        header = [column.name.lower() for column in table.columns]
        yield from (dict(zip(header, row)) for row in self._asked(select(*table.columns)))

    def distinct(self, name: str, columns: Sequence[str]) -> set[str]:
        from sqlalchemy import select

        table = self._table(name)
        asked = [column for column in table.columns if column.name.lower() in columns]
        found = (row[0] for column in asked for row in self._asked(select(column).distinct()))
        return {str(value) for value in found if value is not None}

    def concepts(self, wanted: set[str]) -> Mapping[str, Named]:
        from sqlalchemy import select

        if CONCEPT not in self.here:
            return {}
        table = self._table(CONCEPT)
        header = [column.name.lower() for column in table.columns]
        number = next(column for column in table.columns if column.name.lower() == "concept_id")
        numbers = sorted(int(each) for each in wanted if each.lstrip("-").isdigit())
        found: dict[str, Named] = {}
        for start in range(0, len(numbers), ASKED_AT_ONCE):
            asked = select(*table.columns).where(number.in_(numbers[start : start + ASKED_AT_ONCE]))
            found |= _named(dict(zip(header, row)) for row in self._asked(asked))
        return found

    def _asked(self, question: Any) -> Iterator[Any]:
        """Rows as they stream; the database's own cursor is closed whatever happens."""
        with closing(self.connection.execute(question)) as result:
            yield from result

    def _table(self, name: str) -> Any:
        return table_of(self.connection, self.here[name], self.schema)


def _named(rows: Iterable[Mapping[str, Any]]) -> dict[str, Named]:
    return {
        str(row["concept_id"]): Named(str(row["vocabulary_id"]), str(row["concept_code"]), str(row["concept_name"])) for row in rows
    }


def _members(packed: zipfile.ZipFile) -> dict[str, str]:
    names = [name for name in packed.namelist() if name.lower().endswith(".csv") and "__MACOSX" not in name]
    return {Path(name).stem.lower(): name for name in names}
