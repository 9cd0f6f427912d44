"""Scans for tests: CT series of stand-ins, NIfTI files, and a site that has connected and mapped them."""

from __future__ import annotations

import gzip
import struct

import numpy as np

from huizhen.data.events.store import Registry
from huizhen.data.synthetic.volumes import chest, write_series
from registries import synced

DICTIONARY = """
[variable.scan]
type = "image"
shape = [1, 12, 16, 16]
steps = [{ do = "window", low = -1000, high = 400 }, { do = "resize", size = [12, 16, 16] }]
[variable.cancer]
type = "truth"
[variable.age]
type = "number"
unit = "a"
"""
MAPPING = """
[mapping]
dictionary = "dictionary.toml"
[index]
date = 2021-01-01
[variable.scan]
kind = "image"
codes = ["DICOM:CT"]
folder = "scans"
{more}
[variable.cancer]
kind = "condition"
codes = ["ICD10:C34"]
[variable.age]
kind = "person"
read = "age"
"""


def scan(folder, patient, *, nodules=0, seed=0, shape=(12, 32, 32)):
    """A CT series of a stand-in, one file for each slice; returns its voxels."""
    rng = np.random.default_rng(seed)
    volume, _ = chest(shape, nodules, rng)
    folder.mkdir(parents=True)
    assert len(list(write_series(folder, patient, volume, rng))) == shape[0]
    return volume


def nifti(path, values, spacing=(2.0, 2.0, 2.0), *, slope=0.0, intercept=0.0, by_quaternion=False):
    """A NIfTI-1 file of int16 (x, y, z), x to the right, y to the front, z to the head."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<4f", header, 76, 1.0, *spacing)
    struct.pack_into("<3f", header, 108, 352.0, slope, intercept)
    struct.pack_into("<2h", header, 252, int(by_quaternion), int(not by_quaternion))
    if not by_quaternion:
        for row in range(3):
            struct.pack_into("<4f", header, 280 + 16 * row, *[spacing[row] if row == column else 0.0 for column in range(4)])
    header[344:348] = b"n+1\0"
    content = bytes(header) + values.astype("<i2").tobytes(order="F")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def connected(folder, patients, *, dictionary=DICTIONARY, more="", mapping=MAPPING, patient="header"):
    """A site with its scans and diagnoses in a registry; returns its mapping.

    Args:
        patients: those who have cancer, by name.
    """
    (folder / "dictionary.toml").write_text(dictionary, encoding="utf-8")
    (folder / "map.toml").write_text(mapping.format(more=more), encoding="utf-8")
    lines = [f"{name},{'C34' if is_ill else 'Z00'}" for name, is_ill in patients.items()]
    (folder / "diagnoses.csv").write_text("\n".join(["patient,code", *lines, ""]), encoding="utf-8")
    registry = Registry(folder / "registry")
    synced(registry, folder, "pacs", kind="dicom", path="scans", patient=patient)
    synced(
        registry, folder, "emr", kind="table", path="diagnoses.csv", patient="patient", row="condition", code="code", system="ICD10"
    )
    return folder / "map.toml"
