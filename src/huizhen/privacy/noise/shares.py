"""A joint noise that nobody knows: each site adds a share, and so many honest ones make the whole.

The distributed discrete Gaussian (Kairouz, Liu and Steinke, 2021): each site adds discrete Gaussian noise before its addend is
masked. The hub sees the sum only; whoever knows some of the shares can subtract those and still faces the noise of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.noise.gaussian import DiscreteGaussian
from huizhen.privacy.noise.lattice import ripple_of_sum
from huizhen.privacy.noise.source import Entropy

__all__ = ["Shares"]

LEAST = Fraction(1, 2)  # below this variance of a share, nothing is proved of the sum


@dataclass(frozen=True, slots=True)
class Shares:
    """How a noise of parameter sigma is shared out.

    The shares of `honest` sites sum to noise of variance sigma^2, those of more sites to more. That sum is no discrete Gaussian,
    but differs from one by a factor within e^(+-ripple) at every point, which `accounting` adds to epsilon.

    Attributes:
        variance: sigma^2 of the joint noise, in steps of the grid squared.
        honest: how many shares are counted upon: those who take part, less those who may fall silent in the round, less those who
            may tell their share to others.

    Raises:
        ValueError: nobody is honest, or a share's variance is below 1/2: use a finer grid.

    >>> Shares(Fraction(100), honest=4).share.variance
    Fraction(25, 1)
    """

    variance: Fraction | float
    honest: int

    def __post_init__(self) -> None:
        if self.honest < 1 or not self.variance >= LEAST * self.honest:
            raise ValueError("Noise needs at least one honest share, and a variance of 1/2 a share; use a finer grid.")

    @property
    def share(self) -> DiscreteGaussian:
        """The noise that each site adds."""
        return DiscreteGaussian(Fraction(self.variance) / self.honest)

    @property
    def ripple(self) -> float:
        """Largest |log| of the ratio of the honest shares' sum to the discrete Gaussian of the same variance, for one entry."""
        return ripple_of_sum(float(self.share.variance), self.honest)

    def draw(self, shape: int | tuple[int, ...], entropy: Entropy) -> NDArray[np.int64]:
        """One site's share, in steps, int64 of that shape."""
        return self.share.draw(shape, entropy)
