"""A series or an image file as numbers in space: what a connected image is once its pixels are read.

Axes are (channel, x, y, z): x along a row of pixels, y down the columns, z through the slices. The affine leads from a voxel's
place to millimetres in the room of NIfTI: to the right, to the front, to the head of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST", "Unloadable", "Volume"]

LARGEST = 1 << 29  # voxels of one volume: 2 GB as float32


class Unloadable(Exception):
    """Why an image cannot be read, in fixed words: never with a name of a file or what stands in it."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found, self.expected = found, expected


@dataclass(frozen=True, slots=True)
class Volume:
    """What was read.

    Attributes:
        values: float32 (channel, x, y, z); of CT in Hounsfield units, as the header's slope and intercept make them.
        affine: float64 (4, 4), voxel to millimetres; None where nothing says how large a voxel is.
        is_placed: whether the affine knows how the image lies in the patient, and not only how large a voxel is.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64] | None
    is_placed: bool
