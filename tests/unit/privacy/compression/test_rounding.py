"""Rounding to few bits has no bias, tells what it clips, and survives being packed to bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from huizhen.errors import CallerError, FederationError, SiteError
from huizhen.privacy.compression.packing import pack, pack_places, packed_size, unpack, unpack_places
from huizhen.privacy.compression.quantising import (
    PIECE,
    Grid,
    norm_after_rounding,
    restore,
    round_at_random,
    round_nearest,
)

BITS = st.sampled_from([8, 10, 12, 16])


def entropy(seed):
    return np.random.Generator(np.random.Philox(seed)).bytes


def one_block(size, bits=16, reach=1.0, addends=1):
    return Grid(np.array([size]), np.array([reach]), bits, addends)


@st.composite
def vectors(draw):
    """A vector within the ranges of its blocks, and its grid; longer than a piece now and then."""
    lengths = np.array(draw(st.lists(st.integers(1, 60), min_size=1, max_size=6)))
    lengths[0] += draw(st.sampled_from([0, 0, 0, PIECE - 7, PIECE]))
    ranges = np.array(draw(st.lists(st.floats(1e-6, 1e6), min_size=len(lengths), max_size=len(lengths))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.uniform(-1, 1, lengths.sum()) * np.repeat(ranges, lengths)
    return values.astype(np.float32), Grid(lengths, ranges, draw(BITS), draw(st.integers(1, 40)))


@settings(deadline=None, max_examples=60)
@given(vectors(), st.integers(0, 2**32))
def test_a_level_is_less_than_a_step_from_its_value_and_the_nearest_at_most_half(vector, seed):
    values, grid = vector
    steps = np.repeat(grid.steps, grid.lengths)
    slack = 1e-6 * np.repeat(grid.ranges, grid.lengths)  # float32: the value, its scale and the value restored are rounded
    for rounded, most in ((round_nearest(values, grid), 0.5), (round_at_random(values, grid, entropy(seed)), 1.0)):
        assert rounded.levels.dtype == grid.dtype
        assert np.abs(rounded.levels.astype(int)).max() <= grid.top
        assert rounded.clipped == 0
        assert (np.abs(restore(rounded.levels, grid).astype(float) - values) <= most * steps + slack).all()


@settings(deadline=None, max_examples=20)
@given(st.floats(-1, 1, width=32), BITS, st.integers(0, 2**32))
def test_rounding_at_random_has_no_bias(value, bits, seed):
    """Mean of 100,000 levels of one value: 6 standard errors, of a Bernoulli variable at most 0.5 / sqrt(n)."""
    count = 100_000
    grid = one_block(count, bits)
    levels = round_at_random(np.full(count, value, np.float32), grid, entropy(seed)).levels
    wanted = float(value) * grid.top
    assert abs(levels.astype(float).mean() - wanted) <= 6 * 0.5 / np.sqrt(count) + grid.top * 2.0**-22
    assert set(np.unique(levels)) <= {int(np.floor(wanted + s)) for s in (-1e-2, 0, 1e-2)} | {
        int(np.ceil(wanted + s)) for s in (-1e-2, 0, 1e-2)
    }


def test_errors_of_two_entries_are_independent_wherever_they_lie():
    """Covariance of the errors at two places, over 4,000 roundings: in one row of bytes, and in the same column of two rows."""
    values = np.full(20_000, 0.37 / 126, np.float32)
    grid = one_block(len(values), 8)
    draws = entropy(5)
    levels = np.array([round_at_random(values, grid, draws).levels[[3, 4, 3 + 8192, 3 + 16384]] for _ in range(4000)], float)
    assert levels.mean() == pytest.approx(0.37, abs=0.02)
    covariance = np.cov(levels.T)
    assert np.diag(covariance) == pytest.approx(np.full(4, 0.37 * 0.63), abs=0.02)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 6 * 0.2331 / np.sqrt(4000)


def test_the_same_draws_give_the_same_levels_and_others_give_others():
    values = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    grid = one_block(1000, 8)
    same = [round_at_random(values, grid, entropy(seed)).levels for seed in (1, 1, 2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


def test_what_lies_outside_is_clipped_and_told():
    values = np.array([0.5, 1.0, -1.0, 1.5, -3e38, 20.0], np.float32)
    grid = Grid(np.array([5, 1]), np.array([1.0, 10.0]), 8)
    for rounded in (round_nearest(values, grid), round_at_random(values, grid, entropy(0))):
        assert rounded.clipped == 3
        assert rounded.levels.tolist() == [63, 126, -126, 126, -126, 126]


def test_the_end_of_a_range_is_never_rounded_past_the_highest_level():
    values = np.full(300_000, 1.0, np.float32)
    values[::2] = -1.0
    for bits, addends in ((8, 1), (16, 1), (16, 5)):
        grid = one_block(len(values), bits, addends=addends)
        levels = round_at_random(values, grid, entropy(1)).levels
        assert (levels.min(), levels.max()) == (-grid.top, grid.top)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), BITS.filter(lambda bits: bits > 8))
def test_a_sum_of_as_many_levels_as_the_grid_was_made_for_stays_within_the_bits(addends, bits):
    grid = one_block(4, bits, addends=addends)
    highest = round_at_random(np.array([1, -1, 1e9, -1e9], np.float32), grid, entropy(0)).levels.astype(np.int64) * addends
    assert -(2 ** (bits - 1)) <= highest.min() <= highest.max() < 2 ** (bits - 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(bad):
    values = np.zeros(10, np.float32)
    values[7] = bad
    with pytest.raises(SiteError, match="not finite"):
        round_at_random(values, one_block(10), entropy(0))
    with pytest.raises(SiteError, match="not finite"):
        round_nearest(values, one_block(10))


def test_grids_that_cannot_be_are_refused():
    for bits, reach, addends, why in (
        (9, 1.0, 1, "8, 10, 12 or 16"),
        (8, 0.0, 1, "range"),
        (8, np.nan, 1, "range"),
        (8, 1, 200, "no step"),
    ):
        with pytest.raises(CallerError, match=why):
            one_block(3, bits, reach, addends)
    with pytest.raises(CallerError, match="cannot be rounded"):
        round_nearest(np.zeros(4, np.float32), one_block(3))
    with pytest.raises(CallerError, match="cannot be restored"):
        restore(np.zeros(4, np.int16), one_block(3))


@settings(deadline=None, max_examples=60)
@given(vectors(), st.integers(2, 8), st.integers(0, 2**32))
def test_levels_may_be_added_before_or_after_they_are_restored(vector, sites, seed):
    values, grid = vector
    draws = entropy(seed)
    each = [round_at_random(values * np.float32(1 / (site + 1)), grid, draws).levels for site in range(sites)]
    total = np.sum([levels.astype(np.int64) for levels in each], axis=0)
    apart = np.sum([restore(levels, grid).astype(float) for levels in each], axis=0)
    assert (np.abs(restore(total, grid) - apart) <= 1e-6 * sites * np.repeat(grid.ranges, grid.lengths)).all()


@settings(deadline=None, max_examples=60)
@given(vectors(), st.integers(0, 2**32))
def test_no_norm_grows_by_more_than_is_said(vector, seed):
    values, grid = vector
    found = restore(round_at_random(values, grid, entropy(seed)).levels, grid).astype(float)
    for order in (1, 2):
        before = np.linalg.norm(values.astype(float), order)
        assert np.linalg.norm(found, order) <= norm_after_rounding(float(before), grid, order=order) * (1 + 1e-5)


@settings(deadline=None)
@given(st.data(), BITS)
def test_packing_is_undone_by_unpacking(data, bits):
    size = data.draw(st.sampled_from([0, 1, 2, 3, 4, 5, 31, 1000, (1 << 15) + 3]))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    levels = np.random.default_rng(data.draw(st.integers(0, 2**32))).integers(low, high, size, np.int16, endpoint=True)
    if size:
        levels[0], levels[-1] = low, high
    packed = pack(levels, bits)
    assert len(packed) == packed_size(size, bits) == {8: size, 10: -(-size // 4) * 5, 12: -(-size // 2) * 3, 16: 2 * size}[bits]
    assert unpack(packed, size, bits).tolist() == levels.tolist()


@given(hnp.arrays(np.bool_, st.integers(1, 300)))
def test_places_are_the_same_after_packing(chosen):
    places = np.flatnonzero(chosen)
    packed = pack_places(places, len(chosen))
    assert len(packed) == min(4 * len(places), -(-len(chosen) // 8))
    assert unpack_places(packed, len(places), len(chosen)).tolist() == places.tolist()


def test_bytes_that_were_not_packed_so_are_refused():
    packed = pack(np.arange(5, dtype=np.int16), 10)
    for bad, count in ((packed[:-1], 5), (packed + b"\0", 5), (packed[:-1] + b"\x01", 5), (packed, 9)):
        with pytest.raises(FederationError, match="packed levels"):
            unpack(bad, count, 10)
    with pytest.raises(CallerError, match="more than the 10 bits"):
        pack(np.array([512], np.int16), 10)
    for bad, count, size in ((b"\x03", 1, 4), (b"\x10", 1, 4), (b"\x05" * 8, 2, 100), (b"", 1, 4), (b"\x01", 5, 4)):
        with pytest.raises(FederationError, match="packed places"):
            unpack_places(bad, count, size)
    with pytest.raises(CallerError, match="must rise"):
        pack_places(np.array([2, 1]), 4)
