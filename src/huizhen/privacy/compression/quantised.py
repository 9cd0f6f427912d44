"""Any way of shrinking, with what it sends rounded at random to few bits.

Ranges are public. They follow the totals: what was summed in one round says within which range a site's entries will probably lie in
the next. A range that is too narrow clips, and what is clipped is kept for the next round, as everything that is not sent; and a total
at the end of its range makes the next range wider. So a wrong range costs rounds, never values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.packing import packed_size
from huizhen.privacy.compression.quantising import Entropy, Grid, restore, round_at_random
from huizhen.privacy.compression.shrinking import Compression, Public, Shrunk

__all__ = ["HEADROOM", "Quantised", "next_ranges"]

HEADROOM = 4.0  # times the largest mean over sites: single sites differ from it, and the next round from this one
SLOWEST = 8.0  # a range falls to no less than an eighth in a round: one quiet round is no reason to clip the next
NARROWEST, WIDEST = 1e-20, 1e30


@dataclass(frozen=True)
class Quantised:
    """Rounds what `inner` sends.

    Attributes:
        inner: how vectors are shrunk.
        bits: of a level, and of a sum of `addends` levels: 8, 10, 12 or 16.
        addends: sites whose levels are added within these bits (a masked sum in a ring of 16 bits), or 1 where a sum has room of its
            own.
    """

    inner: Compression
    bits: int = 16
    addends: int = 1

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
        rounded = round_at_random(shrunk.values, self._grid(shrunk, public), entropy)
        return Shrunk(rounded.levels, shrunk.places, rounded.clipped)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        return self.inner.lengths(shrunk, public)

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        return self.inner.total(shrunk, public)

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        self.inner.restore_onto(onto, self._as_floats(shrunk, public), public, times=times)

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        floats = self._as_floats(total, public)
        largest = np.zeros(len(public.ranges))
        lengths = self.lengths(total, public)
        filled = lengths > 0
        starts = (np.cumsum(lengths) - lengths)[filled]
        largest[filled] = np.maximum.reduceat(np.abs(floats.values), starts)
        return self.inner.next_public(replace(public, ranges=next_ranges(public.ranges, largest, sites)), floats, sites)

    def describe(self) -> Mapping[str, Any]:
        inner = self.inner.describe()
        size = packed_size(round(inner["sent"]), self.bits) + inner.get("bytes_of_places", 0)
        return {**inner, "bits": self.bits, "bytes": size, "of_float32": size / (4 * self.blocks.size)}

    def _grid(self, shrunk: Shrunk, public: Public) -> Grid:
        return Grid(self.lengths(shrunk, public), public.ranges, self.bits, self.addends)

    def _as_floats(self, shrunk: Shrunk, public: Public) -> Shrunk:
        return Shrunk(restore(shrunk.values, self._grid(shrunk, public)), shrunk.places, shrunk.clipped)


def next_ranges(ranges: NDArray[np.float64], largest: NDArray[np.float64], sites: int) -> NDArray[np.float64]:
    """The ranges of the next round, float64 (block,).

    Args:
        ranges: of this round.
        largest: magnitude in each block of the total over sites, float64 (block,); where it is 0 a range stays as it is.
        sites: who were added up, 1 or more.
    """
    wanted = np.where(largest > 0, HEADROOM * largest / sites, ranges)
    return np.clip(np.maximum(wanted, ranges / SLOWEST), NARROWEST, WIDEST)
