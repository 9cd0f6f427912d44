"""How many patients a measure would tell of, for a policy's minimum to be held against.

A mean with all its digits is an equation in whole numbers: of a model that gives one of two probabilities, Brier score and log loss
have a single solution, and it is the number of patients with and without the label at each. So where predictions take few values,
whoever knows the model and the digits knows the counts by value, and the smallest of them is what is told of.

Weights may let one patient stand for all. Kish's number of rows that count (L. Kish, Survey Sampling (1965), section 11.7),
(sum of w)^2 / (sum of w^2), says how many equal rows would be as much.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from huizhen.methods.scores.interval import Floats

__all__ = ["effective", "group_weights", "least", "raw", "spelled_out"]

# Five measures with a limit each are about 500 bits; a count of a few patients is about 4.
SOLVED = 128
ROWS_PER_COUNT = 2  # scores that hardly ever meet stand for covariates that the reader does not know


def raw(sums: Mapping[str, Floats], name: str, rows: str) -> Floats:
    """Numbers of rows: those beside the weighted sums, or the sums themselves where every row counts once."""
    return sums.get(rows, sums[name])


def least(counts: Floats) -> float:
    """The smallest number but 0; 0 where there is no other."""
    return float(counts[counts > 0].min(initial=np.inf)) if (counts > 0).any() else 0.0


def spelled_out(counts: Floats) -> float:
    """The smallest number of rows, but 0, that digits would give away; infinite where there are too many numbers to solve for.

    Args:
        counts: numbers of rows by group and value of the prediction, of any shape.
    """
    held = np.count_nonzero(counts)
    return least(counts) if 0 < held <= min(SOLVED, float(counts.sum()) / ROWS_PER_COUNT) else np.inf


def group_weights(member: Floats, weights: Floats) -> Floats:
    """Sums of weights and of their squares by group, float64 (group, 2); `member`: 0 or 1, (row, group)."""
    return np.stack([weights @ member, weights**2 @ member], axis=1)


def effective(sums: Mapping[str, Floats]) -> float:
    """The smallest of the groups' numbers of rows that count, but 0; infinite where every row counts once."""
    if "group_weights" not in sums:
        return np.inf
    total, squares = sums["group_weights"].T
    rows = [w * w / s if s > 0 else 1.0 for w, s in zip(total.tolist(), squares.tolist()) if w > 0]
    return min((max(1.0, float(one) * (1.0 + 1e-9)) for one in rows), default=np.inf)
