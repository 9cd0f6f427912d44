"""Real numbers in a ring wide enough for all of them: whole multiples of 2^-352, modulo 2^512.

A sum in it is exact, so masks cancel to the last bit, no scale has to be agreed and no declared bound has to be right: it is the
long accumulator of Kulisch and Miranker (Computer Arithmetic in Theory and Practice, 1981), cut to the range that statistics need.
Numbers of size 5e-91 and more keep all 53 bits; smaller ones are rounded to a multiple of 2^-352. The sum of all sites has to stay
below 2^159 (7e47): each site refuses larger numbers beforehand. A number takes 64 bytes.

Arrays are (limb, number) uint64, the least significant limb first, two's complement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES", "LIMBS", "add", "decode", "encode", "largest", "subtract"]

LIMBS, BITS, LOWEST = 8, 64, -352
BYTES = LIMBS * BITS // 8  # of one number
MANTISSA = 53
HALF = np.uint64(32)
Words = NDArray[np.uint64]


def largest(sites: int) -> float:
    """The size that no site's number may reach, so that the sum of so many sites cannot overflow."""
    return float(2.0 ** (LIMBS * BITS + LOWEST - 1) / max(sites, 1))


def encode(values: NDArray[np.float64], *, sites: int) -> Words:
    """Flat float64 (n,) as (8, n) words.

    Raises:
        OverflowError: a number is not finite, or too large for a sum of so many sites.
    """
    if not (np.abs(values) < largest(sites)).all():
        raise OverflowError(f"expected numbers below {largest(sites):.1e} in size, found a larger one or one that is not finite")
    if not values.size:
        return np.zeros((LIMBS, 0), np.uint64)
    fraction, exponent = np.frexp(values)
    place = exponent.astype(np.int64) - MANTISSA - LOWEST  # of the mantissa's last bit
    mantissa = np.rint(np.ldexp(np.abs(fraction), MANTISSA + np.minimum(place, 0))).astype(np.uint64)
    limb, shift = np.divmod(np.maximum(place, 0), BITS)
    low = mantissa << shift.astype(np.uint64)
    # A shift by 64 is not defined, so the bits that pass to the next limb go in two steps.
    high = (mantissa >> np.uint64(1)) >> (BITS - 1 - shift).astype(np.uint64)
    words, every = np.zeros((LIMBS, len(values)), np.uint64), np.arange(len(values))
    words[limb, every] = low
    words[np.minimum(limb + 1, LIMBS - 1), every] |= high  # at the last limb nothing passes on
    negative = values < 0
    if negative.any():
        words[:, negative] = _negated(words[:, negative])
    return words


def decode(words: Words) -> NDArray[np.float64]:
    """The float64 next to each number, within one unit in the last place; a number that a float64 can hold is given exactly."""
    if not words.size:
        return np.zeros(0)
    negative = words[LIMBS - 1] >> np.uint64(BITS - 1) == 1
    size = np.where(negative, _negated(words), words)
    values = np.zeros(words.shape[1])
    for limb in range(LIMBS):  # halves of limbs are exact in a float64; the smallest are added first
        for half, bits in ((size[limb] & np.uint64(0xFFFFFFFF), 0), (size[limb] >> HALF, 32)):
            values += np.ldexp(half.astype(np.float64), BITS * limb + bits + LOWEST)
    return np.where(negative, -values, values)


def add(total: Words, words: Words) -> None:
    """`total` becomes total + words."""
    carry: NDArray[np.bool_] | None = None
    for limb in range(LIMBS):
        carry = _add_limb(total[limb], words[limb], carry)


def subtract(total: Words, words: Words) -> None:
    """`total` becomes total - words, which is total + (not words) + 1."""
    carry: NDArray[np.bool_] | None = np.ones(total.shape[1], bool)
    for limb in range(LIMBS):
        carry = _add_limb(total[limb], ~words[limb], carry)


def _add_limb(total: Words, words: Words, carry: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    total += words
    over = total < words
    if carry is not None:
        total += carry
        over |= carry & (total == 0)
    return over


def _negated(words: Words) -> Words:
    negated = np.zeros_like(words)
    subtract(negated, words)
    return negated
