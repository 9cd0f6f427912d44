"""Volumes that look enough like a CT of the chest to read, store and train on: a body, two lungs, nodules; in Hounsfield units.

Radiodensities: air -1000, lung about -850, soft tissue about 40 (DICOM PS3.3 C.11.1 for the rescaling to them).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import MachineError, Problem

__all__ = ["chest", "write_series"]

AIR, LUNG, TISSUE, NODULE, NOISE = -1000, -850, 40, 20, 15
INTERCEPT = -1024
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage, DICOM PS3.4 B.5
EXPLICIT = "1.2.840.10008.1.2.1"  # Explicit VR Little Endian, DICOM PS3.5 A.2
UID_ROOT = "2.25."  # identifiers made of a random number, DICOM PS3.5 B.2


def chest(shape: tuple[int, int, int], nodules: int, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A volume in Hounsfield units and its label map (1: nodule), both (slice, row, column)."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij", sparse=True)
    body = (x / 0.95) ** 2 + (y / 0.75) ** 2 + 0 * z <= 1
    lungs = np.zeros(shape, dtype=bool)
    for side in (-0.42, 0.42):
        lungs |= ((x - side) / 0.32) ** 2 + (y / 0.52) ** 2 + (z / 0.95) ** 2 <= 1
    values = np.where(lungs, LUNG, np.where(body, TISSUE, AIR)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    for _ in range(nodules):
        side = rng.choice([-0.42, 0.42])
        centre = (rng.uniform(-0.5, 0.5), rng.uniform(-0.25, 0.25), side + rng.uniform(-0.15, 0.15))
        size = rng.uniform(0.05, 0.12)
        inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= size**2
        values[inside], labels[inside] = NODULE, 1
    noise = rng.normal(0, NOISE, shape)
    return np.clip(np.rint(values + noise), INTERCEPT, 3071).astype(np.int16), labels


def write_series(folder: Path, patient: str, volume: NDArray[np.int16], rng: np.random.Generator) -> Iterator[Path]:
    """A DICOM file for each slice; yields as it writes.

    Raises:
        MachineError: pydicom is not installed.
    """
    study, series = (UID_ROOT + str(int(rng.integers(1 << 62))) for _ in range(2))
    for number, pixels in enumerate(volume, 1):
        path = folder / f"{number:04d}.dcm"
        _slice(patient, study, series, number, len(volume), pixels, rng).save_as(path, enforce_file_format=True)
        yield path


def _slice(
    patient: str, study: str, series: str, number: int, slices: int, pixels: NDArray[np.int16], rng: np.random.Generator
) -> Any:
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
    except ImportError:
        problem = Problem("pydicom", "a package that is not installed", "pydicom", "pip install 'huizhen[registry]'")
        raise MachineError("DICOM files cannot be written.", [problem]) from None
    found: Any = Dataset()
    meta: Any = FileMetaDataset()
    instance = UID_ROOT + str(int(rng.integers(1 << 62)))
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CT_IMAGE, instance, EXPLICIT
    found.file_meta = meta
    found.SOPClassUID, found.SOPInstanceUID, found.StudyInstanceUID, found.SeriesInstanceUID = CT_IMAGE, instance, study, series
    found.PatientID, found.PatientName, found.Modality, found.BodyPartExamined = patient, "STANDIN", "CT", "CHEST"
    found.StudyDate = found.SeriesDate = "20200101"
    found.InstanceNumber, found.SliceThickness = number, 320 / slices
    found.ImagePositionPatient = [0.0, 0.0, 320 * (number - 1) / slices]
    found.ImageOrientationPatient, found.PixelSpacing = [1, 0, 0, 0, 1, 0], [320 / pixels.shape[0]] * 2
    found.Rows, found.Columns, found.SamplesPerPixel, found.PhotometricInterpretation = *pixels.shape, 1, "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 16, 12, 11, 0
    found.RescaleSlope, found.RescaleIntercept = 1, INTERCEPT
    found.PixelData = (pixels.astype(np.int32) - INTERCEPT).astype("<u2").tobytes()
    return found
