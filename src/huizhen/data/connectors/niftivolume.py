"""A NIfTI-1 file as a volume: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, read to its last voxel or refused."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.connectors.volume import LARGEST, Unloadable, Volume

__all__ = ["nifti_volume"]

HEADER = 348
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
WHOLE = "a whole NIfTI file (.nii or .nii.gz) with one image of three axes"


def nifti_volume(path: Path) -> Volume:
    """The one image of a file.

    Raises:
        Unloadable: it is damaged, or of a kind that is not read. OSError: it cannot be read.
    """
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
            return _volume(file)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise Unloadable("a file that is cut off or damaged", WHOLE) from None


def _volume(file: Any) -> Volume:
    raw = file.read(HEADER)
    order = next((each for each in "<>" if len(raw) == HEADER and struct.unpack(each + "i", raw[:4])[0] == HEADER), None)
    if order is None or raw[344:347] != b"n+1":
        raise Unloadable("no NIfTI-1 file with its image inside", WHOLE)
    dimensions = struct.unpack(order + "8h", raw[40:56])
    kind, starts = struct.unpack(order + "h", raw[70:72])[0], int(struct.unpack(order + "f", raw[108:112])[0])
    if not 2 <= dimensions[0] <= 7 or any(size != 1 for size in dimensions[4 : dimensions[0] + 1]):
        raise Unloadable("several images in one file", WHOLE)
    shape = tuple(int(size) for size in (*dimensions[1 : min(dimensions[0], 3) + 1], 1)[:3])
    if min(shape) < 1 or np.prod(shape, dtype=float) > LARGEST:
        raise Unloadable("no voxels, or more than half a billion", WHOLE)
    if kind not in TYPES:
        raise Unloadable("voxels that are no plain numbers", WHOLE)
    stored = np.dtype(order + TYPES[kind])
    size = int(np.prod(shape)) * stored.itemsize
    file.read(max(starts - HEADER, 0))
    content = file.read(size)
    if len(content) < size or file.read(1) is None:  # what is packed tells at its end whether it is whole
        raise Unloadable("a file that is cut off or damaged", WHOLE)
    values = np.frombuffer(content, stored).reshape(shape, order="F").astype(np.float32)
    slope, intercept = struct.unpack(order + "2f", raw[112:120])
    if slope not in (0.0, 1.0) or intercept:
        values = values * np.float32(slope or 1.0) + np.float32(intercept)
    if not np.isfinite(values).all():
        raise Unloadable("voxels that are no finite number", WHOLE)
    affine = _affine(raw, order)
    return Volume(values[None], affine, is_placed=struct.unpack(order + "2h", raw[252:256]) != (0, 0))


def _affine(raw: bytes, order: str) -> NDArray[np.float64]:
    by_quaternion, by_rows = struct.unpack(order + "2h", raw[252:256])
    found = np.eye(4)
    if by_rows > 0:
        found[:3] = np.array(struct.unpack(order + "12f", raw[280:328])).reshape(3, 4)
        return found
    sign, *sizes = struct.unpack(order + "4f", raw[76:92])
    scale = np.diag([abs(size) or 1.0 for size in sizes])
    if by_quaternion <= 0:
        found[:3, :3] = scale
        return found
    b, c, d, *origin = struct.unpack(order + "6f", raw[256:280])
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    scale[2, 2] *= -1.0 if sign < 0 else 1.0
    found[:3, :3], found[:3, 3] = rotation @ scale, origin
    return found
