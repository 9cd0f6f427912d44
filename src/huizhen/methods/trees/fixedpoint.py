"""Whole numbers in place of fractions, so that sums do not depend on the order of adding.

A number x stands as the whole number nearest to x * 2**scale. One scale is agreed jointly, as large as it may be while no sum of
magnitudes reaches 2**LIMIT: below that float64 adds whole numbers without rounding, as int64 does. What sums may reach is bounded
from counts of rows by power of two, which are whole numbers themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import chunks
from huizhen.errors import DataError, Problem

__all__ = ["LIMIT", "bound", "by_exponent", "exact_sums", "fixed", "scale_for"]

LIMIT = 51  # a quarter of what float64 adds exactly: room for the rounding of each row
LOWEST, HIGHEST = -128, 255  # powers of two that are told apart; smaller magnitudes count as 2**LOWEST
HALF = 31  # bits of the lower half
AT_ONCE = 1 << (53 - HALF)  # rows whose lower halves stay below 2**53 together
Counts = NDArray[np.int64]


def by_exponent(values: NDArray[np.float64]) -> Counts:
    """Rows by the power of two above their magnitude, int64 (384,); zeros are not counted."""
    exponent = np.frexp(values[values != 0.0])[1].astype(np.int64)
    if exponent.size and exponent.max() > HIGHEST:
        problem = Problem("a number of the outcome or the weights", "a magnitude beyond 1e76", "smaller ones", "Change its unit")
        raise DataError("A number is too large to be summed exactly.", [problem])
    return np.bincount(np.maximum(exponent, LOWEST) - LOWEST, minlength=HIGHEST - LOWEST + 1)


def bound(counts: Counts, power: int = 1) -> float:
    """What a sum of magnitudes, to a power, cannot pass (and the first power is at least half of): from joint counts of rows by
    power of two."""
    return math.fsum(count * 2.0 ** (power * (LOWEST + place)) for place, count in enumerate(counts.tolist()) if count)


def scale_for(most: float, limit: int = LIMIT) -> int:
    """The largest scale at which a sum of magnitudes up to `most` stays at or below 2**limit."""
    return limit - math.frexp(most)[1] if most > 0 else 0


def fixed(values: NDArray[Any], scale: int) -> Counts:
    """The nearest whole numbers to values * 2**scale, int64."""
    scaled = values * 2.0**scale
    return np.asarray(np.rint(scaled, out=scaled).astype(np.int64))


def exact_sums(cell: NDArray[np.int64], values: Counts, size: int) -> Counts:
    """Sums by cell of whole numbers that may reach 2**62 together, int64 (cell,): in two halves, each exact in float64."""
    found = np.zeros(size, np.int64)
    for rows in chunks(len(cell), AT_ONCE):
        high, low = values[rows] >> HALF, values[rows] & ((1 << HALF) - 1)
        for half, shift in ((high, HALF), (low, 0)):
            found += np.bincount(cell[rows], half, size).astype(np.int64) << shift
    return found
