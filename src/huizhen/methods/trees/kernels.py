"""The inner loops of boosting at a site: bins, histograms, rows by node; compiled where numba is installed, else numpy.

Both are equal bit for bit: sums are sums of whole numbers below 2**53, so that no order and no way of adding changes them.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from huizhen.data.examples import chunks
from huizhen.methods.trees.fixedpoint import fixed
from huizhen.methods.trees.lattice import SLOTS

__all__ = ["Kernels", "NumpyKernels", "kernels"]

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int32]
Pairs = NDArray[np.int64]
Floats = NDArray[np.float64]


class Kernels(Protocol):
    """What a site computes row by row.

    `codes` is uint8 (row, covariate padded to a multiple of 8), C-contiguous: the bins of a row beside each other, for sums over
    all covariates. `column` is uint8 (row,): the bins of one covariate, for going left or right.
    """

    def encode(self, values: NDArray[np.float64], cuts: NDArray[np.float32], missing: int, out: Bytes) -> None:
        """Bins of numbers into `out` (row,): how many cuts are at or below each, as float32; `missing` where not a number."""

    def histogram(self, codes: Bytes, rows: Rows, pairs: Pairs, shift: int, slots: Pairs, out: tuple[Pairs, Pairs, Pairs]) -> None:
        """Sums of gradients, of hessians, and numbers of rows by bin, over some rows, into three int64 (bin,).

        Args:
            pairs: int64 (row, 2): gradient; hessian plus 2**shift.
            slots: which of the SLOTS of all covariates each bin has, int64 (bin,).
        """

    def settle(self, gradient: Floats, hessian: Floats, scales: tuple[int, int], one: int, pairs: Pairs) -> int:
        """Gradients and hessians as whole numbers, into pairs.

        Args:
            gradient, hessian: float64 (row,).
            scales: of either, as powers of two.
            one: is added to each hessian: 2**shift, a row's own count.
            pairs: int64 (row, 2).

        Returns:
            The sum of the gradients' magnitudes.
        """

    def partition(self, column: Bytes, rows: Rows, left: Bytes) -> int:
        """Puts rows whose bin goes left (`left` is 1 at it, uint8 (256,)) before the others, both in order; how many they are."""

    def add_leaves(self, column: Bytes, rows: Rows, left: Bytes, values: tuple[float, float], margins: NDArray[np.float64]) -> None:
        """Adds to the margin of each row the value of the leaf on its side."""


@cache
def kernels() -> Kernels:
    """The compiled kernels, or numpy's where numba is not installed, or finds no folder to keep what it compiles in."""
    try:
        from huizhen.methods.trees.compiled import CompiledKernels
    except (ImportError, RuntimeError):
        return NumpyKernels()
    return CompiledKernels()


class NumpyKernels:
    """Vectorised by numpy."""

    def encode(self, values: NDArray[np.float64], cuts: NDArray[np.float32], missing: int, out: Bytes) -> None:
        for here in chunks(len(values)):
            with np.errstate(over="ignore"):
                single = values[here].astype(np.float32)
            out[here] = np.where(np.isnan(single), missing, np.searchsorted(cuts, single, side="right"))

    def histogram(self, codes: Bytes, rows: Rows, pairs: Pairs, shift: int, slots: Pairs, out: tuple[Pairs, Pairs, Pairs]) -> None:
        mask, sums = (1 << shift) - 1, np.zeros((3, codes.shape[1] * SLOTS))
        for here in chunks(len(rows)):
            seen, chosen = codes[rows[here]], pairs[rows[here]]
            gradient, hessian = chosen[:, 0].astype(np.float64), (chosen[:, 1] & mask).astype(np.float64)
            for place in range(codes.shape[1]):
                slots_here = slice(place * SLOTS, (place + 1) * SLOTS)
                sums[0, slots_here] += np.bincount(seen[:, place], gradient, SLOTS)
                sums[1, slots_here] += np.bincount(seen[:, place], hessian, SLOTS)
                sums[2, slots_here] += np.bincount(seen[:, place], minlength=SLOTS)
        for array, values in zip(out, sums):
            array[:] = values[slots]

    def settle(self, gradient: Floats, hessian: Floats, scales: tuple[int, int], one: int, pairs: Pairs) -> int:
        whole = fixed(gradient, scales[0])
        pairs[:, 0] = whole
        pairs[:, 1] = fixed(hessian, scales[1]) + one
        return int(np.abs(whole).sum())

    def partition(self, column: Bytes, rows: Rows, left: Bytes) -> int:
        goes = left[column[rows]].astype(bool)
        there = int(goes.sum())
        rows[:] = np.concatenate([rows[goes], rows[~goes]])
        return there

    def add_leaves(self, column: Bytes, rows: Rows, left: Bytes, values: tuple[float, float], margins: NDArray[np.float64]) -> None:
        margins[rows] += np.where(left[column[rows]], values[0], values[1])
