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
