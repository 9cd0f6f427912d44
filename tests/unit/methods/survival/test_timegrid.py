"""The joint grid of times: what it holds, what it hides, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.errors import NotEstimable
from huizhen.methods.survival.timegrid import fine_interval, joint_interval, merge

COUNTS = st.integers(1, 40).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 4), min_size=width, max_size=width), min_size=4, max_size=4)
)


def exits(cells):
    return np.array(cells, np.int64).reshape(2, 2, -1)  # (kind, group, fine interval)


@given(COUNTS, st.integers(1, 6))
def test_every_time_of_the_grid_holds_nobody_or_the_minimum(cells, least):
    counts = exits(cells)
    totals = counts.sum(axis=(1, 2))
    try:
        grid = merge(counts, 1.0, least)
    except NotEstimable:
        assert ((totals > 0) & (totals < least)).any()
        return
    for merged in (grid.events.sum(axis=0), grid.censored.sum(axis=0)):
        assert not ((merged > 0) & (merged < least)).any()
    remaining = grid.at_risk.sum(axis=0)
    leaving = np.abs(np.diff(np.append(remaining, 0)))
    assert (leaving >= least).all(), "between two times at least the minimum leave"


@given(COUNTS, st.integers(1, 6))
def test_merging_loses_nobody_and_moves_nobody_back(cells, least):
    counts = exits(cells)
    try:
        grid = merge(counts, 1.0, least)
    except NotEstimable:
        return
    fine = np.arange(counts.shape[2])
    for merged, own, kind in ((grid.events, grid.event_ends, counts[0]), (grid.censored, grid.censored_ends, counts[1])):
        used = fine[kind.any(axis=0)]
        moved = own[joint_interval(used, own)]
        assert (moved >= used).all()
        again = np.zeros_like(merged)
        for group in range(2):
            np.add.at(again[group], np.searchsorted(grid.ends, moved), kind[group, used])
        assert (merged == again).all()


def test_who_is_censored_between_events_that_are_moved_together_stays_at_risk_for_them():
    counts = np.zeros((2, 1, 12), np.int64)
    counts[0, 0, [1, 5, 6, 7, 8, 9]] = [5, 1, 1, 1, 1, 1]  # five events at 1; five, one by one, from 5 to 9
    counts[1, 0, [3, 6, 7]] = [2, 2, 2]  # of the six censorings four come between them
    grid = merge(counts, 1.0, 5)
    assert grid.ends.tolist() == [1, 9]
    assert grid.events.tolist() == [[5, 5]]
    assert grid.censored.tolist() == [[0, 6]]
    assert grid.at_risk.tolist() == [[16, 11]], "so the curve falls to 6/11 of what it was, and not to nothing"


@given(COUNTS)
def test_with_a_minimum_of_one_the_grid_is_the_set_of_distinct_times(cells):
    counts = exits(cells)
    assert merge(counts, 1.0, 1).ends.tolist() == np.flatnonzero(counts.any(axis=(0, 1))).tolist()


def test_a_tail_that_is_too_small_joins_the_interval_before_it():
    counts = np.zeros((2, 1, 10), np.int64)
    counts[0, 0, [2, 3, 7]] = [3, 3, 2]  # 3 + 3 reach 5; the last 2 do not
    grid = merge(counts, 1.0, 5)
    assert grid.ends.tolist() == [7]
    assert grid.events.tolist() == [[8]]


def test_a_group_too_small_to_show_is_refused_without_its_name():
    counts = np.zeros((2, 1, 10), np.int64)
    counts[0, 0, 2] = 3
    with pytest.raises(NotEstimable, match="in some group fewer than 5 patients had the event"):
        merge(counts, 1.0, 5)


@given(st.integers(0, 100_000), st.sampled_from([0.1, 0.2, 0.25, 1.0, 7.0, 30.4375, 1 / 3]))
def test_a_multiple_of_the_resolution_lies_in_the_interval_that_it_ends(steps, resolution):
    assert fine_interval(np.array([steps * resolution]), resolution).tolist() == [steps]


def test_a_time_between_two_grid_points_moves_to_the_later_one():
    assert fine_interval(np.array([0.0, 0.1, 1.0, 1.5, 2.01]), 1.0).tolist() == [0, 1, 1, 2, 3]
