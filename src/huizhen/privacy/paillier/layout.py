"""A layout: how values stand in the numbers that are encrypted, and how a total is known to be theirs.

There are two: `Slots`, a hundred small integers to a number and a tag in each, and `WideSlots`, a few large integers to a number
and one tag for all.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Protocol, TypeVar

from huizhen.privacy.paillier.seals import Seal

__all__ = ["Layout", "Values"]

Values = TypeVar("Values", bound=Sized)


class Layout(Protocol[Values]):
    """Where values stand."""

    @property
    def bits(self) -> int:
        """Of a signed value."""

    @property
    def addends(self) -> int:
        """The most numbers that may be added."""

    @property
    def modulus_bits(self) -> int:
        """Length of the key's modulus."""

    def numbers(self, values: int) -> int:
        """How many numbers carry so many values."""

    def messages(self, values: Values, seal: Seal) -> list[bytes]:
        """Values to sealed numbers below 2^(modulus_bits - 1), as little-endian bytes.

        Raises:
            FederationError: values that do not fit.
        """

    def opened(self, messages: Sequence[bytes], values: int, seals: Sequence[Seal]) -> Values:
        """Sums of so many values from the sums of sealed numbers.

        Raises:
            FederationError: it is another sum than that of the seals, or one of values that do not fit.
        """
