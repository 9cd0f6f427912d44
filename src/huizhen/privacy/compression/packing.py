"""Levels and places as bytes for the plain lane: as many bits as they have, and not more.

Levels of 10 bits are packed four to 5 bytes and of 12 bits two to 3 bytes, little-endian in two's complement, the last group filled
up with zeros. Places are a map of bits or a list of 32-bit numbers, whichever is shorter.

>>> import numpy as np
>>> pack(np.array([-1, 1, 511], np.int16), 10).hex(' ')
'ff 07 f0 1f 00'
>>> unpack(bytes.fromhex('ff07f01f00'), 3, 10).tolist()
[-1, 1, 511]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, FederationError
from huizhen.privacy.compression.blocks import Ints

__all__ = ["pack", "pack_places", "packed_size", "unpack", "unpack_places"]

GROUPS = {10: (4, 5, "<u8"), 12: (2, 3, "<u4")}  # bits: levels in a group, its bytes, a word that holds it
WHOLE = {8: "<i1", 16: "<i2"}
AT_ONCE = 1 << 15  # levels whose words are held at once; whole groups


def packed_size(count: int, bits: int) -> int:
    """Bytes of `count` levels of 8, 10, 12 or 16 bits."""
    if bits in WHOLE:
        return count * bits // 8
    levels, size, _ = _group(bits)
    return -(-count // levels) * size


def pack(levels: NDArray[Any], bits: int) -> bytes:
    """Levels as bytes.

    Args:
        levels: whole numbers (n,) from -2**(bits - 1) to 2**(bits - 1) - 1.
        bits: 8, 10, 12 or 16.

    Raises:
        CallerError: a level that has more bits, or another number of bits.
    """
    if len(levels) and not -(2 ** (bits - 1)) <= int(levels.min()) <= int(levels.max()) < 2 ** (bits - 1):
        raise CallerError(f"a level has more than the {bits} bits that it is to be packed in")
    if bits in WHOLE:
        return levels.astype(WHOLE[bits]).tobytes()
    per_group, size, word = _group(bits)
    packed = np.empty((-(-len(levels) // per_group), size), np.uint8)
    for start in range(0, len(levels), AT_ONCE):
        words = _words(levels[start : start + AT_ONCE], per_group, word)
        together = _moved(words, bits, start=16, end=bits)
        first, each = start // per_group, together.view(np.uint8).reshape(len(words), -1)
        for byte in range(size):  # column by column: many times faster than rows of so few bytes
            packed[first : first + len(words), byte] = each[:, byte]
    return packed.tobytes()


def unpack(packed: bytes, count: int, bits: int) -> NDArray[Any]:
    """The levels behind `pack`: int8 for 8 bits, else int16, (count,).

    Raises:
        FederationError: not as many bytes as `count` levels take, or a last group that is not filled up with zeros.
        CallerError: another number of bits.
    """
    if len(packed) != packed_size(count, bits):
        raise FederationError(
            f"packed levels have {len(packed)} bytes, expected {packed_size(count, bits)} for {count} of {bits} bits"
        )
    if bits in WHOLE:
        whole: NDArray[Any] = np.frombuffer(packed, WHOLE[bits]).copy()
        return whole
    per_group, size, word = _group(bits)
    groups = np.frombuffer(packed, np.uint8).reshape(-1, size)
    levels = np.empty(len(groups) * per_group, np.int16)
    sign = np.int16(2 ** (bits - 1))
    for first in range(0, len(groups), AT_ONCE // per_group):
        part = groups[first : first + AT_ONCE // per_group]
        together = np.zeros(len(part), word)
        each = together.view(np.uint8).reshape(len(part), -1)
        for byte in range(size):
            each[:, byte] = part[:, byte]
        found = levels[first * per_group :][: len(part) * per_group]
        np.bitwise_xor(_moved(together, bits, start=bits, end=16).view(np.int16), sign, out=found)
        np.subtract(found, sign, out=found)
    if levels[count:].any():
        raise FederationError("packed levels end in bits that are not zero, so they were not packed here")
    found_levels: NDArray[Any] = levels[:count]
    return found_levels


def pack_places(places: Ints, size: int) -> bytes:
    """Which of `size` entries are meant.

    Args:
        places: rising, from 0 to size - 1, below 2**32; int64 (k,).

    Raises:
        CallerError: places that do not rise, or lie outside.
    """
    if len(places) and (places[0] < 0 or places[-1] >= size or (np.diff(places) <= 0).any()):
        raise CallerError("places must rise and lie within the vector")
    if not _as_map(len(places), size):
        return places.astype("<u4").tobytes()
    bits = np.zeros(size, np.bool_)
    bits[places] = True
    return np.packbits(bits, bitorder="little").tobytes()


def unpack_places(packed: bytes, count: int, size: int) -> Ints:
    """The places behind `pack_places`, int64 (count,).

    Raises:
        FederationError: another number of places or bytes, or places that do not rise or lie outside.
    """
    malformed = FederationError(f"packed places are not {count} rising places below {size}")
    if not 0 <= count <= size or len(packed) != (-(-size // 8) if _as_map(count, size) else 4 * count):
        raise malformed
    if _as_map(count, size):
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
        places = np.flatnonzero(bits)
    else:
        places = np.frombuffer(packed, "<u4").astype(np.int64)
    if len(places) != count or (count and (places[-1] >= size or (np.diff(places) <= 0).any())):
        raise malformed
    return places


def _as_map(count: int, size: int) -> bool:
    return -(-size // 8) < 4 * count


def _group(bits: int) -> tuple[int, int, str]:
    if bits not in GROUPS:
        raise CallerError(f"levels are packed in 8, 10, 12 or 16 bits, not in {bits}")
    return GROUPS[bits]


def _words(levels: NDArray[Any], per_group: int, word: str) -> NDArray[Any]:
    """Levels side by side, 16 bits each, a group in a word."""
    wide = np.zeros(-(-len(levels) // per_group) * per_group, "<i2")
    np.copyto(wide[: len(levels)], levels, casting="unsafe")
    return wide.view(word)


def _moved(words: NDArray[Any], bits: int, *, start: int, end: int) -> NDArray[Any]:
    """The low `bits` of every field of a word, of fields that begin every `start` bits, to where they begin every `end` bits."""
    mask = np.array(2**bits - 1, words.dtype)
    moved: NDArray[Any] = words & mask
    for field in range(1, GROUPS[bits][0]):
        one = (words >> np.array(field * start, words.dtype)) & mask
        moved |= one << np.array(field * end, words.dtype)
    return moved
