"""Arrays of pictures, volumes or label maps, one for each row, as a column: which axis is the channel, how pixels are kept.

An array is (row, *space) for one channel, or has an axis for the channel, last or right after the rows. Which it is follows from
its shape alone, the same way at every site (`image_facts`), and a declared shape settles what could be read in two ways.

>>> str(image_facts((28, 28), np.dtype(np.uint8)))
'1 x 28 x 28 (uint8)'
>>> str(image_facts((64, 64, 3), np.dtype(np.uint8)))
'3 x 64 x 64 (uint8)'
>>> str(image_facts((40, 64, 64), np.dtype(np.int64)))
'1 x 40 x 64 x 64 (int16)'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import Images, chunks
from huizhen.errors import Problem

__all__ = ["ImageFacts", "as_images", "disagreements", "image_facts", "sized", "unfit"]

CHANNELS = 4  # an axis of at most so many entries may be the channel
AT_ONCE = 64  # images looked at, copied or converted at once
INT16 = np.iinfo(np.int16)
LAYOUTS = "images of two dimensions, or of three, for each row"
KEPT = "truth values, integers or real numbers"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What all images of a column have in common.

    Attributes:
        shape: (channel, *space).
        stored: ``uint8``, ``int16`` or ``float32``.
    """

    shape: tuple[int, ...]
    stored: str

    def __str__(self) -> str:
        return f"{sized(self.shape)} ({self.stored})"


def sized(shape: Sequence[int]) -> str:
    """A shape for a reader: ``1 x 28 x 28``, channel first."""
    return " x ".join(map(str, shape))


def image_facts(shape: Sequence[int], dtype: np.dtype[Any], declared: Sequence[int] = ()) -> ImageFacts | None:
    """What images of this shape (without the axis of rows) and type become; None where they cannot be read as images.

    The last axis is the channel if it has at most 4 entries, else the first if it has at most 4, else there is one channel; two
    axes are one channel. Four axes have a channel, the last if it has at most 4 entries, else the first.

    Args:
        declared: (channel, *space), to read the shape as that, if it can be; () to read it by the rule above.
    """
    axis, stored = _channel_axis(tuple(shape), tuple(declared)), _stored(dtype)
    if axis is None or stored is None or 0 in shape:
        return None
    seen: tuple[int, ...] = {"none": (1, *shape), "first": tuple(shape), "last": (*shape[-1:], *shape[:-1])}[axis]
    return ImageFacts(seen, stored)


def as_images(where: str, values: NDArray[Any], declared: Sequence[int] = (), levels: int = 0) -> Images | Problem:
    """An array of images as a column; not copied where its type is kept.

    Truth values are kept as uint8; integers other than uint8 as int16, where they must fit; real numbers as float32, finite.

    Args:
        values: (row, *space), or with an axis for the channel.
        declared: (channel, *space), or () for what the array has.
        levels: in how many classes a label map falls, 0 for images.
    """
    facts = image_facts(values.shape[1:], values.dtype, declared)
    if facts is None:
        return unfit(where, values.shape[1:], values.dtype, declared)
    kept, wrong = _converted(where, values, np.dtype(facts.stored))
    if wrong is None and levels:
        wrong = _no_label_map(where, kept, levels)
    return wrong or Images(_with_channel(kept, declared))


def unfit(where: str, shape: Sequence[int], dtype: np.dtype[Any], declared: Sequence[int] = ()) -> Problem:
    """Why an array of this shape (without rows) and type is no column of the images that are wanted."""
    if _stored(dtype) is None:
        return Problem(where, f"pixels of type {dtype}", KEPT)
    if not len(shape) or 0 in shape:
        return Problem(where, "no pixels", LAYOUTS)
    if declared:
        return Problem(where, f"images of {sized(shape)}", f"images of {sized(declared)}", "Bring them all to one size")
    return Problem(where, f"an array of {len(shape) + 1} dimensions", LAYOUTS, "Declare its shape as [channel, height, width]")


