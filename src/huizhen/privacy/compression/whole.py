"""Every entry is sent: nothing is saved but what rounding to few bits saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.quantising import Entropy
from huizhen.privacy.compression.shrinking import Public, Shrunk, added

__all__ = ["Whole"]


@dataclass(frozen=True)
class Whole:
    """The identity, which is linear."""

    blocks: Blocks
    maskable: bool = True

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        return Public(seed, 0, np.asarray(ranges, np.float64))

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        self.blocks.check(values)
        return Shrunk(values)

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        return self.blocks.sizes

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        return shrunk.places is None and shrunk.values.shape == (self.blocks.size,)

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        return added(shrunk)

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        onto += shrunk.values if times == 1 else shrunk.values * np.float32(times)

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        return replace(public, round=public.round + 1)

    def describe(self) -> Mapping[str, Any]:
        return {"kind": "whole", "sent": self.blocks.size, "share": 1.0}
