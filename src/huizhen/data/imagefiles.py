"""Many image files of one size and type, read into one array, every file that does not fit told by its place.

Names of files are never told: hospitals name them after patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from huizhen.data.examples import Images
from huizhen.data.images import ImageFacts, as_images, sized
from huizhen.data.pixels import decode, look, one_by_one
from huizhen.errors import Problem

__all__ = ["agreed", "read_images", "told"]

MOST = 20  # files told at once
Place = Callable[[int], str]


def read_images(
    folder: Path, files: Sequence[str], place: Place, *, shape: tuple[int, ...] = (), levels: int = 0
) -> Images | list[Problem]:
    """One column of images in the order of the files; headers first, so that a misfit is told before hours of reading.

    Args:
        files: paths below the folder.
        place: where the file of a row (from 0) is found, in words without its name.
        shape: (channel, *space) as declared, or () for what the first file has.
        levels: number of classes of a label map, 0 for images.
    """
    with one_by_one():
        facts, problems = agreed([folder / file for file in files], place, shape)
        if facts is None or problems:
            return told(problems)
        try:
            values = np.empty((len(files), *facts.shape), facts.stored)
        except MemoryError:
            found = f"{len(files)} images of {facts}"
            return [Problem(folder.name, found, "images that memory holds", "Use fewer or smaller images")]
        for at, file in enumerate(files):
            pixels = decode(folder / file, "")
            column = pixels if isinstance(pixels, Problem) else as_images("", pixels[None], facts.shape, levels)
            if isinstance(column, Problem):
                problems.append(replace(column, where=place(at)))
            else:
                values[at] = column.values[0]
    return told(problems) if problems else Images(values)


def agreed(files: Sequence[Path], place: Place, shape: tuple[int, ...] = ()) -> tuple[ImageFacts | None, list[Problem]]:
    """What the files have in common, and those that have not; from their headers. Arguments as for `read_images`."""
    first: ImageFacts | None = None
    problems = []
    for at, file in enumerate(files):
        facts = look(file, "", shape)
        if isinstance(facts, Problem):
            problems.append(replace(facts, where=place(at)))
        elif first is None:
            first = facts
        elif facts.shape != first.shape:
            expected, remedy = (
                f"an image of {sized(first.shape)}, as the first image that can be read",
                "Bring them all to one size and one number of channels",
            )
            problems.append(Problem(place(at), f"an image of {sized(facts.shape)}", expected, remedy))
        elif facts.stored != first.stored:
            expected = f"pixels of {first.stored}, as in the first image that can be read"
            problems.append(Problem(place(at), f"pixels of {facts.stored}", expected, "Store all images alike"))
    return first, problems


def told(problems: list[Problem]) -> list[Problem]:
    """The first of many problems, and how many more there are."""
    if len(problems) <= MOST:
        return problems
    rest = Problem(f"{len(problems) - MOST} more files", "problems like these", "images of one size and type")
    return [*problems[:MOST], rest]
