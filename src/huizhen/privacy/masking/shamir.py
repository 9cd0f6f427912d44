"""Shamir's secret sharing over GF(256), a secret of many bytes at once: any `threshold` shares give it back, fewer give nothing.

Shamir, How to share a secret, CACM 1979. Byte by byte with the field of AES (FIPS 197, section 4), so that a share is as long as
the secret; holder number x (from 1) has the values of the polynomials at x, the secret stands at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_HOLDERS", "join", "split"]

MOST_HOLDERS = 255
Bytes = NDArray[np.uint8]


def _products() -> tuple[Bytes, Bytes]:
    """All products of the field, and all inverses (of 0: 0)."""
    powers, logs = np.zeros(510, np.uint8), np.zeros(256, np.int64)
    element = 1
    for power in range(255):
        powers[power] = powers[power + 255] = element
        logs[element] = power
        element ^= (element << 1) ^ (0x11B if element & 0x80 else 0)  # times 3, a generator
    products = powers[logs[:, None] + logs[None, :]]
    products[0, :] = products[:, 0] = 0
    inverses = powers[(255 - logs) % 255]
    inverses[0] = 0
    return products, inverses


PRODUCTS, INVERSES = _products()


def split(secret: bytes, *, holders: int, threshold: int, entropy: Callable[[int], bytes]) -> tuple[bytes, ...]:
    """One share for each holder, 1 to `holders`.

    Args:
        threshold: how many shares give the secret back, 1 to `holders`.
        entropy: that many bytes from a secure source.

    Raises:
        ValueError: numbers of holders or shares that cannot be.
    """
    if not 1 <= threshold <= holders <= MOST_HOLDERS:
        raise ValueError(f"found {holders} holders and a threshold of {threshold}, expected 1 <= threshold <= holders <= 255")
    size = len(secret)
    drawn = np.frombuffer(entropy(size * (threshold - 1)), np.uint8).reshape(threshold - 1, size)
    shares = []
    for holder in range(1, holders + 1):
        value = np.zeros(size, np.uint8)
        for coefficient in (*drawn, np.frombuffer(secret, np.uint8)):  # Horner, the secret last
            value = PRODUCTS[holder][value] ^ coefficient
        shares.append(value.tobytes())
    return tuple(shares)


def join(shares: Mapping[int, bytes]) -> bytes:
    """The secret behind shares by holder number; as many as the threshold was. Of fewer, or wrong ones, a wrong secret.

    Raises:
        ValueError: shares of unlike length, a holder number out of range, or none.
    """
    if not shares or len({len(share) for share in shares.values()}) != 1 or not all(1 <= x <= MOST_HOLDERS for x in shares):
        raise ValueError("found shares of unlike length or holder, expected some of equal length from holders 1 to 255")
    secret = np.zeros(len(next(iter(shares.values()))), np.uint8)
    for holder, share in shares.items():
        weight = 1  # Lagrange at 0: the product of x / (x - holder), in a field where minus is plus
        for other in shares:
            if other != holder:
                weight = PRODUCTS[PRODUCTS[weight, other], INVERSES[other ^ holder]]
        secret ^= PRODUCTS[weight][np.frombuffer(share, np.uint8)]
    return secret.tobytes()
