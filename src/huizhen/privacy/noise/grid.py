"""Noise for real numbers: on a grid, because floating point has no continuous distribution.

The low bits of a float drawn as a continuous Laplace or Gaussian number give away what it was added to (Mironov, 2012). So real
numbers are rounded to multiples of a granularity, and discrete noise of so many steps is added. With a granularity far below the
noise (here 1/1024 of it and less) a reader sees no difference, and what is proved of the integers holds for what is released.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import NotEstimable
from huizhen.privacy.noise.gaussian import DiscreteGaussian
from huizhen.privacy.noise.laplace import DiscreteLaplace
from huizhen.privacy.noise.source import Entropy

__all__ = ["Grid"]

STEPS = 1 << 10  # of a grid in one standard deviation
FARTHEST = 2.0**52  # a float holds every multiple of the granularity up to here


@dataclass(frozen=True, slots=True)
class Grid:
    """All multiples of a granularity.

    Attributes:
        granularity: distance of neighbours, in the unit of the values; a power of two, so that no step of a float's arithmetic on
            the grid rounds.

    Raises:
        ValueError: the granularity is not a power of two.

    >>> Grid.finer_than(3.0).granularity
    0.001953125
    >>> Grid(0.5).to_grid(np.array([1.9, -1.9])).tolist()
    [3, -3]
    """

    granularity: float

    def __post_init__(self) -> None:
        if not 2.0**-500 <= self.granularity <= 2.0**500 or math.frexp(self.granularity)[0] != 0.5:
            raise ValueError("The granularity of a grid must be a power of two, e.g. 0.125.")

    @classmethod
    def finer_than(cls, width: float, *, steps: int = STEPS) -> Grid:
        """The coarsest grid with at least `steps` steps in `width`, say, the standard deviation of the noise."""
        if not 0 < width < math.inf:
            raise ValueError("The width of a grid's noise must be finite and above 0.")
        return cls(2.0 ** (math.frexp(width / steps)[1] - 1))

    def gaussian(self, sigma: float) -> DiscreteGaussian:
        """Noise of standard deviation `sigma`, in the unit of the values."""
        return DiscreteGaussian((Fraction(sigma) / Fraction(self.granularity)) ** 2)

    def laplace(self, scale: float) -> DiscreteLaplace:
        """Noise of scale `scale` (standard deviation 1.41 times that), in the unit of the values."""
        return DiscreteLaplace(scale / self.granularity)

    def to_grid(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The values in steps, rounded towards zero: no norm of them grows.

        Raises:
            NotEstimable: a value is not finite, or further than 2**52 steps from 0.
        """
        steps = np.trunc(np.asarray(values, dtype=np.float64) / self.granularity)
        if not (np.abs(steps) <= FARTHEST).all():
            raise NotEstimable("Values that are not finite, or too large for the grid of the noise, stay here; clip them first.")
        return steps.astype(np.int64)

    def from_grid(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Steps in the unit of the values; exact up to 2**53 steps."""
        return steps.astype(np.float64) * self.granularity

    def sensitivity(self, bound: float, *, entries: int) -> float:
        """In steps: the most that one unit changes a sum's Euclidean norm by, if the *sum* is rounded.

        Two sums that differ by `bound` differ by one step more in each entry once rounded. Where each unit's own values are rounded
        before they are added, the sum of integers is exact and `bound / granularity` holds.
        """
        return bound / self.granularity + math.sqrt(entries)

    def noisy(self, values: NDArray[Any], noise: DiscreteGaussian | DiscreteLaplace, entropy: Entropy) -> NDArray[np.float64]:
        """The values on the grid with noise of so many steps, in their own unit; float64 of the same shape."""
        steps = self.to_grid(values)
        return self.from_grid(steps + noise.draw(steps.shape, entropy))
