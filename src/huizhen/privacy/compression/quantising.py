"""Rounding to few bits: float32 values become small whole numbers, without bias, and become floats again.

Each block of a vector has a range, known to all beforehand. It is cut into `top` steps on either side of zero; a value becomes the
number of a step, its *level*. Rounded at random, a value between two levels becomes the upper one as often as it is near to it, so
that the mean is the value itself and the errors of many sites cancel (Alistarh et al. 2017, QSGD, section 3.1, with even steps).

Levels of several sites are added as whole numbers: where a grid is made for n `addends`, a sum of n levels stays within the bits.

>>> import numpy as np
>>> grid = Grid(np.array([2, 1]), np.array([1.0, 10.0]), bits=8)
>>> rounded = round_nearest(np.array([0.5, -1.0, 30.0], np.float32), grid)
>>> rounded.levels.tolist(), rounded.clipped
([63, -126, 126], 1)
>>> restore(rounded.levels, grid).tolist()
[0.5, -1.0, 10.0]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError, SiteError
from huizhen.privacy.compression.blocks import Floats, Ints

__all__ = [
    "BITS",
    "Entropy",
    "Grid",
    "Rounded",
    "norm_after_rounding",
    "restore",
    "restore_onto",
    "round_at_random",
    "round_nearest",
    "top_level",
]

BITS = (8, 10, 12, 16)
PIECE = 1 << 16  # entries at once: what is worked on stays in a core's cache (some 900 KB); smaller pieces cost calls
BLOCK = 1 << 13  # entries that a block of random bytes serves; a part of PIECE
SMALLEST, LARGEST = 1e-30, 1e30  # of a range, so that its scale is a normal float32
Entropy = Callable[[int], bytes]
Levels = NDArray[Any]  # int8 or int16


@dataclass(frozen=True)
class Grid:
    """Which levels a vector is rounded to.

    Attributes:
        lengths: entries of each block, int64 (block,), adding up to the vector's.
        ranges: largest magnitude of each block that is not clipped, float64 (block,), from 1e-30 to 1e30.
        bits: 8, 10, 12 or 16.
        addends: how many levels are added up within these bits.

    Raises:
        CallerError: other bits, a range that is not to be used, or bits that leave no step for so many addends.
    """

    lengths: Ints
    ranges: NDArray[np.float64]
    bits: int
    addends: int = 1

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise CallerError(f"values are rounded to 8, 10, 12 or 16 bits, not to {self.bits}")
        if self.addends < 1 or self.top < 1:
            raise CallerError(f"{self.bits} bits leave no step for a sum of {self.addends} levels; use more bits")
        if self.ranges.shape != self.lengths.shape or not ((self.ranges >= SMALLEST) & (self.ranges <= LARGEST)).all():
            raise CallerError("every block needs a range to be rounded in, a number from 1e-30 to 1e30")

    @property
    def top(self) -> int:
        """The highest level. The last one of the bits stays free: rounding at random passes it on its way."""
        return top_level(self.bits, self.addends)

    @property
    def size(self) -> int:
        return int(self.ends[-1])

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """What one level is worth in each block, float64 (block,)."""
        return self.ranges / self.top

    @cached_property
    def ends(self) -> Ints:
        return np.cumsum(self.lengths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of levels: int8 or int16."""
        return np.dtype(np.int8 if self.bits == 8 else np.int16)


def top_level(bits: int, addends: int) -> int:
    """The highest level of `bits` bits, such that a sum of `addends` stays within them."""
    return int(2 ** (bits - 1) - 2) // addends


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """Levels of a vector.

    Attributes:
        levels: int8 for 8 bits, else int16, (n,); from -top to top.
        clipped: entries that lay outside their block's range and were given its end.
        reached: the largest magnitude of each block, in ranges, float64 (block,); above 1 where some were clipped.
    """

    levels: Levels
    clipped: int
    reached: NDArray[np.float64]


def round_nearest(values: Floats, grid: Grid) -> Rounded:
    """Each value at its nearest level (to even between two).

    Args:
        values: float32 (n,).

    Raises:
        SiteError: a value is not finite.
        CallerError: not as many values as the grid has.
    """
    return _rounded(values, grid, lambda _start, scaled: np.rint(scaled, out=scaled), shift=0)


