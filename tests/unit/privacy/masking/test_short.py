"""Changes of weights in a narrow ring: each run at its own scale, which is agreed without telling whose it was."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.masking import short


def summed(each, heights, dtype):
    total = np.zeros(each[0].size, dtype)
    for values in each:
        out = np.empty(values.size, dtype)
        short.encode(values, heights, sites=len(each), out=out)
        total += out
    return short.decode(total, heights, sites=len(each))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
@given(st.integers(1, 9), st.integers(0, 2**31))
def test_a_sum_is_right_to_half_a_step_of_each_site(dtype, sites, seed):
    rng = np.random.default_rng(seed)
    each = [rng.uniform(-1, 1, 5000).astype(np.float32) * np.repeat([1.0, 1e-4], 2500).astype(np.float32) for _ in range(sites)]
    heights = np.array([0, 0], np.int8)
    step = 2.0**0 / short.levels(np.dtype(dtype).itemsize * 8, sites)
    wrong = np.abs(summed(each, heights, dtype) - np.sum(each, axis=0, dtype=np.float64))
    assert wrong.max() <= sites * step / 2 + 1e-6


def test_what_lies_outside_its_scale_is_cut_to_it_and_disturbs_no_other():
    values = np.zeros(2 * short.RUN, np.float32)
    values[0], values[short.RUN] = 1000.0, 0.5
    found = summed([values, values], np.array([2, 0], np.int8), np.uint16)
    assert found[0] == pytest.approx(8, rel=1e-4), "twice 2^2"
    assert found[short.RUN] == pytest.approx(1.0, rel=1e-4)


@given(st.lists(st.lists(st.floats(-500, 500, width=32), min_size=3, max_size=3), min_size=1, max_size=6))
def test_the_thermometers_tell_the_largest_size_of_all_sites(each):
    size, sites = 3 * short.RUN - 5, len(each)
    own = []
    for heads in each:
        values = np.zeros(size, np.float32)
        values[:: short.RUN] = heads
        own.append(short.encode(values, np.full(3, short.FIRST, np.int8), sites=sites, out=np.empty(size, np.uint64)))
    total = sum((short.fill(sizes, secrets.token_bytes) for sizes in own), np.zeros(3 * short.CELLS, np.uint16))
    found, largest = short.read(total), np.max(own, axis=0)
    assert ((found == largest) | (found < largest) & (found >= largest - 2)).all(), "a filled cell may sum to 0, once in 65,536"
    assert (2.0 ** largest.astype(float) >= np.abs(np.array(each)).max(axis=0) - 2.0**short.LOWEST).all()


def test_a_thermometer_shows_no_more_than_a_size():
    one, other = short.fill(np.array([0], np.int8), secrets.token_bytes), short.fill(np.array([0], np.int8), secrets.token_bytes)
    assert ((one != 0) == (other != 0)).all()
    assert (one[one != 0] != other[other != 0]).any(), "the numbers themselves are drawn"


def test_the_next_scale_has_one_bit_to_spare():
    assert short.heights_of(np.array([-3, 34], np.int8)).tolist() == [-2, 34]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_each_of_many_runs_has_its_own_scale_to_the_last_which_is_not_full(dtype):
    many = 2 * short.AT_ONCE + 3
    rng, bits = np.random.default_rng(7), np.dtype(dtype).itemsize * 8
    heights = rng.integers(-9, 9, many).astype(np.int8)
    most = np.repeat(2.0**heights, short.RUN)[: many * short.RUN - 100]
    values = (rng.uniform(-1, 1, most.size) * most).astype(np.float32)
    out = np.empty(values.size, dtype)
    own = short.encode(values, heights, sites=3, out=out)
    step = most / short.levels(bits, 3)
    assert (np.abs(short.decode(out, heights, sites=3) - values) <= step / 2 + 1e-7 * most).all()
    largest = np.array([np.abs(values[k * short.RUN : (k + 1) * short.RUN]).max() for k in range(many)])
    assert (own == np.frexp(largest)[1]).all()


def test_one_value_too_large_in_one_run_of_many_is_cut_whatever_its_sign():
    values = np.full((short.AT_ONCE + 1) * short.RUN, 0.25, np.float32)
    values[[5, 9 * short.RUN, -1]] = 70000.0, -70000.0, -3.0
    found = summed([values], np.zeros(short.AT_ONCE + 1, np.int8), np.uint16)
    assert found[[5, 9 * short.RUN, -1]].tolist() == pytest.approx([1, -1, -1])
    assert np.delete(found, [5, 9 * short.RUN, values.size - 1]) == pytest.approx(0.25, abs=2**-15)


@given(st.lists(st.integers(short.LOWEST, short.HIGHEST), min_size=1, max_size=5))
def test_as_many_cells_are_filled_as_a_size_is_high(sizes):
    cells = short.fill(np.array(sizes, np.int8), secrets.token_bytes).reshape(-1, short.CELLS)
    assert (cells != 0).sum(axis=1).tolist() == [size - short.LOWEST for size in sizes]
    assert short.read(cells.reshape(-1)).tolist() == sizes
