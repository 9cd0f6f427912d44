"""Slots: many small integers side by side in one number below the modulus, so that one ciphertext carries about a hundred.

From the lowest bit of a number:

    | sum of tags: 61 bits + headroom | slot 0: bits + headroom | slot 1 | ... | zeros |

Headroom is what the sum of so many addends needs, so no slot ever reaches into the next. A signed integer v stands in its slot
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
from huizhen.privacy.paillier.seals import PRIME, TAG_BITS, Seal

__all__ = ["MOST_ADDENDS", "MOST_BITS", "MOST_VALUES", "Rows", "Slots", "check_size", "not_the_sum"]

Rows = NDArray[np.uint64]
WORD = 64
MOST_BITS = 48  # of a value; a slot with its headroom then fits an int64
MOST_ADDENDS = 1024
MOST_VALUES = 1 << 28  # in one bundle: 268 million values, 1.3 GB encrypted


@dataclass(frozen=True)
class Slots:
    """How values are laid out.

    Attributes:
        bits: of a signed value, 2 to 48; values lie in [-2^(bits-1), 2^(bits-1) - 1].
        addends: the most numbers that will be added, 1 to 1024.
        modulus_bits: length of the key's modulus.

    Raises:
        FederationError: numbers out of their ranges.

    >>> slots = Slots(16, 5, 2048)
    >>> slots.width, slots.count
    (19, 104)
    >>> slots.unpack(slots.pack(np.array([-3, 4])), addends=1, values=2)
    array([-3,  4])
    """

    bits: int
    addends: int
    modulus_bits: int

    def __post_init__(self) -> None:
        check_size(self.bits, self.addends, self.modulus_bits, bits=(2, MOST_BITS))

    @property
    def width(self) -> int:
        """Bits of a slot."""
        return (self.addends * ((1 << self.bits) - 1)).bit_length()

    @property
    def start(self) -> int:
        """The bit at which the first slot begins; the sum of tags stands below it."""
        return TAG_BITS + (self.addends - 1).bit_length()

    @property
    def count(self) -> int:
        """Slots of one number; the number stays below 2^(modulus_bits - 1), so below the modulus."""
        return (self.modulus_bits - 1 - self.start) // self.width

    def numbers(self, values: int) -> int:
        """How many numbers carry so many values."""
        return -(-values // self.count)

    def messages(self, values: NDArray[np.int64], seal: Seal) -> list[bytes]:
        """Values to sealed numbers, as little-endian bytes; raises as `rows` does."""
        rows = self.rows(values)
        return self.join(rows, seal.tags(rows))

    def opened(self, messages: Sequence[bytes], values: int, seals: Sequence[Seal]) -> NDArray[np.int64]:
        """Sums of values, (value,) int64, from the sums of sealed numbers, once their tags are those of the seals.

        Raises:
            FederationError: it is another sum than the seals', or one of values that do not fit.
        """
        rows, tags = self.split(messages)
        expected = seals[0].hashes(rows).tolist()
        pads = [seal.pads(len(rows)).tolist() for seal in seals]
        if any((tag - hashed - sum(each)) % PRIME for tag, hashed, *each in zip(tags, expected, *pads, strict=True)):
            raise not_the_sum()
        return self.values(rows, len(seals), values)

    def pack(self, values: NDArray[np.int64]) -> list[int]:
        """Values to numbers, without tags; see `rows`."""
        return [int.from_bytes(encoded, "little") for encoded in self.join(self.rows(values))]

    def unpack(self, numbers: Sequence[int], addends: int, values: int) -> NDArray[np.int64]:
        """Sums of `addends` numbers each to sums of values; see `values`."""
        length = self.modulus_bits // 8
        rows, _ = self.split([int(number).to_bytes(length, "little") for number in numbers])
        return self.values(rows, addends, values)

    def rows(self, values: NDArray[Any]) -> Rows:
        """Values with their offset, (number, slot); the last row is filled up with 0, which is no value's slot.

        Args:
            values: (value,) int64.

        Raises:
            FederationError: not a vector of int64, none or too many, or values that do not fit the slots.
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
            FederationError: a slot holds what no `addends` values add up to, so that a site sent values out of range.
        """
        flat = rows.reshape(-1)
        if not 1 <= addends <= self.addends or self.numbers(values) != len(rows):
            problem = Problem(
                "total", f"{addends} addends in {len(rows)} rows", f"at most {self.addends} addends in {self.numbers(values)} rows"
            )
            raise FederationError("A total does not fit its slots.", [problem])
        if flat[:values].max() > addends * ((1 << self.bits) - 1) or flat[values:].any():
            raise FederationError("A total is out of range: a site has encrypted values that do not fit the slots.")
        return flat[:values].astype(np.int64) - (addends << (self.bits - 1))

    def join(self, rows: Rows, tags: NDArray[np.uint64] | None = None) -> list[bytes]:
        """Numbers as little-endian bytes, from rows (number, slot) and tags (number,)."""
        word, shift, first, crossing = self._places
        words = np.zeros((len(rows), self.modulus_bits // WORD), np.uint64)
        # Slots of one word follow each other and do not overlap, so that adding them is setting their bits.
        words[:, word[first]] = np.add.reduceat(rows << shift, first, axis=1)
        words[:, word[crossing] + 1] += rows[:, crossing] >> (WORD - shift[crossing])
        if tags is not None:
            words[:, 0] += tags  # below the first slot
        encoded, length = words.astype("<u8", copy=False).tobytes(), self.modulus_bits // 8
        return [encoded[at : at + length] for at in range(0, len(encoded), length)]

    def split(self, numbers: Sequence[bytes]) -> tuple[Rows, list[int]]:
        """Rows (number, slot) and sums of tags of numbers as little-endian bytes.

        Raises:
            FederationError: bits stand above the last slot, so that a site sent values out of range.
        """
        word, shift, _, crossing = self._places
        words = np.frombuffer(b"".join(numbers), "<u8").reshape(len(numbers), self.modulus_bits // WORD).astype(np.uint64)
        rows = words[:, word] >> shift
        rows[:, crossing] |= words[:, word[crossing] + 1] << (WORD - shift[crossing])
        rows &= np.uint64((1 << self.width) - 1)
        end, above = divmod(self.start + self.count * self.width, WORD)
        if (words[:, end] >> np.uint64(above)).any() or words[:, end + 1 :].any():
            raise FederationError("A total is out of range: a site has encrypted values that do not fit the slots.")
        sums = words[:, 0].astype(object) + (words[:, 1].astype(object) << WORD)
        return rows, [number & ((1 << self.start) - 1) for number in sums.tolist()]

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
        """Of each slot its word and its shift there; the first slot of each word; the slots that reach into the next word."""
        bit = self.start + self.width * np.arange(self.count)
        word = bit // WORD
        first = np.flatnonzero(np.diff(word, prepend=-1))
        crossing = np.flatnonzero(bit % WORD + self.width > WORD)
        return word, (bit % WORD).astype(np.uint64), first, crossing


def check_size(own: int, addends: int, modulus: int, *, bits: tuple[int, int], modulus_bits: tuple[int, int] = (512, 8192)) -> None:
    """Refuses slots that do not fit.

    Raises:
        FederationError: numbers out of their ranges.
    """
    problems = [
        Problem(name, f"{found}", f"from {low} to {high}")
        for name, found, (low, high) in (
            ("bits of a value", own, bits),
            ("addends", addends, (1, MOST_ADDENDS)),
            ("bits of the modulus", modulus, modulus_bits),
        )
        if not low <= found <= high
    ]
    if problems:
        raise FederationError("Slots of this kind are not made.", problems)


def not_the_sum() -> FederationError:
    """What is said of a total that its seals do not fit."""
    return FederationError(
        "A total is not opened: it is not the sum of the round's ciphertexts, each once and unaltered. "
        "Ask the hub's operator which sites it added."
    )
