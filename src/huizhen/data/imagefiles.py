"""Many image files of one size and type, read into one array, every file that does not fit named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from huizhen.data.examples import Images
from huizhen.data.images import ImageFacts, as_images, sized
from huizhen.data.pixels import decode, look, one_by_one
from huizhen.errors import Problem

__all__ = ["read_images"]

MOST = 20  # files named at once


def read_images(folder: Path, files: Sequence[str], *, shape: tuple[int, ...] = (), levels: int = 0) -> Images | list[Problem]:
    """One column of images in the order of the files; headers first, so that a misfit is told before hours of reading.

    Args:
        files: paths below the folder.
        shape: (channel, *space) as declared, or () for what the first file has.
        levels: number of classes of a label map, 0 for images.
    """
    with one_by_one():
        facts, problems = _agreed(folder, files, shape)
        if facts is None or problems:
            return _cut(problems)
        try:
            values = np.empty((len(files), *facts.shape), facts.stored)
        except MemoryError:
            found = f"{len(files)} images of {facts}"
            return [Problem(folder.name, found, "images that memory holds", "Use fewer or smaller images")]
        for at, file in enumerate(files):
            pixels = decode(folder / file, file)
            column = pixels if isinstance(pixels, Problem) else as_images(file, pixels[None], facts.shape, levels)
            if isinstance(column, Problem):
                problems.append(Problem(file, column.found, column.expected, column.remedy))
            else:
                values[at] = column.values[0]
    return _cut(problems) if problems else Images(values)


def _agreed(folder: Path, files: Sequence[str], shape: tuple[int, ...]) -> tuple[ImageFacts | None, list[Problem]]:
    """What the files have in common, and those that have not; from their headers."""
    first: tuple[str, ImageFacts] | None = None
    problems = []
    for file in files:
        facts = look(folder / file, file, shape)
        if isinstance(facts, Problem):
            problems.append(facts)
        elif first is None:
            first = file, facts
        elif facts.shape != first[1].shape:
            expected, remedy = (
                f"an image of {sized(first[1].shape)}, as {first[0]}",
                "Bring them all to one size and one number of channels",
            )
            problems.append(Problem(file, f"an image of {sized(facts.shape)}", expected, remedy))
        elif facts.stored != first[1].stored:
            expected = f"pixels of {first[1].stored}, as in {first[0]}"
            problems.append(Problem(file, f"pixels of {facts.stored}", expected, "Store all images alike"))
    return (first[1] if first else None), problems


def _cut(problems: list[Problem]) -> list[Problem]:
    if len(problems) <= MOST:
        return problems
    rest = Problem(f"{len(problems) - MOST} more files", "problems like these", "images of one size and type")
    return [*problems[:MOST], rest]
