"""The product-limit estimate of survival from joint counts, with its error, median and restricted mean.

Sources: E. L. Kaplan and P. Meier, JASA 53 (1958) 457; M. Greenwood (1926); J. D. Kalbfleisch and R. L. Prentice, The Statistical
Analysis of Failure Time Data (2002), eq. 1.12 to 1.15. Definitions of the median and of the restricted mean follow R's
``survival:::survmean``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["ConfidenceType", "Curve", "Limits", "crossing", "product_limit", "restricted_mean"]

ConfidenceType = Literal["log-log", "log", "plain"]
TOUCHES = np.sqrt(np.finfo(np.float64).eps)  # R's tolerance for a curve that meets the level exactly


@dataclass(frozen=True, slots=True)
class Limits:
    """Confidence limits by time, float64 (time,), NaN where there are none."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """A survival curve on increasing times; before the first it is 1.

    Attributes:
        time: float64 (time,).
        at_risk, events: int64 (time,); at risk just before each time, events at it.
        survival: float64 (time,), right-continuous.
        log_variance: Greenwood's variance of the log of survival, float64 (time,); infinite where survival is 0.
    """

    time: NDArray[np.float64]
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]
    survival: NDArray[np.float64]
    log_variance: NDArray[np.float64]

    @property
    def standard_error(self) -> NDArray[np.float64]:
        """Greenwood's standard error of survival, float64 (time,), NaN where survival is 0 (as R)."""
        with np.errstate(invalid="ignore"):
            return self.survival * np.sqrt(self.log_variance)

    def limits(self, confidence: float, kind: ConfidenceType) -> Limits:
        """Pointwise limits: ``log-log`` (lifelines' default), ``log`` (R's default) or ``plain``, kept within 0 and 1.

        Where survival is still 1 they are 1 and 1, where it is 0 there are none (``plain`` and ``log`` as R).
        """
        z = norm.isf((1.0 - confidence) / 2.0)
        s, se = self.survival, np.sqrt(self.log_variance)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if kind == "plain":
                low, high = s - z * s * se, s + z * s * se
            elif kind == "log":
                low, high = s * np.exp(-z * se), s * np.exp(z * se)
            else:
                spread = z * se / np.log(s)  # negative: log(s) < 0
                low, high = np.exp(-np.exp(np.log(-np.log(s)) - spread)), np.exp(-np.exp(np.log(-np.log(s)) + spread))
        low, high = np.where(s == 1.0, 1.0, low), np.where(s == 1.0, 1.0, high)
        gone = s == 0.0
        return Limits(np.where(gone, np.nan, np.maximum(low, 0.0)), np.where(gone, np.nan, np.minimum(high, 1.0)))


def product_limit(time: NDArray[np.float64], at_risk: NDArray[np.int64], events: NDArray[np.int64]) -> Curve:
    """The curve behind numbers at risk (> 0) and events at increasing times; all of shape (time,)."""
    survivors = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(events == 0, 0.0, events / (at_risk * survivors.astype(np.float64)))
    return Curve(time, at_risk, events, np.cumprod(survivors / at_risk, dtype=np.float64), np.cumsum(terms))


def crossing(time: NDArray[np.float64], heights: NDArray[np.float64], level: float = 0.5) -> float | None:
    """When a falling curve first reaches `level`; None if it never does.

    Where it stays at the level for a while, the middle of that while, as R; lifelines gives its beginning.
    """
    below = np.flatnonzero(~np.isnan(heights) & (heights < level + TOUCHES))
    if not len(below):
        return None
    first = below[0]
    if abs(heights[first] - level) < TOUCHES:
        lower = below[heights[below] < heights[first]]
        if len(lower):
            return float(time[first] + time[lower[0]]) / 2.0
    return float(time[first])


def restricted_mean(curve: Curve, until: float) -> tuple[float, float]:
    """Mean survival time up to `until` (area under the curve) and its standard error.

    Kalbfleisch and Prentice (2002), eq. 1.18, as R's ``print(survfit, rmean = until)``. Beyond the last time the curve is held.
    """
    inside = curve.time <= until
    ends = np.append(curve.time[inside], until)
    heights = np.concatenate(([1.0], curve.survival[inside]))
    areas = heights * np.diff(ends, prepend=0.0)
    d, n = curve.events[inside], curve.at_risk[inside].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        jumps = np.where(n == d, 0.0, d / (n * (n - d)))
    left = np.cumsum(areas[:0:-1])[::-1]  # area that lies after each time
    return float(areas.sum()), float(np.sqrt(np.sum(left**2 * jumps)))
