"""Scores as histograms that add up over sites, and the area under the ROC curve that they tell.

Every site counts its rows by bin of score, those of the class and the others apart. Where a row of the class and another share a
bin, nobody knows which scored higher; such a pair counts one half, so the area lies at most

    bound = sum over bins of positives * negatives / (2 * all positives * all negatives)

off that of the rows themselves, and the bound is computed from the very histogram.

Bins are even in ``u = 1/2 + z / (2 sqrt(z^2 + 16))`` of the logit z: 0.0005 wide about 0 with 16,384 bins, 0.0055 at 8 or -8, and
still apart at 100, where a probability is 1 to the last digit. No site needs to know another's scores to place its own.

Sources: J. A. Hanley and B. J. McNeil, Radiology 143 (1982) 29; the variance is that of E. R. DeLong, D. M. DeLong and
D. L. Clarke-Pearson, Biometrics 44 (1988) 837, equations 4 to 6, where rows of a bin share their placement.

    >>> import numpy as np
    >>> area(np.array([0.0, 1.0, 3.0]), np.array([2.0, 1.0, 1.0])).value
    0.8125
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["BINS", "COARSE", "Area", "area", "count_by_bin", "middles", "place"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BINS = 16_384  # 256 kB for two classes; the bound halves with twice as many
COARSE = 1024  # enough to follow learning by: 16 kB, and exact to about 0.001
SPREAD = 4.0  # the logit at which bins have become 2.8 times as wide as about 0
FARTHEST = 1e6  # logits beyond are of the last bin; the square of more than 1e154 would be infinite


@dataclass(frozen=True, slots=True)
class Area:
    """The area under the ROC curve.

    Attributes:
        value: None where one of the classes is empty.
        error: DeLong's standard error; None where a class has fewer than two rows.
        bound: how far `value` may lie from the area of the rows themselves.
    """

    value: float | None
    error: float | None
    bound: float


def place(logits: Floats, bins: int = BINS) -> Integers:
    """The bin of each score, int64 of the same shape, from 0."""
    z = np.clip(logits, -FARTHEST, FARTHEST)
    u = 0.5 + 0.5 * z / np.sqrt(z * z + SPREAD * SPREAD)
    return np.minimum((u * bins).astype(np.int64), bins - 1)


def middles(bins: int = BINS) -> tuple[Floats, Floats]:
    """The logit in the middle of each bin, and its probability; float64 (bin,) each."""
    t = (2.0 * np.arange(bins) + 1.0) / bins - 1.0
    z = SPREAD * t / np.sqrt(1.0 - t * t)
    return z, expit(z)


def count_by_bin(places: Integers, weights: Floats, bins: int) -> Floats:
    """Weights by label and bin, float64 (label, bin); both arguments (row, label)."""
    labels = places.shape[1]
    cell = places + bins * np.arange(labels)
    counts = np.bincount(cell.ravel(), np.ascontiguousarray(weights, np.float64).ravel(), labels * bins)
    return counts.astype(np.float64).reshape(labels, bins)  # without a row numpy counts in integers


def area(positives: Floats, negatives: Floats) -> Area:
    """From joint weights by bin of rising score, float64 (bin,) each. Weights count rows."""
    p, n = float(positives.sum()), float(negatives.sum())
    if p <= 0 or n <= 0:
        return Area(None, None, 0.0)
    below = np.cumsum(negatives) - negatives + negatives / 2.0
    above = p - np.cumsum(positives) + positives / 2.0
    value = float(positives @ below) / (p * n)
    bound = float(positives @ negatives) / (2.0 * p * n)
    if p < 2 or n < 2:
        return Area(value, None, bound)
    of_positives = float(positives @ (below / n - value) ** 2) / (p - 1.0)
    of_negatives = float(negatives @ (above / p - value) ** 2) / (n - 1.0)
    return Area(value, float(np.sqrt(of_positives / p + of_negatives / n)), bound)
