"""Noise that hides one patient, or one site, in a sum: exact draws on the integers, grids, clipping, and shares of a joint noise.

Anyone may enter. Nothing here draws by itself: every draw takes `entropy`, a function that gives so many secure random bytes
(say, the operating system's). What the noise costs in privacy is the matter of `huizhen.privacy.accounting`.
"""

from huizhen.privacy.noise.clipping import Clipped, clip_entries, clip_l1, clip_l2
from huizhen.privacy.noise.gaussian import DiscreteGaussian
from huizhen.privacy.noise.grid import Grid
from huizhen.privacy.noise.laplace import DiscreteLaplace
from huizhen.privacy.noise.shares import Shares
from huizhen.privacy.noise.source import Entropy

__all__ = [
    "Clipped",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Entropy",
    "Grid",
    "Shares",
    "clip_entries",
    "clip_l1",
    "clip_l2",
]
