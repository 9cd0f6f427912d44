"""Whole numbers in place of fractions: their sums are exact, however many rows there are."""

import numpy as np

from huizhen.methods.trees.fixedpoint import exact_sums


def test_sums_of_more_rows_than_float64_adds_exactly_are_exact():
    rows = (1 << 23) + 5  # beyond 2**22 the lower halves pass 2**53 together
    values = np.full(rows, (1 << 31) - 1, np.int64)
    values[::2] = -3
    cell = np.zeros(rows, np.int64)
    assert exact_sums(cell, values, 2).tolist() == [values.sum(), 0]
