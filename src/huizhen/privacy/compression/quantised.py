"""Any way of shrinking, with what it sends rounded at random to few bits.

Ranges are public and follow the sites: behind the levels of its entries a site sends one more level for each block, which says how
large the block's entries were. Their sum tells the range of the next round. (A total does not tell it: near the end of training the
sites' changes point in different directions and cancel, while each of them is as large as before.) These levels are added like all
others, so where sums are masked nobody sees a single site's.

A range that is too narrow clips. What is clipped is kept for the next round, as all that is not sent: that costs a round, no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import FederationError
from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.packing import packed_size
from huizhen.privacy.compression.quantising import Entropy, Grid, restore, round_at_random, top_level
from huizhen.privacy.compression.shrinking import Compression, Public, Shrunk

__all__ = ["Quantised", "next_ranges"]

FURTHEST = 8.0  # ranges: up to there a site says how far its entries lie outside, and so much a range may grow in a round
SLOWEST = 8.0  # a range falls to no less than an eighth in a round: one quiet round is no reason to clip the next
HEADROOM = 8.0  # times the mean over sites of the largest entry; of 8 sites or fewer no one can have a larger one
NARROWEST, WIDEST = 1e-20, 1e30


@dataclass(frozen=True)
class Quantised:
    """Rounds what `inner` sends.

    Attributes:
        inner: how vectors are shrunk.
        bits: of a level, and of a sum of `addends` levels: 8, 10, 12 or 16.
        addends: sites whose levels are added within these bits (a masked sum in a ring of 16 bits); 1 where a sum has more room.
        ranges: ``told``: the sites say how large their entries were; ``fixed``: they say nothing, and ranges stay as they were at
            first. Noise that is measured by a norm to which values were clipped needs them fixed, for nothing bounds what is told.
    """

    inner: Compression
    bits: int = 16
    addends: int = 1
    ranges: Literal["told", "fixed"] = "told"

    @property
    def blocks(self) -> Blocks:
        return self.inner.blocks

    @property
    def maskable(self) -> bool:
        return self.inner.maskable

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        return self.inner.begin(seed, ranges)

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        shrunk = self.inner.shrink(values, public, entropy)
        grid = self._grid(self.inner.lengths(shrunk, public), public)
        rounded = round_at_random(shrunk.values, grid, entropy)
        levels = rounded.levels
        if self._told:
            told = np.ceil(np.minimum(rounded.reached / FURTHEST, 1.0) * grid.top)
            levels = np.concatenate([levels, told.astype(grid.dtype)])
        return Shrunk(levels, shrunk.places, rounded.clipped)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        return self.inner.lengths(self._entries(shrunk), public)

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        expected, top = np.dtype(np.int8 if self.bits == 8 else np.int16), top_level(self.bits, self.addends)
        if shrunk.values.dtype != expected or not self.inner.fits(self._entries(shrunk), public):
            return False
        least = shrunk.values[len(shrunk.values) - self._told :].min(initial=0)
        return bool(-top <= shrunk.values.min() and shrunk.values.max() <= top and least >= 0)

    def check(self, shrunk: Shrunk, public: Public) -> None:
        """Whether a site may have sent this: as many levels as asked for, none beyond the highest, and rising places.

        Raises:
            FederationError: it may not; a sum with it would be wrong, or larger than one site can make it.
        """
        if not self.fits(shrunk, public):
            raise FederationError("what a site sent does not fit the compression of this study, so it is not added")

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        total = self.inner.total([self._entries(one) for one in shrunk], public)
        told = sum((self._levels_told(one).astype(np.int64) for one in shrunk), np.zeros(self._told, np.int64))
        return replace(total, values=np.concatenate([total.values, told]))

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        self.inner.restore_onto(onto, self._as_floats(shrunk, public), public, times=times)

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        if self._told:
            unit = FURTHEST / top_level(self.bits, self.addends)
            sums = self._levels_told(total) * public.ranges * unit
            public = replace(public, ranges=next_ranges(public.ranges, sums, sites))
        return self.inner.next_public(public, self._as_floats(total, public), sites)

    def describe(self) -> Mapping[str, Any]:
        inner = self.inner.describe()
        size = packed_size(round(inner["sent"]) + self._told, self.bits) + inner.get("bytes_of_places", 0)
        return {**inner, "bits": self.bits, "bytes": size, "of_float32": size / (4 * self.blocks.size)}

    @property
    def _told(self) -> int:
        """Levels behind those of the entries."""
        return len(self.blocks.names) if self.ranges == "told" else 0

    def _entries(self, shrunk: Shrunk) -> Shrunk:
        return replace(shrunk, values=shrunk.values[: len(shrunk.values) - self._told])

    def _levels_told(self, shrunk: Shrunk) -> NDArray[Any]:
        return shrunk.values[len(shrunk.values) - self._told :]

    def _grid(self, lengths: Ints, public: Public) -> Grid:
        return Grid(lengths, public.ranges, self.bits, self.addends)

    def _as_floats(self, shrunk: Shrunk, public: Public) -> Shrunk:
        entries = self._entries(shrunk)
        return replace(entries, values=restore(entries.values, self._grid(self.inner.lengths(entries, public), public)))


def next_ranges(ranges: NDArray[np.float64], sums: NDArray[np.float64], sites: int) -> NDArray[np.float64]:
    """The ranges of the next round, float64 (block,): the sum over sites of the largest entries, which none of them can pass.

    Of many sites it is eight times their mean, for a sum would leave too few levels for each.

    Args:
        ranges: of this round.
        sums: over sites of the largest magnitude that each sent in a block, float64 (block,).
        sites: who were added up, 1 or more.
    """
    return np.clip(np.maximum(sums * min(1.0, HEADROOM / sites), ranges / SLOWEST), NARROWEST, WIDEST)
