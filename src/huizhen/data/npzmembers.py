"""The arrays in an ``.npz`` archive: what they are by their headers, and their values read straight into one array a column.

An archive may be a trap: a header that promises more than the file holds, a small file that unpacks to fill the memory, names that
climb out of a folder. All of it shows in the headers and the archive's list, which are judged before a value is read. Nothing is
unpacked to disk.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.declared import short
from huizhen.data.images import sized
from huizhen.data.labels import NO_TEXT
from huizhen.data.npyheader import Header, Unfit, read_header
from huizhen.errors import DataError, Problem

__all__ = ["MOST", "SPARE", "Member", "members", "read"]

LARGE = 2**31  # bytes that any archive may unpack to
PACKED = 200  # times its own size that it may unpack to beyond that; photographs reach 2, empty label maps some 150
BLOCK = 2**18  # bytes read at once: larger pieces cost more, as each gets memory of its own
MOST = 10_000  # arrays of an archive, and columns that they make
BROKEN = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
SURROGATES, BEYOND = (0xD800, 0xDFFF), 0x110000  # codes that are no characters
COPY = "Copy or export it again"
DAMAGED = ("a damaged file, or none in npz format", "a whole file written by numpy.savez")
SPARE = "Leave out what no study needs"


@dataclass(frozen=True, slots=True)
class Member:
    """One array of an archive.

    Attributes:
        name: without ``.npy``.
        file: its name in the archive.
    """

    name: str
    file: str
    header: Header


def members(path: Path) -> tuple[Member, ...]:
    """The arrays, in the order of the archive.

    Raises:
        DataError: no archive, a damaged one, or one that should not be opened; all that is wrong with it.
    """
    found: list[Member | Problem]
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            bad = _bad_list(path, entries)
            found = [bad] if bad else [_member(path.name, archive, each) for each in entries]
    except BROKEN:
        found = [Problem(path.name, *DAMAGED, COPY)]
    problems = [each for each in found if isinstance(each, Problem)]
    if problems:
        raise DataError(f"{path.name} cannot be opened as arrays", problems)
    return tuple(each for each in found if isinstance(each, Member))


def read(path: Path, columns: Sequence[Sequence[Member]]) -> list[NDArray[Any]]:
    """The values of several columns, the archive being opened once.

    Args:
        columns: for each the arrays of which it is made, one below the other, which differ in their rows alone.

    Raises:
        DataError: the archive is damaged, or memory too small for it; all damaged arrays at once.
    """
    found: list[NDArray[Any]] = []
    problems: list[Problem] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for parts in columns:
                values = _column(path.name, archive, parts)
                (problems if isinstance(values, Problem) else found).append(values)  # type: ignore[arg-type]
    except BROKEN:
        problems = [Problem(path.name, *DAMAGED, COPY)]
    if problems:
        raise DataError(f"{path.name} cannot be read", problems)
    return found


def _column(where: str, archive: zipfile.ZipFile, parts: Sequence[Member]) -> NDArray[Any] | Problem:
    rows = sum(part.header.shape[0] for part in parts)
    dtype = np.result_type(*(part.header.dtype for part in parts))
    shape, start = (rows, *parts[0].header.shape[1:]), 0
    try:
        whole = np.empty(shape, dtype)
        for part in parts:
            stop = start + part.header.shape[0]
            _read_into(archive, part, whole[start:stop])
            if dtype.kind == "U" and not _is_text(whole[start:stop]):
                return Problem(f"{where}, array {short(part.name)!r}", *NO_TEXT)
            start = stop
    except MemoryError:
        return Problem(where, f"an array of {sized(shape)}, {dtype}", "arrays that memory holds", "Use fewer or smaller images")
    except BROKEN:
        return Problem(f"{where}, array {short(part.name)!r}", "a damaged array", "values as its header promises", COPY)
    return whole


def _is_text(values: NDArray[Any]) -> bool:
    """Whether every code is that of a character; Python's own text must not be made of others."""
    codes = values.astype(values.dtype.newbyteorder("="), copy=False).reshape(-1).view(np.uint32)
    low, high = SURROGATES
    return all(
        not ((block >= BEYOND) | ((block >= low) & (block <= high))).any()
        for block in (codes[start : start + BLOCK] for start in range(0, len(codes), BLOCK))
    )


def _read_into(archive: zipfile.ZipFile, member: Member, target: NDArray[Any]) -> None:
    header = member.header
    direct = not header.fortran and header.dtype == target.dtype and target.size > 0
    values = target if direct else np.empty(header.shape[::-1] if header.fortran else header.shape, header.dtype)
    space = values.reshape(-1).view(np.uint8)
    with archive.open(member.file) as stream:
        stream.read(header.at)
        for start in range(0, len(space), BLOCK):
            block = space[start : start + BLOCK]
            told = stream.read(len(block))
            if len(told) < len(block):
                raise EOFError
            block[:] = np.frombuffer(told, np.uint8)
        if stream.read(1):  # the end, where the checksum is compared
            raise ValueError
    if not direct:
        target[...] = values.T if header.fortran else values


def _bad_list(path: Path, entries: Sequence[zipfile.ZipInfo]) -> Problem | None:
    names = [entry.filename for entry in entries]
    if not names:
        return Problem(path.name, "an empty archive", "arrays written by numpy.savez")
    if len(names) > MOST:
        return Problem(path.name, f"{len(names)} arrays", f"at most {MOST}", SPARE)
    strange = [name for name in names if not name.endswith(".npy") or {"/", "\\", "\0"} & set(name) or name.startswith(".")]
    if strange:
        return Problem(
            path.name, f"{len(strange)} of {len(names)} entries that are no arrays", "arrays written by numpy.savez alone"
        )
    if any(count > 1 for count in Counter(names).values()):
        return Problem(path.name, "two arrays of one name", "names that differ", "Save it again with numpy.savez")
    if any(entry.flag_bits & 1 for entry in entries):
        return Problem(path.name, "an encrypted archive", "an archive without password")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(LARGE, PACKED * path.stat().st_size):
        found = f"an archive that unpacks to {unpacked / 2**30:.1f} GiB, over {PACKED} times its size"
        return Problem(path.name, found, "arrays about as large as they look", "Save them unpacked, with numpy.savez")
    return None


def _member(where: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member | Problem:
    name = entry.filename.removesuffix(".npy")
    where = f"{where}, array {short(name)!r}"
    try:
        with archive.open(entry) as stream:
            header = read_header(stream)
    except Unfit as reason:
        return reason.problem(where)
    except BROKEN:
        return Problem(where, "a damaged array", "values as its header promises", COPY)
    if 0 in header.shape[1:]:
        return Problem(where, "an array without values", "at least one value in each row")
    if header.at + header.bytes != entry.file_size:
        found = f"a header that promises {header.bytes} bytes of values, and {max(entry.file_size - header.at, 0)} of them"
        return Problem(where, found, "values as its header promises", COPY)
    return Member(name, entry.filename, header)
