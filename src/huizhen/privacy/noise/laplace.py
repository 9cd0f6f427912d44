"""The discrete Laplace distribution (two-sided geometric), drawn exactly.

P(k) = (e^(1/b) - 1) / (e^(1/b) + 1) * e^(-|k| / b) on the integers, with scale b. Added to a count that one patient changes by at
most 1, it is the geometric mechanism of Ghosh, Roughgarden and Sundararajan (2012), and gives epsilon = 1 / b exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.noise.exponential import GUARD, coins_below_exp, geometric
from huizhen.privacy.noise.source import Entropy, below, coins

__all__ = ["BLOCK", "DiscreteLaplace", "rational_above"]

BLOCK = 1 << 16  # draws at once: what is worked on stays in the cache
FINEST = 1 << 20  # a scale given as a float becomes a fraction of this denominator
LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class DiscreteLaplace:
    """Discrete Laplace noise.

    Attributes:
        scale: b; a float is rounded up to a multiple of 2**-20, so that there is never less noise than was asked for.

    Raises:
        ValueError: the scale does not lie between 2**-20 and 2**40, or its fraction has terms beyond 2**57.

    >>> DiscreteLaplace(0.1).scale > 0.1
    True
    """

    scale: Fraction | float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale := rational_above(self.scale))
        if max(scale.numerator, scale.denominator) >= 1 << 57:
            raise ValueError("The scale of the noise is too fine a fraction: expected terms below 2**57.")

    @property
    def variance(self) -> float:
        """2 e^(1/b) / (e^(1/b) - 1)^2."""
        inverse = 1 / float(self.scale)
        return 2 * math.exp(-inverse) / math.expm1(-inverse) ** 2

    def draw(self, shape: int | tuple[int, ...], entropy: Entropy, *, guard: float = GUARD) -> NDArray[np.int64]:
        """Independent draws, int64 of that shape (algorithm 2 of Canonne, Kamath and Steinke, 2020).

        Args:
            guard: see `exponential.coins_below_exp`; the draws do not depend on it.
        """
        size = math.prod(shape) if isinstance(shape, tuple) else shape
        drawn = np.empty(size, dtype=np.int64)
        filled = 0
        while filled < size:
            fresh = laplace_proposals(Fraction(self.scale), min(BLOCK, int((size - filled) * 1.7) + 64), entropy, guard=guard)
            fresh = fresh[: size - filled]
            drawn[filled : filled + fresh.size] = fresh
            filled += fresh.size
        return drawn.reshape(shape)


def laplace_proposals(scale: Fraction, proposals: int, entropy: Entropy, *, guard: float = GUARD) -> NDArray[np.int64]:
    """As many draws as come out of that many proposals, each of which is taken with a probability of about 0.6."""
    t, s = scale.numerator, scale.denominator
    rest = below(entropy, t, proposals)
    if t > 1:
        taken = coins_below_exp(entropy, rest / t, lambda i: Fraction(int(rest[i]), t), guard=guard)
        rest = rest[taken]
    size = rest + t * geometric(entropy, rest.size)  # geometric: P(size >= x) = exp(-x / t)
    if s > 1:
        size //= s
    negative = coins(entropy, size.size)
    drawn: NDArray[np.int64] = np.where(negative, -size, size)[~(negative & (size == 0))]  # minus zero would count zero twice
    return drawn


def rational_above(value: Fraction | float) -> Fraction:
    """The same number, or the next multiple of 2**-20 above a float."""
    if not 1 / FINEST <= value <= LARGEST:  # also refuses what is no number
        raise ValueError("The scale of the noise cannot be used: expected a number from 2**-20 to 2**40.")
    return value if isinstance(value, Fraction) else Fraction(math.ceil(Fraction(value) * FINEST), FINEST)
