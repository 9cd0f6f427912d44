"""Changes of a network's weights (float32) in a ring of 16 or 32 bits: half the bytes of a float32, or as many.

Each run of 4,096 entries has a scale of its own, a power of two that all sites know beforehand: the largest change that any site
had in the round before, and one bit more. How large it was they learn without telling whose it was: for each run a site fills cells
of a *thermometer*, as many as its own size is high, with random numbers, and leaves the others 0; in the masked sum a cell is 0
where no site's was filled, and random where any was. Only the largest size, to a power of two, is learnt. In the first round
nothing is known, and the numbers go in 32 bits at a fixed scale. What lies outside its run's scale is cut to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.masking.streams import SEED_BYTES, apply_masks

__all__ = ["FIRST", "RUN", "decode", "encode", "fill", "heights_of", "levels", "read", "runs"]

RUN = 4096
LOWEST, HIGHEST = -30, 34  # sizes from 2^LOWEST to 2^HIGHEST are told apart: rows times a change may be large
CELLS = HIGHEST - LOWEST
APART = 64  # entries between rows
AT_ONCE = 32  # runs worked on at once; they stay in the processor's cache
_SIGNED = {2: np.int16, 4: np.int32, 8: np.int64}
_ROOM = {
    2: np.float32,
    4: np.float64,
    8: np.float64,
}  # in which whole numbers of so many bytes are exact, or far finer than a change
FIRST = HIGHEST  # in the first round changes up to 2^34, told apart to 2^-26 with five sites
MARGIN = 1
Heights = NDArray[np.int8]


class _Room(threading.local):
    """Where numbers are worked on, once for each thread: fresh memory costs time.

    Rows stand a little apart. Else numpy would make one long row of some, and for that copy out their scales, entry by entry.
    """

    def __init__(self) -> None:
        self._bytes = np.empty(AT_ONCE * (RUN + APART) * 8, np.uint8)

    def of(self, dtype: np.dtype[Any], at_once: int) -> NDArray[Any]:
        return self._bytes.view(dtype)[: at_once * (RUN + APART)].reshape(at_once, RUN + APART)[:, :RUN]


ROOM = _Room()


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
        out: flat uint16, uint32 or uint64 (n,), the ring.

    Returns:
        int8 (run,): the smallest power of two, as exponent, above every entry of the run.
    """
    most, signed = float(levels(out.itemsize * 8, sites)), out.view(_SIGNED[out.itemsize])
    scales = (most / np.ldexp(1.0, heights)).astype(_ROOM[out.itemsize])
    high, low = np.empty_like(scales), np.empty_like(scales)
    room = ROOM.of(scales.dtype, AT_ONCE)
    for (first, piece), (_, whole) in zip(_pieces(values, AT_ONCE), _pieces(signed, AT_ONCE), strict=True):
        scaled, here = room[: len(piece), : piece.shape[1]], slice(first, first + len(piece))
        np.multiply(piece, scales[here, None], out=scaled)
        np.maximum.reduce(scaled, axis=1, out=high[here])
        np.minimum.reduce(scaled, axis=1, out=low[here])
        if high[here].max() > most or low[here].min() < -most:
            np.clip(scaled, -most, most, out=scaled)
        np.rint(scaled, out=scaled)
        np.copyto(whole, scaled, casting="unsafe")
    sizes: Heights = np.clip(np.frexp(np.maximum(high, -low) / scales)[1], LOWEST, HIGHEST).astype(np.int8)
    return sizes


def decode(total: NDArray[Any], heights: Heights, *, sites: int) -> NDArray[np.float32]:
    """The sum of the values, float32 (n,), from the sum in the ring."""
    most, signed = levels(total.itemsize * 8, sites), total.view(_SIGNED[total.itemsize])
    scales = (np.ldexp(1.0, heights) / most).astype(_ROOM[total.itemsize])[:, None]
    values = np.empty(len(total), np.float32)
    room = ROOM.of(scales.dtype, AT_ONCE // 2)
    for (first, piece), (_, whole) in zip(_pieces(values, AT_ONCE // 2), _pieces(signed, AT_ONCE // 2), strict=True):
        scaled = room[: len(piece), : piece.shape[1]]
        scaled[...] = whole
        np.multiply(scaled, scales[first : first + len(piece)], out=piece, casting="same_kind")
    return values


def _pieces(values: NDArray[Any], at_once: int) -> list[tuple[int, NDArray[Any]]]:
    """Some runs at a time, as views (run, entry) with the number of the first; last the run that is not full."""
    full = len(values) // RUN
    whole = values[: full * RUN].reshape(full, RUN)
    pieces = [(first, whole[first : first + at_once]) for first in range(0, full, at_once)]
    return pieces if full * RUN == len(values) else [*pieces, (full, values[full * RUN :].reshape(1, -1))]


def fill(sizes: Heights, entropy: Callable[[int], bytes]) -> NDArray[np.uint16]:
    """The thermometers of a site, flat uint16 (run x CELLS): random and not 0 up to the run's size, 0 above."""
    drawn = np.zeros(len(sizes) * CELLS, np.uint16)
    apply_masks([drawn], [entropy(SEED_BYTES)], [])  # faster than as many bytes from the system's source
    cells = np.maximum(drawn, 1).reshape(len(sizes), CELLS)
    cells *= np.arange(LOWEST, HIGHEST, dtype=np.int8) < sizes[:, None]
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
