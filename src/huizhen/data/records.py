"""Opens what a hospital holds, tables and images with labels, and reads named columns of them; nothing else opens a source.

    source = open_source("lung.csv")
    [column.name for column in source.columns]
    examples = source.read({"age": Variable("number"), "sex": Variable("category")}, site="inst-1")

A CSV file is UTF-8, delimited by comma, semicolon, tab or |, with a header; a folder holds files with the same columns. What
counts as missing stands in `huizhen.data.labels.MISSING`; labels are written as `huizhen.data.labels.normal_label` writes them.
A ``.toml`` file is a mapping, and what is read are the rows that it makes of a registry (`huizhen.data.mapping`).
How an ``.npz`` archive or a folder of images becomes columns stands in `huizhen.data.imagearchive` and `huizhen.data.imagefolder`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import short
from huizhen.data.delimited import repeated, sniff, unreadable_bytes
from huizhen.data.events.manifest import read_manifest
from huizhen.data.frames import table
from huizhen.data.imagearchive import ImageArchive, open_archive
from huizhen.data.imagefolder import FILE, ImageFolder, image_paths, with_classes, with_labels
from huizhen.data.mapping.source import MappedSource, open_mapped
from huizhen.data.pixels import ENDINGS as IMAGES
from huizhen.data.source import Source, damaged, place_of
from huizhen.data.tablefile import TableFile, Unreadable, csv_file, parquet_file
from huizhen.errors import DataError, MachineError, Problem

__all__ = ["ColumnFacts", "Source", "open_source", "table"]

LABELS = "labels.csv"  # the table beside images
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq")  # what is read from a folder
MAPPING = ".toml"
PARQUET = b"PAR1"  # the first and the last four bytes of a Parquet file


def open_source(
    path: str | os.PathLike[str], opening: Callable[[str], Any] | None = None
) -> Source | MappedSource | ImageArchive | ImageFolder:
    """A CSV or Parquet file, a folder of such files with the same columns, an ``.npz`` archive, a folder of images, or a mapping.

    A folder is one of images where it holds images and no tables, or a table ``labels.csv``.

    Args:
        opening: of a mapping, the site's key, by which the places of images are sealed.

    Raises:
        DataError: nothing there, no permission, no rows, no header, another kind of file, unequal columns; all files at once.
    """
    place = Path(path)
    try:
        if place.suffix.lower() == ".npz" and place.is_file():
            return open_archive(place)
        if place.suffix.lower() == MAPPING and place.is_file():
            return open_mapped(place, opening=opening)
        if place.suffix.lower() in IMAGES and place.is_file():
            where = f"a file {place.suffix.lower()}"  # its name may be a patient's
            problem = Problem(where, "a single file of images", "a folder of images with their labels, or an .npz archive")
            raise DataError(f"{where} cannot be opened as a table", [problem])
        if place.is_dir() and _is_registry(place):
            raise DataError(f"{place.name} cannot be opened as a table", [_registry(place)])
        if place.is_dir() and (images := _image_folder(place)) is not None:
            return images
    except PermissionError:
        problem = Problem(
            str(place), "a file or folder that may not be read", "one that this account may read", "Change its permissions"
        )
        raise DataError(f"{place.name} cannot be opened as a table", [problem]) from None
    return _open_tables(place)


def _is_registry(place: Path) -> bool:
    try:
        return bool(read_manifest(place).origins)
    except MachineError:  # some other file of that name
        return False


def _registry(place: Path) -> Problem:
    """A registry by itself has no rows: of its events alone cohorts are counted."""
    remedy = "Write a mapping, or count cohorts in it"
    return Problem(str(place), "a registry without a mapping", "a table, images, or a mapping that makes rows", remedy)


def _image_folder(place: Path) -> ImageFolder | None:
    labels, paths = place / LABELS, image_paths(place)
    if labels.is_file():
        opened = _open_tables(labels)
        if paths or FILE in opened.names:
            return with_labels(place, paths, opened, lambda row: place_of(opened.files[0], row))
    return with_classes(place, paths) if paths and not _tables_in(place) else None


def _tables_in(place: Path) -> list[Path]:
    return sorted(file for file in place.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith("."))


def _open_tables(place: Path) -> Source:
    files: list[TableFile] = []
    problems: list[Problem] = []
    for file in _files(place):
        opened = _open(file)
        if isinstance(opened, TableFile):
            files.append(opened)
        else:
            problems.append(opened)
    if not problems:
        problems = [problem for file in files[1:] if (problem := _unequal(files[0], file))]
    if problems:
        raise DataError(f"{place.name} cannot be opened as a table", problems)
    return Source(place, tuple(files))


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    files = _tables_in(place)
    if not files:
        expected = f"tables ({', '.join(ENDINGS)}) or images ({', '.join(IMAGES)})"
        problem = Problem(str(place), "a folder without tables and images", expected)
        raise DataError(f"{place.name} cannot be opened as a table", [problem])
    return files


def _open(path: Path) -> TableFile | Problem:
    if any(mark in str(path.resolve()) for mark in "*?["):
        return Problem(str(path), "a path with *, ? or [", "a path that names one file", "Rename the file or its folder")
    try:
        with path.open("rb") as stream:
            head = stream.read(len(PARQUET))
        is_parquet = head == PARQUET or (path.suffix.lower() in (".parquet", ".pq") and head != b"")
        return _open_parquet(path.resolve()) if is_parquet else _open_csv(path.resolve())
    except FileNotFoundError:
        return Problem(str(path), "no such file or folder", "a table or an archive of images, or a folder of them")
    except PermissionError:
        return Problem(str(path), "a file that may not be read", "a file that this account may read", "Change its permissions")
    except OSError as error:
        return Problem(str(path), f"a file that cannot be read ({type(error).__name__})", "a readable file")


def _open_csv(path: Path) -> TableFile | Problem:
    layout = unreadable_bytes(path) or sniff(path)
    return layout if isinstance(layout, Problem) else csv_file(path, layout)


def _open_parquet(path: Path) -> TableFile | Problem:
    try:
        file, names = parquet_file(path)
        rows = file.rows()
    except Unreadable:
        return damaged(path)
    if not rows:
        return Problem(path.name, "no rows", "at least one row")
    return repeated(path.name, names) or file


def _unequal(first: TableFile, file: TableFile) -> Problem | None:
    if set(first.places) == set(file.places):
        return None
    lacks, adds = sorted(set(first.places) - set(file.places)), sorted(set(file.places) - set(first.places))
    parts = [f"without {', '.join(map(short, lacks[:20]))}"] if lacks else []
    parts += [f"with {', '.join(map(short, adds[:20]))} besides"] if adds else []
    return Problem(
        file.path.name, f"columns {' and '.join(parts)}", f"the columns of {first.path.name}", "Give all files one schema"
    )
