"""How large compressed changes of weights are: as packed bytes in the clear, or as levels for a masked or encrypted sum.

>>> packed(Compress("quantised", 10), [(40, 30)])
Sent(levels=1201, level_bytes=1505, place_bytes=0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from huizhen.errors import CallerError, Problem
from huizhen.privacy.compression.blocks import Blocks
from huizhen.privacy.compression.making import compression
from huizhen.privacy.compression.packing import packed_size
from huizhen.privacy.compression.spec import Compress

__all__ = ["Sent", "packed"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What stands in place of a vector.

    Attributes:
        levels: whole numbers that are sent; in a masked or encrypted sum these are its ``int16`` part.
        level_bytes: of them, packed, in the clear.
        place_bytes: of where they belong, where each site sends other entries (top-k).
    """

    levels: int
    level_bytes: int
    place_bytes: int

    @property
    def size(self) -> int:
        """Bytes in the clear."""
        return self.level_bytes + self.place_bytes


def packed(compress: Compress, shapes: Sequence[tuple[int, ...]], *, odd: bool = False) -> Sent:
    """What a vector of tensors of these shapes becomes, from the second round on; in the first it goes whole.

    Args:
        odd: of low rank, whether it is an odd round, in which the other side of matrices is sent.

    Raises:
        CallerError: no compression, or tensors without entries.
    """
    if not shapes or any(side < 1 for shape in shapes for side in shape):
        raise CallerError(
            "The size of this compression cannot be told.",
            [Problem("shapes", "a tensor without entries", "one entry or more in each")],
        )
    blocks = Blocks(tuple(f"tensor {number}" for number in range(len(shapes))), tuple(shapes))
    shrinking = compression(compress, blocks)
    public = shrinking.begin(0, np.ones(len(shapes)))
    if compress.kind == "low_rank" and odd:
        blank = shrinking.shrink(np.zeros(blocks.size, np.float32), public, bytes)
        public = shrinking.next_public(public, shrinking.total([blank], public), 1)
    described = shrinking.describe()
    entries = int(described["sent"])
    if compress.kind == "low_rank":
        entries = len(shrinking.inner.shrink(np.zeros(blocks.size, np.float32), public, bytes).values)
    levels = entries + len(shapes)  # behind the entries a level for each tensor says how large they were
    return Sent(levels, packed_size(levels, compress.bits), int(described.get("bytes_of_places", 0)))
