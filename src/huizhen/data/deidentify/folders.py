"""A folder of reports or of DICOM files in, a folder out. Names of files may be a patient's, so that none is kept and none is told.

A file that cannot be read, or in which words may be burnt into the image, is set aside: it is counted and not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huizhen.data.deidentify.burnt import border_has_text, burnt_in
from huizhen.data.deidentify.dicom import deidentify, pydicom, quiet
from huizhen.data.deidentify.files import Done, written_whole
from huizhen.data.deidentify.profile import Profile, profile_of
from huizhen.data.deidentify.regions import CLEANED, blanked, fitting
from huizhen.data.deidentify.rules import TextPlan, text_plan_of
from huizhen.data.deidentify.secret import Secret
from huizhen.data.deidentify.text import replaced
from huizhen.errors import DataError, Problem, SiteError

__all__ = ["deidentify_folder"]

REPORT = ".txt"
LARGEST = 1 << 24  # bytes of a report
UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # transfer syntaxes whose pixels can be looked at without a decoder


def deidentify_folder(path: Path, out: Path | None, rules: Mapping[str, Any], secret: Secret) -> Done:
    """Reports (``*.txt``, UTF-8 or GB18030) by ``[text]``, DICOM files (every other file with its mark) by ``[dicom]``.

    Raises:
        SiteError: the rules are wrong, or the folder for the output is there already.
        DataError: there is nothing to read.
    """
    text, profile = text_plan_of(rules), profile_of(rules)
    files = sorted(each for each in path.rglob("*") if each.is_file() and not each.is_symlink())
    if not files:
        raise DataError(f"{path.name} cannot be read", [Problem(str(path), "no files", "reports (.txt) or DICOM files")])
    if out is not None:
        _made(out)
    done = Done()
    with quiet():
        _all(files, path, out, (text, profile), secret, done)
    return done


def _all(files: Iterable[Path], path: Path, out: Path | None, rules: tuple[TextPlan, Profile], secret: Secret, done: Done) -> None:
    text, profile = rules
    for file in files:
        done.units += 1
        if file.suffix.lower() == REPORT:
            content = _report(file)
            if content is None:
                done.notes["no text in UTF-8 or GB18030"] += 1
                continue
            cleaned = replaced(content, text, secret)
            done.counts.update({("report", category): count for category, count in cleaned.counts.items()})
            if out is not None:
                with written_whole(out / f"{secret.pseudonym('file', str(file.relative_to(path)))}.txt") as stream:
                    stream.write(cleaned.text)
            done.kept += 1
        else:
            _image(file, out, profile, secret, done)


def _image(file: Path, out: Path | None, profile: Profile, secret: Secret, done: Done) -> None:
    dataset = _read(file)
    if dataset is None:
        done.notes["no DICOM file that can be read"] += 1
        return
    region = fitting(dataset, profile.blank)
    if region is not None and not blanked(dataset, region):
        done.notes["regions to be blanked, in pixels that are packed"] += 1
        return
    reason = "" if region is not None else burnt_in(dataset) or ("letters at the border, perhaps" if _has_letters(dataset) else "")
    if reason:
        done.notes[reason] += 1
        if profile.burnt_in == "set aside":
            return
    try:
        header = deidentify(dataset, profile, secret, also=(CLEANED,) if region is not None else ())
        uid = str(dataset.get("SOPInstanceUID", "")) or secret.pseudonym("file", str(file))
        if out is not None:
            _write(dataset, out / f"{uid}.dcm")
    except SiteError:
        raise
    except Exception:  # pydicom meets values that no standard allows; what it says of them quotes them
        done.notes["no DICOM file that can be read"] += 1
        return
    if region is not None:
        done.counts["DICOM", "regions blanked"] += len(region.boxes)
    done.counts.update({("DICOM", what): count for what, count in header.counts.items()})
    done.kept += 1


def _read(file: Path) -> Any:
    library = pydicom()
    try:
        return library.dcmread(file)
    except Exception:  # the same
        return None


def _has_letters(dataset: Any) -> bool:
    meta = getattr(dataset, "file_meta", {})
    if str(meta.get("TransferSyntaxUID", "")) not in UNCOMPRESSED or "PixelData" not in dataset:
        return False
    try:
        pixels = dataset.pixel_array
    except Exception:  # fewer bytes than the header says
        return False
    return border_has_text(pixels)


def _write(dataset: Any, place: Path) -> None:
    half = place.with_name(f".{place.name}.part")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            dataset.save_as(stream)
        os.replace(half, place)
    finally:
        half.unlink(missing_ok=True)


def _report(file: Path) -> str | None:
    with file.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        return None
    return next(_decoded(content), None)


def _decoded(content: bytes) -> Iterator[str]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            yield content.decode(encoding)
        except UnicodeDecodeError:
            continue


def _made(out: Path) -> None:
    try:
        out.mkdir(mode=0o700)
    except OSError as error:
        found = "a folder that is there already" if isinstance(error, FileExistsError) else str(error.strerror)
        raise SiteError("The output cannot be written.", [Problem(str(out), found, "a new folder")]) from None
