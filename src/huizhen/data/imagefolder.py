"""A folder of images as a table: labels from class folders, or from a table ``labels.csv`` beside the images.

    scans/                      scans/                         scans/
      benign/a.png                labels.csv                     train/benign/a.png
      benign/b.png                a.png, b.png, ...              test/malignant/c.png
      malignant/c.png             masks/a.png, ...

Class folders give the columns ``image`` and ``label``, and ``split`` where they lie in folders train, val (or validation) and test;
rows follow the order of the paths. A table ``labels.csv`` has a column ``file`` with paths below the folder: its rows are the rows,
``file`` becomes ``image``, and a column that is read as an image (a mask, say) names files as well.

Hospitals name files after patients, so no message holds the name of one, but the class folder and the place in it, or the line of
the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.data.columnfacts import ColumnFacts
from huizhen.data.declared import Declared, no_column, short
from huizhen.data.examples import SITE, Categories, Column, Examples, Images
from huizhen.data.frames import column_facts, table
from huizhen.data.imagefiles import agreed, read_images, told
from huizhen.data.images import ImageFacts
from huizhen.data.pixels import ENDINGS, look, one_by_one
from huizhen.errors import DataError, Problem

__all__ = ["FILE", "ImageFolder", "LabelTable", "image_paths", "with_classes", "with_labels"]

IMAGE, LABEL, FILE, SPLIT = "image", "label", "file", "split"
SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
LOOKED_AT = 2000  # headers of one column that a description reads: a second or less
SHOWN = 5  # endings named in one message
# Endings of files that are often found beside images; any other may be a part of a name.
KINDS = {
    *(".dcm", ".dicom", ".ima", ".nii", ".gz", ".mha", ".mhd", ".raw", ".nrrd", ".bmp", ".gif", ".webp", ".jp2", ".heic", ".svs"),
    *(".ndpi", ".h5", ".mat", ".npz", ".csv", ".tsv", ".txt", ".md", ".json", ".xml", ".toml", ".yaml", ".pdf", ".doc", ".docx"),
    *(".xls", ".xlsx", ".zip", ".tar", ".7z", ".rar", ".db", ".ini", ".log", ".py", ".html", ".parquet", ".pq"),
}


class LabelTable(Protocol):
    """The table beside the images, as `huizhen.data.records.Source`."""

    @property
    def path(self) -> Path: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> tuple[ColumnFacts, ...]: ...

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples: ...


@dataclass(frozen=True, slots=True)
class _Text:
    """A column read as it stands."""

    kind: str = "category"
    levels: tuple[str, ...] = ()
    unit: str = ""
    range: None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImageFolder:
    """Images and their labels.

    Attributes:
        files: of each column of images, the file of each row, as paths below the folder.
        place: where the image of a column in a row (from 0) is found, in words without its name.
        others: reads the columns that are no images.
        facts: what those hold.
    """

    path: Path
    rows: int
    files: Mapping[str, Sequence[str]]
    place: Callable[[str, int], str]
    others: Callable[[Mapping[str, Declared], str], Examples]
    facts: Callable[[], tuple[ColumnFacts, ...]]
    other_names: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, images first."""
        return (*self.files, *self.other_names)

    @cached_property
    def columns(self) -> tuple[ColumnFacts, ...]:
        """What the columns hold; of images by the header of the first.

        Raises:
            DataError: the first image, or the table, cannot be read.
        """
        seen = {name: self._look(name) for name in self.files}
        problems = [facts for facts in seen.values() if isinstance(facts, Problem)]
        if problems:
            raise DataError(f"{self.path.name} cannot be read", problems)
        images = [
            ColumnFacts(name, "image", self.rows, 0, facts.shape, facts.stored)
            for name, facts in seen.items()
            if isinstance(facts, ImageFacts)
        ]
        return (*images, *self.facts())

    def examined(self, name: str) -> str:
        """What of a column of images was looked at, in words: every file's header, or of many files those of some all over.

        Raises:
            DataError: some of these files are damaged, or unlike the first; all of them at once, up to a number.
        """
        files = self.files[name]
        some = range(len(files)) if len(files) <= LOOKED_AT else np.linspace(0, len(files) - 1, LOOKED_AT).astype(int).tolist()
        with one_by_one():
            _, problems = agreed([self.path / files[at] for at in some], lambda at: self.place(name, some[at]))
        if problems:
            raise DataError(f"{self.path.name} cannot be read", told(problems))
        if len(some) < len(files):
            return f"the headers of {LOOKED_AT} files, evenly over all, were read, and no pixel"
        return "the headers of all files were read, and no pixel"

    def read(self, variables: Mapping[str, Declared], *, site: str) -> Examples:
        """Named columns, and the column ``site``.

        Raises:
            DataError: columns or files are missing or damaged, or hold what the variables do not allow; all problems at once.
        """
        wanted = {name: variable for name, variable in variables.items() if name != SITE}
        problems = [no_column(self.path.name, name, self.names) for name in wanted if name not in self.names]
        problems += [
            Problem(
                f"{self.path.name}, column {short(name)!r}",
                *(("no images", "files of images") if is_image else ("images", "numbers or text")),
            )
            for name, variable in wanted.items()
            if name in self.names and (is_image := variable.kind == "image") != (name in self.files)
        ]
        fit = {
            name: variable
            for name, variable in wanted.items()
            if name in self.names and (variable.kind == "image") == (name in self.files)
        }
        columns: dict[str, Column] = {}
        try:
            rest = self.others({name: variable for name, variable in fit.items() if name not in self.files}, site)
            columns.update(rest.columns)
        except DataError as error:
            problems += error.problems
        for name in self.files:
            if name in fit:
                place, declared = partial(self.place, name), fit[name]
                found = read_images(self.path, self.files[name], place, shape=declared.shape, levels=len(declared.levels))
                if isinstance(found, Images):
                    columns[name] = found
                else:
                    problems += found
        if problems:
            raise DataError(f"{self.path.name} cannot be read as the study needs it", problems)
        return Examples({name: columns[name] for name in (*wanted, SITE)}, self.rows)

    def _look(self, name: str) -> ImageFacts | Problem:
        with one_by_one():
            return look(self.path / self.files[name][0], self.place(name, 0))


