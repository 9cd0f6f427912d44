"""Wide slots: a few large integers to a number, and one tag for all of them in a number of its own.

    | slot 0: bits + headroom | slot 1 | ... | zeros |   as often as needed, and last   | sum of tags | zeros |

A real number as a whole multiple of 2^-352 (`masking.wide`) takes 512 bits. Cut into pieces for narrow slots, the sums of the
pieces would tell the key holder more than the sum of the numbers does: how often a piece was carried into the next. So each stands
whole.

Of the seals' linear hash the modulus must be larger than any sum in a slot: what differs from it by a multiple of the modulus would
have the same hash. So it is 2^607 - 1, a Mersenne prime, and as such a tag is long there is one for all numbers:

    tag = sum over values j of k_j (value_j + 2^(bits - 1)) + pad   mod 2^607 - 1

A changed value passes with probability 2^-607; whole numbers left out or exchanged are changed values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huizhen.errors import FederationError, Problem
from huizhen.privacy.paillier.seals import LARGE_PRIME, Seal
from huizhen.privacy.paillier.slots import MOST_BITS, MOST_VALUES, check_size, not_the_sum

__all__ = ["MOST_WIDE_BITS", "WideSlots"]

MOST_WIDE_BITS = 512  # with the headroom of 1024 addends below the hash's modulus


@dataclass(frozen=True)
class WideSlots:
    """How large integers are laid out.

    Attributes:
        bits: of a signed value, 49 to 512.
        addends: the most numbers that will be added, 1 to 1024.
        modulus_bits: length of the key's modulus, at least 640.

    Raises:
        FederationError: numbers out of their ranges.

    >>> slots = WideSlots(512, 5, 2048)
    >>> slots.width, slots.count, slots.numbers(9)
    (515, 3, 4)
    """

    bits: int
    addends: int
    modulus_bits: int

    def __post_init__(self) -> None:
        check_size(self.bits, self.addends, self.modulus_bits, bits=(MOST_BITS + 1, MOST_WIDE_BITS), modulus_bits=(640, 8192))

    @property
    def width(self) -> int:
        """Bits of a slot."""
        return (self.addends * ((1 << self.bits) - 1)).bit_length()

    @property
    def count(self) -> int:
        """Slots of one number."""
        return (self.modulus_bits - 1) // self.width

    def numbers(self, values: int) -> int:
        """How many numbers carry so many values and their tag."""
        return -(-values // self.count) + 1

    def messages(self, values: Sequence[int], seal: Seal) -> list[bytes]:
        """Values and their tag to numbers, as little-endian bytes.

        Raises:
            FederationError: none or too many, or values that do not fit the slots.
        """
        half = 1 << (self.bits - 1)
        outside = sum(not -half <= value < half for value in values)
        if outside or not 1 <= len(values) <= MOST_VALUES:
            found, expected = f"{outside} out of range of {len(values)}", f"1 to {MOST_VALUES} integers of {self.bits} bits"
            problem = Problem("values", found, expected)
            raise FederationError("These values are not encrypted: their sum could overflow.", [problem])
        raised = [value + half for value in values]
        numbers = [self._joined(raised[at : at + self.count]) for at in range(0, len(raised), self.count)]
        tag = (seal.large_hash(raised) + seal.large_pad()) % LARGE_PRIME
        return [number.to_bytes(self.modulus_bits // 8, "little") for number in (*numbers, tag)]

    def opened(self, messages: Sequence[bytes], values: int, seals: Sequence[Seal]) -> list[int]:
        """Sums of values, from the sums of numbers, once the tag is that of the seals.

        Raises:
            FederationError: it is another sum than the seals', or one of values that do not fit.
        """
        if not 1 <= len(seals) <= self.addends or self.numbers(values) != len(messages):
            found = f"{len(seals)} addends in {len(messages)} rows"
            expected = f"at most {self.addends} addends in {self.numbers(values)} rows"
            raise FederationError("A total does not fit its slots.", [Problem("total", found, expected)])
        *rows, tag = (int.from_bytes(message, "little") for message in messages)
        raised = [slot for row in rows for slot in self._split(row)]
        most = len(seals) * ((1 << self.bits) - 1)
        if max(raised) > most or any(raised[values:]):
            raise FederationError("A total is out of range: a site has encrypted values that do not fit the slots.")
        sealed = seals[0].large_hash(raised[:values]) + sum(seal.large_pad() for seal in seals)
        if tag >> (LARGE_PRIME.bit_length() + self.addends.bit_length()) or (tag - sealed) % LARGE_PRIME:
            raise not_the_sum()
        offset = len(seals) << (self.bits - 1)
        return [total - offset for total in raised[:values]]

    def _joined(self, slots: Sequence[int]) -> int:
        return sum(slot << (place * self.width) for place, slot in enumerate(slots))

    def _split(self, row: int) -> list[int]:
        """The slots of a number; what stands above the last is left to it, where it is out of range."""
        mask = (1 << self.width) - 1
        last = self.count - 1
        return [*(row >> (place * self.width) & mask for place in range(last)), row >> (last * self.width)]
