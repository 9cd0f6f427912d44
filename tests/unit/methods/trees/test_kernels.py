"""The kernels of boosting: compiled or not, they give the very same numbers."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huizhen.methods.trees.kernels import NumpyKernels
from huizhen.methods.trees.lattice import SLOTS, keys_of

compiled = pytest.importorskip("huizhen.methods.trees.compiled")


@pytest.fixture(params=["numpy", "compiled"])
def kernels(request):
    return NumpyKernels() if request.param == "numpy" else compiled.CompiledKernels()


ROWS, COVARIATES, SHIFT = 9_001, 10, 40


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    codes = np.zeros((ROWS, 16), np.uint8)
    codes[:, :COVARIATES] = rng.integers(0, 255, (ROWS, COVARIATES))
    gradient, hessian = rng.integers(-(2**33), 2**33, ROWS), rng.integers(0, 2**24, ROWS)
    chosen = np.sort(rng.choice(ROWS, 5_000, replace=False)).astype(np.int32)
    return codes, gradient, hessian, chosen


def test_histograms_are_the_sums_by_bin(kernels, rows):
    codes, gradient, hessian, chosen = rows
    slots = np.concatenate([place * SLOTS + np.arange(255) for place in range(COVARIATES)])
    found = tuple(np.empty(len(slots), np.int64) for _ in range(3))
    kernels.histogram(codes, chosen, np.column_stack([gradient, hessian + (1 << SHIFT)]), SHIFT, slots, found)
    for place in (0, 9):
        for bin_ in (0, 17, 254):
            here = chosen[codes[chosen, place] == bin_]
            at = place * 255 + bin_
            assert [each[at] for each in found] == [gradient[here].sum(), hessian[here].sum(), len(here)]
    assert found[2].sum() == len(chosen) * COVARIATES


def test_rows_that_go_left_stand_first_and_all_keep_their_order(kernels, rows):
    codes, _, _, chosen = rows
    left = (np.arange(256) % 3 == 0).astype(np.uint8)
    mine, column = chosen.copy(), np.ascontiguousarray(codes[:, 4])
    count = kernels.partition(column, mine, left)
    goes = left[column[chosen]] == 1
    assert count == goes.sum()
    np.testing.assert_array_equal(mine, np.concatenate([chosen[goes], chosen[~goes]]))


def test_leaves_are_added_to_the_margins_of_their_rows_alone(kernels, rows):
    codes, _, _, chosen = rows
    left, margins = (np.arange(256) < 100).astype(np.uint8), np.full(ROWS, 0.1)
    column = np.ascontiguousarray(codes[:, 2])
    kernels.add_leaves(column, chosen, left, (0.25, -0.5), margins)
    expected = np.full(ROWS, 0.1)
    expected[chosen] += np.where(column[chosen] < 100, 0.25, -0.5)
    np.testing.assert_array_equal(margins, expected)


@pytest.mark.parametrize("cuts", [[], [0.0], [-2.5, -1.0, 0.0, 1e-40, 0.5, 3.0, 1e30], np.linspace(-3, 3, 254)])
def test_bins_count_the_cuts_at_or_below_a_number(kernels, cuts):
    rng = np.random.default_rng(1)
    cuts = np.array(cuts, np.float32)
    values = np.concatenate([rng.normal(size=20_000), cuts, [np.nan, 1e300, -1e300, -0.0, 0.0, 1e-45]])
    found = np.empty(len(values), np.uint8)
    kernels.encode(values, cuts, 255, found)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    expected = [255 if np.isnan(value) else int((cuts <= value).sum()) for value in single]
    np.testing.assert_array_equal(found, expected)


def test_the_order_of_bits_is_the_order_of_numbers():
    values = np.array([-np.inf, -3.0, -1e-45, 0.0, 1e-45, 2.0, np.inf])
    assert (np.diff(keys_of(values).astype(np.int64)) > 0).all()


@given(seed=st.integers(0, 2**32 - 1), sites=st.integers(1, 7))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_histograms_of_any_split_over_sites_add_up_to_those_of_all_rows(kernels, rows, seed, sites):
    """Values as large as the agreed scales let them be, where an order of adding would show in float64."""
    codes, _, _, chosen = rows
    rng = np.random.default_rng(seed)
    gradient = rng.integers(-(2**51 // ROWS), 2**51 // ROWS, ROWS)
    pairs = np.column_stack([gradient, rng.integers(0, 2**46 // ROWS, ROWS) + (1 << 46)])
    slots = np.concatenate([place * SLOTS + np.arange(256) for place in range(COVARIATES)])

    def sums(some):
        found = tuple(np.empty(len(slots), np.int64) for _ in range(3))
        kernels.histogram(codes[some], np.arange(len(some), dtype=np.int32), pairs[some], 46, slots, found)
        return np.stack(found)

    parts = rng.integers(0, sites, len(chosen))
    whole = sums(chosen)
    np.testing.assert_array_equal(sum(sums(chosen[parts == site]) for site in range(sites)), whole)
    exact = np.zeros((3, COVARIATES, SLOTS), np.int64)
    for place in range(COVARIATES):
        for values, into in zip((gradient[chosen], pairs[chosen, 1] - (1 << 46), np.ones(len(chosen), np.int64)), exact[:, place]):
            np.add.at(into, codes[chosen, place], values)
    np.testing.assert_array_equal(whole, exact.reshape(3, -1))


def test_gradients_are_settled_as_whole_numbers_alike(rows):
    rng = np.random.default_rng(8)
    gradient, hessian = rng.normal(size=ROWS), rng.random(ROWS)
    found = []
    for kernels in (NumpyKernels(), compiled.CompiledKernels()):
        pairs = np.zeros((ROWS, 2), np.int64)
        magnitude = kernels.settle(gradient, hessian, (33, 24), 1 << SHIFT, pairs)
        assert magnitude == np.abs(pairs[:, 0]).sum()
        found.append(pairs)
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0][:, 0], np.rint(gradient * 2.0**33).astype(np.int64))
    assert ((found[0][:, 1] >> SHIFT) == 1).all()
