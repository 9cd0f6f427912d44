"""Delimited text files (CSV, TSV): what their bytes are, where their columns end, and where a broken row stands.

Read here are the header and, after something went wrong, line numbers; the values are read by `records` alone. Whatever
stands in a row never enters a message.
"""

from __future__ import annotations

import csv
import math
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from huizhen.data.declared import short
from huizhen.data.labels import text_as_number
from huizhen.errors import Problem

__all__ = ["DELIMITERS", "Layout", "broken_row", "line_of", "other_delimiter", "repeated", "sniff", "unreadable_bytes"]

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 50  # records that the delimiter is guessed from
BLOCK = 1 << 20  # bytes decoded at once

# First bytes of what is often renamed to .csv, and what to do with it.
KNOWN = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "Save the sheet as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV UTF-8"),
    b"\x1f\x8b": ("a gzip archive", "Unpack it first: gunzip FILE"),
    b"$FL2": ("an SPSS file", "Export it as CSV UTF-8 or Parquet"),
    b"$FL3": ("an SPSS file", "Export it as CSV UTF-8 or Parquet"),
    b"<stata_dta>": ("a Stata file", "Export it as CSV UTF-8 or Parquet"),
    b"%PDF": ("a PDF document", "Export the table as CSV UTF-8 or Parquet"),
    b"SQLite format 3": ("a SQLite database", "Export the table as CSV UTF-8 or Parquet"),
    b"ORC": ("an ORC file", "Export the table as CSV UTF-8 or Parquet"),
}
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out: its delimiter and its column names in order ("" for a column without a name)."""

    delimiter: str
    names: tuple[str, ...]


def unreadable_bytes(path: Path) -> Problem | None:
    """Why the bytes of a file are no UTF-8 text; None if they are."""
    where = path.name
    with path.open("rb") as stream:
        head = stream.read(BLOCK)
        if not head.strip() and not stream.read(1):
            return Problem(where, "an empty file", "a header and rows")
        for magic, (what, remedy) in KNOWN.items():
            if head.startswith(magic):
                return Problem(where, what, "a CSV or Parquet file", remedy)
        if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            return Problem(where, "UTF-16 text", "UTF-8 text", "Convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW")
    if _decodes(path, "utf-8"):
        return None
    if _decodes(path, "gb18030"):
        remedy = "Convert it: iconv -f GB18030 -t UTF-8 OLD > NEW, or save it in Excel as CSV UTF-8"
        return Problem(where, "text that is not UTF-8 (perhaps GB18030 or GBK)", "UTF-8 text", remedy)
    return Problem(where, "bytes that are no UTF-8 text", "a CSV file in UTF-8, or a Parquet file", "Save the table as CSV UTF-8")


def sniff(path: Path) -> Layout | Problem:
    """The layout of a UTF-8 file, by the delimiter under which most columns come out alike in the first rows."""
    guesses = [guess for guess in (_try(path, delimiter) for delimiter in DELIMITERS) if guess is not None]
    if not guesses:
        return Problem(f"{path.name}, line 1", "quotes that are not closed", "a header line with column names")
    _, delimiter, header = max(guesses, key=lambda guess: guess[0])
    names = tuple(name.strip() for name in header)
    wrong = _bad_header(path.name, names)
    if not wrong and not _has_rows(path, Layout(delimiter, names)):
        wrong = Problem(path.name, "a header and no rows", "at least one row")
    return wrong or Layout(delimiter, names)


def line_of(path: Path, layout: Layout, record: int) -> int:
    """The line of the file on which data record number `record` (0-based) starts; the header is line 1."""
    lines = (line for line, cells in _records(path, layout.delimiter) if cells or len(layout.names) == 1)
    return next(islice(lines, record + 1, None), record + 2)


def broken_row(path: Path, layout: Layout) -> Problem:
    """Why a file cannot be followed: rows of unequal length, or quotes that do not close."""
    width, wrong, first = len(layout.names), Counter[int](), None
    line = 1
    try:
        for line, cells in _records(path, layout.delimiter):
            if len(cells) not in (width, 0):
                wrong[len(cells)] += 1
                first = first or (line, len(cells))
    except csv.Error:
        remedy = 'Write a quote inside quotes twice: "", and close every quote'
        return Problem(
            f"{path.name}, from line {line + 1} on", "quotes that do not close, or an endless cell", "one record", remedy
        )
    if first is None:
        remedy = "Save the file again as CSV UTF-8 with one kind of line end"
        return Problem(path.name, "mixed line ends or misplaced quotes", "a CSV file as in RFC 4180", remedy)
    remedy = "Put quotes around cells that contain the delimiter"
    if list(wrong) == [width + 1]:
        remedy = "Is a column of row names without its own name in the header? Give it one"
    found = f"{first[1]} cells ({sum(wrong.values())} rows of unequal length in all)"
    return Problem(f"{path.name}, line {first[0]}", found, f"{width} cells as in the header", remedy)


def other_delimiter(layout: Layout) -> str:
    """What the header of a one-column file seems to be delimited by, or ""."""
    if len(layout.names) != 1:
        return ""
    return next((mark for mark in (":", "^", "~", "，", "；", " ") if mark in layout.names[0]), "")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = getincrementaldecoder(encoding)()
    with path.open("rb") as stream:
        try:
            while block := stream.read(BLOCK):
                if b"\0" in block:
                    return False
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        line = 1
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1


def _has_rows(path: Path, layout: Layout) -> bool:
    try:
        return any(cells for _, cells in islice(_records(path, layout.delimiter), 1, None))
    except csv.Error:
        return True  # a broken row, to be named when it is read


def _try(path: Path, delimiter: str) -> tuple[tuple[bool, int, int], str, list[str]] | None:
    records, whole = [], True
    try:
        for _, cells in islice(_records(path, delimiter), SAMPLE):
            records.append(cells)
    except csv.Error:
        whole = False  # a broken row is named later, with its line
    if not records:
        return None
    header = records[0]
    alike = whole and all(len(cells) == len(header) for cells in records if cells)
    return (alike and len(header) > 1, len(header), -DELIMITERS.index(delimiter)), delimiter, header


def _bad_header(where: str, names: tuple[str, ...]) -> Problem | None:
    where = f"{where}, line 1"
    if not any(names):
        return Problem(where, "an empty line", "a header line with column names")
    # The first row of a table without a header is a patient's: nothing of it may be shown.
    values = sum(_is_value(name) for name in names)
    if values:
        remedy = "Add a header line (a name may not be a number or a date)"
        return Problem(
            where, f"{values} of {len(names)} names that are numbers or dates", "a header line with column names", remedy
        )
    return repeated(where, names)


def repeated(where: str, names: tuple[str, ...]) -> Problem | None:
    """Columns that share a name."""
    twice = [short(name) for name, count in Counter(names).items() if count > 1 and name]
    if not twice:
        return None
    return Problem(where, f"more than one column named {', '.join(map(repr, twice))}", "each column name once", "Rename them")


def _is_value(name: str) -> bool:
    number = text_as_number(name)
    return bool(DATE.fullmatch(name)) or (number is not None and math.isfinite(number))
