"""Whether predicted probabilities are those that come true: a line through the logits, from a histogram of scores.

The outcome is regressed on the logit of the prediction: slope 1 and intercept 0 are perfect, a slope below 1 means predictions
that are too extreme. Every row stands at the middle of its bin, at most half a bin from its logit: 0.00025 about 0.

Source: D. R. Cox, Biometrika 45 (1958) 562; F. E. Harrell, Regression Modeling Strategies (2015), section 10.9.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from huizhen.methods.scores.histogram import middles
from huizhen.methods.scores.interval import Floats

__all__ = ["Line", "recalibrate"]

MOST_STEPS = 100
TOLERANCE = 1e-10
STEEPEST = 1e4  # a slope beyond means that the scores part the classes
FLATTEST = 1e-12  # a determinant below this share of the product of the diagonal: all scores are one


class Line(NamedTuple):
    """Intercept and slope with their standard errors."""

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float


def recalibrate(positives: Floats, negatives: Floats) -> Line | None:
    """From joint weights by bin, float64 (bin,) each; None where there is no such line: one class, one score, or no overlap."""
    used = (positives + negatives) > 0
    z = middles(len(positives))[0][used]
    events, rows = positives[used], (positives + negatives)[used]
    if events.sum() <= 0 or events.sum() >= rows.sum() or len(z) < 2 or _parted(positives, negatives):
        return None
    x = np.stack([np.ones_like(z), z])
    line, likelihood = np.zeros(2), -np.inf
    for _ in range(MOST_STEPS):
        share = expit(line @ x)
        hessian = (x * (rows * share * (1.0 - share))) @ x.T
        if np.linalg.det(hessian) <= FLATTEST * hessian[0, 0] * hessian[1, 1]:
            return None
        step = np.asarray(np.linalg.solve(hessian, x @ (events - rows * share)), np.float64)
        line, likelihood, moved = _climb(line, step, likelihood, x, events, rows)
        if abs(line[1]) > STEEPEST:
            return None
        if moved <= TOLERANCE * (1.0 + np.abs(line).max()):
            errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
            return Line(float(line[0]), float(line[1]), float(errors[0]), float(errors[1]))
    return None


def _climb(line: Floats, step: Floats, likelihood: float, x: Floats, events: Floats, rows: Floats) -> tuple[Floats, float, float]:
    """A Newton step, halved until the likelihood does not fall; the new line, its likelihood and how far it moved."""
    for _ in range(40):
        eta = (line + step) @ x
        reached = float(events @ eta - rows @ np.logaddexp(0.0, eta))
        if reached >= likelihood - 1e-12 * abs(likelihood):
            return line + step, reached, float(np.abs(step).max())
        step = step / 2.0
    return line, likelihood, 0.0


def _parted(positives: Floats, negatives: Floats) -> bool:
    """Whether a score parts the classes, so that no line fits best."""
    p, n = np.flatnonzero(positives), np.flatnonzero(negatives)
    return bool(p[0] >= n[-1] or n[0] >= p[-1])
