"""Draws that must stay secret: AES-128 in counter mode (NIST SP 800-38A), keyed once from a secure source.

What a hub could draw again from a study's seed hides nothing from it. So which rows a private step takes, its noise and whatever
else is drawn in it come from here, and such a run cannot be repeated.

Normals are those of Box and Muller (1958), two from each pair of uniforms: the radius in double precision from 64 bits, so that
none lies further than 8.6 from 0 (where 1 in 10**17 would), the angle in single precision from 32 bits. They are numbers of
floating point, and so is what they are added to: which numbers can come out depends, in the last digits, on the sum underneath.
Against who reads those digits the noise proves nothing (Mironov 2012, who shows it for Laplace noise).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from math import ceil, log1p, pi
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from huizhen.errors import MachineError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Entropy", "Secret"]

Entropy = Callable[[int], bytes]  # so many bytes, which nobody can foretell
KEY, BLOCK = 16, 16  # bytes
PIECE = 2**16  # pairs drawn at once: fewer wait for torch to begin each operation, more leave the second-level cache
READY = 2**15  # normals kept ready for short vectors
LONG, SHORT = 8, 4  # bytes of the words behind a radius and an angle
AHEAD = 16  # samples drawn at once, or so
LEAST = 2.0**-53  # of a uniform: never 0, whose logarithm is not finite


class Secret:
    """A stream of secret draws.

    Args:
        entropy: gives the key, e.g. ``secrets.token_bytes``.
        most: entries of the longest vector that is to be filled with noise; how many are drawn at once goes by it.

    Raises:
        MachineError: it gives another number of bytes than was asked for.
    """

    def __init__(self, entropy: Entropy, *, most: int = 2 * PIECE) -> None:
        import torch

        key = entropy(KEY)
        if len(key) != KEY:
            raise MachineError("The secure source gave another number of bytes than it was asked for, so nothing is trained.")
        self._stream = Cipher(algorithms.AES128(key), modes.CTR(bytes(BLOCK))).encryptor()
        self._pairs = min(PIECE, max(READY, most + 1) // 2)
        self._room = bytearray(self._pairs * (LONG + SHORT) + BLOCK)  # `update_into` wants room for one block more
        self._inside = memoryview(self._room)
        self._wide, self._radii, self._angles = (torch.empty(self._pairs, dtype=kind) for kind in (torch.float64, None, None))
        self._ready, self._left = torch.empty(READY), 0

    def seed(self) -> int:
        """A seed for what needs no more than that nobody knows it, from 0 to 2**63 - 1."""
        self._draw(LONG)
        return int.from_bytes(self._room[:LONG], "little") >> 1

    def fill(self, out: Tensor, scale: float) -> None:
        """Put independent normals of mean 0 and standard deviation `scale` into a vector, float32 (entry,)."""
        import torch

        count = out.numel()  # quicker than its length
        if count > READY // 2:
            self._normals(out, scale)
            return
        if self._left < count:  # few numbers take as long as many: those of several steps are drawn at once
            self._normals(self._ready, 1.0)
            self._left = READY
        torch.mul(self._ready[self._left - count : self._left], scale, out=out)
        self._left -= count

    def samples(self, rows: int, rate: float) -> Iterator[NDArray[np.int64]]:
        """Poisson samples without end: each of the rows 0 ... rows - 1 with probability `rate` by itself, rising, (count,).

        Rows of one sample after another are one long series of trials. Drawn are the gaps between those that succeed, which are
        geometric: P(gap >= k) = P(uniform <= (1 - rate)**k).
        """
        if rate >= 1:
            yield from repeat(np.arange(rows))
        place, ahead = -1, np.empty(0, np.int64)  # the last trial that succeeded, and the first ones that did, from this sample on
        while True:
            while place < rows:
                gaps = np.log(self._uniforms(min(self._pairs, AHEAD * ceil(rows * rate) + AHEAD))) / log1p(-rate)
                fresh = np.cumsum(gaps.astype(np.int64) + 1) + place
                ahead, place = np.concatenate([ahead, fresh]), int(fresh[-1])
            count = int(np.searchsorted(ahead, rows))
            yield ahead[:count]
            ahead, place = ahead[count:] - rows, place - rows

    def _normals(self, out: Tensor, scale: float) -> None:
        import torch

        half = torch.tensor(0.5 + LEAST, dtype=torch.float64)
        for first in range(0, len(out), 2 * self._pairs):
            piece = out[first : first + 2 * self._pairs]
            pairs, rest = (len(piece) + 1) // 2, len(piece) // 2
            self._draw(pairs * (LONG + SHORT))
            uniform, radius, angle = self._wide[:pairs], self._radii[:pairs], self._angles[:pairs]
            uniform.copy_(torch.frombuffer(self._room, dtype=torch.int64, count=pairs))
            torch.add(half, uniform, alpha=2.0**-64, out=uniform)  # from LEAST to 1
            radius.copy_(uniform.log_().mul_(-2 * scale**2)).sqrt_()
            angle.copy_(torch.frombuffer(self._room, dtype=torch.int32, count=pairs, offset=pairs * LONG)).mul_(pi * 2.0**-31)
            torch.cos(angle, out=piece[:pairs]).mul_(radius)
            torch.sin(angle[:rest], out=piece[pairs:]).mul_(radius[:rest])

    def _uniforms(self, count: int) -> NDArray[np.float64]:
        """From `LEAST` to 1, (count,)."""
        self._draw(count * LONG)
        words = np.frombuffer(self._room, np.int64, count).astype(np.float64)
        return words * 2.0**-64 + (0.5 + LEAST)

    def _draw(self, size: int) -> None:
        """So many fresh bytes at the beginning of the room: the stream, on top of what stood there."""
        self._stream.update_into(self._inside[:size], self._room)
