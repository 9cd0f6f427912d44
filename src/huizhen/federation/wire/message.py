"""One message, one sequence of bytes: canonical CBOR, with large arrays behind it, neither copied nor parsed.

    offset  bytes
    0       2      "HZ"
    2       1      version, 1
    3       1      0
    4       4      size of the head, little-endian
    8       ...    the head: deterministic CBOR (RFC 8949, section 4.2) of the value, a large array replaced by its place
    ...            zero bytes to a multiple of 8, then the arrays, little-endian, each padded to a multiple of 8

A reader of version 1 refuses other versions by name; keys of mappings that it does not know are the caller's to ignore.

>>> import numpy as np
>>> packed = pack({"round": 3, "weights": np.arange(5000.0)})
>>> value = unpack(packed.whole())
>>> value["round"], float(value["weights"].sum())
(3, 12497500.0)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen import canonical
from huizhen.errors import FederationError, Problem

__all__ = ["Packed", "pack", "unpack"]

MAGIC, VERSION = b"HZ", 1
OPENING = struct.Struct("<2sBBI")
LARGE = 4096  # bytes from which an array stands behind the head
LARGEST_HEAD = 16 << 20  # what it holds takes up to some sixty times as much memory
DEEPEST = 24  # mappings and lists inside each other
PLACE = "\0array"  # the key that marks a place; no mapping of ours has it
DTYPES = {name: np.dtype(name) for name in ("<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1")}
ZEROS = bytes(8)
LEAVES = frozenset({type(None), bool, int, float, str, bytes})  # what holds neither arrays nor anything else


@dataclass(frozen=True, slots=True)
class Packed:
    """A message ready to be sent: its buffers in order; arrays are views of the ones that were packed.

    Attributes:
        size: bytes in all.
    """

    buffers: tuple[memoryview, ...]
    size: int

    def whole(self) -> bytes:
        """All of it, copied into one."""
        return b"".join(self.buffers)

    def piece(self, first: int, size: int) -> bytes:
        """The bytes from `first` on, at most `size` of them."""
        return b"".join(self._parts(first, min(first + size, self.size)))

    def _parts(self, first: int, end: int) -> Iterator[memoryview]:
        begins = 0
        for buffer in self.buffers:
            if begins < end and begins + len(buffer) > first:
                yield buffer[max(first - begins, 0) : end - begins]
            begins += len(buffer)


def pack(value: Mapping[str, Any]) -> Packed:
    """A message for a value of the types that `canonical.encode` knows.

    Raises:
        TypeError: a part of the value is of another type.
    """
    arrays: list[NDArray[Any]] = []
    head = canonical.encode(_set_aside(value, arrays))
    begins = OPENING.size + len(head)
    buffers = [memoryview(OPENING.pack(MAGIC, VERSION, 0, len(head)) + head + ZEROS[: -begins % 8])]
    for array in arrays:
        buffers.append(memoryview(array.reshape(-1).view(np.uint8).data))
        if array.nbytes % 8:
            buffers.append(memoryview(ZEROS[: -array.nbytes % 8]))
    return Packed(tuple(buffers), sum(map(len, buffers)))


def unpack(message: bytes | bytearray | memoryview) -> dict[str, Any]:
    """The value behind a message; arrays are read-only views of it, tuples come back as lists.

    Raises:
        FederationError: it is no message, of another version, cut short, or goes on behind its end.
    """
    view = memoryview(message).toreadonly()
    if len(view) < OPENING.size:
        raise _unreadable(f"{len(view)} bytes", f"at least {OPENING.size}")
    magic, version, _, size = OPENING.unpack(view[: OPENING.size])
    if magic != MAGIC:
        raise _unreadable("something else", "a message of Huizhen")
    if version != VERSION:
        remedy = "Bring the older of the two programs to the other's release"
        raise _unreadable(f"version {version}", f"version {VERSION}", remedy)
    begins = OPENING.size + size
    if size > LARGEST_HEAD or begins > len(view):
        raise _unreadable(f"a head of {size} bytes in {len(view)}", f"one that is there whole, at most {LARGEST_HEAD} bytes")
    try:
        value = canonical.decode(bytes(view[OPENING.size : begins]))
        reader = _Reader(view[begins + (-begins % 8) :])
        put_back = reader.put_back(value, DEEPEST)
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError, RecursionError):
        raise _unreadable("a head that cannot be read", "canonical CBOR, a few levels deep") from None
    if not reader.read_all or not isinstance(put_back, dict):
        raise _unreadable("other arrays than its head tells", "all of them, and nothing behind")
    return put_back


def _set_aside(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """The value with places in place of large arrays, which are appended to `arrays`."""
    if isinstance(value, np.ndarray):
        if value.nbytes < LARGE:
            return value
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        if little.dtype.str not in DTYPES:
            raise TypeError(f"an array of dtype {value.dtype} cannot be sent")
        arrays.append(little)
        return {PLACE: [len(arrays) - 1, little.dtype.str, list(little.shape)]}
    if isinstance(value, Mapping):
        if PLACE in value:
            raise TypeError("a mapping that would be taken for an array")
        return {key: inner if type(inner) in LEAVES else _set_aside(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [inner if type(inner) in LEAVES else _set_aside(inner, arrays) for inner in value]
    return value


class _Reader:
    """Puts arrays back in their places. They stand behind the head by number, so all numbers are seen before one is read."""

    def __init__(self, behind: memoryview) -> None:
        self._behind = behind
        self._begins: dict[int, int] = {}
        self.read_all = False

    def put_back(self, value: Any, deep: int) -> Any:
        sizes: dict[int, int] = {}
        self._measure(value, deep, sizes)
        ends = 0
        for number in range(len(sizes)):
            self._begins[number] = ends
            ends += sizes[number] + (-sizes[number] % 8)
        self.read_all = ends == len(self._behind)
        return self._replaced(value) if sizes and self.read_all else value

    def _measure(self, value: Any, deep: int, sizes: dict[int, int]) -> None:
        if deep < 0:
            raise ValueError
        if isinstance(value, dict):
            if PLACE in value:
                number, dtype, shape = _place(value)
                if number in sizes:
                    raise ValueError
                sizes[number] = math.prod(shape, start=dtype.itemsize)
                return
            value = value.values()
        elif not isinstance(value, list):
            return
        for inner in value:
            if type(inner) not in LEAVES:
                self._measure(inner, deep - 1, sizes)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, dict):
            if PLACE in value:
                number, dtype, shape = _place(value)
                size = math.prod(shape, start=dtype.itemsize)
                return np.frombuffer(self._behind[self._begins[number] :][:size], dtype).reshape(shape)
            return {key: self._replaced(inner) for key, inner in value.items()}
        return [self._replaced(inner) for inner in value] if isinstance(value, list) else value


def _place(value: Mapping[str, Any]) -> tuple[int, np.dtype[Any], list[int]]:
    number, name, shape = value[PLACE]
    if len(value) != 1 or type(number) is not int or not isinstance(name, str) or name not in DTYPES:
        raise ValueError
    if not isinstance(shape, list) or any(type(each) is not int or not 0 <= each < 2**48 for each in shape):
        raise ValueError
    return number, DTYPES[name], shape


def _unreadable(found: str, expected: str, remedy: str = "") -> FederationError:
    return FederationError("A message cannot be read.", [Problem("message", found, expected, remedy)])
