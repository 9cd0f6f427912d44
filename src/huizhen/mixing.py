"""Mixing 64 bits so that every bit of what goes in moves about half of those that come out: splitmix64; and draws by counter.

A draw is a hash of a seed and counters, never a state that moves on: all who know the seed draw the same, in any order, on any
machine and with any release of numpy. Not for secrets: who sees what comes out can work out what went in. Source: G. L. Steele,
D. Lea and C. H. Flood, OOPSLA 2014, figure 15.

>>> import numpy as np
>>> [int(each[0]) for each in (mixed(np.array([n], np.uint64)) for n in (0, 1))]
[0, 6238072747940578789]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAMMA", "draw", "mixed", "seed_of"]

Bits = NDArray[np.uint64]

GAMMA, _A, _B = (np.array([n], np.uint64) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31, _ONE = (np.array([n], np.uint64) for n in (30, 27, 31, 1))


def mixed(z: Bits) -> Bits:
    """The generator's last step. Of a counter, add `GAMMA` times it to a seed before: 0 stays 0."""
    z = (z ^ (z >> _S30)) * _A
    z = (z ^ (z >> _S27)) * _B
    return z ^ (z >> _S31)


def seed_of(seed: int) -> Bits:
    """Any whole number as 64 bits, (1,)."""
    return np.array([seed % 2**64], np.uint64)


def draw(seeds: Bits, *counters: int | NDArray[np.int64] | Bits) -> Bits:
    """64 bits for each combination of `seeds` and `counters` (0 or above), which broadcast."""
    found = seeds
    for counter in counters:
        found = mixed(found + GAMMA * (np.asarray(counter).astype(np.uint64) + _ONE))
    return found
