"""The discrete Gaussian distribution, drawn exactly.

P(k) is proportional to e^(-k^2 / (2 sigma^2)) on the integers (Canonne, Kamath and Steinke, 2020). It gives the same concentrated
differential privacy as the continuous one of the same sigma, and its draws are integers, so that no low bits of a float give away
what was hidden (Mironov, 2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.noise.exponential import GUARD, coins_below_exp
from huizhen.privacy.noise.laplace import BLOCK, LARGEST, laplace_proposals
from huizhen.privacy.noise.source import Entropy

__all__ = ["DiscreteGaussian"]

PER_DRAW = 2.3  # proposals for each draw; a little more than it takes for most sigmas


@dataclass(frozen=True, slots=True)
class DiscreteGaussian:
    """Discrete Gaussian noise.

    Attributes:
        variance: the parameter sigma^2, exact: a Fraction, or a float that is taken at its exact value. For sigma of 1 and more the
            variance of the draws equals it to 8 digits; it is never larger.

    Raises:
        ValueError: sigma does not lie between 2**-20 and 2**40.

    >>> DiscreteGaussian(2.25).sigma
    1.5
    """

    variance: Fraction | float

    def __post_init__(self) -> None:
        if not 1 / LARGEST <= self.variance <= LARGEST**2:
            raise ValueError("The variance of the noise cannot be used: expected a number from 2**-40 to 2**80.")
        object.__setattr__(self, "variance", Fraction(self.variance))

    @classmethod
    def of_sigma(cls, sigma: float) -> DiscreteGaussian:
        """The noise of a given sigma; its square is taken exactly."""
        return cls(Fraction(sigma) ** 2)

    @property
    def sigma(self) -> float:
        return math.sqrt(self.variance)

    def draw(self, shape: int | tuple[int, ...], entropy: Entropy, *, guard: float = GUARD) -> NDArray[np.int64]:
        """Independent draws, int64 of that shape (algorithm 3 of Canonne, Kamath and Steinke, 2020).

        Exact is: every decision, given uniform random bytes. Not exact is nothing but `guard` being right about the exponential of
        this machine, see `exponential`.

        Args:
            guard: see `exponential.coins_below_exp`; the draws do not depend on it.
        """
        size = math.prod(shape) if isinstance(shape, tuple) else shape
        drawn = np.empty(size, dtype=np.int64)
        filled = 0
        while filled < size:
            fresh = self._some(min(BLOCK, int((size - filled) * PER_DRAW) + 64), entropy, guard)[: size - filled]
            drawn[filled : filled + fresh.size] = fresh
            filled += fresh.size
        return drawn.reshape(shape)

    def _some(self, proposals: int, entropy: Entropy, guard: float) -> NDArray[np.int64]:
        """Laplace draws y of scale t, each taken with probability exp(-(|y| - sigma^2 / t)^2 / (2 sigma^2))."""
        variance = Fraction(self.variance)
        t = math.isqrt(int(variance)) + 1  # floor(sigma) + 1
        drawn = laplace_proposals(Fraction(t), proposals, entropy, guard=guard)
        exponents = np.abs(drawn) - float(variance / t)
        exponents *= exponents
        exponents /= 2 * float(variance)

        def exact(i: int) -> Fraction:
            return (abs(int(drawn[i])) - variance / t) ** 2 / (2 * variance)

        return drawn[coins_below_exp(entropy, exponents, exact, guard=guard)]
