"""Privacy events: what was, or will be, released with which noise; nothing about the values.

Words as in dp-accounting. Two neighbouring data sets differ by one unit added or removed; whether a unit is a patient or a site is
what the clipping that stands before the noise says. Every event is refused when it is made, if it cannot be accounted for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from huizhen.privacy.noise.gaussian import DiscreteGaussian
from huizhen.privacy.noise.laplace import DiscreteLaplace
from huizhen.privacy.noise.shares import Shares

__all__ = [
    "ApproximateEvent",
    "ComposedEvent",
    "DiscreteGaussianEvent",
    "DiscreteLaplaceEvent",
    "GaussianEvent",
    "LaplaceEvent",
    "Leaf",
    "PoissonSampledEvent",
    "PrivacyEvent",
    "SelfComposedEvent",
]


@dataclass(frozen=True, slots=True)
class GaussianEvent:
    """Gaussian noise on a vector.

    Attributes:
        noise_multiplier: standard deviation of the noise / the most that one unit changes the vector's Euclidean norm by; > 0.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        _check(0 < self.noise_multiplier < math.inf)


@dataclass(frozen=True, slots=True)
class LaplaceEvent:
    """Laplace noise on a vector.

    Attributes:
        noise_multiplier: scale of the noise / the most that one unit changes the sum of absolute values by; > 0.
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        _check(0 < self.noise_multiplier < math.inf)


@dataclass(frozen=True, slots=True)
class DiscreteGaussianEvent:
    """Discrete Gaussian noise on a vector of integers, whole or as the sum of several sites' shares.

    Attributes:
        sigma: its parameter, in steps; of shares, the root of the sum of the honest ones' variances.
        sensitivity: the most that one unit changes the vector's Euclidean norm by, in steps; > 0.
        entries: length of the vector.
        shares: how many honest shares make up the noise, 1 = drawn whole.
    """

    sigma: float
    sensitivity: float
    entries: int = 1
    shares: int = 1

    def __post_init__(self) -> None:
        _check(0 < self.sigma < math.inf and 0 < self.sensitivity < math.inf and self.entries >= 1 and self.shares >= 1)

    @classmethod
    def of(cls, noise: DiscreteGaussian | Shares, *, sensitivity: float, entries: int) -> DiscreteGaussianEvent:
        """The event of adding a noise; sigma is rounded down."""
        shares = noise.honest if isinstance(noise, Shares) else 1
        return cls(math.sqrt(noise.variance) * (1 - 2.0**-50), sensitivity, entries, shares)


@dataclass(frozen=True, slots=True)
class DiscreteLaplaceEvent:
    """Discrete Laplace noise on a vector of integers.

    Attributes:
        scale: its parameter, in steps; > 0.
        sensitivity: the most that one unit changes the sum of absolute values by, in steps; 1 and more.
    """

    scale: float
    sensitivity: int = 1

    def __post_init__(self) -> None:
        _check(0 < self.scale < math.inf and self.sensitivity >= 1)

    @classmethod
    def of(cls, noise: DiscreteLaplace, *, sensitivity: int) -> DiscreteLaplaceEvent:
        """The event of adding a noise; the scale is rounded down."""
        return cls(float(noise.scale) * (1 - 2.0**-50), sensitivity)


@dataclass(frozen=True, slots=True)
class ApproximateEvent:
    """Anything of which only (epsilon, delta) is known, such as objective perturbation or the exponential mechanism."""

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        _check(0 <= self.epsilon < math.inf and 0 <= self.delta < 1)


@dataclass(frozen=True, slots=True)
class PoissonSampledEvent:
    """An event on a part of the units, each of which takes part with a probability, independently of all others and secretly.

    Batches of equal size, or in shuffled order, are *not* this (dp-accounting, and Chua et al., 2024, on the gap).

    Attributes:
        probability: > 0, at most 1.
    """

    probability: float
    event: GaussianEvent | LaplaceEvent | DiscreteGaussianEvent

    def __post_init__(self) -> None:
        _check(0 < self.probability <= 1 and isinstance(self.event, GaussianEvent | LaplaceEvent | DiscreteGaussianEvent))


@dataclass(frozen=True, slots=True)
class SelfComposedEvent:
    """The same event so many times, each with fresh noise, and each free to depend on what came out before."""

    event: PrivacyEvent
    count: int

    def __post_init__(self) -> None:
        _check(self.count >= 1)


@dataclass(frozen=True, slots=True)
class ComposedEvent:
    """Several events, one after the other, each free to depend on what came out before."""

    events: tuple[PrivacyEvent, ...]


Leaf = GaussianEvent | LaplaceEvent | DiscreteGaussianEvent | DiscreteLaplaceEvent | ApproximateEvent | PoissonSampledEvent
PrivacyEvent = Leaf | SelfComposedEvent | ComposedEvent


def _check(sound: bool) -> None:
    if not sound:
        raise ValueError(
            "This privacy event cannot be accounted for: its noise, sensitivity, probability or count is out of range."
        )
