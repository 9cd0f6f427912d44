"""Declared rectangles of images in which words are burnt in, blanked: a pure change of a data set's pixels, where these are plain.

A site declares for each of its machines where it writes, as ``[[dicom.blank]]``; a file that fits one declaration is blanked there
and nowhere else. What no declaration fits is treated as `huizhen.data.deidentify.burnt` suspects it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import Problem

__all__ = ["CLEANED", "PLAIN", "Region", "blanked", "fitting", "regions_of"]

CLEANED = ("113101", "Clean Pixel Data Option")  # PS3.16, context group 7050
PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # transfer syntaxes whose pixels are not packed
GREY, COLOR = ("MONOCHROME1", "MONOCHROME2"), ("RGB",)
TEXTS = {"modality": "Modality", "manufacturer": "Manufacturer", "model": "ManufacturerModelName"}
SIZES = {"rows": "Rows", "columns": "Columns"}
LARGEST = 65_535


@dataclass(frozen=True, slots=True)
class Region:
    """What one kind of machine writes where.

    Attributes:
        texts: what the header must say, without regard to case, by keyword of the standard.
        sizes: rows and columns that the image must have.
        boxes: top, left, height, width in pixels.
    """

    texts: Mapping[str, str]
    sizes: Mapping[str, int]
    boxes: tuple[tuple[int, int, int, int], ...]


def regions_of(declared: Any, problems: list[Problem]) -> tuple[Region, ...]:
    """What stands under ``[[dicom.blank]]``; mistakes are added to the problems."""
    if not isinstance(declared, list) or not all(isinstance(each, dict) for each in declared):
        problems.append(Problem("dicom.blank", "no tables", "tables [[dicom.blank]]"))
        return ()
    return tuple(region for at, each in enumerate(declared, 1) if (region := _region(f"dicom.blank[{at}]", each, problems)))


def _region(where: str, declared: Mapping[str, Any], problems: list[Problem]) -> Region | None:
    known, before = (*TEXTS, *SIZES, "boxes"), len(problems)
    for name in declared:
        if name not in known:
            problems.append(Problem(f"{where}.{name}", "an unknown key", f"one of: {', '.join(known)}"))
    for name in TEXTS:
        if name in declared and (not isinstance(declared[name], str) or not declared[name].strip()):
            problems.append(Problem(f"{where}.{name}", repr(declared[name])[:80], "a text, as headers have it"))
    for name in SIZES:
        if not _is_size(declared.get(name), 1):
            problems.append(Problem(f"{where}.{name}", repr(declared.get(name))[:80], "the size of the image in pixels"))
    boxes = declared.get("boxes")
    if not isinstance(boxes, list) or not boxes or not all(_is_box(box, declared) for box in boxes):
        problems.append(Problem(f"{where}.boxes", repr(boxes)[:80], "lists [top, left, height, width] inside the image"))
    if "modality" not in declared:
        problems.append(Problem(where, "no modality", "at least modality, rows and columns"))
    if len(problems) > before:
        return None
    texts = {TEXTS[name]: declared[name].strip().upper() for name in TEXTS if name in declared}
    sizes = {SIZES[name]: declared[name] for name in SIZES}
    return Region(texts, sizes, tuple((box[0], box[1], box[2], box[3]) for box in declared["boxes"]))


def _is_size(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST


def _is_box(box: Any, declared: Mapping[str, Any]) -> bool:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_size(value, at >= 2) for at, value in enumerate(box)):
        return False
    rows, columns = declared.get("rows"), declared.get("columns")
    return not (_is_size(rows, 1) and _is_size(columns, 1)) or (box[0] + box[2] <= rows and box[1] + box[3] <= columns)


def fitting(dataset: Any, regions: Sequence[Region]) -> Region | None:
    """The first declaration that a header fits."""
    for region in regions:
        says = all(str(dataset.get(keyword, "")).strip().upper() == text for keyword, text in region.texts.items())
        if says and all(dataset.get(keyword) == size for keyword, size in region.sizes.items()):
            return region
    return None


def blanked(dataset: Any, region: Region) -> bool:
    """Makes the boxes of every frame black, in place; False where the pixels are packed or of a kind that is not known here."""
    syntax = str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", ""))
    kind, bits = str(dataset.get("PhotometricInterpretation", "")), dataset.get("BitsAllocated")
    if syntax not in PLAIN or kind not in (*GREY, *COLOR) or bits not in (8, 16) or "PixelData" not in dataset:
        return False
    samples, frames = int(dataset.get("SamplesPerPixel", 1)), int(dataset.get("NumberOfFrames", 1) or 1)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    stored = np.dtype(("<i" if dataset.get("PixelRepresentation") else "<u") + str(bits // 8))
    needed = frames * rows * columns * samples * stored.itemsize
    if samples != (3 if kind in COLOR else 1) or len(dataset.PixelData) not in (needed, needed + needed % 2):
        return False
    content = bytearray(dataset.PixelData)
    by_plane = samples > 1 and bool(dataset.get("PlanarConfiguration", 0))
    shape = (frames, samples, rows, columns) if by_plane else (frames, rows, columns, samples)
    pixels: NDArray[Any] = np.frombuffer(content, stored, frames * rows * columns * samples).reshape(shape)
    seen = pixels if by_plane else np.moveaxis(pixels, -1, 1)
    black = seen.max() if kind == "MONOCHROME1" else seen.min() if kind in GREY else 0
    for top, left, height, width in region.boxes:
        seen[:, :, top : top + height, left : left + width] = black
    dataset.PixelData = bytes(content)
    dataset.BurnedInAnnotation = "NO"
    return True
