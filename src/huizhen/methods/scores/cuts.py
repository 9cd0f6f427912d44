"""Where a histogram of scores may be cut so that no published point tells of a few patients.

Between two neighbouring cuts lie no rows with the label or at least the minimum, and so for the rows without it. Everything that
is published of the histogram (points of the ROC curve, tenths of the predicted risk) is taken at these cuts, so that no
difference of two published numbers is a small count either. The chosen point is one of the cuts where its own counts allow it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from huizhen.methods.scores.interval import Floats

__all__ = ["Piece", "pieces"]

FINEST = 100  # the ROC curve has at most about this many points


class Piece(NamedTuple):
    """Neighbouring bins, the scores from above: places in the arrays that `pieces` was given, `start` <= place < `stop`."""

    start: int
    stop: int


def pieces(positives: Floats, negatives: Floats, *, minimum: int, chosen: int | None = None) -> list[Piece]:
    """Pieces that cover all bins, highest scores first.

    Args:
        positives, negatives: numbers of rows by bin, highest scores first, float64 (bin,).
        minimum: the policies' smallest number of patients.
        chosen: how many bins lie above the chosen point; None: there is none, or it may not be published.

    Returns:
        No piece at all where a class has fewer rows than the minimum.
    """
    p, n = positives.sum(), negatives.sum()
    if p < max(minimum, 1) or n < max(minimum, 1):
        return []
    parts = [(0, len(positives))] if chosen is None else [(0, chosen), (chosen, len(positives))]
    found: list[Piece] = []
    for start, stop in parts:
        bounds = _bounds(positives[start:stop], negatives[start:stop], minimum, p, n)
        found += [Piece(start + a, start + b) for a, b in pairwise(bounds)]
    return found


def _bounds(positives: Floats, negatives: Floats, minimum: int, p: float, n: float) -> list[int]:
    """Bounds of the pieces, from 0 to the number of bins; what is left at the end joins the piece before, and so on."""
    bounds, counts, here = [0], [], np.zeros(2)
    whole = np.stack([positives, negatives], axis=1)
    for bin_ in np.flatnonzero(positives + negatives).tolist():
        here = here + whole[bin_]
        if _tells_of_enough(here, minimum) and here[0] / p + here[1] / n >= 1.0 / FINEST:
            bounds.append(bin_ + 1)
            counts.append(here)
            here = np.zeros(2)
    while counts and not (_tells_of_enough(here, minimum) and here.any()):
        bounds.pop()
        here = here + counts.pop()
    return [*bounds, len(positives)] if len(positives) else bounds


def _tells_of_enough(counts: Floats, minimum: int) -> bool:
    """Whether neither number is 1 to minimum - 1."""
    return bool(((counts == 0) | (counts >= minimum)).all())
