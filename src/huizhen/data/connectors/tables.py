"""Tables in files: CSV and TSV (UTF-8 or GB18030), Excel, Parquet; all files of a folder are one table.

A table is read whole as soon as one of its files has changed: rows that are no longer in it are gone.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huizhen.data.connectors.files import changed_files, encoding_of, unpacked_size, unreadable, unreadable_source
from huizhen.data.connectors.options import TableOptions
from huizhen.data.connectors.parquetrows import parquet_rows
from huizhen.data.connectors.rows import Row, RowReader, chunks, fitting_columns
from huizhen.data.events.schema import Batch, Changes, Event
from huizhen.errors import MachineError, Problem

__all__ = ["table_files"]

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet", ".pq")
DELIMITERS = ",\t;|"
LARGEST_SHEET = 4 * 1024**3  # bytes of a workbook, unpacked
LONGEST_CELL = 4_000_000  # characters
OTHER_WIDTH = "a row with more or fewer cells than the header"


def table_files(root: Path, options: TableOptions, cursor: Any) -> Changes:
    """The rows of all files, where one of them has changed since the last sync.

    Raises:
        SiteError: nothing is there.
    """
    found = list(changed_files(root, ENDINGS, {}))
    stamps = {name: stamp for _, name, stamp in found}
    if not found:
        raise unreadable_source(str(root), "no table", f"files ending in {', '.join(ENDINGS)}")
    if cursor and cursor["files"] == stamps:
        return Changes((), settings=options.digest)
    before = cursor["columns"] if cursor else []
    return Changes(_batches(found, options, stamps, before), whole=True, settings=options.digest)


def _batches(found: Sequence[tuple[Path, str, Any]], options: TableOptions, stamps: Any, before: Sequence[str]) -> Iterator[Batch]:
    columns: list[str] = list(before)
    for path, name, _ in found:
        with _opened(path, options.sheet) as (header, rows):
            fitting_columns(f"a file {path.suffix.lower()}", header, options, columns)
            columns = list(dict.fromkeys([*columns, *header]))
            line = 0
            for chunk in chunks(rows):
                reader = RowReader(options, header)
                events: list[Event] = []
                for row in chunk:
                    line += 1
                    if len(row) == len(header):
                        events += reader.events(row, f"{name}:{line}")
                    else:
                        reader.refused[OTHER_WIDTH] += 1
                yield Batch(events, len(chunk), reader.refused, reader.notes)
    yield Batch(cursor={"files": stamps, "columns": columns})


@contextmanager
def _opened(path: Path, sheet: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The columns and the rows of a file; what goes wrong is said without what stands in it."""
    found = ""
    try:
        ending = path.suffix.lower()
        if ending in (".xlsx", ".xlsm"):
            with _excel(path, sheet) as content:
                yield content
        elif ending in (".parquet", ".pq"):
            with parquet_rows(path) as content:
                yield content
        else:
            with _delimited(path) as content:
                yield content
    except (OSError, EOFError, ValueError, KeyError, csv.Error, zipfile.BadZipFile) as error:
        found = str(error) if isinstance(error, ValueError) and str(error).startswith("an archive") else unreadable(error)
    if found:  # raised out here, so that no value hangs on the exception
        raise unreadable_source(f"a file {path.suffix.lower()}", found, "a table", "Nothing was changed: export it again")


@contextmanager
def _delimited(path: Path) -> Iterator[tuple[list[str], Iterator[Row]]]:
    with path.open(encoding=encoding_of(path), newline="") as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(DELIMITERS, key=first.count)
        csv.field_size_limit(LONGEST_CELL)
        rows = csv.reader(file, delimiter=delimiter)
        header = [cell.strip() for cell in next(rows, [])]
        yield header, (row for row in rows if row)


@contextmanager
def _excel(path: Path, sheet: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        problem = Problem("openpyxl", "a package that is not installed", "openpyxl", "pip install 'huizhen[registry]'")
        raise MachineError("An Excel file cannot be read.", [problem]) from None
    with zipfile.ZipFile(path) as archive:
        unpacked_size(archive, LARGEST_SHEET)
    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        rows = (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True)
        header = ["" if cell is None else str(cell).strip() for cell in next(rows, ())]
        yield header, (row for row in rows if any(cell is not None for cell in row))
    finally:
        book.close()
