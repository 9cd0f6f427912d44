"""Changes of a network's weights (float32) in a ring of 16 or 32 bits: half the bytes of a float32, or as many.

Each run of 4,096 entries has a scale of its own, a power of two that all sites know beforehand: the largest change that any site
had in the round before, and one bit more. How large it was they learn without telling whose it was: for each run a site fills cells
of a *thermometer*, as many as its own size is high, with random numbers, and leaves the others 0; in the masked sum a cell is 0
where no site's was filled, and random where any was. Only the largest size, to a power of two, is learnt. In the first round
nothing is known, and the numbers go in 32 bits at a fixed scale. What lies outside its run's scale is cut to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIRST", "RUN", "decode", "encode", "fill", "heights_of", "levels", "read", "runs"]

RUN = 4096
LOWEST, HIGHEST = -30, 10  # sizes from 2^LOWEST to 2^HIGHEST are told apart
CELLS = HIGHEST - LOWEST
FIRST = 6  # in the first round changes up to 2^6, told apart to 2^-22 with five sites
MARGIN = 1
Heights = NDArray[np.int8]


def runs(size: int) -> int:
    """How many runs so many entries have."""
    return -(-size // RUN)


def levels(bits: int, sites: int) -> int:
    """The largest whole number that each of so many sites may send, so that their sum stays in the ring."""
    return int((2 ** (bits - 1) - 1) // sites)


def encode(values: NDArray[np.float32], heights: Heights, *, sites: int, out: NDArray[Any]) -> Heights:
    """Writes the values as whole numbers, each rounded to the nearest, into `out`; gives the size of each run.

    Args:
        values: flat float32 (n,), finite.
        heights: of each run (int8): numbers below 2^height fit.
        out: flat uint16 or uint32 (n,), the ring.

    Returns:
        int8 (run,): the smallest power of two, as exponent, above every entry of the run.
    """
    most = float(levels(out.itemsize * 8, sites))
    signed, own = out.view(np.int16 if out.itemsize == 2 else np.int32), np.empty(runs(len(values)), np.float32)
    room = np.empty(RUN, np.float32 if out.itemsize == 2 else np.float64)
    for place, start in enumerate(range(0, len(values), RUN)):  # a run is one piece, which stays in the cache
        piece = values[start : start + RUN]
        scaled = room[: len(piece)]
        low, high = piece.min(), piece.max()
        own[place] = max(-low, high)
        np.multiply(piece, most / 2.0 ** int(heights[place]), out=scaled)
        np.rint(scaled, out=scaled)
        if own[place] > 2.0 ** int(heights[place]):
            np.clip(scaled, -most, most, out=scaled)
        signed[start : start + RUN] = scaled
    return np.clip(np.frexp(own)[1], LOWEST, HIGHEST).astype(np.int8)


def decode(total: NDArray[Any], heights: Heights, *, sites: int) -> NDArray[np.float32]:
    """The sum of the values, float32 (n,), from the sum in the ring."""
    most = levels(total.itemsize * 8, sites)
    signed, values = total.view(np.int16 if total.itemsize == 2 else np.int32), np.empty(len(total), np.float32)
    for place, start in enumerate(range(0, len(total), RUN)):
        scale = 2.0 ** int(heights[place]) / most
        np.multiply(signed[start : start + RUN], np.float32(scale), out=values[start : start + RUN], casting="same_kind")
    return values


def fill(sizes: Heights, entropy: Callable[[int], bytes]) -> NDArray[np.uint16]:
    """The thermometers of a site, flat uint16 (run x CELLS): random and not 0 up to the run's size, 0 above."""
    cells = np.frombuffer(entropy(2 * len(sizes) * CELLS), np.uint16).reshape(len(sizes), CELLS)
    cells = np.maximum(cells, 1)
    cells[np.arange(CELLS) >= (sizes.astype(np.int64) - LOWEST)[:, None]] = 0
    return cells.reshape(-1)


def read(total: NDArray[np.uint16]) -> Heights:
    """The largest size of each run over all sites, from the sum of their thermometers.

    A filled cell's sum is 0 once in 65,536 times; the cell above or below is then read, which costs at most a cut value.
    """
    filled = total.reshape(-1, CELLS) != 0
    top = CELLS - np.argmax(filled[:, ::-1], axis=1)
    return np.where(filled.any(axis=1), top + LOWEST, LOWEST).astype(np.int8)


def heights_of(sizes: Heights) -> Heights:
    """The next round's scales: the sizes of this one and one bit more."""
    return np.minimum(sizes + MARGIN, HIGHEST).astype(np.int8)
