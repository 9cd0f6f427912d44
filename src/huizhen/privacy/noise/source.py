"""Uniform integers from a source of random bytes: the only place where draws begin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import MachineError

__all__ = ["Entropy", "below", "coins", "words"]

Entropy = Callable[[int], bytes]  # so many bytes, each of the 256 values equally likely and independent of all others
SHORT = 1 << 16  # up to here 32 bits a draw are enough: fewer than one in 65,536 words is drawn again


def words(entropy: Entropy, count: int) -> NDArray[np.uint32]:
    """`count` independent uniform words of 32 bits, uint32 (count,)."""
    return np.frombuffer(_bytes(entropy, 4 * count), dtype="<u4")


def coins(entropy: Entropy, count: int) -> NDArray[np.bool_]:
    """`count` fair coins, bool (count,)."""
    packed = np.frombuffer(_bytes(entropy, (count + 7) // 8), dtype=np.uint8)
    return np.unpackbits(packed, count=count).astype(np.bool_)


def below(entropy: Entropy, bound: int, count: int) -> NDArray[np.int64]:
    """`count` independent uniform integers from 0 to `bound` - 1 (1 <= bound <= 2**57), int64 (count,); exact.

    The rest of a division is uniform once the words of the last, incomplete block of `bound` are drawn again.
    """
    width = 4 if bound <= SHORT else 8
    whole = (1 << 8 * width) // bound * bound
    kind = np.dtype(f"<u{width}")
    drawn = np.frombuffer(_bytes(entropy, width * count), dtype=kind)
    if whole < 1 << 8 * width:
        refused = np.flatnonzero(drawn >= kind.type(whole))
        if refused.size:
            drawn = drawn.copy()
        while refused.size:
            drawn[refused] = np.frombuffer(_bytes(entropy, width * refused.size), dtype=kind)
            refused = refused[drawn[refused] >= kind.type(whole)]
    rest: NDArray[np.int64] = (drawn % kind.type(bound)).astype(np.int64)
    return rest


def _bytes(entropy: Entropy, count: int) -> bytes:
    drawn = entropy(count)
    if len(drawn) != count:  # fail closed: noise from a source that dries up is no noise
        raise MachineError("The source of randomness gave another number of bytes than was asked for, so nothing is released.")
    return drawn
