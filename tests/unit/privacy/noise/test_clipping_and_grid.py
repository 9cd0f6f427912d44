"""Clipping bounds what a unit adds; the grid leaves no low bits that could give a value away."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import kstest, laplace, norm

from huizhen.errors import NotEstimable
from huizhen.privacy.noise import DiscreteGaussian, Grid, clip_entries, clip_l1, clip_l2

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


def seeded(seed):
    return np.random.Generator(np.random.Philox(seed)).bytes


def exact_squares(row):
    return sum(Fraction(float(x)) ** 2 for x in row)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(st.sampled_from([np.float32, np.float64]), st.tuples(st.integers(1, 3), st.integers(1, 9)), elements=FINITE),
    st.floats(1e-3, 1e3),
)
def test_after_clipping_no_norm_exceeds_its_bound_in_exact_arithmetic(values, bound):
    for row in clip_l2(values, bound).values:
        assert exact_squares(row) <= Fraction(bound) ** 2
    for row in clip_l1(values, bound).values:
        assert sum(abs(Fraction(float(x))) for x in row) <= Fraction(bound)
    assert (np.abs(clip_entries(values, bound).values.astype(float)) <= bound).all()


def test_clipping_keeps_directions_and_what_is_small_and_tells_the_share():
    values = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    clipped = clip_l2(values, 1.0)
    assert clipped.values == pytest.approx(np.array([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
    assert np.array_equal(clipped.values[1:], values[1:])
    assert clipped.share == pytest.approx(1 / 3)
    assert clip_l1(values, 0.7).values[0] == pytest.approx([0.3, 0.4])
    assert clip_entries(values, 3.5).values[0].tolist() == [3.0, 3.5]
    assert clip_entries(values, 3.5).share == pytest.approx(1 / 6)


@pytest.mark.parametrize("clip", [clip_l2, clip_l1, clip_entries])
def test_values_that_are_not_finite_are_not_clipped(clip):
    with pytest.raises(NotEstimable, match="not finite"):
        clip(np.array([1.0, np.nan]), 1.0)
    with pytest.raises(ValueError, match="finite bound above 0"):
        clip(np.array([1.0]), 0.0)
    with pytest.raises(ValueError, match="float32 and float64"):
        clip(np.array([1]), 1.0)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)), st.integers(-20, 10))
def test_the_grid_rounds_towards_zero_so_that_no_norm_grows(values, power):
    grid = Grid(2.0**power)
    rounded = grid.from_grid(grid.to_grid(values))
    assert (np.abs(rounded) <= np.abs(values)).all()
    assert (np.abs(rounded - values) < grid.granularity).all()
    assert np.array_equal(grid.to_grid(rounded), grid.to_grid(values))


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float64, 6, elements=st.floats(-100, 100)), arrays.arrays(np.float64, 6, elements=st.floats(-1, 1)))
def test_rounding_two_sums_parts_them_by_no_more_than_the_grid_says(total, change):
    grid = Grid(0.25)
    apart = np.linalg.norm(grid.to_grid(total + change) - grid.to_grid(total))
    assert apart <= grid.sensitivity(np.linalg.norm(change), entries=6) + 1e-9


def test_noise_on_a_grid_looks_continuous_and_stays_on_the_grid():
    grid = Grid.finer_than(3.0)
    values = np.full(200_000, 0.1)
    gaussian = grid.noisy(values, grid.gaussian(3.0), seeded(1))
    assert kstest(gaussian - 0.1, norm(scale=3.0).cdf).pvalue > 1e-3
    assert kstest(grid.noisy(values, grid.laplace(3.0), seeded(2)) - 0.1, laplace(scale=3.0).cdf).pvalue > 1e-3
    assert np.array_equal(gaussian / grid.granularity, np.round(gaussian / grid.granularity))


def test_low_bits_of_a_noisy_value_do_not_tell_the_value():
    """The attack of Mironov (2012): of two values, which floats are possible outcomes of each? On a grid, the same ones."""
    grid = Grid.finer_than(1.0)
    outcomes = [set(grid.noisy(np.full(60_000, value), DiscreteGaussian(16.0), seeded(3)).tolist()) for value in (0.1, 0.1 + 1e-9)]
    assert outcomes[0] == outcomes[1]
    naive = [set((value + np.random.default_rng(4).normal(size=60_000)).tolist()) for value in (0.1, 0.1 + 1e-9)]
    assert len(naive[0] & naive[1]) < 60_000 / 100


def test_a_grid_that_would_round_is_refused():
    assert Grid.finer_than(3.0, steps=1024).granularity == 2.0**-9  # 3 / 1024 lies between 2**-9 and 2**-8
    with pytest.raises(ValueError, match="power of two"):
        Grid(0.1)
    with pytest.raises(ValueError, match="finite and above 0"):
        Grid.finer_than(0.0)
    with pytest.raises(NotEstimable, match="clip them first"):
        Grid(1.0).to_grid(np.array([1e17]))
    with pytest.raises(NotEstimable, match="clip them first"):
        Grid(1.0).to_grid(np.array([np.nan]))
