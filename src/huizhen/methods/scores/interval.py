"""Confidence intervals of measures that are sums over rows: of a share, of a mean, of an estimate with its variance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["Estimate", "absent", "mean", "moments", "normal", "quantile", "share"]

Floats = NDArray[np.float64]
LARGEST = 1e280  # a larger number, or its sum over rows, would be infinite, and no policy lets that leave
ROUNDING = 1e-12  # a variance below this share of the mean square is what rounding leaves of 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its limits.

    Attributes:
        measure: e.g. ``auc``.
        value, low, high: None where it cannot be estimated.
        smallest: the smallest number of patients, but 0, that `value` would tell of; a policy's minimum is held against it.
        label: the class or label that it is about; "" for all together.
    """

    measure: str
    value: float | None
    low: float | None
    high: float | None
    smallest: float
    label: str = ""

    def of(self, label: str) -> Estimate:
        """The same, about one label."""
        return replace(self, label=label)


def quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval reaches to each side."""
    return float(ndtri(0.5 + confidence / 2.0))


def absent(measure: str, smallest: float = 0.0) -> Estimate:
    """A measure that cannot be estimated."""
    return Estimate(measure, None, None, None, smallest)


def share(measure: str, hits: float, count: float, z: float, smallest: float) -> Estimate:
    """`hits` of `count` with Wilson's score interval (E. B. Wilson, JASA 22 (1927) 209, the formula of page 210)."""
    if count <= 0:
        return absent(measure, smallest)
    value = hits / count
    middle = (value + z * z / (2.0 * count)) / (1.0 + z * z / count)
    half = z * np.sqrt(value * (1.0 - value) / count + (z / (2.0 * count)) ** 2) / (1.0 + z * z / count)
    return Estimate(measure, value, max(0.0, float(middle - half)), min(1.0, float(middle + half)), smallest)


def moments(weights: Floats, values: Floats) -> Floats:
    """Sums of values and of their squares, float64 (2,); finite for whatever finite values: a square stays below `LARGEST`."""
    with np.errstate(over="ignore"):
        return np.array([weights @ np.clip(values, -LARGEST, LARGEST), weights @ np.minimum(np.square(values), LARGEST)])


def mean(measure: str, sums: Floats, count: float, z: float, *, low: float = 0.0, high: float = np.inf) -> Estimate:
    """The mean of values with sum and sum of squares `sums` (2,); normal limits, cut at what is possible."""
    if count <= 0:
        return absent(measure)
    value, square = float(sums[0]) / count, float(sums[1]) / count
    variance = square - value * value
    if count < 2 or variance < ROUNDING * square:
        variance = 0.0
    error = np.sqrt(variance / (count - 1)) if count > 1 else 0.0
    return normal(measure, value, float(error), z, count, low=low, high=high)


def normal(
    measure: str, value: float, error: float, z: float, smallest: float, *, low: float = -np.inf, high: float = np.inf
) -> Estimate:
    """An estimate with its standard error; without limits where that is 0 or unknown."""
    if not np.isfinite(value):
        return absent(measure, smallest)
    if not (np.isfinite(error) and error > 0):
        return Estimate(measure, float(value), None, None, smallest)
    return Estimate(measure, float(value), max(low, float(value - z * error)), min(high, float(value + z * error)), smallest)
