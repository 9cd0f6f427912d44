"""An attacker who knows all that is published, and the rule, cannot pin down a small count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import linprog

from huizhen.policy.suppression import suppress, suppress_line


def with_margins(counts):
    rows = np.column_stack([counts, counts.sum(axis=1)])
    return np.vstack([rows, rows.sum(axis=0)])


def held_with_margins(found):
    return np.block([[found.cells, found.row_totals[:, None]], [found.column_totals[None, :], np.array([[found.total]])]])


def attack(full, held, place, *, total=None):
    """The least and the most that one held cell can be, over all non-negative tables with the published cells and margins."""
    unknown = np.argwhere(held)
    sign = np.ones(full.shape)
    sign[:-1, -1] = sign[-1, :-1] = -1.0
    signed = full * sign
    lines, sums = [], []
    for axis, length in ((0, full.shape[0]), (1, full.shape[1])):
        for line in range(length):
            lines.append([sign[tuple(cell)] if cell[axis] == line else 0.0 for cell in unknown])
            shown = np.where(held, 0, signed)
            sums.append(-(shown[line] if axis == 0 else shown[:, line]).sum())
    if total is not None:
        lines.append([1.0 if tuple(cell) == (full.shape[0] - 1, full.shape[1] - 1) else 0.0 for cell in unknown])
        sums.append(total if held[-1, -1] else 0.0)
    goal = np.array([1.0 if tuple(cell) == tuple(place) else 0.0 for cell in unknown])
    least = linprog(goal, A_eq=lines, b_eq=sums)
    most = linprog(-goal, A_eq=lines, b_eq=sums)
    assert least.status == 0
    assert most.status in (0, 3)
    return least.fun, np.inf if most.status == 3 else -most.fun


tables = st.integers(0, 3).flatmap(
    lambda scale: arrays(
        np.int64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5), elements=st.integers(0, (2, 6, 12, 60)[scale])
    )
)


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(1, 8))
def test_no_small_count_can_be_got_back_from_the_margins(counts, minimum):
    full, found = with_margins(counts), suppress(counts, minimum=minimum)
    held = held_with_margins(found)
    small = (full > 0) & (full < minimum)
    assert held[small].all()
    for place in np.argwhere(small):
        least, most = attack(full, held, place)
        assert least <= 1 + 1e-6
        assert most >= minimum - 1e-6


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(2, 8), st.integers(0, 8))
def test_nor_from_the_number_of_all_patients(counts, minimum, others):
    full, found = with_margins(counts), suppress(counts, minimum=minimum, others=others)
    held = held_with_margins(found)
    total = int(full[-1, -1])
    if 0 < total < minimum:
        assert held.all()
        return
    known = total if others == 0 else None
    for place in np.argwhere((full > 0) & (full < minimum)):
        least, most = attack(full, held, place, total=known)
        assert least <= 1 + 1e-6
        assert most >= minimum - 1e-6
    if 0 < others < minimum:
        least, most = attack(full, held, (full.shape[0] - 1, full.shape[1] - 1))
        rest = (total + others - most, total + others - least)  # what the others can be
        assert rest[0] <= 1 + 1e-6
        assert rest[1] >= min(minimum, total + others) - 1e-6


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(2, 8), st.randoms(use_true_random=False))
def test_a_total_held_back_elsewhere_cannot_be_got_back_here(counts, minimum, random):
    hidden = np.array([random.random() < 0.4 for _ in range(counts.shape[0])])
    full, found = with_margins(counts), suppress(counts, minimum=minimum, hidden_rows=hidden)
    held = held_with_margins(found)
    assert held[:-1, -1][hidden].all()
    for row in np.flatnonzero(hidden):
        count = full[row, -1]
        least, most = attack(full, held, (row, full.shape[1] - 1))
        assert most - least >= 1 - 1e-6 or minimum == 1
        if count == 0 or count >= minimum:  # a small one is a primary cell, with its own range
            assert least <= max(0, count - minimum + 1) + 1e-6
            assert most >= count + minimum - 1 - 1e-6


@settings(max_examples=150, deadline=None)
@given(tables, st.integers(1, 8))
def test_the_order_of_rows_does_not_decide_whether_anything_is_held_back(counts, minimum):
    here, there = suppress(counts, minimum=minimum), suppress(counts[::-1], minimum=minimum)
    assert here.cells.any() == there.cells.any()
    if not ((with_margins(counts) > 0) & (with_margins(counts) < minimum)).any():
        assert not held_with_margins(here).any(), "a table without small counts is published whole"


@settings(max_examples=200, deadline=None)
@given(arrays(np.int64, st.integers(1, 8), elements=st.integers(0, 20)), st.integers(1, 8))
def test_one_way_the_cells_held_back_hide_each_other(counts, minimum):
    held = suppress_line(counts, minimum=minimum)
    small = (counts > 0) & (counts < minimum)
    assert held[small].all()
    if held.any() and counts.sum() >= minimum:
        assert held.sum() >= 2
        assert counts[held].sum() >= minimum
    assert held.any() == small.any() or 0 < counts.sum() < minimum


def test_a_small_cell_takes_three_others_with_it_in_the_smallest_table():
    assert suppress(np.array([[3, 20], [30, 40]]), minimum=5).cells.all()


def test_the_cheapest_cells_are_held_back_and_no_total():
    counts = np.array([[3, 100, 20], [100, 100, 100], [30, 100, 40]])
    found = suppress(counts, minimum=5)
    assert np.argwhere(found.cells).tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]
    assert not found.row_totals.any()
    assert not found.column_totals.any()
    assert not found.total


def test_a_zero_is_not_taken_where_another_cell_will_do():
    counts = np.array([[3, 0, 20], [30, 0, 40], [25, 60, 35]])
    found = suppress(counts, minimum=5)
    assert not found.cells[counts == 0].any()


def test_two_small_cells_whose_sum_would_be_a_small_count_are_not_enough():
    # 2 + 2 would be seen as 4 patients in the two cells together
    assert suppress_line(np.array([2, 2, 30, 40]), minimum=5).tolist() == [True, True, True, False]


def test_a_small_margin_is_held_back_like_a_cell():
    found = suppress(np.array([[1, 2], [30, 40]]), minimum=5)
    assert found.row_totals[0]


def test_a_table_on_too_few_patients_is_held_back_whole():
    assert held_with_margins(suppress(np.array([[1, 0], [0, 2]]), minimum=5)).all()


def test_a_large_table_of_small_counts_is_done_too():
    counts = np.random.default_rng(3).poisson(2, size=(50, 50))
    found = suppress(counts, minimum=5)
    assert found.cells[(counts > 0) & (counts < 5)].all()
    assert not found.total


@pytest.mark.parametrize("counts", [np.zeros((1, 3), int), np.zeros(4, int), np.full((2, 2), -1)])
def test_what_is_no_table_of_counts_is_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        suppress(counts, minimum=5)