def disagreements(name: str, found: Mapping[str, ImageFacts], declared: Sequence[int] = ()) -> dict[str, Problem]:
    """The sites whose images of a variable differ from the first site's, or from the declared shape."""
    if not found:
        return {}
    first = next(iter(found))
    shape, stored = tuple(declared) or found[first].shape, found[first].stored
    wrong = {}
    for site, facts in found.items():
        if facts.shape != shape:
            expected = f"images of {sized(shape)}, as declared" if declared else f"images of {sized(shape)}, as at site {first}"
            remedy = "Bring the images of all sites to one size and one number of channels"
            wrong[site] = Problem(f"column {name!r}", f"images of {sized(facts.shape)}", expected, remedy)
        elif facts.stored != stored:
            expected = f"pixels of {stored}, as at site {first}"
            wrong[site] = Problem(f"column {name!r}", f"pixels of {facts.stored}", expected, "Store the images of all sites alike")
    return wrong


def _converted(where: str, values: NDArray[Any], stored: np.dtype[Any]) -> tuple[NDArray[Any], Problem | None]:
    """The pixels as they are kept, and what forbids that."""
    if stored == np.uint8:
        return values.view(np.uint8), None
    rows = [part for part in chunks(len(values), AT_ONCE) if not _fits(values[part], stored)]
    if rows:
        first = next(at for at in range(rows[0].start, rows[0].stop) if not _fits(values[at], stored))
        if stored == np.float32:
            return values, Problem(f"row {first}, {where}", "pixels that are no finite number", "finite numbers")
        remedy = "Take an offset away, divide, or store real numbers"
        return values, Problem(f"row {first}, {where}", "pixels outside -32768 to 32767", "integers of 16 bits with a sign", remedy)
    if values.dtype == np.uint16:
        return values.view(np.int16), None
    return values.astype(stored, copy=False), None


def _no_label_map(where: str, values: NDArray[Any], levels: int) -> Problem | None:
    """Pixels that name no class: a label map holds the whole numbers from 0."""
    parts = (values[rows] for rows in chunks(len(values), AT_ONCE))
    if all(part.min() >= 0 and part.max() < levels and np.array_equal(part, np.trunc(part)) for part in parts):
        return None
    return Problem(where, "other values in a label map", f"whole numbers from 0 to {levels - 1}, one for each declared level")


def _with_channel(values: NDArray[Any], declared: Sequence[int]) -> NDArray[Any]:
    """A view of (row, ...) images as (row, channel, *space)."""
    axis = _channel_axis(values.shape[1:], tuple(declared))
    return values[:, None] if axis == "none" else np.moveaxis(values, -1, 1) if axis == "last" else values


Axis = Literal["none", "first", "last"]


def _channel_axis(shape: tuple[int, ...], declared: tuple[int, ...]) -> Axis | None:
    if declared:
        readings: tuple[tuple[Axis, tuple[int, ...]], ...] = (
            ("first", shape), ("none", (1, *shape)), ("last", (*shape[-1:], *shape[:-1])),
        )  # fmt: skip
        return next((axis for axis, seen in readings if seen == declared), None)
    if len(shape) == 2:
        return "none"
    if len(shape) not in (3, 4):
        return None
    if shape[-1] <= CHANNELS:
        return "last"
    return "first" if shape[0] <= CHANNELS or len(shape) == 4 else "none"


def _stored(dtype: np.dtype[Any]) -> str | None:
    if dtype.kind == "b" or dtype == np.uint8:
        return "uint8"
    return {"i": "int16", "u": "int16", "f": "float32"}.get(dtype.kind)


def _fits(values: NDArray[Any], stored: np.dtype[Any]) -> bool:
    if stored == np.float32:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(values.astype(np.float32, copy=False)).all())
    if values.dtype in (np.int8, np.int16):
        return True
    return bool(INT16.min <= values.min() and values.max() <= INT16.max)
