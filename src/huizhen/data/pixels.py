"""One image in one file: PNG, JPEG and TIFF through Pillow, volumes as ``.npy``; nothing else decodes pixels.

What is read is what the file holds, never a conversion that would lose something: 8-bit grey, RGB, 16-bit grey, real numbers.
A JPEG is turned as its orientation tag says. Alpha, CMYK, palettes and several pages are named and refused. What a decoder says of
a damaged file is dropped: it may quote it.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from huizhen.data.images import ImageFacts, image_facts, unfit
from huizhen.data.npyheader import Header, Unfit, read_header
from huizhen.errors import Problem

__all__ = ["ENDINGS", "decode", "look", "one_by_one"]

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy")
FORMATS = ("PNG", "JPEG", "TIFF")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error, zlib.error)
PLAIN = "8-bit grey or RGB, 16-bit grey, or real numbers"
TYPES = {"L": "uint8", "RGB": "uint8", "1": "bool", "I;16": "uint16", "I;16B": ">u2", "I": "int32", "F": "float32"}
REFUSED = {
    "RGBA": ("an alpha channel", "Save it without transparency"),
    "LA": ("an alpha channel", "Save it without transparency"),
    "PA": ("an alpha channel", "Save it without transparency"),
    "P": ("a palette", "Save it as 8-bit grey (a label map) or RGB"),
    "CMYK": ("CMYK, the colors of print", "Save it as RGB"),
}


@contextmanager
def one_by_one() -> Iterator[None]:
    """Within it, Pillow's warning of an image that is far too large refuses that image."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # odd metadata
        yield


def look(path: Path, where: str, declared: tuple[int, ...] = ()) -> ImageFacts | Problem:
    """What an image is, by its header alone."""
    if path.suffix.lower() == ".npy":
        header = _npy_header(path, where)
        if isinstance(header, Problem):
            return header
        return image_facts(header.shape, header.dtype, declared) or unfit(where, header.shape, header.dtype, declared)
    try:
        with Image.open(path, formats=FORMATS) as image:
            refused = _refused(image, where)
            if refused:
                return refused
            edges = (image.width, image.height) if _is_turned(image) else (image.height, image.width)
            shape, dtype = (*edges, *(3,) * (image.mode == "RGB")), np.dtype(TYPES[image.mode])
            return image_facts(shape, dtype, declared) or unfit(where, shape, dtype, declared)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_large(where)
    except FileNotFoundError:
        return Problem(where, "no such file", "an image file")
    except BROKEN:
        return _damaged(where)


def decode(path: Path, where: str) -> NDArray[Any] | Problem:
    """The pixels as they stand in the file, (*space) or with the channel last."""
    try:
        if path.suffix.lower() == ".npy":
            header = _npy_header(path, where)
            return header if isinstance(header, Problem) else np.load(path, allow_pickle=False)
        with Image.open(path, formats=FORMATS) as image:
            return _refused(image, where) or np.asarray(ImageOps.exif_transpose(image) if image.format == "JPEG" else image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_large(where)
    except BROKEN:
        return _damaged(where)


def _is_turned(image: Image.Image) -> bool:
    """Whether a JPEG is shown with its sides exchanged, by its orientation tag; Pillow itself heeds that of a TIFF."""
    return image.format == "JPEG" and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)


def _refused(image: Image.Image, where: str) -> Problem | None:
    if getattr(image, "n_frames", 1) > 1:
        return Problem(where, "several pages", "one image", "Save a volume as .npy, an array of depth x height x width")
    if image.mode == "RGB" and ";16" in repr(getattr(image, "tile", "")):  # Pillow would halve the bits without a word
        return Problem(where, "16-bit RGB", PLAIN, "Save it as 8-bit RGB, or as an array (.npy)")
    if image.mode in TYPES:
        return None
    found, remedy = REFUSED.get(image.mode, ("an unusual kind of color", "Save it as 8-bit grey or RGB"))
    return Problem(where, found, PLAIN, remedy)


def _npy_header(path: Path, where: str) -> Header | Problem:
    try:
        with path.open("rb") as stream:
            header = read_header(stream)
        if header.bytes + header.at != path.stat().st_size:
            return _damaged(where)
    except FileNotFoundError:
        return Problem(where, "no such file", "an image file")
    except Unfit as reason:
        return reason.problem(where)
    except OSError:
        return _damaged(where)
    return header


def _damaged(where: str) -> Problem:
    return Problem(where, "a damaged file", "a whole PNG, JPEG, TIFF or .npy file", "Copy or export it again")


def _too_large(where: str) -> Problem:
    return Problem(where, "an image of more than 89 million pixels", "an image that memory holds", "Cut it into smaller ones")
