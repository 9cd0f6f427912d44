"""What a flat vector of a network's weights is made of: named blocks, one behind the other, each with its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from huizhen.errors import CallerError

__all__ = ["Blocks", "Floats", "Ints"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """The layout of a vector; public, and the same at every site.

    >>> blocks = Blocks(("hidden.weight", "hidden.bias"), ((3, 4), (3,)))
    >>> blocks.size, blocks.starts.tolist()
    (15, [0, 12])

    Attributes:
        names: one for each block, all different.
        shapes: of each block, row-major; () is a single number.

    Raises:
        CallerError: no block, an empty one, a name twice, or not as many shapes as names.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.names or len(self.names) != len(self.shapes) or len(set(self.names)) != len(self.names):
            raise CallerError("blocks of weights need a name each, all different, and as many shapes as names")
        if any(side < 1 for shape in self.shapes for side in shape):
            raise CallerError("a block of weights is empty: every side of its shape must be at least 1")

    @classmethod
    def whole(cls, size: int) -> Blocks:
        """A single block of `size` entries without a shape of its own."""
        return cls(("all",), ((size,),))

    @cached_property
    def sizes(self) -> Ints:
        """Entries of each block, int64 (block,)."""
        return np.array([prod(shape) for shape in self.shapes], np.int64)

    @cached_property
    def starts(self) -> Ints:
        """Place of each block's first entry, int64 (block,)."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def size(self) -> int:
        """Entries altogether."""
        return int(self.sizes.sum())

    def check(self, values: NDArray[Any]) -> None:
        """Whether `values` is a vector of these blocks.

        Raises:
            CallerError: it is not float32 (size,).
        """
        if values.dtype != np.float32 or values.shape != (self.size,):
            found, expected = f"{values.dtype} {list(values.shape)}", f"float32 [{self.size}]"
            raise CallerError(f"the values to compress are {found}, expected {expected}, as their blocks say")

    def facts(self) -> dict[str, Any]:
        """As canonical values."""
        return {"names": list(self.names), "shapes": [list(shape) for shape in self.shapes]}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Sequence[Any]]) -> Blocks:
        """The blocks behind `facts`."""
        return cls(tuple(facts["names"]), tuple(tuple(shape) for shape in facts["shapes"]))
