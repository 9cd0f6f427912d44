"""Messages: what is packed comes back, and what is no message is refused without harm."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from huizhen import canonical
from huizhen.errors import FederationError
from huizhen.federation.wire.message import pack, unpack

DTYPES = st.sampled_from(["<f8", "<f4", "<i8", "<i2", "|u1"])
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(max_dims=3, max_side=40), elements=st.integers(0, 100))
PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=9) | st.binary(max_size=9) | ARRAYS
VALUES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_size=4,
)


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(deadline=None)  # how long it takes says how busy the machine is
@given(VALUES, st.integers(1, 500))
def test_what_is_packed_comes_back_whole_and_in_pieces(value, size):
    packed = pack(value)
    assert same(value, unpack(packed.whole()))
    pieces = b"".join(packed.piece(first, size) for first in range(0, packed.size, size))
    assert pieces == packed.whole()
    assert len(pieces) == packed.size


def test_large_arrays_are_not_copied():
    weights = np.arange(100_000, dtype=np.float32)
    packed = pack({"weights": weights})
    assert any(np.shares_memory(weights, np.frombuffer(buffer, np.uint8)) for buffer in packed.buffers)
    whole = bytearray(packed.whole())
    assert np.shares_memory(unpack(whole)["weights"], np.frombuffer(whole, np.uint8))
    assert not unpack(whole)["weights"].flags.writeable


def is_read_or_refused(message) -> bool:
    try:
        return isinstance(unpack(message), dict)
    except FederationError as error:
        return bool(error.problems)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_no_message(noise):
    for message in (noise, b"HZ\x01\x00" + struct.pack("<I", max(len(noise) - 8, 0)) + noise):
        assert is_read_or_refused(message)


@settings(deadline=None)
@given(st.data())
def test_a_message_with_a_changed_byte_is_refused_or_another_message(data):
    whole = bytearray(pack({"weights": np.arange(2000.0), "round": 3, "names": ["a", "b"]}).whole())
    place = data.draw(st.integers(0, 200))
    whole[place] ^= data.draw(st.integers(1, 255))
    assert is_read_or_refused(whole)


@pytest.mark.parametrize(
    "whole",
    [
        pack({"a": np.arange(2000.0)}).whole()[:-8],
        pack({"a": np.arange(2000.0)}).whole() + bytes(8),
        b"HZ\x02\x00" + bytes(4),
        b"HZ\x01\x00\xff\xff\xff\xff",
        b"HZ\x01\x00" + struct.pack("<I", 4) + canonical.encode([1, 2, 3]),
    ],
    ids=["cut short", "longer than told", "another version", "a head that is not there", "no mapping"],
)
def test_what_does_not_fit_is_named(whole):
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(whole)


def head(value) -> bytes:
    encoded = canonical.encode(value)
    return b"HZ\x01\x00" + struct.pack("<I", len(encoded)) + encoded + bytes(-len(encoded) % 8)


@pytest.mark.parametrize(
    "place",
    [
        [0, "<f8", [2**47, 2**47]],
        [0, "<f8", [-1]],
        [0, "|O", [1]],
        [1, "<f8", [0]],
        [0, "<f8", "x"],
        [0, "<f8"],
        [True, "<f8", [0]],
    ],
)
def test_a_place_that_holds_no_array_takes_no_memory(place):
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(head({"x": {"\0array": place}}))
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(head({"x": {"\0array": [0, "<f8", [0]], "more": 1}}))


def test_lists_deep_inside_each_other_are_refused():
    deep: list = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(head({"deep": deep}))
    bomb = b"\xa1\x61a" + b"\x81" * 100_000 + b"\x00"
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(b"HZ\x01\x00" + struct.pack("<I", len(bomb)) + bomb + bytes(-len(bomb) % 8))
    huge = b"\xa1\x61a" + b"\x5b" + struct.pack(">Q", 2**62)  # a string of bytes that says it is longer than any memory
    with pytest.raises(FederationError, match="cannot be read"):
        unpack(b"HZ\x01\x00" + struct.pack("<I", len(huge)) + huge + bytes(-len(huge) % 8))


def test_what_cannot_be_sent_is_said_by_the_sender():
    with pytest.raises(TypeError):
        pack({"x": object()})
    with pytest.raises(TypeError):
        pack({"\0array": [0, "<f8", [0]]})
    with pytest.raises(TypeError):
        pack({"x": np.zeros(5000, complex)})
