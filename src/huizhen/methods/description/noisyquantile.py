"""A quantile read off a noisy histogram: no value of a patient, and no promise of an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "Quantile", "noisy_quantile"]

BINS = 64  # even bins over the declared range: noise in a rank grows with the root of their number, width falls with it


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile or the interval that it is known to lie in; all None where there are no rows, or too few to say.

    Attributes:
        value: None where it would be one patient's own value.
        low, high: limits; not a confidence interval.
        tolerance: the largest possible distance of `value` from the pooled quantile.
        support: patients behind it: rows in the (smaller) bracket.
    """

    value: float | None
    low: float | None
    high: float | None
    tolerance: float | None
    support: int


def noisy_quantile(edges: NDArray[np.float64], bins: NDArray[np.int64], probability: float, *, at_least: int) -> Quantile:
    """The point up to which a share of the histogram lies, by linear interpolation within a bin.

    Running sums of noisy bins do not rise everywhere: at each edge the mean of the largest one so far and the smallest one to come
    is taken. Negative bins count as they are, for cutting each to 0 would add patients wherever there are none.

    Args:
        edges: float64 (bin + 1,), rising.
        bins: int64 (bin,), noisy, some negative.
        at_least: the fewest patients that `low` and `high` enclose.

    Returns:
        The quantile; without a value where the noisy number of patients lies below `at_least`.

    >>> noisy_quantile(np.array([0.0, 1.0, 2.0]), np.array([40, 40]), 0.25, at_least=5).value
    0.5
    """
    running = np.concatenate([[0.0], np.cumsum(bins)])
    above, below = np.maximum.accumulate(running), np.minimum.accumulate(running[::-1])[::-1]
    rising = np.maximum((above + below) / 2, 0.0)
    rising -= rising[0]
    n = rising[-1]
    if n < max(at_least, 1):
        return Quantile(None, None, None, None, max(round(n), 0))
    rank = probability * n
    place = int(np.clip(np.searchsorted(rising, rank) - 1, 0, len(bins) - 1))
    held = rising[place + 1] - rising[place]
    within = (rank - rising[place]) / held if held > 0 else 0.5
    value = float(edges[place] + within * (edges[place + 1] - edges[place]))
    low, high = place, place + 1
    while rising[high] - rising[low] < at_least:
        low, high = max(low - 1, 0), min(high + 1, len(bins))
    return Quantile(value, float(edges[low]), float(edges[high]), None, round(rising[high] - rising[low]))
