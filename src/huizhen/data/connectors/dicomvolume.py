"""A DICOM series as a volume: slices in the order of their places, in the units that slope and intercept make of them.

Attributes as in https://dicom.nema.org/medical/dicom/current/output/html/part03.html, C.7.6.2 (plane), C.11.1 (modality). A series
whose slices do not lie one behind another, all alike, is refused: a volume of it would be a picture of nothing.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.connectors.volume import LARGEST, Unloadable, Volume
from huizhen.errors import MachineError, Problem

__all__ = ["dicom_volume", "series_in"]

TO_NIFTI = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and to the back of the patient
TOLERANCE = 0.1  # of the usual step between slices
ALIKE = "slices of one size, direction and distance, each at a place of its own"
WHOLE = "a DICOM file with pixel data that can be unpacked here"


@dataclass(frozen=True, slots=True)
class _Slice:
    pixels: NDArray[np.float32]  # (channel, x, y)
    direction: tuple[float, ...]  # of rows and columns; () where the header does not say
    position: tuple[float, ...]
    spacing: tuple[float, ...]  # between rows, between columns
    number: float


def series_in(folder: Path) -> dict[str, list[Path]]:
    """The DICOM files of a folder by their series, in order of name; other files are passed over."""
    library = _pydicom()
    found: dict[str, list[Path]] = {}
    with _quiet():
        for path in sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")):
            series = _series_of(library, path)
            if series:
                found.setdefault(series, []).append(path)
    return found


def dicom_volume(files: Sequence[Path]) -> Volume:
    """The volume that the files of one series make.

    Raises:
        Unloadable: they make none.
    """
    with _quiet():
        slices = [each for number, path in enumerate(files, 1) for each in _read(path, number, len(files))]
    _agree(slices)
    if len(slices) == 1:
        return _placed(slices, None)
    ordered, step = _in_order(slices)
    return _placed(ordered, step)


def _series_of(library: Any, path: Path) -> str:
    """The series of a file; "" where it is no DICOM, or damaged: a sync has counted it."""
    try:
        header = library.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        return str(header.get("SeriesInstanceUID", "")).strip()
    except Exception:  # what the library says quotes values
        return ""


def _read(path: Path, number: int, files: int) -> list[_Slice]:
    which = f"file {number} of {files} in order of name"
    try:
        library = _pydicom()
        header = library.dcmread(path)
        size = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames", 1) or 1) * int(header.SamplesPerPixel)
        if size * files > LARGEST * 2:
            raise Unloadable(f"{which}: more than half a billion voxels", WHOLE)
        pixels = library.pixels.pixel_array(header).astype(np.float32)
        frames = int(header.get("NumberOfFrames", 1) or 1)
        pixels = pixels.reshape(frames, int(header.Rows), int(header.Columns), -1)
        return [_frame(header, frame, at) for at, frame in enumerate(pixels)]
    except Unloadable:
        raise
    except Exception:  # the library lets many errors through, with what stands in the file
        raise Unloadable(f"{which}: pixels that are not there, cut off, or packed in a way that is not read", WHOLE) from None


def _frame(header: Any, pixels: NDArray[np.float32], at: int) -> _Slice:
    """One frame (row, column, sample) with its place; a file of many frames tells places in groups of its own, or one step."""
    groups = [header.get("PerFrameFunctionalGroupsSequence") or [], header.get("SharedFunctionalGroupsSequence") or []]
    inside = [each for each in (groups[0][at] if at < len(groups[0]) else None, groups[1][0] if groups[1] else None) if each]

    def said(sequence: str, name: str) -> tuple[float, ...]:
        for group in inside:
            for item in group.get(sequence) or ():
                if item.get(name) is not None:
                    return _numbers(item.get(name))
        return _numbers(header.get(name))

    slope = (said("PixelValueTransformationSequence", "RescaleSlope") or (1.0,))[0]
    intercept = (said("PixelValueTransformationSequence", "RescaleIntercept") or (0.0,))[0]
    values = np.moveaxis(pixels, -1, 0).transpose(0, 2, 1)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":  # the largest is black
        values = np.float32(2 ** int(header.BitsStored) - 1) - values
    values = values * np.float32(slope) + np.float32(intercept)
    direction = said("PlaneOrientationSequence", "ImageOrientationPatient")
    position = said("PlanePositionSequence", "ImagePositionPatient")
    if at and position and not any(group.get("PlanePositionSequence") for group in inside):
        position = ()  # of the first frame only
    spacing = said("PixelMeasuresSequence", "PixelSpacing") or _numbers(header.get("ImagerPixelSpacing"))
    number = float(header.get("InstanceNumber") or 0) + at / 1e6
    return _Slice(values, direction if len(direction) == 6 else (), position if len(position) == 3 else (), spacing, number)


def _numbers(found: Any) -> tuple[float, ...]:
    if found is None or found == "":
        return ()
    return tuple(float(each) for each in found) if hasattr(found, "__iter__") else (float(found),)


def _agree(slices: Sequence[_Slice]) -> None:
    first = slices[0]
    for found, differ in (
        ("slices of another size than the first", lambda each: each.pixels.shape != first.pixels.shape),
        ("slices of another direction than the first", lambda each: not _close(each.direction, first.direction)),
        ("slices of another distance of pixels than the first", lambda each: not _close(each.spacing, first.spacing)),
    ):
        count = sum(map(differ, slices))
        if count:
            raise Unloadable(f"a mixed series: {found} ({count} of {len(slices)})", ALIKE)


def _close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, atol=1e-3))


def _in_order(slices: Sequence[_Slice]) -> tuple[list[_Slice], NDArray[np.float64] | None]:
    """Slices along their normal, and the way from one to the next (mm); by number, and no way, where no slice has a place."""
    if not all(each.position and each.direction for each in slices):
        if any(each.position for each in slices[1:]) or len({each.number for each in slices}) < len(slices):
            raise Unloadable("slices of which some do not say where they lie", ALIKE)
        return sorted(slices, key=lambda each: each.number), None
    row, column = np.array(slices[0].direction[:3]), np.array(slices[0].direction[3:])
    normal = np.cross(row, column)
    ordered = sorted(slices, key=lambda each: float(np.dot(normal, each.position)))
    steps = np.diff([np.array(each.position) for each in ordered], axis=0)
    along = steps @ normal
    usual = float(np.median(along))
    if (along < 1e-3).any():
        raise Unloadable(f"two slices at one place ({int((along < 1e-3).sum())} times)", ALIKE)
    if (np.abs(along - usual) > TOLERANCE * usual).any():
        raise Unloadable(f"a gap between slices ({int((np.abs(along - usual) > TOLERANCE * usual).sum())} times)", ALIKE)
    return ordered, steps.mean(axis=0)


def _placed(ordered: Sequence[_Slice], step: NDArray[np.float64] | None) -> Volume:
    first = ordered[0]
    values = np.stack([each.pixels for each in ordered], axis=-1)
    if len(first.spacing) != 2 or min(first.spacing) <= 0:
        return Volume(values, None, is_placed=False)
    affine = np.eye(4)
    down, across = first.spacing  # between rows, between columns
    if not first.direction or not first.position:
        affine[:3, :3] = np.diag([across, down, 1.0])
        return Volume(values, affine, is_placed=False)
    row, column = np.array(first.direction[:3]), np.array(first.direction[3:])
    affine[:3, 0], affine[:3, 1] = row * across, column * down
    affine[:3, 2] = np.cross(row, column) if step is None else step
    affine[:3, 3] = first.position
    return Volume(values, TO_NIFTI @ affine, is_placed=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the library warns of quotes values."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        problem = Problem("pydicom", "a package that is not installed", "pydicom", "pip install 'huizhen[registry]'")
        raise MachineError("DICOM files cannot be read.", [problem]) from None
    return pydicom