def image_paths(folder: Path) -> list[str]:
    """Every image below a folder, hidden ones left out, as sorted paths below it."""
    return sorted(path for path in _files(folder) if path.lower().endswith(ENDINGS))


def _files(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        if not any(part.startswith((".", "__MACOSX")) for part in path.parts) and file.is_file():
            yield path.as_posix()


def _left_out(folder: Path, labels: str = "") -> tuple[Problem, ...]:
    """Files of other kinds, which may be images in a format that is not read."""
    others = [path for path in _files(folder) if path != labels and not path.lower().endswith(ENDINGS)]
    if not others:
        return ()
    endings = {PurePosixPath(path).suffix.lower() for path in others}
    kinds = sorted({ending if ending in KINDS else "another ending" if ending else "no ending" for ending in endings})
    found = f"{len(others)} files that are no images ({', '.join(kinds[:SHOWN])})"
    return (Problem(folder.name, found, f"files that end in {', '.join(ENDINGS)}", "They are left out"),)


def with_classes(folder: Path, paths: Sequence[str]) -> ImageFolder:
    """Images in class folders.

    Raises:
        DataError: images lie elsewhere than in the folder of a class.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    depth = 3 if all(len(each) == 3 and each[0] in SPLITS for each in parts) else 2
    stray = [at for at, each in enumerate(parts) if len(each) != depth]
    if stray:
        expected = f"each image in the folder of its class, such as benign/a.png, or a table labels.csv with a column {FILE!r}"
        raise DataError(
            f"{folder.name} cannot be opened as a table",
            [
                Problem(
                    folder.name, f"{len(stray)} images without a label, the first of them {_numbered(stray[0], paths)}", expected
                )
            ],
        )
    labels: dict[str, NDArray[Any]] = {LABEL: np.array([each[-2] for each in parts])}
    if depth == 3:
        labels[SPLIT] = np.array([SPLITS[each[0]] for each in parts])

    def others(variables: Mapping[str, Declared], site: str) -> Examples:
        return table(labels, variables=variables, site=site)

    def place(_column: str, row: int) -> str:
        within = sum(each[:-1] == parts[row][:-1] for each in parts[: row + 1])
        return f"{folder.name}/{'/'.join(parts[row][:-1])}/, image {within} in order of name"

    facts, files = tuple(column_facts(name, values) for name, values in labels.items()), {IMAGE: tuple(paths)}
    return ImageFolder(folder, len(paths), files, place, others, lambda: facts, tuple(labels), _left_out(folder))


def with_labels(folder: Path, paths: Sequence[str], labels: LabelTable, line: Callable[[int], str]) -> ImageFolder:
    """Images with a table beside them.

    Args:
        line: where a row (from 0) stands in the table, for a message.

    Raises:
        DataError: rows without an image, images without a row, paths that leave the folder; all problems at once.
    """
    where = f"{folder.name}/{labels.path.name}"
    if FILE not in labels.names:
        remedy = f"Name the image of each row in a column {FILE!r}, as a path below the folder"
        raise DataError(f"{folder.name} cannot be opened as a table", [no_column(where, FILE, labels.names, remedy)])
    there, files = set(paths), {}
    problems: list[Problem] = []
    for name, cells in _image_columns(labels):
        files[IMAGE if name == FILE else name] = cells
        problems += _bad_cells(f"{where}, column {short(name)!r}", cells, there, line)
    if IMAGE in labels.names:
        problems.append(
            Problem(where, f"columns {FILE!r} and {IMAGE!r}", f"{FILE!r} alone: it becomes {IMAGE!r}", "Rename the other")
        )
    named = {cell for cells in files.values() for cell in cells}
    unnamed = [at for at, path in enumerate(paths) if path not in named]
    if unnamed and not problems:
        found = f"{len(unnamed)} images without a row, the first of them {_numbered(unnamed[0], paths)}"
        problems.append(Problem(folder.name, found, f"a row of {labels.path.name} for each image"))
    if problems:
        raise DataError(f"{folder.name} cannot be opened as a table", problems)
    others = tuple(name for name in labels.names if name != FILE and name not in files)

    def place(column: str, row: int) -> str:
        return f"{where}, column {short(FILE if column == IMAGE else column)!r}, {line(row)}"

    return ImageFolder(
        folder,
        labels.rows,
        files,
        place,
        lambda variables, site: labels.read(variables, site=site),
        lambda: tuple(facts for facts in labels.columns if facts.name in others),
        others,
        _left_out(folder, labels.path.name),
    )


def _image_columns(labels: LabelTable) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The column ``file``, and those in which every filled cell ends as an image does."""
    texts = [facts.name for facts in labels.columns if facts.name == FILE or facts.texts == facts.filled > 0]
    for name in texts:
        column = labels.read({name: _Text()}, site="").columns[name]  # type: ignore[dict-item]
        assert isinstance(column, Categories)
        if name == FILE or all(level.lower().endswith(ENDINGS) for level in column.levels):
            yield name, tuple(np.array([*column.levels, ""], object)[column.codes])


def _bad_cells(where: str, cells: Sequence[str], there: set[str], line: Callable[[int], str]) -> Iterator[Problem]:
    """Cells that name no image, by their kind; what stands in them is not repeated, as it may name a patient."""
    outside = [
        at for at, cell in enumerate(cells) if cell and (cell[0] in "/\\" or ".." in PurePosixPath(cell).parts or ":" in cell)
    ]
    empty = [at for at, cell in enumerate(cells) if not cell]
    absent = [at for at, cell in enumerate(cells) if cell and cell not in there and at not in set(outside)]
    for rows, found, expected in (
        (empty, "no file", "the file of an image in every row"),
        (outside, "a path that leaves the folder", "a path below the folder"),
        (absent, "a file that is not there", f"a file below the folder that ends in {', '.join(ENDINGS)}"),
    ):
        if rows:
            yield Problem(f"{where}, {line(rows[0])}", f"{found} (in {len(rows)} of {len(cells)} rows)", expected)


def _numbered(at: int, paths: Sequence[str]) -> str:
    return f"image {at + 1} of {len(paths)} in order of path"
