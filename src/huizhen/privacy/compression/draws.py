"""Public draws by counter: every site draws the same from (seed, counters), on any machine and with any release of numpy.

A draw is a hash and never a state that moves on: splitmix64 (Steele, Lea and Flood, OOPSLA 2014, fig. 15). It is no secret and
hides nothing; what has to be secret comes from a secure source elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw"]

_GAMMA, _A, _B = (np.array([n], np.uint64) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31, _ONE = (np.array([n], np.uint64) for n in (30, 27, 31, 1))


def draw(seed: int, *counters: int | NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 bits for each combination of `counters` (0 or above), which broadcast to at least one dimension."""
    found = np.array([seed % 2**64], np.uint64)
    for counter in counters:
        found = _mix(found + _GAMMA * (np.asarray(counter).astype(np.uint64) + _ONE))
    return found


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> _S30)) * _A
    z = (z ^ (z >> _S27)) * _B
    return z ^ (z >> _S31)
