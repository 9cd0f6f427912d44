"""Folders of DICOM or NIfTI files: one event per series and folder; headers alone are read, never a pixel.

Attributes are those of https://dicom.nema.org/medical/dicom/current/output/html/part03.html; a NIfTI header is that of
https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h. A folder whose files have not changed is not read again.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from huizhen.data.connectors.files import Stamp, changed_files, unreadable
from huizhen.data.connectors.moments import NO_TIME, moment
from huizhen.data.connectors.options import DicomOptions
from huizhen.data.events.schema import Batch, Changes, Event, part_of
from huizhen.errors import MachineError, Problem

__all__ = ["images"]

NIFTI = (".nii", ".nii.gz")
NO_PIXELS = "a DICOM file without pixel data"
NO_DICOM = "a file that is neither DICOM nor NIfTI"
NO_PATIENT = "a series without a patient"
MIXED_PATIENTS = "a series with files of more than one patient"
MIXED = "a series with images of more than one size or modality: kept as one"
WANTED = (
    *("PatientID", "Modality", "SeriesInstanceUID", "BodyPartExamined", "Rows", "Columns", "NumberOfFrames"),
    *("SeriesDate", "SeriesTime", "StudyDate", "StudyTime", "AcquisitionDate", "TimezoneOffsetFromUTC"),
)
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})  # floats, doubles, integers


def images(root: Path, options: DicomOptions, cursor: Any) -> Changes:
    """The series in the folders that have changed.

    Args:
        cursor: of the last sync: by folder a digest of its files, and its series.
    """
    return Changes(_batches(root, options, dict(cursor["folders"]) if cursor else {}), settings=options.digest)


@dataclass(slots=True)
class _Series:
    """What the headers of one series in one folder say."""

    patients: set[str] = field(default_factory=set)
    shapes: set[tuple[Any, ...]] = field(default_factory=set)
    modality: str = ""
    region: str = ""
    begins: Any = None
    count: int = 0


def _batches(root: Path, options: DicomOptions, known: dict[str, Any]) -> Iterator[Batch]:
    seen = set()
    found = changed_files(root, (), {})
    for folder, group in groupby(found, key=lambda file: file[1].rpartition("/")[0]):
        files = list(group)
        seen.add(folder)
        digest = _digest([(name, stamp) for _, name, stamp in files])
        if folder in known and known[folder][0] == digest:
            continue
        batch = _folder(files, folder, options)
        records = list(dict.fromkeys(event.record for event in batch.events))
        gone = [record for record in (known[folder][1] if folder in known else ()) if record not in records]
        known[folder] = [digest, records]
        yield Batch(batch.events, batch.read, batch.refused, batch.notes, gone, {"folders": known})
    for folder in [folder for folder in known if folder not in seen]:
        yield Batch(removed=known.pop(folder)[1], cursor={"folders": known})
    yield Batch(cursor={"folders": known})


def _folder(files: Sequence[tuple[Path, str, Stamp]], folder: str, options: DicomOptions) -> Batch:
    series: dict[str, _Series] = {}
    events: list[Event] = []
    refused: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    above = folder.partition("/")[0] if options.patient == "folder" else ""
    for path, name, _ in files:
        try:
            if name.lower().endswith(NIFTI):
                events.append(_nifti(path, name, above))
            else:
                _add(series, path, above)
        except _Refused as refusal:
            refused[refusal.reason] += 1
        except (OSError, EOFError) as error:
            refused[unreadable(error)] += 1
    for uid, one in series.items():
        if len(one.patients) > 1 or not all(one.patients):
            refused[NO_PATIENT if len(one.patients) == 1 else MIXED_PATIENTS] += 1
            continue
        notes[MIXED] += len(one.shapes) > 1
        events.append(_event(uid, one, folder))
    return Batch(events, len(files), refused, +notes)


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _event(uid: str, one: _Series, folder: str) -> Event:
    """One folder holds one event of a series; the same series in two folders is two records."""
    record = part_of(f"{uid}@{hashlib.sha256(folder.encode()).hexdigest()[:12]}")
    (patient,) = one.patients
    where, region, number = folder or ".", one.region or None, float(one.count)
    return Event(patient, "image", record, "DICOM", one.modality or None, region, number, where, "images", one.begins)


def _add(series: dict[str, _Series], path: Path, above: str) -> None:
    header, has_pixels = _header(path)
    if not has_pixels:
        raise _Refused(NO_PIXELS)
    uid = str(header.get("SeriesInstanceUID", "")).strip()
    if not uid:
        raise _Refused("a DICOM file without a series")
    begins = _moment(header)  # a file that is refused leaves nothing behind
    one = series.setdefault(uid, _Series())
    one.patients.add(above or str(header.get("PatientID", "") or "").strip())
    one.modality = one.modality or str(header.get("Modality", "") or "")
    one.shapes.add((str(header.get("Modality", "")), header.get("Rows"), header.get("Columns")))
    one.region = one.region or str(header.get("BodyPartExamined", "") or "")
    one.count += int(header.get("NumberOfFrames", 1) or 1)
    one.begins = one.begins or begins


def _header(path: Path) -> tuple[Any, bool]:
    pydicom = _pydicom()
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_partial

    reached: list[bool] = []

    def at_pixels(tag: int, _representation: Any, _length: int) -> bool:
        if tag in PIXELS:
            reached.append(True)
        return tag >= 0x7FE00008

    try:
        with path.open("rb") as file:
            header = read_partial(file, stop_when=at_pixels, specific_tags=[pydicom.tag.Tag(name) for name in WANTED])
            values = {name: header.get(name) for name in WANTED}
    except InvalidDicomError:
        raise _Refused(NO_DICOM) from None
    except OSError:
        raise
    except Exception:  # pydicom lets many errors of a damaged file through, with what stands in it
        raise _Refused("a file that is cut off or damaged") from None
    return values, bool(reached)


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        problem = Problem("pydicom", "a package that is not installed", "pydicom", "pip install 'huizhen[registry]'")
        raise MachineError("DICOM files cannot be read.", [problem]) from None
    return pydicom


def _moment(header: Any) -> Any:
    for day, hour in (("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"), ("AcquisitionDate", "")):
        date = str(header.get(day) or "").strip()
        if date:
            time = str(header.get(hour) or "").split(".")[0].strip() if hour else ""
            zone = str(header.get("TimezoneOffsetFromUTC") or "").strip() if time else ""
            try:
                return moment(date + (f"T{time}{zone}" if time else ""))
            except ValueError:
                raise _Refused(NO_TIME) from None
    return None


def _nifti(path: Path, name: str, above: str) -> Event:
    patient = above or name.rpartition("/")[0].partition("/")[0]
    if not patient:
        raise _Refused(NO_PATIENT)
    with gzip.open(path, "rb") if name.lower().endswith(".gz") else path.open("rb") as file:
        raw = file.read(348)
    for order in "<>":
        if len(raw) == 348 and struct.unpack(order + "i", raw[:4])[0] == 348 and raw[344:347] in (b"n+1", b"ni1"):
            dimensions = struct.unpack(order + "8h", raw[40:56])
            count = dimensions[3] if dimensions[0] >= 3 else 1
            return Event(patient, "image", part_of(name), "local", "NIfTI", None, float(count), name, "images")
    raise _Refused(NO_DICOM)


def _digest(files: Sequence[tuple[str, Stamp]]) -> str:
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
