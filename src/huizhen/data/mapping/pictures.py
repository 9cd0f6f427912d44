"""The images of mapped rows: each series is read, transformed as declared and put in its place, one after another.

Rows whose image cannot be used are told by their number, never by a name of a file, which may be a patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from huizhen.data.connectors.dicomvolume import dicom_volume, series_in
from huizhen.data.connectors.niftivolume import nifti_volume
from huizhen.data.connectors.volume import Unloadable, Volume
from huizhen.data.events.schema import SEALED, record_of
from huizhen.data.examples import Images
from huizhen.data.images import sized
from huizhen.data.mapping.dictionary import Entry
from huizhen.data.mapping.transforms import transform_of
from huizhen.errors import Problem

__all__ = ["BETWEEN", "Opening", "read_pictures"]

BETWEEN = "\x1f"  # between where an image is and the record that it is in the registry
MOST = 20  # rows told at once
NIFTI = (".nii", ".nii.gz")
THERE = "the files as they were when the registry was synchronised"
Opening = Callable[[str], Any]  # what was sealed; None where another key sealed it


@dataclass
class _Folder:
    """The folder of a source; a folder of many series is looked through once."""

    root: Path
    _known: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)

    def load(self, place: str, record: str) -> Volume:
        path = (self.root / place).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise Unloadable("a place outside the source's folder", "a place below it")
        try:
            if place.lower().endswith(NIFTI):
                return nifti_volume(path)
            if path not in self._known:
                self._known[path] = series_in(path)
        except OSError:
            raise Unloadable("files that are no longer there or cannot be read", THERE) from None
        files = self._known[path].get(record_of(record).rpartition("@")[0], [])
        if not files:
            raise Unloadable("no file of this series", THERE)
        return dicom_volume(files)


def read_pictures(
    root: Path, places: Sequence[tuple[int, str]], entry: Entry, where: str, opening: Opening | None = None
) -> Images | list[Problem]:
    """One image for each row.

    Args:
        root: the folder of the source.
        places: of each row its number among all rows, and where its image is with its record.
        entry: what the dictionary declares.
        where: what is read, for a message.
        opening: the site's key, where places are sealed by it.
    """
    if not root.is_dir():
        return [Problem(where, "no folder of images at this site", "the folder of the source, as its configuration has it")]
    transform, folder = transform_of(entry.steps, entry.shape), _Folder(root)
    try:
        values = np.empty((len(places), *entry.shape), np.float32)
    except MemoryError:
        found = f"{len(places)} images of {sized(entry.shape)}"
        return [Problem(where, found, "images that memory holds", "Use fewer or smaller images")]
    problems: list[Problem] = []
    for at, (row, place) in enumerate(places):
        if at and place == places[at - 1][1]:  # rows of one patient follow one another
            values[at] = values[at - 1]
            continue
        try:
            values[at] = transform(folder.load(*_told(place, opening)))
        except Unloadable as reason:
            problems.append(Problem(f"{where}, row {row + 1}", reason.found, reason.expected))
        except OSError:
            problems.append(Problem(f"{where}, row {row + 1}", "files that are no longer there or cannot be read", THERE))
    if len(problems) > MOST:
        rest = Problem(f"{len(problems) - MOST} more rows", "problems like these", "images that can be read and transformed")
        problems = [*problems[:MOST], rest]
    return problems or Images(values)


def _told(place: str, opening: Opening | None) -> tuple[str, str]:
    """Where an image is, and the record that it is in its source."""
    path, _, record = place.partition(BETWEEN)
    if not path.startswith(SEALED):
        return path, record
    if opening is None:
        raise Unloadable("a place that is sealed by the site's key", "a study that the site's own agent answers")
    found = opening(path.removeprefix(SEALED))
    if not (isinstance(found, list) and len(found) == 2 and all(isinstance(one, str) for one in found)):
        raise Unloadable("a place that was sealed by another key", "the key by which the registry was synchronised")
    return found[0], found[1]
