"""Seals: by which the key holder knows that a total is the sum of the agreed sites' ciphertexts, each once and unaltered.

Whoever holds ciphertexts can add, scale and shift what they hold without being able to read it. A hub that does could have one
site's values opened as if they were a total. So every number carries a tag in its lowest bits, and tags add up with the slots:

    tag = sum over slots j of k_j slot_j + pad   mod 2^61 - 1

The key k is common to the sites and the key holder, the pads are known to one site and the key holder and used once; the hub knows
neither. The key holder accepts a number only if its tag is that of its slots plus the pads of the sites that it was told of.
This is the one-time authentication of Wegman and Carter (New hash functions and their use in authentication and set equality, JCSS
22, 1981) with a linear hash: the pads hide k, and any other sum of slots passes with probability 2^-61 for each number tried.
If a site tells the hub k, only the pads are left: they still stop sums over other sites, and not every shifting of slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from huizhen.errors import FederationError, Problem

__all__ = ["LARGE_PRIME", "PRIME", "TAG_BITS", "Seal"]

TAG_BITS = 61
PRIME = (1 << TAG_BITS) - 1
VALUE_LIMB, KEY_LIMB = 20, 16  # products of limbs, 1024 of them added up, are exact in float64: 20 + 16 + 10 bits
SECRET_BYTES = 32
LARGE_PRIME = (1 << 607) - 1  # the Mersenne prime of the tags of wide slots, see `wide`
LARGE_BYTES = 76  # 608 bits


@dataclass(frozen=True, slots=True)
class Seal:
    """What one site seals one encryption with, and the key holder checks it by.

    Attributes:
        common: 32 secret bytes that all sites of the round and the key holder share, and the hub does not know.
        own: 32 secret bytes that this site and the key holder share.
        context: names the encryption (study, run, analysis, round, part); never twice the same for one pair of secrets.

    Raises:
        FederationError: secrets of another length, or no context.
    """

    common: bytes = field(repr=False)
    own: bytes = field(repr=False)
    context: bytes

    def __post_init__(self) -> None:
        if len(self.common) != SECRET_BYTES or len(self.own) != SECRET_BYTES or not self.context:
            found = f"secrets of {len(self.common)} and {len(self.own)} bytes, a context of {len(self.context)}"
            problem = Problem("seal", found, "32 and 32 bytes, and a context")
            raise FederationError("A sum cannot be sealed.", [problem])

    def pads(self, numbers: int) -> NDArray[np.uint64]:
        """A pad for each number, (number,) below 2^61."""
        return _stream(self.own, b"pads " + self.context, numbers)

    def hashes(self, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The hash of each row of slots, (number,), linear modulo 2^61 - 1.

        Args:
            rows: (number, slot) below 2^60.
        """
        key = _stream(self.common, b"key " + self.context, rows.shape[1])
        total = np.zeros(len(rows), np.uint64)
        largest = int(rows.max(initial=0))
        # Limbs in float64 go through BLAS; a product with a power of two is a rotation of 61 bits.
        for low in range(0, max(largest.bit_length(), 1), VALUE_LIMB):
            limbs = _limb(rows, low, VALUE_LIMB).astype(np.float64)
            shifts = range(0, TAG_BITS, KEY_LIMB)
            sums = limbs @ np.stack([_limb(key, shift, KEY_LIMB).astype(np.float64) for shift in shifts], axis=1)
            for column, shift in enumerate(shifts):
                total = _reduced(total + _rotated(sums[:, column].astype(np.uint64), (low + shift) % TAG_BITS))
        return total

    def tags(self, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The tag of each row of slots, (number,) below 2^61."""
        return _reduced(self.hashes(rows) + self.pads(len(rows)))

    def large_pad(self) -> int:
        """A pad below 2^607."""
        return _large(_bytes(self.own, b"large pad " + self.context, LARGE_BYTES))

    def large_hash(self, values: Sequence[int]) -> int:
        """The hash of values in [0, 2^607 - 1), linear modulo 2^607 - 1."""
        keys = _bytes(self.common, b"large key " + self.context, LARGE_BYTES * len(values))
        places = range(0, len(keys), LARGE_BYTES)
        return sum(_large(keys[at : at + LARGE_BYTES]) * value for at, value in zip(places, values, strict=True)) % LARGE_PRIME


def _large(encoded: bytes) -> int:
    return int.from_bytes(encoded, "little") & LARGE_PRIME


def _limb(numbers: NDArray[np.uint64], low: int, bits: int) -> NDArray[np.uint64]:
    return (numbers >> np.uint64(low)) & np.uint64((1 << bits) - 1)


def _rotated(numbers: NDArray[np.uint64], by: int) -> NDArray[np.uint64]:
    """Numbers below 2^61 times 2^by, modulo 2^61 - 1."""
    return ((numbers << np.uint64(by)) & np.uint64(PRIME)) | (numbers >> np.uint64(TAG_BITS - by))


def _reduced(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return numbers % np.uint64(PRIME)


def _stream(secret: bytes, info: bytes, count: int) -> NDArray[np.uint64]:
    """`count` numbers below 2^61 that nobody can tell from random ones without the secret: HKDF (RFC 5869), then AES-256 in CTR."""
    return np.frombuffer(_bytes(secret, info, 8 * count), "<u8").astype(np.uint64) & np.uint64(PRIME)


def _bytes(secret: bytes, info: bytes, length: int) -> bytes:
    key = HKDF(SHA256(), length=SECRET_BYTES, salt=None, info=b"huizhen paillier seal 1 " + info).derive(secret)
    return Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(length))
