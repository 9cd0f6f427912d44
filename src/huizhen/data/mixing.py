"""Mixing 64 bits so that every bit of what goes in moves about half of those that come out: splitmix64.

Not for secrets: who sees what comes out can work out what went in. Source: G. L. Steele, D. Lea and C. H. Flood, OOPSLA 2014,
figure 15.

>>> import numpy as np
>>> [int(each[0]) for each in (mixed(np.array([n], np.uint64)) for n in (0, 1))]
[0, 6238072747940578789]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAMMA", "mixed"]

Bits = NDArray[np.uint64]

GAMMA, _A, _B = (np.array([n], np.uint64) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S30, _S27, _S31 = (np.array([n], np.uint64) for n in (30, 27, 31))


def mixed(z: Bits) -> Bits:
    """The generator's last step. Of a counter, add `GAMMA` times it to a seed before: 0 stays 0."""
    z = (z ^ (z >> _S30)) * _A
    z = (z ^ (z >> _S27)) * _B
    return z ^ (z >> _S31)
