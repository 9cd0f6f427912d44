"""How well a number is predicted: root mean squared error, mean absolute error, and the share of variance explained.

Intervals are normal, with the variance of each mean by the delta method; that of R2 from the influence of a row on both sums of
squares (no linear model is assumed: the prediction may come from anywhere).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from huizhen.methods.scores.aim import Aim
from huizhen.methods.scores.groups import raw
from huizhen.methods.scores.interval import Estimate, Floats, absent, mean, moments, normal

__all__ = ["number_estimates", "number_sums"]

UNLIKE = 1e-3  # a standard deviation below this share of the mean leaves sums of powers too few digits


def number_sums(aim: Aim, outputs: Floats, targets: Floats, weights: Floats | None) -> dict[str, Floats]:
    """Sums over rows, float64: ``weight`` (1,), ``absolute`` (2,), ``squared`` (2,) with the value and its square, and ``powers``
    (7,): y, y^2, y^3, y^4, and e^2 y, e^2 y^2, with y = outcome - `aim.center` and e = outcome - prediction; the last is e."""
    found = np.asarray(targets, np.float64).ravel()
    e, y = found - outputs.reshape(-1), found - aim.center
    w = np.ones_like(y) if weights is None else np.asarray(weights, np.float64)
    with np.errstate(over="ignore"):
        powers = (y, y**2, y**3, y**4, e**2 * y, e**2 * y**2, e)
        squared = e**2
    return {
        "weight": np.array([float(w.sum())]),
        "absolute": moments(w, np.abs(e)),
        "squared": moments(w, squared),
        "powers": np.array([moments(w, part)[0] for part in powers]),
    }


def number_estimates(sums: Mapping[str, Floats], z: float) -> list[Estimate]:
    """Root mean squared error, mean absolute error, R2 and the mean error, with limits."""
    count, rows = float(sums["weight"][0]), float(raw(sums, "weight", "rows")[0])
    if count <= 0:
        return [absent(measure) for measure in ("rmse", "mae", "r2", "bias")]
    squared = mean("rmse", sums["squared"], count, z)
    value, low, high = (None if one is None else float(np.sqrt(one)) for one in (squared.value, squared.low, squared.high))
    root = Estimate("rmse", value, low, high, count)
    bias = mean("bias", np.array([sums["powers"][6], sums["squared"][0]]), count, z, low=-np.inf)
    found = [root, mean("mae", sums["absolute"], count, z), _explained(sums, count, z), bias]
    return [replace(one, smallest=rows) for one in found]


def _explained(sums: Mapping[str, Floats], n: float, z: float) -> Estimate:
    """R2 = 1 - (mean e^2) / (variance of y)."""
    m1, m2, m3, m4, ey, ey2, _ = (sums["powers"] / n).tolist()
    e2, e4 = (sums["squared"] / n).tolist()
    spread = m2 - m1 * m1
    if n < 3 or spread <= UNLIKE**2 * m1 * m1 or not np.isfinite(spread):
        return absent("r2", n)
    value = 1.0 - e2 / spread
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    both = ey2 - 2 * m1 * ey + m1**2 * e2  # mean of e^2 (y - mean)^2
    ratio = e2 / spread
    variance = ((e4 - e2**2) - 2 * ratio * (both - e2 * spread) + ratio**2 * (fourth - spread**2)) / spread**2
    return normal("r2", value, float(np.sqrt(max(variance, 0.0) / n)), z, n, high=1.0)
