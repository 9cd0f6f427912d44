"""How far sums of discrete Gaussians are from a discrete Gaussian, and that one from the continuous one.

By Poisson summation, sum over the integers j of e^(-(j - z)^2 / (2 v)) = sqrt(2 pi v) (1 + 2 sum over m >= 1 of
e^(-2 pi^2 v m^2) cos(2 pi m z)): as a function of z it is flat but for a *ripple* that vanishes very fast in v.
"""

from __future__ import annotations

import math

__all__ = ["ripple", "ripple_of_sum"]


def ripple(variance: float) -> float:
    """The largest |log| of the ratio of two discrete laws that differ by such a sum; infinite where the bound says nothing.

    Two uses, by completing the square. The sum of discrete Gaussians of variances a and b is the one of a + b, but for a factor
    within e^(+-ripple(a b / (a + b))) at every integer (Kairouz, Liu and Steinke, 2021, section 4.1, bound it by 5 e^(-2 pi^2 v)).
    And a continuous Gaussian of variance s^2 - v, of which z is drawn, followed by a discrete Gaussian of variance v around z, is
    the discrete Gaussian of variance s^2, but for a factor within e^(+-ripple(v)).

    >>> f"{ripple(1.0):.1e}"
    '1.1e-08'
    """
    theta = 2 * math.fsum(math.exp(-2 * math.pi**2 * variance * m * m) for m in range(1, 50))
    return math.log1p(2 * theta / (1 - theta)) if theta < 1 else math.inf


def ripple_of_sum(variance: float, shares: int) -> float:
    """The same for the sum of `shares` discrete Gaussians of one variance against a single one (added one by one)."""
    if variance < 0.5:
        return 0.0 if shares == 1 else math.inf
    # The terms fall with k, so the 63rd bounds all that follow.
    terms = [ripple(variance * k / (k + 1)) for k in range(1, min(shares, 64))]
    return math.fsum(terms) + max(shares - 64, 0) * (terms[-1] if terms else 0.0)
