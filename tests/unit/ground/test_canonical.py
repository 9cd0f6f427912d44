"""One value, one sequence of bytes; decoding gives the value back, and damaged bytes are refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from huizhen import canonical

arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.uint8]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(values)
def test_decoding_an_encoding_gives_the_value_back(value):
    assert canonical.decode(canonical.encode(value)) == value


@given(arrays)
def test_arrays_come_back_with_shape_dtype_and_every_bit(array):
    back = canonical.decode(canonical.encode(array))
    assert back.shape == array.shape
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@given(st.dictionaries(st.text(), values, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_matter(mapping):
    assert canonical.digest(dict(reversed(mapping.items()))) == canonical.digest(mapping)


@given(values, st.data())
def test_an_encoding_that_is_cut_short_is_refused(value, data):
    encoded = canonical.encode(value)
    short = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with pytest.raises(ValueError, match="not a canonical encoding"):
        canonical.decode(short)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_a_value_error(noise):
    with contextlib.suppress(ValueError):
        canonical.encode(canonical.decode(noise))


def test_what_has_no_encoding_is_refused():
    for value in (object(), {1, 2}, np.array(["text"]), np.array([object()])):
        with pytest.raises(TypeError):
            canonical.encode(value)


def doubled(times: int) -> bytes:
    """A list of lists, each of which holds the one before twice, by CBOR's tags for shared values."""
    shared = [b"\xd8\x1c\x82\x00\x00"]  # tag 28: may be referred to
    shared += [
        b"\xd8\x1c\x82" + 2 * (b"\xd8\x1d\x18" + bytes([number])) for number in range(times)
    ]  # tag 29: the one of that number
    return b"\x98" + bytes([len(shared)]) + b"".join(shared)


def test_a_few_bytes_do_not_stand_for_more_than_can_be_walked_through():
    with pytest.raises(ValueError, match="not a canonical encoding"):
        canonical.decode(doubled(200))


@pytest.mark.parametrize(
    "encoded",
    [
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xd9\x01\x00\x98\x64\x78\x40" + b"x" * 64 + 99 * b"\xd8\x19\x00",
        b"\x98\x64\xd8\x1c\xc2\x59\x04\x00" + b"\xff" * 1024 + 99 * b"\xd8\x1d\x00",
        b"\x98\x64\xd8\x1c\xd8\x40\x59\x04\x00" + b"\xff" * 1024 + 99 * b"\xd8\x1d\x00",
    ],
    ids=["a list that holds itself", "a text", "a number", "an array"],
)
def test_what_stands_in_a_message_once_is_not_read_many_times(encoded):
    with pytest.raises(ValueError, match="not a canonical encoding"):
        canonical.decode(encoded)


@given(values)
def test_values_that_share_nothing_are_never_taken_for_shared_ones(value):
    nested = {"": [value, [], {}, "", b"", 2**64, -(2**70), [[]], np.float64(1.5)]}
    assert canonical.decode(canonical.encode(nested)) == nested
