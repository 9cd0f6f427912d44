"""Top-k: each site sends the entries that are largest at that site, and which they are, and keeps the rest for later rounds.

The places differ from site to site, so masks, which lie on fixed places, cannot cancel: for the plain and the Paillier lane only.
Under Paillier a ciphertext holds many entries in fixed lanes, so whole *runs* of entries are chosen, one run for each ciphertext;
the values stay unread, the places do not. In every lane the hub sees where a site's change is large.

Stich, Cordonnier and Jaggi 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import SiteError
from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.packing import pack_places
from huizhen.privacy.compression.quantising import Entropy
from huizhen.privacy.compression.shrinking import Public, Shrunk

__all__ = ["TopK"]


@dataclass(frozen=True)
class TopK:
    """Sends the runs with the largest sums of magnitudes; of equal ones the first.

    Attributes:
        blocks: layout of the vectors.
        share: of the runs, above 0 and up to 0.5; at least one run is sent.
        run: entries in a run; 1: each entry by itself. The last one may be shorter.
    """

    blocks: Blocks
    share: float
    run: int = 1
    maskable: bool = False

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        return Public(seed, 0, np.asarray(ranges, np.float64))

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        self.blocks.check(values)
        magnitudes = np.abs(values)
        if self.run > 1:
            magnitudes = np.add.reduceat(magnitudes, np.arange(0, len(values), self.run))
        if not np.isfinite(magnitudes.max()):
            raise SiteError("a value to be sent is not finite, so nothing is sent; lower learning_rate, or set clip")
        places = _largest(magnitudes, self.kept)
        return Shrunk(values[self._entries(places)], places)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        if shrunk.places is None:  # a total, of full length
            return self.blocks.sizes
        before = np.searchsorted(self._entries(shrunk.places), self.blocks.starts + self.blocks.sizes)
        return np.diff(before, prepend=0).astype(np.int64)

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        places = shrunk.places
        if places is None or places.dtype != np.int64 or places.shape != (self.kept,):
            return False
        if places[0] < 0 or places[-1] >= self.runs or (np.diff(places) <= 0).any():
            return False
        return shrunk.values.shape == self._entries(places).shape

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        """A vector of full length: the sites' places together may be almost all."""
        whole = shrunk[0].values.dtype.kind == "i"
        total: NDArray[Any] = np.zeros(self.blocks.size, np.int64 if whole else np.float32)
        for one in shrunk:
            total[slice(None) if one.places is None else self._entries(one.places)] += one.values
        return Shrunk(total, clipped=sum(one.clipped for one in shrunk))

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        values = shrunk.values if times == 1 else shrunk.values * np.float32(times)
        onto[slice(None) if shrunk.places is None else self._entries(shrunk.places)] += values

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        return replace(public, round=public.round + 1)

    def describe(self) -> Mapping[str, Any]:
        sent = min(self.kept * self.run, self.blocks.size)
        places = len(pack_places(np.arange(self.kept), self.runs))
        return {"kind": "top_k", "sent": sent, "share": sent / self.blocks.size, "bytes_of_places": places}

    @cached_property
    def runs(self) -> int:
        """Runs altogether."""
        return -(-self.blocks.size // self.run)

    @cached_property
    def kept(self) -> int:
        """Runs that are sent."""
        return max(1, round(self.share * self.runs))

    def _entries(self, places: Ints) -> Ints:
        """The entries of runs, rising."""
        if self.run == 1:
            return places
        entries: Ints = (places[:, None] * self.run + np.arange(self.run)).ravel()
        return entries[: np.searchsorted(entries, self.blocks.size)]


def _largest(magnitudes: Floats, count: int) -> Ints:
    """Places of the `count` largest, rising; where equal ones compete, the first."""
    least = np.partition(magnitudes, len(magnitudes) - count)[len(magnitudes) - count]
    chosen = magnitudes > least
    equal = np.flatnonzero(magnitudes == least)
    chosen[equal[: count - int(np.count_nonzero(chosen))]] = True
    return np.flatnonzero(chosen)
