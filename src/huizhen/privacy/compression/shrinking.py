"""What every way of shrinking a vector is: a map to fewer numbers that all sites know, and back.

    site    values + what is kept  --shrink-->  Shrunk, which is sent; the rest is kept (`feedback`)
    hub     Shrunk of all sites  --total-->  one Shrunk  --restored-->  a vector of full length
    all     the total  --next_public-->  what is known in the next round

Where sums are masked only *linear* ways will do: all sites send numbers that mean the same, and the total of what is sent is what
would be sent of the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.privacy.compression.blocks import Blocks, Floats, Ints
from huizhen.privacy.compression.quantising import Entropy

__all__ = ["Compression", "Public", "Shrunk", "restored"]

NOTHING: Mapping[str, Floats] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Public:
    """What hub and sites know before a round; made at one place, the hub, and sent with the question.

    Attributes:
        seed: the study's.
        round: how many totals there were before.
        ranges: of each block, within which entries are sent; float64 (block,).
        bases: of each block of low rank, float32 (side, rank) with orthonormal columns, by name.
    """

    seed: int
    round: int
    ranges: NDArray[np.float64]
    bases: Mapping[str, Floats] = field(default_factory=lambda: NOTHING)

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {"seed": self.seed, "round": self.round, "ranges": self.ranges, "bases": dict(self.bases)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Public:
        """What is known, from `facts`."""
        return cls(facts["seed"], facts["round"], facts["ranges"], facts["bases"])


@dataclass(frozen=True, slots=True, eq=False)
class Shrunk:
    """What is sent of a vector, or the total of what several sites sent.

    Attributes:
        values: float32 (k,), or whole numbers (levels) where they were rounded to few bits.
        places: which entries, or runs of entries, these are, rising, int64; None where all sites send the same ones.
        clipped: entries that lay outside their range and were given its end.
    """

    values: NDArray[Any]
    places: Ints | None = None
    clipped: int = 0

    @property
    def share_clipped(self) -> float:
        """Of what is sent, from 0 to 1."""
        return self.clipped / max(1, len(self.values))


class Compression(Protocol):
    """A way of shrinking vectors of some blocks. No state of its own: what changes from round to round is `Public`."""

    @property
    def blocks(self) -> Blocks: ...

    @property
    def maskable(self) -> bool:
        """Whether it is linear, so that a masked sum may carry it."""

    def begin(self, seed: int, ranges: NDArray[np.float64]) -> Public:
        """What is known before the first round; `ranges` of the entries of each block, float64 (block,)."""

    def shrink(self, values: Floats, public: Public, entropy: Entropy) -> Shrunk:
        """What is sent of `values`, float32 (n,).

        Raises:
            SiteError: a value is not finite.
            CallerError: values that are not of these blocks.
        """

    def lengths(self, shrunk: Shrunk, public: Public) -> Ints:
        """How many of the values sent belong to each block, one block behind the other; int64 (block,)."""

    def fits(self, shrunk: Shrunk, public: Public) -> bool:
        """Whether a site may have sent this in this round: as many values, and such places, as it is asked for."""

    def total(self, shrunk: Sequence[Shrunk], public: Public) -> Shrunk:
        """The sum of what sites sent in one round, as a hub adds it up that sees each."""

    def restore_onto(self, onto: Floats, shrunk: Shrunk, public: Public, *, times: float) -> None:
        """Adds `times` the vector that `shrunk`, of a site or a total, stands for to `onto`, float32 (n,), in place."""

    def next_public(self, public: Public, total: Shrunk, sites: int) -> Public:
        """What is known in the next round, from the total over `sites` sites."""

    def describe(self) -> Mapping[str, Any]:
        """Plain facts for a plan or a report: ``kind``, ``sent`` (numbers in a round, the mean over rounds), ``share`` of all..."""


def restored(compression: Compression, shrunk: Shrunk, public: Public) -> Floats:
    """The vector that `shrunk`, of a site or a total, stands for: float32 (n,)."""
    values = np.zeros(compression.blocks.size, np.float32)
    compression.restore_onto(values, shrunk, public, times=1.0)
    return values


def added(shrunk: Sequence[Shrunk]) -> Shrunk:
    """The sum where all sites send the same entries; levels are added as int64."""
    first = shrunk[0].values
    total: NDArray[Any] = first.astype(np.int64 if first.dtype.kind == "i" else np.float32)
    for one in shrunk[1:]:
        np.add(total, one.values, out=total)
    return Shrunk(total, clipped=sum(one.clipped for one in shrunk))
