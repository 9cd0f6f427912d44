"""Signals that look enough like an electrocardiogram to read, store and train on: a beat is a sum of bells.

After the shape of the model of McSharry, Clifford, Tarassenko and Smith, A dynamical model for generating synthetic
electrocardiogram signals, IEEE Transactions on Biomedical Engineering 50(3), 2003, table I: waves P, Q, R, S and T at fixed phases.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["electrocardiogram"]

# phase in a beat of 1, height in mV, width
WAVES = ((-0.17, 0.12, 0.04), (-0.04, -0.15, 0.016), (0.0, 1.1, 0.016), (0.04, -0.25, 0.016), (0.28, 0.3, 0.06))
NOISE_MV, WANDER_MV, WANDER_HZ = 0.02, 0.1, 0.25


def electrocardiogram(seconds: float, hertz: int, leads: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Millivolts, (lead, time): beats at 55 to 95 a minute that vary a little, a wandering baseline, noise."""
    count = round(seconds * hertz)
    rate = rng.uniform(55, 95) / 60
    steps = rate * (1 + 0.05 * rng.standard_normal(count)) / hertz
    phase = (np.cumsum(steps) + rng.random()) % 1.0 - 0.5
    beat = sum(height * np.exp(-((phase - at) ** 2) / (2 * width**2)) for at, height, width in WAVES)
    scale = rng.uniform(0.4, 1.2, (leads, 1)) * np.where(rng.random((leads, 1)) < 0.2, -1, 1)
    wander = WANDER_MV * np.sin(2 * np.pi * (WANDER_HZ * np.arange(count) / hertz + rng.random((leads, 1))))
    found: NDArray[np.float32] = (scale * beat + wander + NOISE_MV * rng.standard_normal((leads, count))).astype(np.float32)
    return found
