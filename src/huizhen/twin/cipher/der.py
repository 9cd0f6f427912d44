"""The few DER structures of signatures and SM2 ciphertexts (ITU-T X.690): how they are written, and how long they are.

An integer of n random bytes takes n bytes, or n + 1 where its first bit is set, and rarely fewer: the size of such a structure is
not one number. What it will be in the middle and between which ends it nearly always lies is.

>>> integer(bytes.fromhex("00ff")).hex(), integer(b"\\x7f").hex()
('020200ff', '02017f')
>>> of_integers(32, 32)
(70, 71, 72)
"""

from __future__ import annotations

from itertools import product

__all__ = ["integer", "octets", "of_integers", "sequence"]

INTEGER, OCTETS, SEQUENCE = 0x02, 0x04, 0x30


def integer(big_endian: bytes) -> bytes:
    """A number of 0 or more."""
    shortest = big_endian.lstrip(b"\0") or b"\0"
    return _told(INTEGER, b"\0" * (shortest[0] >> 7) + shortest)


def octets(content: bytes) -> bytes:
    """Bytes as they are."""
    return _told(OCTETS, content)


def sequence(*parts: bytes) -> bytes:
    """Parts in order."""
    return _told(SEQUENCE, b"".join(parts))


def of_integers(*lengths: int, octet_lengths: tuple[int, ...] = ()) -> tuple[int, int, int]:
    """Bytes of a sequence of integers of so many random bytes, and of byte strings behind them: least, middle and most.

    Of two integers, 99 in 100 lie between the ends: one of them is shorter still once in 256 times.
    """
    beside = sum(size_told(length) for length in octet_lengths)
    sizes = sorted(
        size_told(beside + sum(size_told(length + more) for length, more in zip(lengths, added, strict=True)))
        for added in product((0, 1), repeat=len(lengths))
    )
    return sizes[0], sizes[len(sizes) // 2], sizes[-1]


def size_told(length: int) -> int:
    """Bytes of a content with its tag and length before it."""
    return 2 + length if length < 0x80 else 2 + (length.bit_length() + 7) // 8 + length


def _told(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    written = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(written)]) + written + content
