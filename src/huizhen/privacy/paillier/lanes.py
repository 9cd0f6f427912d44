"""Lanes: many small integers side by side in one number below the modulus, so that one ciphertext carries about a hundred.

From the lowest bit of a number:

    | sum of tags: 61 bits + headroom | lane 0: bits + headroom | lane 1 | ... | zeros |

Headroom is what the sum of so many addends needs, so no lane ever reaches into the next. A signed integer v stands in its lane
as v + 2^(bits - 1), which is never negative; the offsets are taken off the sum. Tags tell the key holder that a sum is whole; see
`seals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.seals import TAG_BITS

__all__ = ["MOST_ADDENDS", "MOST_BITS", "MOST_VALUES", "Lanes", "Rows"]

Rows = NDArray[np.uint64]
WORD = 64
MOST_BITS = 48  # of a value; a lane with its headroom then fits an int64
MOST_ADDENDS = 1024
MOST_VALUES = 1 << 28  # in one bundle: 268 million values, 1.3 GB encrypted


@dataclass(frozen=True)
class Lanes:
    """How values are laid out.

    Attributes:
        bits: of a signed value, 2 to 48; values lie in [-2^(bits-1), 2^(bits-1) - 1].
        addends: the most numbers that will be added, 1 to 1024.
        modulus_bits: length of the key's modulus.

    Raises:
        FederationError: numbers out of their ranges.

    >>> lanes = Lanes(16, 5, 2048)
    >>> lanes.width, lanes.count
    (19, 104)
    >>> lanes.unpack(lanes.pack(np.array([-3, 4])), addends=1, values=2)
    array([-3,  4])
    """

    bits: int
    addends: int
    modulus_bits: int

    def __post_init__(self) -> None:
        problems = [
            Problem(name, f"{found}", f"from {low} to {high}")
            for name, found, low, high in (
                ("bits of a value", self.bits, 2, MOST_BITS),
                ("addends", self.addends, 1, MOST_ADDENDS),
                ("bits of the modulus", self.modulus_bits, 512, 8192),
            )
            if not low <= found <= high
        ]
        if problems:
            raise FederationError("Lanes of this kind are not made.", problems)

    @property
    def width(self) -> int:
        """Bits of a lane."""
        return (self.addends * ((1 << self.bits) - 1)).bit_length()

    @property
    def start(self) -> int:
        """The bit at which the first lane begins; the sum of tags stands below it."""
        return TAG_BITS + (self.addends - 1).bit_length()

    @property
    def count(self) -> int:
        """Lanes of one number; the number stays below 2^(modulus_bits - 1), so below the modulus."""
        return (self.modulus_bits - 1 - self.start) // self.width

    def numbers(self, values: int) -> int:
        """How many numbers carry so many values."""
        return -(-values // self.count)

    def pack(self, values: NDArray[np.int64]) -> list[int]:
        """Values to numbers, without tags; see `rows`."""
        return [int.from_bytes(encoded, "little") for encoded in self.join(self.rows(values))]

    def unpack(self, numbers: Sequence[int], addends: int, values: int) -> NDArray[np.int64]:
        """Sums of `addends` numbers each to sums of values; see `values`."""
        length = self.modulus_bits // 8
        rows, _ = self.split([int(number).to_bytes(length, "little") for number in numbers])
        return self.values(rows, addends, values)

    def rows(self, values: NDArray[Any]) -> Rows:
        """Values with their offset, (number, lane); the last row is filled up with 0, which is no value's lane.

        Args:
            values: (value,) int64.

        Raises:
            FederationError: not a vector of int64, none or too many, or values that do not fit the lanes.
        """
        if values.dtype != np.int64 or values.ndim != 1 or not 1 <= values.size <= MOST_VALUES:
            problem = Problem("values", f"an array of {values.dtype}, shape {values.shape}", f"1 to {MOST_VALUES} int64 in a row")
            raise FederationError("These values are not encrypted.", [problem])
        half = 1 << (self.bits - 1)
        if values.min() < -half or values.max() >= half:
            outside = int(np.count_nonzero((values < -half) | (values >= half)))
            problem = Problem("values", f"{outside} out of range", f"integers of {self.bits} bits", "Clip them, or take more bits.")
            raise FederationError("These values are not encrypted: their sum could overflow.", [problem])
        rows = np.zeros(self.numbers(values.size) * self.count, np.uint64)
        np.add(values, half, out=rows[: values.size].view(np.int64))
        return rows.reshape(-1, self.count)

    def values(self, rows: Rows, addends: int, values: int) -> NDArray[np.int64]:
        """Sums of values from sums of rows, (value,) int64.

        Raises:
            FederationError: a lane holds what no `addends` values add up to, so that a site sent values out of range.
        """
        flat = rows.reshape(-1)
        if not 1 <= addends <= self.addends or self.numbers(values) != len(rows):
            problem = Problem(
                "total", f"{addends} addends in {len(rows)} rows", f"at most {self.addends} addends in {self.numbers(values)} rows"
            )
            raise FederationError("A total does not fit its lanes.", [problem])
        if flat[:values].max() > addends * ((1 << self.bits) - 1) or flat[values:].any():
            raise FederationError("A total is out of range: a site has encrypted values that do not fit the lanes.")
        return flat[:values].astype(np.int64) - (addends << (self.bits - 1))

    def join(self, rows: Rows, tags: NDArray[np.uint64] | None = None) -> list[bytes]:
        """Numbers as little-endian bytes, from rows (number, lane) and tags (number,)."""
        word, shift, first, crossing = self._places
        words = np.zeros((len(rows), self.modulus_bits // WORD), np.uint64)
        # Lanes of one word follow each other and do not overlap, so that adding them is setting their bits.
        words[:, word[first]] = np.add.reduceat(rows << shift, first, axis=1)
        words[:, word[crossing] + 1] += rows[:, crossing] >> (WORD - shift[crossing])
        if tags is not None:
            words[:, 0] += tags  # below the first lane
        encoded, length = words.astype("<u8", copy=False).tobytes(), self.modulus_bits // 8
        return [encoded[at : at + length] for at in range(0, len(encoded), length)]

    def split(self, numbers: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Rows (number, lane) and sums of tags of numbers as little-endian bytes.

        Raises:
            FederationError: bits stand above the last lane, so that a site sent values out of range.
        """
        word, shift, _, crossing = self._places
        words = np.frombuffer(b"".join(numbers), "<u8").reshape(len(numbers), self.modulus_bits // WORD).astype(np.uint64)
        rows = words[:, word] >> shift
        rows[:, crossing] |= words[:, word[crossing] + 1] << (WORD - shift[crossing])
        rows &= np.uint64((1 << self.width) - 1)
        end, above = divmod(self.start + self.count * self.width, WORD)
        if (words[:, end] >> np.uint64(above)).any() or words[:, end + 1 :].any():
            raise FederationError("A total is out of range: a site has encrypted values that do not fit the lanes.")
        sums = words[:, 0].astype(object) + (words[:, 1].astype(object) << WORD)
        return rows, [number & ((1 << self.start) - 1) for number in sums.tolist()]

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
        """Of each lane its word and its shift there; the first lane of each word; the lanes that reach into the next word."""
        bit = self.start + self.width * np.arange(self.count)
        word = bit // WORD
        first = np.flatnonzero(np.diff(word, prepend=-1))
        crossing = np.flatnonzero(bit % WORD + self.width > WORD)
        return word, (bit % WORD).astype(np.uint64), first, crossing
