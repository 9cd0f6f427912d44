"""Files of a source: which have changed, and their content, in a memory that no file can make larger.

Text is UTF-8 or, as many Chinese hospital systems write it, GB18030. What is packed is unpacked up to a limit.
"""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huizhen.errors import Problem, SiteError

__all__ = ["Stamp", "changed_files", "content", "decoded", "encoding_of", "unpacked_size", "unreadable", "unreadable_source"]

LARGEST = 512 * 1024 * 1024  # bytes of one file that is read as a whole, unpacked
LARGEST_PACKED = 64 * 1024**3  # bytes that an archive read piece by piece may hold
LOOKED_AT = 1 << 20  # bytes at a time while the encoding is found out
Stamp = list[int]  # size and time of change of a file


def changed_files(root: Path, endings: Sequence[str], known: Mapping[str, Stamp]) -> Iterator[tuple[Path, str, Stamp]]:
    """Files below a folder, or the one file, that are not as they were, by name: path, name in the source, stamp.

    Links to folders are not followed, so that none leads around in a circle.

    Raises:
        SiteError: nothing is there.
    """
    for path, name in _walk(root, endings):
        try:
            facts = path.stat()
        except OSError:  # gone since the folder was listed
            continue
        stamp = [facts.st_size, facts.st_mtime_ns]
        if known.get(name) != stamp:
            yield path, name, stamp


def content(path: Path, limit: int = LARGEST) -> bytes:
    """A file, unpacked where its name ends in ``.gz``.

    Raises:
        ValueError: it is larger than the limit, in words that name no file. EOFError, OSError: it is cut off or cannot be read.
    """
    with _open(path) as file:
        found: bytes = file.read(limit + 1)
    if len(found) > limit:
        raise ValueError("a file that is too large to be read as a whole")
    return found


def decoded(raw: bytes) -> str:
    """Text in UTF-8 (with or without a mark) or GB18030.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("gb18030")


def encoding_of(path: Path) -> str:
    """``utf-8-sig`` or ``gb18030``, whichever all of a file can be read in.

    Raises:
        UnicodeError: neither.
    """
    for name in ("utf-8-sig", "gb18030"):
        try:
            with path.open(encoding=name, newline="") as file:
                while file.read(LOOKED_AT):
                    pass
            return name
        except UnicodeDecodeError:
            continue
    raise UnicodeError("text that is neither UTF-8 nor GB18030")


def unpacked_size(archive: zipfile.ZipFile, limit: int = LARGEST_PACKED) -> None:
    """Refuses an archive that would become too large, or whose members are packed beyond what records ever are.

    Raises:
        ValueError: it would.
    """
    members = archive.infolist()
    size, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if size > limit or (size > LOOKED_AT and size > 1000 * max(packed, 1)):
        raise ValueError("an archive that unpacks to far more than it should")


def unreadable(error: BaseException) -> str:
    """Why a file could not be read, in fixed words; what the error says may hold values."""
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile | zipfile.BadZipFile):
        return "a file that is cut off or damaged"
    if isinstance(error, PermissionError):
        return "a file that may not be read"
    if isinstance(error, UnicodeError):
        return "text that is neither UTF-8 nor GB18030"
    if isinstance(error, ValueError) and "too large" in str(error):
        return "a file that is too large to be read as a whole"
    return "a file that cannot be read"


def unreadable_source(where: str, found: str, expected: str, remedy: str = "") -> SiteError:
    """A source that cannot be read at all."""
    return SiteError("The source cannot be read.", [Problem(where, found, expected, remedy)])


def _walk(root: Path, endings: Sequence[str]) -> Iterator[tuple[Path, str]]:
    if root.is_file():
        yield root, root.name
        return
    if not root.is_dir():
        raise unreadable_source(str(root), "no such file or folder", "a source", "Look whether the disk is mounted")
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and (not endings or name.lower().endswith(tuple(endings))):
                path = Path(folder, name)
                yield path, path.relative_to(root).as_posix()


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
