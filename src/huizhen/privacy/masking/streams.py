"""Masks: AES-128 in counter mode (NIST SP 800-38A), expanded in pieces that stay in the processor's cache, and added at once.

One seed gives one stream for all of a round's arrays, in order. A seed serves one round only, so the counter may begin anew with
each: at 2, where GCM with a nonce of zeros begins (SP 800-38D, section 7.1). A stream may be 2^36 - 32 bytes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from huizhen.privacy.masking import wide

__all__ = ["SEED_BYTES", "apply_masks"]

SEED_BYTES = 16
PIECE = 262_144  # bytes expanded at once; the piece, its mask and its zeros fit into the second-level cache
ZEROS = bytes(PIECE)
BLOCK = 16  # bytes; `update_into` wants room for one more
NONCE_BYTES = 12


def apply_masks(
    arrays: Sequence[NDArray[Any]], plus: Sequence[bytes], minus: Sequence[bytes], *, others: Sequence[Sequence[NDArray[Any]]] = ()
) -> None:
    """Adds the streams of `plus` to the arrays and subtracts those of `minus`, in place, each array in its own ring.

    Args:
        arrays: C-contiguous: flat uint16, uint32 or uint64 (ring of as many bits), or (8, n) uint64 (`wide`).
        plus, minus: seeds of 16 bytes.
        others: arrays of the same shapes, whose sum is what is masked: `arrays` are filled anew, piece by piece.
    """
    streams = [(_stream(seed), False) for seed in plus] + [(_stream(seed), True) for seed in minus]
    room = bytearray(min(PIECE, max((array.nbytes for array in arrays), default=0)) + BLOCK)
    for place, array in enumerate(arrays):
        each = [one[place] for one in others]
        if array.ndim == 2:
            _mask_wide(array, each, streams, room)
        else:
            _mask_flat(array, each, streams, room)


Streams = Sequence[tuple[CipherContext, bool]]


def _mask_flat(array: NDArray[Any], others: Sequence[NDArray[Any]], streams: Streams, room: bytearray) -> None:
    count = PIECE // array.itemsize
    mask = np.frombuffer(room, array.dtype, min(count, array.size))
    for start in range(0, array.size, count):
        piece = array[start : start + count]
        if len(others) == 1:
            piece[:] = others[0][start : start + count]
        elif others:
            np.add(others[0][start : start + count], others[1][start : start + count], out=piece)
        for other in others[2:]:
            np.add(piece, other[start : start + count], out=piece)
        for stream, away in streams:
            stream.update_into(memoryview(ZEROS)[: piece.nbytes], room)
            (np.subtract if away else np.add)(piece, mask[: piece.size], out=piece)


def _mask_wide(array: NDArray[Any], others: Sequence[NDArray[Any]], streams: Streams, room: bytearray) -> None:
    count = PIECE // wide.BYTES
    for start in range(0, array.shape[1], count):
        piece = array[:, start : start + count]
        if others:
            piece[:] = others[0][:, start : start + count]
        for other in others[1:]:
            wide.add(piece, other[:, start : start + count])
        for stream, away in streams:
            stream.update_into(memoryview(ZEROS)[: piece.size * array.itemsize], room)
            mask = np.frombuffer(room, np.uint64, piece.size).reshape(piece.shape)
            (wide.subtract if away else wide.add)(piece, mask)


def _stream(seed: bytes) -> CipherContext:
    """Counter mode as part of GCM, whose tag is not asked for: OpenSSL makes it in a third less time than bare counter mode, for it
    uses the wide AES instructions of newer processors for GCM."""
    return Cipher(algorithms.AES128(seed), modes.GCM(bytes(NONCE_BYTES))).encryptor()
