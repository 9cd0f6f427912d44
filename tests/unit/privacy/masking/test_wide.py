"""The wide ring: every statistic fits, sums are exact, and order does not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huizhen.privacy.masking import wide

numbers = st.floats(-1e40, 1e40).filter(lambda x: x == 0 or abs(x) > 1e-80)


def added(each):
    total = wide.encode(np.zeros(len(each[0])), sites=len(each))
    for values in each:
        wide.add(total, wide.encode(values, sites=len(each)))
    return total


@given(st.lists(numbers, min_size=1, max_size=30))
def test_decoding_gives_back_what_was_encoded(values):
    values = np.array(values)
    assert (wide.decode(wide.encode(values, sites=9)) == values).all()


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=9))
def test_a_sum_is_the_exactly_rounded_one_in_any_order(rows):
    each = [np.array(column) for column in zip(*rows, strict=True)]
    found = wide.decode(added(each))
    exact = np.array([math.fsum(row) for row in rows])
    assert np.abs(found - exact).max(initial=0) <= 2 * np.spacing(np.abs(exact)).max(initial=0)
    assert (added(each) == added(each[::-1])).all()


@given(st.lists(numbers, min_size=1, max_size=9), st.lists(numbers, min_size=1, max_size=9))
def test_what_is_added_and_subtracted_leaves_no_trace(left, right):
    size = min(len(left), len(right))
    one, other = (wide.encode(np.array(values[:size]), sites=2) for values in (left, right))
    total = one.copy()
    wide.add(total, other)
    wide.subtract(total, other)
    assert (total == one).all()


def test_any_words_can_be_masked_and_unmasked():
    rng = np.random.default_rng(3)
    words, mask = rng.integers(0, 2**64, (2, wide.LIMBS, 500), dtype=np.uint64)
    total = words.copy()
    wide.add(total, mask)
    assert (total != words).any(axis=0).all()
    wide.subtract(total, mask)
    assert (total == words).all()


def test_opposites_cancel_to_nothing():
    value = np.array([1e30, -5e-80, 3.25])
    assert (added([value, -value]) == 0).all()


def test_a_number_that_could_overflow_the_sum_is_refused_beforehand():
    assert (wide.decode(added([np.array([wide.largest(3) * 0.999])] * 3)) > 0).all()
    for wrong in (wide.largest(3), -wide.largest(3), np.inf, np.nan):
        with pytest.raises(OverflowError):
            wide.encode(np.array([1.0, wrong]), sites=3)


def test_numbers_too_small_to_matter_are_rounded_to_the_last_place():
    tiny = 2.0**-352
    assert wide.decode(wide.encode(np.array([tiny, tiny / 4, 0.75 * tiny, -tiny]), sites=1)).tolist() == [tiny, 0.0, tiny, -tiny]
