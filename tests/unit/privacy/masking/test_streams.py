"""Masks: bytes of a known cipher, added and taken away piece by piece, and gone when both have been done."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.masking.streams import PIECE, apply_masks

SEED, OTHER, THIRD = (bytes([mark]) * 16 for mark in (1, 2, 3))
DTYPES = (np.uint16, np.uint32, np.uint64)


def stream(seed: bytes, size: int) -> bytes:
    """Counter mode written out: the block that is counted up stands at 2 in the beginning."""
    cipher = Cipher(algorithms.AES128(seed), modes.CTR((2).to_bytes(16))).encryptor()
    return cipher.update(bytes(size))


def test_a_mask_is_that_of_the_published_example():
    # The GCM specification (McGrew and Viega), test case 2: key, nonce and text of zeros.
    found = np.zeros(8, np.uint16)
    apply_masks([found], [bytes(16)], [])
    assert found.astype("<u2").tobytes().hex() == "0388dace60b6a392f328c2b971b2fe78"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pieces", [0, 0.25, 1, 2.5])
def test_masks_are_one_stream_of_counter_mode_through_all_pieces(dtype, pieces):
    size = int(pieces * PIECE) // np.dtype(dtype).itemsize + 1
    array = np.arange(size).astype(dtype)
    expected = array + np.frombuffer(stream(SEED, array.nbytes), dtype) - np.frombuffer(stream(OTHER, array.nbytes), dtype)
    apply_masks([array], [SEED], [OTHER])
    assert (array == expected).all()


def test_a_stream_goes_on_from_one_array_to_the_next():
    arrays = [np.zeros(3, np.uint64), np.zeros((8, 5), np.uint64), np.zeros(PIECE, np.uint16), np.zeros(0, np.uint16)]
    apply_masks([*arrays], [SEED], [])
    joined = b"".join(array.tobytes() for array in arrays)
    assert joined == stream(SEED, len(joined))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sites", [1, 2, 3, 5])
def test_the_sum_of_masked_arrays_without_the_masks_is_the_sum(dtype, sites):
    rng = np.random.default_rng(sites)
    size = PIECE // np.dtype(dtype).itemsize + 7
    each = [rng.integers(0, np.iinfo(dtype).max, size, dtype, endpoint=True) for _ in range(sites)]
    expected, room = np.sum(each, axis=0, dtype=dtype), np.full(size, 9, dtype)
    apply_masks([each[0]], [SEED, THIRD], [OTHER])
    apply_masks([room], [OTHER], [SEED, THIRD], others=[[one] for one in each])
    assert (room == expected).all()


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=5), st.integers(0, 2**31), st.integers(0, 40))
def test_masks_of_any_seeds_are_gone_when_they_are_taken_away(seeds, drawn, size):
    rng = np.random.default_rng(drawn)
    arrays = [rng.integers(0, 2**16, size, np.uint16), rng.integers(0, 2**63, (8, size), np.uint64)]
    before = [array.copy() for array in arrays]
    apply_masks(arrays, seeds, [])
    apply_masks(arrays, [], seeds[::-1])
    assert all((array == old).all() for array, old in zip(arrays, before, strict=True))
