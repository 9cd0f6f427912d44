"""Cells of float32 numbers: the order of the numbers, and cuts that lie between values and leave enough rows in every bin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huizhen.methods.trees.lattice import WHOLE, count_keys, cuts_between, keys_of, refine, values_of

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


def cells_of(values, light):
    cells, ordered = WHOLE, np.sort(keys_of(values))
    while cells.heavy(light).any():
        heavy = cells.heavy(light)
        cells = refine(cells, light, count_keys(ordered, cells.starts[heavy], cells.log2_sizes[heavy], cells.parts(light)))
    return cells


@given(NUMBERS)
@settings(max_examples=50, deadline=None)
def test_keys_stand_in_the_order_of_their_numbers_and_lead_back_to_them(numbers):
    values = np.array(numbers)
    keys = keys_of(values)
    assert (np.sort(values) == np.sort(values)[np.argsort(keys_of(np.sort(values)), kind="stable")]).all()
    np.testing.assert_array_equal(values_of(keys.astype(np.int64)), values + 0.0)


def test_numbers_too_large_for_float32_count_as_its_largest():
    largest = float(np.finfo(np.float32).max)
    np.testing.assert_array_equal(values_of(keys_of(np.array([1e300, -1e300])).astype(np.int64)), [largest, -largest])


@given(NUMBERS)
@settings(max_examples=50, deadline=None)
def test_every_row_is_in_one_cell_and_a_cell_of_several_rows_holds_one_value(numbers):
    values = np.array(numbers)
    cells = cells_of(values, 1)
    assert cells.rows.sum() == len(values)
    assert (np.diff(cells.starts) > 0).all()
    assert (cells.log2_sizes[cells.rows > 1] == 0).all()


@given(NUMBERS)
@settings(max_examples=50, deadline=None)
def test_cuts_part_all_distinct_values_where_there_is_room(numbers):
    values = np.array(numbers) + 0.0
    cuts = cuts_between(cells_of(values, 1), 255, 1)
    bins = np.searchsorted(cuts, values.astype(np.float32), side="right")
    assert len(np.unique(bins)) == len(np.unique(values)) == len(cuts) + 1


@given(NUMBERS, st.integers(2, 9), st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_no_bin_has_fewer_rows_than_the_least_unless_all_have(numbers, bins, least):
    values = np.array(numbers)
    cuts = cuts_between(cells_of(values, 2 * least - 1), bins, least)
    rows = np.bincount(np.searchsorted(cuts, values.astype(np.float32), side="right"), minlength=len(cuts) + 1)
    assert len(rows) <= bins
    assert len(cuts) == 0 or rows.min() >= least


def test_ages_are_cut_half_way_between_years():
    ages = np.repeat(np.arange(40.0, 60.0), 10)
    cuts = cuts_between(cells_of(ages, 9), 255, 5)
    np.testing.assert_array_equal(cuts, np.arange(40.5, 59.0))


def test_bins_of_a_column_with_a_heavy_tail_hold_about_as_many_rows():
    values = np.random.default_rng(0).standard_cauchy(20_000) ** 3
    cuts = cuts_between(cells_of(values, 20_000 // (4 * 50)), 50, 5)
    rows = np.bincount(np.searchsorted(cuts, values.astype(np.float32), side="right"))
    assert len(rows) > 40
    assert rows.max() < 2 * 20_000 / 50
    assert rows.min() > 0.4 * 20_000 / 50


def test_a_column_of_one_value_has_no_cut():
    assert len(cuts_between(cells_of(np.full(30, 7.5), 9), 255, 5)) == 0


@pytest.mark.parametrize("pairs", [(1.0, np.nextafter(np.float32(1), np.float32(2))), (-1e-45, 0.0), (-3e38, 3e38)])
def test_a_cut_separates_neighbours_however_near_or_far(pairs):
    values = np.repeat(np.array(pairs, np.float64), 6)
    cuts = cuts_between(cells_of(values, 1), 255, 1)
    assert np.searchsorted(cuts, values.astype(np.float32), side="right").tolist() == [0] * 6 + [1] * 6