def round_at_random(values: Floats, grid: Grid, entropy: Entropy) -> Rounded:
    """Each value at one of the two levels around it, such that the mean over draws is the value, to the rounding of float32.

    What is drawn for two entries is independent; for three and more it need not be: one block of bytes serves all entries, each
    8192 of them under an exclusive or with a number of their own. So mean and variance of every sum over entries are those of
    independent draws. The draws hide nothing, and no promise of privacy may rest on them.

    Args:
        values: float32 (n,).
        entropy: gives as many random bytes as it is asked for, e.g. `numpy.random.Generator.bytes`.

    Raises:
        SiteError: a value is not finite.
        CallerError: not as many values as the grid has.
    """
    block = np.frombuffer(entropy(4 * BLOCK), np.uint32) >> np.uint32(9) | np.uint32(0x3F800000)  # floats from 1 to below 2
    turns = np.frombuffer(entropy(4 * -(-len(values) // BLOCK)), np.uint32)[:, None] >> np.uint32(9)
    drawn = np.empty((PIECE // BLOCK, BLOCK), np.uint32)
    between_one_and_two = drawn.reshape(-1).view(np.float32)

    def upwards(start: int, scaled: Floats) -> None:
        turn = turns[start // BLOCK : -(-(start + len(scaled)) // BLOCK)]
        np.bitwise_xor(block, turn, out=drawn[: len(turn)])
        np.add(scaled, between_one_and_two[: len(scaled)], out=scaled)
        np.floor(scaled, out=scaled)

    return _rounded(values, grid, upwards, shift=1)


def restore(levels: NDArray[Any], grid: Grid) -> Floats:
    """The values that levels, or sums of levels, stand for: float32 (n,).

    Args:
        levels: whole numbers (n,), of one site or summed over sites.

    Raises:
        CallerError: not as many levels as the grid has.
    """
    values = np.zeros(len(levels), np.float32)
    restore_onto(values, levels, grid, times=1.0)
    return values


def restore_onto(onto: Floats, levels: NDArray[Any], grid: Grid, *, times: float) -> None:
    """Adds `times` what the levels stand for to `onto`, float32 (n,), in place.

    Raises:
        CallerError: not as many levels as the grid has.
    """
    if not len(levels) == len(onto) == grid.size:
        raise CallerError(f"{len(levels)} levels cannot be restored on a grid of {grid.size} entries")
    room = np.empty(min(PIECE, len(levels)), np.float32)
    by_block = (grid.steps * times).astype(np.float32)
    for piece in _pieces(grid):
        part, place = room[: piece.stop - piece.start], onto[piece.start : piece.stop]
        np.copyto(part, levels[piece.start : piece.stop], casting="unsafe")
        np.multiply(part, piece.spread(by_block), out=part)
        np.add(place, part, out=place)


def norm_after_rounding(norm: float, grid: Grid, *, order: int = 2) -> float:
    """The most that a vector's L1 or L2 norm can be after rounding at random, if it was at most `norm` before.

    An entry moves by less than one step, so the L2 norm grows by at most the root of the sum of squared steps, the L1 norm by the
    sum of steps (triangle inequality). Noise that is scaled to a norm, and added to levels, is scaled to this one; rounding again
    until the norm is small (Kairouz, Liu and Steinke 2021) would allow less.

    Args:
        order: 1 or 2.
    """
    moved = float((grid.lengths * grid.steps**order).sum())
    return norm + (moved if order == 1 else math.sqrt(moved))


Place = Callable[[int, Floats], object]


def _rounded(values: Floats, grid: Grid, place: Place, *, shift: int) -> Rounded:
    """Levels, piece by piece; `place` rounds scaled values in place, to `shift` levels too high."""
    if values.dtype != np.float32 or values.shape != (grid.size,):
        raise CallerError(f"{values.dtype} {list(values.shape)} cannot be rounded on a grid of {grid.size} float32 entries")
    # The float32 below `top`: a draw just below 1 added to `top` itself would be rounded one level too high.
    limit = np.nextafter(np.float32(grid.top), np.float32(0))
    levels, reached = np.empty(grid.size, grid.dtype), np.zeros(len(grid.lengths), np.float32)
    room = np.empty(min(PIECE, grid.size), np.float32)
    by_block = (grid.top / grid.ranges).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        clipped = 0
        for piece in _pieces(grid):
            scaled, found = room[: piece.stop - piece.start], levels[piece.start : piece.stop]
            np.multiply(values[piece.start : piece.stop], piece.spread(by_block), out=scaled)
            if not piece.raise_to(reached, scaled) <= limit:  # also where one is not a number
                clipped += _clip(values[piece.start : piece.stop], scaled, grid.top, limit)
            place(piece.start, scaled)
            np.copyto(found, scaled, casting="unsafe")
            if shift:
                np.subtract(found, shift, out=found)
    return Rounded(levels, clipped, reached / np.float64(grid.top))


def _clip(values: Floats, scaled: Floats, top: int, limit: np.float32) -> int:
    """Clips in place; how many lay outside. A range that rounding of the scale has passed by a hair is no clipping."""
    if not np.isfinite(values).all():
        raise SiteError("a value to be rounded is not finite, so nothing is sent; lower learning_rate, or set clip")
    outside = int(np.count_nonzero(np.abs(scaled) > np.float32(top * (1 + 1e-6))))
    np.clip(scaled, -limit, limit, out=scaled)
    return outside


class _Piece(NamedTuple):
    """Entries that are worked on at once: all of one block, or `parts` of each of several (one after the other, none empty)."""

    start: int
    stop: int
    blocks: int | Ints
    parts: Ints | None

    def spread(self, by_block: Floats) -> np.float32 | Floats:
        """What belongs to the entries, of what belongs to the blocks."""
        own: np.float32 | Floats = by_block[self.blocks]
        return own if self.parts is None else np.repeat(own, self.parts)

    def raise_to(self, reached: Floats, scaled: Floats) -> np.float32:
        """Raises `reached`, by block, to the largest magnitudes of these entries; the largest of them all, NaN if one is."""
        largest: Any = np.maximum(scaled.max(), -scaled.min())
        if self.parts is not None:
            by_block = np.maximum.reduceat(np.abs(scaled), np.cumsum(self.parts) - self.parts)
            reached[self.blocks] = np.maximum(reached[self.blocks], by_block)
        elif largest > reached[self.blocks]:
            reached[self.blocks] = largest
        return np.float32(largest)


def _pieces(grid: Grid) -> Iterator[_Piece]:
    starts = np.arange(0, grid.size, PIECE)
    stops = np.minimum(starts + PIECE, grid.size)
    firsts, lasts = (np.searchsorted(grid.ends, places, side="right").tolist() for places in (starts, stops - 1))
    for start, stop, first, last in zip(starts.tolist(), stops.tolist(), firsts, lasts, strict=True):
        if first == last:
            yield _Piece(start, stop, first, None)
        else:
            parts = np.diff(np.clip(grid.ends[first : last + 1], start, stop), prepend=start).astype(np.int64)
            filled = np.flatnonzero(parts)
            yield _Piece(start, stop, first + filled, parts[filled])
