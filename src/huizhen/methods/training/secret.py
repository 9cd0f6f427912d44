"""Draws that must stay secret: AES-128 in counter mode (NIST SP 800-38A), keyed once from a secure source.

What a hub could draw again from a study's seed hides nothing from it. So which rows a private step takes, its noise and whatever
else is drawn in it come from here, and such a run cannot be repeated.

Normals are those of Box and Muller (1958), two from each pair of uniforms: the radius in double precision from 64 bits, so that
none lies further than 8.6 from 0 (where 1 in 10**17 would), the angle in single precision from 32 bits. They are numbers of
floating point, and so is what they are added to: which numbers can come out depends, in the last digits, on the sum underneath.
Against who reads those digits the noise proves nothing (Mironov 2012, who shows it for Laplace noise).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log1p, pi, sqrt
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
PIECE = 2**15  # pairs drawn at once: fewer wait for torch to begin each operation, more leave the second-level cache
LONG, SHORT = 8, 4  # bytes of the words behind a radius and an angle
ZEROS = bytes(PIECE * (LONG + SHORT))
LEAST = 2.0**-53  # of a uniform: never 0, whose logarithm is not finite


class Secret:
    """A stream of secret draws.

    Args:
        entropy: gives the key, e.g. ``secrets.token_bytes``.

    Raises:
        MachineError: it gives another number of bytes than was asked for.
    """

    def __init__(self, entropy: Entropy) -> None:
        import torch

        key = entropy(KEY)
        if len(key) != KEY:
            raise MachineError("The secure source gave another number of bytes than it was asked for, so nothing is trained.")
        self._stream = Cipher(algorithms.AES128(key), modes.CTR(bytes(BLOCK))).encryptor()
        self._wide, self._radii, self._angles = torch.empty(PIECE, dtype=torch.float64), torch.empty(PIECE), torch.empty(PIECE)
        self._room = bytearray(len(ZEROS) + BLOCK)  # `update_into` wants room for one block more

    def seed(self) -> int:
        """A seed for what needs no more than that nobody knows it, from 0 to 2**63 - 1."""
        self._draw(LONG)
        return int.from_bytes(self._room[:LONG], "little") >> 1

    def fill(self, out: Tensor, scale: float) -> None:
        """Put independent normals of mean 0 and standard deviation `scale` into a vector, float32 (entry,)."""
        import torch

        half = torch.tensor(0.5 + LEAST, dtype=torch.float64)
        for first in range(0, len(out), 2 * PIECE):
            piece = out[first : first + 2 * PIECE]
            pairs, rest = (len(piece) + 1) // 2, len(piece) // 2
            self._draw(pairs * (LONG + SHORT))
            uniform, r, a = self._wide[:pairs], self._radii[:pairs], self._angles[:pairs]
            uniform.copy_(torch.frombuffer(self._room, dtype=torch.int64, count=pairs))
            torch.add(half, uniform, alpha=2.0**-64, out=uniform)  # from LEAST to 1
            r.copy_(uniform.log_().mul_(-2 * scale**2)).sqrt_()
            a.copy_(torch.frombuffer(self._room, dtype=torch.int32, count=pairs, offset=pairs * LONG)).mul_(pi * 2.0**-31)
            torch.cos(a, out=piece[:pairs]).mul_(r)
            torch.sin(a[:rest], out=piece[pairs:]).mul_(r[:rest])

    def chosen(self, rows: int, rate: float) -> NDArray[np.int64]:
        """A Poisson sample: each of the rows 0 ... rows - 1 with probability `rate` by itself, rising, (count,).

        Drawn by the gaps between them, which are geometric: P(gap >= k) = P(uniform <= (1 - rate)**k).
        """
        if rate >= 1:
            return np.arange(rows)
        places, last = [], -1.0
        while last < rows:
            left = (rows - last) * rate
            gaps = np.log(self._uniforms(min(PIECE, ceil(left + 6 * sqrt(left)) + 8)))
            gaps /= log1p(-rate)
            places.append(np.cumsum(np.floor(gaps, out=gaps) + 1) + last)
            last = float(places[-1][-1])
        found = places[0] if len(places) == 1 else np.concatenate(places)
        return found[: np.searchsorted(found, rows)].astype(np.int64)

    def _uniforms(self, count: int) -> NDArray[np.float64]:
        """From `LEAST` to 1, (count,)."""
        self._draw(count * LONG)
        words = np.frombuffer(self._room, np.int64, count)
        return words * 2.0**-64 + (0.5 + LEAST)

    def _draw(self, size: int) -> None:
        """So many fresh bytes at the beginning of the room."""
        self._stream.update_into(memoryview(ZEROS)[:size], self._room)
