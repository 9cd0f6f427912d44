"""Weighted max-min shares: every transfer's rate grows with its weight until its own line or a shared one is full.

Progressive filling (Bertsekas and Gallager, Data Networks, 2nd edition, section 6.5.2; weights as in Kelly, Maulloo and Tan, 1998).
"""

from __future__ import annotations

import numpy as np

__all__ = ["shares"]

FULL = 1 - 1e-12


def shares(weight: np.ndarray, cap: np.ndarray, use: np.ndarray, capacity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of stream a second of each transfer, and which lines are full.

    All transfers whose cap lies below the level at which the first line would fill are settled at their caps at once: lines fill
    no sooner for it.

    Args:
        weight: above 0, (transfer,); cap: bytes of stream a second, (transfer,).
        use: bytes on the line for each byte of stream, (line, transfer); capacity: bytes a second, (line,).
    """
    rate = np.zeros(len(weight))
    free = np.ones(len(weight), dtype=bool)
    full = np.zeros(len(capacity), dtype=bool)
    while free.any():
        growing = use[:, free] @ weight[free]
        left = np.maximum(capacity - use @ rate, 0.0)
        levels = np.full(len(capacity), np.inf)
        np.divide(left, growing, out=levels, where=growing > 0)
        level = levels.min(initial=np.inf)
        capped = free & (cap <= weight * level)
        if capped.any():
            rate[capped] = cap[capped]
            free &= ~capped
            continue
        filling = levels <= level / FULL
        full |= filling
        held = free & (use[filling] > 0).any(axis=0)
        rate[held] = weight[held] * level
        free &= ~held
    return rate, full
