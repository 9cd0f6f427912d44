"""Draws that must stay secret: AES-256 in counter mode (NIST SP 800-38A), keyed once from a secure source.

What a hub could draw again from a study's seed hides nothing from it. So which rows a private step takes, its noise and whatever
else is drawn in it come from here, and such a run cannot be repeated.

Normals are those of Box and Muller (1958) in double precision, from 53 bits each: no further than 8.6 from 0. They are numbers of
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
KEY, BLOCK, WORD = 32, 16, 8  # bytes
BITS = 53  # that a double holds
PIECE = 8192  # words drawn at once: what is computed from them stays in the second-level cache
ZEROS = bytes(PIECE * WORD)


class Secret:
    """A stream of secret draws.

    Args:
        entropy: gives the key, e.g. ``secrets.token_bytes``.

    Raises:
        MachineError: it gives another number of bytes than was asked for.
    """

    def __init__(self, entropy: Entropy) -> None:
        key = entropy(KEY)
        if len(key) != KEY:
            raise MachineError("The secure source gave another number of bytes than it was asked for, so nothing is trained.")
        self._stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(BLOCK))).encryptor()
        self._room = bytearray(PIECE * WORD + BLOCK)  # `update_into` wants room for one block more

    def seed(self) -> int:
        """A seed for what needs no more than that nobody knows it, from 0 to 2**63 - 1."""
        return int(self._words(1)[0])

    def uniforms(self, count: int) -> Tensor:
        """Uniform on multiples of 2**-53 above 0, up to and with 1: float64 (count,), count at most `PIECE`."""
        whole: Tensor = self._words(count).bitwise_and_(2**BITS - 1).add_(1)
        return whole.double().mul_(2.0**-BITS)

    def normals(self, count: int) -> Tensor:
        """Standard normals, independent: float32 (count,)."""
        import torch

        found = torch.empty(count)
        for first in range(0, count, PIECE):
            size = min(PIECE, count - first)
            half = (size + 1) // 2
            drawn = self.uniforms(2 * half)
            radius, angle = drawn[:half].log_().mul_(-2).sqrt_(), drawn[half:].mul_(2 * pi)
            found[first : first + half] = radius * angle.cos()
            found[first + half : first + size] = (radius * angle.sin_())[: size - half]
        return found

    def chosen(self, rows: int, rate: float) -> NDArray[np.int64]:
        """A Poisson sample: each of the rows 0 ... rows - 1 with probability `rate` by itself, rising, (count,).

        Drawn by the gaps between them, which are geometric: P(gap >= k) = P(uniform <= (1 - rate)**k).
        """
        if rate >= 1:
            return np.arange(rows)
        places, last = [], -1.0
        while last < rows:
            left = (rows - last) * rate
            gaps = np.log(self.uniforms(min(PIECE, ceil(left + 6 * sqrt(left)) + 8)).numpy()) / log1p(-rate)
            places.append(np.cumsum(np.floor(gaps) + 1) + last)
            last = float(places[-1][-1])
        found = np.concatenate(places)
        return found[: np.searchsorted(found, rows)].astype(np.int64)

    def _words(self, count: int) -> Tensor:
        """int64 (count,), all bits random but for the sign, until the next call."""
        import torch

        self._stream.update_into(memoryview(ZEROS)[: count * WORD], self._room)
        return torch.frombuffer(self._room, dtype=torch.int64, count=count) & (2**63 - 1)
